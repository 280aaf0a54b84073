"""What the three formats have in common: messages, and how a queue writes and reads them."""

from __future__ import annotations

from typing import Any, Callable, Protocol

from .frame import Format

Message = dict[str, Any]
"""A message as a map of fields; ``docs/protocol.md`` lists which there are."""

Publish = Callable[[Any, bool], bytes]
"""Writes a value, and whether the broker shall store it, as the whole frame that publishes it."""


class Codec(Protocol):
    """A format. Stateless: one object serves every queue."""

    format: Format
    """The first byte of its frames."""

    def encode(self, message: Message) -> bytes:
        """The body that says ``message``, whose fields are strings, ints and bools."""
        ...

    def publisher(self, topic: str) -> Publish:
        """What writes the frames that publish to ``topic``.

        It raises :class:`NotPlainData` for a value that is not plain data, and :class:`ValueError` for plain
        data that no format can carry.
        """
        ...

    def decode(self, body: bytes) -> Message:
        """The message in ``body``, which may come from anyone: nothing that it says is executed.

        Raises :class:`MalformedMessage` where it is no message.
        """
        ...
