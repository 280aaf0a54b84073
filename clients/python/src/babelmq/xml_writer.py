"""Values to XML: the key is the element's name and ``type`` says the type, a habit of dicttoxml."""

from __future__ import annotations

import re
from base64 import b64encode
from functools import lru_cache
from typing import Any, Callable

from . import plain_data

# Letters that every edition of XML 1.0 takes in a name, and so every parser; the broker writes them
# as names too.
_LETTERS = (
    "A-Z_a-z\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u0131\u0134-\u013e\u0141-\u0148\u014a-\u017e\u0388-\u038a\u038e-\u03a1"
    "\u03a3-\u03ce\u0401-\u040c\u040e-\u044f\u0451-\u045c\u045e-\u0481\u05d0-\u05ea\u0621-\u063a\u0641-\u064a"
    "\u0905-\u0939\u0e01-\u0e2e\u3041-\u3094\u30a1-\u30fa\u4e00-\u9fa5\uac00-\ud7a3"
)
_NAME = re.compile(f"(?!item\\Z)(?![xX][mM][lL])[{_LETTERS}][{_LETTERS}0-9.-]*")
# Also what XML 1.0 would allow, but a parser would not give back: \r is read as \n.
_UNUSUAL = re.compile("[&<>\r\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
_IN_TEXT = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", "\r": "&#13;"})
_IN_ATTRIBUTE = str.maketrans(
    {
        "&": "&amp;",
        "<": "&lt;",
        ">": "&gt;",
        '"': "&quot;",
        "\t": "&#9;",
        "\n": "&#10;",
        "\r": "&#13;",
    }
)
_ONLY_STR = frozenset({str})


def element(
    value: Any, name: str = "message", default: Callable[[Any], Any] | None = None
) -> bytes:
    """``value`` as one element; ``default`` makes plain data of other objects.

    >>> element({"t": 21.5, "2nd key": None, "raw": b"\\x00"}).decode()
    '<message type="dict"><t type="float">21.5</t><item key="2nd key" type="null"/>\
<raw type="bytes">AA==</raw></message>'
    """
    out: list[str] = []
    try:
        _write(out.append, f"<{name}", f"</{name}>", value, 0)
        return "".join(out).encode()
    except (TypeError, ValueError):
        value = plain_data.plain(value, default)
        if default is None:
            raise
    return element(value, name)


def attributes(fields: dict[str, Any]) -> str:
    """Fields as attributes, each with a space before it; booleans as ``true`` and ``false``.

    >>> attributes({"topic": "/a&b", "exact": True})
    ' topic="/a&amp;b" exact="true"'
    """
    return "".join(
        f' {name}="{attribute(str(field).lower() if isinstance(field, bool) else str(field))}"'
        for name, field in fields.items()
    )


def attribute(text: str) -> str:
    """``text`` as it stands between the quotes of an attribute. Raises :class:`ValueError` where it
    cannot.
    """
    if _FORBIDDEN.search(text):
        raise ValueError(f"{text!r:.60} holds a character that XML 1.0 cannot carry")
    return text.translate(_IN_ATTRIBUTE)


def _write(out: Any, start: str, end: str, value: Any, depth: int) -> None:
    """Passes the pieces of the element between ``start`` and ``end`` to ``out``; ``start`` lacks
    its ``>``.
    """
    kind = type(value)
    if kind is str:
        if not _UNUSUAL.search(value):
            out(f'{start} type="str">{value}{end}')
        elif not _FORBIDDEN.search(value):
            out(f'{start} type="str">{value.translate(_IN_TEXT)}{end}')
        else:
            out(f'{start} type="str" encoding="base64">{b64encode(value.encode()).decode()}{end}')
    elif kind is float:
        out(f'{start} type="float">{_float(value)}{end}')
    elif kind is int:
        out(f'{start} type="int">{value}{end}')
    elif kind is bool:
        out(f'{start} type="bool">{"true" if value else "false"}{end}')
    elif value is None:
        out(f'{start} type="null"/>')
    elif kind is bytes or kind is bytearray:
        out(f'{start} type="bytes">{b64encode(value).decode()}{end}')
    else:
        depth += 1
        if depth > plain_data.MAX_DEPTH:
            raise ValueError("too deep")
        if kind is dict:
            _write_dict(out, start, end, value, depth)
        elif kind is list or kind is tuple or kind is set or kind is frozenset:
            out(f'{start} type="{kind.__name__}">')
            for item in value:
                _write(out, "<item", "</item>", item, depth)
            out(end)
        else:
            raise TypeError(kind)


def _write_dict(out: Any, start: str, end: str, value: dict[Any, Any], depth: int) -> None:
    if _ONLY_STR.issuperset(map(type, value)):
        out(f'{start} type="dict">')
        for key, item in value.items():
            key_start, key_end = _tags(key)
            _write(out, key_start, key_end, item, depth)
    else:
        out(f'{start} type="map">')
        for key, item in value.items():
            out("<entry>")
            _write(out, "<key", "</key>", key, depth)
            _write(out, "<value", "</value>", item, depth)
            out("</entry>")
    out(end)


@lru_cache(maxsize=1024)
def _tags(key: str) -> tuple[str, str]:
    """What opens and what closes the child that holds ``key``."""
    if _NAME.fullmatch(key):
        return f"<{key}", f"</{key}>"
    if _FORBIDDEN.search(key):
        return f'<item key="{b64encode(key.encode()).decode()}" key-encoding="base64"', "</item>"
    return f'<item key="{attribute(key)}"', "</item>"


def _float(value: float) -> str:
    if value - value == 0:
        return repr(value)
    return "NaN" if value != value else "INF" if value > 0 else "-INF"
