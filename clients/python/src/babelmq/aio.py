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

Several tasks may use one queue: some that pull, others that push and flush. A task that is
cancelled leaves a queue that works. A queue belongs to the event loop in which it is first used; in
another one it raises :class:`WrongLoop`.
"""

from __future__ import annotations

import asyncio
import os
import time
import weakref
from collections import deque
from collections.abc import Callable, Coroutine, Generator
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar, cast

from .address import Place
from .base import MiddlewareType, QueueBase, check_count, check_topic
from .codec import Fields
from .connection import LAST_WORDS, keep_alive
from .errors import BabelmqError, CertificateError, NotSubscribed, QueueClosed, WrongLoop
from .json_codec import JSONCodec
from .link import CONNECT_PATIENCE, State
from .pickle_codec import PickleCodec
from .session import (
    LAST_ACKS,
    MOST_WAITING,
    Answer,
    Delivery,
    Message,
    OnTopics,
    Session,
    Step,
    Steps,
)
from .stream_message import KeptMessage
from .tls import refused_certificate, unreachable
from .xml_codec import XMLCodec, document_of, publish_document

if TYPE_CHECKING:
    import ssl

__all__ = [
    "JSONQueue",
    "Message",
    "MiddlewareType",
    "PickleQueue",
    "Queue",
    "StreamMessage",
    "XMLQueue",
]

T = TypeVar("T")

MOST_IN_A_ROW = 64
"""Pushes after which other tasks get a turn, even if nothing has to be waited for."""


class StreamMessage(KeptMessage):
    """A message of a stream, with what its consumer may say of it; see
    :class:`babelmq.StreamMessage`. It is an asynchronous context too.
    """

    _settle: Callable[[Fields], None]

    async def ack(self) -> None:
        """The work is done: the message is not delivered any more."""
        self._tell(self._say("ack"))

    async def nak(self, delay: float | None = None) -> None:
        """The work could not be done: the message is to be delivered again; see
        :meth:`babelmq.StreamMessage.nak`.
        """
        self._tell(self._nak(delay))

    async def touch(self) -> None:
        """The work goes on: the time to acknowledge it begins anew."""
        self._tell(self._say("touch"))

    async def reject(self, reason: str | None = None) -> None:
        """The work can never be done: the message becomes a dead letter; see
        :meth:`babelmq.StreamMessage.reject`.
        """
        self._tell(self._reject(reason))

    def _tell(self, said: Fields | None) -> None:
        if said is not None:
            self._settle(said)

    async def __aenter__(self) -> StreamMessage:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.consumer is None:
            return
        if kind is None:
            await self.ack()
        else:
            await self.nak()


class PullOne:
    """A message that is to be pulled: awaited, or entered as a context."""

    def __init__(self, pulling: Coroutine[Any, Any, StreamMessage]) -> None:
        self._pulling = pulling
        self._message: StreamMessage | None = None

    def __await__(self) -> Generator[Any, None, StreamMessage]:
        return self._pulling.__await__()

    async def __aenter__(self) -> StreamMessage:
        self._message = await self._pulling
        return await self._message.__aenter__()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._message is not None:
            await self._message.__aexit__(kind, error, trace)


class _Pulled:
    """What :meth:`Queue.pull` gave to a task that has not pulled again."""

    def __init__(self) -> None:
        self.seqs: list[int] = []


class Queue(QueueBase):
    """The base of the three queues. The parameters are those of :class:`babelmq.Queue`, and what it
    says of lost connections, refusals and losses holds here for tasks.

    Nothing happens in the constructor: a consumer connects and subscribes in ``async with`` (or
    when it first pulls), and once inside misses nothing. While the event loop runs, a connection
    that is silent for ``keepalive`` seconds is asked whether it is there, also when nobody waits
    for it.
    """

    def _start(self, place: Place, context: ssl.SSLContext | None, timeout: float | None) -> None:
        self._connection = _Connection(self._session, place, context, timeout)
        self._timeout = timeout
        self._pulled: weakref.WeakKeyDictionary[Any, _Pulled] = weakref.WeakKeyDictionary()

    async def push(
        self, value: Any, *, retain: bool = True, ttl: int | None = None, id: str | None = None
    ) -> None:
        """Publishes ``value`` to the topic, as :meth:`babelmq.Queue.push` does, with the same
        promise. What is pushed in one turn of the event loop shares a write.
        """
        data = self._publish(value, retain, ttl, self._id(id))
        taken = self._connection.push_now(data)
        if not taken:
            await self._connection.run(self._session.push(data))
        elif taken % MOST_IN_A_ROW == 0:
            await asyncio.sleep(0)

    async def push_to(
        self,
        topic: str,
        value: Any,
        *,
        retain: bool = True,
        ttl: int | None = None,
        id: str | None = None,
    ) -> None:
        """Publishes ``value`` to another topic over the same connection; see
        :meth:`babelmq.Queue.push_to`.
        """
        data = self._to(topic)(value, retain, ttl, self._id(id))
        taken = self._connection.push_now(data)
        if not taken:
            await self._connection.run(self._session.push(data))
        elif taken % MOST_IN_A_ROW == 0:
            await asyncio.sleep(0)

    def pull(self, timeout: float | None = None) -> Coroutine[Any, Any, Delivery]:
        """The next message: its topic and its value; see :meth:`babelmq.Queue.pull`.

        Of a durable consumer it is acknowledged when the same task pulls again, or calls
        :meth:`ack`; the task that counts is the one that calls ``pull()``, also where another one
        awaits it, as in ``asyncio.wait_for(queue.pull(), 5)``.
        """
        return self._pull(self._pulled_before(), timeout)

    async def _pull(self, pulled: _Pulled | None, timeout: float | None) -> Delivery:
        fields = await self._next(pulled, timeout)
        return fields["topic"], fields["message"]

    async def _next(self, pulled: _Pulled | None, timeout: float | None) -> Fields:
        """The next delivery, which is acknowledged with the next pull."""
        self._finish(pulled)
        fields = self._connection.next_delivery()
        if fields is None or "message" not in fields:
            fields = await self._connection.run(self._session.pull(), timeout)
        if pulled is not None:
            pulled.seqs.append(fields["seq"])
        return fields

    def _pulled_before(self) -> _Pulled | None:
        """What the task has pulled that is running; for all code outside of tasks it is one."""
        if not self._session.is_consumer:
            return None
        task: Any = None
        with suppress(RuntimeError):
            task = asyncio.current_task()
        return self._pulled.setdefault(self if task is None else task, _Pulled())

    def _finish(self, pulled: _Pulled | None) -> None:
        if pulled is not None and pulled.seqs:
            seqs, pulled.seqs = pulled.seqs, []
            for seq in seqs:
                self._connection.settle({"command": "ack", "seq": seq})

    def ack(self) -> Coroutine[Any, Any, None]:
        """Acknowledges what :meth:`pull` gave last to this task, of a durable consumer; see
        :meth:`babelmq.Queue.ack`.
        """
        return self._ack(self._pulled_before())

    async def _ack(self, pulled: _Pulled | None) -> None:
        self._finish(pulled)

    def pull_one(self, timeout: float | None = None) -> PullOne:
        """The next message of a stream: ``await`` gives it, and ``async with`` settles it too, as
        :meth:`babelmq.Queue.pull_one` does.

        >>> async def work(queue):
        ...     async with queue.pull_one() as message:
        ...         await charge(message.value)
        """
        self._must_read_stream()
        return PullOne(self._pull_one(self._pulled_before(), timeout))

    async def _pull_one(self, pulled: _Pulled | None, timeout: float | None) -> StreamMessage:
        self._finish(pulled)
        fields = self._connection.next_delivery()
        if fields is None or "message" not in fields:
            fields = await self._connection.run(self._session.pull(), timeout)
        return self._kept(fields)

    def _kept(self, fields: Fields) -> StreamMessage:
        message = StreamMessage.of_fields(fields, self.codec.format)
        message._settle = self._connection.settle
        return message

    def pull_message(self, timeout: float | None = None) -> Coroutine[Any, Any, Message]:
        """The next message with all that came with it; see :meth:`babelmq.Queue.pull_message`."""
        return self._pull_message(self._pulled_before(), timeout)

    async def _pull_message(self, pulled: _Pulled | None, timeout: float | None) -> Message:
        self._finish(pulled)
        fields = self._connection.next_delivery()
        if fields is None:
            fields = await self._connection.run(self._session.pull(notices=True), timeout)
        return self._message(fields)

    async def pull_stored(self, timeout: float | None = None) -> list[Message]:
        """The stored values that were not pulled yet, as soon as all have come; see
        :meth:`babelmq.Queue.pull_stored`.
        """
        stored = await self._connection.run(self._session.pull_stored(), timeout)
        return [self._message(fields) for fields in stored]

    async def flush(self) -> None:
        """Waits until the broker has routed everything that was pushed; see
        :meth:`babelmq.Queue.flush`.
        """
        await self._connection.run(self._session.flush())

    async def list_topics(self, callback: OnTopics) -> None:
        """Asks which topics hold a value; a later :meth:`pull` calls ``callback``, a function, with
        them.
        """
        await self._connection.run(self._session.list_topics(callback))

    async def topics(self) -> list[str]:
        """The topics that hold a value, sorted."""
        return await self._connection.run(self._session.topics())

    async def get(self, topic: str | None = None, default: Any = None) -> Any:
        """The last value of ``topic``, by default the queue's own, without subscribing."""
        return await self._connection.run(self._session.get(self._own(topic), default))

    async def get_last(self, topic: str | None = None, count: int = 1) -> list[StreamMessage]:
        """The last messages of ``topic`` that a stream has kept, oldest first; see
        :meth:`babelmq.Queue.get_last`.
        """
        steps = self._session.get_last(self._own(topic), check_count(count))
        return [self._kept(fields) for fields in await self._connection.run(steps)]

    async def clear(self, topic: str | None = None) -> None:
        """Has the broker forget the last value of ``topic``, by default the queue's own, or of all
        that a wildcard stands for; see :meth:`babelmq.Queue.clear`.
        """
        await self._connection.run(self._session.clear(self._own(topic)))

    async def subscribe(self, topic: str | None = None) -> None:
        """Subscribes to ``topic`` too, by default to the queue's own; see
        :meth:`babelmq.Queue.subscribe`.
        """
        await self._connection.run(self._session.subscribe(self._own(topic)))

    async def cancel(self, topic: str | None = None) -> None:
        """Ends the subscription to ``topic``, by default every one. What arrived before can still
        be pulled; after it, where no subscription is left, iteration ends.
        """
        await self._connection.run(self._session.cancel(topic))

    async def close(self) -> None:
        """Closes the connection without waiting for the broker: :meth:`flush` first, or use ``async
        with``. What a durable consumer has acknowledged is confirmed before; see
        :meth:`babelmq.Queue.close`.
        """
        try:
            if self._session.unsettled:
                patience = LAST_ACKS if self._timeout is None else min(self._timeout, LAST_ACKS)
                with suppress(TimeoutError, asyncio.TimeoutError, BabelmqError):
                    await self._connection.run(self._session.confirm_settled(), patience)
                self._session.note_unsettled()
        finally:
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

    async def push_document(
        self,
        document: str | bytes,
        *,
        retain: bool = True,
        ttl: int | None = None,
        id: str | None = None,
    ) -> None:
        """Publishes an XML document as it is; see :meth:`babelmq.XMLQueue.push_document`."""
        await self._push(publish_document(self.topic, document, retain, ttl, self._id(id)))

    async def push_document_to(
        self,
        topic: str,
        document: str | bytes,
        *,
        retain: bool = True,
        ttl: int | None = None,
        id: str | None = None,
    ) -> None:
        """Publishes an XML document to another topic; see
        :meth:`babelmq.XMLQueue.push_document_to`.
        """
        data = publish_document(check_topic(topic), document, retain, ttl, self._id(id))
        await self._push(data)

    async def _push(self, data: bytes) -> None:
        if not self._connection.push_now(data):
            await self._connection.run(self._session.push(data))

    def pull_document(self, timeout: float | None = None) -> Coroutine[Any, Any, tuple[str, str]]:
        """The next message: its topic, and its XML as text; see
        :meth:`babelmq.XMLQueue.pull_document`.
        """
        return self._pull_document(self._pulled_before(), timeout)

    async def _pull_document(
        self, pulled: _Pulled | None, timeout: float | None
    ) -> tuple[str, str]:
        fields = await self._next(pulled, timeout)
        return fields["topic"], document_of(fields)


class PickleQueue(Queue):
    """A queue that speaks pickle, as :class:`babelmq.PickleQueue`."""

    codec = PickleCodec()


class _Line(asyncio.Protocol):
    """One connection. What is no longer the one in use has nothing to say."""

    def __init__(self, connection: _Connection) -> None:
        self._connection = connection
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.reading_paused = False
        self.writing_paused = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """There is a connection."""
        self.transport = cast(asyncio.Transport, transport)
        self.transport.set_write_buffer_limits(high=MOST_WAITING)
        opened = transport.get_extra_info("socket")
        with suppress(OSError):
            keep_alive(opened, self._connection.session.link.keepalive)
        self._connection.made(self)

    def data_received(self, data: bytes) -> None:
        """Something has arrived."""
        if self._connection.line is self:
            self._connection.received(data)
            if self._connection.session.is_full() and not self.transport.is_closing():
                self.reading_paused = True
                self.transport.pause_reading()

    def eof_received(self) -> None:
        """The broker has closed it, and takes nothing any more."""
        if self._connection.line is self:
            self._connection.lose("the broker closed it")

    def connection_lost(self, error: Exception | None) -> None:
        """It has ended."""
        if not self.closed.done():
            self.closed.set_result(None)
        if self._connection.line is self:
            refused = refused_certificate(self._connection.place, error)
            why = refused or error or "the broker closed it"
            self._connection.lose(str(why), refused)

    def pause_writing(self) -> None:
        """The transport has more to write than it likes."""
        self.writing_paused = True

    def resume_writing(self) -> None:
        """The transport has written most of it."""
        self.writing_paused = False
        if self._connection.line is self:
            self._connection.keep_up()

    def read_on(self) -> None:
        """Somebody waits for what arrives."""
        if self.reading_paused:
            self.reading_paused = False
            self.transport.resume_reading()


class _Connection:
    """The driver that performs a session's steps with an asyncio transport.

    What arrives is passed to the session whoever waits for it, and whoever waits for anything looks
    again. So tasks do not get into each other's way, and one that is cancelled takes nothing along;
    an attempt to connect is a task of its own.
    """

    def __init__(
        self,
        session: Session,
        place: Place,
        context: ssl.SSLContext | None,
        timeout: float | None,
    ) -> None:
        self.session = session
        self.place = place
        self._context = context
        self._timeout = timeout
        self._loop: asyncio.AbstractEventLoop | None = None
        self._process = 0
        self.line: _Line | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._turn = 0
        # Whether something was written in this turn of the loop; what looks after a silence.
        self._wrote = False
        self._watch: asyncio.TimerHandle | None = None
        self._pushes = 0

    # --- what a queue calls -----------------------------------------------------------------------

    async def run(self, steps: Steps[T], timeout: float | None = None) -> T:
        """Performs ``steps`` and returns what they return; raises :class:`TimeoutError` after
        ``timeout``.
        """
        loop = self._own_loop()
        if timeout is None:
            timeout = self._timeout
        deadline = None
        if timeout is not None:
            link = self.session.link
            deadline = time.monotonic() + timeout
            if not link.was_up:
                deadline = max(deadline, link.wait_until())
        try:
            while True:
                try:
                    step = next(steps)
                    turn = self.session.turn
                except StopIteration as done:
                    result: T = done.value
                    return result
                finally:
                    self.keep_up()
                if isinstance(step, Answer):
                    step.callback(step.topics)
                    continue
                if turn != self.session.turn:
                    # Sending what it had to say made room, or has shown that the connection is
                    # lost.
                    continue
                if step is Step.CONNECTION and self.session.link.may_connect():
                    self.session.connecting()
                    self._connecting = loop.create_task(self._connect())
                if deadline is not None and time.monotonic() >= deadline:
                    # Once in a call that does not wait, so that what is under way gets on.
                    await asyncio.sleep(0)
                    raise TimeoutError(self.session.trouble(step))
                await self._something(loop, step, deadline)
        finally:
            steps.close()

    def push_now(self, data: bytes) -> int:
        """Takes ``data`` if nothing has to be raised first. It is sent at once if nothing was sent
        in this turn of the loop, else at the end of it. Returns how many pushes it has taken so
        far, or 0 where it has not.
        """
        session = self.session
        self._own_loop()
        if (
            not session.connected
            or session.attention
            or session.crowded
            or len(session.outgoing) + len(data) > MOST_WAITING
        ):
            return 0
        if session.has_input():
            return 0
        session.take(data)
        if not self._wrote:
            self._write()
        self._pushes += 1
        return self._pushes

    def next_delivery(self) -> Fields | None:
        """What can be pulled without waiting."""
        self._own_loop()
        try:
            return self.session.next_delivery()
        finally:
            self.keep_up()

    def settle(self, said: Fields) -> None:
        """Says what is to become of a message."""
        self._own_loop()
        self.session.settle(said)
        self.keep_up()

    async def close(self) -> None:
        """Closes the connection; no harm where there is none."""
        line = self.line
        if line is not None and self.session.outgoing and not line.writing_paused:
            line.transport.write(bytes(self.session.outgoing))
        self.session.close()
        self.session.outgoing.clear()
        if self._connecting is not None:
            self._connecting.cancel()
        self.line = None
        self._drop()
        self._tell()
        if line is None:
            return
        try:
            # What was written goes on its way, unless nobody takes it.
            with suppress(RuntimeError):  # Its event loop was closed.
                line.transport.close()
                if self._loop is asyncio.get_running_loop():
                    await asyncio.wait_for(asyncio.shield(line.closed), LAST_WORDS)
        except asyncio.TimeoutError:
            line.transport.abort()

    def _own_loop(self) -> asyncio.AbstractEventLoop:
        loop = asyncio.get_running_loop()
        if self._loop is None:
            self._loop, self._process = loop, _process.number
        elif loop is not self._loop or self._process != _process.number:
            raise WrongLoop(
                "this queue was used first in another event loop or process, and belongs to that; "
                "make one in each"
            )
        return loop

    # --- connecting -------------------------------------------------------------------------------

    async def _connect(self) -> None:
        """Makes a connection, whoever waits for it."""
        place, loop = self.place, asyncio.get_running_loop()
        made: Coroutine[Any, Any, object]
        if place.path:
            made = loop.create_unix_connection(lambda: _Line(self), place.path)
        else:
            made = loop.create_connection(
                lambda: _Line(self), place.host, place.port, ssl=self._context
            )
        try:
            await asyncio.wait_for(made, CONNECT_PATIENCE)
        except (OSError, ValueError, asyncio.TimeoutError) as error:
            # Which of the two has ended a connection that was being made is not said.
            accepted = isinstance(error, (ConnectionResetError, ConnectionAbortedError))
            self.session.cannot_connect(unreachable(place, error, accepted=accepted))
        finally:
            self._connecting = None
            self.keep_up()

    # --- what a line calls ------------------------------------------------------------------------

    def made(self, line: _Line) -> None:
        """There is a connection."""
        self._drop()
        self.line = line
        self._wrote = False
        self.session.opened()
        self.keep_up()
        self._look()

    def received(self, data: bytes) -> None:
        """Something has arrived."""
        logging_in = self.session.link.state is State.LOGIN
        self.session.received(data)
        self.keep_up()
        if logging_in and self.session.link.state is not State.LOGIN:
            # The time to wait for an answer was another one.
            self._look()

    def lose(self, why: str, refused: CertificateError | None = None) -> None:
        """The connection has ended, or is of no more use."""
        self.session.connection_lost(why, refused=refused)
        self.keep_up()

    # --- one turn ---------------------------------------------------------------------------------

    def keep_up(self) -> None:
        """Does what the session wants by now: called whenever it was used."""
        if self.session.link.state is State.DOWN:
            self._drop()
        self._write()
        if self._turn != self.session.turn:
            self._tell()
        if self.session.notes:
            self.session.log()

    def _write(self) -> None:
        """Writes what waits, unless something was written in this turn of the loop: then at its
        end.
        """
        waiting, line = self.session.outgoing, self.line
        if not waiting or line is None or line.writing_paused or self._wrote:
            return
        # A copy: the transport may keep what the socket does not take.
        data = bytes(waiting)
        self.session.sent(len(data))
        line.transport.write(data)
        self._wrote = True
        asyncio.get_running_loop().call_soon(self._next_turn)

    def _next_turn(self) -> None:
        self._wrote = False
        if self.session.outgoing:
            self.keep_up()

    def _tell(self) -> None:
        """Lets those look again who wait for something to happen."""
        self._turn = self.session.turn
        for waiting in self._waiting:
            if not waiting.done():
                waiting.set_result(None)

    async def _something(
        self, loop: asyncio.AbstractEventLoop, step: Step, deadline: float | None
    ) -> None:
        """Waits until something has happened, or the next attempt to connect is due."""
        until = deadline
        link = self.session.link
        if link.state is State.DOWN and step is Step.CONNECTION:
            until = link.retry_at if until is None else min(until, link.retry_at)
        if self.line is not None:
            self.line.read_on()
        waiting: asyncio.Future[None] = loop.create_future()
        timer = None
        if until is not None:
            timer = loop.call_later(max(0.0, until - time.monotonic()), _set, waiting)
        self._waiting.append(waiting)
        try:
            await waiting
        finally:
            self._waiting.remove(waiting)
            if timer is not None:
                timer.cancel()

    def _look(self) -> None:
        """Asks a silent broker whether it is there, and gives it up if it is not."""
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None
        line, look = self.line, self.session.link.next_look()
        if line is None or look is None:
            return
        if not line.reading_paused:
            dead = self.session.look()
            if dead is not None:
                self.lose(dead)
                return
            look = self.session.link.next_look() or look
        self._write()
        left = max(0.01, look - time.monotonic())
        self._watch = asyncio.get_running_loop().call_later(left, self._look)

    def _drop(self) -> None:
        """Gives the connection up, with what it has not sent."""
        line, self.line = self.line, None
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None
        if line is not None:
            line.transport.abort()


def _set(waiting: asyncio.Future[None]) -> None:
    if not waiting.done():
        waiting.set_result(None)


class _Process:
    """Which process this is, counted in forks."""

    number = 0

    def forked(self) -> None:
        """This is a new one."""
        self.number += 1


_process = _Process()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_process.forked)
