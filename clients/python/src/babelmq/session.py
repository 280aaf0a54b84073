"""What a client says and understands, without a socket: the one implementation under both kinds of
queue.

A session is fed what arrives and says what to send. What takes several turns, such as ``flush``, is
a generator that yields what it waits for, a *step*: a connection, input, room in the buffer. A
driver sees to that and comes back as soon as anything has happened; there are two,
:mod:`babelmq.connection` with a blocking socket and :mod:`babelmq.aio` with asyncio. A generator
that is given up, at a timeout or an interruption, leaves a session that goes on: what it had to say
was put into ``outgoing`` whole, or not at all.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Generator
from dataclasses import dataclass
from enum import Enum
from typing import Any, Callable, NamedTuple, TypeVar, Union

from .address import Place
from .codec import Codec, Fields
from .errors import (
    BrokerError,
    CannotConnect,
    CertificateError,
    ConnectionLost,
    LoginFailed,
    MalformedMessage,
    NotSubscribed,
    ProtocolError,
    QueueClosed,
)
from .frame import Format, FrameBuffer, frame
from .json_codec import JSONCodec
from .link import Link, State
from .login import Login
from .member import Member
from .stream_options import StreamOptions
from .unconfirmed import Pushes, Unconfirmed

logger = logging.getLogger("babelmq")

T = TypeVar("T")
Delivery = tuple[str, Any]
"""A topic, and the value that was published to it."""
OnTopics = Callable[[list[str]], object]

MOST_WAITING = 64 << 10
"""Bytes that may wait to be sent when a push returns."""

MOST_KEPT = 10_000
"""Messages that are kept for later pulls while a push looks for refusals; it looks no further then.
"""

LAST_ACKS = 5.0
"""Seconds that a ``close()`` gives the broker to confirm acknowledgements."""

PASSING = frozenset(
    {
        "disconnected",
        "frame-too-large",
        "frame-timeout",
        "memory-full",
        "slow-consumer",
        "storage-failed",
        "too-many-connections",
    }
)
"""Fatal refusals after which another connection may fare better, also as the first word of a
broker.
"""

OF_PING = frozenset({"backbone-unavailable", "storage-failed"})
"""What answers a ping in the place of a pong, where it names no topic."""

NO_LOGIN = frozenset({"login-failed", "login-required"})
"""Refusals of who a client is."""


class Message(NamedTuple):
    """A message that was pulled, with all that came with it."""

    topic: str
    """The topic to which it was published."""
    value: Any
    """What was published."""
    retained: bool
    """Whether it is a stored value, the topic's last one from before the subscription, and not a
    live message.
    """
    format: Format
    """The format in which it came: the queue's."""
    cleared: bool = False
    """Whether it is no message but says that the topic's last value was cleared, or has expired; of
    a queue that was made with ``cleared``. The value is ``None`` then.
    """


@dataclass(frozen=True)
class Options:
    """What a queue was asked for, as far as it concerns the conversation."""

    exact: bool | str
    plain: bool
    root: str | None
    item: str | None
    cleared: bool
    below: bool
    max_frame: int
    wait: float
    keepalive: float | None
    retained: bool
    overflow: str | None
    queue: int | None
    stream: StreamOptions | None
    reliable: bool


class Step(Enum):
    """What a generator waits for."""

    CONNECTION = "a connection, which the driver makes when it is due"
    INPUT = "something that arrives"
    ROOM = "less in `outgoing`"


@dataclass(frozen=True)
class Answer:
    """A list of topics that waits for a ``pull``; as a step it asks the driver to call ``callback``
    with it.
    """

    callback: OnTopics
    topics: list[str]


Steps = Generator[Union[Step, Answer], None, T]


class _Get:
    """A ``get`` that waits for its answer."""

    __slots__ = ("answered", "default", "topic", "value")

    def __init__(self, topic: str, default: Any) -> None:
        self.topic = topic
        self.default = default
        self.value = default
        self.answered = False


class _Last:
    """A ``get`` of the last messages that a stream has kept, which waits for its answer: that comes
    before the answer to a ping.
    """

    __slots__ = ("answered", "messages", "ping")

    def __init__(self, ping: int) -> None:
        self.ping = ping
        self.messages: list[Fields] = []
        self.answered = False


class Session:
    """One client's conversation with the broker, over as many connections as it takes."""

    connected: bool
    """Whether there is a connection that can be sent on."""
    attention: bool
    """Whether there is something that the next call has to raise."""
    outgoing: bytearray
    """What is to be sent: whole frames, of which the driver may have sent the beginning of the
    first.
    """
    pushed: int
    """How many messages were pushed."""
    pushes: Pushes | None
    """What a reliable queue has pushed, and the broker has not confirmed."""
    crowded: bool
    """Whether so much was pushed and not confirmed that the next push has to wait."""
    life: int
    """How often the process was forked."""
    dropped: int
    """How many messages made room for newer ones, see ``overflow``."""
    turn: int
    """Grows whenever something happens for which a generator may be waiting."""
    notes: deque[tuple[int, str, tuple[object, ...]]]
    """What is to be logged, when nothing is held that a logging handler may want: it may push to
    this queue.
    """

    def __init__(
        self,
        codec: Codec,
        topic: str,
        options: Options,
        place: Place,
        login: Login | None = None,
        *,
        subscribe: bool,
    ) -> None:
        self._codec = codec
        self._decode = codec.decode
        self._form = int(codec.format)
        self._topic = topic
        self._options = options
        self._place = place
        self._login = login
        self.link = Link(options.keepalive, options.wait)
        # What it is subscribed to, or wants to be on the next connection. Of this connection: what
        # was asked for and not answered, each with the first ping whose answer comes later; whether
        # stored values are arriving.
        self._subscriptions: dict[str, Fields] = {}
        self._asked: deque[tuple[str, int]] = deque()
        self._replaying = False
        self._limited: set[str] = set()
        # Where a cancel was asked for, and the broker has not confirmed it on this connection.
        self._cancelling: dict[str, None] = {}
        self._frames = FrameBuffer(options.max_frame)
        self._failure: CannotConnect | None = None
        self._final: BrokerError | CertificateError | LoginFailed | None = None
        self._closed = False
        self.connected = False
        self.attention = False
        self.outgoing = bytearray()
        self._wants_room = False
        self.pushed = 0
        self.pushes = Pushes() if options.reliable else None
        self.crowded = False
        self.life = 0
        self._member = Member(options.stream) if options.stream is not None else None
        # What is said again on the next connection.
        self._unconfirmed: list[Unconfirmed] = []
        if self._member is not None:
            self._unconfirmed.append(self._member.settled)
        if self.pushes is not None:
            self._unconfirmed.append(self.pushes)
        self.dropped = 0
        self.turn = 0
        self.notes = deque()
        # How many pushes flush() has confirmed, or said to be lost; how many connections were lost;
        # whether one of them had something unconfirmed on it, and flush() has not said so yet.
        self._confirmed = 0
        self._losses = 0
        self._lost_pushes = False
        # What was read while something else was waited for, in its order, until a pull wants it.
        self._kept: deque[Fields | Answer | Exception] = deque()
        self._refused: deque[BrokerError] = deque(maxlen=101)
        # Who waits for the next `topics`, oldest first; whether it is asked again on a new
        # connection.
        self._listeners: deque[tuple[OnTopics, bool]] = deque()
        self._gets: list[_Get] = []
        self._lasts: deque[_Last] = deque()
        self._last_id = 0
        self._last_pong = 0
        # The pings of this connection that were not answered, in the order in which they will be;
        # and those that somebody waits for, with what the broker said if it could not write to its
        # disk.
        self._pings: deque[int] = deque()
        self._awaited: dict[int, BrokerError | None] = {}
        # How many messages were read on this connection; why it could not be read any further.
        self._messages = 0
        self._broken: ProtocolError | None = None
        # Whether anything at all was heard on this connection; why the last one ended.
        self._spoken_to = False
        self._lost_why = ""
        if subscribe:
            self._subscriptions[topic] = self._subscription(topic)

    # --- what a driver calls ----------------------------------------------------------------------

    def connecting(self) -> None:
        """An attempt to connect begins."""
        self.link.connecting()
        self.turn += 1

    def opened(self) -> None:
        """There is a connection: says on it what the broker has to know first."""
        self._forget_connection()
        self.link.opened(login=self._login is not None)
        if self._login is None:
            self._greet()
        else:
            self._say(self._login.message())
        self.turn += 1

    def _greet(self) -> None:
        """Says what a connection is to be for."""
        again = self.link.was_up
        for topic in self._subscriptions:
            if self._member is not None:
                self._subscriptions[topic] = self._subscription(topic)
            self._say_subscription(topic)
        for _ in self._listeners:
            self._say({"command": "list"})
        says_again = False
        for unconfirmed in self._unconfirmed:
            for said in unconfirmed.frames():
                self.outgoing += said
                says_again = True
        if (self._asked and again) or says_again:
            # What has no answer by the time of this one's was refused.
            self._ping()
        if not self._asked:
            self._is_up()

    def cannot_connect(self, error: CannotConnect) -> None:
        """An attempt to connect has failed."""
        if isinstance(error, CertificateError):
            self._end_with(error)
        elif self.link.gives_up():
            self._failure = error
        else:
            self._note("cannot reach the broker (topic %s), trying again: %s", self._topic, error)
        self.link.lost(str(error))
        self.turn += 1

    def connection_lost(
        self, why: str, *, interrupted: bool = False, refused: CertificateError | None = None
    ) -> None:
        """Learns that the connection has ended. What had arrived whole can still be pulled, unless
        an interruption has left nobody knows what. ``refused`` is why no other one would do better.
        """
        if interrupted:
            self._frames.clear()
        elif self.link.state in (State.GREETING, State.UP):
            self._sort()
        if self.link.state is State.DOWN:
            return
        logging_in = self.link.state is State.LOGIN and not (self._spoken_to or interrupted)
        beginning = logging_in or self.link.state is State.GREETING
        unheard = self.link.is_new() and not (self._spoken_to or interrupted or self.link.is_dead())
        if unheard and self._place.tls and refused is None:
            why = (
                f"{why}, before it said anything; if {self._place} asks for a client certificate, "
                "cert= and key= name one"
            )
        elif unheard and not self._place.tls and not self._place.path:
            # So does a server with TLS that was not spoken to with TLS.
            why = (
                f"{why}, before it said anything; if {self._place} speaks TLS, its address is "
                f"babelmqs://{self._place}"
            )
        if refused is not None:
            self._end_with(refused)
        elif beginning and (unheard or logging_in) and self.link.gives_up():
            self._failure = CannotConnect(
                f"{self._place} accepts connections, and ends them: {why}"
            )
        self._end_connection(why)
        self._note("connection to the broker lost (topic %s): %s", self._topic, why)

    def received(self, data: bytes) -> None:
        """Takes what has arrived."""
        self._spoken_to = True
        self._frames.feed(data)
        self.link.heard()
        self.turn += 1
        # The first frame that comes back is a stored value, `subscribed` or a refusal. Each of them
        # means that the broker has taken the subscription up, and that nothing published from now
        # on is missed.
        while self.link.state is State.LOGIN and self._sort_one():
            pass
        if self.link.state is State.GREETING and self._sort_one():
            self._is_up()

    def sent(self, size: int) -> None:
        """So many bytes of ``outgoing`` are on their way."""
        del self.outgoing[:size]
        if self._wants_room:
            self._wants_room = False
            self.turn += 1

    def wanted(self) -> int:
        """How many bytes to ask the operating system for."""
        return self._frames.wanted()

    def has_input(self) -> bool:
        """Whether something has arrived that was not looked at."""
        return not self._frames.is_empty()

    def has_more(self) -> bool:
        """Whether something waits to be pulled, or to be looked at."""
        return bool(self._kept) or self.has_input()

    def is_full(self) -> bool:
        """Whether so much has arrived that more is read only for who waits for it."""
        return self._frames.is_full()

    def look(self) -> str | None:
        """Called when nothing has arrived. After a long silence it asks the broker whether it is
        there; after another one it says why the connection is to be given up.
        """
        if not self.link.is_silent():
            return None
        if self.link.state is State.LOGIN:
            return "no answer to the login in time"
        if self.link.is_dead():
            return "no answer in time"
        self.link.asked()
        self._ping()
        return None

    def forget(self) -> None:
        """Begins anew, with a connection of its own: this is another process than the one that had
        it.
        """
        if self.link.state is not State.DOWN or self._kept:
            self._note(
                "this process was forked: a queue (topic %s) connects anew",
                self._topic,
                level=logging.INFO,
            )
        # A new one: the old one may be in the hands of a thread of the parent that was sending it.
        self.outgoing = bytearray()
        self._forget_connection()
        self._kept.clear()
        self._refused.clear()
        self._listeners.clear()
        self._awaited.clear()
        self._gets.clear()
        self._lasts.clear()
        # What the parent has not confirmed is the parent's to say again.
        self.life += 1
        if self._member is not None:
            self._member.forget()
        if self.pushes is not None:
            self.pushes.clear()
        self.crowded = False
        self._lost_pushes = False
        self._confirmed = self.pushed
        self._broken = self._failure = None
        self.connected = self.attention = False
        self.link.forget()

    def trouble(self, step: Step | Answer) -> str:
        """Why the wait for ``step`` was in vain, for a :class:`TimeoutError`."""
        if not self.connected:
            trouble = self.link.trouble
            if self.link.state is State.LOGIN:
                trouble = "the login has no answer yet"
            why = f" ({trouble})" if trouble else ""
            again = "it is being tried, also by the next call"
            return f"there is no connection to the broker{why}; {again}"
        if step is Step.ROOM:
            return "the broker did not take what was pushed in time"
        return "nothing arrived from the broker in time"

    @property
    def is_consumer(self) -> bool:
        """Whether what is pulled has to be acknowledged."""
        return self._member is not None and self._member.is_consumer

    @property
    def reads_stream(self) -> bool:
        """Whether what is pulled comes from a stream."""
        return self._member is not None

    @property
    def pending(self) -> int | None:
        """How many messages a stream had for it when it subscribed."""
        return None if self._member is None else self._member.pending

    @property
    def unsettled(self) -> int:
        """How many acknowledgements and rejections the broker has not confirmed."""
        return 0 if self._member is None else len(self._member.settled)

    def has_unflushed(self) -> bool:
        """Whether a ``flush`` has something to confirm, or to say."""
        return self.pushed != self._confirmed or self._lost_pushes or bool(self._refused)

    @property
    def caught_up(self) -> bool:
        """Whether all stored values of all subscriptions have arrived."""
        return self.connected and not self._asked and not self._replaying

    @property
    def limited(self) -> frozenset[str]:
        """The subscriptions of which the broker allows only a part."""
        return frozenset(self._limited.intersection(self._subscriptions))

    def close(self) -> None:
        """Ends the conversation."""
        self._closed = True
        self.connected = False
        self.turn += 1

    # --- operations -------------------------------------------------------------------------------

    def open(self) -> Steps[None]:
        """Connects and subscribes, if there is a subscription; otherwise the first push
        connects.
        """
        if self._subscriptions:
            yield from self._ready()
            self._raise_refused()

    def push(self, data: bytes) -> Steps[None]:
        """Sends a frame that publishes; first raises what was refused before. Where it is given up
        while the frame waits for room in ``outgoing``, nothing of it is sent; a long one is not
        left before most of it is sent.
        """
        while True:
            yield from self._ready()
            if self.crowded or len(self._kept) < MOST_KEPT:
                self._sort()
            self._raise_refused()
            if not self.connected:
                continue
            if self.crowded:
                if self.pushes is not None and not self.pushes.is_asked:
                    self._ping()
                yield Step.INPUT
                continue
            if not self.outgoing or len(self.outgoing) + len(data) <= MOST_WAITING:
                break
            self._wants_room = True
            yield Step.ROOM
        self.take(data)
        losses = self._losses
        while len(self.outgoing) > MOST_WAITING and losses == self._losses and not self._closed:
            self._wants_room = True
            yield Step.ROOM
        if losses != self._losses:
            # Part of it was not sent: it may have been refused, and flush() says what was lost.
            self._raise_refused()

    def take(self, data: bytes) -> None:
        """Pushes a frame for which there is room."""
        # It counts as pushed before it is there: an interruption between the two must not make a
        # flush believe that nothing was pushed.
        self.pushed += 1
        if self.pushes is None:
            self.outgoing += data
            return
        self.pushes.add(data)
        self.outgoing += data
        if self.pushes.wants_ping:
            self._ping()
        self.crowded = self.pushes.is_full

    def settle(self, said: Fields) -> None:
        """Says what is to become of a message that was delivered. Where there is no connection, an
        acknowledgement and a rejection are said on the next one.
        """
        if self._closed:
            raise QueueClosed("the queue was closed")
        member = self._member
        if member is None or not self._subscriptions:
            # It was cancelled: what it had is others' now.
            return
        command = said["command"]
        data = frame(self._codec.format, self._codec.encode(said))
        is_final = command in ("ack", "reject")
        if is_final:
            member.settled.add(data, said["seq"])
        if self.link.state not in (State.GREETING, State.UP):
            return
        if command == "touch" and len(self.outgoing) > MOST_WAITING:
            # The broker takes nothing; and it is the only one of them that may be said for ever.
            return
        self.outgoing += data
        if is_final:
            self._ask_whether_settled()

    def confirm_settled(self) -> Steps[None]:
        """Waits until what was said of messages is confirmed, as long as there is a connection."""
        if self.connected and self.unsettled:
            yield from self._confirm(saved=False)

    def note_unsettled(self) -> None:
        """Has it logged what was not confirmed."""
        if self.unsettled and not self._closed:
            note = "%s acknowledgements were not confirmed (topic %s): messages may come again"
            self._note(note, self.unsettled, self._topic)
            self.log()

    def pull(self, *, notices: bool = False) -> Steps[Fields]:
        """Waits for a delivery, or with ``notices`` for what says that a value was cleared."""
        while True:
            delivery = self.next_delivery()
            if delivery is not None:
                if notices or "message" in delivery:
                    return delivery
                continue
            if self._kept and isinstance(self._kept[0], Answer):
                answer = self._kept[0]
                self._kept.popleft()
                yield answer
                continue
            if not self._subscriptions and not self._listeners:
                if self._closed:
                    raise QueueClosed("the queue was closed")
                raise NotSubscribed(
                    f"nothing to pull: the queue of {self._topic!r} has no subscription"
                )
            if self.connected:
                yield Step.INPUT
            else:
                yield from self._ready()

    def pull_stored(self) -> Steps[list[Fields]]:
        """Waits until all stored values have come, and returns those that were not pulled."""
        while True:
            self._sort()
            if self.caught_up:
                break
            self._raise_refused()
            if not self._subscriptions:
                raise NotSubscribed(
                    f"nothing to pull: the queue of {self._topic!r} has no subscription"
                )
            if self.connected:
                yield Step.INPUT
            else:
                yield from self._ready()
        stored = [kept for kept in self._kept if isinstance(kept, dict) and _is_retained(kept)]
        others = [
            kept for kept in self._kept if not (isinstance(kept, dict) and _is_retained(kept))
        ]
        self._kept = deque(others)
        return stored

    def flush(self) -> Steps[None]:
        """Waits until everything pushed has been routed; raises what was refused, and what may be
        lost.
        """
        pushed, losses = self.pushed, self._losses
        unconfirmed = pushed != self._confirmed
        while True:
            try:
                if unconfirmed and losses != self._losses and self.pushes is None:
                    self._lost_pushes = True
                self._raise_lost_pushes()
                yield from self._ready()
                pushed, losses = self.pushed, self._losses
                unconfirmed = pushed != self._confirmed
                confirmed = yield from self._confirm(saved=True)
                if confirmed:
                    break
            except BrokerError:
                self._lost_pushes = False
                raise
        self._confirmed = max(self._confirmed, pushed)
        self._raise_refused()

    def list_topics(self, callback: OnTopics) -> Steps[None]:
        """Asks for the topics; a later pull passes them to ``callback``."""
        yield from self._ready()
        # Where the connection is lost, the next one begins with the same question.
        self._listeners.append((callback, True))
        self._say({"command": "list"})

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
                answered = yield from self._ask({"command": "get", "topic": topic, **self._exact()})
        finally:
            if get in self._gets:
                self._gets.remove(get)
        if not get.answered:
            raise ProtocolError(f"the broker's answer to a get of {topic!r} could not be read")
        return get.value

    def get_last(self, topic: str, count: int) -> Steps[list[Fields]]:
        """Waits for the last messages of a topic that a stream has kept, oldest first."""
        question = {"command": "get", "topic": topic, "last": count, **self._exact()}
        while True:
            yield from self._ready()
            last = _Last(self._last_id + 1)
            self._lasts.append(last)
            if (yield from self._ask(question)):
                break
        if not last.answered:
            raise ProtocolError(f"the broker's answer to a get of {topic!r} could not be read")
        return last.messages

    def clear(self, topic: str) -> Steps[None]:
        """Has a topic's last value forgotten, and waits until it is."""
        answered = False
        while not answered:
            yield from self._ready()
            answered = yield from self._ask({"command": "clear", "topic": topic}, saved=True)

    def subscribe(self, topic: str) -> Steps[None]:
        """Subscribes to ``topic``, and waits until nothing that is published from then on is
        missed.
        """
        if self._member is not None and self._subscriptions and topic not in self._subscriptions:
            raise ValueError(
                f"this queue reads {self._topic!r} from a stream, and has one subscription; make "
                f"another queue for {topic!r}"
            )
        self._subscriptions[topic] = self._subscription(topic)
        self._cancelling.pop(topic, None)
        if self.connected:
            self._say_subscription(topic)
        answered = False
        while not answered:
            # A new connection begins with all subscriptions.
            yield from self._ready()
            losses = self._losses
            self._ping()
            while not answered and losses == self._losses and not self._closed:
                self._sort()
                answered = not any(topic == asked for asked, _ in self._asked)
                if not answered:
                    yield Step.INPUT
        self._raise_refused()

    def cancel(self, topic: str | None) -> Steps[None]:
        """Ends a subscription, or all of them, and waits until it has ended."""
        ending = list(self._subscriptions) if topic is None else [topic]
        for one in ending:
            if self._subscriptions.pop(one, None) is not None and self.connected:
                self._cancelling[one] = None
        # A new connection has no subscription, so there is nothing to end on it.
        while self._cancelling and self.connected:
            asked = list(self._cancelling)
            if (yield from self._ask(*({"command": "cancel", "topic": one} for one in asked))):
                for one in asked:
                    self._cancelling.pop(one, None)
        if not self._subscriptions:
            self._drop_unsettled()

    def next_delivery(self) -> Fields | None:
        """The next delivery among what has arrived, or what says that a value was cleared, without
        a ``message``; ``None`` when more has to arrive first, or an answer has to be passed on
        before.
        """
        while True:
            if self._kept and not (self._refused and self.connected):
                # When the connection has ended, what it brought comes before what ended it.
                kept = self._kept[0]
                if isinstance(kept, Answer):
                    return None
                self._kept.popleft()
                if isinstance(kept, dict):
                    if self._member is not None and not self._is_news(kept):
                        continue
                    return kept
                raise kept
            if self.attention:
                self._raise_refused()
            message = self._next_message()
            if message is None:
                return None
            command = message.get("command")
            if command != "publish":
                if command == "cleared":
                    return _notice(message)
                self._understand(message)
            elif (
                # What it nearly always is, without the call.
                type(message.get("topic")) is str
                and "message" in message
                and "retained" not in message
                and "seq" not in message
            ) or self._is_wanted(message):
                return message

    # --- the conversation -------------------------------------------------------------------------

    def _ready(self) -> Steps[None]:
        while not self.connected:
            if self._closed:
                raise QueueClosed("the queue was closed")
            if self.attention:
                self._raise_refused()
            if isinstance(self._final, LoginFailed):
                raise LoginFailed(self._final.code, str(self._final))
            if isinstance(self._final, CertificateError):
                raise CertificateError(str(self._final)) from self._final.__cause__
            if self._final is not None:
                raise BrokerError(
                    self._final.code,
                    f"{self._final.reason} "
                    "(trying again does not change that, so this queue does not)",
                    self._final.topic,
                    fatal=True,
                )
            if self._failure is not None:
                failure, self._failure = self._failure, None
                raise failure
            yield Step.CONNECTION

    def _ask(self, *questions: Fields, saved: bool = False) -> Steps[bool]:
        """Sends ``questions`` and waits for the answers; ``False`` when they have to be asked
        again.
        """
        answered = yield from self._confirm(*questions, saved=saved)
        self._raise_refused()
        return answered

    def _confirm(self, *questions: Fields, saved: bool) -> Steps[bool]:
        """Sends ``questions`` and a ping, and waits until that is answered. The broker answers in
        the order it was asked in, so the answers to the questions, if there are any, have come by
        then: a refusal, too, ends the wait. ``False`` when the connection was lost first. If
        ``saved`` it raises what is not on the broker's disk.
        """
        if not self.connected:
            return False
        losses = self._losses
        for question in questions:
            self._say(question)
        number = self._ping()
        self._awaited[number] = None
        try:
            while True:
                self._sort()
                if self._last_pong >= number or losses != self._losses or self._closed:
                    break
                yield Step.INPUT
        finally:
            unsaved = self._awaited.pop(number, None)
        if self._last_pong >= number:
            if saved and unsaved is not None:
                unsaved.more = tuple(self._refused)
                self._refused.clear()
                raise unsaved
            return True
        self._raise_refused()
        return False

    def _say(self, message: Fields) -> None:
        self.outgoing += frame(self._codec.format, self._codec.encode(message))

    def _say_subscription(self, topic: str) -> None:
        self._say(self._subscriptions[topic])
        self._asked.append((topic, self._last_id + 1))

    def _ping(self) -> int:
        self._last_id = number = self._last_id + 1
        self._pings.append(number)
        for unconfirmed in self._unconfirmed:
            unconfirmed.asked(number)
        self._say({"command": "ping", "id": number})
        return number

    def _exact(self) -> Fields:
        """What a consumer that is to get its values' types asks for."""
        if self._codec.format is Format.PICKLE:
            return {"exact": True}
        return {"exact": self._options.exact} if self._options.exact else {}

    def _subscription(self, topic: str) -> Fields:
        message: Fields = {"command": "subscribe", "topic": topic}
        message.update(self._exact())
        if self._options.plain:
            message["plain"] = True
        if self._options.root is not None:
            message["root"] = self._options.root
        if self._options.item is not None:
            message["item"] = self._options.item
        if self._options.cleared:
            message["cleared"] = True
        if not self._options.below:
            message["below"] = False
        if self._options.overflow is not None:
            message["overflow"] = self._options.overflow
        if self._options.queue is not None:
            message["queue"] = self._options.queue
        if self._member is not None:
            message.update(self._member.fields())
        return message

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
            command = message.get("command")
            if command == "cleared":
                self._kept.append(_notice(message))
            elif command != "publish":
                self._understand(message)
            elif self._is_wanted(message):
                self._kept.append(message)
        except MalformedMessage as error:
            if self._subscriptions:
                self._kept.append(error)
            else:
                self._broken = error
                self.attention = True
        except ProtocolError as error:
            self._broken = error
            self.attention = True
            return False
        return True

    def _next_message(self) -> Fields | None:
        try:
            found = self._frames.next()
        except MalformedMessage:
            self._messages += 1
            raise
        except ProtocolError as error:
            self._frames.clear()
            self._end_connection(str(error))
            self._note("the connection is of no use (topic %s): %s", self._topic, error)
            raise
        if found is None:
            return None
        self._messages += 1
        form, body = found
        return self._decode(body) if form == self._form else self._in_another_format(form, body)

    def _in_another_format(self, form: int, body: bytes) -> Fields:
        # Before the broker has read a frame it cannot know our format; its last words are JSON
        # then.
        if form == Format.JSON:
            message = JSONCodec().decode(body)
            if message.get("command") == "error" and message.get("fatal") is True:
                return message
        raise MalformedMessage(
            f"a message came as {Format(form).name}, "
            f"though this queue speaks {Format(self._form).name}"
        )

    def _is_wanted(self, delivery: Fields) -> bool:
        """Whether a delivery is for a pull; raises where it is none."""
        if type(delivery.get("topic")) is not str or "message" not in delivery:
            raise MalformedMessage("a delivery lacks its topic or its message")
        if "seq" in delivery and self._member is not None:
            try:
                delivery["seq"] = self._member.last = int(delivery["seq"])
                return self._is_news(delivery)
            except (ValueError, TypeError) as error:
                raise MalformedMessage(f"a delivery has no number: {error}") from error
        if "retained" in delivery and _is_retained(delivery):
            if self._asked and not self._replaying:
                self._asked.popleft()
                self._replaying = True
            return self._options.retained
        return True

    def _is_news(self, delivery: Fields) -> bool:
        """Whether a delivery of a stream is to be pulled. Where it is not, it is settled again: it
        may have been delivered after what was said of it had arrived, and would stay outstanding.
        """
        if self._member is None or self._member.is_news(delivery):
            return True
        if self.link.state in (State.GREETING, State.UP):
            self.outgoing += self._member.settled.frame(delivery["seq"])
        return False

    def _ask_whether_settled(self) -> None:
        """Has what was said of messages confirmed, by one ping at a time."""
        if self._member is not None:
            settled = self._member.settled
            if settled.unasked and not settled.is_asked:
                self._ping()

    def _drop_unsettled(self) -> None:
        """Drops what a consumer has not pulled: it is delivered again, to whichever member."""
        if self.is_consumer:
            kept = self._kept
            self._kept = deque(one for one in kept if not (isinstance(one, dict) and "seq" in one))

    def _understand(self, message: Fields) -> None:
        """Acts on any message but a delivery."""
        try:
            command = message.get("command")
            if command == "pong":
                self._on_answered(int(message.get("id", 0)))
                self._ask_whether_settled()
            elif command == "topics":
                self._on_topics(message)
            elif command == "value":
                self._on_value(message)
            elif command == "values":
                if self._lasts:
                    self._lasts.popleft().answered = True
            elif command == "error":
                self._on_error(message)
            elif command == "subscribed":
                self._on_subscribed(message)
            elif command == "welcome":
                self._on_welcome()
            elif command == "dropped":
                self._on_dropped(message)
            elif command != "cancelled":
                logger.debug("a message of an unknown kind was ignored: %.80r", command)
        except (KeyError, ValueError, TypeError) as error:
            raise MalformedMessage(
                f"the broker's {command!r:.40} lacks something: {error!r}"
            ) from error

    def _on_topics(self, message: Fields) -> None:
        topics = message.get("topics") or []
        if not isinstance(topics, list) or not all(isinstance(topic, str) for topic in topics):
            raise TypeError("topics is not a list of strings")
        if self._listeners:
            listener, for_pull = self._listeners.popleft()
            if for_pull:
                self._kept.append(Answer(listener, topics))
            else:
                listener(topics)

    def _on_value(self, message: Fields) -> None:
        if "seq" in message:
            if self._lasts:
                self._lasts[0].messages.append(message)
            return
        for get in self._gets:
            if get.topic == message["topic"]:
                # That there is no value is an answer too: what came late for another get says
                # nothing.
                get.value = message.get("message", get.default)
                get.answered = True

    def _on_welcome(self) -> None:
        if self.link.state is State.LOGIN:
            self.link.logged_in()
            # What it says next is its first word about the rest.
            self._messages = 0
            self._greet()

    def _on_subscribed(self, message: Fields) -> None:
        topic = message["topic"]
        if self._member is not None:
            self._member.subscribed(message)
        if message.get("limited") in (True, "true"):
            self._limited.add(topic)
        else:
            self._limited.discard(topic)
        if self._replaying:
            self._replaying = False
            return
        # Of those before it that have no answer, the answer was a refusal.
        if any(topic == asked for asked, _ in self._asked):
            while self._asked[0][0] != topic:
                self._subscriptions.pop(self._asked.popleft()[0], None)
            self._asked.popleft()

    def _on_dropped(self, message: Fields) -> None:
        self.dropped += int(message["count"])
        note = "%s messages of %s made room for newer ones, %s since the queue was made"
        self._note(note, message["count"], message["topic"], self.dropped, level=logging.INFO)

    def _on_answered(self, number: int, *, confirmed: bool = True) -> None:
        for unconfirmed in self._unconfirmed:
            unconfirmed.answered(number, confirmed=confirmed)
        if self.pushes is not None:
            self.crowded = self.pushes.is_full
            if not self.pushes:
                self._confirmed = self.pushed
        while self._lasts and self._lasts[0].ping <= number:
            # What has no answer of its own when a later question has one was refused.
            self._lasts.popleft()
        self._last_pong = max(self._last_pong, number)
        while self._pings and self._pings[0] <= number:
            self._pings.popleft()
        while self._asked and self._asked[0][1] <= number:
            # What has no answer of its own when a later question has one was refused.
            self._subscriptions.pop(self._asked.popleft()[0], None)

    def _on_error(self, message: Fields) -> None:
        fatal = message.get("fatal") in (True, "true")
        topic = message.get("topic")
        error = BrokerError(
            str(message["code"]),
            str(message["reason"]),
            None if topic is None else str(topic),
            fatal=fatal,
        )
        if error.code in OF_PING and error.topic is None and self._pings:
            # It is the answer to a ping, in the place of a pong; whoever sent that may have given
            # up on it.
            number = self._pings[0]
            if number in self._awaited:
                self._awaited[number] = error
            self._on_answered(number, confirmed=False)
            return
        if error.code == "frame-too-large" and self.pushes is not None:
            # It is not taken on another connection either.
            self.pushes.drop_longest()
        logging_in = self.link.state is State.LOGIN
        if error.code in NO_LOGIN or (logging_in and error.code not in PASSING):
            self._end_with(self._login_failed(error))
            self._end_connection(str(self._final))
            return
        if error.code != "disconnected":  # An administrator did that: it is a connection lost.
            self._refused.append(error)
            self.attention = True
        if fatal or logging_in:
            if self._messages == 1 and error.code not in PASSING:
                self._final = error
            self._end_connection(str(error))
            self._note("the broker ended the connection (topic %s): %s", self._topic, error)

    def _login_failed(self, error: BrokerError) -> LoginFailed:
        if error.code == "login-failed":
            why = f"{self._place} does not log {self._login} in: {error.reason}"
        elif self._login is None:
            why = (
                f"{self._place} wants a login: {error.reason} (user= and password=, or token=; or "
                "BABELMQ_USER and BABELMQ_PASSWORD, or BABELMQ_TOKEN)"
            )
        else:
            why = f"{self._place} does not take the login: {error}"
        return LoginFailed(error.code, why)

    def _is_up(self) -> None:
        if self.link.state is not State.GREETING:
            return
        if self.link.was_up:
            self._note("connected to the broker again (topic %s)", self._topic)
        self.link.up()
        self.connected = True

    def _forget_connection(self) -> None:
        """Nothing of the last connection counts on the next one."""
        self._frames.clear()
        self.outgoing.clear()
        self._pings.clear()
        self._asked.clear()
        self._replaying = False
        self._cancelling.clear()
        for unconfirmed in self._unconfirmed:
            unconfirmed.connection_ended()
        self._lasts.clear()
        self._messages = 0
        self._spoken_to = False
        self._listeners = deque(listener for listener in self._listeners if listener[1])

    def _end_with(self, error: CertificateError | LoginFailed) -> None:
        """No other attempt is made: every call that needs a connection raises ``error``."""
        self._final = error
        if self.link.was_up:
            self._note(
                "no connection to the broker is possible any more (topic %s): %s",
                self._topic,
                error,
                level=logging.ERROR,
            )

    def _end_connection(self, why: str) -> None:
        self.connected = False
        self._lost_why = why
        if self.pushes is None:
            self._lost_pushes = self._lost_pushes or self.pushed != self._confirmed
            self._confirmed = self.pushed
        self._drop_unsettled()
        self._losses += 1
        self.outgoing.clear()
        self.link.lost(why)
        self.turn += 1

    def _raise_refused(self) -> None:
        if not self.attention:
            return
        self.attention = False
        if self._broken is not None:
            broken, self._broken = self._broken, None
            self.attention = bool(self._refused)
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
            if isinstance(self._final, LoginFailed):
                raise LoginFailed(
                    self._final.code,
                    f"{self._final}; what was pushed to {self._topic!r} since the last flush may "
                    "be lost",
                )
            raise ConnectionLost(
                f"the connection was lost ({self._lost_why}); what was pushed to {self._topic!r} "
                "since the last flush may be lost"
            )

    def _note(self, text: str, *arguments: object, level: int = logging.WARNING) -> None:
        self.notes.append((level, text, arguments))

    def log(self) -> None:
        """Logs what there is to be logged; called where the session is not being used."""
        while self.notes:
            level, text, arguments = self.notes.popleft()
            logger.log(level, text, *arguments)


def _notice(message: Fields) -> Fields:
    """What says that a value was cleared, and nothing that it does not say."""
    if type(message.get("topic")) is not str:
        raise MalformedMessage("what was cleared lacks its topic")
    return {"topic": message["topic"]}


def _is_retained(delivery: Fields) -> bool:
    """Whether a delivery is a stored value; XML has a word for it."""
    return delivery.get("retained") in (True, "true")
