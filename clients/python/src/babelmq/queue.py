"""Queues with blocking calls: one topic, one format, one connection each."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

from .address import Place
from .base import MiddlewareType, QueueBase, check_count, check_topic
from .codec import Fields
from .connection import Connection
from .errors import BabelmqError, NotSubscribed, QueueClosed
from .json_codec import JSONCodec
from .pickle_codec import PickleCodec
from .session import LAST_ACKS, Delivery, Message, OnTopics
from .stream_message import KeptMessage
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


class StreamMessage(KeptMessage):
    """A message of a stream, with what its consumer may say of it. The first of :meth:`ack`,
    :meth:`nak` and :meth:`reject` counts, and what is called after it does nothing.

    None of them waits for the broker. What is acknowledged or rejected while the connection is
    being lost is said again on the next one, where :meth:`Queue.flush` confirms it; what this
    process has no time to say is delivered again, and so may be worked at twice.

    As a context it acknowledges at its end, unless something else was said, and gives the message
    back where an exception leaves it:

    >>> with JSONQueue.consumer("orders", consumer="billing") as queue:  # doctest: +SKIP
    ...     with queue.pull_one() as message:
    ...         charge(message.value)
    """

    _settle: Callable[[Fields], None]

    def ack(self) -> None:
        """The work is done: the message is not delivered any more."""
        self._tell(self._say("ack"))

    def nak(self, delay: float | None = None) -> None:
        """The work could not be done: the message is to be delivered again, after ``delay``
        seconds, or without one as the consumer's ``backoff`` says. After its last attempt
        (``max_deliver``) it becomes a dead letter.
        """
        self._tell(self._nak(delay))

    def touch(self) -> None:
        """The work goes on: the time to acknowledge it (``ack_wait``) begins anew."""
        self._tell(self._say("touch"))

    def reject(self, reason: str | None = None) -> None:
        """The work can never be done: the message becomes a dead letter, with the ``reason``, at
        ``$dead/<consumer>/<topic>``.
        """
        self._tell(self._reject(reason))

    def _tell(self, said: Fields | None) -> None:
        if said is not None:
            self._settle(said)

    def __enter__(self) -> StreamMessage:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.consumer is None:
            return
        if kind is None:
            self.ack()
        else:
            self.nak()


class _Pulled(threading.local):
    """What :meth:`Queue.pull` gave to a thread that has not pulled again."""

    def __init__(self) -> None:
        self.seqs: list[int] = []
        self.life = 0


class Queue(QueueBase):
    """The base of :class:`JSONQueue`, :class:`XMLQueue` and :class:`PickleQueue`, which differ in
    format only.

    :param topic: What to publish to, or to subscribe to. Segments are separated by ``/``. A
        subscription includes all descendants; a segment ``+`` in it stands for any one, ``#`` at
        its end for any number.
    :param _type: A consumer connects and subscribes at once, and once constructed misses nothing. A
        producer connects when it first has something to send.
    :param address: ``"babelmq://host:port"``, ``"babelmqs://host:port"`` for TLS,
        ``"unix:/path"``, ``"host:port"``, or a tuple of host and port; else the variable
        ``BABELMQ_ADDR``; else ``127.0.0.1:5000``. A URL without a port means 5000.
    :param ssl: An :class:`ssl.SSLContext` for ``babelmqs://``, in the place of the three that
        follow. Without any of them a certificate has to be of a CA that the system trusts, and for
        the host of the address; else :class:`CertificateError` is raised.
    :param ca: The path of the CA certificates that are trusted, in PEM, in the place of the
        system's; else the variable ``BABELMQ_CA``.
    :param cert: The path of this client's certificate, in PEM, for a broker that asks for one; else
        the variable ``BABELMQ_CERT``.
    :param key: The path of its key, where that is not in the same file; else the variable
        ``BABELMQ_KEY``.
    :param user: Who the client is to a broker with users; else what the address has before its
        ``@``, ``babelmqs://user:password@host``, percent-encoded; else the variable
        ``BABELMQ_USER``. Where the broker does not log it in, :class:`LoginFailed` is raised. The
        variables of a login are not for an ``address`` that is given.
    :param password: The user's password; else the address's, else the variable
        ``BABELMQ_PASSWORD``.
    :param token: A token, in the place of user and password; else the variable ``BABELMQ_TOKEN``.
    :param allow_plain_login: Whether a password or a token may go unencrypted to another machine,
        ``ValueError`` without. ``babelmqs://``, a Unix socket, ``localhost`` and loopback addresses
        need no leave.
    :param timeout: Seconds that any one call may wait for the broker before it raises
        :class:`TimeoutError`; ``None`` for as long as it takes.
    :param exact: Receive JSON in which every value keeps its type: tuples, frozensets, dates,
        Decimals, keys that are not strings. ``"js"`` has ints tagged too that a number of
        JavaScript cannot hold.
    :param plain: Receive XML without types, as ``xmltodict.unparse`` writes it: a document that
        went through JSON is the document that it was, and 21 is "21".
    :param root: The element that plain XML puts a value into which is not one element of its own;
        by default there is none.
    :param item: The element of an item of a list that has no key, in plain XML; ``item`` by
        default.
    :param cleared: Have :meth:`pull_message` say when a last value is cleared or expires. What
        happens while there is no connection is not said.
    :param below: Whether a subscription brings what is below its topic as well. With ``False`` a
        topic means exactly as many segments as it has, as a filter of MQTT does; a trailing ``#``
        gives the subtree back.
    :param max_frame: Bytes of body in the largest frame accepted, 64 MiB by default, as much as a
        broker's ``--max-encoded``. A larger one is skipped, which one :class:`MalformedMessage`
        says.
    :param wait: Seconds for which the very first connection is tried again, for programs that start
        before their broker; 0 by default: :class:`CannotConnect` at once. The call that connects
        may take so much longer than its timeout.
    :param keepalive: Seconds of silence, 30 by default, after which a call that waits asks the
        broker whether it is there; after as many more without an answer the connection counts as
        lost. TCP's own keepalive has the same time. ``None`` for neither. With ``--fsync always``
        an answer may have to wait for the broker's disk.
    :param retained: Whether stored values are delivered, those from before the subscription. They
        come again whenever it is made again.
    :param overflow: What the broker does with messages that come faster than they are pulled:
        ``"disconnect"``, the default, ends the connection with ``slow-consumer``; ``"drop-oldest"``
        lets the oldest go; ``"latest"`` keeps the newest of each topic. :attr:`dropped` counts what
        was let go, where the broker says so.
    :param queue: How many messages may wait for this subscription, 1 to 4,294,967,295, and not more
        than the broker allows by itself.
    :param default: Called with each object that is not plain data; returns what is pushed in its
        place, or raises :class:`TypeError`. As in ``json.dumps``.
    :param consumer: Be a durable consumer of the stream that keeps the topic, under this name: the
        broker remembers what it has acknowledged, also while it is away. Queues with one name share
        the work. The name belongs to the stream, and its topic does not change.
    :param stream: The stream, where more than one keeps the topic.
    :param start: Where a consumer that is new begins: ``"new"``, the default; ``"all"`` that is
        kept; ``"last"``, the last message of each topic and then new ones; a message's number; or a
        time, a :class:`~datetime.datetime` with a time zone or a text as RFC 3339 has it. Without
        ``consumer`` the queue follows the stream from there, and acknowledges nothing; it misses
        nothing either, a lost connection included.
    :param window: How many messages may be delivered to this queue and not be settled, 1 to 65,536;
        256 where the consumer has no other number. They are read ahead, and wait here. With 1 the
        others get what this one does not work at.
    :param ack_wait: Seconds after which a message that was delivered and not settled is delivered
        again, 30 where the consumer has no other number. They begin when it is delivered, not when
        it is pulled; :meth:`StreamMessage.touch` begins them anew.
    :param max_deliver: How often a message is delivered before it is a dead letter; 5 where the
        consumer has no other number. What was read ahead when a connection ended counts.
    :param backoff: Seconds before a message that was given back, or whose time was over, is
        delivered again: one for each attempt, the last for all that follow.
    :param order: ``"topic"`` for the messages of a topic to go to one member at a time, in order.
        Where one is given back, those behind it that were delivered already are not; with a
        ``window`` of 1 there are none.
    :param reliable: Keep what was pushed until the broker has confirmed it, 8 MiB at most, and push
        it again after a lost connection, each with an ``id``: a stream keeps it once, if it comes
        again within two minutes, and subscribers without a stream may see it twice. What was not
        confirmed is lost with the process; :meth:`flush` waits until nothing is.

    Of a durable consumer a message comes at least once. It comes again where its acknowledgement
    has not reached the broker, so its ``stream`` and ``seq`` are what tells a repetition. After a
    lost connection the queue is a member of the same consumer again. It drops what it had read
    ahead, which is delivered anew, to this member or to another; acknowledgements that were not
    confirmed are sent again, and what comes again although it was acknowledged is not pulled a
    second time. So an acknowledgement is lost only with a process that ends before the broker has
    it; :meth:`close` waits for that on a connection that there is, and :meth:`flush` on the next
    one too. What an interruption takes out of a pull comes again when its time is over.

    A connection that is lost is made again, at growing intervals, and the subscriptions with it;
    the logger ``babelmq`` says so, and :attr:`connected`. The next attempt is due when it is due,
    whatever the timeouts of the calls that wait for it. The broker then sends the stored values
    again. So what was published meanwhile is missed but for the last value of each topic, and a
    value may be seen a second time. What the broker refuses in a way that does not change, such as
    a subscription, is not asked for again.

    Threads may share a queue: one that waits in :meth:`pull` keeps no other from pushing. A message
    is pulled by one of them, and a refusal or a loss is raised to one of them, the first that
    learns of it; to all that are waiting in :meth:`flush`. Each process has its own connection:
    after a ``fork`` the child connects anew, and what the parent has not pulled stays with the
    parent. A call that was interrupted, by Ctrl-C or by what a signal handler raises, leaves a
    queue that works; if that cost the connection, the logger says so, and :meth:`flush` what may be
    lost.

    :meth:`consumer` and :meth:`producer` say in a name what ``_type`` says.

    >>> with JSONQueue("/weather") as consumer:
    ...     with PickleQueue("/weather/temp", MiddlewareType.PRODUCER) as producer:
    ...         producer.push({"celsius": 21.5, "station": b"\\x07"})
    ...     consumer.pull()
    ('/weather/temp', {'celsius': 21.5, 'station': b'\\x07'})
    """

    def _start(self, place: Place, context: ssl.SSLContext | None, timeout: float | None) -> None:
        self._connection = Connection(self._session, place, context, timeout)
        self._timeout = timeout
        self._pulled = _Pulled() if self._session.is_consumer else None
        try:
            self._connection.run(self._session.open())
        except BaseException:
            self.close()
            raise

    def push(
        self, value: Any, *, retain: bool = True, ttl: int | None = None, id: str | None = None
    ) -> None:
        """Publishes ``value`` to the topic; the broker also stores it as the topic's last value if
        ``retain``.

        It is the last value until another comes, or until ``ttl`` seconds are over, a whole number
        from 1 to 4,294,967,295; then it is neither sent to new subscribers nor listed. Without a
        ``ttl`` the broker may have a rule for the topic.

        With an ``id``, a text of 128 bytes at most, a stream that keeps the topic keeps the message
        once, however often it is published with that ``id`` within two minutes. A queue that is
        ``reliable`` makes one for each message that has none.

        Does not wait for the broker. Where the socket is idle, the operating system has the message
        when ``push`` returns; pushes that come faster than the socket takes them share a write that
        follows within milliseconds, and at most 64 KiB wait for it. Delivery is at most once per
        connection: what :meth:`flush` confirmed was routed to every subscriber then present. What
        was pushed and not flushed may be lost with the connection, and ``flush()`` says so then.

        Raises :class:`NotPlainData` or :class:`ValueError` for a value that cannot be sent (or a
        ``ttl``), and :class:`BrokerError` for something refused earlier; in all these cases this
        value was not sent. After a :class:`TimeoutError` it was not sent either, unless it is
        longer than 64 KiB: the rest of such a one follows when the broker takes it.

        >>> with JSONQueue("/weather/temp", MiddlewareType.PRODUCER) as producer:
        ...     producer.push(21.5)
        ...     producer.push(object())
        Traceback (most recent call last):
            ...
        babelmq.errors.NotPlainData: value is a object, which is not plain data and cannot be \
pushed: push its data as a dict, a list, a string or numbers
        """
        if id is None and self._session.pushes is None:
            data = self._publish(value, retain, ttl)
        else:
            data = self._publish(value, retain, ttl, self._id(id))
        if not self._connection.push_now(data):
            self._connection.run(self._session.push(data))

    def push_to(
        self,
        topic: str,
        value: Any,
        *,
        retain: bool = True,
        ttl: int | None = None,
        id: str | None = None,
    ) -> None:
        """Publishes ``value`` to another topic than the queue's, over the same connection; all else
        is as with :meth:`push`. What one queue pushes is routed in the order of its pushes, over
        all topics.

        Raises :class:`ValueError` for a topic with a control character; all other rules are the
        broker's.

        >>> with JSONQueue.consumer("/weather") as consumer:
        ...     with JSONQueue.producer("/weather") as producer:
        ...         producer.push_to("/weather/oslo", 21.5)
        ...         producer.push_to("/weather/rome", 30)
        ...     consumer.pull(), consumer.pull()
        (('/weather/oslo', 21.5), ('/weather/rome', 30))
        """
        data = self._to(topic)(value, retain, ttl, self._id(id))
        if not self._connection.push_now(data):
            self._connection.run(self._session.push(data))

    def pull(self, timeout: float | None = None) -> Delivery:
        """The next message: its topic and its value. Blocks until there is one.

        Of a durable consumer it is acknowledged when the same thread pulls again, in whichever way,
        or calls :meth:`ack`: that is how it says that its work is done. So what was pulled last
        before :meth:`close` is delivered again, if neither was done.

        Raises :class:`TimeoutError` after ``timeout`` seconds, by default the queue's own timeout,
        which says whether there was a connection, as :attr:`connected` does; ``timeout=0`` looks
        what has come; :class:`BrokerError` for what the broker refused, or when it ended the
        connection because this consumer was too slow (the next ``pull`` connects again);
        :class:`MalformedMessage` for one message that cannot be read; :class:`NotSubscribed` when
        nothing can ever come.

        >>> with JSONQueue("/silence") as consumer:
        ...     consumer.pull(timeout=0.01)
        Traceback (most recent call last):
            ...
        TimeoutError: nothing arrived from the broker in time
        """
        fields = self._pull(timeout)
        return fields["topic"], fields["message"]

    def _pull(self, timeout: float | None) -> Fields:
        """The next delivery, which is acknowledged with the next pull."""
        if self._pulled is not None:
            self.ack()
        fields = self._connection.next_delivery()
        if fields is None or "message" not in fields:
            fields = self._connection.run(self._session.pull(), timeout)
        if self._pulled is not None:
            self._pulled.seqs.append(fields["seq"])
            self._pulled.life = self._session.life
        return fields

    def ack(self) -> None:
        """Acknowledges what :meth:`pull` gave last to this thread, of a durable consumer; nothing
        where that is done. It does not wait for the broker, see :meth:`flush`.

        >>> with JSONQueue.consumer("orders", consumer="billing") as queue:  # doctest: +SKIP
        ...     topic, value = queue.pull()
        ...     queue.ack()
        """
        pulled = self._pulled
        if pulled is None or not pulled.seqs:
            return
        seqs, pulled.seqs = pulled.seqs, []
        if pulled.life != self._session.life:
            # This process was forked: the parent is at work.
            return
        more = self._connection.has_more()
        for seq in seqs:
            self._connection.settle({"command": "ack", "seq": seq}, more=more)

    def pull_one(self, timeout: float | None = None) -> StreamMessage:
        """The next message of a stream. What becomes of it is said by hand, with
        :meth:`StreamMessage.ack` and its like, or by a ``with``: its end acknowledges, and an
        exception gives the message back to be delivered again. Blocks and raises as :meth:`pull`
        does; :class:`ValueError` where the queue reads from no stream.

        >>> with JSONQueue.consumer("orders", consumer="billing") as queue:  # doctest: +SKIP
        ...     with queue.pull_one() as message:
        ...         print(message.value, message.seq, message.time, message.attempt)
        {'order': 5} 1 2026-11-29 17:00:00.123000+00:00 1
        """
        self._must_read_stream()
        if self._pulled is not None:
            self.ack()
        fields = self._connection.next_delivery()
        if fields is None or "message" not in fields:
            fields = self._connection.run(self._session.pull(), timeout)
        return self._kept(fields)

    def _kept(self, fields: Fields) -> StreamMessage:
        message = StreamMessage.of_fields(fields, self.codec.format)
        message._settle = self._connection.settle
        return message

    def pull_message(self, timeout: float | None = None) -> Message:
        """The next message with all that came with it: ``topic``, ``value``, whether it is a stored
        value (``retained``), and the ``format`` in which it came. Blocks and raises as :meth:`pull`
        does.

        >>> with JSONQueue("/a") as queue:
        ...     queue.push(1)
        ...     queue.pull_message()
        Message(topic='/a', value=1, retained=False, format=<Format.JSON: 0>, cleared=False)

        Of a queue that was made with ``cleared`` it also says when a last value was cleared, or has
        expired; every other way to pull passes over that.

        >>> with JSONQueue("/b", cleared=True) as queue:
        ...     queue.push(1)
        ...     queue.clear()
        ...     for message in queue.pull_message(), queue.pull_message():
        ...         print(message.topic, "is gone" if message.cleared else message.value)
        /b 1
        /b is gone

        Of a queue that reads from a stream it is a :class:`StreamMessage`, as of :meth:`pull_one`.
        """
        if self._pulled is not None:
            self.ack()
        fields = self._connection.next_delivery()
        if fields is None:
            fields = self._connection.run(self._session.pull(notices=True), timeout)
        return self._message(fields)

    def pull_stored(self, timeout: float | None = None) -> list[Message]:
        """The stored values that were not pulled yet, as soon as all have come: what is pulled
        afterwards is live.

        They are the last values that topics had when the subscription was made, or made again after
        a lost connection, in the order in which they were published. All of them are in memory at
        once; :meth:`pull_message` gives them one by one, and says of each message whether it is
        stored. Raises as :meth:`pull` does.

        >>> with JSONQueue.producer("/a/b") as producer:
        ...     producer.push(1)
        >>> with JSONQueue.consumer("/a") as consumer:
        ...     consumer.push("live")
        ...     [(stored.topic, stored.value) for stored in consumer.pull_stored()], consumer.pull()
        ([('/a/b', 1)], ('/a', 'live'))
        """
        stored = self._connection.run(self._session.pull_stored(), timeout)
        return [self._message(fields) for fields in stored]

    def flush(self) -> None:
        """Waits until the broker has routed everything that was pushed, and raises what it refused.

        What ``flush()`` confirmed was routed to every subscriber then present, and is on the disk
        of a broker that promises ``--fsync always``; that is the whole promise. Where that cannot
        write to its disk, ``flush()`` raises :class:`BrokerError` with the code ``storage-failed``,
        at once, and so does :meth:`clear`. It raises :class:`BrokerError` for what was refused
        since the last call that raised one (the rest was routed), and :class:`ConnectionLost` where
        the connection broke since the last ``flush()``: what was pushed in between may or may not
        have been routed. Messages that arrive meanwhile are kept for ``pull``.

        Of a queue that is ``reliable`` what was not confirmed is pushed again after the connection
        broke, and ``flush()`` waits until all of it is confirmed. So it is with acknowledgements:
        when it returns the broker has all of them.

        >>> with JSONQueue("/weather/temp", MiddlewareType.PRODUCER) as producer:
        ...     for celsius in range(20, 25):
        ...         producer.push(celsius)
        ...     producer.flush()
        """
        self._connection.run(self._session.flush())

    def list_topics(self, callback: OnTopics) -> None:
        """Asks which topics hold a value, and does not wait: a later :meth:`pull` calls
        ``callback`` with them.

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
        """The last value of ``topic``, by default the queue's own, without subscribing; ``default``
        without one.

        >>> with JSONQueue("/a/b", MiddlewareType.PRODUCER) as producer:
        ...     producer.push(1)
        ...     producer.get("/a/b"), producer.get("/a"), producer.get("/a", default="none")
        (1, None, 'none')
        """
        return self._connection.run(self._session.get(self._own(topic), default))

    def get_last(self, topic: str | None = None, count: int = 1) -> list[StreamMessage]:
        """The last messages of ``topic``, by default the queue's own, that a stream has kept: as
        many as there are, up to ``count``, which is at most 10,000; oldest first. Nothing is
        subscribed to, and nothing has to be acknowledged.

        Raises :class:`BrokerError` with the code ``no-stream`` where no stream keeps the topic.

        >>> with JSONQueue.producer("orders/5") as queue:  # doctest: +SKIP
        ...     [(message.seq, message.value) for message in queue.get_last(count=2)]
        [(6, 'paid'), (9, 'shipped')]
        """
        steps = self._session.get_last(self._own(topic), check_count(count))
        return [self._kept(fields) for fields in self._connection.run(steps)]

    def clear(self, topic: str | None = None) -> None:
        """Has the broker forget the last value of ``topic``, by default the queue's own. A topic is
        that topic alone; with a wildcard, ``/a/#`` or ``+/x``, it is all that it stands for.

        >>> with JSONQueue("/a/b", MiddlewareType.PRODUCER) as producer:
        ...     producer.push(1)
        ...     producer.clear()
        ...     producer.topics()
        []
        """
        self._connection.run(self._session.clear(self._own(topic)))

    def subscribe(self, topic: str | None = None) -> None:
        """Subscribes to ``topic`` too, by default to the queue's own, with the options that the
        queue was made with.

        Once it has returned nothing is missed. Of a topic that was subscribed to before, also where
        it was cancelled, the stored values come again. All subscriptions of a queue share its
        connection, and are made again with it. Raises :class:`BrokerError` for what the broker
        refuses, which it is not asked again.

        >>> with JSONQueue.producer("/a") as queue:
        ...     queue.subscribe("/b")
        ...     queue.push_to("/b", 1)
        ...     queue.pull()
        ('/b', 1)
        """
        self._connection.run(self._session.subscribe(self._own(topic)))

    def cancel(self, topic: str | None = None) -> None:
        """Ends the subscription to ``topic``, by default every one that the queue has. What arrived
        before can still be pulled; after it, where no subscription is left, ``pull`` raises
        :class:`NotSubscribed`, and iteration ends. :meth:`subscribe` begins again.

        >>> with JSONQueue("/a") as queue:
        ...     queue.push(1)
        ...     queue.cancel()
        ...     list(queue)
        [('/a', 1)]
        """
        self._connection.run(self._session.cancel(topic))

    def close(self) -> None:
        """Closes the connection without waiting for the broker: :meth:`flush` first, or use
        ``with``.

        What a durable consumer has acknowledged is confirmed before, in 5 s or in the queue's own
        timeout where that is shorter; the logger says what is not, which may be delivered again.
        What was pulled and not acknowledged is delivered again, to this consumer's other members or
        when it comes back; so is what :meth:`pull` gave last, unless :meth:`ack` was called.
        """
        if self._session.unsettled:
            with suppress(TimeoutError, BabelmqError):
                self._connection.run(self._session.confirm_settled(), self._patience())
            self._session.note_unsettled()
        self._connection.close()

    def _patience(self) -> float:
        return LAST_ACKS if self._timeout is None else min(self._timeout, LAST_ACKS)

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
    """A queue that speaks XML, typed by attributes: 21 arrives as 21 and not as "21", and a date
    as a date. Plain documents of other producers arrive as ``xmltodict`` would read them.

    >>> with XMLQueue("/a") as queue:
    ...     queue.push({"n": 21, "half": 0.5, "raw": b"\\x00", "none": None})
    ...     queue.pull()
    ('/a', {'n': 21, 'half': 0.5, 'raw': b'\\x00', 'none': None})
    """

    codec = XMLCodec()

    def push_document(
        self,
        document: str | bytes,
        *,
        retain: bool = True,
        ttl: int | None = None,
        id: str | None = None,
    ) -> None:
        """Publishes an XML document as it is. Nothing in it bears a type: consumers of other
        formats read it as text, the way ``xmltodict`` does. For programs whose messages are
        documents; :meth:`push` keeps types.

        ``document`` is text, or bytes in UTF-8, with one root and without a document type; else
        :class:`ValueError` is raised, and nothing is sent. All else is as with :meth:`push`.

        >>> with XMLQueue("/orders") as queue:
        ...     queue.push_document('<order id="5"><sku>X1</sku></order>')
        ...     queue.pull()
        ('/orders', {'order': {'@id': '5', 'sku': 'X1'}})
        """
        self._push_document(self.topic, document, retain, ttl, id)

    def push_document_to(
        self,
        topic: str,
        document: str | bytes,
        *,
        retain: bool = True,
        ttl: int | None = None,
        id: str | None = None,
    ) -> None:
        """Publishes an XML document as it is to another topic; see :meth:`push_document` and
        :meth:`push_to`.

        >>> with XMLQueue("/orders") as queue:
        ...     queue.push_document_to("/orders/5", "<order/>")
        ...     queue.pull_document()
        ('/orders/5', '<order/>')
        """
        self._push_document(check_topic(topic), document, retain, ttl, id)

    def _push_document(
        self, topic: str, document: str | bytes, retain: bool, ttl: int | None, id: str | None
    ) -> None:
        data = publish_document(topic, document, retain, ttl, self._id(id))
        if not self._connection.push_now(data):
            self._connection.run(self._session.push(data))

    def pull_document(self, timeout: float | None = None) -> tuple[str, str]:
        """The next message: its topic, and its XML as text. A document is as it was published, if
        it was published as XML; with ``plain``, what went through JSON or pickle is one again. Any
        message that is not one element, or that has types, is the element ``message`` in which the
        broker sent it; with ``root`` and ``plain`` there is none. Blocks and raises as :meth:`pull`
        does. The text has no document type; what parses it decides what else to make of it.

        >>> with XMLQueue("/orders") as queue:
        ...     queue.push_document('<order id="5"><sku>X1</sku></order>')
        ...     queue.pull_document()
        ('/orders', '<order id="5"><sku>X1</sku></order>')
        """
        fields = self._pull(timeout)
        return fields["topic"], document_of(fields)


class PickleQueue(Queue):
    """A queue that speaks pickle, of plain data, dates, exact numbers, UUIDs and arrays of numpy:
    what a pickle names beside these is never imported or called. Without numpy, an array arrives
    as a :class:`~babelmq.NDArray`.

    >>> with PickleQueue("/a") as queue:
    ...     queue.push({"point": (1, 2), "seen": frozenset({3})})
    ...     queue.pull()
    ('/a', {'point': (1, 2), 'seen': frozenset({3})})
    """

    codec = PickleCodec()
