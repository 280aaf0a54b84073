"""`producer` and `consumer` beside the constructor, in both kinds of queue."""

from __future__ import annotations

import asyncio
import inspect
from typing import TYPE_CHECKING, Any, TypeVar, Union

import pytest

import babelmq
from babelmq import MiddlewareType, aio

if TYPE_CHECKING:
    # Only mypy reads this: the module comes with it, and the tests do not install one.
    from typing_extensions import assert_type
else:

    def assert_type(value: object, kind: type) -> object:
        """What mypy is told is also so."""
        assert type(value) is kind
        return value


Kind = Union[type[babelmq.Queue], type[aio.Queue]]
BLOCKING: list[type[babelmq.Queue]] = [babelmq.JSONQueue, babelmq.XMLQueue, babelmq.PickleQueue]
AWAITED: list[type[aio.Queue]] = [aio.JSONQueue, aio.XMLQueue, aio.PickleQueue]
Q = TypeVar("Q", bound=babelmq.Queue)


def closed(queue: Q) -> Q:
    """The queue, of which only the class is looked at."""
    queue.close()
    return queue


def test_the_class_that_was_asked_comes_back() -> None:
    assert_type(closed(babelmq.JSONQueue.producer("/a")), babelmq.JSONQueue)
    assert_type(closed(babelmq.JSONQueue.consumer("/a")), babelmq.JSONQueue)
    assert_type(closed(babelmq.XMLQueue.producer("/a")), babelmq.XMLQueue)
    assert_type(closed(babelmq.XMLQueue.consumer("/a")), babelmq.XMLQueue)
    assert_type(closed(babelmq.PickleQueue.producer("/a")), babelmq.PickleQueue)
    assert_type(closed(babelmq.PickleQueue.consumer("/a")), babelmq.PickleQueue)
    assert_type(aio.JSONQueue.producer("/a"), aio.JSONQueue)
    assert_type(aio.JSONQueue.consumer("/a"), aio.JSONQueue)
    assert_type(aio.XMLQueue.producer("/a"), aio.XMLQueue)
    assert_type(aio.XMLQueue.consumer("/a"), aio.XMLQueue)
    assert_type(aio.PickleQueue.producer("/a"), aio.PickleQueue)
    assert_type(aio.PickleQueue.consumer("/a"), aio.PickleQueue)


@pytest.mark.parametrize("queue_type", BLOCKING)
def test_a_producer_publishes_and_a_consumer_is_subscribed(queue_type: type[babelmq.Queue]) -> None:
    with queue_type.consumer("/a", timeout=5) as consumer:
        with queue_type.producer("/a/b", timeout=5) as producer:
            producer.push({"n": 1})
            with pytest.raises(babelmq.NotSubscribed):
                producer.pull()
        assert consumer.pull() == ("/a/b", {"n": 1})


@pytest.mark.parametrize("queue_type", AWAITED)
def test_the_same_with_asyncio(queue_type: type[aio.Queue]) -> None:
    async def main() -> None:
        async with queue_type.consumer("/a", timeout=5) as consumer:
            async with queue_type.producer("/a/b", timeout=5) as producer:
                await producer.push({"n": 1})
                with pytest.raises(babelmq.NotSubscribed):
                    await producer.pull()
            assert await consumer.pull() == ("/a/b", {"n": 1})

    asyncio.run(asyncio.wait_for(main(), 30))


@pytest.mark.parametrize("queue_type", [babelmq.Queue, aio.Queue])
@pytest.mark.parametrize("name", ["producer", "consumer"])
def test_the_options_are_those_of_the_constructor(queue_type: Kind, name: str) -> None:
    constructor = dict(inspect.signature(queue_type).parameters)
    del constructor["_type"]
    assert dict(inspect.signature(getattr(queue_type, name)).parameters) == constructor


@pytest.mark.parametrize("base", [babelmq.JSONQueue, aio.JSONQueue])
@pytest.mark.parametrize("name", ["producer", "consumer"])
def test_every_option_reaches_the_constructor(base: Kind, name: str) -> None:
    seen: dict[str, Any] = {}

    def constructor(self: object, topic: str, _type: MiddlewareType, **options: Any) -> None:
        seen.update(options, topic=topic, _type=_type)

    kind = type("Noted", (base,), {"__init__": constructor})
    given: dict[str, Any] = {"address": "h:7", "timeout": 3.0, "exact": True, "max_frame": 99}
    given.update(wait=1.0, keepalive=2.0, retained=False, overflow="latest", queue=3, default=str)
    given.update(ssl=None, ca="ca", cert="cert", key="key", allow_plain_login=True)
    given.update(user="ada", password="secret", token=None)
    given.update(plain=True, root="r", item="i", cleared=True, below=False)
    given.update(consumer="c", stream="s", start="all", window=5, ack_wait=7.0, max_deliver=2)
    given.update(backoff=[1], order="topic", reliable=True)
    assert type(getattr(kind, name)("/a", **given)) is kind
    assert seen == {"topic": "/a", "_type": MiddlewareType[name.upper()], **given}
