"""The blocking queues against the broker of conftest.py."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

import babelmq
from babelmq import (
    BrokerError,
    CannotConnect,
    JSONQueue,
    MiddlewareType,
    NotSubscribed,
    PickleQueue,
    Queue,
    QueueClosed,
    XMLQueue,
)

PRODUCER = MiddlewareType.PRODUCER
QUEUES: list[type[Queue]] = [JSONQueue, XMLQueue, PickleQueue]
RECORD = {"a": [1, 2.5, None, True], "b": b"\x00\xff", "c": {"d": "x\r\n\0"}, "e": {1, 2}}


@pytest.mark.parametrize("consumer_type", QUEUES)
@pytest.mark.parametrize("producer_type", QUEUES)
def test_nine_directions(producer_type: type[Queue], consumer_type: type[Queue]) -> None:
    with consumer_type("/r") as consumer, producer_type("/r/x", PRODUCER) as producer:
        producer.push(RECORD)
        assert consumer.pull(timeout=5) == ("/r/x", RECORD)


@pytest.mark.parametrize("queue_type", QUEUES)
def test_every_call(queue_type: type[Queue]) -> None:
    with queue_type("/a", timeout=5) as queue:
        queue.push({"n": 1})
        queue.push("passing", retain=False)
        queue.flush()
        assert queue.topics() == ["/a"]
        assert queue.get() == {"n": 1}
        assert queue.get("/none") is None
        assert queue.get("/none", 7) == 7
        seen: list[list[str]] = []
        queue.list_topics(seen.append)
        queue.flush()
        assert seen == []
        assert queue.pull() == ("/a", {"n": 1})
        assert queue.pull() == ("/a", "passing")
        with pytest.raises(TimeoutError):
            queue.pull(timeout=0.01)
        assert seen == [["/a"]]
        queue.clear()
        assert queue.topics() == []
        queue.cancel()
        queue.push(2)
        queue.flush()
        with pytest.raises(NotSubscribed):
            queue.pull(timeout=5)
        assert list(queue) == []
    with pytest.raises(QueueClosed):
        queue.push(1)
    with pytest.raises(QueueClosed):
        queue.flush()
    queue.close()


@pytest.mark.parametrize("queue_type", QUEUES)
def test_a_time_to_live(queue_type: type[Queue]) -> None:
    with queue_type("/a", PRODUCER, timeout=5) as queue:
        queue.push("first", ttl=1000)
        queue.push("passing", retain=False, ttl=1000)
        queue.flush()
        assert queue.get() == "first"
        for ttl in (0, -1, 1 << 32):
            with pytest.raises(ValueError, match="a ttl is from 1"):
                queue.push("never", ttl=ttl)
        for no_ttl in (1.5, "1", True):
            with pytest.raises(TypeError, match="a ttl is a whole number"):
                queue.push("never", ttl=no_ttl)  # type: ignore[arg-type]
        queue.push("short", ttl=1)
        queue.flush()
        end = time.monotonic() + 20
        while queue.get() is not None:
            assert time.monotonic() < end
        assert queue.topics() == []


@pytest.mark.parametrize("queue_type", QUEUES)
def test_a_refusal_comes_out_of_flush(queue_type: type[Queue]) -> None:
    with queue_type("/a//b", PRODUCER, timeout=5) as producer:
        producer.push(1)
        with pytest.raises(BrokerError) as caught:
            producer.flush()
        error = caught.value
        assert (error.code, error.topic, error.fatal) == ("invalid-topic", "/a//b", False)
        producer.flush()


def test_a_refusal_comes_out_of_a_later_push() -> None:
    producer = JSONQueue("/a//b", PRODUCER, timeout=5)
    for _ in range(3):
        with pytest.raises(BrokerError):
            while True:
                producer.push(1)
    producer.close()


def test_a_refused_subscription_comes_out_of_the_constructor() -> None:
    with pytest.raises(BrokerError, match="empty segment"):
        JSONQueue("/a//b", timeout=5)


def test_a_refused_get_does_not_wait() -> None:
    with JSONQueue("/a", PRODUCER, timeout=5) as queue:
        with pytest.raises(BrokerError):
            queue.get("//")
        queue.push(1)
        assert queue.get() == 1


def test_with_flushes() -> None:
    with pytest.raises(BrokerError), JSONQueue("/a//b", PRODUCER, timeout=5) as producer:
        producer.push(1)


def test_deliveries_keep_their_order_while_flush_waits() -> None:
    with JSONQueue("/a", timeout=5) as queue:
        for number in range(500):
            queue.push(number)
            if number % 50 == 0:
                queue.flush()
        assert [queue.pull()[1] for _ in range(500)] == list(range(500))


def test_a_callback_may_use_the_queue() -> None:
    with JSONQueue("/a", timeout=5) as queue:
        queue.list_topics(lambda topics: queue.push({"topics": topics}))
        assert queue.pull() == ("/a", {"topics": []})


def test_a_producer_has_nothing_to_pull_but_topics() -> None:
    with JSONQueue("/a", PRODUCER, timeout=5) as queue:
        with pytest.raises(NotSubscribed):
            queue.pull()
        seen: list[list[str]] = []
        queue.list_topics(seen.append)
        with pytest.raises(NotSubscribed):
            queue.pull()
        assert seen == [[]]


def test_a_large_message() -> None:
    value = {"big": "x" * 8_000_000, "raw": bytes(2_000_000)}
    with PickleQueue("/a", timeout=20) as queue:
        queue.push(value)
        assert queue.pull() == ("/a", value)


def test_one_consumer_thread_blocks_until_something_comes() -> None:
    seen: list[Any] = []
    with XMLQueue("/a", timeout=10) as consumer, JSONQueue("/a", PRODUCER) as producer:
        thread = threading.Thread(target=lambda: seen.extend(next(consumer) for _ in range(3)))
        thread.start()
        for number in range(3):
            producer.push(number)
        thread.join(10)
    assert seen == [("/a", 0), ("/a", 1), ("/a", 2)]


def test_no_broker() -> None:
    import socket

    with socket.socket() as taken:  # Bound and not listening: nobody answers there.
        taken.bind(("127.0.0.1", 0))
        address = taken.getsockname()
        with pytest.raises(CannotConnect, match="babelmq serve"):
            JSONQueue("/a", address=address)
        producer = JSONQueue("/a", PRODUCER, address=address)
        with pytest.raises(CannotConnect):
            producer.push(1)


@pytest.mark.parametrize("topic", ["\0", "a\n", "\ud800", "\uffff"])
def test_topics_that_cannot_be_sent(topic: str) -> None:
    with pytest.raises(ValueError, match="which no topic may"):
        JSONQueue(topic, PRODUCER)
    with pytest.raises(ValueError, match="which no topic may"):
        JSONQueue("/a", PRODUCER).get(topic)


def test_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    from babelmq.address import Place, resolve

    assert resolve(":1") == Place("127.0.0.1", 1)
    assert resolve("[::1]:5000") == Place("::1", 5000)
    assert resolve(("::1", 5000)) == Place("::1", 5000)
    monkeypatch.setenv("BABELMQ_ADDR", "h:7")
    assert resolve() == Place("h", 7)
    monkeypatch.delenv("BABELMQ_ADDR")
    assert resolve() == Place("127.0.0.1", 5000)
    for bad in ("host", "host:", "host:port", "host:65536"):
        with pytest.raises(ValueError, match="not an address"):
            resolve(bad)


def test_everything_public_is_documented() -> None:
    for name in babelmq.__all__:
        assert getattr(babelmq, name).__doc__, name
