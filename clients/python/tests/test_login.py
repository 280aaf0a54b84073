"""Logins: who a client is, in every format and with both kinds of queue, and what a broker that
knows its users may refuse.
"""

from __future__ import annotations

import logging
import socket
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Callable

import pytest
from fake_broker import CODECS, FakeBroker, Scripted, encode
from kinds import Kind
from proxy import PATIENCE
from test_documents import HERE, blocks
from test_outages import Log, log, until  # noqa: F401
from test_tls import ca, certificates  # noqa: F401
from tls_proxy import Certificates, TLSProxy

from babelmq import (
    BrokerError,
    CannotConnect,
    LoginFailed,
    MiddlewareType,
    NotSubscribed,
    link,
)
from babelmq.frame import FrameBuffer
from babelmq.login import Login

PRODUCER = MiddlewareType.PRODUCER
NAMES = ["JSONQueue", "XMLQueue", "PickleQueue"]
FORMS = {"JSONQueue": 0, "XMLQueue": 1, "PickleQueue": 2}
SECRET = 'correct "horse" <&> \u00fc:/@%'
TOKEN = "t0ken-of-ci"
WELCOME = {"command": "welcome", "user": "ada", "server": "0.1.0"}
ADA = {"user": "ada", "password": SECRET}


@pytest.fixture(autouse=True)
def no_login_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("BABELMQ_USER", "BABELMQ_PASSWORD", "BABELMQ_TOKEN"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def users(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeBroker]:
    """A broker that knows ada by a password, and ci by a token."""
    started = FakeBroker()
    started.users["ada"] = SECRET
    started.tokens[TOKEN] = "ci"
    monkeypatch.setenv("BABELMQ_ADDR", started.address)
    yield started
    started.close()


@pytest.fixture
def scripted() -> Iterator[Callable[[Callable[[socket.socket], None]], Scripted]]:
    """Makes brokers that say what a test has them say."""
    made: list[Scripted] = []

    def make(script: Callable[[socket.socket], None]) -> Scripted:
        made.append(Scripted(script))
        return made[-1]

    yield make
    for one in made:
        one.close()


def unread(peer: socket.socket) -> bytes:
    """What has arrived, without waiting."""
    peer.setblocking(False)
    try:
        return peer.recv(1 << 16)
    except OSError:
        return b""
    finally:
        peer.setblocking(True)


def flushed(queue: Any) -> bool:
    try:
        queue.flush()
    except TimeoutError:
        return False
    return True


Make = Callable[[Callable[[socket.socket], None]], Scripted]


# --- logging in -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("options", "variables", "who"),
    [
        (ADA, {}, "ada"),
        ({"token": TOKEN}, {}, "ci"),
        ({}, {"USER": "ada", "PASSWORD": SECRET}, "ada"),
        ({}, {"TOKEN": TOKEN, "USER": ""}, "ci"),
        ({"user": "ada"}, {"PASSWORD": SECRET, "TOKEN": "other"}, "ada"),
        ({"token": TOKEN}, {"USER": "bob", "PASSWORD": "other"}, "ci"),
    ],
    ids=["password", "token", "variables", "token-variable", "user-argument", "token-argument"],
)
def test_a_login(
    options: dict[str, str],
    variables: dict[str, str],
    who: str,
    name: str,
    kind: Kind,
    users: FakeBroker,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for variable, value in variables.items():
        monkeypatch.setenv(f"BABELMQ_{variable}", value)
    queue = kind(name, "/a", timeout=PATIENCE, **options)
    producer = kind(name, "/a", PRODUCER, timeout=PATIENCE, **options)
    producer.push({"n": 1})
    assert producer.get() == {"n": 1}
    assert queue.pull() == ("/a", {"n": 1})
    # And on each connection that is made again.
    users.drop_all()
    assert queue.pull() == ("/a", {"n": 1})
    assert producer.get() == {"n": 1}
    assert users.logins == [who] * 4


@pytest.mark.parametrize("scheme", ["babelmq", "babelmqs"])
def test_a_login_in_an_address(
    scheme: str,
    kind: Kind,
    users: FakeBroker,
    certificates: Certificates,  # noqa: F811
    ca: str,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    proxy = TLSProxy(users.address, certificates)
    host = users.address if scheme == "babelmq" else f"localhost:{proxy.port}"
    encoded = "".join(f"%{byte:02x}" for byte in SECRET.encode())
    address = f"{scheme}://%61da:{encoded}@{host}"
    options = {"ca": ca} if scheme == "babelmqs" else {}
    try:
        # The address comes before the environment.
        monkeypatch.setenv("BABELMQ_TOKEN", TOKEN)
        queue = kind("JSONQueue", "/a", address=address, timeout=PATIENCE, **options)
        queue.push(1)
        assert queue.pull() == ("/a", 1)
        monkeypatch.setenv("BABELMQ_ADDR", address)
        kind("JSONQueue", "/a", timeout=PATIENCE, **options)
        monkeypatch.setenv("BABELMQ_ADDR", f"{scheme}://ada@{host}")
        kind("JSONQueue", "/a", timeout=PATIENCE, password=SECRET, **options)
    finally:
        proxy.close()
    assert users.logins == ["ada"] * 3


@pytest.mark.parametrize("name", NAMES)
def test_a_broker_without_users_welcomes_everybody(name: str, kind: Kind) -> None:
    broker = FakeBroker()
    try:
        queue = kind(name, "/a", address=broker.address, timeout=PATIENCE, **ADA)
        queue.push(1)
        assert queue.pull() == ("/a", 1)
        assert broker.logins == ["anonymous"]
    finally:
        broker.close()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("role", MiddlewareType)
def test_nothing_is_said_before_the_welcome(
    role: MiddlewareType, name: str, kind: Kind, scripted: Make
) -> None:
    read: list[Any] = []
    early: list[Any] = []
    go = threading.Event()

    def script(peer: socket.socket) -> None:
        frames = FrameBuffer()
        while data := peer.recv(1 << 16):
            frames.feed(data)
            while (found := frames.next()) is not None:
                read.append(CODECS[found[0]].decode(found[1]))
                if read[-1]["command"] == "login":
                    go.wait(PATIENCE)
                    frames.feed(unread(peer))
                    early.append(frames.next())
                    peer.sendall(encode(found[0], WELCOME))
                elif read[-1]["command"] == "subscribe":
                    answer = {"command": "subscribed", "topic": "/a", "values": 0}
                    peer.sendall(encode(found[0], answer))
                elif read[-1]["command"] == "ping":
                    pong = {"command": "pong", "id": int(read[-1]["id"])}
                    peer.sendall(encode(found[0], pong))

    broker = scripted(script)
    options = {"address": broker.address, **ADA}

    def use() -> None:
        queue = kind(name, "/a", role, timeout=PATIENCE, **options)
        queue.push(1)
        queue.flush()

    with pytest.raises(TimeoutError, match="the login has no answer yet"):
        kind(name, "/a", role, timeout=0.1, **options).flush()
    using = threading.Thread(target=use)
    using.start()
    until(lambda: threading.Event().wait(0.001) or len(read) == 2)
    go.set()
    using.join(PATIENCE)
    until(lambda: threading.Event().wait(0.001) or len(early) == 2)
    said = [message["command"] for message in read]
    subscribe = ["subscribe"] if role is MiddlewareType.CONSUMER else []
    assert early == [None, None]
    assert said[:2] == ["login", "login"]
    assert said[2:] == [*subscribe, "publish", "ping"]
    assert {"command": "login", **ADA}.items() <= read[1].items()


def test_a_broker_that_does_not_answer_a_login(
    kind: Kind,
    scripted: Make,
    log: Log,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(link, "LOGIN_PATIENCE", 0.1)
    monkeypatch.setattr(link, "HEALTHY", 0.01)
    logins = []

    def script(peer: socket.socket) -> None:
        logins.append(peer.recv(1 << 16))
        if len(logins) == 4:
            peer.sendall(encode(0, WELCOME))
        while data := peer.recv(1 << 16):
            pings = data.count(b"ping")
            peer.sendall(encode(0, {"command": "pong", "id": pings}))

    address = scripted(script).address
    says = "ends them: no answer to the login in time"
    producer = kind("JSONQueue", "/a", PRODUCER, address=address, **ADA)
    with pytest.raises(CannotConnect, match=says):
        producer.flush()
    producer = kind("JSONQueue", "/a", PRODUCER, address=address, wait=PATIENCE, **ADA)
    producer.flush()
    log.wait_for("connection to the broker lost (topic /a): no answer to the login in time", 3)
    assert len(logins) == 4


def test_a_login_may_take_longer_than_the_keepalive(kind: Kind, scripted: Make) -> None:
    """A broker takes its time to say that a password is wrong, and wants no ping meanwhile."""
    go = threading.Event()
    read = []

    def script(peer: socket.socket) -> None:
        read.append(peer.recv(1 << 16))
        go.wait(PATIENCE)
        read.append(unread(peer))
        error = {"command": "error", "code": "login-failed", "reason": "no", "fatal": True}
        peer.sendall(encode(0, error))

    producer = kind(
        *("JSONQueue", "/a", PRODUCER),
        address=scripted(script).address,
        keepalive=0.01,
        timeout=0.2,
        **ADA,
    )
    with pytest.raises(TimeoutError):
        producer.flush()
    go.set()
    with pytest.raises(LoginFailed):
        until(lambda: flushed(producer))
    assert len(read) == 2
    assert not read[1]


def test_after_a_login_the_keepalive_holds(
    kind: Kind,
    scripted: Make,
    log: Log,  # noqa: F811
) -> None:
    def script(peer: socket.socket) -> None:
        peer.recv(1 << 16)
        peer.sendall(encode(0, WELCOME))
        peer.recv(1 << 16)
        peer.sendall(encode(0, {"command": "subscribed", "topic": "/a", "values": 0}))
        while peer.recv(1 << 16):
            pass

    consumer = kind(
        *("JSONQueue", "/a"), address=scripted(script).address, keepalive=0.1, timeout=10, **ADA
    )

    def lost() -> bool:
        with suppress(TimeoutError):
            consumer.pull(timeout=0.05)
        return "connection to the broker lost (topic /a): no answer in time" in log.lines

    begun = time.monotonic()
    until(lost)
    assert time.monotonic() - begun < link.LOGIN_PATIENCE / 2


def test_the_example(users: FakeBroker, capsys: pytest.CaptureFixture[str]) -> None:
    (code,) = (code for code in blocks(HERE / "README.md") if "password" in code)
    users.users["ada"] = "correct horse battery staple"
    exec(compile(code, "README.md", "exec"), {"__name__": "readme"})
    assert users.values == {"/orders": {"order": 5}}
    assert not capsys.readouterr().out
    users.users["ada"] = "another"
    exec(compile(code, "README.md", "exec"), {"__name__": "readme"})
    assert capsys.readouterr().out.startswith("the broker does not let us in: 127.0.0.1:")


# --- what is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("options", "who"),
    [
        ({"user": "ada", "password": "wrong-one"}, "the user 'ada'"),
        ({"user": "bob", "password": SECRET}, "the user 'bob'"),
        ({"token": "wrong-one"}, "this token"),
    ],
)
def test_a_login_that_fails(
    options: dict[str, str],
    who: str,
    name: str,
    kind: Kind,
    users: FakeBroker,
    log: Log,  # noqa: F811
) -> None:
    says = f"^{users.address} does not log {who} in: the user, the password or the token is wrong$"
    with pytest.raises(LoginFailed, match=says) as caught:
        kind(name, "/a", timeout=PATIENCE, wait=PATIENCE, **options)
    assert caught.value.code == "login-failed"
    assert isinstance(caught.value, CannotConnect)
    producer = kind(name, "/a", PRODUCER, timeout=PATIENCE, wait=PATIENCE, **options)
    for call in (lambda: producer.push(1), producer.flush, producer.get, producer.topics):
        with pytest.raises(LoginFailed, match=says):
            call()
    assert len(users.threads) == 3  # The listener's, and one for each connection.
    assert not log.lines


@pytest.mark.parametrize("name", NAMES)
def test_a_login_that_is_missing(name: str, kind: Kind, users: FakeBroker) -> None:
    says = f"^{users.address} wants a login: nothing but a login is taken .user= and password="
    with pytest.raises(LoginFailed, match=says) as caught:
        kind(name, "/a", timeout=PATIENCE, wait=PATIENCE)
    assert caught.value.code == "login-required"
    producer = kind(name, "/a", PRODUCER, timeout=PATIENCE)
    producer.push(1)
    # It was pushed on a connection that seemed to be good.
    with pytest.raises(LoginFailed, match="since the last flush may be lost"):
        producer.flush()
    for call in (lambda: producer.push(1), producer.flush, producer.get):
        with pytest.raises(LoginFailed, match=says):
            call()
    assert len(users.threads) == 3


def test_a_get_without_the_login(kind: Kind, users: FakeBroker) -> None:
    for call in ("get", "topics", "clear"):
        with pytest.raises(LoginFailed, match="wants a login"):
            getattr(kind("JSONQueue", "/a", PRODUCER, timeout=PATIENCE), call)()


@pytest.mark.parametrize("name", NAMES)
def test_who_waits_hears_of_a_login_that_fails_later(
    name: str,
    kind: Kind,
    users: FakeBroker,
    log: Log,  # noqa: F811
) -> None:
    consumer = kind(name, "/a", **ADA)
    producer = kind(name, "/a", PRODUCER, **ADA)
    producer.push("kept")
    producer.flush()
    heard: list[BaseException] = []
    pulled: list[Any] = []
    kept = threading.Event()

    def pull() -> None:
        try:
            while True:
                pulled.append(consumer.pull())
                kept.set()
        except LoginFailed as error:
            heard.append(error)

    def push() -> None:
        try:
            while True:
                producer.push("x" * 1000)
                kept.wait(0.001)
        except LoginFailed as error:
            heard.append(error)

    threads = [threading.Thread(target=one) for one in (pull, pull, push)]
    for thread in threads[:2]:
        thread.start()
    assert kept.wait(PATIENCE)
    producer.push("not flushed")
    users.users["ada"] = "another"
    threads[2].start()
    users.drop_all()
    for thread in threads:
        thread.join(PATIENCE)
    assert [type(error) for error in heard] == [LoginFailed] * 3
    assert pulled[0] == ("/a", "kept")
    log.wait_for("no connection to the broker is possible any more (topic /a)", 2)
    with pytest.raises(LoginFailed, match="since the last flush may be lost"):
        producer.flush()
    for call in (producer.flush, consumer.flush, consumer.pull, consumer.topics):
        with pytest.raises(LoginFailed, match=r"is wrong$"):
            call()
    assert not consumer.connected
    # Each of the two was asked for once more, and not again.
    assert len(users.threads) == 1 + 4


def test_a_broker_that_knows_no_logins(kind: Kind, scripted: Make) -> None:
    def script(peer: socket.socket) -> None:
        peer.recv(1 << 16)
        error = {"command": "error", "code": "malformed", "reason": "what?", "fatal": False}
        peer.sendall(encode(0, error))
        peer.recv(1)

    with pytest.raises(LoginFailed, match=r"does not take the login: malformed: what\?") as caught:
        kind("JSONQueue", "/a", address=scripted(script).address, timeout=PATIENCE, **ADA)
    assert caught.value.code == "malformed"


@pytest.mark.parametrize("fatal", [True, False])
def test_a_broker_that_is_full_is_asked_again(fatal: bool, kind: Kind, scripted: Make) -> None:
    asked = []

    def script(peer: socket.socket) -> None:
        asked.append(peer.recv(1 << 16))
        if len(asked) < 3:
            error = {"command": "error", "code": "memory-full", "reason": "full", "fatal": fatal}
            peer.sendall(encode(0, error))
            peer.recv(1)
            return
        peer.sendall(encode(0, WELCOME))
        peer.recv(1 << 16)
        peer.sendall(encode(0, {"command": "pong", "id": 1}))
        peer.recv(1)

    address = scripted(script).address
    producer = kind("JSONQueue", "/a", PRODUCER, address=address, timeout=10, **ADA)
    for _ in range(2):
        with pytest.raises(BrokerError, match="memory-full"):
            producer.flush()
    producer.flush()


def test_a_broker_that_hangs_up_on_a_login(kind: Kind, scripted: Make) -> None:
    def script(peer: socket.socket) -> None:
        peer.recv(1 << 16)

    producer = kind("JSONQueue", "/a", PRODUCER, address=scripted(script).address, **ADA)
    with pytest.raises(CannotConnect, match="accepts connections, and ends them"):
        producer.flush()


def test_a_refusal_after_the_welcome_does_not_change(kind: Kind, scripted: Make) -> None:
    asked = []

    def script(peer: socket.socket) -> None:
        asked.append(peer.recv(1 << 16))
        peer.sendall(encode(0, WELCOME))
        peer.recv(1 << 16)
        error = {"command": "error", "code": "no-more", "reason": "no", "fatal": True}
        peer.sendall(encode(0, error))

    producer = kind("JSONQueue", "/a", PRODUCER, address=scripted(script).address, **ADA)
    with pytest.raises(BrokerError, match=r"no-more: no$"):
        producer.topics()
    with pytest.raises(BrokerError, match="trying again does not change that"):
        producer.topics()
    assert len(asked) == 1


# --- what is permitted ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_what_is_not_permitted(name: str, kind: Kind, users: FakeBroker) -> None:
    users.denied.update(["/secret", "/secret/b"])
    with pytest.raises(BrokerError, match=r"^not-permitted: no rule allows it: subscribe /secret$"):
        kind(name, "/secret", timeout=PATIENCE, **ADA)
    queue = kind(name, "/a", timeout=PATIENCE, **ADA)
    queue.push(2)
    queue.push_to("/secret/b", 1)
    with pytest.raises(BrokerError, match="publish /secret/b") as caught:
        queue.flush()
    assert caught.value.code == "not-permitted"
    assert caught.value.topic == "/secret/b"
    assert not caught.value.fatal
    for call in (queue.subscribe, queue.get, queue.clear):
        with pytest.raises(BrokerError, match="not-permitted"):
            call("/secret")
    assert queue.connected
    assert queue.pull() == ("/a", 2)
    queue.cancel("/a")
    with pytest.raises(NotSubscribed):
        queue.pull()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("stored", [0, 3])
def test_a_subscription_that_is_limited(
    stored: int, name: str, kind: Kind, users: FakeBroker
) -> None:
    users.limited.update(["/a", "/b"])
    users.values.update({f"/a/{number}": number for number in range(stored)})
    queue = kind(name, "/a", timeout=PATIENCE, **ADA)
    assert len(queue.pull_stored()) == stored
    assert queue.limited == {"/a"}
    queue.subscribe("/b")
    queue.subscribe("/c")
    assert queue.limited == {"/a", "/b"}
    queue.cancel("/b")
    assert queue.limited == {"/a"}
    users.limited.clear()
    users.drop_all()
    queue.flush()
    assert len(queue.pull_stored()) == stored
    assert queue.limited == frozenset()


# --- what is not said ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("options", [{"user": "ada", "password": "secret"}, {"token": "secret"}])
def test_no_text_has_the_secret(
    options: dict[str, str],
    name: str,
    kind: Kind,
    users: FakeBroker,
    log: Log,  # noqa: F811
    caplog: pytest.LogCaptureFixture,
) -> None:
    users.users["ada"], users.tokens["secret"] = "secret", "ci"
    said: list[str] = [repr(Login(**options)), str(Login(**options))]
    with caplog.at_level(logging.DEBUG):
        queue = kind(name, "/a", timeout=PATIENCE, **options)
        said.append(repr(queue.queue))
        users.users["ada"], users.tokens["secret"] = "other", ""
        users.drop_all()
        for call in (queue.pull, queue.flush):
            with pytest.raises(LoginFailed) as caught:
                call()
            said += [repr(caught.value), *traceback.format_exception_only(None, caught.value)]
        with pytest.raises(LoginFailed) as caught:
            kind(name, "/a", timeout=PATIENCE, **options)
        said.append(repr(caught.value))
        users.close()
        with pytest.raises(CannotConnect) as unreachable:
            kind(name, "/a", timeout=PATIENCE, **options)
        said.append(repr(unreachable.value))
    assert log.lines
    assert caplog.text
    assert not [text for text in (*said, *log.lines, caplog.text) if "secret" in text]
