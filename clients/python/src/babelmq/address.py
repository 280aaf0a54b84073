"""Where the broker is: an argument, else the variable ``BABELMQ_ADDR``, else port 5000 of this
machine.
"""

from __future__ import annotations

import ipaddress
import os
import re
import socket
from dataclasses import dataclass, field
from typing import Union
from urllib.parse import unquote

Address = Union[str, tuple[str, int]]
"""``"babelmq://host:5000"``, ``"babelmqs://host:5000"`` for TLS, ``"unix:/path"``, ``"host:5000"``,
or a tuple of host and port. A URL without a port means 5000; IPv6 is in brackets. Before the host
of a URL may be ``user:password@``, percent-encoded.
"""

DEFAULT = "127.0.0.1:5000"
DEFAULT_PORT = 5000

_SCHEMES = {"babelmq": False, "babelmqs": True}
_NOT_IN_A_LOGIN = "/?#@[]"
_ENCODED = re.compile("(?:[^%]|%[0-9A-Fa-f]{2})*")
_NOT_IN_A_HOST = frozenset("%\\<>\"'^`{|}[],;&=+$!*()")


@dataclass(frozen=True)
class Place:
    """Where a broker is, and whether it speaks TLS there."""

    host: str
    port: int
    tls: bool = False
    path: str = ""
    """The path of a Unix socket, in the place of host and port."""
    user: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)

    @property
    def is_local(self) -> bool:
        """Whether what is sent there does not leave this machine."""
        if self.path or self.host.lower() == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    def __str__(self) -> str:
        if self.path:
            return f"unix:{self.path}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'babelmqs://' if self.tls else ''}{host}:{self.port}"


def resolve(address: Address | None = None) -> Place:
    """What ``address`` says. Raises :class:`ValueError` for what is none.

    >>> resolve("broker.example:5001")
    Place(host='broker.example', port=5001, tls=False, path='')
    >>> str(resolve("babelmqs://[::1]"))
    'babelmqs://[::1]:5000'
    >>> resolve("unix:/run/babelmq.sock").path
    '/run/babelmq.sock'
    """
    source = ""
    if address is None:
        address = os.environ.get("BABELMQ_ADDR") or DEFAULT
        source = "BABELMQ_ADDR: "
    if not isinstance(address, str):
        host, number = address
        return Place(host, number)
    try:
        return _parse(address)
    except ValueError as error:
        raise ValueError(f"{source}{_shown(address)!r} is not an address: {error}") from None


def _parse(address: str) -> Place:
    if address.startswith(("unix:/", "unix:.")):
        return _unix(address[len("unix:") :])
    scheme, separator, rest = address.partition("://")
    if separator:
        return _url(scheme, rest)
    if "@" in address:
        raise ValueError(
            "a user and a password are in a URL, babelmq://user:password@host or babelmqs://…, or "
            "are given as user= and password="
        )
    host, separator, port = address.rpartition(":")
    if not separator or not _is_number(port) or int(port) > 65535:
        raise ValueError(f"one looks like {DEFAULT} or babelmq://127.0.0.1")
    return Place(host.strip("[]") or "127.0.0.1", int(port))


def _url(scheme: str, rest: str) -> Place:
    tls = _SCHEMES.get(scheme.lower())
    if tls is None:
        raise ValueError(
            f"the scheme {scheme!r} is unknown; it is babelmq://, babelmqs:// for TLS, or "
            "unix:/path"
        )
    login, at, rest = rest.rpartition("@")
    user, password = _user_and_password(login) if at else (None, None)
    for mark, name in ("#", "fragment"), ("?", "query"), ("/", "path"):
        if mark in rest:
            raise ValueError(
                f"it has a {name}, {rest[rest.index(mark) :]!r}, and an address has none; leave "
                "that out"
            )
    host, port = _host_and_port(rest)
    number = port[1:] if port else str(DEFAULT_PORT)
    if not _is_number(number) or not 0 < int(number) <= 65535:
        raise ValueError(
            f"the port {number!r} is not a number from 1 to 65535; without ':' it is {DEFAULT_PORT}"
        )
    return Place(host, int(number), tls, user=user, password=password)


def _user_and_password(login: str) -> tuple[str, str | None]:
    """What is before the ``@``. No error shows any of it."""
    for mark in _NOT_IN_A_LOGIN:
        if mark in login:
            raise ValueError(f"a {mark!r} in a user or a password is %{ord(mark):02X} there")
    user, colon, password = login.partition(":")
    if not user:
        raise ValueError("it names no user before the '@'")
    return _decoded(user), _decoded(password) if colon else None


def _decoded(text: str) -> str:
    try:
        if _ENCODED.fullmatch(text):
            return unquote(text, errors="strict")
    except UnicodeDecodeError:
        pass
    raise ValueError(
        "in a user or a password two hexadecimal digits follow each '%', for a byte of UTF-8; a "
        "'%' itself is %25"
    )


def _host_and_port(authority: str) -> tuple[str, str]:
    """The host, and the port with its colon where there is one."""
    if authority.startswith("["):
        inside, bracket, port = authority[1:].partition("]")
        try:
            if not bracket or (port and not port.startswith(":")):
                raise ValueError
            ipaddress.IPv6Address(inside)
        except ValueError:
            raise ValueError(
                f"{authority!r} is not an IPv6 address in brackets, as in [::1]:{DEFAULT_PORT}"
            ) from None
        return inside, port
    host, colon, number = authority.partition(":")
    if ":" in number:
        raise ValueError(f"an IPv6 address is in brackets, as in [::1]:{DEFAULT_PORT}")
    if not host:
        raise ValueError("it names no host; one looks like babelmq://127.0.0.1")
    if any(c in _NOT_IN_A_HOST or c.isspace() or not c.isprintable() for c in host):
        raise ValueError(f"{host!r} is not the name of a host")
    try:
        # What cannot be looked up is said here, and not by a connection that is tried for ever.
        host.encode("idna")
    except UnicodeError:
        raise ValueError(f"{host!r} is not the name of a host") from None
    return host, colon + number


def _unix(path: str) -> Place:
    # As a broker's --listen does, it takes unix:///path too.
    path = path[2:] if path.startswith("//") else path
    if not path.startswith("/"):
        raise ValueError("the path of a Unix socket begins with '/', as in unix:/run/babelmq.sock")
    if "?" in path or "#" in path or "\0" in path:
        raise ValueError("a path is all that follows 'unix:', without '?', '#' and null bytes")
    if not hasattr(socket, "AF_UNIX"):
        raise ValueError(f"this system has no Unix sockets; one looks like {DEFAULT}")
    return Place("", 0, path=path)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 5


def _shown(address: str) -> str:
    """The address without a password, for errors end up in logs."""
    login, at, host = address.rpartition("@")
    if not at:
        return address
    scheme, separator, _ = login.partition("://")
    return f"{scheme}://…@{host}" if separator else f"…@{host}"
