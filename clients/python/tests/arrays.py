"""Arrays of numpy for hypothesis to draw, and what "the same" means for them. Where numpy is not
installed, there are none.
"""

from __future__ import annotations

import random
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from hypothesis import strategies as st

numpy: Any = import_module("numpy") if find_spec("numpy") is not None else None

KINDS = ["?", *(f"{kind}{size}" for kind in "iu" for size in (1, 2, 4, 8)), "f2", "f4", "f8"]
KINDS += ["c8", "c16", "U0", "U1", "U5", "S0", "S1", "S5", "M8", "m8"]
UNITS = ["Y", "M", "W", "D", "h", "m", "s", "ms", "us", "ns", "ps"]
TIMES = [
    f"{kind}8[{multiple}{unit}]"
    for kind in "Mm"
    for unit in UNITS
    for multiple in ("", "", "2", "25", "1000")
]
NOT_A_TIME = -(2**63)
_MICROSECONDS = {"W": 604_800_000_000, "D": 86_400_000_000, "h": 3_600_000_000, "m": 60_000_000}
_FLOATS = [0.0, -0.0, 1.0, -2.5, 0.1, 65504.0, float("nan"), float("inf"), -float("inf"), 5e-324]
_CHARACTERS = 'aB\0\x01é\u2028\ufffe\uffff\U0001f600\r\n<&"] '
_INTEGERS = [0, 1, -1, 255, 2**31, 2**63 - 1, -(2**63)]
LAYOUTS = ["C", "F", "turned", "strided", "negative", "broadcast", "read-only"]


def furthest(kind: str) -> int:
    """How far a count of a unit may be from 0 for all versions of numpy to give the same for it."""
    multiple, unit = kind[3:-1].rstrip("YMWDhmsunp") or "1", kind[3:-1].lstrip("0123456789")
    limit = 2**62 // int(multiple)
    if numpy is not None and numpy.__version__.startswith("1."):
        # It does not look whether a count of a smaller unit overflows.
        limit //= _MICROSECONDS.get(unit, 1_000_000)
    return limit


def _items(kind: str, count: int, chance: random.Random) -> Any:
    """So many items, in one row."""
    dtype = numpy.dtype(kind)
    row = numpy.zeros(count, kind)
    if kind[0] in "Mm":
        limit = furthest(kind)
        near = min(limit, 10 ** chance.randrange(1, 19))
        counts = [
            chance.choice([NOT_A_TIME, 0, chance.randint(-near, near), limit - 1, -limit + 1])
            for _ in range(count)
        ]
        return numpy.array(counts, "i8").view(kind)
    if kind[0] == "S":
        row[:] = [chance.randbytes(chance.randint(0, 6)) for _ in range(count)]
    elif kind[0] == "U":
        row[:] = ["".join(chance.choices(_CHARACTERS, k=chance.randint(0, 6))) for _ in row]
    elif chance.random() < 0.3 and kind[0] in "fc":
        row[:] = [chance.choice(_FLOATS) for _ in range(count)]
        if kind[0] == "c":
            row.imag = [chance.choice(_FLOATS) for _ in range(count)]
    elif chance.random() < 0.3 and kind[0] in "iu":
        mask = 2 ** (8 * dtype.itemsize) - 1
        row[:] = numpy.array([chance.choice(_INTEGERS) & mask for _ in row], "u8").astype(kind)
    else:
        # Of bools too: whatever is not 0 is true.
        data = bytearray(chance.randbytes(count * dtype.itemsize))
        return numpy.frombuffer(data, dtype)
    return row


def laid_out(array: Any, layout: str, chance: random.Random) -> Any:
    """The array in another order in memory, or a part of it."""
    if layout == "F":
        return numpy.asfortranarray(array)
    if layout == "turned":
        return array.transpose(chance.sample(range(array.ndim), array.ndim))
    if layout == "strided" and array.ndim:
        return array[..., ::2]
    if layout == "negative" and array.ndim:
        return array[::-1]
    if layout == "broadcast":
        return numpy.broadcast_to(array, (chance.randint(0, 2), *array.shape))
    if layout == "read-only":
        array.flags.writeable = False
    return array


def made(seed: int) -> Any:
    """The array of that seed."""
    chance = random.Random(seed)
    kind = chance.choice(chance.choice([KINDS, KINDS, TIMES]))
    dimensions = chance.choice([0, 1, 1, 1, 2, 2, 3, 3, 4])
    # One in six is 0.
    shape = [chance.choice([0, 1, 2, 2, 3, 4]) for _ in range(dimensions)]
    count = 1
    for dimension in shape:
        count *= dimension
    array = _items(kind, count, chance).reshape(shape)
    if chance.random() < 0.4:
        array = array.astype(array.dtype.newbyteorder(">"))
    return laid_out(array, chance.choice(LAYOUTS), chance)


arrays: st.SearchStrategy[Any] = (
    st.nothing() if numpy is None else st.integers(0, 2**64 - 1).map(made)
)


def is_array(value: Any) -> bool:
    return numpy is not None and type(value) is numpy.ndarray


def spelled_array(value: Any) -> Any:
    """All that counts of an array: not its order in memory."""
    return "ndarray", value.dtype.str, value.shape, value.tobytes()


def canonical_array(value: Any) -> Any:
    """As a broker has it: of bools, what is not 0 is 1."""
    return numpy.array(value.tolist(), "?").reshape(value.shape) if value.dtype == "?" else value


def native(value: Any) -> Any:
    """As ``numpy.ndarray.__setstate__`` leaves it: in the order of bytes of this machine."""
    return value.astype(value.dtype.newbyteorder("="))
