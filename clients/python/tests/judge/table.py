"""The table of values of the contract, in CPython's terms."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from base64 import b64decode, b64encode
from typing import Any

from values import spelled

_FORBIDDEN = re.compile("[\0-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
_PLAIN_NAME = re.compile("(?!item$)(?!xml)[A-Za-z_][A-Za-z0-9_.-]*", re.IGNORECASE)


def as_pickle(value: Any) -> Any:
    """What a pickle consumer gets: the value, a bytearray as bytes."""
    kind = type(value)
    if kind is bytearray:
        return bytes(value)
    if kind is dict:
        return {key: as_pickle(item) for key, item in value.items()}
    if kind is list or kind is tuple:
        return kind(map(as_pickle, value))
    return value


def as_json(value: Any, exact: bool) -> Any:
    """What ``json.loads`` finds in what a JSON consumer gets."""
    kind = type(value)
    if kind is int and exact and not -(2**63) <= value < 2**63:
        return {"$int": str(value)}
    if kind is float and value - value != 0:
        return {"$float": repr(value)}
    if kind is bytes or kind is bytearray:
        return {"$bytes": b64encode(value).decode()}
    if kind is dict:
        return _object(value, exact)
    if kind in (list, tuple, set, frozenset):
        items = [as_json(item, exact) for item in value]
        if kind is list or (kind is tuple and not exact):
            return items
        return {"$set" if not exact and kind is frozenset else f"${kind.__name__}": items}
    return value


def _object(value: dict[Any, Any], exact: bool) -> Any:
    names = list(value)
    if not exact:
        try:
            # A list of names: of two that meet, neither gets lost.
            names = [next(iter(json.loads(json.dumps({name: 0})))) for name in names]
        except TypeError:
            names = [None]
    if all(type(name) is str for name in names) and len(set(names)) == len(value):
        if not (len(names) == 1 and names[0].startswith("$")):
            return {name: as_json(item, exact) for name, item in zip(names, value.values())}
    return {"$dict": [[as_json(key, exact), as_json(item, exact)] for key, item in value.items()]}


def canonical(document: Any) -> Any:
    """A JSON document such that == compares types, bits and order, except the order of a set's
    elements.
    """
    if type(document) is dict:
        if len(document) == 1:
            [(tag, content)] = document.items()
            if tag in ("$set", "$frozenset") and type(content) is list:
                return tag, sorted(map(canonical, content), key=repr)
        return "object", [(name, canonical(item)) for name, item in document.items()]
    if type(document) is list:
        return "array", [canonical(item) for item in document]
    return spelled(document)


def from_element(element: ET.Element) -> Any:
    """The value that a typed element stands for."""
    kind = element.attrib["type"]
    text = element.text or ""
    encoding = element.get("encoding")
    assert not (encoding and kind != "str")
    if kind in ("list", "tuple", "set", "frozenset", "dict", "map"):
        assert not text.strip()
        children = list(element)
        if kind == "dict":
            pairs = [(_key(child), from_element(child)) for child in children]
        elif kind == "map":
            assert {child.tag for child in children} <= {"entry"}
            assert all([part.tag for part in child] == ["key", "value"] for child in children)
            pairs = [(from_element(child[0]), from_element(child[1])) for child in children]
        else:
            assert {child.tag for child in children} <= {"item"}
            types: dict[str, Any] = {
                "list": list,
                "tuple": tuple,
                "set": set,
                "frozenset": frozenset,
            }
            items = [from_element(child) for child in children]
            assert kind in ("list", "tuple") or len(set(items)) == len(items)
            return types[kind](items)
        assert len(dict(pairs)) == len(pairs)
        return dict(pairs)
    assert not len(element)
    if kind == "str":
        if encoding is None:
            return text
        assert encoding == "base64"
        decoded = b64decode(text, validate=True).decode()
        assert _FORBIDDEN.search(decoded), "base64 is for what XML cannot carry"
        return decoded
    if kind == "bytes":
        return b64decode(text, validate=True)
    if kind == "float":
        words = {"NaN": "nan", "INF": "inf", "-INF": "-inf"}
        number = float(words.get(text, text))
        assert text in words or text == repr(number), f"{text} is not {number!r}"
        return number
    if kind == "int":
        return int(text)
    if kind == "bool":
        return {"true": True, "false": False}[text]
    assert (kind, text) == ("null", "")
    return None


def _key(element: ET.Element) -> str:
    key = element.get("key")
    if key is None:
        return element.tag
    assert element.tag == "item"
    return (
        b64decode(key, validate=True).decode() if element.get("key-encoding") == "base64" else key
    )


def message_element(value: Any) -> bytes:
    """The element that a producer of XML sends, written by ElementTree."""
    # ElementTree leaves \r in text as it is, and a parser would read \n.
    return (
        ET.tostring(_fill(ET.Element("message"), value), encoding="unicode")
        .replace("\r", "&#13;")
        .encode()
    )


def _fill(element: ET.Element, value: Any) -> ET.Element:
    kind = type(value)
    element.set("type", kind.__name__)
    if value is None:
        element.set("type", "null")
    elif kind is str:
        element.text = value
        if _FORBIDDEN.search(value):
            element.set("encoding", "base64")
            element.text = b64encode(value.encode()).decode()
    elif kind is bytes or kind is bytearray:
        element.set("type", "bytes")
        element.text = b64encode(value).decode()
    elif kind is float:
        element.text = {"nan": "NaN", "inf": "INF", "-inf": "-INF"}.get(repr(value), repr(value))
    elif kind is bool:
        element.text = "true" if value else "false"
    elif kind is int:
        element.text = str(value)
    elif kind is dict and all(type(key) is str for key in value):
        for key, item in value.items():
            _fill(_child(element, key), item)
    elif kind is dict:
        element.set("type", "map")
        for key, item in value.items():
            entry = ET.SubElement(element, "entry")
            _fill(ET.SubElement(entry, "key"), key)
            _fill(ET.SubElement(entry, "value"), item)
    else:
        for item in value:
            _fill(ET.SubElement(element, "item"), item)
    return element


def _child(element: ET.Element, key: str) -> ET.Element:
    if _PLAIN_NAME.fullmatch(key):
        return ET.SubElement(element, key)
    if _FORBIDDEN.search(key):
        encoded = b64encode(key.encode()).decode()
        return ET.SubElement(element, "item", {"key": encoded, "key-encoding": "base64"})
    return ET.SubElement(element, "item", {"key": key})


def outline(element: ET.Element) -> Any:
    """An element such that == compares all of it, except the order of a set's elements."""
    children = [outline(child) for child in element]
    if element.get("type") in ("set", "frozenset"):
        children.sort(key=repr)
    return element.tag, sorted(element.attrib.items()), element.text or "", children
