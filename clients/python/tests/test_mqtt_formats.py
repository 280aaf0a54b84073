"""Messages between clients of MQTT and queues of every format: what a value means stays."""

from __future__ import annotations

import datetime
import json
import pickle
from collections.abc import Iterator
from typing import Any

import pytest
from real_broker import BINARY, RealBroker

from babelmq import JSONQueue, MiddlewareType, PickleQueue, XMLQueue

pytest.importorskip("paho.mqtt.client")
from mqtt_client import Client

pytestmark = pytest.mark.skipif(not BINARY, reason="it needs a broker: BABELMQ_BIN")

CONSUMER, PRODUCER = MiddlewareType.CONSUMER, MiddlewareType.PRODUCER
FORMATS = ("auto", "json", "xml", "pickle", "text", "bytes")
VALUE: dict[str, Any] = {
    "when": datetime.datetime(2026, 11, 29, 17, 0, 0, 5, tzinfo=datetime.timezone.utc),
    "text": "21,5 °C & <more>",
    "numbers": [1, -2.5, 2**70, None, True],
}


@pytest.fixture(scope="module")
def broker() -> Iterator[RealBroker]:
    listen = [f"mqtt://127.0.0.1:0?format={kind}" for kind in FORMATS]
    with_mqtt = RealBroker(*(word for url in listen for word in ("--listen", url)))
    yield with_mqtt
    with_mqtt.close()


def at(broker: RealBroker, kind: str) -> str:
    """Where it speaks MQTT, with payloads of one format."""
    return broker.listening[1 + FORMATS.index(kind)].partition("://")[2].partition("?")[0]


def exact(name: type[Any], broker: RealBroker, topic: str, kind: MiddlewareType) -> Any:
    options = {"exact": True} if name is JSONQueue else {}
    return name(topic, kind, address=broker.listening[0], **options)


QUEUES = pytest.mark.parametrize("queue", [JSONQueue, XMLQueue, PickleQueue])


ISO = "2026-11-29T17:00:00.000005+00:00"
TYPES = {
    "auto": "application/json",
    "json": "application/json",
    "xml": "application/xml",
    "pickle": "application/x-python-pickle",
    "text": "application/json",
    "bytes": "application/json",
}


@QUEUES
def test_what_a_queue_pushes_reaches_clients_of_mqtt(broker: RealBroker, queue: Any) -> None:
    topic = f"out/{queue.__name__}"
    clients = {kind: Client(at(broker, kind)) for kind in FORMATS}
    for client in clients.values():
        assert client.subscribe(topic, 1) == 1
    with exact(queue, broker, topic, PRODUCER) as producer:
        producer.push(VALUE)
        found = {kind: client.next() for kind, client in clients.items()}
    for client in clients.values():
        client.disconnect()
    for kind, message in found.items():
        assert (message.properties.ContentType, message.qos) == (TYPES[kind], 1)
        if TYPES[kind] == "application/json":
            # From JSON to JSON it is what was pushed, tags and all.
            when: Any = {"$datetime": ISO} if queue is JSONQueue else ISO
            assert json.loads(message.payload) == {**VALUE, "when": when}
    assert pickle.loads(found["pickle"].payload) == {**VALUE, "when": ISO}
    # XML has types, so what was got says the same when it is sent back.
    assert f'type="datetime">{ISO}<'.encode() in found["xml"].payload
    with exact(queue, broker, f"{topic}/back", CONSUMER) as consumer:
        with Client(at(broker, "xml")) as client:
            client.publish(f"{topic}/back", found["xml"].payload)
        assert consumer.pull() == (f"{topic}/back", VALUE)


@QUEUES
def test_what_clients_of_mqtt_publish_keeps_its_types(broker: RealBroker, queue: Any) -> None:
    when = VALUE["when"]
    payloads = {
        "json": json.dumps({"when": {"$datetime": ISO}}).encode(),
        "xml": f'<message type="dict"><when type="datetime">{ISO}</when></message>'.encode(),
        "pickle": pickle.dumps({"when": when}),
    }
    topic = f"typed/{queue.__name__}"
    with exact(queue, broker, topic, CONSUMER) as consumer:
        for kind, payload in payloads.items():
            with Client(at(broker, kind)) as client:
                client.publish(topic, payload)
            assert consumer.pull() == (topic, {"when": when})
            # A message may say by itself what it is.
            with Client(at(broker, "bytes")) as client:
                client.publish(topic, payload, ContentType=TYPES[kind])
            assert consumer.pull() == (topic, {"when": when})


@QUEUES
def test_payloads_in_no_format_are_what_they_look_like(broker: RealBroker, queue: Any) -> None:
    rows: list[tuple[str, bytes, Any]] = [
        ("auto", b'{"celsius": 21.5}', {"celsius": 21.5}),
        ("auto", b"on", "on"),
        ("auto", b"\x00\xff", b"\x00\xff"),
        ("auto", b"", ""),
        ("text", b"12", "12"),
        ("bytes", b"12", b"12"),
    ]
    with exact(queue, broker, "in/a", CONSUMER) as consumer:
        for kind, payload, value in rows:
            with Client(at(broker, kind)) as client:
                client.publish("in/a", payload)
            assert consumer.pull() == ("in/a", value)


def test_what_is_in_no_format_goes_as_it_came(broker: RealBroker) -> None:
    with Client(at(broker, "auto")) as producer:
        consumers = [Client(at(broker, kind)) for kind in ("auto", "json", "text", "bytes")]
        for consumer in consumers:
            consumer.subscribe("same/#", 2)
        for payload in (b'{ "a" :1.0 }', b" plain ", b"\x80\x00", b""):
            producer.publish("same/a", payload)
            assert [consumer.next().payload for consumer in consumers] == [payload] * 4
        for consumer in consumers:
            consumer.disconnect()


def test_what_is_not_in_the_format_is_refused_with_words(broker: RealBroker) -> None:
    for kind, payload in (("json", "{"), ("xml", "<a>"), ("pickle", "x")):
        with Client(at(broker, kind)) as client:
            refused: list[Any] = []
            client._client.on_publish = lambda *said: refused.append(said[3:])  # noqa: B023
            client.publish("refused", payload)
            ((code, properties),) = refused
            assert code.value == 153
            assert properties.ReasonString


def test_last_values_are_shared(broker: RealBroker) -> None:
    with exact(PickleQueue, broker, "last/a", PRODUCER) as producer:
        producer.push({"count": (1, 2)})
        producer.flush()
    with Client(at(broker, "pickle")) as client:
        client.subscribe("last/a", 1)
        message = client.next()
        assert (pickle.loads(message.payload), message.retain) == ({"count": (1, 2)}, 1)
        client.publish("last/a", pickle.dumps("newer", 2), retain=True)
        assert client.next().payload
    with exact(JSONQueue, broker, "last/a", CONSUMER) as consumer:
        message = consumer.pull_message()
        assert (message.value, message.retained) == ("newer", True)
    with Client(at(broker, "auto")) as client:
        client.publish("last/a", b"", retain=True)
    with exact(JSONQueue, broker, "last/a", CONSUMER) as consumer:
        assert consumer.pull_stored() == []
