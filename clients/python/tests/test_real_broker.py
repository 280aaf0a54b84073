"""What no stand-in can prove: a real broker that dies and comes back, and one that lets a slow
consumer go.
"""

from __future__ import annotations

import asyncio
import resource
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from real_broker import BINARY, RealBroker

from babelmq import (
    BrokerError,
    ConnectionLost,
    JSONQueue,
    MiddlewareType,
    PickleQueue,
    Queue,
    XMLQueue,
    aio,
)
from babelmq.address import resolve
from babelmq.frame import HEADER

pytestmark = pytest.mark.skipif(
    not BINARY, reason="it needs a real broker: set BABELMQ_BIN; `make test` does"
)

PRODUCER = MiddlewareType.PRODUCER
QUEUES: list[type[Queue]] = [JSONQueue, XMLQueue, PickleQueue]
ENDS = ["kill", "close"]
BIG = "x" * 1_000_000
TOO_MANY = 110
"""Of those: the broker keeps 64 MiB, the two sockets up to 36 MiB, asyncio two more. Not many more
than that takes, because who is slow has but 5 s to hear so.
"""


@pytest.fixture
def real() -> Iterator[RealBroker]:
    """A broker that the test may end and start again."""
    real = RealBroker()
    yield real
    real.close()


def restart(real: RealBroker, end: str) -> None:
    getattr(real, end)()
    real.start()


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("queue_type", QUEUES)
def test_a_restart(
    queue_type: type[Queue], end: str, real: RealBroker, caplog: pytest.LogCaptureFixture
) -> None:
    with (
        queue_type("/a", address=real.address, timeout=30) as consumer,
        queue_type("/a/b", PRODUCER, address=real.address, timeout=30) as producer,
    ):
        producer.push("before")
        producer.flush()
        assert consumer.pull() == ("/a/b", "before")

        restart(real, end)
        # Nothing was unconfirmed, so nothing was lost, and the values of the old broker went with
        # it.
        producer.flush()
        assert producer.topics() == []
        for number in range(3):
            producer.push(number)
        producer.flush()
        # What was published before the consumer came back is missed, but for the stored value.
        assert consumer.pull() == ("/a/b", 2)
        producer.push("after")
        assert consumer.pull() == ("/a/b", "after")
    assert "connection to the broker lost (topic /a)" in caplog.text
    assert "connected to the broker again (topic /a)" in caplog.text


@pytest.mark.parametrize("end", ENDS)
def test_flush_tells_what_a_restart_may_have_cost(end: str, real: RealBroker) -> None:
    with JSONQueue("/a", PRODUCER, address=real.address, timeout=30) as producer:
        producer.push("confirmed")
        producer.flush()
        producer.push("not confirmed")
        restart(real, end)
        with pytest.raises(ConnectionLost, match="may be lost"):
            producer.flush()
        assert producer.get() is None
        producer.push("again")
        producer.flush()
        assert producer.get() == "again"


def test_a_pull_that_waits_through_a_restart(real: RealBroker) -> None:
    with JSONQueue("/a", address=real.address, timeout=30) as consumer:
        pulled: list[Any] = []
        thread = threading.Thread(target=lambda: pulled.append(consumer.pull()))
        thread.start()
        restart(real, "kill")
        with PickleQueue("/a", PRODUCER, address=real.address, timeout=30) as producer:
            producer.push({"back": True})
        thread.join(30)
    assert pulled == [("/a", {"back": True})]


@pytest.mark.parametrize("end", ENDS)
def test_a_restart_under_asyncio(end: str, real: RealBroker) -> None:
    async def main() -> None:
        async with (
            aio.XMLQueue("/a", address=real.address, timeout=30) as consumer,
            aio.JSONQueue("/a", PRODUCER, address=real.address, timeout=30) as producer,
        ):
            await producer.push(1)
            await producer.flush()
            assert await consumer.pull() == ("/a", 1)
            pulling = asyncio.ensure_future(consumer.pull())
            await producer.push(2)
            await asyncio.get_running_loop().run_in_executor(None, restart, real, end)
            # The 2 was routed or was lost; flush tells that nobody knows.
            with pytest.raises(ConnectionLost):
                await producer.flush()
            await producer.push(3)
            await producer.flush()
            seen = [(await pulling)[1]]
            while seen[-1] != 3:
                seen.append((await consumer.pull())[1])
            assert seen in ([3], [2, 3])

    asyncio.run(asyncio.wait_for(main(), 60))


def test_flush_while_others_push(real: RealBroker) -> None:
    """What a flush confirmed was routed: a subscriber that was there has it before the answer to
    its own ping.
    """
    with PickleQueue("/a", address=real.address, timeout=30) as consumer:

        def push(name: int) -> None:
            queue_type = QUEUES[name]
            with queue_type(f"/a/{name}", PRODUCER, address=real.address, timeout=30) as producer:
                for number in range(2000):
                    producer.push(number)
                    if number % 500 == 0:
                        producer.flush()

        threads = [threading.Thread(target=push, args=(name,)) for name in range(len(QUEUES))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        consumer.flush()
        seen = [consumer.pull(timeout=0) for _ in range(2000 * len(QUEUES))]
        for name in range(len(QUEUES)):
            assert [value for topic, value in seen if topic == f"/a/{name}"] == list(range(2000))


@pytest.mark.parametrize("queue_type", QUEUES)
def test_a_stalled_consumer_is_told_and_comes_back(
    queue_type: type[Queue], real: RealBroker
) -> None:
    with (
        queue_type("/a", address=real.address, timeout=30) as consumer,
        JSONQueue("/a", PRODUCER, address=real.address, timeout=30) as producer,
    ):
        for number in range(TOO_MANY):
            producer.push([number, BIG])
        producer.flush()
        pulled = 0
        with pytest.raises(BrokerError, match=r"slow-consumer") as caught:
            while True:
                topic, (number, _) = consumer.pull()
                assert (topic, number) == ("/a", pulled)
                pulled += 1
        assert (caught.value.code, caught.value.fatal) == ("slow-consumer", True)
        assert pulled < TOO_MANY
        # The next pull connects again, and the stored value closes the gap.
        assert consumer.pull() == ("/a", [TOO_MANY - 1, BIG])


def test_a_stalled_consumer_under_asyncio(real: RealBroker) -> None:
    async def main() -> None:
        async with aio.JSONQueue("/a", address=real.address, timeout=30) as consumer:
            async with aio.PickleQueue(
                "/a", PRODUCER, address=real.address, timeout=30
            ) as producer:
                for number in range(TOO_MANY):
                    await producer.push([number, BIG])
            with pytest.raises(BrokerError, match=r"slow-consumer"):
                async for _ in consumer:
                    pass
            assert await consumer.pull() == ("/a", [TOO_MANY - 1, BIG])

    asyncio.run(asyncio.wait_for(main(), 60))


@pytest.mark.skipif(
    not hasattr(resource, "prlimit"), reason="it needs a system that limits the files of a process"
)
def test_a_flush_fails_at_once_where_the_disk_is_full(tmp_path: Path) -> None:
    real = RealBroker("--data-dir", str(tmp_path), "--fsync", "always")

    def limit(size: int) -> None:
        resource.prlimit(real.process.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

    async def with_asyncio() -> None:
        producer = aio.PickleQueue("/a", PRODUCER, address=real.address)
        await producer.push(2)
        with pytest.raises(BrokerError, match="storage-failed"):
            await producer.flush()
        await producer.close()

    try:
        # Without a timeout: a flush that waited for a pong would wait for ever.
        producer = JSONQueue("/a", PRODUCER, address=real.address)
        producer.push(1)
        producer.flush()
        limit(4096)
        producer.push(1)
        for call in (producer.flush, producer.clear):
            with pytest.raises(BrokerError, match="storage-failed"):
                call()
        assert producer.topics() == []
        asyncio.run(with_asyncio())
        assert producer.get() == 2
        limit(resource.RLIM_INFINITY)
        end = time.monotonic() + 20
        while True:
            assert time.monotonic() < end
            with suppress(BrokerError):
                producer.flush()
                break
        real.kill()
        real.start()
        assert producer.get() == 2
        producer.close()
    finally:
        real.close()


def test_xml_without_types_and_ints_for_javascript(real: RealBroker) -> None:
    large = 2**53 + 1
    with JSONQueue.producer("/t", address=real.address, timeout=5) as producer:
        producer.push([large, True])
        producer.flush()
    with XMLQueue.consumer("/t", address=real.address, timeout=5, plain=True) as plain:
        assert plain.pull() == ("/t", {"item": [str(large), "true"]})
    with XMLQueue.consumer(
        "/t", address=real.address, timeout=5, plain=True, root="data", item="row"
    ) as named:
        text = f"<data><row>{large}</row><row>true</row></data>"
        assert named.pull_document() == ("/t", text)
    with JSONQueue.consumer("/t", address=real.address, timeout=5, exact="js") as exact:
        assert exact.pull() == ("/t", [large, True])
    with pytest.raises(ValueError, match="exact is"):
        JSONQueue.producer("/t", exact="ja")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("value", "document"),
    [
        ({"order": {"@id": 5, "sku": ["X1"]}}, '<order id="5"><sku>X1</sku></order>'),
        ({"order": {"@type": "int", "#text": "x"}}, '<order type="int">x</order>'),
        ({"order": None}, "<order></order>"),
        ({"a": 1, "b": 2}, "<message><a>1</a><b>2</b></message>"),
        ({"a": [1]}, "<a>1</a>"),
        ({"a": [1, 2]}, "<message><a>1</a><a>2</a></message>"),
        ({"@id": 5}, '<message id="5"></message>'),
        ({"@id": 5, "a": 1}, '<message id="5"><a>1</a></message>'),
        ({"a": {"@type": "int"}, "b": 1}, None),
        ("text", "<message>text</message>"),
        ([1, 2], "<message><item>1</item><item>2</item></message>"),
        (None, "<message></message>"),
    ],
)
def test_a_plain_document_is_taken_out_of_the_message(
    value: Any, document: str | None, real: RealBroker
) -> None:
    options: dict[str, Any] = {"address": real.address, "timeout": 5}
    with XMLQueue.consumer("/t", plain=True, **options) as plain:
        with JSONQueue.producer("/t", **options) as producer:
            producer.push(value, retain=False)
        found = plain.pull_document()[1]
    assert document is None or found == document
    assert ElementTree.fromstring(found) is not None


def test_a_document_of_another_producer_is_taken_out_of_the_message(real: RealBroker) -> None:
    raw = b"<f command='publish' topic='/t'><message ><!-- c --><order id='5'/>\n</message ></f>"
    with XMLQueue.consumer("/t", address=real.address, timeout=5) as consumer:
        place = resolve(real.address)
        with socket.create_connection((place.host, place.port)) as other:
            other.sendall(HEADER.pack(1, len(raw)) + raw)
            assert consumer.pull_document() == ("/t", "<!-- c --><order id='5'/>\n")


@pytest.mark.parametrize("queue_type", QUEUES)
def test_a_filter_is_cleared_and_a_consumer_is_told(
    queue_type: type[Queue], real: RealBroker
) -> None:
    with queue_type.consumer("/a", address=real.address, timeout=5, cleared=True) as queue:
        for topic in ("/a", "/a/b", "/a/c"):
            queue.push_to(topic, 1)
        queue.clear("/a")
        assert queue.topics() == ["/a/b", "/a/c"]
        queue.clear("/a/#")
        assert queue.topics() == []
        messages = [queue.pull_message() for _ in range(6)]
        assert [(message.topic, message.value) for message in messages[:3]] == [
            ("/a", 1),
            ("/a/b", 1),
            ("/a/c", 1),
        ]
        assert all(message.cleared and message.value is None for message in messages[3:])
        assert [message.topic for message in messages[3:]] == ["/a", "/a/b", "/a/c"]
        # Every other way to pull passes over it.
        queue.push(None)
        queue.clear()
        queue.push(2)
        assert [queue.pull(), queue.pull()] == [("/a", None), ("/a", 2)]
        assert queue.pull_stored() == []


@pytest.mark.parametrize("queue_type", QUEUES)
def test_a_consumer_can_leave_out_what_is_below(queue_type: type[Queue], real: RealBroker) -> None:
    with queue_type.producer("/a", address=real.address, timeout=5) as producer:
        for topic in ("/a/b", "/a/b/c"):
            producer.push_to(topic, 1)
        producer.flush()
        with queue_type.consumer("/a/+", address=real.address, timeout=5, below=False) as queue:
            assert [message.topic for message in queue.pull_stored()] == ["/a/b"]
            for topic in ("/a", "/a/b/c", "/a/c"):
                producer.push_to(topic, 2)
            producer.flush()
            assert queue.pull() == ("/a/c", 2)
            queue.subscribe("/a/#")
            assert {message.topic for message in queue.pull_stored()} == {
                "/a",
                "/a/b",
                "/a/b/c",
                "/a/c",
            }


def test_the_brokers_own_topics_are_not_for_clients_to_publish_to(real: RealBroker) -> None:
    with JSONQueue.producer("$dead/a", address=real.address, timeout=5) as producer:
        producer.push(1)
        with pytest.raises(BrokerError, match="invalid-topic"):
            producer.flush()


def test_an_awaited_consumer_is_told(real: RealBroker) -> None:
    async def main() -> None:
        async with aio.JSONQueue.consumer(
            "/a", address=real.address, timeout=5, cleared=True
        ) as queue:
            await queue.push(1, ttl=1)
            assert await queue.pull() == ("/a", 1)
            message = await queue.pull_message()
            assert (message.topic, message.value, message.cleared) == ("/a", None, True)

    asyncio.run(main())
