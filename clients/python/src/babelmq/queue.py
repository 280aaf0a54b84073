"""Queues with blocking calls: one topic, one format, one connection each."""

from __future__ import annotations

import unicodedata
from enum import Enum
from types import TracebackType
from typing import Any, ClassVar, TypeVar

from .address import Address, resolve
from .codec import Codec
from .connection import Connection
from .errors import NotSubscribed, QueueClosed
from .frame import MAX_FRAME
from .json_codec import JSONCodec
from .pickle_codec import PickleCodec
from .session import Delivery, OnTopics, Session
from .xml_codec import XMLCodec


class MiddlewareType(Enum):
    """What a queue is for."""

    CONSUMER = 1
    PRODUCER = 2


class Queue:
    """The base of :class:`JSONQueue`, :class:`XMLQueue` and :class:`PickleQueue`, which differ in format only.

    :param topic: What to publish to, or to subscribe to. Segments are separated by ``/``. A subscription
        includes all descendants; a segment ``+`` in it stands for any one, ``#`` at its end for any number.
    :param _type: A consumer connects and subscribes at once, and once constructed misses nothing. A producer
        connects when it first has something to send.
    :param address: ``"host:port"`` or a tuple; else the variable ``BABELMQ_ADDR``; else ``127.0.0.1:5000``.
    :param timeout: Seconds that any one call may wait for the broker before it raises :class:`TimeoutError`;
        ``None`` for as long as it takes.
    :param exact: Receive JSON in which every value keeps its type: tuples, frozensets, keys that are not strings.
    :param max_frame: Bytes of body in the largest frame accepted, 64 MiB by default, as much as a broker's
        ``--max-encoded``. A larger one ends the connection with :class:`ProtocolError`.

    A connection that is lost is made again, at growing intervals, and the subscription with it; the logger
    ``babelmq`` says so. The broker then sends the stored values again. So what was published meanwhile is
    missed but for the last value of each topic, and a value may be seen a second time.

    A queue may be used by one thread at a time: give each thread its own.

    :meth:`consumer` and :meth:`producer` say in a name what ``_type`` says.

    >>> with JSONQueue("/weather") as consumer, PickleQueue("/weather/temp", MiddlewareType.PRODUCER) as producer:
    ...     producer.push({"celsius": 21.5, "station": b"\\x07"})
    ...     consumer.pull()
    ('/weather/temp', {'celsius': 21.5, 'station': b'\\x07'})
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
        self._connection = Connection(self._session, resolve(address), timeout)
        try:
            self._connection.run(self._session.open())
        except BaseException:
            self.close()
            raise

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

        The options are the constructor's. The connection is made when there is something to send.

        >>> with JSONQueue.producer("/weather/temp", timeout=5) as producer:
        ...     producer.push(21.5)
        ...     producer.get()
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
        """A queue that is subscribed to ``topic``: the constructor, as a consumer.

        The options are the constructor's. What is returned is connected and misses nothing.

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
            timeout=timeout,
            exact=exact,
            max_frame=max_frame,
        )

    def push(self, value: Any, *, retain: bool = True, ttl: int | None = None) -> None:
        """Publishes ``value`` to the topic; the broker also stores it as the topic's last value if ``retain``.

        It is the last value until another comes, or until ``ttl`` seconds are over, a whole number from 1 to
        4,294,967,295; then it is neither sent to new subscribers nor listed. Without a ``ttl`` the broker may have
        a rule for the topic.

        Returns when the operating system has taken the message, without waiting for the broker. Delivery is at
        most once per connection: what :meth:`flush` confirmed was routed to every subscriber then present. What
        was pushed and not flushed may be lost with the connection, and ``flush()`` says so then.

        Raises :class:`NotPlainData` or :class:`ValueError` for a value that cannot be sent (or a ``ttl``), and
        :class:`BrokerError` for something refused earlier; in all these cases this value was not sent.

        >>> with JSONQueue("/weather/temp", MiddlewareType.PRODUCER) as producer:
        ...     producer.push(21.5)
        ...     producer.push(object())
        Traceback (most recent call last):
            ...
        babelmq.errors.NotPlainData: value is a object, which is not plain data and cannot be pushed: push its \
data as a dict, a list, a string or numbers
        """
        data = self._publish(value, retain, ttl)
        session = self._session
        if session.connected and self._connection.send_now(data):
            session.unconfirmed = True
            return
        self._connection.run(session.push(data))

    def pull(self, timeout: float | None = None) -> Delivery:
        """The next message: its topic and its value. Blocks until there is one.

        Raises :class:`TimeoutError` after ``timeout`` seconds, by default the queue's own timeout;
        :class:`BrokerError` for what the broker refused, or when it ended the connection because this consumer
        was too slow (the next ``pull`` connects again); :class:`MalformedMessage` for one message that cannot be
        read; :class:`NotSubscribed` when nothing can ever come.

        >>> with JSONQueue("/silence") as consumer:
        ...     consumer.pull(timeout=0.01)
        Traceback (most recent call last):
            ...
        TimeoutError: nothing arrived from the broker in time
        """
        delivery = self._session.next_delivery()
        if delivery is not None:
            return delivery
        return self._connection.run(self._session.pull(), timeout)

    def flush(self) -> None:
        """Waits until the broker has routed everything that was pushed, and raises what it refused.

        What ``flush()`` confirmed was routed to every subscriber then present, and is on the disk of a broker that
        promises ``--fsync always``; that is the whole promise. Where that cannot write to its disk, ``flush()``
        raises :class:`BrokerError` with the code ``storage-failed``, at once, and so does :meth:`clear`. It
        raises :class:`BrokerError` for what was refused since the last call that raised one (the rest was routed),
        and :class:`ConnectionLost` where the connection broke since the last ``flush()``: what was pushed in
        between may or may not have been routed. Messages that arrive meanwhile are kept for ``pull``.

        >>> with JSONQueue("/weather/temp", MiddlewareType.PRODUCER) as producer:
        ...     for celsius in range(20, 25):
        ...         producer.push(celsius)
        ...     producer.flush()
        """
        self._connection.run(self._session.flush())

    def list_topics(self, callback: OnTopics) -> None:
        """Asks which topics hold a value, and does not wait: a later :meth:`pull` calls ``callback`` with them.

        >>> with JSONQueue("/a") as queue:
        ...     queue.list_topics(print)
        ...     queue.push(1)
        ...     queue.pull()
        []
        ('/a', 1)
        """
        self._connection.run(self._session.list_topics(callback))

    def topics(self) -> list[str]:
        """The topics that hold a value, sorted.

        >>> with JSONQueue("/a/b", MiddlewareType.PRODUCER) as producer:
        ...     producer.push(1)
        ...     producer.topics()
        ['/a/b']
        """
        return self._connection.run(self._session.topics())

    def get(self, topic: str | None = None, default: Any = None) -> Any:
        """The last value of ``topic``, by default the queue's own, without subscribing; ``default`` without one.

        >>> with JSONQueue("/a/b", MiddlewareType.PRODUCER) as producer:
        ...     producer.push(1)
        ...     producer.get("/a/b"), producer.get("/a"), producer.get("/a", default="none")
        (1, None, 'none')
        """
        return self._connection.run(self._session.get(self.topic if topic is None else check_topic(topic), default))

    def clear(self, topic: str | None = None) -> None:
        """Has the broker forget the last value of ``topic``, by default the queue's own.

        >>> with JSONQueue("/a/b", MiddlewareType.PRODUCER) as producer:
        ...     producer.push(1)
        ...     producer.clear()
        ...     producer.topics()
        []
        """
        self._connection.run(self._session.clear(self.topic if topic is None else check_topic(topic)))

    def cancel(self) -> None:
        """Ends the subscription. What arrived before can still be pulled; after it, ``pull`` raises
        :class:`NotSubscribed`, and iteration ends.

        >>> with JSONQueue("/a") as queue:
        ...     queue.push(1)
        ...     queue.cancel()
        ...     list(queue)
        [('/a', 1)]
        """
        self._connection.run(self._session.cancel())

    def close(self) -> None:
        """Closes the connection without waiting for anything: :meth:`flush` first, or use ``with``."""
        self._session.close()
        self._connection.close()

    def __iter__(self: Self) -> Self:
        return self

    def __next__(self) -> Delivery:
        try:
            return self.pull()
        except (NotSubscribed, QueueClosed):
            raise StopIteration from None

    def __enter__(self: Self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Flushes what was pushed, unless an exception is on its way, and closes."""
        try:
            if kind is None and self._session.has_unflushed():
                self.flush()
        finally:
            self.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.topic!r})"


Self = TypeVar("Self", bound=Queue)


class JSONQueue(Queue):
    """A queue that speaks JSON. With ``exact=True`` it loses nothing of what a pickle can say.

    >>> with JSONQueue("/a", exact=True) as queue:
    ...     queue.push({"point": (1, 2), "seen": {3}, 4: b"\\x00"})
    ...     queue.pull()
    ('/a', {'point': (1, 2), 'seen': {3}, 4: b'\\x00'})
    """

    codec = JSONCodec()


class XMLQueue(Queue):
    """A queue that speaks XML, typed by attributes: 21 arrives as 21 and not as "21". Plain documents of other
    producers arrive as ``xmltodict`` would read them.

    >>> with XMLQueue("/a") as queue:
    ...     queue.push({"n": 21, "half": 0.5, "raw": b"\\x00", "none": None})
    ...     queue.pull()
    ('/a', {'n': 21, 'half': 0.5, 'raw': b'\\x00', 'none': None})
    """

    codec = XMLCodec()


class PickleQueue(Queue):
    """A queue that speaks pickle, of plain data only: it never imports or calls what a pickle names.

    >>> with PickleQueue("/a") as queue:
    ...     queue.push({"point": (1, 2), "seen": frozenset({3})})
    ...     queue.pull()
    ('/a', {'point': (1, 2), 'seen': frozenset({3})})
    """

    codec = PickleCodec()


def check_topic(topic: str) -> str:
    """``topic``, if it can be sent in every format at all; all other rules are the broker's to judge."""
    if not isinstance(topic, str):
        raise TypeError(f"a topic is a str, not a {type(topic).__name__}")
    for character in topic:
        if unicodedata.category(character) in ("Cc", "Cs") or character in "\ufffe\uffff":
            raise ValueError(f"the topic {topic!r:.80} contains {character!r}, which no topic may")
    return topic
