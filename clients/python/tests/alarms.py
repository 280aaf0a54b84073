"""Exceptions that strike anywhere in a call, as Ctrl-C does."""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections import deque
from collections.abc import Callable
from types import CodeType, FrameType, TracebackType
from typing import Any

import pytest

AGAIN = 0.001
"""Seconds until the next attempt, where an alarm may not strike or was swallowed."""

_ELSEWHERE = (logging.__file__, pytest.__file__, sys.modules["_pytest"].__file__ or "")
NOT_IN = (*(os.path.dirname(module) + os.sep for module in _ELSEWHERE), __file__)
"""Code that is not under test and would keep a lock, or lose its place, after an exception in the
middle of it.
"""

needs_alarms = pytest.mark.skipif(
    not hasattr(signal, "setitimer"), reason="it needs timers that send signals"
)


class Alarm(Exception):
    """What is raised."""


class alarms:  # noqa: N801
    """Raises :class:`Alarm` in the main thread, inside of the ``with`` statement and of what it
    calls, after ``seconds`` and not before ``once`` is true; and then again and again if ``every``
    is not 0.

    An alarm waits while the interpreter is where no exception comes out of: a finalizer has its
    exceptions swallowed. Where one is swallowed nonetheless, a single alarm strikes again.
    """

    def __init__(
        self, seconds: float, every: float = 0, *, once: Callable[[], bool] = lambda: True
    ) -> None:
        self._seconds = seconds
        self._every = every
        self._once = once
        self._strikes = 0
        self._inside: FrameType | None = None
        self._swallowed: deque[Any] = deque(maxlen=1000)

    def __enter__(self) -> None:
        self._inside = sys._getframe(1)
        self._hook = sys.unraisablehook
        # The hook is a function in C, so no alarm strikes in the hook itself.
        sys.unraisablehook = self._swallowed.append
        self._before = signal.signal(signal.SIGALRM, self._ring)
        signal.setitimer(signal.ITIMER_REAL, self._seconds, self._every or AGAIN)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, self._before)
        sys.unraisablehook = self._hook
        self._inside = None
        others = [one for one in self._swallowed if not _is_alarm(one)]
        self._swallowed.clear()
        for one in others:
            self._hook(one)

    def _ring(self, _number: int, frame: FrameType | None) -> None:
        if not self._every and self._strikes > sum(map(_is_alarm, self._swallowed)):
            return
        while frame is not None and frame is not self._inside:
            if not _may_be_struck(frame.f_code):
                return
            frame = frame.f_back
        if frame is not None and self._once():
            self._strikes += 1
            raise Alarm


def _is_alarm(swallowed: Any) -> bool:
    return swallowed.exc_type is Alarm


def _may_be_struck(code: CodeType) -> bool:
    return code.co_name != "__del__" and not code.co_filename.startswith(NOT_IN)
