"""Plain data: the values that every format can carry, and what to do with others."""

from __future__ import annotations

import datetime
from typing import Any, Callable

from .errors import NotPlainData

MAX_DEPTH = 128
"""How deep containers may nest in a message: the broker's limit. A list of lists is 2 deep."""

MAX_INT_DIGITS = 4_300
"""Decimal digits in an int: the broker's limit, and CPython's own."""

SCALARS = frozenset({type(None), bool, int, float, str, bytes, bytearray})
_SEQUENCES = frozenset({list, tuple, set, frozenset})
_LARGEST_INT = 10**MAX_INT_DIGITS


def check(value: object) -> None:
    """Raises if ``value`` is not plain data through and through: nothing of it could be sent.

    Raises :class:`NotPlainData` for any other object, a class derived from a plain one included,
    and :class:`ValueError` for plain data that the broker would refuse: nested deeper than 128, a
    string with a lone surrogate, an int of more than 4,300 digits.

    >>> check({"temperature": [21.5, None]})
    >>> import datetime
    >>> check({"when": [datetime.date(2024, 2, 29)]})
    Traceback (most recent call last):
        ...
    babelmq.errors.NotPlainData: value['when'][0] is a datetime.date, which is not plain data \
and cannot be pushed: push its isoformat()
    """
    plain(value, None)


def plain(value: Any, default: Callable[[Any], Any] | None, *, derived: bool = False) -> Any:
    """``value`` as plain data; raises as :func:`check` does where it cannot be. ``default`` makes
    plain data of other objects, or what becomes plain by the same rules; with ``derived``, objects
    of derived classes count as what their class is derived from, as they do for ``json.dumps``.

    >>> import collections, datetime
    >>> plain({"when": datetime.date(2024, 2, 29)}, str)
    {'when': '2024-02-29'}
    >>> plain(collections.OrderedDict(a=1), None, derived=True)
    {'a': 1}
    """
    return _plain(value, "value", 0, default, _BASES if derived else ())


_BASES: tuple[type, ...] = (str, int, float, dict, list, tuple)


def _plain(
    value: Any, path: str, depth: int, default: Callable[[Any], Any] | None, bases: tuple[type, ...]
) -> Any:
    kind = type(value)
    if kind not in SCALARS and kind is not dict and kind not in _SEQUENCES:
        for base in bases:
            if isinstance(value, base):
                kind = base
                # As the base has it: a class derived from str or int may have a word of its own for
                # str() or int().
                value = getattr(base, _TO_BASE[base])(value) if base in _TO_BASE else base(value)
                break
        else:
            if default is None:
                raise NotPlainData(kind, path, _advice(value))
            if depth == MAX_DEPTH:
                raise _too_deep(path)
            return _plain(default(value), path, depth + 1, default, bases)
    if kind in SCALARS:
        _check_scalar(value, path)
        return value
    if depth == MAX_DEPTH:
        raise _too_deep(path)
    depth += 1
    if kind is dict:
        return {
            _plain(key, f"{path} key {_shown(key)}", depth, default, bases): _plain(
                item, f"{path}[{_shown(key)}]", depth, default, bases
            )
            for key, item in value.items()
        }
    if kind is list or kind is tuple:
        return kind(
            _plain(item, f"{path}[{index}]", depth, default, bases)
            for index, item in enumerate(value)
        )
    return kind(
        _plain(item, f"{path} element {_shown(item)}", depth, default, bases) for item in value
    )


_TO_BASE = {str: "__str__", int: "__int__", float: "__float__"}


def _too_deep(path: str) -> ValueError:
    return ValueError(
        f"the value nests deeper than {MAX_DEPTH}, or contains itself: {path[:60]}... "
        "cannot be pushed"
    )


def _check_scalar(value: object, path: str) -> None:
    if isinstance(value, str):
        if not value.isascii():
            check_text(value, path)
    elif isinstance(value, int) and not -_LARGEST_INT < value < _LARGEST_INT:
        raise ValueError(
            f"{path} is an int of more than {MAX_INT_DIGITS} digits, the broker's limit"
        )


def check_text(text: str, path: str) -> None:
    """Raises :class:`ValueError` for a string that is not UTF-8: one with a lone surrogate."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(
            f"{path} holds a lone surrogate at index {error.start}, which no format can carry; "
            f"was it read from a file name or with errors='surrogateescape'? push it as bytes"
        ) from None


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."


def _advice(value: Any) -> str:
    """What to push instead. Goes by what the object offers, to import nothing on behalf of an
    error.
    """
    kind = type(value)
    module = kind.__module__.partition(".")[0]
    if isinstance(value, type) or kind.__name__ in (
        "function",
        "builtin_function_or_method",
        "method",
    ):
        return "push its __name__"
    if kind.__name__ in ("NaTType", "NAType"):
        return "push None"
    if kind.__name__ in ("memoryview", "PickleBuffer"):
        return "push bytes() of it"
    if isinstance(value, datetime.timedelta):
        return "push its total_seconds()"
    if isinstance(value, (datetime.date, datetime.time)):
        return "push its isoformat()"
    if module in ("decimal", "uuid", "fractions", "pathlib", "ipaddress") or kind.__name__ in (
        "datetime64",
        "timedelta64",
        "Period",
        "Interval",
    ):
        return "push str() of it"
    if hasattr(kind, "__members__"):
        return "push its .value or its .name"
    if hasattr(value, "tolist"):
        return "push its tolist()"
    if hasattr(value, "to_dict"):
        return "push its to_dict()"
    if hasattr(value, "_asdict"):
        return "push its _asdict(), or tuple() of it"
    if hasattr(kind, "__dataclass_fields__"):
        return "push dataclasses.asdict() of it"
    for base in (dict, list, tuple, set, frozenset, str, bytes, bytearray, int, float):
        if isinstance(value, base):
            return f"push {base.__name__}() of it"
    if hasattr(value, "__next__") or hasattr(value, "__iter__"):
        return "push list() of it"
    if isinstance(value, complex):
        return "push its .real and its .imag"
    return "push its data as a dict, a list, a string or numbers"
