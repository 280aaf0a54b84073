"""What happens when a connection is lost, and when the other end is not a broker. With peers of the
tests' own.
"""

from __future__ import annotations

import logging
import pickle
import socket
import threading
from collections.abc import Iterator
from typing import Any, Callable

import pytest
from fake_broker import FakeBroker, Scripted, encode

from babelmq import (
    BrokerError,
    ConnectionLost,
    JSONQueue,
    MalformedMessage,
    MiddlewareType,
    PickleQueue,
    ProtocolError,
    Queue,
    XMLQueue,
)

PRODUCER = MiddlewareType.PRODUCER
SUBSCRIBED = {"command": "subscribed", "topic": "/a", "values": 0}

Script = Callable[[socket.socket], None]


@pytest.fixture
def scripted() -> Iterator[Callable[[Script], str]]:
    """Starts peers that run a script for each connection; gives their address."""
    peers: list[Scripted] = []

    def start(script: Script) -> str:
        peers.append(Scripted(script))
        return peers[-1].address

    yield start
    for peer in peers:
        peer.close()


@pytest.fixture
def fake() -> Iterator[FakeBroker]:
    fake = FakeBroker()
    yield fake
    fake.close()


def says(*frames: bytes) -> Script:
    """A peer that reads once, says this, and keeps the connection until the client goes."""

    def script(peer: socket.socket) -> None:
        peer.recv(1 << 16)
        peer.sendall(b"".join(frames))
        while peer.recv(1 << 16):
            pass

    return script


def test_a_consumer_comes_back(fake: FakeBroker, caplog: pytest.LogCaptureFixture) -> None:
    with (
        JSONQueue("/a", address=fake.address, timeout=10) as consumer,
        JSONQueue("/a", PRODUCER, address=fake.address) as producer,
    ):
        producer.push(1)
        assert consumer.pull() == ("/a", 1)
        producer.flush()
        fake.drop_all()
        with JSONQueue("/a", PRODUCER, address=fake.address) as other:
            other.push(2)
        assert consumer.pull() == ("/a", 2)
    assert "connection to the broker lost (topic /a)" in caplog.text
    assert "connected to the broker again (topic /a)" in caplog.text


def test_a_consumer_waits_for_a_broker_that_restarts(caplog: pytest.LogCaptureFixture) -> None:
    first = FakeBroker()
    with JSONQueue("/a", address=first.address, timeout=20) as consumer:
        first.close()
        failed = threading.Event()

        class Watch(logging.Handler):
            def emit(self, record: logging.LogRecord) -> None:
                if "cannot reach" in record.getMessage():
                    failed.set()

        logger = logging.getLogger("babelmq")
        watch = Watch()
        logger.addHandler(watch)
        second: list[FakeBroker] = []

        def restart() -> None:
            failed.wait(10)
            second.append(FakeBroker(first.port))
            second[0].subscribed.acquire(timeout=10)
            with JSONQueue("/a", PRODUCER, address=second[0].address) as producer:
                producer.push("back")

        thread = threading.Thread(target=restart)
        thread.start()
        assert consumer.pull() == ("/a", "back")
        thread.join(10)
        logger.removeHandler(watch)
        second[0].close()


def test_pull_times_out_while_the_broker_is_gone() -> None:
    fake = FakeBroker()
    with JSONQueue("/a", address=fake.address) as consumer:
        fake.close()
        with pytest.raises(TimeoutError):
            consumer.pull(timeout=0.2)


def test_flush_does_not_confirm_what_went_with_a_connection(fake: FakeBroker) -> None:
    producer = JSONQueue("/a", PRODUCER, address=fake.address, timeout=10)
    producer.push(1)
    producer.flush()
    fake.drop_all()
    producer.flush()  # Nothing was unconfirmed, so nothing was lost.
    producer.push(2)
    fake.drop_all()
    with pytest.raises(ConnectionLost, match="may be lost"):
        producer.flush()
    producer.push(3)
    producer.flush()
    assert producer.get() == 3
    producer.close()


def test_a_push_after_a_lost_connection_goes_over_the_next(fake: FakeBroker) -> None:
    producer = JSONQueue("/a", PRODUCER, address=fake.address, timeout=10)
    producer.push(1)
    assert producer.get() == 1  # An answer, but no confirmation of what was pushed.
    fake.drop_all()
    for number in range(20):
        producer.push(number)
    with pytest.raises(ConnectionLost):
        producer.flush()
    producer.push("last")
    producer.flush()
    assert producer.get() == "last"
    producer.close()


def test_questions_are_asked_again(fake: FakeBroker) -> None:
    with JSONQueue("/a", address=fake.address, timeout=10) as queue:
        queue.push(1)
        queue.flush()
        fake.drop_all()
        assert queue.topics() == ["/a"]
        fake.drop_all()
        assert queue.get() == 1
        seen: list[list[str]] = []
        queue.list_topics(seen.append)
        queue.list_topics(lambda _: queue.push(2))
        fake.drop_all()
        while queue.pull() != ("/a", 2):
            pass
        assert seen == [["/a"]]


@pytest.mark.parametrize("queue_type", [JSONQueue, XMLQueue, PickleQueue])
def test_a_slow_consumer_is_told_once_and_can_go_on(queue_type: type[Queue], scripted: Any) -> None:
    form = int(queue_type.codec.format)
    too_slow = {
        "command": "error",
        "code": "slow-consumer",
        "reason": "9 behind",
        "fatal": True,
        "topic": "/a",
    }

    def script(peer: socket.socket) -> None:
        peer.recv(1 << 16)
        delivery = {"command": "publish", "topic": "/a", "message": 1}
        peer.sendall(encode(form, SUBSCRIBED) + encode(form, delivery) + encode(form, too_slow))

    with queue_type("/a", address=scripted(script), timeout=10) as queue:
        for _ in range(3):
            assert queue.pull() == ("/a", 1)
            with pytest.raises(BrokerError, match="slow-consumer: 9 behind") as caught:
                queue.pull()
            assert caught.value.fatal


@pytest.mark.parametrize("is_first_word", [True, False])
def test_a_connection_that_an_administrator_has_ended_is_one_that_was_lost(
    is_first_word: bool, scripted: Any
) -> None:
    ended = {"command": "error", "code": "disconnected", "reason": "by ada", "fatal": True}
    connections: list[socket.socket] = []

    def script(peer: socket.socket) -> None:
        peer.recv(1 << 16)
        connections.append(peer)
        delivery = {"command": "publish", "topic": "/a", "message": len(connections)}
        said = encode(0, SUBSCRIBED) + encode(0, delivery)
        if len(connections) == 1:
            said = b"" if is_first_word else said
            peer.sendall(said + encode(0, ended))
            return
        peer.sendall(said)
        peer.recv(1 << 16)

    with JSONQueue("/a", address=scripted(script), timeout=10) as queue:
        if not is_first_word:
            assert queue.pull() == ("/a", 1)
        assert queue.pull() == ("/a", 2)


def test_several_refusals_come_out_of_one_flush(scripted: Any) -> None:
    errors = [
        {"command": "error", "code": f"e{n}", "reason": "no", "fatal": False} for n in range(150)
    ]
    answer = b"".join(encode(0, message) for message in [*errors, {"command": "pong", "id": 1}])
    producer = JSONQueue("/a", PRODUCER, address=scripted(says(answer)), timeout=10)
    with pytest.raises(BrokerError, match=r"\(and 100 more refused, see .more\)") as caught:
        producer.flush()
    assert len(caught.value.more) == 100
    producer.close()


def test_a_fatal_refusal_reaches_a_producer(scripted: Any) -> None:
    fatal = {"command": "error", "code": "frame-too-large", "reason": "limit 16 MiB", "fatal": True}

    def script(peer: socket.socket) -> None:
        peer.recv(10)
        peer.sendall(encode(0, fatal))
        peer.shutdown(socket.SHUT_WR)
        while peer.recv(1 << 20):
            pass

    for last in ("flush", "push"):
        producer = JSONQueue("/a", PRODUCER, address=scripted(script), timeout=10)
        producer.push("x" * 1000)
        with pytest.raises(BrokerError, match="limit 16 MiB"):
            while True:
                producer.push(1) if last == "push" else producer.flush()
        producer.close()


@pytest.mark.parametrize("queue_type", [XMLQueue, PickleQueue])
def test_a_brokers_last_words_may_be_json(queue_type: type[Queue], scripted: Any) -> None:
    fatal = {"command": "error", "code": "too-many-connections", "reason": "full", "fatal": True}
    with pytest.raises(BrokerError, match="too-many-connections"):
        queue_type("/a", address=scripted(says(encode(0, fatal))), timeout=10)


def test_a_message_in_another_format_is_refused_and_the_next_is_read(scripted: Any) -> None:
    delivery = {"command": "publish", "topic": "/a", "message": 1}
    address = scripted(
        says(encode(0, SUBSCRIBED), encode(2, delivery), encode(1, delivery), encode(0, delivery))
    )
    with JSONQueue("/a", address=address, timeout=10) as queue:
        with pytest.raises(MalformedMessage, match="came as PICKLE, though this queue speaks JSON"):
            queue.pull()
        with pytest.raises(MalformedMessage, match="came as XML"):
            queue.pull()
        assert queue.pull() == ("/a", 1)


class Canary:
    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return open, (self.path, "w")


def test_a_hostile_pickle_is_refused_and_the_next_is_read(scripted: Any, tmp_path: Any) -> None:
    canary = tmp_path / "canary"
    deliveries = [
        encode(2, {"command": "publish", "topic": "/a", "message": message})
        for message in (Canary(str(canary)), 2)
    ]
    address = scripted(says(encode(2, SUBSCRIBED), *deliveries))
    with PickleQueue("/a", address=address, timeout=10) as queue:
        with pytest.raises(MalformedMessage, match=r"open"):
            queue.pull()
        assert queue.pull() == ("/a", 2)
    assert not canary.exists()


@pytest.mark.parametrize(
    "bytes_sent",
    [
        b"\x00\xff\xff\xff\xff",
        b"\x00\x00\x00\x04\x01",
        b"\x03\x00\x00\x00\x00",
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
    ],
)
def test_a_stream_that_is_no_brokers_ends_with_an_error(bytes_sent: bytes, scripted: Any) -> None:
    address = scripted(says(bytes_sent))
    with pytest.raises(ProtocolError, match=r"the limit is 1024 .*--max-encoded|begins with byte"):
        JSONQueue("/a", address=address, timeout=10, max_frame=1024).pull()
    producer = JSONQueue("/a", PRODUCER, address=address, timeout=10, max_frame=1024)
    producer.push(1)
    with pytest.raises((ProtocolError, ConnectionLost)):
        while True:
            producer.push(1)


@pytest.mark.parametrize(
    "message",
    [
        {"command": "publish", "message": 1},
        {"command": "publish", "topic": "/a"},
        {"command": "publish", "topic": 1, "message": 1},
        {"command": "pong", "id": "x"},
        {"command": "error"},
        {"command": "topics", "topics": 5},
        [],
    ],
    ids=str,
)
def test_replies_that_lack_something(message: Any, scripted: Any) -> None:
    address = scripted(says(encode(2, SUBSCRIBED), encode(2, message)))
    with PickleQueue("/a", address=address, timeout=10) as queue, pytest.raises(MalformedMessage):
        queue.pull()


def test_what_is_unknown_is_ignored(scripted: Any) -> None:
    strange: list[dict[str, Any]] = [
        {"command": "news"},
        {"command": 5},
        {"no": "command"},
        {"command": "value", "topic": "/x"},
    ]
    delivery = {"command": "publish", "topic": "/a", "message": 1, "new": "field"}
    address = scripted(says(*(encode(2, message) for message in [SUBSCRIBED, *strange, delivery])))
    with PickleQueue("/a", address=address, timeout=10) as queue:
        assert queue.pull() == ("/a", 1)


def test_a_stream_in_single_bytes(scripted: Any) -> None:
    deliveries = [
        encode(0, {"command": "publish", "topic": "/a", "message": "x" * n}) for n in (0, 1, 300)
    ]

    def script(peer: socket.socket) -> None:
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        peer.recv(1 << 16)
        for byte in b"".join([encode(0, SUBSCRIBED), *deliveries]):
            peer.sendall(bytes([byte]))
        peer.recv(1)

    with JSONQueue("/a", address=scripted(script), timeout=10) as queue:
        assert [len(queue.pull()[1]) for _ in range(3)] == [0, 1, 300]


def test_a_peer_that_says_nothing_costs_no_more_than_the_timeout(scripted: Any) -> None:
    address = scripted(says())
    with pytest.raises(TimeoutError):
        JSONQueue("/a", address=address, timeout=0.05)
    producer = JSONQueue("/a", PRODUCER, address=address, timeout=0.05)
    for call in (producer.flush, producer.topics, producer.get):
        with pytest.raises(TimeoutError):
            call()


def test_a_peer_that_does_not_read_costs_no_more_than_the_timeout(scripted: Any) -> None:
    release = threading.Event()

    def script(peer: socket.socket) -> None:
        release.wait(10)

    producer = JSONQueue("/a", PRODUCER, address=scripted(script), timeout=0.2)
    with pytest.raises(TimeoutError):
        producer.push("x" * 20_000_000)
    release.set()
    with pytest.raises(TimeoutError):
        while True:
            producer.push("x" * 20_000_000)


def test_a_push_is_one_send_of_one_frame(scripted: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    address = scripted(says())
    producer = JSONQueue("/a", PRODUCER, address=address)
    producer.push(0)
    calls: list[Any] = []
    real = producer._connection._socket
    assert real is not None

    class Watched:
        def __getattr__(self, name: str) -> Any:
            calls.append(name)
            return getattr(real, name)

    monkeypatch.setattr(producer._connection, "_socket", Watched())
    # The push before is long ago: one that follows at once may share a write with the next.
    monkeypatch.setattr(producer._connection, "_sent_at", 0.0)
    producer.push({"n": 1})
    assert calls == ["send"]
    producer.close()


def test_pickle_of_a_broker_is_read_in_every_protocol(scripted: Any) -> None:
    value = {"a": [1, (2.5, None)], "b": {"c": "d"}}
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        body = pickle.dumps({"command": "publish", "topic": "/a", "message": value}, protocol)
        address = scripted(
            says(encode(2, SUBSCRIBED), b"\x02" + len(body).to_bytes(4, "big") + body)
        )
        with PickleQueue("/a", address=address, timeout=10) as queue:
            assert queue.pull() == ("/a", value)
