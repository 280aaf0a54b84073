"""A broker by MQTT, as gmqtt sees it, which has nothing from Paho and runs on asyncio."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterator
from typing import Any, Callable, TypeVar

import pytest
from real_broker import BINARY, RealBroker

gmqtt = pytest.importorskip("gmqtt")
pytestmark = pytest.mark.skipif(not BINARY, reason="it needs a broker: BABELMQ_BIN")

PATIENCE = 30.0
T = TypeVar("T")
VERSIONS = pytest.mark.parametrize("version", [4, 5], ids=["3.1.1", "5"])


@pytest.fixture(scope="module")
def broker() -> Iterator[RealBroker]:
    with_mqtt = RealBroker("--listen", "mqtt://127.0.0.1:0")
    yield with_mqtt
    with_mqtt.close()


def soon(awaitable: Awaitable[T]) -> Awaitable[T]:
    return asyncio.wait_for(awaitable, PATIENCE)


class Client:
    """A client, and queues of what it is told."""

    def __init__(self, name: str, **options: Any) -> None:
        self.client = gmqtt.Client(name, **options)
        self.messages: asyncio.Queue[tuple[str, bytes, int, dict[str, Any]]] = asyncio.Queue()
        self.granted: asyncio.Queue[tuple[int, ...]] = asyncio.Queue()
        self.ended = asyncio.Event()
        self.client.on_message = self._message
        self.client.on_subscribe = self._subscribed
        self.client.on_disconnect = lambda *_: self.ended.set()

    def _message(self, _: Any, topic: str, payload: bytes, qos: int, said: dict[str, Any]) -> int:
        self.messages.put_nowait((topic, payload, qos, said))
        return 0

    def _subscribed(self, _: Any, _mid: int, granted: Any, _said: Any) -> None:
        self.granted.put_nowait(tuple(granted))

    async def connect(self, broker: RealBroker, version: int) -> None:
        host, _, port = broker.listening[1].partition("://")[2].rpartition(":")
        # It does not come back by itself.
        self.client.set_config({"reconnect_retries": 0})
        await soon(self.client.connect(host, int(port), version=version))

    async def subscribe(self, topic: str, qos: int, **said: Any) -> tuple[int, ...]:
        self.client.subscribe(topic, qos, **said)
        return await soon(self.granted.get())

    async def next(self) -> tuple[str, bytes, int, dict[str, Any]]:
        return await soon(self.messages.get())


def run(test: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(test())  # type: ignore[arg-type]


@VERSIONS
def test_every_quality_arrives(broker: RealBroker, version: int) -> None:
    async def test() -> None:
        consumer, producer = Client("g-consumer"), Client("g-producer")
        await consumer.connect(broker, version)
        await producer.connect(broker, version)
        assert await consumer.subscribe("g/#", 2) == (2,)
        for qos in (0, 1, 2):
            producer.client.publish(f"g/{qos}", b"\x00\xff", qos)
            topic, payload, found, _ = await consumer.next()
            assert (topic, payload, found) == (f"g/{qos}", b"\x00\xff", qos)
        await consumer.client.disconnect()
        await producer.client.disconnect()

    run(test)


@VERSIONS
def test_what_is_retained_and_a_will(broker: RealBroker, version: int) -> None:
    async def test() -> None:
        will = gmqtt.Message("gw/will", "gone", qos=1, retain=True)
        mortal = Client("g-mortal", will_message=will)
        heir = Client("g-heir")
        await mortal.connect(broker, version)
        await heir.connect(broker, version)
        await heir.subscribe("gw/#", 1)
        # Another connection takes the name, and is as good as a cut one.
        second = Client("g-mortal")
        await second.connect(broker, version)
        topic, payload, _, said = await heir.next()
        assert (topic, payload, said["retain"]) == ("gw/will", b"gone", 0)
        await soon(mortal.ended.wait())
        later = Client("g-later")
        await later.connect(broker, version)
        await later.subscribe("gw/+", 1)
        topic, payload, _, said = await later.next()
        assert (topic, payload, said["retain"]) == ("gw/will", b"gone", 1)
        later.client.publish("gw/will", b"", qos=1, retain=True)
        for client in (second, heir, later):
            await client.client.disconnect()

    run(test)


def test_properties_of_version_5(broker: RealBroker) -> None:
    async def test() -> None:
        client = Client("g-properties")
        await client.connect(broker, 5)
        await client.subscribe("gp/a", 1, subscription_identifier=42)
        client.client.publish(
            "gp/a",
            "x",
            qos=1,
            content_type="text/plain",
            response_topic="gp/answers",
            correlation_data=b"\x00\x01",
            message_expiry_interval=60,
            user_property=[("a", "1"), ("a", "2")],
        )
        _, payload, _, said = await client.next()
        assert payload == b"x"
        assert said["content_type"] == ["text/plain"]
        assert said["response_topic"] == ["gp/answers"]
        assert said["correlation_data"] == [b"\x00\x01"]
        assert said["message_expiry_interval"][0] in range(50, 61)
        assert said["user_property"] == [("a", "1"), ("a", "2")]
        assert said["subscription_identifier"] == [42]
        await client.client.disconnect()

    run(test)


def test_a_session_has_what_came_meanwhile(broker: RealBroker) -> None:
    async def test() -> None:
        options = {"clean_session": False, "session_expiry_interval": 60}
        sleeper, producer = Client("g-sleeper", **options), Client("g-awake")
        await sleeper.connect(broker, 5)
        await sleeper.subscribe("gs/a", 2)
        await sleeper.client.disconnect()
        await producer.connect(broker, 5)
        echo = Client("g-echo")
        await echo.connect(broker, 5)
        await echo.subscribe("gs/a", 1)
        for qos in (1, 2):
            producer.client.publish("gs/a", str(qos), qos)
            await echo.next()
        sleeper = Client("g-sleeper", **options)
        await sleeper.connect(broker, 5)
        for qos in (1, 2):
            _, payload, found, _ = await sleeper.next()
            assert (payload, found) == (str(qos).encode(), qos)
        for client in (sleeper, producer, echo):
            await client.client.disconnect()

    run(test)
