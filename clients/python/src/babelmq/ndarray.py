"""Arrays of numpy's, in each format as what they are. numpy is not needed, and is not imported
before an array comes.
"""

from __future__ import annotations

import importlib
import re
import sys
from base64 import b64decode, b64encode
from typing import Any

_KINDS = frozenset("biufcSUmM")
_DTYPE = re.compile(
    r"[<>|](?:b1|[iu][1248]|f[248]|c8|c16|[SU][0-9]{1,9}|[mM]8(?:\[[0-9]*[a-zA-Z]{1,2}\])?)"
)


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


def numpy() -> Any:
    """The module, or ``None`` where it is not installed."""
    found = sys.modules.get("numpy")
    if found is not None:
        return found
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
    return NDArray(value.dtype.str, value.shape, value.tobytes())


def tag(value: Any) -> dict[str, Any]:
    """An array in words that JSON has."""
    array = parts(value)
    data = b64encode(array.data).decode()
    return {"$ndarray": {"dtype": array.dtype, "shape": list(array.shape), "data": data}}


def from_tag(content: Any) -> Any:
    """The array that was under a tag."""
    if type(content) is not dict or content.keys() != {"dtype", "shape", "data"}:
        raise ValueError("an array is a dtype, a shape and data")
    return make(content["dtype"], content["shape"], content["data"])


def make(dtype: Any, shape: Any, data: Any) -> Any:
    """The array of these parts, its data in base64: numpy's, where that is installed. Raises
    :class:`ValueError` where they fit no array.
    """
    if type(dtype) is not str or _DTYPE.fullmatch(dtype) is None:
        raise ValueError(f"{dtype!r:.40} is no dtype of an array")
    if {type(dimension) for dimension in shape} - {int}:
        raise ValueError(f"{shape!r:.40} is no shape of an array")
    found = numpy()
    raw = b64decode(data, validate=True)
    if found is None:
        return NDArray(dtype, tuple(shape), raw)
    try:
        kind = found.dtype(dtype)
        if kind.itemsize == 0:
            return found.zeros(shape, kind)
        # A copy, which can be written to.
        return found.frombuffer(bytearray(raw), kind).reshape(shape)
    except (TypeError, MemoryError) as error:
        raise ValueError(f"the parts of an array do not fit: {error}") from error


# --- in pickles -----------------------------------------------------------------------------------


class _Dtype:
    """What ``numpy.dtype`` is where there is no numpy: enough for its ``str``."""

    def __init__(self, code: str, _align: bool = False, _copy: bool = True) -> None:
        self.code = code
        self.str = ""

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, order, *_ = state
        unit = ""
        if len(state) > 8:
            name, count, *_ = state[8][1]
            if name != b"generic":
                unit = f"[{'' if count == 1 else count}{name.decode()}]"
        self.str = f"{order}{self.code}{unit}"


class _Blank:
    """An array without its state, where there is no numpy."""

    __slots__ = ("data", "dtype", "shape")

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, self.shape, dtype, is_fortran, self.data = state
        if is_fortran:
            raise ValueError("an array in Fortran order")
        self.dtype = dtype.str
        self.__class__ = NDArray  # type: ignore[assignment]


def _reconstruct(kind: Any, shape: Any, code: Any) -> Any:
    found = numpy()
    expected = _Blank if found is None else found.ndarray
    if kind is not expected or shape != (0,) or code != b"b":
        raise ValueError("an array is made of numpy.ndarray, (0,) and b'b'")
    return _Blank() if found is None else found.ndarray((0,), "b")


def _dtype(code: Any, align: Any, copy: Any) -> Any:
    if type(code) is not str or _DTYPE.fullmatch(f"<{code}") is None:
        raise ValueError(f"{code!r:.40} is no dtype of an array")
    found = numpy()
    # A copy, for it is given its state.
    return _Dtype(code) if found is None else found.dtype(code, align=False, copy=True)


def named(name: str) -> Any:
    """What a pickle means by one of the names in numpy that arrays take."""
    if name == "ndarray":
        found = numpy()
        return _Blank if found is None else found.ndarray
    return _reconstruct if name == "_reconstruct" else _dtype


def is_part(obj: Any) -> bool:
    """Whether a pickler that writes an array may name or write ``obj`` for it."""
    found = sys.modules["numpy"]
    if obj is found.ndarray or obj is found.dtype or isinstance(obj, found.dtype):
        return True
    return getattr(obj, "__name__", "") in ("_reconstruct", "_frombuffer") and getattr(
        obj, "__module__", ""
    ).startswith("numpy")
