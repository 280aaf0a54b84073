"""Streams and durable consumers with a real broker: what is delivered again and to whom, what
survives the death of a worker and of the broker, and what the past holds.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from real_broker import BINARY, RealBroker

from babelmq import BrokerError, JSONQueue, PickleQueue, Queue, XMLQueue, aio

pytestmark = pytest.mark.skipif(
    not BINARY, reason="it needs a real broker: set BABELMQ_BIN; `make test` does"
)

QUEUES: list[type[Queue]] = [JSONQueue, XMLQueue, PickleQueue]
ENDS = ["kill", "close"]
PATIENCE = 30.0
SOON = 0.3
"""Seconds to acknowledge a message, in tests that let them pass."""


TICK = 0.002
"""Seconds: a broker counts whole milliseconds, and two clocks are compared."""


@pytest.fixture
def orders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RealBroker]:
    """A broker that keeps orders, and may be ended and started again."""
    started = RealBroker(
        *("--data-dir", str(tmp_path), "--stream", "orders:filter=orders/#"),
        *("--stream", "small:filter=small/#,messages=3,full=refuse"),
    )
    monkeypatch.setenv("BABELMQ_ADDR", started.address)
    yield started
    started.close()


def fill(*values: Any, topic: str = "orders/new") -> None:
    with PickleQueue.producer(topic, timeout=PATIENCE) as producer:
        for value in values:
            producer.push(value)


def billing(queue_type: type[Queue] = JSONQueue, **options: Any) -> Queue:
    given = {"consumer": "billing", "start": "all", "timeout": PATIENCE, **options}
    return queue_type.consumer("orders", **given)


def values_of(queue: Queue, count: int) -> list[Any]:
    return [queue.pull()[1] for _ in range(count)]


# --- what is delivered again ----------------------------------------------------------------------


@pytest.mark.parametrize("queue_type", QUEUES)
def test_what_is_given_back_comes_again(queue_type: type[Queue], orders: RealBroker) -> None:
    fill("first", "second")
    with billing(queue_type) as queue:
        queue.pull_one().nak()
        message, other = sorted([queue.pull_one(), queue.pull_one()], key=lambda one: one.seq)
        assert (message.value, message.seq, message.attempt) == ("first", 1, 2)
        assert (other.value, other.attempt) == ("second", 1)
        given_back = time.monotonic()
        message.nak(0.4)
        other.ack()
        again = queue.pull_one()
        assert time.monotonic() - given_back >= 0.4 - TICK
        assert (again.value, again.attempt, again.consumer) == ("first", 3, "billing")
        again.ack()
    with billing(queue_type) as queue:
        assert queue.pending == 0


@pytest.mark.parametrize("queue_type", QUEUES)
def test_what_is_not_acknowledged_in_time_goes_to_another(
    queue_type: type[Queue], orders: RealBroker
) -> None:
    with billing(queue_type, ack_wait=SOON) as one:
        fill("slow")
        message = one.pull_one()
        with billing(queue_type) as other:
            # As long as it says that it works, nobody else gets it.
            for _ in range(6):
                message.touch()
                with pytest.raises(TimeoutError):
                    other.pull(timeout=SOON / 2)
            one.cancel()
            again = other.pull_one()
            assert (again.value, again.attempt) == ("slow", 2)
            # Nobody but this one is left, so its own time is over too.
            third = other.pull_one()
            assert (third.value, third.attempt) == ("slow", 3)
            third.ack()
            other.flush()
            with pytest.raises(TimeoutError):
                other.pull(timeout=2 * SOON)


def test_the_pauses_before_a_message_comes_again(orders: RealBroker) -> None:
    fill("often")
    with billing(max_deliver=4, backoff=[0.05, 0.3]) as queue:
        times = []
        for attempt in (1, 2, 3, 4):
            message = queue.pull_one()
            assert message.attempt == attempt
            times.append(time.monotonic())
            message.nak()
        pauses = [after - before for before, after in zip(times, times[1:])]
        assert pauses[0] >= 0.05 - TICK and min(pauses[1:]) >= 0.3 - TICK


@pytest.mark.parametrize("queue_type", QUEUES)
def test_dead_letters(queue_type: type[Queue], orders: RealBroker) -> None:
    with queue_type.consumer(
        "$dead/billing", consumer="undertaker", start="all", timeout=PATIENCE
    ) as undertaker:
        fill({"order": 5}, {"order": 6})
        with billing(queue_type, max_deliver=2, window=1) as queue:
            queue.pull_one().reject('no such "customer" <5>')
            for _ in range(2):
                with pytest.raises(KeyError), queue.pull_one() as message:
                    raise KeyError(message.value["order"])
            rejected, exhausted = undertaker.pull_one(), undertaker.pull_one()
            assert rejected.topic == exhausted.topic == "$dead/billing/orders/new"
            for letter, order, attempts in ((rejected, 5, 1), (exhausted, 6, 2)):
                found = letter.value
                assert found["message"] == {"order": order}
                assert (found["topic"], found["attempts"]) == ("orders/new", attempts)
                assert (found["stream"], found["seq"]) == ("orders", order - 4)
            assert rejected.value["reason"] == 'no such "customer" <5>'
            with pytest.raises(TimeoutError):
                queue.pull(timeout=0.1)


# --- who does the work ----------------------------------------------------------------------------

WORKER = """
import sys
from babelmq import {0}
with {0}.consumer("orders", consumer="billing", start="all", window=8) as queue:
    print("ready", flush=True)
    for topic, value in queue:
        print(value, flush=True)
"""


class Worker:
    """A process that prints what it is given, and acknowledges it."""

    def __init__(self, queue_type: type[Queue]) -> None:
        command = [sys.executable, "-c", WORKER.format(queue_type.__name__)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.lines = self.process.stdout
        assert self.lines.readline() == "ready\n"

    def take(self, count: int) -> list[int]:
        return [int(self.lines.readline()) for _ in range(count)]

    def kill(self) -> list[int]:
        """Ends it without a warning, and gives what it has printed."""
        self.process.kill()
        rest = [int(line) for line in self.lines.read().splitlines()]
        self.process.wait(PATIENCE)
        self.lines.close()
        return rest


@pytest.mark.parametrize("queue_type", QUEUES)
def test_the_others_do_what_a_worker_that_was_killed_has_not(
    queue_type: type[Queue], orders: RealBroker
) -> None:
    workers = [Worker(queue_type) for _ in range(3)]
    with queue_type.producer("orders/new", timeout=PATIENCE) as producer:
        for number in range(300):
            producer.push(number)
            if number == 50:
                producer.flush()
                done = workers[0].take(3) + workers[0].kill()
    others: list[int] = []
    threads = [threading.Thread(target=lambda w=w: others.extend(iter_of(w))) for w in workers[1:]]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + PATIENCE
    while set(done) | set(others) != set(range(300)) and time.monotonic() < deadline:
        threads[0].join(0.01)
    for worker in workers[1:]:
        worker.process.kill()
    for thread, worker in zip(threads, workers[1:]):
        thread.join(PATIENCE)
        worker.process.wait(PATIENCE)
        worker.lines.close()
    assert set(done) | set(others) == set(range(300))
    # What comes twice is what the one that was killed had in its hands: the last one that it has
    # printed, and those whose acknowledgements had not been sent.
    assert len(set(others)) == len(others)
    assert len(set(done) & set(others)) <= 8


def iter_of(worker: Worker) -> Iterator[int]:
    for line in worker.lines:
        yield int(line)


@pytest.mark.parametrize("queue_type", QUEUES)
def test_threads_share_a_consumer(queue_type: type[Queue], orders: RealBroker) -> None:
    fill(*range(1000))
    seen: list[Any] = []
    with billing(queue_type, window=64) as queue:

        def work() -> None:
            while True:
                try:
                    seen.append(queue.pull(timeout=1)[1])
                except TimeoutError:
                    return

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE)
    assert sorted(seen) == list(range(1000))
    with billing(queue_type) as queue:
        assert queue.pending == 0


def test_tasks_share_a_consumer(orders: RealBroker) -> None:
    fill(*range(1000))
    seen: list[Any] = []

    async def main() -> None:
        async with aio.PickleQueue.consumer(
            "orders", consumer="billing", start="all", window=64, timeout=PATIENCE
        ) as queue:

            async def work() -> None:
                while len(seen) < 990:
                    async with queue.pull_one() as message:
                        seen.append(message.value)

            async def pull() -> None:
                while len(seen) < 1000:
                    try:
                        seen.append((await asyncio.wait_for(queue.pull(), 1))[1])
                    except asyncio.TimeoutError:
                        return
                await queue.ack()

            await asyncio.gather(work(), work())
            await pull()

    asyncio.run(main())
    assert sorted(seen) == list(range(1000))
    with billing() as queue:
        assert queue.pending == 0


def test_no_more_than_the_window_is_in_the_hands_of_one(orders: RealBroker) -> None:
    fill(*range(10))
    with billing(window=3) as one, billing(window=3) as other:
        held = [one.pull_one() for _ in range(3)]
        with pytest.raises(TimeoutError):
            one.pull_one(timeout=0.1)
        assert {message.value for message in held} | set(values_of(other, 7)) == set(range(10))
        held[0].ack()
        with pytest.raises(TimeoutError):
            one.pull_one(timeout=0.1)


def test_the_messages_of_a_topic_stay_in_order(orders: RealBroker) -> None:
    for number in range(3):
        for topic in ("orders/a", "orders/b"):
            fill(number, topic=topic)
    # With a larger window a member has several of a topic, and those behind one that it gives back
    # have been delivered already.
    with billing(order="topic", window=1) as one, billing(window=1) as other:
        first = {message.topic: message for message in (one.pull_one(), other.pull_one())}
        assert {topic: message.value for topic, message in first.items()} == {
            "orders/a": 0,
            "orders/b": 0,
        }
        first["orders/a"].nak()
        first["orders/b"].ack()
        seen: dict[str, list[Any]] = {"orders/a": [], "orders/b": [0]}
        done = time.monotonic() + PATIENCE
        while min(map(len, seen.values())) < 3 and time.monotonic() < done:
            for queue in (one, other):
                with suppress(TimeoutError), queue.pull_one(timeout=0.05) as message:
                    seen[message.topic].append(message.value)
        assert seen == {"orders/a": [0, 1, 2], "orders/b": [0, 1, 2]}


# --- a broker that ends ---------------------------------------------------------------------------


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("queue_type", QUEUES)
def test_a_reliable_producer_over_restarts(
    queue_type: type[Queue], end: str, orders: RealBroker
) -> None:
    count, pushed = 2000, threading.Semaphore(0)

    def push() -> None:
        with queue_type.producer("orders/new", reliable=True, timeout=PATIENCE) as producer:
            for number in range(count):
                producer.push(number)
                pushed.release()

    with billing(queue_type) as queue:
        thread = threading.Thread(target=push)
        thread.start()
        for _ in range(2):
            for _ in range(500):
                assert pushed.acquire(timeout=PATIENCE)
            getattr(orders, end)()
            orders.start()
        thread.join(PATIENCE)
        assert not thread.is_alive()
        seen: list[Any] = []
        while len(set(seen)) < count:
            seen.append(queue.pull()[1])
    # Some are pulled twice, because they were not acknowledged when the broker ended; but the
    # stream holds each once, and in order.
    with queue_type.consumer("orders", start="all", timeout=PATIENCE) as follower:
        assert follower.pending == count
        assert values_of(follower, count) == list(range(count))


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("queue_type", QUEUES)
def test_what_was_acknowledged_does_not_come_again(
    queue_type: type[Queue], end: str, orders: RealBroker
) -> None:
    fill(*range(10))
    with billing(queue_type) as queue:
        assert values_of(queue, 4) == [0, 1, 2, 3]
        # The end of the context has it confirmed: all but the last one, which may be unfinished.
    getattr(orders, end)()
    orders.start()
    with billing(queue_type) as queue:
        assert queue.pending == 7
        assert sorted(values_of(queue, 7)) == [3, 4, 5, 6, 7, 8, 9]
        getattr(orders, end)()
        orders.start()
        fill("after")
        while queue.pull()[1] != "after":
            pass
        queue.ack()
        queue.flush()
    with billing(queue_type) as queue:
        assert queue.pending == 0


def test_an_id_is_known_for_two_minutes(orders: RealBroker) -> None:
    for queue_type in QUEUES:
        with queue_type.producer("orders/new", timeout=PATIENCE) as producer:
            for number in range(2):
                producer.push(number, id="order 5")
                producer.push_to("orders/old", number, id=f"{queue_type.__name__} {number}")
    orders.kill()
    orders.start()
    fill("later")
    with JSONQueue.producer("orders/new", timeout=PATIENCE) as producer:
        producer.push("again", id="order 5")
    with JSONQueue.consumer("orders", start="all", timeout=PATIENCE) as queue:
        assert values_of(queue, 8) == [0, 0, 1, 0, 1, 0, 1, "later"]
        with pytest.raises(TimeoutError):
            queue.pull(timeout=0.1)


# --- the past -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["billing", None])
@pytest.mark.parametrize("queue_type", QUEUES)
def test_where_reading_begins(
    queue_type: type[Queue], name: str | None, orders: RealBroker
) -> None:
    fill(*range(3), topic="orders/a")
    fill(*range(3, 5), topic="orders/b")
    with JSONQueue.consumer("orders", start="all", timeout=PATIENCE) as queue:
        last = [queue.pull_one() for _ in range(5)][-1].time
    # The clock of a stream counts milliseconds.
    while datetime.now(timezone.utc) <= last + timedelta(milliseconds=5):
        threading.Event().wait(0.001)
    between = datetime.now(timezone.utc)
    fill(5, 6, topic="orders/a")
    berlin = between.astimezone(ZoneInfo("Europe/Berlin"))
    cases: list[tuple[Any, list[int]]] = [
        ("all", list(range(7))),
        ("last", [4, 6]),
        (4, [3, 4, 5, 6]),
        (between, [5, 6]),
        (berlin, [5, 6]),
        (between.isoformat(), [5, 6]),
        (between - timedelta(days=1), list(range(7))),
        ("new", []),
        (None, []),
    ]
    for start, values in cases:
        if name is None and start is None:
            continue
        own = name and f"{name}{str(start).replace(' ', '').replace(':', '.').replace('+', '.')}"
        with queue_type.consumer("orders", consumer=own, start=start, timeout=PATIENCE) as queue:
            assert queue.pending == len(values), start
            assert values_of(queue, len(values)) == values, start
            with pytest.raises(TimeoutError):
                queue.pull(timeout=0.02)


@pytest.mark.parametrize("queue_type", QUEUES)
def test_a_follower_over_a_restart(queue_type: type[Queue], orders: RealBroker) -> None:
    fill(*range(5))
    with queue_type.consumer("orders", start="all", timeout=PATIENCE) as queue:
        assert values_of(queue, 3) == [0, 1, 2]
        orders.kill()
        orders.start()
        fill(5, 6)
        assert values_of(queue, 4) == [3, 4, 5, 6]


@pytest.mark.parametrize("queue_type", QUEUES)
def test_the_last_messages_of_a_topic(queue_type: type[Queue], orders: RealBroker) -> None:
    fill(*range(5), topic="orders/5")
    with queue_type.producer("orders/5", timeout=PATIENCE) as queue:
        found = queue.get_last(count=3)
        assert [(one.topic, one.value, one.seq, one.stream) for one in found] == [
            *(("orders/5", 2, 3, "orders"), ("orders/5", 3, 4, "orders")),
            ("orders/5", 4, 5, "orders"),
        ]
        assert [one.value for one in queue.get_last()] == [4]
        assert abs(found[0].time - datetime.now(timezone.utc)) < timedelta(minutes=1)
        assert queue.get_last("orders/none") == []
        with pytest.raises(BrokerError, match="no-stream"):
            queue.get_last("elsewhere")


TYPED: list[Any] = [
    datetime(2026, 11, 29, 12, 30, 0, 123_456, tzinfo=ZoneInfo("Europe/Berlin")),
    datetime(2026, 11, 29, 12, 30),
    date(2026, 11, 29),
    timedelta(days=1, microseconds=1),
    Decimal("1.10"),
    Fraction(1, 3),
    UUID(int=7),
    {"tuple": (1, 2), 3: b"\x00", "set": {4}, "big": 2**70},
    [None, True, 0.5, "ü\x00"],
]


@pytest.mark.parametrize("consumer", QUEUES)
@pytest.mark.parametrize("producer", QUEUES)
def test_values_keep_their_types(
    producer: type[Queue], consumer: type[Queue], orders: RealBroker
) -> None:
    with billing(consumer, exact=True) as queue:
        with producer.producer("orders/new", timeout=PATIENCE) as pushing:
            for value in TYPED:
                pushing.push(value)
        live = [queue.pull_one() for _ in TYPED]
        for message in live:
            message.nak()
        again = sorted((queue.pull_one() for _ in TYPED), key=lambda one: one.seq)
        last = queue.get_last("orders/new", len(TYPED))
        for value, *found in zip(TYPED, live, again, last):
            for message in found:
                assert (message.value, type(message.value)) == (value, type(value))
                assert repr(message.value) == repr(value)


def test_documents_are_kept_as_they_are(orders: RealBroker) -> None:
    with XMLQueue.consumer("orders", consumer="billing", timeout=PATIENCE) as queue:
        queue.push_document_to("orders/5", '<order id="5"><sku>X1</sku></order>', id="5")
        queue.push_document_to("orders/5", "<order/>", id="5")
        assert queue.pull_document() == ("orders/5", '<order id="5"><sku>X1</sku></order>')
    with XMLQueue.consumer("orders", consumer="billing", timeout=PATIENCE) as queue:
        assert queue.pull_document() == ("orders/5", '<order id="5"><sku>X1</sku></order>')


# --- what the broker refuses ----------------------------------------------------------------------


@pytest.mark.parametrize("queue_type", QUEUES)
def test_refusals(queue_type: type[Queue], orders: RealBroker) -> None:
    def code(call: Callable[[], Any]) -> str:
        with pytest.raises(BrokerError) as caught:
            call()
        assert not caught.value.fatal
        return caught.value.code

    def consume(topic: str, **options: Any) -> Callable[[], Any]:
        return lambda: queue_type.consumer(topic, timeout=PATIENCE, **options)

    assert code(consume("elsewhere", consumer="c")) == "no-stream"
    assert code(consume("elsewhere", start="all")) == "no-stream"
    assert code(consume("orders", consumer="c", stream="none")) == "no-stream"
    with billing(queue_type):
        pass
    assert code(consume("orders/a", consumer="billing")) == "invalid-field"
    with queue_type.producer("small/a", timeout=PATIENCE) as producer:
        for number in range(3):
            producer.push(number)
        producer.flush()

        def push_too_much() -> None:
            # One or two may find room before the stream has counted what it took.
            for _ in range(100):
                producer.push("too much")
                producer.flush()

        assert code(push_too_much) == "stream-full"
    # A refusal is an answer: a reliable producer says it, and does not say the message again.
    with queue_type.producer("small/a", timeout=PATIENCE, reliable=True) as producer:
        producer.push("too much")
        assert code(producer.flush) == "stream-full"
        producer.flush()
