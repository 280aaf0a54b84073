"""The table of values of the contract, in CPython's terms."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from base64 import b64decode, b64encode
from datetime import date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from fractions import Fraction
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from arrays import canonical_array, is_array, native
from values import library_text, spelled

_FORBIDDEN = re.compile("[\0-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
_PLAIN_NAME = re.compile("(?!item$)(?!xml)[A-Za-z_][A-Za-z0-9_.-]*", re.IGNORECASE)


def as_value(value: Any) -> Any:
    """What the broker has: the value, a bytearray as bytes."""
    kind = type(value)
    if kind is bytearray:
        return bytes(value)
    if is_array(value):
        return canonical_array(value)
    if kind is dict:
        return {key: as_value(item) for key, item in value.items()}
    if kind is list or kind is tuple:
        return kind(map(as_value, value))
    return value


def as_pickle(value: Any) -> Any:
    """What a pickle consumer gets: what the broker has, dates, exact numbers and arrays without
    their types.
    """
    kind = type(value)
    if is_array(value):
        return as_pickle(value.tolist())
    if kind in (datetime, date, time):
        return value.isoformat()
    if kind is timedelta:
        return value.total_seconds()
    if library_text(value) is not None:
        return str(value)
    if kind is dict:
        return {as_pickle(key): as_pickle(item) for key, item in value.items()}
    if kind in (list, tuple, set, frozenset):
        return kind(map(as_pickle, value))
    return as_value(value)


def as_exact_pickle(value: Any) -> Any:
    """What a pickle consumer with ``exact`` gets: what the broker has, as numpy has arrays."""
    kind = type(value)
    if is_array(value):
        return native(canonical_array(value))
    if kind is dict:
        return {key: as_exact_pickle(item) for key, item in value.items()}
    if kind is list or kind is tuple:
        return kind(map(as_exact_pickle, value))
    return as_value(value)


def as_json(value: Any, exact: bool) -> Any:
    """What ``json.loads`` finds in what a JSON consumer gets. Without ``exact`` two elements of a
    set, or two keys, may meet there as one text, as Decimal("1") and "1": neither gets lost.
    """
    if not exact and type(value) not in (dict, list, tuple, set, frozenset):
        value = as_pickle(value)
    kind = type(value)
    text = library_text(value)
    if is_array(value):
        data = b64encode(value.tobytes()).decode()
        parts = {"dtype": value.dtype.str, "shape": list(value.shape), "data": data}
        return {"$ndarray": parts}
    if kind is complex:
        return {"$complex": [as_json(value.real, exact), as_json(value.imag, exact)]}
    if text is not None:
        return {f"${text[0]}": text[1]}
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
            names = [next(iter(json.loads(json.dumps({as_pickle(name): 0})))) for name in names]
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
    if kind == "ndarray":
        return array_of(element.attrib["dtype"], element.attrib["shape"].split(" "), text)
    if kind == "float":
        words = {"NaN": "nan", "INF": "inf", "-INF": "-inf"}
        number = float(words.get(text, text))
        assert text in words or text == repr(number), f"{text} is not {number!r}"
        return number
    if kind in _LIBRARY:
        value = _LIBRARY[kind](text)
        assert library_text(value) == (kind, text)
        return value
    if kind == "int":
        return int(text)
    if kind == "bool":
        return {"true": True, "false": False}[text]
    assert (kind, text) == ("null", "")
    return None


def array_of(dtype: str, shape: list[str], data: str) -> Any:
    """The array of these parts, spelled as the broker spells them."""
    import numpy

    dimensions = [int(dimension) for dimension in shape if shape != [""]]
    assert [str(dimension) for dimension in dimensions] == shape or shape == [""]
    assert numpy.dtype(dtype).str == dtype
    raw = bytearray(b64decode(data, validate=True))
    found = numpy.ndarray(dimensions, dtype, raw)
    assert found.nbytes == len(raw)
    return found


def _moment(kind: type[Any], text: str) -> Any:
    """A datetime or time in its zone: by trying what has this text."""
    written, *brackets = text.split("[")
    value = kind.fromisoformat(written)
    named: list[tzinfo] = [ZoneInfo(part[:-1]) for part in brackets if part != "_fold=1]"]
    tiny = re.search(r"([+-])00:00:00(\.[0-9]{6})$", written)
    if tiny is not None:  # CPython reads no offset of less than a second.
        named.append(timezone(timedelta(seconds=float(tiny[1] + tiny[2]))))
    found = [value.replace(tzinfo=[value.tzinfo, *named][-1], fold=fold) for fold in (0, 1)]
    return next(value for value in found if library_text(value) == (kind.__name__, text))


def _timedelta(text: str) -> timedelta:
    units = {"D": "days", "H": "hours", "M": "minutes", "S": "seconds"}
    found = dict.fromkeys(units.values(), Decimal(0))
    for number, unit in re.findall("([0-9.]+)([DHMS])", text):
        found[units[unit]] = Decimal(number)
    microseconds = int(found.pop("seconds") * 10**6)
    sign = -1 if text.startswith("-") else 1
    return sign * timedelta(
        microseconds=microseconds, **{unit: int(number) for unit, number in found.items()}
    )


_LIBRARY: dict[str, Any] = {
    "datetime": lambda text: _moment(datetime, text),
    "date": date.fromisoformat,
    "time": lambda text: _moment(time, text),
    "timedelta": _timedelta,
    "decimal": Decimal,
    "uuid": UUID,
    "fraction": Fraction,
    "complex": complex,
}


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
    text = library_text(value)
    if text is not None:
        element.set("type", text[0])
        element.text = text[1]
    elif is_array(value):
        element.set("dtype", value.dtype.str)
        element.set("shape", " ".join(map(str, value.shape)))
        element.text = b64encode(value.tobytes()).decode()
    elif value is None:
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
