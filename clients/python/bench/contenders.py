"""How each client library publishes values and receives them: as its own documentation would have
it done.

Redis and NATS carry bytes, so with them the programs encode and decode JSON themselves.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Callable

import babelmq

VALUE = {
    "id": 12345,
    "station": "KNYC0",
    "celsius": 21.5,
    "wind": [270, 4],
    "ok": True,
    "note": "x" * 48,
}
"""128 bytes of JSON."""

TOPIC = "/bench/one"
BATCH = 100
"""Commands in a pipeline of Redis."""

encode = json.JSONEncoder(separators=(",", ":")).encode
OnReady = Callable[[], None]
"""Called by a consumer that misses nothing from now on, and by a producer that is connected;
returns at the start of the measurement.
"""


@dataclass(frozen=True)
class Contender:
    """A way to get values from one process to another."""

    title: str
    server: str
    produce: Callable[[int, int, OnReady], None]
    """Publishes ``VALUE`` so many times to the server at a port; returns when the server has all of
    them.
    """
    consume: Callable[[int, int, OnReady], None]
    """Receives so many values from the server at a port."""


def _babelmq(title: str, queue_type: type[babelmq.Queue]) -> Contender:
    def produce(port: int, count: int, ready: OnReady) -> None:
        with queue_type(
            TOPIC, babelmq.MiddlewareType.PRODUCER, address=("127.0.0.1", port)
        ) as queue:
            queue.flush()
            ready()
            for _ in range(count):
                queue.push(VALUE)

    def consume(port: int, count: int, ready: OnReady) -> None:
        with queue_type(TOPIC, address=("127.0.0.1", port)) as queue:
            ready()
            for _ in range(count):
                _, value = queue.pull()
            assert value == VALUE

    return Contender(title, "babelmq", produce, consume)


@contextmanager
def _redis(port: int) -> Iterator[Any]:
    import redis

    with redis.Redis(host="127.0.0.1", port=port) as client:
        client.ping()
        yield client


def _redis_publish(port: int, count: int, ready: OnReady) -> None:
    with _redis(port) as client:
        ready()
        for _ in range(count):
            client.publish(TOPIC, encode(VALUE))


def _redis_pipeline(port: int, count: int, ready: OnReady) -> None:
    with _redis(port) as client:
        ready()
        pipeline = client.pipeline(transaction=False)
        for number in range(1, count + 1):
            pipeline.publish(TOPIC, encode(VALUE))
            if number % BATCH == 0:
                pipeline.execute()
        pipeline.execute()


def _redis_consume(port: int, count: int, ready: OnReady) -> None:
    with _redis(port) as client, client.pubsub() as pubsub:
        pubsub.subscribe(TOPIC)
        messages = pubsub.listen()
        assert next(messages)["type"] == "subscribe"
        ready()
        for _ in range(count):
            value = json.loads(next(messages)["data"])
        assert value == VALUE


async def _nats(port: int) -> Any:
    import nats

    return await nats.connect(f"nats://127.0.0.1:{port}")


def _nats_publish(port: int, count: int, ready: OnReady) -> None:
    async def main() -> None:
        client = await _nats(port)
        ready()
        for _ in range(count):
            await client.publish("bench.one", encode(VALUE).encode())
        await client.flush(60)
        await client.close()

    asyncio.run(main())


def _nats_consume(port: int, count: int, ready: OnReady) -> None:
    async def main() -> None:
        client = await _nats(port)
        finished = asyncio.Event()
        left = count
        value: Any = None

        async def receive(message: Any) -> None:
            nonlocal left, value
            value = json.loads(message.data)
            left -= 1
            if not left:
                finished.set()

        # Without limits of its own: it would drop what is too much for it.
        await client.subscribe("bench.one", cb=receive, pending_msgs_limit=0, pending_bytes_limit=0)
        await client.flush()
        ready()
        await finished.wait()
        assert value == VALUE
        await client.close()

    asyncio.run(main())


CONTENDERS = [
    _babelmq("babelmq, JSON", babelmq.JSONQueue),
    _babelmq("babelmq, pickle", babelmq.PickleQueue),
    _babelmq("babelmq, XML", babelmq.XMLQueue),
    Contender("redis-py, publish", "redis-server", _redis_publish, _redis_consume),
    Contender(f"redis-py, pipelines of {BATCH}", "redis-server", _redis_pipeline, _redis_consume),
    Contender("nats-py", "nats-server", _nats_publish, _nats_consume),
]
