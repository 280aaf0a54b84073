"""A broker by MQTT, as Eclipse Paho sees it."""

from __future__ import annotations

import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from real_broker import BINARY, RealBroker

pytest.importorskip("paho.mqtt.client")
from mqtt_client import PATIENCE, V3_1_1, V5, Client
from paho.mqtt.enums import MQTTProtocolVersion

pytestmark = pytest.mark.skipif(not BINARY, reason="it needs a broker: BABELMQ_BIN")

VERSIONS = pytest.mark.parametrize("version", [V3_1_1, V5], ids=["3.1.1", "5"])


@pytest.fixture(scope="module")
def broker() -> Iterator[RealBroker]:
    with_mqtt = RealBroker("--listen", "mqtt://127.0.0.1:0")
    yield with_mqtt
    with_mqtt.close()


@pytest.fixture
def at(broker: RealBroker) -> str:
    """Where it speaks MQTT."""
    return broker.listening[1].partition("://")[2]


@VERSIONS
def test_every_quality_arrives_with_the_lesser_of_two(
    at: str, version: MQTTProtocolVersion
) -> None:
    for granted in (0, 1, 2):
        with Client(at, version=version) as consumer, Client(at, version=version) as producer:
            assert consumer.subscribe("quality/+", granted) == granted
            for qos in (0, 1, 2):
                producer.publish(f"quality/{qos}", b"\x00\xff", qos)
                message = consumer.next()
                assert (message.topic, message.payload) == (f"quality/{qos}", b"\x00\xff")
                assert (message.qos, message.retain, message.dup) == (min(qos, granted), 0, 0)


@VERSIONS
def test_messages_keep_their_order(at: str, version: MQTTProtocolVersion) -> None:
    with Client(at, version=version) as consumer, Client(at, version=version) as producer:
        consumer.subscribe("order", 2)
        for number in range(300):
            producer._client.publish("order", str(number), number % 3)
        # Those of QoS 0 wait for nobody, but each quality is in its order.
        found = [int(consumer.next().payload) for _ in range(300)]
        for qos in (0, 1, 2):
            assert [number for number in found if number % 3 == qos] == list(range(qos, 300, 3))


@VERSIONS
def test_what_is_retained_greets_until_it_is_cleared(at: str, version: MQTTProtocolVersion) -> None:
    topic = f"retained/{version}"
    with Client(at, version=version) as producer, Client(at, version=version) as there:
        there.subscribe(topic, 1)
        producer.publish(topic, "21.5", retain=True)
        message = there.next()
        assert (message.payload, message.retain) == (b"21.5", 0)
        with Client(at, version=version) as later:
            later.subscribe("retained/#", 1)
            message = later.next()
            assert (message.topic, message.payload, message.retain) == (topic, b"21.5", 1)
        producer.publish(topic, b"", retain=True)
        message = there.next()
        assert (message.payload, message.retain) == (b"", 0)
        with Client(at, version=version) as later:
            later.subscribe("retained/#", 1)
            producer.publish("retained/end", "")
            assert later.until("retained/end") == []


@VERSIONS
def test_a_will_is_published_for_who_vanishes(at: str, version: MQTTProtocolVersion) -> None:
    with Client(at, version=version) as heir:
        heir.subscribe("will/#", 2)
        for goes in (Client.disconnect, Client.vanish):
            will = ("will/last", "gone", 2, False)
            goes(Client(at, "mortal", version, will=will))
            with Client(at, version=version) as other:
                if goes is Client.vanish:
                    message = heir.next()
                    assert (message.payload, message.qos) == (b"gone", 2)
                other.publish("will/end", "")
                assert heir.until("will/end") == []


@VERSIONS
def test_a_connection_is_taken_over(at: str, version: MQTTProtocolVersion) -> None:
    first = Client(at, "single", version)
    with Client(at, "single", version):
        assert first.ended.wait(PATIENCE)
        if version == V5:
            assert first.reason.value == 142


@VERSIONS
def test_a_session_has_what_came_while_its_client_was_away(
    at: str, version: MQTTProtocolVersion
) -> None:
    name = f"sleeper-{version}"
    with Client(at, name, version, stays=True, expiry=60) as client:
        assert not client.session_present
        client.subscribe("sleep/#", 2)
    with Client(at, version=version) as producer:
        for qos in (0, 1, 2):
            producer.publish("sleep/a", str(qos), qos)
    with Client(at, name, version, stays=True, expiry=60) as client:
        assert client.session_present
        found = [client.next() for _ in range(2)]
        assert [(message.payload, message.qos) for message in found] == [(b"1", 1), (b"2", 2)]
    with Client(at, name, version) as client:
        assert not client.session_present
        client.publish("sleep/a", "x")
        client.subscribe("end")
        client.publish("end", "")
        assert client.until("end") == []


@VERSIONS
def test_a_session_on_a_stream_outlives_the_broker(
    tmp_path: Path, version: MQTTProtocolVersion
) -> None:
    """It is killed, and nothing of the session is lost that was confirmed."""
    last = b""
    options = ["--data-dir", str(tmp_path), "--fsync", "always", "--stream", "mail:filter=mail/#"]
    broker = RealBroker(*options, "--listen", "mqtt://127.0.0.1:0")
    try:
        for turn in range(3):
            at = broker.listening[1].partition("://")[2]
            with Client(at, "keeper", version, stays=True, expiry=600) as client:
                assert client.session_present == (turn > 0)
                if turn == 0:
                    assert client.subscribe("mail/+", 1) == 1
                found = list(iter(lambda: client.next().payload, last)) if turn > 0 else []
                # What was acknowledged just before may come again.
                expected = [f"{turn - 1} {number}".encode() for number in range(9)]
                assert found[-9:] == (expected if turn > 0 else [])
                last = f"{turn} 9".encode()
            with Client(at, version=version) as producer:
                for number in range(10):
                    producer.publish("mail/a", f"{turn} {number}", 1)
            broker.kill()
            broker.start()
    finally:
        broker.kill()


@VERSIONS
def test_who_unsubscribes_gets_no_more(at: str, version: MQTTProtocolVersion) -> None:
    with Client(at, version=version) as client:
        client.subscribe("un/a", 1)
        client.subscribe("un/end", 1)
        assert client.unsubscribe("un/a") == ([0] if version == V5 else [])
        assert client.unsubscribe("un/a") == ([17] if version == V5 else [])
        client.publish("un/a", "x")
        client.publish("un/end", "")
        assert client.until("un/end") == []


@VERSIONS
def test_members_of_a_group_share_the_work(at: str, version: MQTTProtocolVersion) -> None:
    shared = f"$share/workers/work{version}/+"
    topic, done = f"work{version}/a", f"done{version}"
    with (
        Client(at, version=version) as first,
        Client(at, version=version) as second,
        Client(at, version=version) as leaver,
        Client(at, version=version) as producer,
    ):
        for member in (first, second, leaver):
            assert member.subscribe(shared, 1) == 1
            assert member.subscribe(done, 1) == 1
        for number in range(300):
            if number == 150:
                leaver.unsubscribe(shared)
            producer.publish(topic, str(number), number % 3)
        producer.publish(done, "")
        # What is of QoS 0 is not waited for, but is on the same way.
        found = [
            [int(payload) for _, payload in member.until(done)]
            for member in (first, second, leaver)
        ]
        assert sorted(number for numbers in found for number in numbers) == list(range(300))
        assert [len(numbers) for numbers in found] == [125, 125, 50]
        assert max(found[2]) < 150


@VERSIONS
def test_what_a_member_has_not_answered_goes_to_another(
    at: str, version: MQTTProtocolVersion
) -> None:
    shared, topic = f"$share/heirs/heirs{version}", f"heirs{version}"
    with Client(at, version=version) as producer:
        mortal = Client(at, version=version)
        mortal._client.manual_ack_set(True)
        mortal.subscribe(shared, 1)
        for number in range(30):
            producer.publish(topic, str(number))
        with Client(at, version=version) as heir:
            heir.subscribe(shared, 1)
            mortal.vanish()
            assert [int(heir.next().payload) for _ in range(30)] == list(range(30))


def test_properties_of_version_5_are_passed_on(at: str) -> None:
    said: dict[str, Any] = {
        "PayloadFormatIndicator": 1,
        "MessageExpiryInterval": 300,
        "ContentType": "text/plain; charset=utf-8",
        "ResponseTopic": "properties/answers",
        "CorrelationData": b"\x00 7",
        "UserProperty": [("unit", "\u00b0C"), ("unit", "K"), ("", "")],
    }
    with Client(at) as consumer, Client(at) as producer:
        consumer.subscribe("properties/#", 1, identifier=268435455)
        producer.publish("properties/a", "21,5 \u00b0C", retain=True, **said)
        with Client(at) as later:
            later.subscribe("properties/#", 1)
            for message in (consumer.next(), later.next()):
                properties = message.properties
                assert message.payload == "21,5 \u00b0C".encode()
                for name, value in said.items():
                    if name != "MessageExpiryInterval":
                        assert getattr(properties, name) == value
                    elif not message.retain:
                        assert properties.MessageExpiryInterval in range(290, 301)
                if not message.retain:
                    assert properties.SubscriptionIdentifier == [268435455]
        # Of a value that expires later subscribers get nothing.
        producer.publish("properties/a", b"", retain=True)


def test_requests_are_answered(at: str) -> None:
    with Client(at) as server, Client(at) as client:
        server.subscribe("service/square", 1)
        client.subscribe("answers/me", 1)
        client.publish("service/square", "12", ResponseTopic="answers/me", CorrelationData=b"\x01")
        asked = server.next()
        answer = str(int(asked.payload) ** 2)
        properties = asked.properties
        server.publish(properties.ResponseTopic, answer, CorrelationData=properties.CorrelationData)
        answered = client.next()
        assert (answered.payload, answered.properties.CorrelationData) == (b"144", b"\x01")


def test_options_of_subscriptions_are_kept(at: str) -> None:
    with Client(at) as client, Client(at) as other:
        client.publish("options/a", "old", retain=True)
        client.subscribe("options/#", 1, identifier=7, noLocal=True, retainAsPublished=True)
        assert client.next().payload == b"old"
        client.publish("options/a", "mine", retain=True)
        other.publish("options/a", "yours", retain=True)
        message = client.next()
        assert (message.payload, message.retain) == (b"yours", 1)
        assert message.properties.SubscriptionIdentifier == [7]
        # Of a subscription that is there already, and of one that wants none, no last values come.
        client.subscribe("options/#", 1, retainHandling=1)
        client.subscribe("options/+", 1, retainHandling=2)
        other.publish("options/end", "")
        assert client.until("options/end") == []
        client.publish("options/a", b"", retain=True)


def test_topics_have_aliases(at: str) -> None:
    with Client(at) as consumer, Client(at) as producer:
        assert producer.properties.TopicAliasMaximum >= 10
        consumer.subscribe("alias/#", 1)
        producer.publish("alias/long/name", "1", TopicAlias=3)
        producer.publish("", "2", TopicAlias=3)
        producer.publish("alias/other", "3", TopicAlias=3)
        producer.publish("", "4", TopicAlias=3)
        found = [consumer.next() for _ in range(4)]
        assert [(message.topic, message.payload) for message in found] == [
            ("alias/long/name", b"1"),
            ("alias/long/name", b"2"),
            ("alias/other", b"3"),
            ("alias/other", b"4"),
        ]


@VERSIONS
def test_what_is_long_arrives_as_it_was(at: str, version: MQTTProtocolVersion) -> None:
    with Client(at, version=version) as consumer, Client(at, version=version) as producer:
        consumer.subscribe("long", 2)
        for length in (0, 1, 127, 128, 16_383, 16_384, 2_097_152):
            payload = bytes(index * 7 % 251 for index in range(length))
            producer.publish("long", payload, 2)
            assert consumer.next().payload == payload


def test_a_filter_that_there_is_not_is_refused_alone(at: str) -> None:
    for version, refusal in ((V3_1_1, 128), (V5, 143)):
        with Client(at, version=version) as client:
            assert client.subscribe("a//b", 1) == refusal
            assert client.subscribe("still/here", 1) == 1
            client.publish("still/here", "yes")
            assert client.next().payload == b"yes"


def test_what_is_no_utf_8_ends_the_connection_with_the_reason(at: str) -> None:
    with Client(at) as client:
        topic = b"bad/\xff"
        body = struct.pack("!H", len(topic)) + topic + b"\x00x"
        client._client.socket().send(bytes([0x30, len(body)]) + body)  # type: ignore[union-attr]
        assert client.ended.wait(PATIENCE)
        assert client.reason.value == 129


def test_by_tls_and_with_a_password(tmp_path: Path) -> None:
    folder = tmp_path / "tls"
    subprocess.run([BINARY, "certs", str(folder)], check=True, stdout=subprocess.DEVNULL)
    (tmp_path / "password").write_text("s3cret", encoding="utf-8")
    made = [BINARY, "passwd", "ada", "--role", "all", "--password-file", str(tmp_path / "password")]
    ada = subprocess.run(made, capture_output=True, text=True, check=True).stdout
    role = '\n[role.all]\npublish = ["news/#"]\nsubscribe = ["news/#"]\n'
    (tmp_path / "users.toml").write_text(ada + role, encoding="utf-8")
    options = ["--listen", "mqtts://127.0.0.1:0", "--users", str(tmp_path / "users.toml")]
    options += ["--tls-cert", str(folder / "server.crt"), "--tls-key", str(folder / "server.key")]
    broker = RealBroker(*options)
    try:
        at = broker.listening[1].partition("://")[2]
        ca = str(folder / "ca.crt")
        for version, wrong in ((V3_1_1, ("ada", "wrong")), (V5, None)):
            refused = Client(at, version=version, ca=ca, login=wrong)
            assert refused.code.is_failure
            refused.disconnect()
            with Client(at, version=version, ca=ca, login=("ada", "s3cret")) as client:
                assert not client.code.is_failure
                assert client.subscribe("news/#", 1) == 1
                assert client.subscribe("secrets", 1) == (135 if version == V5 else 128)
                client.publish("news/today", "x")
                assert client.next().payload == b"x"
    finally:
        broker.close()
