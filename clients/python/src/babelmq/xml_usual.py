"""The usual message in XML, read without a call of Python for each tag.

What the broker writes is spelled in one way, which a regular expression takes apart. Anything else,
and whatever is wrong, is left to :mod:`babelmq.xml_reader`: the value is the same, or there is
none.
"""

from __future__ import annotations

import re
from typing import Any, Callable, Optional

from . import scalar_types

ReadScalar = Callable[[str, Optional[str]], Any]
"""Reads a text, with the ``encoding`` of its element."""

_NO_TEXT = "\x00-\x08\x0b-\x1f\ufffe\uffff"
_ATTRIBUTE = f'"([^"<&\t\n{_NO_TEXT}]*)"'
_HEAD = re.compile(
    f'<frame command="publish" topic={_ATTRIBUTE}( retained="true")?>(?=<message type=")'
)
_TAIL = "</frame>"
_NAME = "[A-Za-z_][A-Za-z0-9_.-]*"
_SCALAR = "|".join(["int|float|str|bool|null|bytes", *(row.name for row in scalar_types.TYPES)])
# A scalar; the beginning of a container; the end of one; the rest, where it is anything else.
_TOKEN = re.compile(
    f'<({_NAME})(?: key={_ATTRIBUTE})? type="(?:'
    f'({_SCALAR})"(?:/>|>([^<{_NO_TEXT}]*)</\\1>)'
    f'|(dict|list|tuple|set|frozenset)">)|</({_NAME})>|([\\s\\S]+)'
)
_MOST_OPEN = 128
_MAKERS: dict[str, Callable[[list[Any]], Any]] = {
    "tuple": tuple,
    "set": set,
    "frozenset": frozenset,
}
_REFERENCE = re.compile("&([^;]*;?)")
_REFERENCES = {"amp;": "&", "lt;": "<", "gt;": ">", "quot;": '"', "apos;": "'", "#13;": "\r"}


def read(body: bytes, scalars: dict[str, ReadScalar]) -> tuple[str, bool, Any] | None:
    """The topic, whether it is a stored value, and the value; ``None`` where it takes another
    reader, and so where it raises :class:`ValueError`, :class:`TypeError` or :class:`KeyError`.
    """
    text = body.decode()
    head = _HEAD.match(text)
    if head is None or "]]>" in text or not text.endswith(_TAIL):
        return None
    # What is open around the innermost container; and its own tag, key, type and content.
    outer: list[tuple[str, str, str, Any]] = []
    opened = opened_key = kind = ""
    message: list[Any] = []
    inside: Any = message
    for tag, key, scalar, content, container, end, other in _TOKEN.findall(
        text, head.end(), len(text) - len(_TAIL)
    ):
        if scalar:
            if scalar != "str":
                value = scalars[scalar](content, None)
            elif "&" in content:
                value = _REFERENCE.sub(_referred, content)
            else:
                value = content
        elif container:
            if len(outer) == _MOST_OPEN:
                return None
            outer.append((opened, opened_key, kind, inside))
            opened, opened_key, kind = tag, key, container
            inside = {} if kind == "dict" else []
            continue
        elif other or end != opened:
            return None
        else:
            value = inside if kind == "dict" or kind == "list" else _MAKERS[kind](inside)
            tag, key = opened, opened_key
            opened, opened_key, kind, inside = outer.pop()
        if kind == "dict":
            if key or tag == "item":
                if not key or tag != "item":
                    return None
                tag = key
            inside[tag] = value
        else:
            inside.append(value)
    return (head[1], head[2] is not None, message[0]) if len(message) == 1 and not outer else None


def _referred(reference: re.Match[str]) -> str:
    return _REFERENCES[reference[1]]
