"""The version, once: the package says it, and the build reads it from here for the metadata."""

__version__ = "0.1.0"
