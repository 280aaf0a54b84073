"""The queues for asyncio: the same calls, awaited.

>>> import asyncio
>>> async def main():
...     async with JSONQueue.consumer("/weather") as consumer:
...         async with PickleQueue.producer("/weather/temp") as producer:
...             await producer.push(21.5)
...         async for topic, value in consumer:
...             return topic, value
>>> asyncio.run(main())
('/weather/temp', 21.5)

Several tasks may use one queue: one that pulls, others that push and flush.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from types import TracebackType
from typing import Any, ClassVar, TypeVar

from .address import Address, resolve
from .codec import Codec
from .errors import CannotConnect, ConnectionLost, NotSubscribed, QueueClosed
from .frame import LONGEST_READ, MAX_FRAME
from .json_codec import JSONCodec
from .pickle_codec import PickleCodec
from .queue import MiddlewareType, check_topic
from .session import Delivery, OnTopics, Send, Session, Sleep, Step, Steps
from .xml_codec import XMLCodec

__all__ = ["JSONQueue", "MiddlewareType", "PickleQueue", "Queue", "XMLQueue"]

T = TypeVar("T")


class Queue:
    """The base of the three queues. The parameters are those of :class:`babelmq.Queue`.

    Nothing happens in the constructor: a consumer connects and subscribes in ``async with`` (or when it first
    pulls), and once inside misses nothing.
    """

    codec: ClassVar[Codec]
    """The format."""

    def __init__(
        self,
        topic: str,
        _type: MiddlewareType = MiddlewareType.CONSUMER,
        *,
        address: Address | None = None,
        timeout: float | None = None,
        exact: bool = False,
        max_frame: int = MAX_FRAME,
    ) -> None:
        self.topic = check_topic(topic)
        self._publish = self.codec.publisher(topic)
        self._session = Session(
            self.codec,
            topic,
            subscribe=_type is MiddlewareType.CONSUMER,
            exact=exact,
            max_frame=max_frame,
        )
        self._connection = _Connection(self._session, resolve(address), timeout)

    @classmethod
    def producer(
        cls: type[Self],
        topic: str,
        *,
        address: Address | None = None,
        timeout: float | None = None,
        exact: bool = False,
        max_frame: int = MAX_FRAME,
    ) -> Self:
        """A queue that publishes to ``topic``: the constructor, as a producer.

        >>> async def main():
        ...     async with JSONQueue.producer("/weather/temp", timeout=5) as producer:
        ...         await producer.push(21.5)
        ...         return await producer.get()
        >>> asyncio.run(main())
        21.5
        """
        return cls(
            topic,
            MiddlewareType.PRODUCER,
            address=address,
            timeout=timeout,
            exact=exact,
            max_frame=max_frame,
        )

    @classmethod
    def consumer(
        cls: type[Self],
        topic: str,
        *,
        address: Address | None = None,
        timeout: float | None = None,
        exact: bool = False,
        max_frame: int = MAX_FRAME,
    ) -> Self:
        """A queue for a subscription to ``topic``: the constructor, as a consumer.

        Nothing is missed from ``async with`` on, as with the constructor.

        >>> async def main():
        ...     async with XMLQueue.consumer("/weather") as consumer:
        ...         async with JSONQueue.producer("/weather/temp") as producer:
        ...             await producer.push(21.5)
        ...         return await consumer.pull()
        >>> asyncio.run(main())
        ('/weather/temp', 21.5)
        """
        return cls(
            topic,
            MiddlewareType.CONSUMER,
            address=address,
            timeout=timeout,
            exact=exact,
            max_frame=max_frame,
        )

    async def push(self, value: Any, *, retain: bool = True, ttl: int | None = None) -> None:
        """Publishes ``value`` to the topic, as :meth:`babelmq.Queue.push` does, with the same promise."""
        data = self._publish(value, retain, ttl)
        if not await self._connection.send_now(data):
            await self._connection.run(self._session.push(data))

    async def pull(self, timeout: float | None = None) -> Delivery:
        """The next message: its topic and its value; see :meth:`babelmq.Queue.pull`."""
        delivery = self._session.next_delivery()
        if delivery is not None:
            return delivery
        return await self._connection.run(self._session.pull(), timeout)

    async def flush(self) -> None:
        """Waits until the broker has routed everything that was pushed; see :meth:`babelmq.Queue.flush`."""
        await self._connection.run(self._session.flush())

    async def list_topics(self, callback: OnTopics) -> None:
        """Asks which topics hold a value; a later :meth:`pull` calls ``callback``, a function, with them."""
        await self._connection.run(self._session.list_topics(callback))

    async def topics(self) -> list[str]:
        """The topics that hold a value, sorted."""
        return await self._connection.run(self._session.topics())

    async def get(self, topic: str | None = None, default: Any = None) -> Any:
        """The last value of ``topic``, by default the queue's own, without subscribing."""
        wanted = self.topic if topic is None else check_topic(topic)
        return await self._connection.run(self._session.get(wanted, default))

    async def clear(self, topic: str | None = None) -> None:
        """Has the broker forget the last value of ``topic``, by default the queue's own."""
        await self._connection.run(self._session.clear(self.topic if topic is None else check_topic(topic)))

    async def cancel(self) -> None:
        """Ends the subscription. What arrived before can still be pulled; after it, iteration ends."""
        await self._connection.run(self._session.cancel())

    async def close(self) -> None:
        """Closes the connection without waiting for the broker: :meth:`flush` first, or use ``async with``."""
        self._session.close()
        await self._connection.close()

    def __aiter__(self: Self) -> Self:
        return self

    async def __anext__(self) -> Delivery:
        try:
            return await self.pull()
        except (NotSubscribed, QueueClosed):
            raise StopAsyncIteration from None

    async def __aenter__(self: Self) -> Self:
        try:
            await self._connection.run(self._session.open())
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Flushes what was pushed, unless an exception is on its way, and closes."""
        try:
            if kind is None and self._session.has_unflushed():
                await self.flush()
        finally:
            await self.close()

    def __repr__(self) -> str:
        return f"aio.{type(self).__name__}({self.topic!r})"


Self = TypeVar("Self", bound=Queue)


class JSONQueue(Queue):
    """A queue that speaks JSON, as :class:`babelmq.JSONQueue`."""

    codec = JSONCodec()


class XMLQueue(Queue):
    """A queue that speaks XML, as :class:`babelmq.XMLQueue`."""

    codec = XMLCodec()


class PickleQueue(Queue):
    """A queue that speaks pickle, as :class:`babelmq.PickleQueue`."""

    codec = PickleCodec()


class _Connection:
    """The driver that performs a session's steps with asyncio streams.

    One read is always under way. Whoever waits for input waits for that read, so that tasks do not get into each
    other's way, and a task that is cancelled takes nothing along.
    """

    _TURN = 64
    """Pushes after which other tasks get a turn, even if nothing has to be waited for."""

    def __init__(self, session: Session, address: tuple[str, int], timeout: float | None) -> None:
        self._session = session
        self._address = address
        self._timeout = timeout
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._reading: asyncio.Task[bytes] | None = None
        self._connecting: asyncio.Lock | None = None
        self._sent = 0

    async def run(self, steps: Steps[T], timeout: float | None = None) -> T:
        """Performs ``steps`` and returns what they return; raises :class:`TimeoutError` after ``timeout``."""
        if timeout is None:
            timeout = self._timeout
        return await self._run(steps, None if timeout is None else time.monotonic() + timeout)

    async def send_now(self, data: bytes) -> bool:
        """Sends ``data`` if nothing has arrived that should be looked at first."""
        reading = self._reading
        if self._writer is None or not self._session.connected or reading is None or reading.done():
            return False
        self._session.unconfirmed = True
        self._writer.write(data)
        try:
            await self._drain(None if self._timeout is None else time.monotonic() + self._timeout)
        except ConnectionLost:
            # What was written may have been sent: flush() will say that nobody knows.
            return True
        return True

    async def close(self) -> None:
        """Closes the connection; no harm where there is none."""
        self._abandon()
        if self._writer is not None:
            writer, self._writer = self._writer, None
            with suppress(OSError):
                await writer.wait_closed()

    async def _run(self, steps: Steps[T], deadline: float | None) -> T:
        try:
            step = next(steps)
            while True:
                try:
                    await self._perform(step, deadline)
                except (ConnectionError, TimeoutError) as error:
                    step = steps.throw(error)
                else:
                    step = steps.send(None)
        except StopIteration as done:
            result: T = done.value
            return result
        finally:
            steps.close()

    async def _perform(self, step: object, deadline: float | None) -> None:
        if step is Step.RECEIVE:
            await self._receive(deadline)
        elif isinstance(step, Send):
            if self._writer is None or not self._session.connected:
                raise ConnectionLost("there is no connection")
            self._writer.write(step.data)
            await self._drain(deadline)
        elif step is Step.RECEIVE_READY:
            if self._reading is not None and self._reading.done():
                self._take(self._reading)
        elif step is Step.RECONNECT:
            if self._connecting is None:
                self._connecting = asyncio.Lock()
            async with self._connecting:
                if not self._session.connected:
                    await self._run(self._session.connect(), deadline)
        elif step is Step.CONNECT:
            await self._connect(deadline)
        elif isinstance(step, Sleep):
            left = _left(deadline)
            await asyncio.sleep(step.seconds if left is None else min(step.seconds, left))
            if left is not None and left <= step.seconds:
                raise TimeoutError("the broker could not be reached in time")

    async def _connect(self, deadline: float | None) -> None:
        self._abandon()
        host, port = self._address
        try:
            self._reader, self._writer = await asyncio.wait_for(
                asyncio.open_connection(host, port, limit=LONGEST_READ), _left(deadline)
            )
        except (OSError, asyncio.TimeoutError) as error:
            if _is_timeout(error):
                raise TimeoutError(f"no answer from {host}:{port} in time") from None
            raise CannotConnect(
                f"no broker answers at {host}:{port} ({error}); is `babelmq serve` running there?"
            ) from error
        self._read_on()

    def _read_on(self) -> None:
        if self._reader is not None:
            self._reading = asyncio.ensure_future(self._reader.read(self._session.wanted()))

    async def _receive(self, deadline: float | None) -> None:
        reading = self._reading
        if reading is None:
            raise ConnectionLost("there is no connection")
        if not reading.done():
            await asyncio.wait({reading}, timeout=_left(deadline))
        if not reading.done():
            raise TimeoutError("nothing arrived from the broker in time")
        # Another task that waited for the same read may have been first.
        if reading is self._reading:
            self._take(reading)
        elif not self._session.connected:
            raise ConnectionLost("the connection was lost")

    def _take(self, reading: asyncio.Task[bytes]) -> None:
        """Passes on what the finished read brought, and begins the next."""
        try:
            data = reading.result()
        except (OSError, asyncio.CancelledError) as error:
            raise self._lose(str(error)) from None
        if not data:
            raise self._lose("the broker closed it")
        self._session.received(data)
        self._read_on()

    async def _drain(self, deadline: float | None) -> None:
        """Waits while more is unsent than the transport wants to hold."""
        self._sent += 1
        if self._sent % self._TURN == 0:
            await asyncio.sleep(0)
        if self._writer is None:
            raise ConnectionLost("the connection was lost")
        try:
            if deadline is None:
                await self._writer.drain()
            else:
                await asyncio.wait_for(self._writer.drain(), _left(deadline))
        except (OSError, asyncio.TimeoutError) as error:
            if _is_timeout(error):
                raise TimeoutError("the broker did not take the message in time") from None
            raise self._lose(str(error)) from error

    def _lose(self, why: str) -> ConnectionLost:
        self._abandon()
        self._session.connection_lost(why)
        return ConnectionLost(f"the connection was lost: {why}")

    def _abandon(self) -> None:
        """Stops reading, and closes without waiting for it."""
        if self._reading is not None:
            self._reading.cancel()
            self._reading = None
        if self._writer is not None:
            self._writer.close()


def _left(deadline: float | None) -> float | None:
    return None if deadline is None else max(deadline - time.monotonic(), 0.0)


def _is_timeout(error: Exception) -> bool:
    """Whether a wait ended, and not a connection: the operating system's own ETIMEDOUT has a number."""
    return isinstance(error, asyncio.TimeoutError) and getattr(error, "errno", None) is None
