"""The two kinds of queue behind one face, so that a test of what both promise is written once."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Awaitable
from typing import Any, Callable, TypeVar

import babelmq
from babelmq import aio

T = TypeVar("T")


class Blocking:
    """A blocking queue."""

    def __init__(self, name: str, *arguments: Any, **options: Any) -> None:
        self.queue: Any = getattr(babelmq, name)(*arguments, **options)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.queue, name)


class Awaited:
    """A queue of asyncio, used from a thread that is not the event loop's: each call waits for what
    it awaits.
    """

    _loop: asyncio.AbstractEventLoop | None = None

    def __init__(self, name: str, *arguments: Any, **options: Any) -> None:
        self.queue: Any = getattr(aio, name)(*arguments, **options)
        try:
            self.wait_for(self.queue.__aenter__())
        except BaseException:
            self.close()
            raise

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self.queue, name)
        if not callable(attribute):
            return attribute

        def call(*arguments: Any, **options: Any) -> Any:
            found = attribute(*arguments, **options)
            return self.wait_for(found) if inspect.isawaitable(found) else found

        return call

    @classmethod
    def wait_for(cls, awaitable: Awaitable[T]) -> T:
        async def waiting() -> T:
            return await awaitable

        if cls._loop is None:
            cls._loop = asyncio.new_event_loop()
            threading.Thread(target=cls._loop.run_forever, daemon=True).start()
        return asyncio.run_coroutine_threadsafe(waiting(), cls._loop).result(60)


Kind = Callable[..., Any]
KINDS: list[Kind] = [Blocking, Awaited]
