"""Streams as a client speaks of them: what it says of messages, and what it keeps when a connection
ends. The broker is the small one of the tests; test_real_streams.py has a real one.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from alarms import Alarm, alarms, needs_alarms
from fake_broker import Scripted
from fake_streams import DAWN, StreamBroker
from kinds import Blocking, Kind
from proxy import PATIENCE, Proxy

from babelmq import BabelmqError, BrokerError, JSONQueue, Message, QueueClosed, StreamMessage, aio
from babelmq.unconfirmed import ASK_EVERY, MOST_UNCONFIRMED

NAMES = ["JSONQueue", "XMLQueue", "PickleQueue"]


@pytest.fixture
def streams(monkeypatch: pytest.MonkeyPatch) -> Iterator[StreamBroker]:
    """A broker that keeps all topics in the stream ``s``."""
    started = StreamBroker()
    monkeypatch.setenv("BABELMQ_ADDR", started.address)
    yield started
    started.close()


@pytest.fixture
def between(streams: StreamBroker) -> Iterator[Proxy]:
    """What a test can cut, between its clients and that broker."""
    started = Proxy(streams.address)
    yield started
    started.close()


def fill(streams: StreamBroker, *values: Any, topic: str = "/o") -> None:
    with JSONQueue.producer(topic, address=streams.address, timeout=PATIENCE) as producer:
        for value in values:
            producer.push(value)


def said(streams: StreamBroker) -> list[tuple[str, int]]:
    """What was said of messages, in its order."""
    return [(one["command"], int(one["seq"])) for one in streams.told if "seq" in one]


def consumer_of(kind: Kind, name: str = "JSONQueue", **options: Any) -> Any:
    given = {"consumer": "billing", "start": "all", "timeout": PATIENCE, **options}
    return kind(name, "/o", **given)


# --- what is said of messages ---------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_a_pull_acknowledges_the_one_before(name: str, kind: Kind, streams: StreamBroker) -> None:
    fill(streams, "one", "two", "three")
    queue = consumer_of(kind, name)
    assert queue.pending == 3
    assert [queue.pull() for _ in range(3)] == [("/o", "one"), ("/o", "two"), ("/o", "three")]
    queue.flush()
    assert said(streams) == [("ack", 1), ("ack", 2)]
    with pytest.raises(TimeoutError):
        queue.pull(timeout=0.01)
    queue.flush()
    assert said(streams) == [("ack", 1), ("ack", 2), ("ack", 3)]


def test_close_does_not_acknowledge_the_last_one(kind: Kind, streams: StreamBroker) -> None:
    fill(streams, 1, 2, 3)
    queue = consumer_of(kind, window=1)
    queue.pull()
    queue.pull()
    queue.close()
    assert said(streams) == [("ack", 1)]
    assert streams.left.acquire(timeout=PATIENCE)
    queue = consumer_of(kind)
    assert queue.pull() == ("/o", 2)
    queue.ack()
    queue.ack()
    queue.close()
    assert said(streams) == [("ack", 1), ("ack", 2)]
    assert streams.left.acquire(timeout=PATIENCE)
    assert consumer_of(kind).pull() == ("/o", 3)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_said_by_hand(name: str, kind: Kind, streams: StreamBroker) -> None:
    fill(streams, *range(5))
    queue = consumer_of(kind, name)
    one, two, three, four, five = (queue.pull_one() for _ in range(5))
    wait_for: Any = getattr(queue, "wait_for", lambda done: done)
    wait_for(three.ack())
    wait_for(one.touch())
    wait_for(one.nak(2.5))
    wait_for(two.nak())
    wait_for(four.reject("no such customer: \x00"))
    assert [message.settled for message in (one, two, three, four, five)] == [True] * 4 + [False]
    # The first counts.
    for message in (one, two, three, four):
        wait_for(message.ack())
        wait_for(message.nak())
        wait_for(message.touch())
    queue.flush()
    assert said(streams) == [("ack", 3), ("touch", 1), ("nak", 1), ("nak", 2), ("reject", 4)]
    said_of_it = {one["command"]: one for one in streams.told if "seq" in one}
    assert float(streams.told[3]["delay"]) == 2.5
    assert "delay" not in said_of_it["nak"]
    assert said_of_it["reject"]["reason"] == "no such customer: \ufffd"
    for wrong in (-1, float("nan"), float("inf"), "1"):
        with pytest.raises(ValueError, match="delay is a number"):
            wait_for(five.nak(wrong))
    with pytest.raises(TypeError, match="a reason is a str"):
        wait_for(five.reject(ValueError("no")))
    assert not five.settled
    wait_for(five.reject("ü" * 2000))
    queue.flush()
    assert streams.told[-1]["reason"] == "ü" * 512


@pytest.mark.parametrize("name", NAMES)
def test_what_a_message_tells(name: str, kind: Kind, streams: StreamBroker) -> None:
    fill(streams, {"n": 1}, 2)
    queue = consumer_of(kind, name)
    one = queue.pull_message()
    assert isinstance(one, (StreamMessage, aio.StreamMessage))
    assert (one.topic, one.value, one.stream, one.seq, one.attempt, one.consumer) == (
        *("/o", {"n": 1}, "s", 1, 1, "billing"),
    )
    assert one.time == DAWN + timedelta(milliseconds=1)
    assert one == Message("/o", {"n": 1}, False, one.format, False)
    assert repr(one) == (
        "StreamMessage(topic='/o', value={'n': 1}, stream='s', seq=1, "
        "time=2026-11-29T17:00:00.001000+00:00, attempt=1, consumer='billing')"
    )
    getattr(queue, "wait_for", id)(one.nak())
    assert queue.pull_one().value == 2
    again = queue.pull_one()
    assert (again.seq, again.attempt) == (1, 2)


def test_a_context_settles(streams: StreamBroker) -> None:
    fill(streams, *range(4))
    queue = consumer_of(Blocking)
    with queue.pull_one() as message:
        assert message.value == 0
    with pytest.raises(KeyError), queue.pull_one():
        raise KeyError
    with queue.pull_one() as message:
        message.reject()
    with pytest.raises(KeyError), queue.pull_one() as message:
        message.nak(60)
        raise KeyError
    queue.close()
    assert said(streams) == [("ack", 1), ("nak", 2), ("reject", 3), ("nak", 4)]
    assert float(streams.told[-1]["delay"]) == 60


def test_an_asynchronous_context_settles(streams: StreamBroker) -> None:
    fill(streams, *range(3))

    async def main() -> None:
        async with aio.JSONQueue.consumer("/o", consumer="c", start="all", timeout=5) as queue:
            async with queue.pull_one() as message:
                assert message.value == 0
            with pytest.raises(KeyError):
                async with queue.pull_one():
                    raise KeyError
            message = await queue.pull_one()
            await message.ack()

    asyncio.run(main())
    assert said(streams) == [("ack", 1), ("nak", 2), ("ack", 3)]


def test_a_message_of_a_queue_that_was_closed(streams: StreamBroker) -> None:
    fill(streams, 1)
    queue = consumer_of(Blocking)
    message = queue.pull_one()
    queue.close()
    with pytest.raises(QueueClosed):
        message.ack()


def test_acknowledgements_of_a_burst_share_writes(between: Proxy, streams: StreamBroker) -> None:
    fill(streams, *range(2000))
    queue = consumer_of(Blocking, address=between.address, window=2000)
    while len(queue.queue._session._kept) < 2000:
        queue.flush()
    writes: list[int] = []
    write = queue.queue._connection._write

    def counted() -> None:
        writes.append(1)
        write()

    queue.queue._connection._write = counted
    for _ in range(2000):
        queue.pull(timeout=0)
    queue.flush()
    assert said(streams) == [("ack", seq) for seq in range(1, 2000)]
    assert len(writes) < 100
    queue.close()


def test_every_pull_acknowledges_what_came_before(kind: Kind, streams: StreamBroker) -> None:
    fill(streams, 1, 2, 3)
    queue = consumer_of(kind, "XMLQueue")
    assert queue.pull_document() == ("/o", '<message type="int">1</message>')
    assert queue.pull_message().value == 2
    assert queue.pull_one().value == 3
    queue.flush()
    assert said(streams) == [("ack", 1)]


def test_iteration_acknowledges(streams: StreamBroker) -> None:
    fill(streams, 1, 2, 3)
    with JSONQueue.consumer("/o", consumer="c", start="all") as queue:
        for _, value in queue:
            if value == 3:
                break
    assert said(streams) == [("ack", 1), ("ack", 2)]


# --- whose work it is -----------------------------------------------------------------------------


def test_a_pull_acknowledges_what_its_own_thread_has_done(streams: StreamBroker) -> None:
    fill(streams, *range(5))
    queue = JSONQueue.consumer("/o", consumer="c", start="all", timeout=PATIENCE)
    pulled: list[Any] = [queue.pull()]
    for _ in range(2):
        thread = threading.Thread(target=lambda: pulled.extend([queue.pull(), queue.pull()]))
        thread.start()
        thread.join(PATIENCE)
    queue.flush()
    # Of each thread the first; not this one's, nor the last of a thread that has ended.
    assert said(streams) == [("ack", 2), ("ack", 4)]
    queue.ack()
    queue.close()
    assert said(streams)[2:] == [("ack", 1)]


def test_a_pull_acknowledges_what_its_own_task_has_done(streams: StreamBroker) -> None:
    fill(streams, *range(7))

    async def main() -> None:
        async with aio.JSONQueue.consumer("/o", consumer="c", start="all", timeout=5) as queue:

            async def work() -> None:
                await queue.pull()
                await queue.pull()

            await queue.pull()
            await asyncio.gather(work(), asyncio.wait_for(work(), 5))
            await queue.flush()
            assert said(streams) == [("ack", 2), ("ack", 4)]
            # It is awaited by another task, and this one's.
            await asyncio.wait_for(queue.pull(), 5)
            await asyncio.ensure_future(queue.pull_message())
            await queue.flush()
            assert said(streams) == [("ack", 2), ("ack", 4), ("ack", 1), ("ack", 6)]

    asyncio.run(main())


@pytest.mark.skipif(not hasattr(os, "fork"), reason="it needs a system that forks")
def test_a_child_does_not_acknowledge_what_its_parent_has_pulled(streams: StreamBroker) -> None:
    fill(streams, *range(4))
    queue = JSONQueue.consumer("/o", consumer="c", start="all", timeout=PATIENCE, window=1)
    assert queue.pull() == ("/o", 0)
    child = os.fork()
    if child == 0:
        code = 1
        try:
            assert queue.pull() == ("/o", 1)
            assert queue.pull() == ("/o", 2)
            queue.flush()
            code = 0
        finally:
            os._exit(code)
    assert os.waitpid(child, 0)[1] == 0
    assert said(streams) == [("ack", 2)]
    queue.ack()
    queue.flush()
    assert said(streams) == [("ack", 2), ("ack", 1)]
    queue.close()


# --- a connection that ends -----------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_what_was_not_acknowledged_comes_again_and_once(
    name: str, kind: Kind, between: Proxy, streams: StreamBroker
) -> None:
    fill(streams, *range(10))
    queue = consumer_of(kind, name, address=between.address)
    assert [queue.pull()[1] for _ in range(4)] == [0, 1, 2, 3]
    queue.flush()  # All ten are in the client now.
    between.cut()
    queue.flush()  # It has another connection.
    seen = [queue.pull_message() for _ in range(6)]
    # What pull() gave last is acknowledged on the new connection, and no other comes twice.
    assert [(message.value, message.attempt) for message in seen] == [(n, 2) for n in range(4, 10)]
    queue.flush()
    assert set(said(streams)) == {("ack", seq) for seq in range(1, 5)}


@pytest.mark.parametrize("name", NAMES)
def test_an_acknowledgement_that_is_lost_with_its_connection_is_said_again(
    name: str, kind: Kind, between: Proxy, streams: StreamBroker
) -> None:
    fill(streams, *range(6))
    queue = consumer_of(kind, name, address=between.address)
    queue.flush()
    between.stall()
    for number in range(4):
        assert queue.pull()[1] == number
    three = queue.pull_one()
    getattr(queue, "wait_for", id)(three.reject("no"))
    assert said(streams) == []
    between.cut()
    between.flow()
    queue.flush()
    # Five of them come again, because they were not settled when the connection ended; none of them
    # is pulled again.
    last = queue.pull_one()
    assert (last.value, last.attempt) == (5, 2)
    queue.flush()
    assert set(said(streams)) == {*(("ack", seq) for seq in range(1, 5)), ("reject", 5)}
    assert streams.consumers["billing"].out.keys() == {6}
    assert streams.consumers["billing"].dead == {5: "no"}


def test_what_comes_again_too_late_is_not_pulled_again(kind: Kind, streams: StreamBroker) -> None:
    """The broker has given it up and delivers it again, and the acknowledgement crosses that."""
    fill(streams, 1, 2)
    queue = consumer_of(kind)
    message = queue.pull_one()
    with streams._lock:
        consumer = streams.consumers["billing"]
        peer = consumer.out[1]
        consumer.attempts[1] = 2
        streams._send(peer, {**streams._kept(1, 2), "consumer": "billing"})
    getattr(queue, "wait_for", id)(message.ack())
    assert queue.pull_one().value == 2
    with pytest.raises(TimeoutError):
        queue.pull_one(timeout=0.01)
    # An administrator wants it to be delivered again: that is news.
    queue.flush()
    with streams._lock:
        consumer.out[1] = peer
        streams._send(peer, {**streams._kept(1, 2), "consumer": "billing"})
    assert queue.pull_one().seq == 1


def test_acknowledgements_without_a_connection_are_said_on_the_next_one(
    kind: Kind, between: Proxy, streams: StreamBroker
) -> None:
    fill(streams, 1, 2)
    queue = consumer_of(kind, address=between.address, window=1)
    message = queue.pull_one()
    between.down()
    with pytest.raises(TimeoutError):
        queue.pull(timeout=0.05)
    getattr(queue, "wait_for", id)(message.ack())
    between.up()
    queue.flush()
    # Twice where it was delivered again meanwhile.
    assert set(said(streams)) == {("ack", 1)}
    assert queue.pull() == ("/o", 2)


def test_close_waits_for_a_confirmation_and_not_for_ever(
    kind: Kind, between: Proxy, streams: StreamBroker, caplog: pytest.LogCaptureFixture
) -> None:
    fill(streams, 1, 2)
    queue = consumer_of(kind, address=between.address, timeout=0.2)
    queue.pull()
    between.stall()
    queue.ack()
    with caplog.at_level(logging.WARNING):
        queue.close()
    assert "1 acknowledgements were not confirmed (topic /o)" in caplog.text
    between.cut()
    between.flow()
    assert said(streams) == []


def test_a_queue_that_was_cancelled_has_given_everything_back(
    kind: Kind, streams: StreamBroker
) -> None:
    fill(streams, 1, 2, 3)
    queue = consumer_of(kind)
    message = queue.pull_one()
    queue.cancel()
    getattr(queue, "wait_for", id)(message.ack())
    queue.flush()
    assert said(streams) == []
    other = consumer_of(kind)
    assert [other.pull()[1] for _ in range(3)] == [1, 2, 3]
    with pytest.raises(BabelmqError, match="no subscription"):
        queue.pull()
    queue.subscribe()
    with pytest.raises(ValueError, match="has one subscription"):
        queue.subscribe("/other")


@needs_alarms
def test_a_hail_of_alarms_loses_nothing(streams: StreamBroker) -> None:
    fill(streams, *range(300))
    seen: set[int] = set()
    queue = JSONQueue.consumer("/o", consumer="c", start="all", timeout=0.5, window=20)
    struck = 0

    def may_strike() -> bool:
        # Each may cost the connection, and the pauses before the next one grow.
        return struck < 6

    while len(seen) < 300:
        try:
            with alarms(0.001, once=may_strike):
                while len(seen) < 300:
                    seen.add(queue.pull()[1])
        except Alarm:
            struck += 1
        except TimeoutError:
            # Some were in nobody's hands when an alarm struck. They are outstanding, and come
            # again with the next connection; with a real broker their time is over some day.
            streams.drop_all()
    assert struck > 0
    done = {seq for command, seq in said(streams) if command == "ack"}
    assert {seq - 1 for seq in done} <= seen
    queue.close()


# --- followers and the past -----------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_a_follower_goes_on_where_it_was(
    name: str, kind: Kind, between: Proxy, streams: StreamBroker
) -> None:
    fill(streams, *range(5))
    queue = kind(name, "/o", address=between.address, start="all", timeout=PATIENCE)
    assert queue.pending == 5
    assert [queue.pull()[1] for _ in range(3)] == [0, 1, 2]
    between.cut()
    fill(streams, 5, 6)
    assert [queue.pull()[1] for _ in range(4)] == [3, 4, 5, 6]
    message = queue.get_last(count=1)[0]
    assert (message.value, message.seq, message.consumer) == (6, 7, None)
    # It had read more than was pulled.
    first, second = (one["start"] for one in streams.told)
    assert (first, int(second)) in [("all", read + 1) for read in (3, 4, 5)]
    assert said(streams) == []


@pytest.mark.parametrize("name", NAMES)
def test_a_follower_that_has_had_no_message_misses_none(
    name: str, kind: Kind, between: Proxy, streams: StreamBroker
) -> None:
    fill(streams, 1)
    queue = kind(name, "/o", address=between.address, start="new", timeout=PATIENCE)
    assert queue.pending == 0
    between.cut()
    fill(streams, 2, 3)
    assert [queue.pull()[1] for _ in range(2)] == [2, 3]
    first, second = (one["start"] for one in streams.told)
    assert (first, int(second)) == ("new", 2)


def test_a_follower_has_nothing_to_acknowledge(streams: StreamBroker) -> None:
    fill(streams, 1, 2)
    with JSONQueue.consumer("/o", start=2, timeout=PATIENCE) as queue:
        with queue.pull_one() as message:
            assert (message.value, message.consumer) == (2, None)
        for tell in (message.ack, message.nak, message.touch, message.reject):
            with pytest.raises(BabelmqError, match="consumer='name'"):
                tell()
        queue.ack()


def test_the_last_messages(kind: Kind, streams: StreamBroker) -> None:
    fill(streams, *range(10))
    fill(streams, "other", topic="/o/p")
    queue = consumer_of(kind)
    assert [message.value for message in queue.get_last(count=3)] == [7, 8, 9]
    assert [message.value for message in queue.get_last("/o/p", 3)] == ["other"]
    assert queue.get_last("/none") == []
    for wrong in (0, 10_001, True, "3"):
        with pytest.raises(ValueError, match="count is a number"):
            queue.get_last(count=wrong)
    streams.denied.add("/secret")
    with pytest.raises(BrokerError, match="not-permitted"):
        queue.get_last("/secret")
    assert [message.value for message in queue.get_last("/o/p")] == ["other"]
    # What was asked for came between messages that are still to be pulled.
    assert [queue.pull()[1] for _ in range(11)] == [*range(10), "other"]


def test_an_answer_that_came_too_late_is_nobody_elses(
    kind: Kind, between: Proxy, streams: StreamBroker
) -> None:
    fill(streams, 1)
    fill(streams, 2, topic="/p")
    queue = kind("JSONQueue", "/o", start="new", address=between.address, timeout=PATIENCE)
    short = kind("JSONQueue", "/o", start="new", address=between.address, timeout=0.1)
    between.stall()
    with pytest.raises(TimeoutError):
        short.get_last("/o")
    between.flow()
    while True:
        try:
            found = short.get_last("/p")
        except TimeoutError:
            continue
        break
    assert [message.value for message in found] == [2]
    assert [message.value for message in queue.get_last("/p", 5)] == [2]


# --- reliable producers ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_a_reliable_producer_loses_nothing_and_repeats_nothing(
    name: str, kind: Kind, between: Proxy, streams: StreamBroker
) -> None:
    producer = kind(
        name, "/o", _producer(), address=between.address, reliable=True, timeout=PATIENCE
    )
    for number in range(3000):
        producer.push(number)
        if number % 500 == 250:
            between.cut(reset=number % 1000 == 250)
    producer.flush()
    # A topic's values are in the order of the pushes, and what was said again is known by its id.
    assert [value for _, value in streams.log] == list(range(3000))
    assert between.accepted > 2
    assert len(producer._session.pushes) == 0


def _producer() -> Any:
    from babelmq import MiddlewareType

    return MiddlewareType.PRODUCER


def test_what_was_not_sent_before_the_connection_ended_is_sent_again(
    kind: Kind, between: Proxy, streams: StreamBroker
) -> None:
    producer = kind("JSONQueue", "/o", _producer(), address=between.address, reliable=True)
    producer.push(0)
    producer.flush()
    between.stall()
    for number in range(1, 50):
        producer.push(number)
    producer.push(50, id="order 50")
    between.cut()
    between.flow()
    producer.flush()
    assert [value for _, value in streams.log] == list(range(51))
    assert "order 50" in streams.ids


def test_a_producer_that_is_not_reliable_says_what_may_be_lost(
    kind: Kind, between: Proxy, streams: StreamBroker
) -> None:
    producer = kind("JSONQueue", "/o", _producer(), address=between.address)
    producer.push(0)
    producer.flush()
    between.stall()
    producer.push(1, id="one")
    between.cut()
    between.flow()
    with pytest.raises(BabelmqError, match="may be lost"):
        producer.flush()
    assert streams.ids == set()


def test_a_reliable_producer_waits_when_much_is_not_confirmed(
    kind: Kind, streams: StreamBroker
) -> None:
    producer = kind("JSONQueue", "/o", _producer(), reliable=True, timeout=1)
    producer.flush()
    streams.answers = False
    large, pushed = "x" * 100_000, 0
    with pytest.raises(TimeoutError):
        while True:
            producer.push(large)
            pushed += 1
    assert MOST_UNCONFIRMED <= pushed * len(large) <= MOST_UNCONFIRMED + len(large)
    streams.answers = True
    producer.flush()
    # The one that had to wait in vain was not sent.
    assert len(streams.log) == pushed
    assert len(producer._session.pushes) == 0
    producer.push("more")
    producer.flush()


def test_the_broker_is_asked_now_and_then(streams: StreamBroker) -> None:
    with JSONQueue.producer("/o", reliable=True, timeout=PATIENCE) as producer:
        large = "x" * 1000
        for _ in range(20 * ASK_EVERY // 1000):
            producer.push(large)
        assert producer._session._last_id >= 5
        assert producer._session.pushes is not None


def test_a_message_that_is_too_large_is_given_up(kind: Kind, streams: StreamBroker) -> None:
    streams.most = 100_000
    producer = kind("JSONQueue", "/o", _producer(), reliable=True, timeout=PATIENCE)
    producer.push("before")
    producer.push("x" * 200_000)
    with pytest.raises(BrokerError, match="frame-too-large"):
        for _ in range(10):
            producer.flush()
    producer.push("after")
    producer.flush()
    assert [value for _, value in streams.log] == ["before", "after"]


def test_an_id_that_cannot_be(kind: Kind, streams: StreamBroker) -> None:
    for name in NAMES:
        producer = kind(name, "/o", _producer(), timeout=PATIENCE)
        for wrong in ("", "x" * 129, "ü" * 65, "a\x00", "\ud800"):
            with pytest.raises(ValueError, match="id"):
                producer.push(1, id=wrong)
        with pytest.raises(TypeError, match="an id is a str"):
            producer.push(1, id=7)
        for number in range(2):
            producer.push(f"once {number}", id=f'<"ü&{name}')
        producer.flush()
    assert [value for _, value in streams.log] == ["once 0"] * 3


# --- what is asked for ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_what_a_consumer_asks_for(name: str, kind: Kind, streams: StreamBroker) -> None:
    kind(
        name,
        "/o",
        consumer="c",
        stream="s",
        start=7,
        window=10,
        ack_wait=0.5,
        max_deliver=3,
        backoff=(1, 0.5),
        order="topic",
        timeout=PATIENCE,
    )
    told = streams.told[0]
    assert (told["consumer"], told["stream"], told["order"]) == ("c", "s", "topic")
    assert [float(told[field]) for field in ("start", "window", "ack-wait", "max-deliver")] == [
        *(7, 10, 0.5, 3),
    ]
    assert list(told["backoff"]) == [1, 0.5]


@pytest.mark.parametrize(
    ("start", "told"),
    [
        ("last", "last"),
        (5, 5),
        ("2026-11-29T17:00:00.5+01:00", "2026-11-29T17:00:00.5+01:00"),
        (datetime(2026, 11, 29, 12, 30, tzinfo=timezone.utc), "2026-11-29T12:30:00.000Z"),
        (
            datetime(2026, 11, 29, 0, 0, 0, 123_999, timezone(timedelta(hours=1))),
            "2026-11-28T23:00:00.123Z",
        ),
    ],
)
def test_where_a_consumer_begins(start: Any, told: Any) -> None:
    from babelmq.stream_options import stream_options

    options = stream_options("c", None, start, None, None, None, None, None)
    assert options is not None and options.fields() == {"consumer": "c", "start": told}


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"consumer": ""}, "consumer is a name"),
        ({"consumer": 7}, "consumer is a name"),
        ({"stream": "s"}, "stream is for a queue that reads"),
        ({"window": 5}, "window is for a durable consumer"),
        ({"start": "all", "order": "topic"}, "order is for a durable consumer"),
        ({"consumer": "c", "window": 0}, "window is a number from 1 to 65536"),
        ({"consumer": "c", "window": 65_537}, "window is a number"),
        ({"consumer": "c", "window": True}, "window is a number"),
        ({"consumer": "c", "max_deliver": 0}, "max_deliver is a number"),
        ({"consumer": "c", "ack_wait": 0}, "ack_wait is a number of seconds"),
        ({"consumer": "c", "ack_wait": float("nan")}, "ack_wait is a number of seconds"),
        ({"consumer": "c", "backoff": []}, "backoff is a list"),
        ({"consumer": "c", "backoff": 5}, "backoff is a list"),
        ({"consumer": "c", "backoff": [1, -1]}, "backoff is a list"),
        ({"consumer": "c", "order": "seq"}, "order is one of none, topic"),
        ({"start": "yesterday"}, "start is 'new', 'all', 'last'"),
        ({"start": 0}, "start is"),
        ({"start": True}, "start is"),
        ({"start": "2026-11-29T17:00:00"}, "start is"),
        ({"start": datetime(2026, 11, 29)}, "without a time zone"),
    ],
)
def test_what_cannot_be_meant(options: Any, problem: str, kind: Kind) -> None:
    with pytest.raises(ValueError, match=problem):
        kind("JSONQueue", "/o", **options)


def test_pull_one_is_for_streams(kind: Kind, streams: StreamBroker) -> None:
    queue = kind("JSONQueue", "/o", timeout=PATIENCE)
    with pytest.raises(ValueError, match="reads from no stream"):
        queue.pull_one()
    assert queue.pending is None
    queue.ack()


@pytest.mark.parametrize("lacks", ["stream", "time", "seq"])
def test_a_delivery_that_lacks_something(lacks: str, kind: Kind) -> None:
    from fake_broker import encode

    delivery = {
        **{"command": "publish", "topic": "/o", "stream": "s", "consumer": "c", "seq": 1},
        **{"time": "2026-11-29T17:00:00Z", "message": 1},
    }
    delivery[lacks] = "x" if lacks != "stream" else None
    del delivery["stream" if lacks == "stream" else "consumer"]

    def serve(peer: Any) -> None:
        peer.recv(1000)
        peer.sendall(encode(0, {"command": "subscribed", "topic": "/o", "values": 0}))
        peer.sendall(encode(0, delivery))
        while peer.recv(1000):
            pass

    peer = Scripted(serve)
    queue = kind("JSONQueue", "/o", consumer="c", address=peer.address, timeout=PATIENCE)
    with pytest.raises(BabelmqError, match=r"lacks something|has no number"):
        queue.pull_one()
    queue.close()
    peer.close()
