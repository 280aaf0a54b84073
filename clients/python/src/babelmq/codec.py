"""What the three formats have in common: messages, and how a queue writes and reads them."""

from __future__ import annotations

from typing import Any, Callable, Protocol

from .frame import Format

Fields = dict[str, Any]
"""A message as a map of fields; ``docs/protocol.md`` lists which there are."""


class Publish(Protocol):
    """Writes whole frames that publish."""

    def __call__(self, value: Any, retain: bool, ttl: int | None = None) -> bytes:
        """The frame of ``value``; whether the broker shall store it, and for how many seconds at
        most.
        """
        ...


MAX_TTL = 0xFFFF_FFFF
"""Seconds that a value can be stored for, where it is not stored until another comes."""


def check_ttl(ttl: int) -> int:
    """``ttl``, if it is a time to live."""
    if type(ttl) is not int:
        raise TypeError(
            f"a ttl is a whole number of seconds, an int and not a {type(ttl).__name__}"
        )
    if not 1 <= ttl <= MAX_TTL:
        raise ValueError(f"a ttl is from 1 to {MAX_TTL} seconds, not {ttl}")
    return ttl


class Codec(Protocol):
    """A format. Stateless: one object serves every queue."""

    format: Format
    """The first byte of its frames."""

    def encode(self, message: Fields) -> bytes:
        """The body that says ``message``, whose fields are strings, ints and bools."""
        ...

    def publisher(self, topic: str, default: Callable[[Any], Any] | None = None) -> Publish:
        """What writes the frames that publish to ``topic``; ``default`` makes plain data of other
        objects.

        It raises :class:`NotPlainData` for a value that is not plain data, and :class:`ValueError`
        for plain data that no format can carry.
        """
        ...

    def decode(self, body: bytes) -> Fields:
        """The message in ``body``, which may come from anyone: nothing that it says is executed.

        Raises :class:`MalformedMessage` where it is no message.
        """
        ...
