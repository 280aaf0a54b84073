"""Plain data: the values that every format can carry, and what to do with others."""

from __future__ import annotations

from typing import Any

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

    Raises :class:`NotPlainData` for any other object, a class derived from a plain one included, and
    :class:`ValueError` for plain data that the broker would refuse: nested deeper than 128, a string with a lone
    surrogate, an int of more than 4,300 digits.

    >>> check({"temperature": [21.5, None]})
    >>> import datetime
    >>> check({"when": [datetime.date(2024, 2, 29)]})
    Traceback (most recent call last):
        ...
    babelmq.errors.NotPlainData: value['when'][0] is a datetime.date, which is not plain data and cannot be \
pushed: push its isoformat()
    """
    _check(value, "value", 0)


def _check(value: object, path: str, depth: int) -> None:
    kind = type(value)
    if kind in SCALARS:
        _check_scalar(value, path)
        return
    if kind is not dict and kind not in _SEQUENCES:
        raise NotPlainData(kind, path, _advice(value))
    if depth == MAX_DEPTH:
        raise ValueError(
            f"the value nests deeper than {MAX_DEPTH}, or contains itself: {path[:60]}... cannot be pushed"
        )
    if isinstance(value, dict):
        for key, item in value.items():
            _check(key, f"{path} key {_shown(key)}", depth + 1)
            _check(item, f"{path}[{_shown(key)}]", depth + 1)
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            _check(item, f"{path}[{index}]", depth + 1)
    elif isinstance(value, (set, frozenset)):
        for item in value:
            _check(item, f"{path} element {_shown(item)}", depth + 1)


def _check_scalar(value: object, path: str) -> None:
    if isinstance(value, str):
        if not value.isascii():
            check_text(value, path)
    elif isinstance(value, int) and not -_LARGEST_INT < value < _LARGEST_INT:
        raise ValueError(f"{path} is an int of more than {MAX_INT_DIGITS} digits, the broker's limit")


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
    """What to push instead. Goes by what the object offers, to import nothing on behalf of an error."""
    kind = type(value)
    module = kind.__module__.partition(".")[0]
    if isinstance(value, type) or kind.__name__ in ("function", "builtin_function_or_method", "method"):
        return "push its name"
    if module == "datetime":
        return "push its total_seconds()" if kind.__name__ == "timedelta" else "push its isoformat()"
    if module in ("decimal", "uuid", "fractions", "pathlib", "ipaddress"):
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
    for plain in (dict, list, tuple, set, frozenset, str, bytes, bytearray, int, float):
        if isinstance(value, plain):
            return f"push {plain.__name__}() of it"
    if kind.__name__ in ("memoryview", "array", "PickleBuffer"):
        return "push bytes() of it"
    if hasattr(value, "__next__") or hasattr(value, "__iter__"):
        return "push list() of it"
    return "push its data as a dict, a list, a string or numbers"
