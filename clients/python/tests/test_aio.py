"""The same conversation over asyncio."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Coroutine
from typing import Any

import pytest
from fake_broker import FakeBroker, Scripted

from babelmq import (
    BrokerError,
    CannotConnect,
    ConnectionLost,
    NotPlainData,
    NotSubscribed,
    QueueClosed,
)
from babelmq.aio import JSONQueue, MiddlewareType, PickleQueue, Queue, XMLQueue

PRODUCER = MiddlewareType.PRODUCER


def run(main: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(main, 30))


@pytest.mark.parametrize("queue_type", [JSONQueue, XMLQueue, PickleQueue])
def test_every_call(queue_type: type[Queue]) -> None:
    async def main() -> None:
        async with queue_type("/a", timeout=5) as queue:
            await queue.push({"n": 1})
            await queue.push("passing", retain=False)
            await queue.flush()
            assert await queue.topics() == ["/a"]
            assert await queue.get() == {"n": 1}
            assert await queue.get("/none", 7) == 7
            seen: list[list[str]] = []
            await queue.list_topics(seen.append)
            await queue.flush()
            assert await queue.pull() == ("/a", {"n": 1})
            assert await queue.pull() == ("/a", "passing")
            with pytest.raises(TimeoutError):
                await queue.pull(timeout=0.01)
            assert seen == [["/a"]]
            await queue.clear()
            assert await queue.topics() == []
            await queue.push(3, ttl=1000)
            await queue.cancel()
            assert [delivery async for delivery in queue] == [("/a", 3)]
            with pytest.raises(NotSubscribed):
                await queue.pull()
        with pytest.raises(QueueClosed):
            await queue.push(1)

    run(main())


def test_refusals() -> None:
    async def main() -> None:
        async with JSONQueue("/a//b", PRODUCER, timeout=5) as producer:
            await producer.push(1)
            with pytest.raises(BrokerError, match="invalid-topic"):
                await producer.flush()
            with pytest.raises(BrokerError, match="invalid-topic"):
                while True:
                    await producer.push(1)
            with pytest.raises(NotPlainData):
                await producer.push(object())
            with pytest.raises(BrokerError):
                while True:
                    await producer.flush()
                    await producer.push(1)
        with pytest.raises(BrokerError):
            async with JSONQueue("/a//b", timeout=5):
                pass

    run(main())


def test_tasks_share_a_queue() -> None:
    async def main() -> None:
        async with PickleQueue("/a", timeout=10) as queue:

            async def pull() -> list[Any]:
                return [(await queue.pull())[1] for _ in range(400)]

            async def push(start: int) -> None:
                for number in range(start, start + 200):
                    await queue.push(number)
                    if number % 20 == 0:
                        await queue.flush()
                        assert await queue.topics() == ["/a"]

            pulled, *_ = await asyncio.gather(pull(), push(0), push(1000))
            assert [n for n in pulled if n < 1000] == list(range(200))
            assert [n for n in pulled if n >= 1000] == list(range(1000, 1200))

    run(main())


def test_a_cancelled_pull_loses_nothing() -> None:
    async def main() -> None:
        async with JSONQueue("/a", timeout=10) as queue:
            for number in range(20):
                pulling = asyncio.ensure_future(queue.pull())
                await asyncio.sleep(0)
                pulling.cancel()
                await queue.push(number)
                assert await queue.pull() == ("/a", number)

    run(main())


def test_a_lost_connection(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        fake = FakeBroker()
        async with JSONQueue("/a", address=fake.address, timeout=10) as queue:
            await queue.push(1)
            await queue.flush()
            assert await queue.pull() == ("/a", 1)
            pulling = [asyncio.ensure_future(queue.pull()), asyncio.ensure_future(queue.topics())]
            fake.drop_all()
            assert await asyncio.gather(*pulling) == [("/a", 1), ["/a"]]
            await queue.push(2)
            fake.drop_all()
            with pytest.raises(ConnectionLost, match="may be lost"):
                await queue.flush()
            await queue.push(3)
            await queue.flush()
            assert await queue.get() == 3
        fake.close()
        with pytest.raises(CannotConnect, match="babelmq serve"):
            await JSONQueue("/a", PRODUCER, address=fake.address).push(1)

    run(main())
    assert "connected to the broker again" in caplog.text


def silent(peer: socket.socket) -> None:
    while peer.recv(1 << 16):
        pass


def test_a_peer_that_says_nothing_costs_no_more_than_the_timeout() -> None:
    async def main() -> None:
        peer = Scripted(silent)
        producer = JSONQueue("/a", PRODUCER, address=peer.address, timeout=0.05)
        for call in (producer.flush, producer.topics, producer.get):
            with pytest.raises(TimeoutError):
                await call()
        with pytest.raises(TimeoutError):
            async with JSONQueue("/a", address=peer.address, timeout=0.05):
                pass
        await producer.close()
        peer.close()

    run(main())
