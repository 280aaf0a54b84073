"""What makes a login: arguments, addresses and the environment, and where it may go."""

from __future__ import annotations

import re
import traceback
from typing import Any

import pytest
from kinds import Kind
from test_login import no_login_of_the_environment  # noqa: F401

from babelmq import JSONQueue, MiddlewareType
from babelmq.address import Place, resolve
from babelmq.json_codec import JSONCodec
from babelmq.login import LONGEST, Login, login_for

PRODUCER = MiddlewareType.PRODUCER


@pytest.mark.parametrize(
    ("address", "plain"),
    [
        ("babelmq://127.0.0.1", False),
        ("127.8.9.1:7", False),
        ("babelmq://[::1]:7", False),
        ("babelmq://LocalHost:7", False),
        (("localhost", 7), False),
        ("unix:/b.sock", False),
        ("babelmqs://broker.example", False),
        ("babelmqs://192.0.2.1:7", False),
        ("babelmq://broker.example", True),
        ("192.0.2.1:7", True),
        ("babelmq://localhost.example", True),
        ("babelmq://[2001:db8::1]", True),
        ("babelmq://0.0.0.0", True),
        (("broker.example", 7), True),
    ],
)
@pytest.mark.parametrize(
    "options", [{"user": "ada", "password": "secret"}, {"token": "secret"}], ids=["user", "token"]
)
def test_no_secret_goes_over_a_network_in_plain(
    address: Any, plain: bool, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    place = resolve(address)
    expected = Login(**options)
    assert login_for(place, JSONCodec(), **options, allow_plain=True) == expected
    if not plain:
        assert login_for(place, JSONCodec(), **options) == expected
        return
    what = "token" if "token" in options else "password"
    says = f"a {what} would go to {place} unencrypted; with TLS the address is babelmqs://{place} "
    with pytest.raises(ValueError, match=re.escape(says)):
        login_for(place, JSONCodec(), **options)
    for name, value in options.items():
        monkeypatch.setenv(f"BABELMQ_{name.upper()}", value)
    # The environment's login is for the environment's address, and for no other broker.
    JSONQueue.producer("/a", address=address).close()
    monkeypatch.setenv("BABELMQ_ADDR", address if isinstance(address, str) else "broker.example:7")
    with pytest.raises(ValueError, match=f"a {what} would go to .* unencrypted") as caught:
        JSONQueue.producer("/a")
    assert "cret" not in str(caught.value)
    JSONQueue.producer("/a", allow_plain_login=True).close()


@pytest.mark.parametrize(
    ("options", "variables", "says"),
    [
        ({"user": "ada"}, {}, "the user 'ada' needs a password: password= or BABELMQ_PASSWORD"),
        ({"password": "secret"}, {}, "a password needs its user: user= or BABELMQ_USER"),
        ({"user": "ada", "token": "secret"}, {}, "token= is given, and a user or a password too"),
        ({"password": "secret", "token": "x"}, {}, "token= is given"),
        ({"address": "babelmq://ada:secret@localhost", "token": "x"}, {}, "token= is given"),
        ({"address": "babelmq://ada:secret@localhost", "user": "ada"}, {}, "user= is given, and"),
        ({"address": "babelmq://ada:secret@localhost", "password": "secret"}, {}, "password= is"),
        ({"address": "babelmq://ada:@localhost"}, {}, "the password is empty"),
        ({"user": "", "password": "secret"}, {}, "the user is empty"),
        ({"user": "ada", "password": ""}, {}, "the password is empty"),
        ({"token": ""}, {}, "the token is empty"),
        ({"token": "secret\0"}, {}, "the token has a control character"),
        ({"user": "ada", "password": "secret\udc80"}, {}, "the password has a control character"),
        ({"user": "a" * 2000, "password": "secret" * 400}, {}, f"and a broker takes {LONGEST}"),
        ({"token": b"secret"}, {}, "a token is a str, and not a bytes"),
        ({"user": 7, "password": "secret"}, {}, "a user is a str, and not a int"),
        ({}, {"USER": "ada"}, "the user 'ada' needs a password"),
        (
            {"address": "babelmq://ada@localhost"},
            {"PASSWORD": "secret"},
            "password= \\(BABELMQ_PASSWORD is not for an address that is given",
        ),
        ({}, {"PASSWORD": "secret"}, "a password needs its user"),
        ({}, {"TOKEN": "secret", "USER": "ada"}, "BABELMQ_TOKEN is set, and BABELMQ_USER or"),
    ],
)
def test_what_is_no_login(
    options: dict[str, Any],
    variables: dict[str, str],
    says: str,
    kind: Kind,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for variable, value in variables.items():
        monkeypatch.setenv(f"BABELMQ_{variable}", value)
    with pytest.raises((ValueError, TypeError), match=says) as caught:
        kind("JSONQueue", "/a", PRODUCER, **options)
    assert "cret" not in "".join(traceback.format_exception_only(caught.type, caught.value))


@pytest.mark.parametrize(
    ("address", "user", "password"),
    [
        ("babelmqs://ada:secret@h:7", "ada", "secret"),
        ("babelmqs://ada@h:7", "ada", None),
        ("babelmqs://ada:@h:7", "ada", ""),
        ("babelmqs://a%3Ad%40a:s%2Fe%3fc%23r%25et@h:7", "a:d@a", "s/e?c#r%et"),
        ("babelmqs://ada:with:colons@h:7", "ada", "with:colons"),
        ("babelmqs://%C3%BC:\u00fc+%2b@h:7", "\u00fc", "\u00fc++"),
    ],
)
def test_users_in_addresses(address: str, user: str, password: str | None) -> None:
    place = resolve(address)
    assert place == Place("h", 7, tls=True, user=user, password=password)
    assert str(place) == "babelmqs://h:7"
    assert repr(place) == "Place(host='h', port=7, tls=True, path='')"


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("babelmqs://user:se/cret@h:7", "a '/' in a user or a password is %2F there"),
        ("babelmqs://user:se?cret@h:7", "a '\\?' in a user or a password is %3F there"),
        ("babelmqs://user:se#cret@h:7", "a '#' in a user or a password is %23 there"),
        ("babelmqs://user:se@cret@h:7", "a '@' in a user or a password is %40 there"),
        ("babelmqs://:secret@h:7", "it names no user before the '@'"),
        ("babelmqs://@h:7", "it names no user before the '@'"),
        ("babelmqs://user:secret%@h:7", "two hexadecimal digits follow each '%'"),
        ("babelmqs://user:secret%4@h:7", "two hexadecimal digits follow each '%'"),
        ("babelmqs://user:%fcsecret@h:7", "for a byte of UTF-8"),
        ("babelmqs://user:secret@", "it names no host"),
        ("babelmqs://user:secret@h/topic", "it has a path, '/topic'"),
        ("tls://user:secret@h:7", "the scheme 'tls' is unknown"),
        ("user:secret@h:7", "a user and a password are in a URL"),
    ],
)
def test_what_is_no_user_in_an_address(
    address: str, says: str, kind: Kind, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ValueError, match=f"^'.*…@h?.*' is not an address: .*{says}") as caught:
        kind("JSONQueue", "/a", PRODUCER, address=address)
    shown = traceback.format_exception(caught.type, caught.value, None)
    assert "cret" not in "".join(shown)
    monkeypatch.setenv("BABELMQ_ADDR", address)
    with pytest.raises(ValueError, match=r"^BABELMQ_ADDR: ") as caught:
        kind("JSONQueue", "/a", PRODUCER)
    assert "cret" not in str(caught.value)
