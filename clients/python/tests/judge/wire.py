"""A plain socket, and what is read from it by CPython and lxml, strictly."""

from __future__ import annotations

import json
import pickle
import pickletools
import socket
import struct
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

import lxml.etree

JSON, XML, PICKLE = 0, 1, 2
FORMATS = {JSON: "json", XML: "xml", PICKLE: "pickle"}

DATA_OPCODES = frozenset(
    "NONE NEWTRUE NEWFALSE BININT BININT1 BININT2 LONG1 LONG4 BINFLOAT "
    "SHORT_BINUNICODE BINUNICODE BINUNICODE8 SHORT_BINBYTES BINBYTES BINBYTES8 "
    "EMPTY_LIST APPEND APPENDS EMPTY_TUPLE TUPLE1 TUPLE2 TUPLE3 TUPLE "
    "EMPTY_DICT SETITEM SETITEMS EMPTY_SET ADDITEMS FROZENSET MARK MEMOIZE PROTO FRAME STOP".split()
)
CALLS = frozenset({"STACK_GLOBAL", "REDUCE", "NEWOBJ", "BUILD", "BINPUT", "BINGET"})
"""Opcodes that pickles have beside these for who asked for ``exact``."""
LISTED = frozenset(
    {
        *(("datetime", name) for name in ("datetime", "date", "time", "timedelta", "timezone")),
        ("zoneinfo", "ZoneInfo"),
        ("decimal", "Decimal"),
        ("uuid", "UUID"),
        ("fractions", "Fraction"),
        ("builtins", "complex"),
        ("numpy.core.multiarray", "_reconstruct"),
        ("numpy", "ndarray"),
        ("numpy", "dtype"),
    }
)
"""The names that they have: those of docs/protocol.md#exact-pickle."""


class Wire:
    """One connection that speaks one format. Of pickles it takes calls only where it asks for
    ``exact``.
    """

    def __init__(self, address: str, spoken: int, exact: bool = False) -> None:
        host, port = address.rsplit(":", 1)
        self.spoken = spoken
        self.exact = exact
        self._socket = socket.create_connection((host, int(port)), timeout=30)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._read = self._socket.makefile("rb")

    def send_body(self, *bodies: bytes) -> None:
        self._socket.sendall(
            b"".join(struct.pack(">BI", self.spoken, len(body)) + body for body in bodies)
        )

    def send(self, **fields: Any) -> None:
        """A message without a payload."""
        if self.spoken == JSON:
            self.send_body(json.dumps(fields).encode())
        elif self.spoken == PICKLE:
            self.send_body(pickle.dumps(fields))
        else:
            words = {
                name: str(field).lower() if field is True else str(field)
                for name, field in fields.items()
            }
            self.send_body(ET.tostring(ET.Element("frame", words)))

    def receive_body(self) -> bytes:
        spoken, length = struct.unpack(">BI", self._exactly(5))
        assert spoken == self.spoken, (
            f"asked in {FORMATS[self.spoken]}, answered in format {spoken}"
        )
        return self._exactly(length)

    def receive(self) -> Any:
        """A message: a dict, or for XML an element."""
        return self.read(self.receive_body())

    def read(self, body: bytes) -> Any:
        """The message in ``body``: a dict, or for XML an element."""
        if self.spoken == PICKLE:
            return read_pickle(body, self.exact)
        return read_json(body) if self.spoken == JSON else read_xml(body)

    def subscribe(self, topic: str) -> None:
        """Subscribes, and passes over what was stored before."""
        reply = self.ask(
            command="subscribe", topic=topic, **({"exact": True} if self.exact else {})
        )
        while reply.get("command") == "publish":
            reply = self.receive()
        assert reply.get("command") == "subscribed", reply

    def ask(self, **fields: Any) -> Any:
        self.send(**fields)
        return self.receive()

    def close(self) -> None:
        self._read.close()
        self._socket.close()

    def _exactly(self, length: int) -> bytes:
        got = self._read.read(length)
        assert len(got) == length, (
            f"the broker closed the connection {length - len(got)} bytes early"
        )
        return got


@contextmanager
def wire(address: str, spoken: int, exact: bool = False) -> Iterator[Wire]:
    connection = Wire(address, spoken, exact)
    try:
        yield connection
    finally:
        connection.close()


def read_json(body: bytes) -> Any:
    return json.loads(
        body.decode(),
        parse_constant=_not_json,
        parse_float=_shortest,
        object_pairs_hook=_without_duplicates,
    )


def read_xml(body: bytes) -> ET.Element:
    element = ET.fromstring(body)
    other = lxml.etree.fromstring(body)
    assert _outline(element) == _outline(other), f"ElementTree and lxml do not agree on {body!r}"
    return element


def read_pickle(body: bytes, exact: bool = False) -> Any:
    opcodes = [(opcode.name, argument) for opcode, argument, _ in pickletools.genops(body)]
    assert opcodes[0] == ("PROTO", 4)
    more = {name for name, _ in opcodes} - DATA_OPCODES - (CALLS if exact else frozenset())
    assert not more, f"{more} in {body!r}"
    if exact:
        check_calls(opcodes)
    return pickle.loads(body)


def check_calls(opcodes: list[tuple[str, Any]]) -> None:
    """The names are those of the list, each once, and put where nothing else is; what is fetched
    was put.
    """
    named: set[tuple[str, str]] = set()
    put: set[int] = set()
    for at, (opcode, argument) in enumerate(opcodes):
        if opcode == "STACK_GLOBAL":
            (first, module), (second, name) = opcodes[at - 2 : at]
            assert first == second == "SHORT_BINUNICODE"
            assert (module, name) in LISTED - named, f"{module}.{name}"
            named.add((module, name))
        elif opcode == "BINPUT":
            assert opcodes[at - 1][0] == "STACK_GLOBAL" and argument not in put, argument
            put.add(argument)
        elif opcode == "BINGET":
            assert argument in put, argument
    assert len(named) == len(put)


def _outline(element: Any) -> Any:
    children = [_outline(child) for child in element]
    return element.tag, dict(element.attrib), element.text or "", element.tail or "", children


def _not_json(word: str) -> NoReturn:
    raise ValueError(f"{word} is not JSON")


def _shortest(text: str) -> float:
    assert text == json.dumps(float(text)), f"{text} is not how json.dumps writes it"
    return float(text)


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    assert len(fields) == len(pairs), f"a key stands twice among {[name for name, _ in pairs]}"
    return fields
