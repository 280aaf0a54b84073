"""XML to values: by ``type`` where it is given, else as xmltodict reads it.

Read with expat and handlers of our own: no document type is accepted, so there is no entity to
expand. Most messages are spelled as the broker spells them, and :mod:`babelmq.xml_usual` reads them
in less than half the time.
"""

from __future__ import annotations

from base64 import b64decode
from typing import Any, Callable
from xml.parsers import expat

from . import ndarray, scalar_types, xml_usual
from .codec import Fields
from .errors import MalformedMessage

SOURCE = ""
"""A key of a message that no field can have, where its body is."""

_MOST_OPEN = 512
"""Elements open at once. The broker's limit is 128 values; a value in a map takes three elements.
"""

_FLOATS = {"NaN": float("nan"), "INF": float("inf"), "-INF": float("-inf")}
_BOOLS = {"true": True, "false": False}


def read(body: bytes) -> Fields:
    """The fields of the message in ``body``: the attributes of its root, and its children.

    >>> read(b'<m topic="/t"><message type="list"><item>21</item></message></m>')["message"]
    ['21']
    >>> read(b'<m topic="/t"><message><order id="5"><sku>X1</sku></order></message></m>')["message"]
    {'order': {'@id': '5', 'sku': 'X1'}}
    """
    try:
        usual = xml_usual.read(body, _SCALARS)
        if usual is not None:
            topic, retained, value = usual
            message: Fields = {"command": "publish", "topic": topic}
            if retained:
                message["retained"] = "true"
            message["message"] = value
            message[SOURCE] = body
            return message
    except (ValueError, TypeError, KeyError):
        pass  # The complete reader says what is wrong.
    try:
        return _Reader().read(body)
    except (expat.ExpatError, ValueError, TypeError, KeyError) as error:
        raise MalformedMessage(f"not XML as a broker writes it: {error}") from error


def check_document(text: str) -> None:
    """Raises :class:`ValueError` where ``text`` is not a document that the broker takes: one root,
    no document type.
    """
    parser = expat.ParserCreate("UTF-8")
    parser.StartDoctypeDeclHandler = _refuse_doctype
    try:
        parser.Parse(text.encode(), True)
    except expat.ExpatError as error:
        raise ValueError(f"the document is not well-formed XML: {error}") from error


def source(body: bytes) -> str:
    """The element ``message`` of a message as it is spelled in its ``body``.

    >>> source(b"<frame topic='/t'><message><order id='5'/></message></frame>")
    "<message><order id='5'/></message>"
    """
    parser = expat.ParserCreate("UTF-8")
    depth = start = end = 0

    def on_start(name: str, _: dict[str, str]) -> None:
        nonlocal depth, start
        depth += 1
        if depth == 2 and name == "message":
            start = parser.CurrentByteIndex

    def on_end(name: str) -> None:
        nonlocal depth, end
        depth -= 1
        if depth == 1 and name == "message":
            end = parser.CurrentByteIndex

    parser.StartElementHandler = on_start
    parser.EndElementHandler = on_end
    parser.Parse(body, True)
    # The end tag begins there, if there is one.
    if body.startswith(b"</message", end):
        end = body.index(b">", end) + 1
    return body[start:end].decode()


class _Element:
    """An open element that is no scalar."""

    __slots__ = ("attributes", "children", "key", "kind", "text")

    def __init__(self, key: str, kind: str, attributes: dict[str, str]) -> None:
        self.key = key
        self.kind = kind
        self.attributes = attributes
        self.children: list[tuple[str, Any]] = []
        self.text: list[str] = []


class _Reader:
    """One document being read. Elements are kept on a list, so depth costs no recursion."""

    def __init__(self) -> None:
        self._open: list[_Element] = []
        # The innermost element, where it is a scalar: its key, what reads its text, and its
        # encoding.
        self._scalar: tuple[str, xml_usual.ReadScalar, str | None] | None = None
        # The text since the last tag.
        self._text: list[str] = []
        self._root: _Element | None = None

    def read(self, body: bytes) -> Fields:
        # The encoding is given, so a declaration of another one counts for nothing.
        parser = expat.ParserCreate("UTF-8")
        parser.buffer_text = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text.append
        parser.StartDoctypeDeclHandler = _refuse_doctype
        parser.EntityDeclHandler = _refuse_doctype
        parser.Parse(body, True)
        root = self._root
        if root is None or "".join(root.text).strip():
            raise ValueError("text beside the fields of a message")
        message: Fields = dict(root.attributes)
        message.update(root.children)
        if len(message) != len(root.attributes) + len(root.children):
            raise ValueError("a field is given twice")
        message[SOURCE] = body
        return message

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        if not self._open:
            self._open.append(_Element(name, "root", attributes))
            return
        if self._scalar is not None:
            raise ValueError(f"<{self._scalar[0]}> is a scalar by its type and has child elements")
        parent = self._open[-1]
        if self._text:
            parent.text += self._text
            self._text.clear()
        inside = parent.kind
        key = _key(attributes) if name == "item" and inside in _KEYED else name
        if inside not in _UNTYPED:
            kind = attributes.get("type", "plain")
            read_scalar = _array(attributes) if kind == "ndarray" else _SCALARS.get(kind)
            if read_scalar is not None:
                self._scalar = key, read_scalar, attributes.get("encoding")
                return
            if kind in _KINDS:
                del attributes["type"]
            else:
                kind = "plain"
        else:
            kind = "entry" if inside == "map" else "plain document"
        if len(self._open) == _MOST_OPEN:
            raise ValueError(f"more than {_MOST_OPEN} elements are open at once")
        self._open.append(_Element(key, kind, attributes))

    def _end(self, _name: str) -> None:
        text = self._text
        if self._scalar is not None:
            key, read_scalar, encoding = self._scalar
            self._open[-1].children.append((key, read_scalar("".join(text), encoding)))
            self._scalar = None
            text.clear()
            return
        element = self._open.pop()
        if text:
            element.text += text
            text.clear()
        if self._open:
            self._open[-1].children.append((element.key, _value(element)))
        else:
            self._root = element


def _refuse_doctype(*_: Any) -> None:
    raise ValueError("it has a document type; none is accepted")


def _key(attributes: dict[str, str]) -> str:
    """The key that ``<item key="...">`` stands for."""
    key = attributes.pop("key", "item")
    encoding = attributes.pop("key-encoding", None)
    if encoding is None:
        return key
    if encoding != "base64":
        raise ValueError(f"a key has the encoding {encoding!r:.20}; there is only base64")
    return b64decode(key, validate=True).decode()


def _value(element: _Element) -> Any:
    text = "".join(element.text)
    read_container = _CONTAINERS.get(element.kind)
    if read_container is None:
        return _plain(element, text)
    if text.strip():
        raise ValueError(f"<{element.key}> is of type {element.kind} and has text")
    return read_container(element.children)


def _plain(element: _Element, text: str) -> Any:
    """An element without a type, as xmltodict reads it."""
    text = text.strip()
    if not element.attributes and not element.children:
        return text or None
    fields: dict[str, Any] = {f"@{name}": value for name, value in element.attributes.items()}
    repeated: set[str] = set()
    for name, value in element.children:
        if name in repeated:
            fields[name].append(value)
        elif name in fields:
            fields[name] = [fields[name], value]
            repeated.add(name)
        else:
            fields[name] = value
    if text:
        fields["#text"] = text
    return fields


# --- what each type is read by --------------------------------------------------------------------


def _null(text: str, _: str | None) -> None:
    if text.strip():
        raise ValueError("an element of type null has text")


def _str(text: str, encoding: str | None) -> str:
    if encoding is None:
        return text
    if encoding != "base64":
        raise ValueError(f"a string has the encoding {encoding!r:.20}; there is only base64")
    return _bytes(text, None).decode()


def _float(text: str, _: str | None) -> float:
    text = text.strip()
    return _FLOATS[text] if text in _FLOATS else float(text)


def _bytes(text: str, _: str | None) -> bytes:
    return b64decode("".join(text.split()), validate=True)


def _reader(row: scalar_types.ScalarType) -> xml_usual.ReadScalar:
    read = row.read
    return lambda text, _: read(text.strip())


def _array(attributes: dict[str, str]) -> xml_usual.ReadScalar:
    """What reads the text of an array."""
    dtype, shape = attributes["dtype"], [int(part) for part in attributes["shape"].split()]
    return lambda text, _: ndarray.of_base64(dtype, shape, "".join(text.split()))


def _values(children: list[tuple[str, Any]]) -> list[Any]:
    return [value for _, value in children]


def _entry(children: list[tuple[str, Any]]) -> tuple[Any, Any]:
    (first, key), (second, value) = children
    if (first, second) != ("key", "value"):
        raise ValueError("an entry of a map holds a key and a value")
    return key, value


_SCALARS: dict[str, xml_usual.ReadScalar] = {
    "null": _null,
    "bool": lambda text, _: _BOOLS[text.strip()],
    "int": lambda text, _: int(text),
    "float": _float,
    "str": _str,
    "bytes": _bytes,
    **{row.name: _reader(row) for row in scalar_types.TYPES},
}
_CONTAINERS: dict[str, Callable[[list[tuple[str, Any]]], Any]] = {
    "list": _values,
    "tuple": lambda children: tuple(_values(children)),
    "set": lambda children: set(_values(children)),
    "frozenset": lambda children: frozenset(_values(children)),
    "dict": dict,
    # Of a class of a producer's own: its state.
    "object": dict,
    "map": lambda children: dict(_values(children)),
    "entry": _entry,
}
_KINDS = (frozenset(_CONTAINERS) - {"entry"}) | {"document"}
_KEYED = ("dict", "object")
_UNTYPED = frozenset({"map", "document", "plain document"})
"""Inside of which an element's kind follows from its parent's."""
