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


class Wire:
    """One connection that speaks one format."""

    def __init__(self, address: str, spoken: int) -> None:
        host, port = address.rsplit(":", 1)
        self.spoken = spoken
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
        return read(self.spoken, self.receive_body())

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
def wire(address: str, spoken: int) -> Iterator[Wire]:
    connection = Wire(address, spoken)
    try:
        yield connection
    finally:
        connection.close()


def read(spoken: int, body: bytes) -> Any:
    return {JSON: read_json, XML: read_xml, PICKLE: read_pickle}[spoken](body)


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


def read_pickle(body: bytes) -> Any:
    opcodes = [(opcode.name, argument) for opcode, argument, _ in pickletools.genops(body)]
    assert opcodes[0] == ("PROTO", 4)
    more = {name for name, _ in opcodes} - DATA_OPCODES
    assert not more, f"{more} in {body!r}"
    return pickle.loads(body)


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
