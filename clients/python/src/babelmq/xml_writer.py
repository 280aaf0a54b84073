"""Values to XML: the key is the element's name and ``type`` says the type, a habit of dicttoxml."""

from __future__ import annotations

import re
from base64 import b64encode
from typing import Any, Callable

from . import ndarray, plain_data, scalar_types

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
_is_unusual = _UNUSUAL.search
_UNUSUAL_BYTES = bytes(byte for byte in range(128) if _UNUSUAL.search(chr(byte)))
_LONG = 40
"""Characters of a text that are searched as they are."""
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
_MOST_TAGS = 1024
"""Keys of which the tags are remembered."""


def element(
    value: Any,
    name: str = "message",
    default: Callable[[Any], Any] | None = None,
    before: str = "",
    after: str = "",
) -> bytes:
    """``value`` as one element, between ``before`` and ``after``; ``default`` makes plain data of
    other objects.

    >>> element({"t": 21.5, "2nd key": None, "raw": b"\\x00"}).decode()
    '<message type="dict"><t type="float">21.5</t><item key="2nd key" type="null"/>\
<raw type="bytes">AA==</raw></message>'
    """
    out = [before]
    start, end = f'<{name} type="', f"</{name}>"
    try:
        _write(out, start, end, value, 0)
        out.append(after)
        return "".join(out).encode()
    except (TypeError, ValueError):
        value = plain_data.plain(value, default)
    out = [before]
    _write(out, start, end, value, 0)
    out.append(after)
    return "".join(out).encode()


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


# --- elements -------------------------------------------------------------------------------------

# Each gets what opens the element, up to the quote before its type, and what closes it.


def _str(start: str, value: str, end: str) -> str:
    if value.isascii():
        data = value.encode()
        # Several times as fast as a search, where the text is long.
        usual = len(data.translate(None, _UNUSUAL_BYTES)) == len(data)
    else:
        usual = not _is_unusual(value)
    if usual:
        return f'{start}str">{value}{end}'
    if not _FORBIDDEN.search(value):
        return f'{start}str">{value.translate(_IN_TEXT)}{end}'
    return f'{start}str" encoding="base64">{b64encode(value.encode()).decode()}{end}'


def _float(start: str, value: float, end: str) -> str:
    if value - value == 0:
        return f'{start}float">{value!r}{end}'
    word = "NaN" if value != value else "INF" if value > 0 else "-INF"
    return f'{start}float">{word}{end}'


def _int(start: str, value: int, end: str) -> str:
    return f'{start}int">{value}{end}'


def _bool(start: str, value: bool, end: str) -> str:
    return f'{start}bool">{"true" if value else "false"}{end}'


def _null(start: str, _value: None, _end: str) -> str:
    return f'{start}null"/>'


def _bytes(start: str, value: bytes | bytearray, end: str) -> str:
    return f'{start}bytes">{b64encode(value).decode()}{end}'


def _writer(row: scalar_types.ScalarType) -> Callable[[str, Any, str], str]:
    """What writes a type of the standard library: nothing in its texts is markup."""
    name, write = row.name, row.write
    return lambda start, value, end: f'{start}{name}">{write(value)}{end}'


_SCALARS: dict[type, Callable[[str, Any, str], str]] = {
    str: _str,
    float: _float,
    int: _int,
    bool: _bool,
    type(None): _null,
    bytes: _bytes,
    bytearray: _bytes,
    **{row.kind: _writer(row) for row in scalar_types.TYPES},
}
_SEQUENCES = frozenset({list, tuple, set, frozenset})


def _write(out: list[str], start: str, end: str, value: Any, depth: int) -> None:
    """Adds the pieces of an element to ``out``."""
    kind = type(value)
    scalar = _SCALARS.get(kind)
    if scalar is not None:
        out.append(scalar(start, value, end))
        return
    depth += 1
    if depth > plain_data.MAX_DEPTH:
        raise ValueError("too deep")
    if kind is dict:
        if _ONLY_STR.issuperset(map(type, value)):
            out.append(f'{start}dict">')
            _write_fields(out, value, depth)
        else:
            out.append(f'{start}map">')
            for key, item in value.items():
                out.append("<entry>")
                _write(out, '<key type="', "</key>", key, depth)
                _write(out, '<value type="', "</value>", item, depth)
                out.append("</entry>")
    elif kind in _SEQUENCES:
        out.append(f'{start}{kind.__name__}">')
        for item in value:
            scalar = _SCALARS.get(type(item))
            if scalar is not None:
                out.append(scalar('<item type="', item, "</item>"))
            else:
                _write(out, '<item type="', "</item>", item, depth)
    elif ndarray.is_array(value):
        array = ndarray.parts(value)
        shape = " ".join(map(str, array.shape))
        out.append(f'{start}ndarray" dtype="{attribute(array.dtype)}" shape="{shape}">')
        out.append(b64encode(array.data).decode())
    else:
        raise TypeError(kind)
    out.append(end)


def _write_fields(out: list[str], value: dict[str, Any], depth: int) -> None:
    """Adds the children of a dict. The usual scalars are written here, without a call for each:
    this is what a push costs.
    """
    add, tags, is_unusual = out.append, _tags, _is_unusual
    for key, item in value.items():
        start, end = tags[key]
        kind = type(item)
        if kind is str:
            if len(item) > _LONG or is_unusual(item):
                add(_str(start, item, end))
            else:
                add(f'{start}str">{item}{end}')
        elif kind is int:
            add(f'{start}int">{item}{end}')
        elif kind is float and item - item == 0:
            add(f'{start}float">{item!r}{end}')
        elif item is None:
            add(f'{start}null"/>')
        elif kind is bool:
            add(f'{start}bool">true{end}' if item else f'{start}bool">false{end}')
        else:
            _write(out, start, end, item, depth)


class _Tags(dict[str, tuple[str, str]]):
    """What opens and what closes the child that holds a key, once it was asked for."""

    def __missing__(self, key: str) -> tuple[str, str]:
        if len(self) >= _MOST_TAGS:
            self.clear()
        if _NAME.fullmatch(key):
            made = f'<{key} type="', f"</{key}>"
        elif _FORBIDDEN.search(key):
            encoded = b64encode(key.encode()).decode()
            made = f'<item key="{encoded}" key-encoding="base64" type="', "</item>"
        else:
            made = f'<item key="{attribute(key)}" type="', "</item>"
        self[key] = made
        return made


_tags = _Tags()
