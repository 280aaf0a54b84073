//! What `--version` says.

/// The version, and which commit it was built from where the build knew: see `build.rs`.
pub(super) const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), env!("BABELMQ_COMMIT"));
