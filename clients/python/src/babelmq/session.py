"""What a client says and understands, without a socket: the one implementation under both kinds of queue.

A session is fed what arrives and says what to send. What takes several turns, such as ``flush``, is a generator
that yields *steps*: send this, receive something, wait so long. A driver performs them and comes back; there
are two, :mod:`babelmq.connection` with a blocking socket and :mod:`babelmq.aio` with asyncio. A driver tells the
generator of failures by throwing into it: :class:`ConnectionLost`, :class:`CannotConnect`, :class:`TimeoutError`.
"""

from __future__ import annotations

import itertools
import logging
from collections import deque
from collections.abc import Generator
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from typing import Any, Callable, TypeVar, Union

from .backoff import Backoff
from .codec import Codec, Message
from .errors import (
    BrokerError,
    CannotConnect,
    ConnectionLost,
    MalformedMessage,
    NotSubscribed,
    ProtocolError,
    QueueClosed,
)
from .frame import Format, FrameBuffer, frame
from .json_codec import JSONCodec

logger = logging.getLogger("babelmq")

T = TypeVar("T")
Delivery = tuple[str, Any]
"""A topic, and the value that was published to it."""
OnTopics = Callable[[list[str]], object]


class Step(Enum):
    """What a session asks of its driver."""

    CONNECT = "open a connection, closing the one before"
    RECONNECT = "run connect(), unless that is being done or someone else has done it"
    RECEIVE = "wait until something has arrived, and pass it to received()"
    RECEIVE_READY = "pass to received() what has arrived already, if anything has"


@dataclass(frozen=True)
class Send:
    """A step: send ``data``, all of it."""

    data: bytes


@dataclass(frozen=True)
class Sleep:
    """A step: wait so many ``seconds``."""

    seconds: float


Steps = Generator[Union[Step, Send, Sleep], None, T]


class _Get:
    """A ``get`` that waits for its answer."""

    __slots__ = ("default", "topic", "value")

    def __init__(self, topic: str, default: Any) -> None:
        self.topic = topic
        self.default = default
        self.value = default


class _Answer:
    """A list of topics that waits for a ``pull``, during which it is passed to the callback."""

    __slots__ = ("callback", "topics")

    def __init__(self, callback: OnTopics, topics: list[str]) -> None:
        self.callback = callback
        self.topics = topics


class Session:
    """One client's conversation with the broker, over as many connections as it takes."""

    connected: bool
    """Whether there is a connection that can be sent on."""
    unconfirmed: bool
    """Whether something was pushed that no ``flush`` has confirmed."""

    def __init__(self, codec: Codec, topic: str, *, subscribe: bool, exact: bool, max_frame: int) -> None:
        self._codec = codec
        self._decode = codec.decode
        self._form = int(codec.format)
        self._subscription: Message | None = None
        if subscribe:
            self._subscription = {"command": "subscribe", "topic": topic}
            if exact:
                self._subscription["exact"] = True
        # A cancel was asked for, and the broker has not confirmed it on this connection.
        self._cancelling = False
        self._topic = topic
        self._frames = FrameBuffer(max_frame)
        self._backoff = Backoff()
        self._was_connected = False
        self._closed = False
        self.connected = False
        self.unconfirmed = False
        # A connection was lost with something unconfirmed on it, and flush() has not said so yet.
        self._lost_pushes = False
        # What was read while something else was waited for, in its order, until a pull wants it.
        self._kept: deque[Delivery | _Answer | Exception] = deque()
        self._refused: deque[BrokerError] = deque(maxlen=101)
        # Who waits for the next `topics`, oldest first; whether it is asked again on a new connection.
        self._listeners: deque[tuple[OnTopics, bool]] = deque()
        self._gets: list[_Get] = []
        self._ids = itertools.count(1)
        self._last_pong = 0
        # The pings of this connection that were not answered, in the order in which they will be; and those that
        # somebody waits for, with what the broker said if it could not write to its disk.
        self._pings: deque[int] = deque()
        self._awaited: dict[int, BrokerError | None] = {}
        # How many messages were read on this connection; why it could not be read any further.
        self._messages = 0
        self._broken: ProtocolError | None = None

    # --- what a driver calls -------------------------------------------------------------------------------

    def received(self, data: bytes) -> None:
        """Takes what has arrived."""
        self._frames.feed(data)
        self._backoff.reset()

    def wanted(self) -> int:
        """How many bytes to ask the operating system for."""
        return self._frames.wanted()

    def connection_lost(self, why: str) -> None:
        """Learns that the connection has ended. What had arrived whole can still be pulled."""
        if not self.connected:
            return
        self._sort()
        if self.connected:
            self._end_connection()
            logger.warning("connection to the broker lost (topic %s): %s", self._topic, why)

    def has_unflushed(self) -> bool:
        """Whether a ``flush`` has something to confirm, or to say."""
        return self.unconfirmed or self._lost_pushes or bool(self._refused)

    def close(self) -> None:
        """Ends the conversation."""
        self._closed = True
        self.connected = False

    # --- connecting ----------------------------------------------------------------------------------------

    def open(self) -> Steps[None]:
        """Connects and subscribes, if there is a subscription; otherwise the first push connects."""
        if self._subscription is not None and not self.connected:
            yield Step.RECONNECT
            self._raise_refused()

    def connect(self) -> Steps[None]:
        """Connects, and says again what the broker has to know. The first time, a failure is raised; later,
        it is tried until it succeeds.
        """
        while not self._closed:
            try:
                if self._was_connected:
                    yield Sleep(self._backoff.next())
                yield Step.CONNECT
                yield from self._greet()
            except (CannotConnect, ConnectionLost) as error:
                if not self._was_connected:
                    raise
                logger.warning("cannot reach the broker (topic %s), trying again: %s", self._topic, error)
                continue
            if self._was_connected:
                logger.warning("connected to the broker again (topic %s)", self._topic)
            self._was_connected = True
            return

    def _greet(self) -> Steps[None]:
        self._frames.clear()
        self._pings.clear()
        self._messages = 0
        self._cancelling = False
        self.connected = True
        self._listeners = deque(listener for listener in self._listeners if listener[1])
        greeting = [self._frame({"command": "list"}) for _ in self._listeners]
        if self._subscription is None:
            if greeting:
                yield Send(b"".join(greeting))
            return
        yield Send(b"".join([self._frame(self._subscription), *greeting]))
        # The first frame that comes back is a stored value, `subscribed` or a refusal. Each of them means that
        # the broker has taken the subscription up, and that nothing published from now on is missed.
        while self._messages == 0 and self.connected:
            yield Step.RECEIVE
            self._sort_one()

    # --- operations ----------------------------------------------------------------------------------------

    def push(self, data: bytes) -> Steps[None]:
        """Sends a frame that publishes; first raises what was refused before."""
        while True:
            yield from self._ready()
            try:
                yield Step.RECEIVE_READY
                self._sort()
                self._raise_refused()
                if not self.connected:
                    continue
                yield Send(data)
            except ConnectionLost:
                # Not all of the frame was sent, so the broker has not acted on it: it can be sent again, unless
                # what the broker said last is a reason not to.
                self._raise_refused()
                continue
            except (GeneratorExit, TimeoutError):
                # Given up on; it, or part of it, may be on its way.
                self.unconfirmed = True
                raise
            self.unconfirmed = True
            return

    def pull(self) -> Steps[Delivery]:
        """Waits for a delivery."""
        while True:
            delivery = self.next_delivery()
            if delivery is not None:
                return delivery
            if self._subscription is None and not self._listeners:
                if self._closed:
                    raise QueueClosed("the queue was closed")
                raise NotSubscribed(f"nothing to pull: this queue is not subscribed to {self._topic!r}")
            if self.connected:
                with suppress(ConnectionLost):
                    yield Step.RECEIVE
            else:
                yield from self._ready()

    def flush(self) -> Steps[None]:
        """Waits until everything pushed has been routed; raises what was refused, and what may be lost."""
        while True:
            try:
                self._raise_lost_pushes()
                yield from self._ready()
                confirmed = yield from self._confirm(b"", saved=True)
                if confirmed:
                    break
            except BrokerError:
                self._lost_pushes = False
                raise
        self.unconfirmed = False
        self._raise_refused()

    def list_topics(self, callback: OnTopics) -> Steps[None]:
        """Asks for the topics; a later pull passes them to ``callback``."""
        yield from self._ready()
        self._listeners.append((callback, True))
        # Where the connection is lost, the next one begins with the same question.
        with suppress(ConnectionLost):
            yield Send(self._frame({"command": "list"}))

    def topics(self) -> Steps[list[str]]:
        """Waits for the topics that hold a value."""
        answers: list[list[str]] = []
        while not answers:
            yield from self._ready()
            self._listeners.append((answers.append, False))
            answered = yield from self._ask({"command": "list"})
            if answered and not answers:
                raise ProtocolError("the broker did not answer which topics there are")
        return answers[-1]

    def get(self, topic: str, default: Any) -> Steps[Any]:
        """Waits for a topic's last value."""
        get = _Get(topic, default)
        self._gets.append(get)
        try:
            answered = False
            while not answered:
                yield from self._ready()
                answered = yield from self._ask({"command": "get", "topic": topic})
        finally:
            self._gets.remove(get)
        return get.value

    def clear(self, topic: str) -> Steps[None]:
        """Has a topic's last value forgotten, and waits until it is."""
        answered = False
        while not answered:
            yield from self._ready()
            answered = yield from self._ask({"command": "clear", "topic": topic}, saved=True)

    def cancel(self) -> Steps[None]:
        """Ends the subscription, and waits until it has ended."""
        if self._subscription is not None:
            self._subscription = None
            self._cancelling = True
        # A new connection has no subscription, so there is nothing to end on it.
        while self._cancelling and self.connected:
            if (yield from self._ask({"command": "cancel", "topic": self._topic})):
                self._cancelling = False

    def next_delivery(self) -> Delivery | None:
        """The next delivery among what has arrived; ``None`` when more has to arrive first."""
        while True:
            if self._kept and not (self._refused and self.connected):
                # When the connection has ended, what it brought comes before what ended it.
                kept = self._kept.popleft()
                if isinstance(kept, tuple):
                    return kept
                if isinstance(kept, Exception):
                    raise kept
                kept.callback(kept.topics)
                continue
            if self._refused or self._broken is not None:
                self._raise_refused()
            message = self._next_message()
            if message is None:
                return None
            if message.get("command") == "publish":
                return _delivery(message)
            self._understand(message)

    # --- the conversation ----------------------------------------------------------------------------------

    def _ready(self) -> Steps[None]:
        if self._closed:
            raise QueueClosed("the queue was closed")
        if not self.connected:
            yield Step.RECONNECT

    def _ask(self, question: Message, *, saved: bool = False) -> Steps[bool]:
        """Sends ``question`` and waits for the answer; ``False`` when it has to be asked again."""
        answered = yield from self._confirm(self._frame(question), saved=saved)
        self._raise_refused()
        return answered

    def _confirm(self, data: bytes, *, saved: bool) -> Steps[bool]:
        """Sends ``data`` and a ping, and waits until that is answered. The broker answers in the order it was asked
        in, so the answer to ``data``, if there is any, has come by then: a refusal, too, ends the wait. ``False``
        when the connection was lost first. If ``saved`` it raises that ``data`` is not on the broker's disk.
        """
        number = next(self._ids)
        self._awaited[number] = None
        try:
            with suppress(ConnectionLost):
                if self.connected:
                    self._pings.append(number)
                    yield Send(data + self._frame({"command": "ping", "id": number}))
                while self.connected and self._last_pong < number:
                    yield Step.RECEIVE
                    self._sort()
        finally:
            unsaved = self._awaited.pop(number)
        if self._last_pong >= number:
            if saved and unsaved is not None:
                unsaved.more = tuple(self._refused)
                self._refused.clear()
                raise unsaved
            return True
        self._raise_refused()
        return False

    def _sort(self) -> None:
        """Reads every message that has arrived, and keeps for the next pulls what is for them."""
        while self._sort_one():
            pass

    def _sort_one(self) -> bool:
        """Reads one message; ``False`` where there is none."""
        try:
            message = self._next_message()
            if message is None:
                return False
            if message.get("command") == "publish":
                self._kept.append(_delivery(message))
            else:
                self._understand(message)
        except MalformedMessage as error:
            self._kept.append(error)
        except ProtocolError as error:
            self._broken = error
            return False
        return True

    def _next_message(self) -> Message | None:
        try:
            found = self._frames.next()
        except ProtocolError:
            self._end_connection()
            raise
        if found is None:
            return None
        self._messages += 1
        form, body = found
        return self._decode(body) if form == self._form else self._in_another_format(form, body)

    def _in_another_format(self, form: int, body: bytes) -> Message:
        # Before the broker has read a frame it cannot know our format; its last words are JSON then.
        if form == Format.JSON:
            message = JSONCodec().decode(body)
            if message.get("command") == "error" and message.get("fatal") is True:
                return message
        raise MalformedMessage(
            f"a message came as {Format(form).name}, though this queue speaks {Format(self._form).name}"
        )

    def _understand(self, message: Message) -> None:
        """Acts on any message but a delivery."""
        try:
            command = message.get("command")
            if command == "pong":
                self._on_answered(int(message.get("id", 0)))
            elif command == "topics":
                self._on_topics(message)
            elif command == "value":
                self._on_value(message)
            elif command == "error":
                self._on_error(message)
            elif command not in ("subscribed", "cancelled"):
                logger.debug("a message of an unknown kind was ignored: %.80r", command)
        except (KeyError, ValueError, TypeError) as error:
            raise MalformedMessage(f"the broker's {command!r:.40} lacks something: {error!r}") from error

    def _on_topics(self, message: Message) -> None:
        topics = message.get("topics") or []
        if not isinstance(topics, list) or not all(isinstance(topic, str) for topic in topics):
            raise TypeError("topics is not a list of strings")
        if self._listeners:
            listener, for_pull = self._listeners.popleft()
            if for_pull:
                self._kept.append(_Answer(listener, topics))
            else:
                listener(topics)

    def _on_value(self, message: Message) -> None:
        for get in self._gets:
            if get.topic == message["topic"]:
                # That there is no value is an answer too: what came late for another get says nothing.
                get.value = message.get("message", get.default)

    def _on_answered(self, number: int) -> None:
        self._last_pong = max(self._last_pong, number)
        while self._pings and self._pings[0] <= number:
            self._pings.popleft()

    def _on_error(self, message: Message) -> None:
        fatal = message.get("fatal") in (True, "true")
        topic = message.get("topic")
        error = BrokerError(
            str(message["code"]),
            str(message["reason"]),
            None if topic is None else str(topic),
            fatal=fatal,
        )
        if error.code == "storage-failed" and self._pings:
            # It is the answer to a ping, in the place of a pong; whoever sent that may have given up on it.
            number = self._pings[0]
            if number in self._awaited:
                self._awaited[number] = error
            self._on_answered(number)
            return
        self._refused.append(error)
        if fatal:
            self._end_connection()
            logger.warning("the broker ended the connection (topic %s): %s", self._topic, error)

    def _end_connection(self) -> None:
        self.connected = False
        self._lost_pushes = self._lost_pushes or self.unconfirmed
        self.unconfirmed = False

    def _raise_refused(self) -> None:
        if self._broken is not None:
            broken, self._broken = self._broken, None
            raise broken
        if self._refused:
            # Of a fatal refusal and others, the fatal one is what has to be known first.
            first, *more = sorted(self._refused, key=lambda error: not error.fatal)
            self._refused.clear()
            first.more = tuple(more)
            raise first

    def _raise_lost_pushes(self) -> None:
        if self._lost_pushes:
            self._lost_pushes = False
            self._raise_refused()
            raise ConnectionLost(
                f"the connection was lost; what was pushed to {self._topic!r} since the last flush may be lost"
            )

    def _frame(self, message: Message) -> bytes:
        return frame(self._codec.format, self._codec.encode(message))


def _delivery(message: Message) -> Delivery:
    try:
        topic = message["topic"]
        if type(topic) is str:
            return topic, message["message"]
    except KeyError:
        pass
    raise MalformedMessage("a delivery lacks its topic or its message")
