"""A broker by WebSocket, as somebody else's client sees it: the package `websockets`, which holds a
server to RFC 6455.
"""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from real_broker import BINARY, RealBroker

from babelmq import JSONQueue, MiddlewareType, PickleQueue

if TYPE_CHECKING:
    from websockets.sync.client import ClientConnection

websockets = pytest.importorskip("websockets")
client = pytest.importorskip("websockets.sync.client")

pytestmark = pytest.mark.skipif(not BINARY, reason="it needs a broker: BABELMQ_BIN")

PATIENCE = 20


@pytest.fixture(scope="module")
def broker() -> Iterator[RealBroker]:
    with_http = RealBroker("--listen", "http://127.0.0.1:0")
    yield with_http
    with_http.close()


def http(broker: RealBroker) -> str:
    """Where it speaks HTTP."""
    return broker.listening[1].partition("://")[2]


def connect(broker: RealBroker, subprotocol: str = "babelmq.json") -> ClientConnection:
    connection: ClientConnection = client.connect(
        f"ws://{http(broker)}/ws",
        subprotocols=[subprotocol],
        open_timeout=PATIENCE,
        close_timeout=PATIENCE,
        max_size=None,
    )
    return connection


def say(connection: ClientConnection, **message: object) -> None:
    connection.send(json.dumps(message, ensure_ascii=False))


def hear(connection: ClientConnection) -> dict[str, object]:
    text = connection.recv(PATIENCE)
    assert isinstance(text, str)
    heard = json.loads(text)
    assert isinstance(heard, dict)
    return heard


def test_compression_is_offered_and_not_taken(broker: RealBroker) -> None:
    with connect(broker) as connection:
        assert connection.subprotocol == "babelmq.json"
        assert connection.protocol.extensions == []


def test_messages_go_to_and_come_from_clients_of_other_formats(broker: RealBroker) -> None:
    address = broker.address.rpartition("/")[2]
    with connect(broker) as connection:
        say(connection, command="subscribe", topic="/ws/a")
        assert hear(connection)["command"] == "subscribed"
        with PickleQueue("/ws/a", MiddlewareType.PRODUCER, address=address) as queue:
            queue.push({"count": 1, "text": "κόσμε \U0001f600"})
        heard = hear(connection)
        assert heard["message"] == {"count": 1, "text": "κόσμε \U0001f600"}
        with JSONQueue("/ws/b", MiddlewareType.CONSUMER, address=address) as consumer:
            long = "\U0001f600" * 100_000
            say(connection, command="publish", topic="/ws/b", message=[long, 2])
            assert consumer.pull() == ("/ws/b", [long, 2])


def test_a_text_may_be_sent_in_fragments(broker: RealBroker) -> None:
    text = json.dumps({"command": "ping", "id": "\u00fc" * 100}, ensure_ascii=False)
    with connect(broker) as connection:
        # A character may be cut in two.
        encoded = text.encode()
        for size in (1, 7, 100):
            parts = [encoded[at : at + size] for at in range(0, len(encoded), size)]
            connection.send(parts, text=True)
            assert hear(connection) == {"command": "pong", "id": "\u00fc" * 100}


def test_binary_messages_are_the_stream_of_frames(broker: RealBroker) -> None:
    body = b'{"command":"ping","id":7}'
    frame = struct.pack(">BI", 0, len(body)) + body
    with connect(broker, "babelmq") as connection:
        assert connection.subprotocol == "babelmq"
        connection.send(frame * 2 + frame[:9])
        connection.send(frame[9:])
        answer = b'{"command":"pong","id":7}'
        expected = (struct.pack(">BI", 0, len(answer)) + answer) * 3
        received = b""
        while len(received) < len(expected):
            message = connection.recv(PATIENCE)
            assert isinstance(message, bytes)
            received += message
        assert received == expected


def test_pings_are_answered(broker: RealBroker) -> None:
    with connect(broker) as connection:
        assert connection.ping().wait(PATIENCE)
        say(connection, command="subscribe", topic="/ws/nothing")
        hear(connection)
        for _ in range(3):
            assert connection.ping(b"a" * 125).wait(PATIENCE)


def test_the_end_is_what_either_side_says(broker: RealBroker) -> None:
    with connect(broker) as connection:
        connection.close(4_000, "done")
        assert (connection.close_code, connection.close_reason) == (4_000, "")
    with connect(broker) as connection:
        connection.send(b"binary")
        with pytest.raises(websockets.exceptions.ConnectionClosedError) as ended:
            connection.recv(PATIENCE)
        assert ended.value.rcvd.code == 1_003
    with connect(broker, "babelmq") as connection:
        connection.send(b"GET / HTTP/1.1\r\n\r\n")
        assert b"unknown-format" in connection.recv(PATIENCE)
        with pytest.raises(websockets.exceptions.ConnectionClosedError) as ended:
            connection.recv(PATIENCE)
        assert ended.value.rcvd.code == 1_008


def test_a_handshake_that_cannot_be_is_told_why(broker: RealBroker) -> None:
    with pytest.raises(websockets.exceptions.InvalidStatus) as refused:
        client.connect(f"ws://{http(broker)}/ws", subprotocols=["amqp"])
    response = refused.value.response
    assert response.status_code == 400
    assert b"babelmq.json" in response.body
    host, _, port = http(broker).rpartition(":")
    with socket.create_connection((host, int(port)), PATIENCE) as plain:
        plain.sendall(b"GET /ws HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert plain.recv(4_096).startswith(b"HTTP/1.1 426 ")
