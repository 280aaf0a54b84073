"""Logins at a real broker, with a users file: who comes in, in every format and with both kinds of
queue, and what each may do.
"""

from __future__ import annotations

import hashlib
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from kinds import Kind
from proxy import PATIENCE
from real_broker import BINARY, RealBroker
from test_login import NAMES, no_login_of_the_environment  # noqa: F401

from babelmq import BrokerError, LoginFailed, MiddlewareType

PRODUCER = MiddlewareType.PRODUCER
PASSWORD = 'correct "horse" <&> \u00fc:/@%'
TOKEN = "t0ken-of-ci"


def _has_users() -> bool:
    if not BINARY:
        return False
    said = subprocess.run([BINARY, "serve", "--help"], capture_output=True, text=True).stdout
    return "--users" in said


pytestmark = pytest.mark.skipif(not _has_users(), reason="it needs a broker that knows users")

ROLES = """
[role.all]
publish = ["#"]
subscribe = ["#"]

[role.reader]
subscribe = ["news"]
deny-subscribe = ["news/drafts"]
"""


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A users file: ada may do everything, ci reads the news that are no drafts."""
    folder = tmp_path_factory.mktemp("users")
    (folder / "password").write_text(PASSWORD, encoding="utf-8")
    ada = subprocess.run(
        [BINARY, "passwd", "ada", "--role", "all", "--password-file", str(folder / "password")],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    sha256 = hashlib.sha256(TOKEN.encode()).hexdigest()
    ci = f'\n[[user]]\nname = "ci"\ntoken-sha256 = "{sha256}"\nroles = ["reader"]\n'
    (folder / "users.toml").write_text(ada + ci + ROLES, encoding="utf-8")
    return folder / "users.toml"


@pytest.fixture
def users(file: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RealBroker]:
    started = RealBroker("--users", str(file))
    monkeypatch.setenv("BABELMQ_ADDR", started.address)
    yield started
    started.close()


@pytest.mark.parametrize("name", NAMES)
def test_a_login(name: str, kind: Kind, users: RealBroker) -> None:
    queue = kind(name, "news", timeout=PATIENCE, user="ada", password=PASSWORD)
    queue.push({"n": 1})
    assert queue.pull() == ("news", {"n": 1})
    assert queue.limited == frozenset()
    queue.flush()
    users.kill()
    users.start()
    queue.push({"n": 2})
    while queue.pull() != ("news", {"n": 2}):
        pass


@pytest.mark.parametrize("name", NAMES)
def test_what_a_user_may_not_do(name: str, kind: Kind, users: RealBroker) -> None:
    reader = kind(name, "news", timeout=PATIENCE, token=TOKEN)
    assert reader.limited == {"news"}
    writer = kind(name, "news", PRODUCER, timeout=PATIENCE, user="ada", password=PASSWORD)
    writer.push_to("news/drafts/a", "no")
    writer.push_to("news/a", "yes")
    writer.flush()
    assert reader.pull() == ("news/a", "yes")
    reader.push_to("news/a", "mine")
    with pytest.raises(BrokerError, match=r"not-permitted: .*may not publish") as caught:
        reader.flush()
    assert caught.value.topic == "news/a"
    with pytest.raises(BrokerError, match="not-permitted"):
        reader.subscribe("weather")
    with pytest.raises(BrokerError, match="not-permitted"):
        reader.get("news/drafts/a")
    assert reader.get("news/a") == "yes"
    with pytest.raises(BrokerError, match="not-permitted"):
        kind(name, "weather", timeout=PATIENCE, token=TOKEN)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"user": "ada", "password": "wrong"}, "login-failed"),
        ({"user": "nobody", "password": PASSWORD}, "login-failed"),
        ({"token": "wrong"}, "login-failed"),
        ({}, "login-required"),
    ],
)
def test_a_login_that_fails(
    options: dict[str, str], code: str, name: str, kind: Kind, users: RealBroker
) -> None:
    with pytest.raises(LoginFailed) as caught:
        kind(name, "news", timeout=PATIENCE, keepalive=0.2, **options)
    assert caught.value.code == code


@pytest.mark.parametrize("name", NAMES)
def test_a_login_without_users(name: str, kind: Kind) -> None:
    queue = kind(name, "news", timeout=PATIENCE, user="ada", password=PASSWORD)
    queue.push(1)
    assert queue.pull() == ("news", 1)


@pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="it needs Unix sockets")
def test_a_login_by_a_unix_socket(kind: Kind, file: Path, tmp_path: Path) -> None:
    address = f"unix:{tmp_path}/b.sock"
    real = RealBroker("--listen", address, "--users", str(file))
    try:
        queue = kind("JSONQueue", "news", address=address, timeout=PATIENCE, token=TOKEN)
        assert queue.limited == {"news"}
    finally:
        real.close()
