#!/usr/bin/env python3
"""Prints pickles of types of the standard library and of numpy, in the format of pickle/shapes.txt.

    python3.13 crates/codec/tests/vectors/make_shapes.py > rows.txt

name, verdict, pickle in hex, exact JSON or "-", plain JSON or "-"; between them tabs. What is printed
depends on the Python that runs this, and on the numpy that it finds, and on nothing else: each shape at
each protocol, as the pickler in C writes it. No pickle is longer than 700 bytes.

shapes.txt was put together from CPython 3.8 to 3.14 and numpy 1.24 to 2.5, each installed beside the
others (`pip install --target DIR numpy==...`; CPython 3.14 as pyodide, run by node). Of the 65,000
pickles that they wrote at the protocols 0 to 5 with both picklers, 5,500 had bytes of their own; the
first and the last protocol of each shape were taken, and all six of the shapes that matter most, from
the newest version that writes it so and from each older one that writes it otherwise. Rows of pandas,
pytz, dateutil and of modules written in Python came from a machine that had these; they are not made
here. Rows of a shape that both have agree in all but the bytes.
"""

import array
import collections
import datetime as d
import enum
import functools
import ipaddress
import json
import math
import pathlib
import pickle
import re
import sys
import time
import types
import uuid
from base64 import b64encode
from decimal import Context, Decimal
from fractions import Fraction

try:
    import numpy as np
except ImportError:
    np = None
try:
    from zoneinfo import ZoneInfo
except ImportError:
    ZoneInfo = None

LONGEST = 700
UTC = d.timezone.utc
EXACT = "datetime date time timedelta zoneinfo decimal fraction uuid complex mix".split()


class Zone(d.tzinfo):
    """A time zone of somebody's own."""

    def utcoffset(self, when):
        return d.timedelta(hours=1)


class Plain:
    """An object of somebody's class."""


class Colour(enum.Enum):
    RED = 1


def factory():
    return 0


def hours(number, *name):
    return d.timezone(d.timedelta(hours=number), *name)


def with_attribute(value):
    value.attr = value
    return value


def standard():
    """Those of the standard library: type, name, value."""
    dt = d.datetime
    one, two = dt(2024, 1, 1), hours(2)
    yield "datetime", {
        "naive": dt(2024, 2, 29, 12, 34, 56, 789012), "min": dt.min, "max": dt.max,
        "fold": dt(2024, 10, 27, 2, 30, fold=1), "utc": dt(2024, 1, 2, 3, 4, 5, tzinfo=UTC),
        "utc_fold": dt(2024, 1, 2, 3, 4, 5, tzinfo=UTC, fold=1),
        "off": dt(2024, 1, 2, 3, 4, 5, 6, tzinfo=hours(5.5)),
        "offneg": dt(2024, 1, 2, 3, 4, 5, 6, tzinfo=hours(-5.5)),
        "offsub": dt(2024, 1, 2, tzinfo=d.timezone(d.timedelta(seconds=3, microseconds=7))),
        "offname": dt(2024, 1, 2, tzinfo=hours(1, "CET")), "ascii_state": dt(0x2020, 5, 5, 5, 5, 5),
        "two_same_tz": [dt(2024, 1, 1, tzinfo=two), dt(2024, 1, 2, tzinfo=two)],
        "two_utc": [dt(2024, 1, 1, tzinfo=UTC), dt(2024, 1, 2, tzinfo=UTC)],
        "same_twice": [one, one], "as_key": {one: 1}, "custom_tz": dt(2024, 1, 1, tzinfo=Zone()),
    }
    yield "date", {"date": d.date(2024, 2, 29), "min": d.date.min, "ascii": d.date(0x2020, 1, 2)}
    yield "time", {
        "naive": d.time(1, 2, 3, 4), "zero": d.time(), "fold": d.time(1, 2, 3, 4, fold=1),
        "utc": d.time(1, 2, tzinfo=UTC), "utcfold": d.time(23, 59, 59, 999999, tzinfo=UTC, fold=1),
    }
    yield "timedelta", {
        "pos": d.timedelta(1, 2, 3), "neg": -d.timedelta(0, 0, 1), "zero": d.timedelta(),
        "max": d.timedelta.max,
    }
    if ZoneInfo:
        berlin, tokyo = ZoneInfo("Europe/Berlin"), ZoneInfo("Asia/Tokyo")
        first = dt(2024, 1, 2, tzinfo=berlin)
        yield "zoneinfo", {
            "datetime": first, "datetime_fold": dt(2024, 10, 27, 2, 30, tzinfo=berlin, fold=1),
            "time": d.time(1, tzinfo=berlin), "two": [first, dt(2024, 1, 3, tzinfo=berlin)],
            "two_zones": [first, dt(2024, 1, 3, tzinfo=tokyo)],
        }
    numbers = "1.10 0 -0 -0.00 1E+5 1E-1000 NaN -NaN sNaN NaN123 -sNaN7 Infinity -Infinity"
    decimals = {text: Decimal(text) for text in numbers.split()}
    text, half = "1.5", Decimal("2.5")
    yield "decimal", {**decimals, "two_same": [half, half], "context": Context(prec=5)}
    yield "decimal", {"tuple": Decimal(text).as_tuple()}
    yield "mix", {"shared_args": [Decimal(text), text]}
    yield "fraction", {
        "third": Fraction(1, 3), "neg": Fraction(-7, 2), "int": Fraction(5),
        "big": Fraction(10**30, 7),
    }
    yield "complex", {
        "a": 1.5 + 2j, "negzero": complex(-0.0, -0.0), "nan": complex(math.nan, -math.inf),
    }
    safety = {f"is_{safe.name}": uuid.UUID(int=5, is_safe=safe) for safe in uuid.SafeUUID}
    yield "uuid", {
        "v4": uuid.UUID("12345678-1234-4678-9234-567812345678"), "zero": uuid.UUID(int=0),
        "max": uuid.UUID(int=2**128 - 1), "two": [uuid.UUID(int=1), uuid.UUID(int=2)],
        "key": {uuid.UUID(int=1): 1}, **safety,
    }
    yield "bytearray", {"a": bytearray(b"ab\xff"), "empty": bytearray()}
    yield "bytearray", {"nl": bytearray(b"a\n\\\0\x1a")}
    yield "bytes", {"a": b"ab\xff", "empty": b"", "ascii": b"ab"}
    yield "set", {"s": {1}}
    yield "frozenset", {"fs": frozenset([1])}
    yield "range", {"r": range(1, 10, 3), "stop": range(5), "neg": range(5, 0, -1)}
    yield "range", {"big": range(0, 2**70)}
    c = collections
    yield "deque", {"d": c.deque([1, 2]), "maxlen": c.deque([1, 2], 5)}
    yield "deque", {"empty": c.deque(), "emptymax": c.deque([], 0)}
    yield "ordereddict", {"od": c.OrderedDict(a=1, b=2), "empty": c.OrderedDict()}
    yield "ordereddict", {"attr": with_attribute(c.OrderedDict(a=1))}
    makers = [list, int, dict, set, str, float, tuple, frozenset, bool, bytes, bytearray, Decimal]
    makers += [c.Counter, c.OrderedDict, c.deque, c.defaultdict, factory]
    yield "defaultdict", {make.__name__: c.defaultdict(make, a=make()) for make in makers}
    yield "defaultdict", {
        "None": c.defaultdict(None, a=1), "empty": c.defaultdict(list),
        "nested": c.defaultdict(list, a=[1], b=c.defaultdict(int, c=1)),
        "partial": c.defaultdict(functools.partial(c.defaultdict, int)),
    }
    yield "counter", {"c": c.Counter("aab"), "empty": c.Counter()}
    posix, windows = pathlib.PurePosixPath, pathlib.PureWindowsPath
    for kind in (posix, pathlib.PosixPath, windows, pathlib.Path, pathlib.PurePath):
        texts = {"abs": ["/a/b c/d.txt"], "rel": ["a/b"], "dot": ["."], "empty": []}
        yield "path", {f"{kind.__name__}_{name}": kind(*text) for name, text in texts.items()}
    yield "path", {
        "root": posix("/"), "dblroot": posix("//a/b"), "twoargs": posix("a//./b", "../c/"),
        "win_drive": windows("C:\\x\\y"), "win_unc": windows("//srv/share/a"),
        "win_rel_drive": windows("C:x"), "two_share": [posix("a/b"), posix("a/c")],
        "abs_reset": posix("a", "/b"), "parent": posix("/a/b/c").parent,
        "nonascii": posix("\u00e9/\u4e2d"), "cwd_rel_to": posix("/a/b").relative_to("/a"),
        "joined": posix("/a") / "b" / "c",
    }
    for kind, value in {
        "array array": array.array("d", [1.0]), "builtin_fn len": len,
        "chainmap c": c.ChainMap({"a": 1}, {"b": 2}), "ellipsis e": ..., "enum class": Colour,
        "enum SafeUUID": uuid.SafeUUID.safe, "exc KeyError": KeyError("a"),
        "ipaddr v4": ipaddress.ip_address("1.2.3.4"), "notimpl n": NotImplemented,
        "object ValueError": ValueError("x"), "object plainobject": object(),
        "object self": with_attribute(Plain()), "partial p": functools.partial(int, "5", base=3),
        "re re": re.compile("a"), "simplens s": types.SimpleNamespace(a=1),
        "slice s": slice(1, None, 2), "structseq time": time.gmtime(0), "type int": int,
        "userdict u": c.UserDict(a=1), "userlist u": c.UserList([1]),
        "userstring u": c.UserString("x"),
    }.items():
        yield kind.split()[0], {kind.split()[1]: value}


def of_numpy():
    """The same of numpy."""
    units = "Y M W D h m s ms us ns ps".split()
    plain = "bool_ int8 int16 int32 int64 uint8 uint16 uint32 uint64 float16 float32 float64"
    names = [*plain.split(), *"longdouble complex64 complex128 clongdouble".split()]
    yield "npscalar", {name: getattr(np, name)(1) for name in names}
    yield "npscalar", {f"datetime64_{unit}": np.datetime64("2024-01-02", unit) for unit in units[:-1]}
    yield "npscalar", {f"timedelta64_{unit}": np.timedelta64(5, unit) for unit in units}
    one = np.float64(1)
    yield "npscalar", {
        "bool_False": np.bool_(False), "int64_neg": np.int64(-5),
        "uint64_max": np.uint64(2**64 - 1), "float64_nan": np.float64("nan"),
        "float32_1.1": np.float32(1.1), "str_": np.str_("h\u00e9\u4e2d"), "str_empty": np.str_(""),
        "str_trail0": np.str_("a\0"), "bytes_": np.bytes_(b"ab"), "void8": np.void(b"abc"),
        "void_struct": np.zeros(2, [("a", "i4"), ("b", "f8")])[0],
        "bigend_item": np.array([1, 2], ">i4")[0],
        "datetime64_25s": np.datetime64("2024-01-02", "25s"),
        "datetime64_NaT": np.datetime64("NaT"), "timedelta64_generic": np.timedelta64(5),
        "two_f8": [one, np.float64(2)], "same": [one, one],
        "in_dict": {"a": np.float64(1.5), np.int64(3): 1}, "np_type": np.float64,
    }
    yield "npdtype", {code: np.dtype(code) for code in ("<i4", ">f8", "U5", "<M8[25s]", "O", "V4")}
    codes = "? i1 u1 <i2 <i4 <i8 u8 <f2 <f4 <f8 g <c8 <c16 G >i4 >f8 >c16".split()
    yield "nparray", {f"1d_{code}": np.arange(3).astype(code) for code in codes}
    for kind in "Mm":
        counts = np.array([0, 1, -1], "i8")
        yield "nparray", {
            f"{kind}8_{unit}": counts.view(f"{kind}8[{unit}]") for unit in [*units, "25s"]
        }
    six, many = np.arange(6.0).reshape(2, 3), np.arange(24).reshape(2, 3, 4)
    same = np.arange(2.0)
    yield "nparray", {
        "0d": np.array(1.5), "0d_str": np.array("abc"), "empty1": np.zeros(0),
        "empty2": np.zeros((3, 0)), "empty3": np.zeros((0, 3), "i4"), "2d_C": six,
        "2d_F": np.asfortranarray(six), "2d_T": six.T, "3d_F": np.asfortranarray(many),
        "3d_transp": many.transpose(1, 0, 2), "strided": np.arange(10)[::2],
        "neg_stride": np.arange(4)[::-1], "noncontig2d": np.arange(12).reshape(3, 4)[:, 1:3],
        "bcast": np.broadcast_to(np.array([1, 2]), (3, 2)),
        "frombytes_ro": np.frombuffer(b"\1\2\3\4", "<i2"),
        "be_F": np.asfortranarray(six.astype(">f8")), "be_strided": np.arange(6).astype(">i4")[::2],
        "U": np.array(["ab", "h\u00e9", "\U0001f600"]), "U_be": np.array(["ab", "c"]).astype(">U2"),
        "S_nul": np.array([b"a\0b", b"\0"]), "V": np.array([b"abc"], "V3"),
        "M8_NaT": np.array(["NaT", "2024-01-02"], "M8[s]"), "M8_generic": np.array(["NaT"], "M8"),
        "m8_generic": np.array([1, 2], "m8"), "M8_be": np.array(["2024-01-02"], ">M8[D]"),
        "two": [np.arange(2.0), np.arange(3.0)], "two_same": [same, same],
        "in_dict": {"a": same, "b": np.float64(1)}, "nl": np.array([10, 92, 0, 26], "u1"),
        "struct": np.array([(1, 2.5)], [("a", "i4"), ("b", "f8")]),
        "object": np.array([1, "a", None, [2]], object), "matrix": np.ones((1, 2)).view(np.matrix),
        "masked": np.ma.array([1, 2], mask=[0, 1]),
        "recarray": np.rec.array([(1, 2.5)], [("a", "i4"), ("b", "f8")]),
        "meta": np.zeros(2, np.dtype("i4", metadata={"a": 1})),
    }


# --- what becomes of them -------------------------------------------------------------------------


def plain(value):
    """The value where types are lost; TypeError where it is refused."""
    kind = type(value)
    if np and isinstance(value, (np.generic, np.ndarray)):
        is_own = kind is np.ndarray or isinstance(value, np.generic)
        if not is_own or value.dtype.kind not in "biufcSUMm" or value.dtype.char in "gG":
            raise TypeError(kind)
        if value.dtype.metadata:
            raise TypeError(value.dtype)
        return plain(value.tolist())
    if kind in (d.datetime, d.date, d.time):
        if type(getattr(value, "tzinfo", None)) is Zone:
            raise TypeError(Zone)
        return value.isoformat()
    if kind is d.timedelta:
        return value.total_seconds()
    if kind in (Decimal, uuid.UUID, Fraction, complex) or isinstance(value, pathlib.PurePath):
        return str(value)
    if kind in (dict, collections.OrderedDict, collections.defaultdict, collections.Counter):
        make = getattr(value, "default_factory", None)
        if getattr(value, "attr", None) or make is factory or type(make) is functools.partial:
            raise TypeError(kind)
        return {plain(key): plain(item) for key, item in value.items()}
    if kind is range and value.stop > 5000:
        raise TypeError(kind)
    if kind in (list, range, collections.deque):
        return [plain(item) for item in value]
    if kind in (tuple, set, frozenset):
        return kind(plain(item) for item in value)
    if kind in (int, float, str, bytes, bool, type(None)):
        return value
    return bytes(value) if kind is bytearray else refuse(kind)


def refuse(kind):
    raise TypeError(kind)


def text(value):
    """The canonical text of a datetime, a time or a timedelta."""
    if type(value) is d.timedelta:
        sign, left = ("-", -value) if value < d.timedelta(0) else ("", value)
        minutes, seconds = divmod(left.seconds, 60)
        exact = f"{seconds}.{left.microseconds:06}".rstrip("0").rstrip(".")
        parts = [(minutes // 60, "H"), (minutes % 60, "M"), (exact if exact != "0" else 0, "S")]
        clock = "".join(f"{number}{unit}" for number, unit in parts if number)
        days = f"{left.days}D" if left.days else "" if clock else "T0S"
        return f"{sign}P{days}{'T' + clock if clock else ''}"
    zone = f"[{value.tzinfo.key}]" if ZoneInfo and type(value.tzinfo) is ZoneInfo else ""
    offsets = {value.replace(fold=fold).utcoffset() for fold in (0, 1)}
    return value.isoformat() + zone + ("[_fold=1]" if value.fold and len(offsets) == 1 else "")


def tagged(value):
    """The value in words that JSON has."""
    kind = type(value)
    if kind is float and value - value != 0:
        return {"$float": repr(value)}
    if kind is int and not -(2**63) <= value < 2**63:
        return {"$int": str(value)}
    if kind is bytes:
        return {"$bytes": b64encode(value).decode()}
    if kind in (d.datetime, d.time, d.timedelta):
        return {f"${kind.__name__}": text(value)}
    if kind is complex:
        return {"$complex": [tagged(value.real), tagged(value.imag)]}
    if kind in (d.date, Decimal, Fraction, uuid.UUID):
        return {f"${kind.__name__.lower()}": str(value)}
    if np and kind is np.ndarray:
        parts = value.dtype.str, list(value.shape), b64encode(value.tobytes()).decode()
        return {"$ndarray": dict(zip(("dtype", "shape", "data"), parts))}
    if kind is dict and not all(type(key) is str for key in value):
        return {"$dict": [[tagged(key), tagged(item)] for key, item in value.items()]}
    if kind is dict:
        return {key: tagged(item) for key, item in value.items()}
    if kind in (list, tuple, set, frozenset):
        items = [tagged(item) for item in value]
        return items if kind is list else {f"${kind.__name__}": items}
    return value


def written(value):
    return json.dumps(tagged(value), ensure_ascii=False, separators=(",", ":"))


def row(kind, value, data):
    """The verdict and what follows it."""
    is_of_numpy = kind.startswith("np")
    try:
        # A fold is lost before protocol 4; numpy loses the order of bytes, and so it is asked less.
        found = value if is_of_numpy else pickle.loads(data)
        lost = written(plain(found))
    except (TypeError, RecursionError):
        return "refuse", data.hex(), "-", "-"
    is_exact = kind in EXACT or (np and type(found) is np.ndarray)
    return "value", data.hex(), written(found) if is_exact else "-", lost


def main():
    python = "Python {}.{}".format(*sys.version_info)
    for kinds in [standard(), of_numpy() if np else []]:
        for kind, values in kinds:
            where = f"{python}, numpy {np.__version__}" if kind.startswith("np") else python
            for name, value in values.items():
                for protocol in range(6):
                    try:
                        data = pickle.dumps(value, protocol)
                    except (TypeError, pickle.PicklingError):
                        continue  # Older protocols lack a word for it.
                    if len(data) <= LONGEST:
                        about = f"{kind} {name}, {where}, protocol {protocol}"
                        print(about, *row(kind, value, data), sep="\t")


if __name__ == "__main__":
    main()
