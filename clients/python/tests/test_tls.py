"""Addresses that are URLs, and TLS: both kinds of queue through a proxy that ends it in front of a
broker.
"""

from __future__ import annotations

import os
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from alarms import Alarm, alarms, needs_alarms
from fake_broker import Scripted, encode
from kinds import Kind
from proxy import PATIENCE, Proxy
from real_broker import BINARY, RealBroker
from test_documents import HERE, blocks
from test_outages import Log, log  # noqa: F401
from tls_proxy import OPENSSL, Certificates, TLSProxy

from babelmq import (
    CannotConnect,
    CertificateError,
    ConnectionLost,
    JSONQueue,
    MiddlewareType,
    ProtocolError,
)
from babelmq.address import Place, resolve
from babelmq.tls import RECORD, TLSSocket, context_for

PRODUCER = MiddlewareType.PRODUCER
LONG = "x" * (2 << 20)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    if OPENSSL is None:
        pytest.skip("openssl makes the certificates")
    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def tls(broker: str, certificates: Certificates) -> Iterator[TLSProxy]:
    started = TLSProxy(broker, certificates)
    yield started
    started.close()


@pytest.fixture
def ca(certificates: Certificates) -> str:
    return certificates.path("ca")


@pytest.fixture(autouse=True)
def no_files_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("BABELMQ_CA", "BABELMQ_CERT", "BABELMQ_KEY"):
        monkeypatch.delenv(name, raising=False)


# --- addresses ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "place"),
    [
        ("babelmq://h:7", Place("h", 7)),
        ("babelmq://h", Place("h", 5000)),
        ("babelmqs://h:7", Place("h", 7, tls=True)),
        ("babelmqs://h", Place("h", 5000, tls=True)),
        ("BabelMQs://h", Place("h", 5000, tls=True)),
        ("babelmq://[::1]:7", Place("::1", 7)),
        ("babelmqs://[::1]", Place("::1", 5000, tls=True)),
        ("babelmq://127.0.0.1:1", Place("127.0.0.1", 1)),
        ("unix:/run/b.sock", Place("", 0, path="/run/b.sock")),
        ("unix:///run/b.sock", Place("", 0, path="/run/b.sock")),
        ("h:7", Place("h", 7)),
        ("unix:7", Place("unix", 7)),
    ],
)
def test_addresses(address: str, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    assert resolve(address) == place
    monkeypatch.setenv("BABELMQ_ADDR", address)
    assert resolve() == place


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("babelmq://h/topic", "it has a path, '/topic'"),
        ("babelmq://h:7/", "it has a path, '/'"),
        ("babelmq://h?tls=1", "it has a query, '\\?tls=1'"),
        ("babelmq://h/a?b", "leave that out"),
        ("babelmq://h#there", "it has a fragment, '#there'"),
        ("http://h:7", "the scheme 'http' is unknown; it is babelmq://, babelmqs:// for TLS"),
        ("tls://h:7", "the scheme 'tls' is unknown"),
        ("://h:7", "the scheme '' is unknown"),
        ("babelmq://", "it names no host"),
        ("babelmq://:7", "it names no host"),
        ("babelmq://h:", "the port '' is not a number from 1 to 65535"),
        ("babelmq://h:0", "the port '0'"),
        ("babelmq://h:65536", "the port '65536'"),
        ("babelmq://h:x", "the port 'x'"),
        ("babelmq://h:+7", "the port '\\+7'"),
        ("babelmq://h:\u0667", "the port"),
        ("babelmq://::1", "an IPv6 address is in brackets"),
        ("babelmq://::1:7", "an IPv6 address is in brackets"),
        ("babelmq://[::1", "is not an IPv6 address in brackets"),
        ("babelmq://[h]:7", "is not an IPv6 address in brackets"),
        ("babelmq://[::1]7", "is not an IPv6 address in brackets"),
        ("babelmq://a b", "'a b' is not the name of a host"),
        ("babelmq://a%20b", "'a%20b' is not the name of a host"),
        ("babelmq://a..b", "'a..b' is not the name of a host"),
        ("babelmq://" + "a" * 64, "is not the name of a host"),
        ("unix:run/b.sock:", "one looks like 127.0.0.1:5000"),
        ("unix:./b.sock", "begins with '/'"),
        ("unix://b.sock", "begins with '/', as in unix:/run/babelmq.sock"),
        ("unix:/run/b.sock?mode=600", "a path is all that follows 'unix:'"),
        ("host", "one looks like 127.0.0.1:5000 or babelmq://127.0.0.1"),
        ("babelmq:h:x", "one looks like"),
    ],
)
def test_what_is_no_address(
    address: str, says: str, kind: Kind, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ValueError, match=f"is not an address: .*{says}") as caught:
        kind("JSONQueue", "/a", PRODUCER, address=address)
    assert "cret" not in str(caught.value)
    monkeypatch.setenv("BABELMQ_ADDR", address)
    with pytest.raises(ValueError, match=r"^BABELMQ_ADDR: ") as caught:
        kind("JSONQueue", "/a", PRODUCER)
    assert "cret" not in str(caught.value)


def test_a_url_without_tls(kind: Kind, broker: str) -> None:
    queue = kind("JSONQueue", "/a", address=f"babelmq://{broker}", timeout=PATIENCE)
    queue.push(1)
    assert queue.pull() == ("/a", 1)


@pytest.mark.skipif(
    not BINARY or not hasattr(socket, "AF_UNIX"), reason="it needs a broker with a Unix socket"
)
def test_a_unix_socket(kind: Kind, tmp_path: Path) -> None:
    real = RealBroker("--listen", f"unix:{tmp_path}/b.sock")
    try:
        queue = kind("JSONQueue", "/a", address=f"unix:{tmp_path}/b.sock", timeout=PATIENCE)
        queue.push(LONG)
        assert queue.pull() == ("/a", LONG)
        real.close()
        with pytest.raises(CannotConnect, match=f"no broker answers at unix:{tmp_path}/b.sock"):
            kind("JSONQueue", "/a", address=f"unix:{tmp_path}/b.sock")
    finally:
        real.kill()


@pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="it needs Unix sockets")
def test_a_unix_socket_that_has_no_room(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"{tmp_path}/b.sock")
        listener.listen(0)
        with socket.socket(socket.AF_UNIX) as first:
            first.connect(f"{tmp_path}/b.sock")
            with pytest.raises(CannotConnect, match="no broker answers at unix:"):
                JSONQueue("/a", address=f"unix:{tmp_path}/b.sock", timeout=PATIENCE)


# --- what is asked for ----------------------------------------------------------------------------


@pytest.mark.parametrize("address", ["h:7", "babelmq://h:7", "unix:/b.sock"])
@pytest.mark.parametrize("name", ["ssl", "ca", "cert", "key"])
def test_tls_is_asked_for_at_an_address_without_it(address: str, name: str, kind: Kind) -> None:
    given: Any = ssl.create_default_context() if name == "ssl" else "file.pem"
    says = "a Unix socket has none" if address.startswith("unix") else "babelmqs://h:7"
    with pytest.raises(ValueError, match=f"{name}= is for TLS, .*{says}"):
        kind("JSONQueue", "/a", PRODUCER, address=address, **{name: given})


@pytest.mark.parametrize("name", ["ca", "cert", "key"])
def test_a_context_and_files(name: str, kind: Kind) -> None:
    options = {"ssl": ssl.create_default_context(), name: "file.pem"}
    with pytest.raises(ValueError, match=f"give ssl= or {name}=, and not both"):
        kind("JSONQueue", "/a", PRODUCER, address="babelmqs://h", **options)


def test_a_context_that_is_none(kind: Kind) -> None:
    with pytest.raises(TypeError, match=r"ssl is an ssl\.SSLContext, and not a bool"):
        kind("JSONQueue", "/a", PRODUCER, address="babelmqs://h", ssl=True)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with pytest.raises(ValueError, match="server's SSLContext"):
        kind("JSONQueue", "/a", PRODUCER, address="babelmqs://h", ssl=server)


def test_files_that_cannot_be_used(kind: Kind, certificates: Certificates, tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("")
    client, key = certificates.path("client"), certificates.key("client")
    for options, says in (
        ({"ca": "/nowhere.pem"}, "'/nowhere.pem' .*No such file"),
        ({"ca": tmp_path / "empty"}, "empty' .*cannot be used"),
        ({"cert": "/nowhere.pem"}, "client certificate '/nowhere.pem' .*No such file"),
        ({"cert": client}, "client certificate .*cannot be used"),
        ({"cert": client, "key": certificates.key("server")}, "key values mismatch"),
        ({"cert": client, "key": certificates.key("encrypted")}, "is encrypted"),
        ({"key": key}, "a key .*needs its certificate"),
    ):
        with pytest.raises(ValueError, match=says):
            kind("JSONQueue", "/a", PRODUCER, address="babelmqs://h", **options)


def test_what_a_context_of_our_own_asks_for(ca: str) -> None:
    for context in (
        context_for(Place("h", 1, tls=True)),
        context_for(Place("h", 1, tls=True), None, ca),
    ):
        assert context is not None
        assert context.verify_mode is ssl.CERT_REQUIRED and context.check_hostname
        assert context.minimum_version is ssl.TLSVersion.TLSv1_2


# --- messages -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["JSONQueue", "XMLQueue", "PickleQueue"])
def test_messages(name: str, kind: Kind, tls: TLSProxy, ca: str) -> None:
    queue = kind(name, "/a", address=tls.address, ca=ca, timeout=PATIENCE)
    for number in range(300):
        queue.push({"n": number})
    assert [queue.pull()[1]["n"] for _ in range(300)] == list(range(300))
    queue.flush()
    assert tls.accepted == 1


def test_an_address_in_numbers(kind: Kind, tls: TLSProxy, ca: str) -> None:
    queue = kind("JSONQueue", "/a", address=f"babelmqs://127.0.0.1:{tls.port}", ca=ca, timeout=20)
    queue.push(1)
    assert queue.pull() == ("/a", 1)


@pytest.mark.parametrize("version", ["TLSv1.2", "TLSv1.3"])
def test_versions(version: str, kind: Kind, tls: TLSProxy, ca: str) -> None:
    tls.context.maximum_version = ssl.TLSVersion[version.replace(".", "_")]
    tls.context.minimum_version = ssl.TLSVersion[version.replace(".", "_")]
    queue = kind("JSONQueue", "/a", address=tls.address, ca=ca, timeout=PATIENCE)
    for value in (1, LONG, 2):
        queue.push(value)
        assert queue.pull() == ("/a", value)
    assert tls.versions == [version]


def test_long_messages_both_ways(kind: Kind, tls: TLSProxy, ca: str) -> None:
    queue = kind("JSONQueue", "/a", address=tls.address, ca=ca, timeout=PATIENCE)

    def push() -> None:
        for number in range(4):
            queue.push([number, LONG])

    pushing = threading.Thread(target=push)
    pushing.start()
    for number in range(4):
        assert queue.pull() == ("/a", [number, LONG])
    pushing.join(PATIENCE)
    queue.flush()
    assert tls.accepted == 1


def test_threads_that_push_and_pull_at_once(tls: TLSProxy, ca: str) -> None:
    with JSONQueue("/a", address=tls.address, ca=ca, timeout=PATIENCE, queue=10_000) as queue:
        pulled: list[Any] = []

        def push() -> None:
            for number in range(500):
                queue.push("y" * number)

        def pull() -> None:
            for _ in range(500):
                pulled.append(queue.pull()[1])

        threads = [threading.Thread(target=target) for target in (pull, pull, push, push)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE)
        queue.flush()
    assert sorted(pulled) == sorted(2 * ["y" * n for n in range(500)])
    assert tls.accepted == 1


def test_records_of_one_byte(kind: Kind, tls: TLSProxy, ca: str) -> None:
    tls.one_byte_records = True
    queue = kind("JSONQueue", "/a", address=tls.address, ca=ca, timeout=PATIENCE)
    for value in ("", "x" * 300, 5):
        queue.push(value)
    assert [queue.pull()[1] for _ in range(3)] == ["", "x" * 300, 5]
    assert tls.accepted == 1


def test_records_that_arrive_byte_by_byte(kind: Kind, tls: TLSProxy, ca: str) -> None:
    slow = Proxy(f"127.0.0.1:{tls.port}")
    slow.single_bytes = True
    try:
        address = f"babelmqs://localhost:{slow.port}"
        queue = kind("JSONQueue", "/a", address=address, ca=ca, timeout=PATIENCE)
        for value in ("", "x" * 2000, 5):
            queue.push(value)
        assert [queue.pull()[1] for _ in range(3)] == ["", "x" * 2000, 5]
        assert tls.accepted == 1
    finally:
        slow.close()


def test_a_timeout_in_the_middle_of_a_record(kind: Kind, tls: TLSProxy, ca: str) -> None:
    stalled = Proxy(f"127.0.0.1:{tls.port}")
    try:
        address = f"babelmqs://localhost:{stalled.port}"
        queue = kind("JSONQueue", "/a", address=address, ca=ca, timeout=PATIENCE)
        queue.push(0)
        assert queue.pull() == ("/a", 0)
        stalled.stop_after(10_000)
        with JSONQueue.producer("/a", timeout=PATIENCE) as producer:
            producer.push("z" * 100_000)
        with pytest.raises(TimeoutError, match="nothing arrived"):
            queue.pull(timeout=0.2)
        stalled.flow()
        assert queue.pull() == ("/a", "z" * 100_000)
        assert tls.accepted == 1
    finally:
        stalled.close()


def test_a_push_that_waits_for_room(kind: Kind, tls: TLSProxy, ca: str) -> None:
    stalled = Proxy(f"127.0.0.1:{tls.port}")
    try:
        address = f"babelmqs://localhost:{stalled.port}"
        queue = kind("JSONQueue", "/a", PRODUCER, address=address, ca=ca, timeout=PATIENCE)
        queue.push("first")
        queue.flush()
        stalled.stall()
        # More than the buffers on the way hold; the part of a record that was sent is gone on with.
        pushed = 0
        with pytest.raises(TimeoutError, match="did not take"):
            queue_timeout(queue, 0.2)
            while pushed < 2000:
                queue.push([pushed, "x" * 50_000])
                pushed += 1
        queue_timeout(queue, PATIENCE)
        stalled.flow()
        queue.push("last")
        queue.flush()
        assert queue.get() == "last"
        assert tls.accepted == 1
    finally:
        stalled.close()


def queue_timeout(queue: Any, seconds: float) -> None:
    """Changes how long each call of a queue may take."""
    queue._connection._timeout = seconds


def test_nothing_stays_where_no_poll_sees_it(tls: TLSProxy, ca: str) -> None:
    with JSONQueue("/a", address=tls.address, ca=ca, timeout=PATIENCE) as queue:
        opened = queue._connection._socket
        assert isinstance(opened, TLSSocket)
        queue.push("x" * (3 * RECORD))
        while not (seen := queue._connection._has_input(PATIENCE)):
            pass
        assert seen
        while True:
            try:
                data = opened.recv(1)
            except BlockingIOError:
                queue._connection._has_input(PATIENCE)
                continue
            assert opened._socket.pending() == 0
            queue._session.received(data)
            if (delivery := queue._session.next_delivery()) is not None:
                break
        assert delivery["message"] == "x" * (3 * RECORD)


@needs_alarms
def test_interruptions(tls: TLSProxy, ca: str) -> None:
    with JSONQueue("/a", address=tls.address, ca=ca, timeout=PATIENCE) as queue:
        struck, end = 0, time.monotonic() + PATIENCE
        while struck < 100:
            assert time.monotonic() < end
            try:
                with alarms(0.0005, 0.0007):
                    for number in range(50):
                        queue.push(number)
                        with suppress(TimeoutError):
                            queue.pull(timeout=0)
            except Alarm:
                struck += 1
            except ConnectionLost:
                pass
        while True:
            try:
                queue.flush()
                break
            except ConnectionLost:
                pass
        queue.push("last")
        while queue.pull() != ("/a", "last"):
            pass
        queue.flush()


def test_an_interruption_while_two_own_a_descriptor() -> None:
    """A second close would meet somebody else's descriptor, or none."""

    def strike(frame: FrameType, event: str, _: Any) -> Any:
        made = frame.f_locals.get("self")
        if isinstance(made, ssl.SSLSocket) and made.fileno() == opened.fileno():
            sys.settrace(None)
            raise Alarm
        return strike

    near, far = socket.socketpair()
    with far, near as opened:
        number = opened.fileno()
        watching = sys.gettrace()
        sys.settrace(strike)
        try:
            with pytest.raises(Alarm):
                TLSSocket.wrap(opened, ssl.create_default_context(), "localhost")
        finally:
            sys.settrace(watching)
        assert opened.fileno() == number
        os.fstat(number)
        opened.shutdown(socket.SHUT_RDWR)
        assert far.recv(1) == b""


def test_a_close_says_so(kind: Kind, tls: TLSProxy, ca: str, broker: str) -> None:
    """A stream of TLS that just ends may have been cut by somebody."""
    said: list[Any] = []

    def script(peer: socket.socket) -> None:
        with tls.context.wrap_socket(peer, server_side=True, suppress_ragged_eofs=False) as secured:
            try:
                secured.recv(1 << 16)
                secured.sendall(encode(0, {"command": "subscribed", "topic": "/a", "values": 0}))
                while data := secured.recv(1 << 16):
                    said.append(data)
                said.append("end")
            except ssl.SSLError as error:
                said.append(error)

    server = Scripted(script)
    try:
        port = server.address.rpartition(":")[2]
        queue = kind("JSONQueue", "/a", address=f"babelmqs://localhost:{port}", ca=ca, timeout=20)
        queue.close()
    finally:
        server.close()
    assert said == ["end"]


# --- certificates ---------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["TLSv1.2", "TLSv1.3"])
@pytest.mark.parametrize("wait", [0, PATIENCE])
def test_a_ca_that_is_not_trusted(
    wait: float, version: str, kind: Kind, tls: TLSProxy, certificates: Certificates
) -> None:
    tls.context.maximum_version = ssl.TLSVersion[version.replace(".", "_")]
    for ca in (None, certificates.path("other_ca")):
        with pytest.raises(CertificateError, match=r"does not verify: .*; .*ca= or BABELMQ_CA"):
            kind("JSONQueue", "/a", address=tls.address, ca=ca, wait=wait, timeout=PATIENCE)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("expired", "has expired; it has to be renewed"),
        ("elsewhere", "not valid for 'localhost'; use an address that the certificate names"),
    ],
)
def test_a_certificate_that_does_not_verify(
    name: str, says: str, kind: Kind, tls: TLSProxy, ca: str
) -> None:
    tls.present(name)
    with pytest.raises(CertificateError, match=says) as caught:
        kind("JSONQueue", "/a", address=tls.address, ca=ca, wait=PATIENCE, timeout=PATIENCE)
    assert isinstance(caught.value, CannotConnect)
    assert tls.address in str(caught.value)
    producer = None
    with pytest.raises(CertificateError, match=says):
        producer = kind("JSONQueue", "/a", PRODUCER, address=tls.address, ca=ca, timeout=PATIENCE)
        producer.push(1)
    assert tls.accepted == 0


def test_a_wrong_address_in_numbers(kind: Kind, tls: TLSProxy, ca: str) -> None:
    tls.present("elsewhere")
    with pytest.raises(CertificateError, match=r"not valid for '127\.0\.0\.1'"):
        kind("JSONQueue", "/a", address=f"babelmqs://127.0.0.1:{tls.port}", ca=ca)


def test_a_certificate_that_expires_ends_the_queue(
    kind: Kind,
    tls: TLSProxy,
    ca: str,
    log: Log,  # noqa: F811
) -> None:
    consumer = kind("JSONQueue", "/a", address=tls.address, ca=ca, timeout=PATIENCE)
    consumer.push("kept")
    consumer.flush()
    tls.present("expired")
    tls.cut(politely=False)
    assert consumer.pull() == ("/a", "kept")
    for call in (consumer.pull, consumer.flush, consumer.topics, lambda: consumer.push(1)):
        with pytest.raises(CertificateError, match="has expired"):
            call()
    log.wait_for("no connection to the broker is possible any more")
    assert not consumer.connected
    assert sum("cannot reach" in line for line in log.lines) == 0
    assert tls.accepted == 1


def test_a_context_is_taken_as_it_is(kind: Kind, tls: TLSProxy) -> None:
    tls.present("expired")
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    queue = kind("JSONQueue", "/a", address=tls.address, ssl=context, timeout=PATIENCE)
    queue.push(1)
    assert queue.pull() == ("/a", 1)


# --- client certificates --------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["TLSv1.2", "TLSv1.3"])
def test_a_client_certificate(
    version: str, kind: Kind, tls: TLSProxy, ca: str, certificates: Certificates
) -> None:
    tls.context.maximum_version = ssl.TLSVersion[version.replace(".", "_")]
    tls.context.verify_mode = ssl.CERT_REQUIRED
    queue = kind(
        *("JSONQueue", "/a"),
        address=tls.address,
        ca=ca,
        cert=certificates.path("client"),
        key=Path(certificates.key("client")),
        timeout=PATIENCE,
    )
    queue.push(1)
    assert queue.pull() == ("/a", 1)


@pytest.fixture
def strict(certificates: Certificates) -> Iterator[Any]:
    """A server that asks for a client certificate, and says what it does not like: its address and
    its context.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates.path("server"), certificates.key("server"))
    context.load_verify_locations(certificates.path("ca"))
    context.verify_mode = ssl.CERT_REQUIRED

    def script(peer: socket.socket) -> None:
        secured = context.wrap_socket(peer, server_side=True, do_handshake_on_connect=False)
        try:
            secured.do_handshake()
        except ssl.SSLError:
            # It has sent its alert, which a close with something unread might take back.
            socket.socket.shutdown(secured, socket.SHUT_WR)
            while socket.socket.recv(secured, 1 << 16):
                pass
        finally:
            secured.close()

    server = Scripted(script)
    yield f"babelmqs://{server.address}", context
    server.close()


def test_a_client_certificate_that_is_missing(kind: Kind, strict: Any, ca: str) -> None:
    address, context = strict
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    with pytest.raises(CertificateError, match=r"required\); cert= and key="):
        kind("JSONQueue", "/a", address=address, ca=ca, wait=PATIENCE, timeout=PATIENCE)
    producer = kind("JSONQueue", "/a", PRODUCER, address=address, ca=ca, timeout=PATIENCE)
    # What it pushed may be on its way before the server has judged.
    with pytest.raises((CertificateError, ConnectionLost), match=r"required\); cert= and key="):
        producer.push(1)
        producer.flush()
    with pytest.raises(CertificateError, match=r"required\); cert= and key="):
        producer.flush()


def test_a_client_certificate_that_is_missing_with_tls_1_2(
    kind: Kind, strict: Any, ca: str
) -> None:
    address, context = strict
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(CannotConnect, match=r"handshake failure.*client certificate"):
        kind("JSONQueue", "/a", address=address, ca=ca, timeout=PATIENCE)


def test_a_client_certificate_of_another_ca(
    kind: Kind, strict: Any, ca: str, certificates: Certificates
) -> None:
    other = certificates.path("other_ca"), certificates.key("other_ca")
    with pytest.raises(CertificateError, match="does not accept this client's certificate"):
        kind("JSONQueue", "/a", address=strict[0], ca=ca, cert=other[0], key=other[1], timeout=20)


@pytest.mark.parametrize("version", ["TLSv1.2", "TLSv1.3"])
def test_a_client_certificate_that_is_missed_without_a_word(
    version: str, kind: Kind, tls: TLSProxy, ca: str
) -> None:
    """As asyncio does it, which sends no alert."""
    tls.context.verify_mode = ssl.CERT_REQUIRED
    tls.context.maximum_version = ssl.TLSVersion[version.replace(".", "_")]
    with pytest.raises(CannotConnect, match="asks for a client certificate, cert= and key="):
        kind("JSONQueue", "/a", address=tls.address, ca=ca, timeout=PATIENCE)


# --- the example in README.md ---------------------------------------------------------------------


@pytest.mark.parametrize("name", ["server", "expired"])
def test_the_example(name: str, tls: TLSProxy, ca: str, capsys: pytest.CaptureFixture[str]) -> None:
    (code,) = [code for code in blocks(HERE / "README.md") if "babelmqs://" in code]
    tls.present(name)
    for written, real in (("babelmqs://broker.example", tls.address), ("/etc/babelmq/ca.pem", ca)):
        assert code.count(written) == 1
        code = code.replace(written, real)
    exec(compile(code, "README.md", "exec"), {"__name__": "readme"})
    assert ("has expired" in capsys.readouterr().out) is (name == "expired")
    with JSONQueue.producer("/orders", timeout=PATIENCE) as producer:
        assert producer.get() == (None if name == "expired" else {"order": 5})


# --- the environment ------------------------------------------------------------------------------


def test_the_environment(
    kind: Kind,
    tls: TLSProxy,
    ca: str,
    certificates: Certificates,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tls.context.verify_mode = ssl.CERT_REQUIRED
    monkeypatch.setenv("BABELMQ_ADDR", tls.address)
    monkeypatch.setenv("BABELMQ_CA", ca)
    monkeypatch.setenv("BABELMQ_CERT", certificates.path("client"))
    monkeypatch.setenv("BABELMQ_KEY", certificates.key("client"))
    queue = kind("JSONQueue", "/a", timeout=PATIENCE)
    queue.push(1)
    assert queue.pull() == ("/a", 1)
    # An argument comes before a variable, and a context before them all.
    with pytest.raises(CertificateError, match="does not verify"):
        kind("JSONQueue", "/a", ca=certificates.path("other_ca"), timeout=PATIENCE)
    with pytest.raises(ValueError, match="cannot be used"):
        kind("JSONQueue", "/a", cert=certificates.path("client"))
    with pytest.raises(CertificateError, match="does not verify"):
        kind("JSONQueue", "/a", ssl=ssl.create_default_context(), timeout=PATIENCE)
    monkeypatch.setenv("BABELMQ_CA", "/nowhere.pem")
    with pytest.raises(ValueError, match=r"BABELMQ_CA\) cannot be used: No such file"):
        kind("JSONQueue", "/a")


def test_the_environment_does_not_concern_a_plain_address(
    kind: Kind, broker: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BABELMQ_CA", "/nowhere.pem")
    monkeypatch.setenv("BABELMQ_KEY", "/nowhere.pem")
    queue = kind("JSONQueue", "/a", address=broker, timeout=PATIENCE)
    queue.push(1)
    assert queue.pull() == ("/a", 1)


# --- the other end speaks something else ----------------------------------------------------------


def test_tls_to_a_plain_broker(kind: Kind, broker: str, ca: str) -> None:
    place = resolve(broker)
    with pytest.raises(CannotConnect, match=r"does it speak TLS .*babelmq://localhost") as caught:
        kind("JSONQueue", "/a", address=f"babelmqs://localhost:{place.port}", ca=ca, timeout=20)
    assert not isinstance(caught.value, CertificateError)


@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n"])
def test_tls_to_what_does_not_speak_it(said: bytes, kind: Kind, ca: str) -> None:
    def script(peer: socket.socket) -> None:
        peer.recv(1 << 16)
        peer.sendall(said)

    server = Scripted(script)
    try:
        address = f"babelmqs://{server.address}"
        with pytest.raises(CannotConnect, match="does it speak TLS there"):
            kind("JSONQueue", "/a", address=address, ca=ca, timeout=PATIENCE)
    finally:
        server.close()


def test_plain_to_tls(kind: Kind, tls: TLSProxy) -> None:
    """OpenSSL ends such a connection and says nothing."""
    address = f"localhost:{tls.port}"
    with pytest.raises(CannotConnect, match=f"speaks TLS, its address is babelmqs://{address}"):
        kind("JSONQueue", "/a", address=address, timeout=PATIENCE)
    producer = kind("JSONQueue", "/a", PRODUCER, address=address, timeout=PATIENCE)
    producer.push(1)
    with pytest.raises(ConnectionLost, match=f"speaks TLS, its address is babelmqs://{address}"):
        producer.flush()


def test_plain_to_tls_that_says_so(kind: Kind) -> None:
    """Others send an alert."""

    def script(peer: socket.socket) -> None:
        peer.recv(1 << 16)
        peer.sendall(b"\x15\x03\x03\x00\x02\x02\x32")

    server = Scripted(script)
    try:
        with pytest.raises(ProtocolError, match="its address begins with babelmqs://"):
            kind("JSONQueue", "/a", address=server.address, timeout=PATIENCE)
    finally:
        server.close()


def test_nobody_is_there(kind: Kind, ca: str) -> None:
    with socket.socket() as taken:  # Bound and not listening: nobody answers there.
        taken.bind(("127.0.0.1", 0))
        address = f"babelmqs://localhost:{taken.getsockname()[1]}"
        with pytest.raises(CannotConnect, match=f"no broker answers at {address}"):
            kind("JSONQueue", "/a", address=address, ca=ca, timeout=PATIENCE)


def test_a_handshake_that_stalls_costs_no_more_than_the_timeout(kind: Kind, ca: str) -> None:
    def script(peer: socket.socket) -> None:
        while peer.recv(1 << 16):
            pass

    server = Scripted(script)
    try:
        with pytest.raises(TimeoutError, match="there is no connection to the broker"):
            kind("JSONQueue", "/a", address=f"babelmqs://{server.address}", ca=ca, timeout=0.1)
    finally:
        server.close()


# --- lost connections -----------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["TLSv1.2", "TLSv1.3"])
@pytest.mark.parametrize("politely", [True, False], ids=["close_notify", "cut"])
def test_a_lost_connection_is_made_again(
    politely: bool,
    version: str,
    kind: Kind,
    tls: TLSProxy,
    ca: str,
    log: Log,  # noqa: F811
) -> None:
    tls.context.maximum_version = ssl.TLSVersion[version.replace(".", "_")]
    queue = kind("JSONQueue", "/a", address=tls.address, ca=ca, timeout=PATIENCE, retained=False)
    queue.push(1)
    queue.flush()
    assert queue.pull() == ("/a", 1)
    tls.cut(politely=politely)
    pulled: list[Any] = []
    pulling = threading.Thread(target=lambda: pulled.append(queue.pull()))
    pulling.start()
    log.wait_for("connection to the broker lost (topic /a)")
    log.wait_for("connected to the broker again (topic /a)")
    with JSONQueue.producer("/a", timeout=PATIENCE) as producer:
        producer.push(2)
    pulling.join(PATIENCE)
    assert pulled == [("/a", 2)]
    assert tls.accepted == 2


@pytest.mark.parametrize("politely", [True, False], ids=["close_notify", "cut"])
def test_a_flush_says_what_may_be_lost(politely: bool, kind: Kind, tls: TLSProxy, ca: str) -> None:
    producer = kind("JSONQueue", "/a", PRODUCER, address=tls.address, ca=ca, timeout=PATIENCE)
    producer.push(1)
    assert producer.get() == 1
    tls.cut(politely=politely)
    with pytest.raises(ConnectionLost, match="may be lost"):
        producer.flush()
    producer.push(2)
    producer.flush()
    assert producer.get() == 2


@pytest.mark.skipif(not hasattr(os, "fork"), reason="it needs fork")
def test_a_forked_process_has_a_connection_of_its_own(tls: TLSProxy, ca: str) -> None:
    code = """
import os, sys
from babelmq import JSONQueue
with JSONQueue("/a", address=sys.argv[1], ca=sys.argv[2], timeout=20, retained=False) as queue:
    child = os.fork()
    if child == 0:
        queue.push("child")
        queue.flush()
        queue.close()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    queue.push("parent")
    print([queue.pull()[1], queue.pull()[1]])
"""
    done = subprocess.run(
        [sys.executable, "-c", code, tls.address, ca],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert done.stdout == "['child', 'parent']\n", done.stderr
    assert tls.accepted == 2
