"""A client of paho that is used from top to bottom: each call waits for its answer."""

from __future__ import annotations

import itertools
import queue
import threading
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

PATIENCE = 30.0
V3_1_1, V5 = MQTTProtocolVersion.MQTTv311, MQTTProtocolVersion.MQTTv5

_names = itertools.count(1)


def props(packet: int = PacketTypes.PUBLISH, **values: Any) -> Properties:
    """Properties of a packet, by the names that paho has for them."""
    made = Properties(packet)  # type: ignore[no-untyped-call]
    for name, value in values.items():
        setattr(made, name, value)
    return made


class Client:
    """A client that is connected, or was refused."""

    def __init__(
        self,
        address: str,
        name: str | None = None,
        version: MQTTProtocolVersion = V5,
        *,
        stays: bool = False,
        expiry: int = 0,
        will: tuple[Any, ...] | None = None,
        login: tuple[str, str] | None = None,
        ca: str | None = None,
    ) -> None:
        name = f"paho-{next(_names)}" if name is None else name
        clean = None if version == V5 else not stays
        self._client = paho.Client(
            CallbackAPIVersion.VERSION2, name, clean_session=clean, protocol=version
        )
        #: Messages of paho, in the order in which they come.
        self.messages: queue.Queue[Any] = queue.Queue()
        self._connected: queue.Queue[tuple[Any, ...]] = queue.Queue()
        self._answers: queue.Queue[list[int]] = queue.Queue()
        self.ended = threading.Event()
        #: Why the broker has ended the connection.
        self.reason: Any = None
        self._client.on_connect = lambda *said: self._connected.put(said[2:])
        self._client.on_message = lambda _client, _data, message: self.messages.put(message)
        self._client.on_subscribe = self._answered
        self._client.on_unsubscribe = self._answered
        self._client.on_disconnect = self._disconnected
        if will is not None:
            self._client.will_set(*will)
        if login is not None:
            self._client.username_pw_set(*login)
        if ca is not None:
            self._client.tls_set(ca)
        host, _, port = address.rpartition(":")
        options: dict[str, Any] = {}
        if version == V5:
            options["clean_start"] = not stays
            options["properties"] = props(PacketTypes.CONNECT, SessionExpiryInterval=expiry)
        self._client.connect(host, int(port), **options)
        self._client.loop_start()
        flags, self.code, self.properties = self._connected.get(timeout=PATIENCE)
        self.session_present: bool = flags.session_present

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.disconnect()

    def _answered(self, _client: Any, _data: Any, _mid: int, codes: Any, _props: Any) -> None:
        self._answers.put([code.value for code in codes])

    def _disconnected(self, _client: Any, _data: Any, _flags: Any, reason: Any, _: Any) -> None:
        # It would come back by itself.
        self._client._thread_terminate = True
        self.reason = reason
        self.ended.set()

    def subscribe(self, topic: str, qos: int = 0, identifier: int | None = None, **how: Any) -> int:
        """Subscribes, and gives the code of the answer; `how` are options of version 5."""
        if how or identifier is not None:
            said = props(PacketTypes.SUBSCRIBE)
            if identifier is not None:
                said.SubscriptionIdentifier = identifier
            self._client.subscribe(topic, options=SubscribeOptions(qos, **how), properties=said)
        else:
            self._client.subscribe(topic, qos)
        (code,) = self._answers.get(timeout=PATIENCE)
        return code

    def unsubscribe(self, topic: str) -> list[int]:
        """Unsubscribes, and gives the codes of the answer, of which version 3.1.1 has none."""
        self._client.unsubscribe(topic)
        return self._answers.get(timeout=PATIENCE)

    def publish(
        self, topic: str, payload: str | bytes, qos: int = 1, retain: bool = False, **said: Any
    ) -> None:
        """Publishes, and waits until it is acknowledged; `said` are properties of version 5."""
        properties = props(**said) if said else None
        info = self._client.publish(topic, payload, qos, retain, properties)
        info.wait_for_publish(PATIENCE)
        assert info.is_published()

    def next(self) -> Any:
        """The next message, as paho has it."""
        return self.messages.get(timeout=PATIENCE)

    def until(self, topic: str) -> list[tuple[str, bytes]]:
        """Topics and payloads of all that comes before the first message of a topic."""
        messages = iter(self.next, None)
        found = itertools.takewhile(lambda message: message.topic != topic, messages)
        return [(message.topic, message.payload) for message in found]

    def vanish(self) -> None:
        """Lets go of the connection without a word."""
        self._client.loop_stop()
        paho_socket = self._client.socket()
        assert paho_socket is not None
        paho_socket.close()

    def disconnect(self) -> None:
        """Says goodbye."""
        self._client.disconnect()
        self._client.loop_stop()
