"""Plain data: the values that every format can carry, and what to do with others."""

from __future__ import annotations

import datetime
import sys
from collections import Counter, OrderedDict, defaultdict, deque
from decimal import Decimal
from fractions import Fraction
from typing import Any, Callable
from uuid import UUID

from . import ndarray, scalar_types
from .errors import NotPlainData

MAX_DEPTH = 128
"""How deep containers may nest in a message: the broker's limit. A list of lists is 2 deep."""

MAX_INT_DIGITS = 4_300
"""Decimal digits in an int: the broker's limit, and CPython's own."""

SCALARS = scalar_types.KINDS | {type(None), bool, int, float, str, bytes, bytearray}
_SEQUENCES = frozenset({list, tuple, set, frozenset})
_CONTAINERS = _SEQUENCES | {dict}
_LARGEST_INT = 10**MAX_INT_DIGITS
_LONGEST_RANGE = 1 << 26
"""Items of a range that may become a list: more than a broker takes."""


def check(value: object) -> None:
    """Raises if ``value`` is not plain data through and through: nothing of it could be sent.

    Raises :class:`NotPlainData` for any other object, a class derived from a plain one included,
    and :class:`ValueError` for plain data that the broker would refuse: nested deeper than 128, a
    string with a lone surrogate, an int of more than 4,300 digits.

    >>> check({"temperature": [21.5, None]})
    >>> check({"seen": [memoryview(b"x")]})
    Traceback (most recent call last):
        ...
    babelmq.errors.NotPlainData: value['seen'][0] is a memoryview, which is not plain data \
and cannot be pushed: push bytes() of it
    """
    plain(value, None)


def plain(
    value: Any,
    default: Callable[[Any], Any] | None,
    *,
    derived: bool = False,
    pickled: bool = False,
) -> Any:
    """``value`` as plain data; raises as :func:`check` does where it cannot be.

    A ``deque`` and a ``range`` become lists, the dicts of :mod:`collections` dicts, the paths of
    :mod:`pathlib` strings; a scalar of numpy what its ``item()`` is, a ``Timestamp`` and a
    ``Timedelta`` of pandas what its ``to_pydatetime()`` and ``to_pytimedelta()`` are, which have no
    nanoseconds. Arrays of numpy stay what they are; what is to be ``pickled`` has no ``NDArray``.
    ``default`` makes plain data of other objects, or what becomes plain by the same rules; with
    ``derived``, objects of derived classes count as what their class is derived from, as they do
    for ``json.dumps``.

    >>> import collections, ipaddress
    >>> plain({"host": ipaddress.ip_address("::1"), "last": collections.deque([1, 2])}, str)
    {'host': '::1', 'last': [1, 2]}
    >>> class Rows(list):
    ...     pass
    >>> plain(Rows([1]), None, derived=True)
    [1]
    """
    return _Maker(default, _BASES if derived else (), pickled).plain(value, "value", 0)


_BASES: tuple[type, ...] = (str, int, float, dict, list, tuple)


class _Maker:
    """Makes plain data."""

    __slots__ = ("bases", "default", "pickled")

    def __init__(
        self, default: Callable[[Any], Any] | None, bases: tuple[type, ...], pickled: bool
    ) -> None:
        self.default = default
        self.bases = bases
        self.pickled = pickled

    def plain(self, value: Any, path: str, depth: int, *, hashed: bool = False) -> Any:
        """``value`` as plain data, which has to be hashable if it is ``hashed``: in a key or in an
        element of a set.
        """
        kind = type(value)
        if kind not in SCALARS and kind not in _CONTAINERS:
            value = self._known(value, path, hashed)
            kind = type(value)
        if kind in SCALARS:
            if scalar_types.has_a_word(getattr(value, "tzinfo", None)):
                return _checked(value, path)
        elif kind in _CONTAINERS:
            if depth == MAX_DEPTH:
                raise _too_deep(path)
            if kind is dict:
                return self._dict(value, path, depth + 1, hashed)
            return self._sequence(value, path, depth + 1, hashed)
        elif not hashed and self._is_array(value):
            return value
        if self.default is None:
            raise _refusal(value, path)
        if depth == MAX_DEPTH:
            raise _too_deep(path)
        return self.plain(self.default(value), path, depth + 1, hashed=hashed)

    def _is_array(self, value: Any) -> bool:
        # A pickle of an array names numpy, and a pickler names only what is installed.
        return ndarray.is_array(value) and not (self.pickled and type(value) is ndarray.NDArray)

    def _known(self, value: Any, path: str, hashed: bool) -> Any:
        """What a value of a class that is not plain stands for; the value itself if nothing."""
        kind = type(value)
        if kind is range:
            # As a list it could not be a key.
            return value if hashed else _list_of(value, path)
        make = _MADE.get(kind)
        if make is not None:
            return make(value)
        if kind.__module__.partition(".")[0] in _ELSEWHERE:
            value = _from_elsewhere(value)
            if type(value) is not kind:
                return value
        for base in self.bases:
            if isinstance(value, base):
                # As the base has it: a class derived from str or int may have a word of its own for
                # str() or int().
                return getattr(base, _TO_BASE[base])(value) if base in _TO_BASE else base(value)
        return value

    def _dict(self, value: Any, path: str, depth: int, hashed: bool) -> dict[Any, Any]:
        made = {
            self.plain(key, f"{path} key {_shown(key)}", depth, hashed=True): self.plain(
                item, f"{path}[{_shown(key)}]", depth, hashed=hashed
            )
            for key, item in value.items()
        }
        if len(made) != len(value) and self.default is None:
            raise ValueError(f"two keys of {path} become one, as a path and its text do")
        return made

    def _sequence(self, value: Any, path: str, depth: int, hashed: bool) -> Any:
        kind = type(value)
        if kind is list or kind is tuple:
            return kind(
                self.plain(item, f"{path}[{index}]", depth, hashed=hashed)
                for index, item in enumerate(value)
            )
        return kind(
            self.plain(item, f"{path} element {_shown(item)}", depth, hashed=True) for item in value
        )


_TO_BASE = {str: "__str__", int: "__int__", float: "__float__"}
_MADE: dict[type, Callable[[Any], Any]] = {
    deque: list,
    OrderedDict: dict,
    defaultdict: dict,
    Counter: dict,
}
_PATHS = ("PosixPath", "PurePosixPath", "WindowsPath", "PureWindowsPath")
_ELSEWHERE = ("pathlib", "numpy", "pandas")


def _from_elsewhere(value: Any) -> Any:
    """What objects of modules become that are not imported here."""
    kind = type(value)
    if kind.__name__ in _PATHS:
        return str(value)
    if kind.__name__ == "Timestamp":
        return value.to_pydatetime(warn=False)
    if kind.__name__ == "Timedelta":
        return value.to_pytimedelta()
    numpy: Any = sys.modules.get("numpy")
    if kind.__module__ == "numpy" and kind is numpy.memmap:
        return numpy.asarray(value)
    if kind.__module__ != "numpy" or not isinstance(value, numpy.generic):
        return value
    # Records have fields, and a longdouble is its own item().
    return value if isinstance(value, numpy.void) else value.item()


def _list_of(value: range, path: str) -> list[int]:
    if value[_LONGEST_RANGE:]:
        raise ValueError(f"{path} is a range of more than {_LONGEST_RANGE:,} items")
    return list(value)


def _too_deep(path: str) -> ValueError:
    return ValueError(
        f"the value nests deeper than {MAX_DEPTH}, or contains itself: {path[:60]}... "
        "cannot be pushed"
    )


def _refusal(value: Any, path: str) -> NotPlainData:
    if type(value) is datetime.datetime:
        advice = "push the datetime's astimezone(datetime.timezone.utc)"
        return NotPlainData(type(value.tzinfo), f"{path}.tzinfo", advice)
    if type(value) is datetime.time:
        advice = "push the time's replace(tzinfo=None)"
        return NotPlainData(type(value.tzinfo), f"{path}.tzinfo", advice)
    return NotPlainData(type(value), path, _advice(value))


def _checked(value: Any, path: str) -> Any:
    """A scalar, if it is one that the broker takes."""
    kind = type(value)
    if kind is str:
        if not value.isascii():
            check_text(value, path)
    elif kind is int:
        _check_int(value, path, "an int")
    elif kind is Decimal:
        if len(value.as_tuple().digits) > MAX_INT_DIGITS:
            raise _too_long(path, "a Decimal")
    elif kind is Fraction:
        # They may be integers of numpy.
        above, below = int(value.numerator), int(value.denominator)
        _check_int(above, path, "a Fraction")
        _check_int(below, path, "a Fraction")
        return Fraction(above, below)
    return value


def _check_int(value: int, path: str, what: str) -> None:
    if not -_LARGEST_INT < value < _LARGEST_INT:
        raise _too_long(path, what)


def _too_long(path: str, what: str) -> ValueError:
    return ValueError(f"{path} is {what} of more than {MAX_INT_DIGITS} digits, the broker's limit")


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
    if hasattr(kind, "__members__"):
        return "push its .value or its .name"
    if kind is range:
        return "push tuple() of it"
    # Of classes derived from those that can be pushed.
    if isinstance(value, datetime.timedelta):
        return "push its total_seconds()"
    if isinstance(value, (datetime.date, datetime.time)):
        return "push its isoformat()"
    for number in (Decimal, Fraction, complex):
        if isinstance(value, number):
            return f"push {number.__name__}() of it"
    if kind.__name__ in ("longdouble", "float128", "float96"):
        return "push float() of it"
    if kind.__name__ in ("clongdouble", "complex256", "complex192"):
        return "push complex() of it"
    if (
        isinstance(value, (UUID, datetime.tzinfo))
        or hasattr(value, "__fspath__")
        or module == "ipaddress"
        or kind.__name__ in ("Period", "Interval")
    ):
        return "push str() of it"
    if kind is ndarray.NDArray:
        return "push it on a JSONQueue or an XMLQueue, or as an array where numpy is installed"
    array: Any = getattr(sys.modules.get("numpy"), "ndarray", ())
    if isinstance(value, array):
        return _advice_on_array(value, kind is array)
    if module == "pandas" and kind.__name__ == "DataFrame":
        return 'push its to_dict("records")'
    if module == "pandas" and hasattr(value, "to_numpy"):
        return "push its tolist(), or its to_numpy()"
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
    return "push its data as a dict, a list, a string or numbers"


def _advice_on_array(value: Any, is_itself: bool) -> str:
    """The same of an array of numpy."""
    if not is_itself:
        # A masked array has None there, where others have the value that is masked.
        other = "its filled()" if hasattr(value, "filled") else "numpy.asarray() of it"
        return f"push its tolist(), or {other}"
    if value.dtype.kind in "fc":
        return f'push its astype("{"f8" if value.dtype.kind == "f" else "c16"}")'
    return "push its tolist(), or its astype() of a dtype that every format carries"
