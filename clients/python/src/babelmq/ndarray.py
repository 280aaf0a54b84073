"""Arrays of numpy's, in each format as what they are. numpy is not needed, and is not imported
before an array comes.
"""

from __future__ import annotations

import importlib
import math
import re
import sys
from base64 import b64decode, b64encode
from functools import cache
from typing import Any

_KINDS = frozenset("biufcSUmM")
_DTYPE = re.compile(
    r"[<>|](?:b1|[iu][1248]|f[248]|c8|c16|[SU][0-9]{1,9}|[mM]8(?:\[[0-9]*[a-zA-Z]{1,2}\])?)"
)
# To numpy whatever is not 0 is true; others know 1 alone.
_TRUTH = bytes([0]) + bytes([1]) * 255


class NDArray:
    """An array where numpy is not installed, in its parts.

    ``dtype`` is what numpy's ``dtype.str`` says, ``shape`` a tuple of its dimensions and ``data``
    the bytes of its items in C order: ``numpy.frombuffer(data, dtype).reshape(shape)``. It can be
    pushed on a :class:`JSONQueue` and an :class:`XMLQueue`.

    >>> NDArray("<i2", (2,), b"\\x01\\x00\\xff\\xff")
    NDArray('<i2', (2,), b'\\x01\\x00\\xff\\xff')
    """

    __slots__ = ("data", "dtype", "shape")

    def __init__(self, dtype: str, shape: tuple[int, ...], data: bytes) -> None:
        self.dtype = dtype
        self.shape = shape
        self.data = data

    def __eq__(self, other: object) -> bool:
        if type(other) is not NDArray:
            return NotImplemented
        return (self.dtype, self.shape, self.data) == (other.dtype, other.shape, other.data)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"NDArray({self.dtype!r}, {self.shape!r}, {self.data!r})"


@cache
def numpy() -> Any:
    """The module, or ``None`` where it is not installed."""
    try:
        return importlib.import_module("numpy")
    except ImportError:
        return None


def is_array(value: Any) -> bool:
    """Whether ``value`` is an array that every format carries: not one of objects, of records, or
    of a derived class.
    """
    kind = type(value)
    if kind is NDArray:
        return True
    if kind.__module__ != "numpy" or kind.__name__ != "ndarray":
        return False
    dtype = value.dtype
    return dtype.kind in _KINDS and _DTYPE.fullmatch(dtype.str) is not None


def parts(value: Any) -> NDArray:
    """The parts of an array for which :func:`is_array` is true."""
    if type(value) is NDArray:
        return value
    data = value.tobytes()
    if value.dtype.kind == "b":
        data = data.translate(_TRUTH)
    return NDArray(value.dtype.str, value.shape, data)


def tag(value: Any) -> dict[str, Any]:
    """An array in words that JSON has."""
    array = parts(value)
    data = b64encode(array.data).decode()
    return {"$ndarray": {"dtype": array.dtype, "shape": list(array.shape), "data": data}}


def from_tag(content: Any) -> Any:
    """The array that was under a tag."""
    if type(content) is not dict or content.keys() != {"dtype", "shape", "data"}:
        raise ValueError("an array is a dtype, a shape and data")
    return of_base64(content["dtype"], content["shape"], content["data"])


def of_base64(dtype: Any, shape: Any, data: Any) -> Any:
    """The array of these parts, its data in base64. Raises :class:`ValueError` where they fit no
    array.
    """
    return make(dtype, shape, b64decode(data, validate=True))


def make(dtype: Any, shape: Any, data: Any) -> Any:
    """The array of these parts: numpy's, where that is installed. Raises :class:`ValueError` where
    they fit no array.
    """
    if type(dtype) is not str or _DTYPE.fullmatch(dtype) is None:
        raise ValueError(f"{dtype!r:.40} is no dtype of an array")
    if not all(type(dimension) is int and dimension >= 0 for dimension in shape):
        raise ValueError(f"{shape!r:.40} is no shape of an array")
    if type(data) is not bytes:
        raise ValueError(f"the data of an array are bytes, not a {type(data).__name__}")
    if dtype.endswith("b1"):
        data = data.translate(_TRUTH)
    if _length(dtype) * math.prod(shape) != len(data):
        raise ValueError(f"{len(data)} bytes of data, and its dtype and shape take others")
    found = numpy()
    if found is None:
        return NDArray(dtype, tuple(shape), data)
    try:
        kind = found.dtype(dtype)
        if not data:
            return found.zeros(shape, kind)
        # A copy, which can be written to.
        return found.frombuffer(data, kind).reshape(shape).copy()
    except (TypeError, MemoryError) as error:
        raise ValueError(f"the parts of an array do not fit: {error}") from error


def _length(dtype: str) -> int:
    """Bytes of an item."""
    length = int(dtype.partition("[")[0][2:])
    return length * 4 if dtype[1] == "U" else length


# --- in pickles -----------------------------------------------------------------------------------

# What the names in numpy stand for while a pickle is read. Nothing of a pickle is given to numpy's
# own __setstate__, which trusts it: a dtype with an alignment of 0 ends the process.


class Blank:
    """An array whose parts come later; :func:`settled` puts the array in its place."""

    __slots__ = ("parts",)

    # It is no key and no element of a set, as an array is not.
    __hash__ = None  # type: ignore[assignment]

    def __init__(self) -> None:
        self.parts: tuple[Any, Any, Any] | None = None

    def __setstate__(self, state: Any) -> None:
        version, shape, dtype, is_fortran, data = state
        if (
            (version, is_fortran) != (1, False)
            or type(dtype) is not Dtype
            or type(shape) is not tuple
        ):
            raise ValueError("an array has another state")
        self.parts = dtype.text, shape, data


class Dtype:
    """What ``numpy.dtype`` is in a pickle: enough for its ``str``."""

    __slots__ = ("code", "text")

    def __init__(self, code: Any, _align: Any, _copy: Any) -> None:
        self.code = code
        self.text = ""

    def __setstate__(self, state: Any) -> None:
        _, order, _, _, _, _, _, _, *more = state
        unit = ""
        if more:
            [(_, (name, count, _, _))] = more
            if name != b"generic":
                unit = f"[{'' if count == 1 else count}{name.decode()}]"
        self.text = f"{order}{self.code}{unit}"


def reconstruct(kind: Any, shape: Any, code: Any) -> Blank:
    """What ``numpy.core.multiarray._reconstruct`` is in a pickle."""
    if kind is not Blank or shape != (0,) or code != b"b":
        raise ValueError("an array is made of numpy.ndarray, (0,) and b'b'")
    return Blank()


def settled(value: Any) -> Any:
    """``value`` with arrays for what is blank."""
    return _settled(value, {})


def _settled(value: Any, seen: dict[int, tuple[Any, Any]]) -> Any:
    kind = type(value)
    if kind is Dtype:
        raise ValueError("a dtype outside of an array")
    if kind is not Blank and kind not in _CONTAINERS:
        return value
    if id(value) in seen:
        return seen[id(value)][1]
    made = value
    if kind is Blank:
        if value.parts is None:
            raise ValueError("an array without its state")
        made = make(*value.parts)
    elif kind is tuple:
        made = tuple([_settled(item, seen) for item in value])
    # What was looked at stays alive, so that nothing else gets its id.
    seen[id(value)] = value, made
    if kind is not Blank and kind is not tuple:
        for key, item in list(value.items() if kind is dict else enumerate(value)):
            if type(item) in _LOOKED_INTO:
                value[key] = _settled(item, seen)
    return made


_CONTAINERS = frozenset({list, tuple, dict})
_LOOKED_INTO = _CONTAINERS | {Blank, Dtype}


def is_part(obj: Any) -> bool:
    """Whether a pickler that writes an array may name or write ``obj`` for it."""
    found = sys.modules["numpy"]
    if obj is found.ndarray or obj is found.dtype or isinstance(obj, found.dtype):
        return True
    return getattr(obj, "__name__", "") in ("_reconstruct", "_frombuffer") and getattr(
        obj, "__module__", ""
    ).startswith("numpy")
