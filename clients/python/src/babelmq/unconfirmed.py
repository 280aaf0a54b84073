"""Frames that are kept until the broker has confirmed them, and said again on the next connection
if this one ends before.

A ping confirms: the broker answers it when it has taken everything that was sent before it.
"""

from __future__ import annotations

import itertools
import secrets
from collections import deque
from collections.abc import Iterator

ASK_EVERY = 64 << 10
"""Bytes of unconfirmed pushes after which the broker is asked about them."""

MOST_UNCONFIRMED = 8 << 20
"""Bytes of unconfirmed pushes after which the next one waits."""


class Unconfirmed:
    """Frames in their order, some of them under a key.

    >>> acks = Unconfirmed()
    >>> acks.add(b"ack 5", 5)
    >>> acks.asked(ping=1)
    >>> acks.add(b"ack 6", 6)
    >>> acks.answered(ping=1)
    >>> 5 in acks, 6 in acks, list(acks.frames())
    (False, True, [b'ack 6'])
    """

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Forgets all."""
        self._frames: deque[tuple[bytes, int | None]] = deque()
        # How many were confirmed: the number of the first that is not.
        self._first = 0
        # The last frame under each key.
        self._keys: dict[int, bytes] = {}
        # Pings that have no answer, each with the number behind the last frame before it.
        self._asked: deque[tuple[int, int]] = deque()
        self.size = 0
        """Bytes of all frames."""
        self.unasked = 0
        """Bytes of those that no ping stands behind."""

    def __len__(self) -> int:
        return len(self._frames)

    def __contains__(self, key: int) -> bool:
        return key in self._keys

    @property
    def is_asked(self) -> bool:
        """Whether an answer about some of them is to come."""
        return bool(self._asked)

    def add(self, frame: bytes, key: int | None = None) -> None:
        """Keeps a frame."""
        # In this order: what an interruption leaves of it is a frame without a key.
        self._frames.append((frame, key))
        if key is not None:
            self._keys[key] = frame
        self.size += len(frame)
        self.unasked += len(frame)

    def asked(self, ping: int) -> None:
        """A ping was sent behind all of them."""
        if self.unasked:
            self._asked.append((ping, self._first + len(self._frames)))
            self.unasked = 0

    def answered(self, ping: int, *, confirmed: bool = True) -> None:
        """A ping was answered, and with it all before it; what is not ``confirmed`` is kept."""
        while self._asked and self._asked[0][0] <= ping:
            _, end = self._asked.popleft()
            while confirmed and self._first < end:
                frame, key = self._frames.popleft()
                if key is not None and self._keys.get(key) is frame:
                    del self._keys[key]
                self.size -= len(frame)
                self._first += 1
        if not confirmed:
            self.unasked = self.size

    def frame(self, key: int) -> bytes:
        """The last frame under a key."""
        return self._keys[key]

    def frames(self) -> Iterator[bytes]:
        """What is to be said on a new connection."""
        return (frame for frame, _ in self._frames)

    def connection_ended(self) -> None:
        """No answer will come to what was asked."""
        self._asked.clear()
        self.unasked = self.size

    def drop_longest(self) -> None:
        """Gives the longest frame up, which no broker with this limit will take."""
        if self._frames:
            at, (frame, key) = max(enumerate(self._frames), key=lambda one: len(one[1][0]))
            # Its place stays, so that the numbers of the others do.
            self._frames[at] = (b"", key)
            self.size -= len(frame)


class Pushes(Unconfirmed):
    """The pushes of a reliable queue. Each is published with an ``id``, by which a stream knows one
    that it gets again.
    """

    def clear(self) -> None:
        """Forgets all, the name too."""
        super().clear()
        # 64 bits that no other queue has, and no other process that was forked from this one.
        self._name = secrets.token_hex(8)
        self._numbers = itertools.count(1)

    def next_id(self) -> str:
        """An ``id`` that nothing else was published with.

        >>> one, other = Pushes(), Pushes()
        >>> len({one.next_id(), one.next_id(), other.next_id()})
        3
        """
        return f"{self._name}-{next(self._numbers)}"

    @property
    def is_full(self) -> bool:
        """Whether the next push has to wait for a confirmation."""
        return self.size >= MOST_UNCONFIRMED

    @property
    def wants_ping(self) -> bool:
        """Whether the broker is to be asked what it has taken."""
        return self.unasked >= ASK_EVERY
