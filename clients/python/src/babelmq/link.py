"""When there is a connection, when the next attempt at one is due, and when it has been silent for
too long.

All of it belongs to the connection and not to the call that waits for it: calls come and go with
timeouts of their own, and each finds the time of the next attempt where the last one left it.
"""

from __future__ import annotations

import time
from enum import Enum
from typing import Callable

from .backoff import Backoff

CONNECT_PATIENCE = 10.0
"""Seconds that one address may take to accept a connection."""

LOGIN_PATIENCE = 15.0
"""Seconds that the broker may take to answer a login. Of a wrong one it is in no hurry to say so,
and it gives a client 10 s.
"""

HEALTHY = 5.0
"""Seconds that a connection must hold before the pauses between attempts begin again with the
shortest.
"""


class State(Enum):
    """How far a connection is."""

    DOWN = "there is none"
    CONNECTING = "it was asked for"
    LOGIN = "it is there, and the broker has not yet said whether it knows this client"
    GREETING = "it is there, and the broker has not yet taken up what it was told first"
    UP = "it can be used"


class Link:
    """What is known about a connection.

    :param keepalive: Seconds of silence after which the broker is asked whether it is there, and as
        many more after which the connection counts as lost; ``None`` for never.
    :param wait: Seconds for which the very first connection is tried again.
    """

    def __init__(
        self,
        keepalive: float | None,
        wait: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.keepalive = keepalive
        self._wait = wait
        self._clock = clock
        self._backoff = Backoff()
        self._wait_until: float | None = None
        # When the state began, and when something was heard last, or asked after nothing was.
        self._since = 0.0
        self._heard = 0.0
        self._asked = False
        self.state = State.DOWN
        self.was_up = False
        self.retry_at = 0.0
        self.trouble = ""
        """Why there is no connection, for people."""

    def may_connect(self) -> bool:
        """Whether the next attempt is due."""
        return self.state is State.DOWN and self._clock() >= self.retry_at

    def wait_until(self) -> float:
        """Until when the very first connection is tried again."""
        return self._clock() + self._wait if self._wait_until is None else self._wait_until

    def gives_up(self) -> bool:
        """Whether a failure is final for the call that learns of it: nobody has been there yet."""
        return not self.was_up and self._clock() >= self.wait_until()

    def connecting(self) -> None:
        """An attempt begins, with one address of perhaps several."""
        self._wait_until = self.wait_until()
        self._enter(State.CONNECTING)

    def opened(self, *, login: bool = False) -> None:
        """The other end has accepted the connection, on which a ``login`` comes first."""
        self._enter(State.LOGIN if login else State.GREETING)
        self.heard()

    def logged_in(self) -> None:
        """The broker knows this client."""
        self._enter(State.GREETING)

    def up(self) -> None:
        """The connection can be used."""
        self._enter(State.UP)
        self.was_up = True

    def heard(self) -> None:
        """Something arrived."""
        self._heard = self._clock()
        self._asked = False

    def asked(self) -> None:
        """The broker was asked whether it is there."""
        self._heard = self._clock()
        self._asked = True

    def lost(self, why: str) -> None:
        """There is no connection, or none came about; the pause before the next attempt begins."""
        if self.state is State.UP and self._clock() - self._since >= HEALTHY:
            self._backoff.reset()
        self.trouble = why
        self._enter(State.DOWN)
        self.retry_at = self._since + self._backoff.next()

    def forget(self) -> None:
        """There is no connection for another reason than trouble: the next attempt is due
        at once.
        """
        self._enter(State.DOWN)
        self.retry_at = 0.0

    def is_new(self) -> bool:
        """Whether the state began a moment ago."""
        return self._clock() - self._since < HEALTHY

    def next_look(self) -> float | None:
        """When to see to it that the connection is not silent for too long."""
        if self.state is State.CONNECTING:
            return self._since + CONNECT_PATIENCE
        if self.state is State.LOGIN:
            return self._since + LOGIN_PATIENCE
        if self.state is State.DOWN or self.keepalive is None:
            return None
        return self._heard + self.keepalive

    def is_silent(self) -> bool:
        """Whether it has been silent for so long that something has to be done."""
        look = self.next_look()
        return look is not None and self._clock() >= look

    def is_dead(self) -> bool:
        """Whether the broker was asked, and nothing has been heard since."""
        return self._asked

    def _enter(self, state: State) -> None:
        self.state = state
        self._since = self._clock()
