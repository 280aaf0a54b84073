"""Who a client is to the broker: a user with a password, or a token. Neither is in any text that
is made here.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field

from .address import Place
from .codec import Codec, Fields

LONGEST = 4 << 10
"""Bytes of body in the longest frame that a broker takes before a login."""

_VARIABLES = ("BABELMQ_USER", "BABELMQ_PASSWORD", "BABELMQ_TOKEN")

# What XML cannot carry, and so no format here.
_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True)
class Login:
    """A user and a password, or a token.

    >>> Login("ada", "secret")
    Login(user='ada')
    """

    user: str | None = None
    password: str | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)

    def message(self) -> Fields:
        """What a connection begins with."""
        if self.token is not None:
            return {"command": "login", "token": self.token}
        return {"command": "login", "user": self.user, "password": self.password}

    def __str__(self) -> str:
        return "this token" if self.user is None else f"the user {self.user!r}"


def login_for(
    place: Place,
    codec: Codec,
    user: str | None = None,
    password: str | None = None,
    token: str | None = None,
    *,
    allow_plain: bool = False,
    is_named: bool = False,
) -> Login | None:
    """The login of connections to ``place``; ``None`` where there is none.

    What neither the arguments nor the address say is taken from ``BABELMQ_USER``,
    ``BABELMQ_PASSWORD`` and ``BABELMQ_TOKEN``, but not for an address that the program names
    (``is_named``): it may be another broker's. Raises :class:`ValueError` where that is no login,
    and where it would go over a network unencrypted and not ``allow_plain``.
    """
    login = _completed(
        _one("user", user, place.user),
        _one("password", password, place.password),
        token,
        is_named,
    )
    if login is None:
        return None
    what = "password" if login.token is None else "token"
    if not (place.tls or place.is_local or allow_plain):
        raise ValueError(
            f"a {what} would go to {place} unencrypted; with TLS the address is "
            f"babelmqs://{place} (allow_plain_login=True sends it nonetheless)"
        )
    length = len(codec.encode(login.message()))
    if length > LONGEST:
        raise ValueError(
            f"the login is a message of {length} bytes, and a broker takes {LONGEST}; a shorter "
            f"{what} is as safe"
        )
    return login


def _one(name: str, argument: str | None, in_address: str | None) -> str | None:
    if argument is not None and in_address is not None:
        raise ValueError(
            f"{name}= is given, and the address has a {name} too; leave one of them out"
        )
    return in_address if argument is None else argument


def _completed(
    user: str | None, password: str | None, token: str | None, is_named: bool
) -> Login | None:
    given = {name: None if is_named else os.environ.get(name) or None for name in _VARIABLES}
    if token is not None:
        if user is not None or password is not None:
            raise ValueError(
                "token= is given, and a user or a password too; a token says who it is of, so "
                "leave one of them out"
            )
    elif user is None and password is None:
        user, password, token = given.values()
        if token is not None and (user is not None or password is not None):
            raise ValueError(
                "BABELMQ_TOKEN is set, and BABELMQ_USER or BABELMQ_PASSWORD too; a token says who "
                "it is of, so unset one of them"
            )
    else:
        user = given["BABELMQ_USER"] if user is None else user
        password = given["BABELMQ_PASSWORD"] if password is None else password
    if token is not None:
        return Login(token=_checked("token", token))
    if user is None and password is None:
        return None
    if user is None:
        raise ValueError(f"a password needs its user: user={_or('BABELMQ_USER', is_named)}")
    user = _checked("user", user)
    if password is None:
        raise ValueError(
            f"the user {user!r} needs a password: password={_or('BABELMQ_PASSWORD', is_named)}"
        )
    return Login(user, _checked("password", password))


def _or(variable: str, is_named: bool) -> str:
    if is_named:
        return f" ({variable} is not for an address that is given as address=)"
    return f" or {variable}"


def _checked(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"a {name} is a str, and not a {type(value).__name__}")
    if not value:
        raise ValueError(f"the {name} is empty")
    if _FORBIDDEN.search(value):
        raise ValueError(f"the {name} has a control character, or half of a surrogate pair")
    # A class derived from str would not be written as one.
    return str.__str__(value)
