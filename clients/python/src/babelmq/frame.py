"""Frames: a format byte, a length of four bytes, a body; and a buffer that cuts a stream
into them.
"""

from __future__ import annotations

import struct
from enum import IntEnum

from .errors import MalformedMessage, ProtocolError

HEADER = struct.Struct(">BI")
"""Format and length of the body in bytes, big-endian."""

_pack = HEADER.pack

TLS_RECORDS = (0x15, 0x16)
"""What an alert and a handshake of TLS begin with; the next byte is 3."""

LONGEST_BODY = 0xFFFF_FFFF
"""Bytes of body that a header can announce."""

MAX_FRAME = 64 << 20
"""Bytes of body that a client accepts by default.

A broker takes frames up to 16 MiB by default; translated, they can be larger (a control character
is one byte in a pickle and six in JSON).
"""

LONGEST_FRAME = 1 << 30
"""Bytes of body in the longest frame that any broker sends, the most that its ``--max-encoded`` can
be.
"""

READ_AHEAD = 64 << 10
"""Bytes that one read asks the operating system for: some 400 small messages."""

LONGEST_READ = 1 << 20
"""Bytes that one read asks for in the middle of a large frame."""

MOST_UNREAD = 1 << 20
"""Bytes of whole frames that are read ahead of who pulls them."""


class Format(IntEnum):
    """How a frame's body is written; the value is the frame's first byte."""

    JSON = 0
    XML = 1
    PICKLE = 2


def frame(form: int, *body: bytes) -> bytes:
    """The frame around the pieces of a body.

    >>> frame(Format.JSON, b"{", b"}")
    b'\\x00\\x00\\x00\\x00\\x02{}'
    """
    return b"".join((_pack(form, check_length(sum(map(len, body)))), *body))


def check_length(length: int) -> int:
    """``length``, if a body may have so many bytes."""
    if length > LONGEST_BODY:
        raise ValueError(f"a message of {length} bytes is too large: a frame holds less than 4 GiB")
    return length


class FrameBuffer:
    """Bytes as they arrive, read as frames.

    Each byte is copied a fixed number of times however the stream was cut, and memory is held only
    for what has arrived, whatever length a frame claims.

    >>> frames = FrameBuffer()
    >>> frames.feed(b"\\x00\\x00\\x00\\x00\\x02{}\\x00\\x00")
    >>> frames.next()
    (0, b'{}')
    >>> frames.next() is None
    True
    """

    def __init__(self, limit: int = MAX_FRAME) -> None:
        self._limit = limit
        self._data = b""
        self._at = 0
        # A frame that has begun and not ended: what there is of it, and how many bytes it lacks at
        # least.
        self._parts: list[bytes] = []
        self._missing = 0
        # Bytes to come of a frame over the limit, which nobody reads.
        self._skip = 0

    def feed(self, data: bytes) -> None:
        """Takes what a read brought."""
        if self._skip:
            skipped = min(self._skip, len(data))
            self._skip -= skipped
            data = data[skipped:]
            if not data:
                return
        if self._at < len(self._data):
            self._parts.append(self._data[self._at :])
        self._parts.append(data)
        self._missing -= len(data)
        if self._missing > 0:
            self._data = b""
        else:
            self._data = data if len(self._parts) == 1 else b"".join(self._parts)
            self._parts.clear()
            self._missing = 0
        self._at = 0

    def next(self) -> tuple[int, bytes] | None:
        """The next whole frame, as format byte and body; ``None`` when more has to arrive first.

        Raises :class:`MalformedMessage` once for a frame over the limit, of which nothing is kept:
        what follows it is read. Raises :class:`ProtocolError` where no broker can be at the other
        end, for an unknown format or a length that no broker sends. There is no way to go on in
        that stream.
        """
        data = self._data
        start = self._at + 5
        have = len(data)
        if have >= start:
            form, length = HEADER.unpack_from(data, self._at)
            end = start + length
            if have >= end and length <= self._limit and form <= 2:
                self._at = end
                return form, data[start:end]
            if form in TLS_RECORDS and data[self._at + 1] == 3:
                raise ProtocolError(
                    f"a frame begins with byte {form}, as what TLS says does; if the broker speaks "
                    "TLS there, its address begins with babelmqs://"
                )
            if form > 2:
                raise ProtocolError(
                    f"a frame begins with byte {form}; a broker's frames begin with 0, 1 or 2"
                )
            if length > self._limit:
                problem = (
                    f"a frame announces {length} bytes; the limit is {self._limit} "
                    "(max_frame raises it; what a broker sends is bounded by its --max-encoded)"
                )
                if length > LONGEST_FRAME:
                    raise ProtocolError(problem)
                self._at = min(end, have)
                self._skip = end - self._at
                raise MalformedMessage(f"{problem}; it was skipped")
            self._suspend(end)
        elif have > self._at:
            self._suspend(start)
        return None

    def wanted(self) -> int:
        """How many bytes the next read may well ask for."""
        return min(max(self._missing, self._skip, READ_AHEAD), LONGEST_READ)

    def is_empty(self) -> bool:
        """Whether everything was read that has arrived whole."""
        return self._at >= len(self._data)

    def is_full(self) -> bool:
        """Whether so much waits to be read that no more need be asked for."""
        return self._missing <= 0 and len(self._data) - self._at >= MOST_UNREAD

    def clear(self) -> None:
        """Forgets everything: what follows is another stream."""
        self._data = b""
        self._at = 0
        self._parts.clear()
        self._missing = 0
        self._skip = 0

    def _suspend(self, end: int) -> None:
        self._missing = end - len(self._data)
        self._parts.append(self._data[self._at :])
        self._data = b""
        self._at = 0
