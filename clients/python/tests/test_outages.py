"""What a network does to a connection, and what both kinds of queue make of it."""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from fake_broker import Scripted, encode
from kinds import Kind
from proxy import PATIENCE, Proxy
from real_broker import BINARY

from babelmq import (
    BrokerError,
    CannotConnect,
    ConnectionLost,
    JSONQueue,
    MiddlewareType,
    NotSubscribed,
    ProtocolError,
)
from babelmq.address import resolve
from babelmq.connection import keep_alive
from babelmq.link import HEALTHY, Link, State

PRODUCER = MiddlewareType.PRODUCER
SUBSCRIBED = {"command": "subscribed", "topic": "/a", "values": 0}


class Log(logging.Handler):
    """Waits for what the client logs."""

    def __init__(self) -> None:
        super().__init__()
        self._happened = threading.Condition()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        with self._happened:
            self.lines.append(record.getMessage())
            self._happened.notify_all()

    def wait_for(self, text: str, count: int = 1) -> None:
        with self._happened:
            assert self._happened.wait_for(
                lambda: sum(text in line for line in self.lines) >= count, PATIENCE
            )


@pytest.fixture
def log() -> Iterator[Log]:
    log = Log()
    logger = logging.getLogger("babelmq")
    logger.addHandler(log)
    yield log
    logger.removeHandler(log)


def until(happened: Any) -> None:
    """Calls ``happened``, which waits a little itself, until it says so."""
    end = time.monotonic() + PATIENCE
    while not happened():
        assert time.monotonic() < end


# --- the next attempt is due when it is due, whatever the timeouts of the calls -------------------


@pytest.mark.parametrize("timeout", [0, 0.01, 0.2])
def test_pulls_with_short_timeouts_reconnect(
    timeout: float, kind: Kind, proxy: Proxy, log: Log
) -> None:
    consumer = kind("JSONQueue", "/a", address=proxy.address)
    assert consumer.connected
    proxy.down()

    def pull() -> Any:
        try:
            return consumer.pull(timeout=timeout)
        except TimeoutError as error:
            return str(error)

    # Until the pauses are longer than any of the timeouts.
    until(lambda: sum("cannot reach" in line for line in log.lines) >= 4 or not pull())
    assert "there is no connection to the broker" in pull()
    assert not consumer.connected
    assert any("connection to the broker lost (topic /a)" in line for line in log.lines)
    proxy.up()
    with JSONQueue.producer("/a") as producer:
        producer.push("back")
    assert until_pulled(pull) == ("/a", "back")
    assert consumer.connected
    assert any("connected to the broker again (topic /a)" in line for line in log.lines)
    assert pull() == "nothing arrived from the broker in time"


def until_pulled(pull: Any) -> Any:
    end = time.monotonic() + PATIENCE
    while isinstance(got := pull(), str):
        assert time.monotonic() < end
    return got


@pytest.mark.parametrize("call", ["push", "flush", "topics"])
def test_other_calls_with_short_timeouts_reconnect(
    call: str, kind: Kind, proxy: Proxy, log: Log
) -> None:
    producer = kind("JSONQueue", "/a", address=proxy.address, timeout=0.05)
    producer.push(1)
    producer.flush()
    proxy.down()

    def works() -> bool:
        try:
            producer.push(2) if call == "push" else getattr(producer, call)()
        except (TimeoutError, ConnectionLost):
            return False
        return bool(producer.connected)

    until(lambda: sum("cannot reach" in line for line in log.lines) >= 3 or (works() and False))
    assert not producer.connected
    proxy.up()
    until(works)


# --- pauses ---------------------------------------------------------------------------------------


def test_the_pauses_begin_again_only_after_a_time_of_health() -> None:
    now = 0.0
    link = Link(None, 0, lambda: now)

    def pause(up_for: float) -> float:
        nonlocal now
        now = max(now, link.retry_at)
        assert link.may_connect()
        link.connecting()
        link.opened()
        link.up()
        now += up_for
        link.lost("gone")
        assert link.state is State.DOWN and not link.may_connect()
        return link.retry_at - now

    short = [pause(HEALTHY / 2) for _ in range(10)]
    assert short[0] <= 0.05 < 2.5 <= short[-1] <= 5
    assert pause(HEALTHY) <= 0.05
    assert pause(0) <= 0.1


def test_a_broker_that_turns_everybody_away_is_not_asked_all_the_time(kind: Kind) -> None:
    full = {"command": "error", "code": "too-many-connections", "reason": "full", "fatal": True}
    asked: list[float] = []

    def script(peer: socket.socket) -> None:
        peer.recv(1 << 16)
        asked.append(time.monotonic())
        peer.sendall(encode(0, SUBSCRIBED if len(asked) == 1 else full))

    broker = Scripted(script)
    try:
        consumer = kind("JSONQueue", "/a", address=broker.address, timeout=10)
        for _ in range(5):
            with pytest.raises(BrokerError, match="too-many-connections"):
                consumer.pull()
        # Pauses of at least 0.025, 0.05, 0.1, 0.2 and 0.4 seconds.
        assert len(asked) == 6
        assert asked[-1] - asked[0] >= 0.77
    finally:
        broker.close()


def test_a_refusal_that_does_not_change_is_not_asked_for_again(kind: Kind) -> None:
    refusal = {"command": "error", "code": "not-you", "reason": "log in", "fatal": True}
    asked: list[float] = []

    def script(peer: socket.socket) -> None:
        peer.recv(1 << 16)
        asked.append(time.monotonic())
        peer.sendall(encode(0, SUBSCRIBED if len(asked) == 1 else refusal))

    broker = Scripted(script)
    try:
        consumer = kind("JSONQueue", "/a", address=broker.address, timeout=10)
        with pytest.raises(BrokerError, match=r"not-you: log in$"):
            consumer.pull()
        for call in (consumer.pull, consumer.flush, consumer.topics):
            with pytest.raises(
                BrokerError, match=r"not-you: log in .*trying again does not change that"
            ) as caught:
                call()
            assert caught.value.fatal
        assert len(asked) == 2
    finally:
        broker.close()


def test_a_subscription_that_is_refused_later_is_not_waited_for(kind: Kind) -> None:
    refused = {
        "command": "error",
        "code": "not-permitted",
        "reason": "no",
        "fatal": False,
        "topic": "/a",
    }
    connections: list[socket.socket] = []

    def script(peer: socket.socket) -> None:
        connections.append(peer)
        peer.recv(1 << 16)
        if len(connections) == 1:
            peer.sendall(encode(0, SUBSCRIBED))
        else:
            peer.sendall(encode(0, refused) + encode(0, {"command": "pong", "id": 1}))
            peer.recv(1)

    broker = Scripted(script)
    try:
        consumer = kind("JSONQueue", "/a", address=broker.address, timeout=10)
        with pytest.raises(BrokerError, match="not-permitted"):
            consumer.pull()
        with pytest.raises(NotSubscribed):
            consumer.pull()
    finally:
        broker.close()


# --- frames that are too long ---------------------------------------------------------------------


@pytest.mark.parametrize("name", ["JSONQueue", "XMLQueue", "PickleQueue"])
def test_a_frame_that_is_too_long_is_one_error(name: str, kind: Kind, proxy: Proxy) -> None:
    consumer = kind(name, "/a", address=proxy.address, max_frame=100_000, timeout=20)
    with JSONQueue.producer("/a", timeout=20) as producer:
        for value in ("first", "x" * 3_000_000, "second", "y" * 100_001, "z" * 100_001, "third"):
            producer.push(value)
    assert consumer.pull() == ("/a", "first")
    with pytest.raises(
        ProtocolError, match=r"announces 3000\d\d\d bytes; the limit is 100000 \(max_frame"
    ):
        consumer.pull()
    assert consumer.pull() == ("/a", "second")
    consumer.flush()
    for _ in range(2):
        with pytest.raises(ProtocolError, match="it was skipped"):
            consumer.pull()
    assert consumer.pull() == ("/a", "third")
    assert proxy.accepted == 1


def test_an_answer_that_is_too_long_is_said_to_who_asked(kind: Kind) -> None:
    producer = kind("JSONQueue", "/a", PRODUCER, max_frame=1000, timeout=20)
    producer.push("x" * 2000)
    with pytest.raises(ProtocolError, match="the limit is 1000"):
        producer.get()
    producer.push(1)
    assert producer.get() == 1


# --- silence --------------------------------------------------------------------------------------


def test_a_connection_that_was_forgotten_is_noticed(kind: Kind, proxy: Proxy, log: Log) -> None:
    consumer = kind("JSONQueue", "/a", address=proxy.address, keepalive=0.2, timeout=PATIENCE)
    proxy.forget()
    pulled: list[Any] = []
    thread = threading.Thread(target=lambda: pulled.append(consumer.pull()))
    thread.start()
    proxy.wait_until_swallowed(b'"ping"')
    log.wait_for("connection to the broker lost (topic /a): no answer in time")
    proxy.wait_for_connections(2)
    with JSONQueue.producer("/a") as producer:
        producer.push("here")
    thread.join(PATIENCE)
    assert pulled == [("/a", "here")]


def test_pulls_that_are_shorter_than_the_silence_notice_it_too(kind: Kind, proxy: Proxy) -> None:
    consumer = kind("JSONQueue", "/a", address=proxy.address, keepalive=0.2)
    proxy.forget()

    def pulled() -> bool:
        with pytest.raises(TimeoutError):
            consumer.pull(timeout=0.03)
        return proxy.accepted == 2

    until(pulled)


def test_a_flush_over_a_forgotten_connection_says_what_may_be_lost(
    kind: Kind, proxy: Proxy
) -> None:
    producer = kind(
        "JSONQueue", "/a", PRODUCER, address=proxy.address, keepalive=0.2, timeout=PATIENCE
    )
    producer.push(1)
    producer.flush()
    proxy.forget()
    producer.push(2)
    with pytest.raises(ConnectionLost, match="may be lost"):
        producer.flush()
    producer.push(3)
    producer.flush()
    assert producer.get() == 3


def test_a_broker_that_is_there_may_be_silent(kind: Kind, proxy: Proxy) -> None:
    consumer = kind("JSONQueue", "/a", address=proxy.address, keepalive=0.1)
    with pytest.raises(TimeoutError, match="nothing arrived"):
        consumer.pull(timeout=1)
    assert proxy.accepted == 1
    proxy.wait_until_passed(b'"ping"')


def test_without_a_keepalive_nobody_asks(kind: Kind, proxy: Proxy) -> None:
    consumer = kind("JSONQueue", "/a", address=proxy.address, keepalive=None)
    with pytest.raises(TimeoutError, match="nothing arrived"):
        consumer.pull(timeout=0.5)
    assert b'"ping"' not in proxy.passed
    for bad in (0, -1):
        with pytest.raises(ValueError, match="keepalive"):
            kind("JSONQueue", "/a", address=proxy.address, keepalive=bad)


def test_tcp_asks_as_well() -> None:
    with socket.socket() as opened:
        keep_alive(opened, 30)
        assert opened.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        for name, value in (("TCP_KEEPIDLE", 30), ("TCP_USER_TIMEOUT", 60_000)):
            if hasattr(socket, name):
                assert opened.getsockopt(socket.IPPROTO_TCP, getattr(socket, name)) == value
    with socket.socket() as opened:
        keep_alive(opened, None)
        assert not opened.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)


# --- a broker that stalls -------------------------------------------------------------------------


def test_a_stall_is_no_outage(kind: Kind, proxy: Proxy) -> None:
    queue = kind("JSONQueue", "/a", address=proxy.address, timeout=20)
    proxy.stall()
    for number in range(300):
        queue.push(number)
    with pytest.raises(TimeoutError, match="nothing arrived"):
        queue.pull(timeout=0.05)
    proxy.flow()
    assert [queue.pull()[1] for _ in range(300)] == list(range(300))
    queue.flush()
    assert proxy.accepted == 1


def test_a_push_on_a_dead_path_with_full_buffers_ends(kind: Kind, proxy: Proxy) -> None:
    producer = kind("JSONQueue", "/a", PRODUCER, address=proxy.address, keepalive=1)
    producer.push("first")
    producer.flush()
    proxy.hold()
    # More than the buffers on the way can hold.
    for _ in range(24):
        producer.push("x" * 1_000_000)
    assert proxy.accepted == 2
    with pytest.raises(ConnectionLost):
        producer.flush()
    producer.push("last")
    producer.flush()
    assert producer.get() == "last"


def test_the_thread_that_sends_gives_a_dead_path_up(proxy: Proxy, log: Log) -> None:
    with JSONQueue.producer("/a", address=proxy.address, keepalive=1, timeout=0.1) as producer:
        until(lambda: flushed(producer))
        proxy.hold()
        # Buffers on the way grow for a moment: they are full where one push after the other fails.
        failed = 0
        while failed < 5:
            try:
                producer.push("x" * 30_000)
                failed = 0
            except TimeoutError:
                failed += 1
        # Nobody calls anything from here on, but the thread that sends what waits.
        log.wait_for("connection to the broker lost")
        with pytest.raises(ConnectionLost):
            until(lambda: flushed(producer))
        until(lambda: flushed(producer))
        assert proxy.accepted == 2


@pytest.mark.skipif(not BINARY, reason="the small broker of the tests waits for who does not read")
def test_a_push_that_timed_out_was_not_sent(kind: Kind, proxy: Proxy) -> None:
    producer = kind("JSONQueue", "/a", PRODUCER, address=proxy.address, timeout=0.2)
    with JSONQueue.consumer("/a", timeout=20) as consumer:
        producer.flush()
        proxy.stall()
        pushed = 0
        with pytest.raises(TimeoutError, match="did not take"):
            while True:
                producer.push([pushed, "x" * 50_000])
                pushed += 1
        proxy.flow()
        until(lambda: flushed(producer))
        producer.push("last")
        producer.flush()
        seen: list[Any] = []
        while not seen or seen[-1] != "last":
            seen.append(consumer.pull()[1])
    assert [number for number, _ in seen[:-1]] == list(range(pushed))
    assert proxy.accepted == 1


def flushed(producer: Any) -> bool:
    try:
        producer.flush()
    except TimeoutError:
        return False
    return True


@pytest.mark.parametrize("reset", [False, True])
def test_connections_that_are_cut_in_the_middle(reset: bool, kind: Kind, proxy: Proxy) -> None:
    with JSONQueue.consumer("/a", timeout=20, queue=200_000) as consumer:
        producer = kind("JSONQueue", "/a", PRODUCER, address=proxy.address, timeout=20)
        confirmed: list[int] = []
        number = 0
        for _ in range(6):
            batch = []
            for _ in range(200):
                producer.push(number)
                batch.append(number)
                number += 1
                if number % 300 == 150:
                    proxy.cut(reset=reset)
            try:
                producer.flush()
                confirmed += batch
            except ConnectionLost:
                pass
        producer.push("last")
        producer.flush()
        seen: list[Any] = []
        while not seen or seen[-1] != "last":
            seen.append(consumer.pull()[1])
    numbers = seen[:-1]
    assert numbers == sorted(set(numbers))
    assert set(confirmed) <= set(numbers)


# --- a client that is there before its broker -----------------------------------------------------


def test_a_consumer_waits_for_a_broker_that_comes_later(kind: Kind, proxy: Proxy, log: Log) -> None:
    proxy.down()
    made: list[Any] = []
    making = threading.Thread(
        target=lambda: made.append(
            kind("JSONQueue", "/a", address=proxy.address, wait=PATIENCE, timeout=1)
        )
    )
    making.start()
    log.wait_for("cannot reach the broker (topic /a), trying again", 2)
    proxy.up()
    making.join(PATIENCE)
    assert made[0].connected


def test_a_producer_waits_for_a_broker_that_comes_later(kind: Kind, proxy: Proxy, log: Log) -> None:
    proxy.down()
    producer = kind("JSONQueue", "/a", PRODUCER, address=proxy.address, wait=PATIENCE)
    pushing = threading.Thread(target=lambda: producer.push(1))
    pushing.start()
    log.wait_for("cannot reach the broker (topic /a), trying again", 2)
    proxy.up()
    pushing.join(PATIENCE)
    assert producer.get() == 1


def test_the_wait_has_an_end(kind: Kind) -> None:
    with socket.socket() as taken:  # Bound and not listening: nobody answers there.
        taken.bind(("127.0.0.1", 0))
        address = taken.getsockname()
        begun = time.monotonic()
        with pytest.raises(CannotConnect, match="babelmq serve"):
            kind("JSONQueue", "/a", address=address, wait=0.3)
        assert time.monotonic() - begun >= 0.3
        with pytest.raises(ValueError, match="wait"):
            kind("JSONQueue", "/a", address=address, wait=-1)


def test_addresses_are_tried_one_after_the_other(
    broker: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = resolve(broker)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        found = [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", address)
            for address in (taken.getsockname(), (place.host, place.port))
        ]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
        with JSONQueue("/a", address=("anywhere", 1), timeout=10) as queue:
            queue.push(1)
            assert queue.pull() == ("/a", 1)
