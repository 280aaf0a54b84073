"""What the blocking queues and those of asyncio have in common: how they are made, and what they
are made of.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from enum import Enum
from ssl import SSLContext
from typing import Any, Callable, ClassVar, Literal, Optional, TypeVar, Union, get_args

from .address import Address, Place, resolve
from .codec import Codec, Fields, Publish
from .frame import MAX_FRAME
from .login import login_for
from .session import Message, Options, Session
from .stream_message import KeptMessage
from .stream_options import Order, Start, stream_options
from .tls import Path, context_for

Exact = Union[bool, Literal["js"]]
"""Which values JSON tags, to say what they are."""

Overflow = Literal["disconnect", "drop-oldest", "latest"]
"""What happens to messages that come faster than they are pulled."""

Default = Optional[Callable[[Any], Any]]
"""What makes plain data of other objects, as the ``default`` of ``json.dumps`` does."""

MOST_TOPICS = 1024
"""Topics of ``push_to`` of which the beginning of a frame is remembered."""


class MiddlewareType(Enum):
    """What a queue is for."""

    CONSUMER = 1
    PRODUCER = 2


class QueueBase:
    """What is the same in :class:`babelmq.Queue` and :class:`babelmq.aio.Queue`."""

    codec: ClassVar[Codec]
    """The format."""

    def __init__(
        self,
        topic: str,
        _type: MiddlewareType = MiddlewareType.CONSUMER,
        *,
        address: Address | None = None,
        ssl: SSLContext | None = None,
        ca: Path | None = None,
        cert: Path | None = None,
        key: Path | None = None,
        user: str | None = None,
        password: str | None = None,
        token: str | None = None,
        allow_plain_login: bool = False,
        timeout: float | None = None,
        exact: Exact = False,
        plain: bool = False,
        root: str | None = None,
        item: str | None = None,
        cleared: bool = False,
        below: bool = True,
        max_frame: int = MAX_FRAME,
        wait: float = 0,
        keepalive: float | None = 30,
        retained: bool = True,
        overflow: Overflow | None = None,
        queue: int | None = None,
        default: Default = None,
        consumer: str | None = None,
        stream: str | None = None,
        start: Start | None = None,
        window: int | None = None,
        ack_wait: float | None = None,
        max_deliver: int | None = None,
        backoff: Sequence[float] | None = None,
        order: Order | None = None,
        reliable: bool = False,
    ) -> None:
        self.topic = check_topic(topic)
        if keepalive is not None and not keepalive > 0:
            raise ValueError(
                f"keepalive is a number of seconds over 0, or None, and not {keepalive!r}"
            )
        if not wait >= 0:
            raise ValueError(f"wait is a number of seconds, 0 or more, and not {wait!r}")
        if overflow is not None and overflow not in get_args(Overflow):
            raise ValueError(
                f"overflow is one of {', '.join(get_args(Overflow))}, and not {overflow!r}"
            )
        if exact not in (False, True, "js"):
            raise ValueError(f"exact is True, False or 'js', and not {exact!r}")
        place = resolve(address)
        context = context_for(place, ssl, ca, cert, key)
        login = login_for(
            *(place, self.codec, user, password, token),
            allow_plain=allow_plain_login,
            is_named=address is not None,
        )
        self._default = default
        self._publishers: dict[str, Publish] = {}
        self._publish = self.codec.publisher(topic, default)
        options = Options(
            exact=exact,
            plain=plain,
            root=root,
            item=item,
            cleared=cleared,
            below=below,
            max_frame=max_frame,
            wait=wait,
            keepalive=keepalive,
            retained=retained,
            overflow=overflow,
            queue=queue,
            stream=stream_options(
                consumer, stream, start, window, ack_wait, max_deliver, backoff, order
            ),
            reliable=reliable,
        )
        subscribe = _type is MiddlewareType.CONSUMER
        self._session = Session(self.codec, topic, options, place, login, subscribe=subscribe)
        self._start(place, context, timeout)

    @classmethod
    def producer(
        cls: type[Self],
        topic: str,
        *,
        address: Address | None = None,
        ssl: SSLContext | None = None,
        ca: Path | None = None,
        cert: Path | None = None,
        key: Path | None = None,
        user: str | None = None,
        password: str | None = None,
        token: str | None = None,
        allow_plain_login: bool = False,
        timeout: float | None = None,
        exact: Exact = False,
        plain: bool = False,
        root: str | None = None,
        item: str | None = None,
        cleared: bool = False,
        below: bool = True,
        max_frame: int = MAX_FRAME,
        wait: float = 0,
        keepalive: float | None = 30,
        retained: bool = True,
        overflow: Overflow | None = None,
        queue: int | None = None,
        default: Default = None,
        consumer: str | None = None,
        stream: str | None = None,
        start: Start | None = None,
        window: int | None = None,
        ack_wait: float | None = None,
        max_deliver: int | None = None,
        backoff: Sequence[float] | None = None,
        order: Order | None = None,
        reliable: bool = False,
    ) -> Self:
        """A queue that publishes to ``topic``: the constructor, as a producer.

        The options are the constructor's. The connection is made when there is something to send.

        >>> from babelmq import JSONQueue
        >>> with JSONQueue.producer("/weather/temp", timeout=5) as producer:
        ...     producer.push(21.5)
        ...     producer.get()
        21.5
        """
        return cls(
            topic,
            MiddlewareType.PRODUCER,
            address=address,
            ssl=ssl,
            ca=ca,
            cert=cert,
            key=key,
            user=user,
            password=password,
            token=token,
            allow_plain_login=allow_plain_login,
            timeout=timeout,
            exact=exact,
            plain=plain,
            root=root,
            item=item,
            cleared=cleared,
            below=below,
            max_frame=max_frame,
            wait=wait,
            keepalive=keepalive,
            retained=retained,
            overflow=overflow,
            queue=queue,
            default=default,
            consumer=consumer,
            stream=stream,
            start=start,
            window=window,
            ack_wait=ack_wait,
            max_deliver=max_deliver,
            backoff=backoff,
            order=order,
            reliable=reliable,
        )

    @classmethod
    def consumer(
        cls: type[Self],
        topic: str,
        *,
        address: Address | None = None,
        ssl: SSLContext | None = None,
        ca: Path | None = None,
        cert: Path | None = None,
        key: Path | None = None,
        user: str | None = None,
        password: str | None = None,
        token: str | None = None,
        allow_plain_login: bool = False,
        timeout: float | None = None,
        exact: Exact = False,
        plain: bool = False,
        root: str | None = None,
        item: str | None = None,
        cleared: bool = False,
        below: bool = True,
        max_frame: int = MAX_FRAME,
        wait: float = 0,
        keepalive: float | None = 30,
        retained: bool = True,
        overflow: Overflow | None = None,
        queue: int | None = None,
        default: Default = None,
        consumer: str | None = None,
        stream: str | None = None,
        start: Start | None = None,
        window: int | None = None,
        ack_wait: float | None = None,
        max_deliver: int | None = None,
        backoff: Sequence[float] | None = None,
        order: Order | None = None,
        reliable: bool = False,
    ) -> Self:
        """A queue that is subscribed to ``topic``: the constructor, as a consumer.

        The options are the constructor's. What is returned is connected and misses nothing; with
        asyncio it is so from ``async with`` on.

        >>> from babelmq import JSONQueue, XMLQueue
        >>> with XMLQueue.consumer("/weather") as consumer:
        ...     with JSONQueue.producer("/weather/temp") as producer:
        ...         producer.push(21.5)
        ...     consumer.pull()
        ('/weather/temp', 21.5)
        """
        return cls(
            topic,
            MiddlewareType.CONSUMER,
            address=address,
            ssl=ssl,
            ca=ca,
            cert=cert,
            key=key,
            user=user,
            password=password,
            token=token,
            allow_plain_login=allow_plain_login,
            timeout=timeout,
            exact=exact,
            plain=plain,
            root=root,
            item=item,
            cleared=cleared,
            below=below,
            max_frame=max_frame,
            wait=wait,
            keepalive=keepalive,
            retained=retained,
            overflow=overflow,
            queue=queue,
            default=default,
            consumer=consumer,
            stream=stream,
            start=start,
            window=window,
            ack_wait=ack_wait,
            max_deliver=max_deliver,
            backoff=backoff,
            order=order,
            reliable=reliable,
        )

    @property
    def connected(self) -> bool:
        """Whether there is a connection, as far as the last call saw. Where it is lost, the next
        call that waits for the broker makes it again, and the logger ``babelmq`` says both.
        """
        return self._session.connected

    @property
    def dropped(self) -> int:
        """How many messages the broker has let go for newer ones since the queue was made, by what
        was pulled so far; see ``overflow``.
        """
        return self._session.dropped

    @property
    def limited(self) -> frozenset[str]:
        """The topics of the subscriptions of which the broker's rules allow only a part: what is
        left out does not arrive. Empty where all is allowed.
        """
        return self._session.limited

    @property
    def pending(self) -> int | None:
        """How many messages the stream had for this queue when it subscribed, at most: the broker
        counts those of other topics, and deleted ones, until it has looked at them. ``None`` where
        the queue reads from no stream.
        """
        return self._session.pending

    def _start(self, place: Place, context: SSLContext | None, timeout: float | None) -> None:
        raise NotImplementedError

    def _to(self, topic: str) -> Publish:
        """What writes the frames that publish to ``topic``."""
        publish = self._publishers.get(topic)
        if publish is None:
            if len(self._publishers) >= MOST_TOPICS:
                self._publishers.clear()
            publish = self._publishers[topic] = self.codec.publisher(
                check_topic(topic), self._default
            )
        return publish

    def _id(self, id: str | None) -> str | None:
        """What a message is published with: the ``id`` that it was given, or one of its own where
        the queue is reliable.
        """
        pushes = self._session.pushes
        return pushes.next_id() if id is None and pushes is not None else id

    def _kept(self, fields: Fields) -> KeptMessage:
        """The message of a stream that a delivery brought."""
        raise NotImplementedError

    def _message(self, fields: Fields) -> Message:
        if "seq" in fields:
            return self._kept(fields)
        retained = fields.get("retained") in (True, "true")
        form, cleared = self.codec.format, "message" not in fields
        return Message(fields["topic"], fields.get("message"), retained, form, cleared)

    def _must_read_stream(self) -> None:
        if not self._session.reads_stream:
            raise ValueError(
                f"the queue of {self.topic!r} reads from no stream, which it does with "
                "consumer='name' or start='all'; pull_message() gives other messages"
            )

    def _own(self, topic: str | None) -> str:
        return self.topic if topic is None else check_topic(topic)


Self = TypeVar("Self", bound=QueueBase)


MOST_LAST = 10_000
"""Messages that :meth:`babelmq.Queue.get_last` may ask for."""


def check_count(count: int) -> int:
    """``count``, if so many messages can be asked for."""
    if not (type(count) is int and 1 <= count <= MOST_LAST):
        raise ValueError(f"count is a number of messages from 1 to {MOST_LAST}, and not {count!r}")
    return count


def check_topic(topic: str) -> str:
    """``topic``, if it can be sent in every format at all; all other rules are the broker's to
    judge.
    """
    if not isinstance(topic, str):
        raise TypeError(f"a topic is a str, not a {type(topic).__name__}")
    for character in topic:
        if unicodedata.category(character) in ("Cc", "Cs") or character in "\ufffe\uffff":
            raise ValueError(f"the topic {topic!r:.80} contains {character!r}, which no topic may")
    return topic
