"""What the three formats have in common: messages, and how a queue writes and reads them."""

from __future__ import annotations

import unicodedata
from typing import Any, Callable, Protocol

from .frame import Format

Fields = dict[str, Any]
"""A message as a map of fields; ``docs/protocol.md`` lists which there are."""


class Publish(Protocol):
    """Writes whole frames that publish."""

    def __call__(
        self, value: Any, retain: bool, ttl: int | None = None, id: str | None = None
    ) -> bytes:
        """The frame of ``value``; whether the broker shall store it, and for how many seconds at
        most; by what a stream knows it if it comes again.
        """
        ...


MAX_ID = 128
"""Bytes of an ``id`` of a publish."""

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


def check_id(id: str) -> str:
    """``id``, if a message can be published with it."""
    if not isinstance(id, str):
        raise TypeError(f"an id is a str, not a {type(id).__name__}")
    for character in "" if id.isascii() and id.isprintable() else id:
        if unicodedata.category(character) in ("Cc", "Cs") or character in "\ufffe\uffff":
            raise ValueError(f"the id {id!r:.80} contains {character!r}, which no id may")
    if not 1 <= len(id.encode()) <= MAX_ID:
        raise ValueError(f"an id is 1 to {MAX_ID} bytes long, and {id!r:.80} is not")
    return id


class Codec(Protocol):
    """A format. Stateless: one object serves every queue."""

    format: Format
    """The first byte of its frames."""

    def encode(self, message: Fields) -> bytes:
        """The body that says ``message``, whose fields are strings, numbers, bools and lists of
        numbers.
        """
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
