"""How long to wait before the next attempt to connect."""

from __future__ import annotations

import random

FIRST = 0.05
"""Seconds before the second attempt, at most."""

LONGEST = 5.0
"""Seconds before any attempt, at most."""


class Backoff:
    """Delays that double, each a random part of its bound.

    The jitter keeps the thousand clients of a broker that restarts from coming back in the same
    moment.

    >>> backoff = Backoff()
    >>> 0.025 <= backoff.next() <= 0.05 and 0.05 <= backoff.next() <= 0.1
    True
    """

    def __init__(self) -> None:
        self._bound = FIRST

    def next(self) -> float:
        """Seconds to wait now."""
        bound = self._bound
        self._bound = min(2 * bound, LONGEST)
        return random.uniform(bound / 2, bound)

    def reset(self) -> None:
        """Begins again: a connection held for a while."""
        self._bound = FIRST
