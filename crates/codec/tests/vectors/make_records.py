#!/usr/bin/env python3
"""Writes crates/codec/tests/vectors/pickle/records.txt: records with scalars of the standard library and of numpy's, as
CPython's picklers spell them.

    python3 crates/codec/tests/vectors/make_records.py        (with numpy 1.26)

records.txt   name, protocols, pickle in hex

The tests of crates/codec/src/pickle hold that each is read the straight way.
"""

import datetime
import decimal
import fractions
import itertools
import pickle
import pickletools
import uuid
import zoneinfo
from pathlib import Path

import numpy

HERE = Path(__file__).parent / "pickle"

NOON = datetime.datetime(2026, 11, 29, 12, 30, 7, 123456)
UTC = datetime.timezone.utc
FIXED = datetime.timezone(datetime.timedelta(hours=-5, minutes=-30), "there")
BERLIN = zoneinfo.ZoneInfo("Europe/Berlin")
KEY = uuid.UUID("f2345678-90ab-cdef-1234-567890abcdef")
UNSURE = uuid.UUID(int=7, is_safe=uuid.SafeUUID.unsafe)
HALF = numpy.float64(0.5)
XXX = b"x" * 3


def order(number):
    return {
        "id": number,
        "placed": NOON.replace(day=number % 28 + 1, tzinfo=UTC),
        "price": decimal.Decimal(f"{number}.50"),
        "key": uuid.UUID(int=KEY.int + number),
        "zone": NOON.replace(hour=number % 24, tzinfo=BERLIN),
        "ratio": numpy.float64(number / 8),
    }


RECORDS = {
    "datetime": {"id": 1, "at": NOON},
    "datetime utc": {"id": 1, "at": NOON.replace(tzinfo=UTC), "name": "x"},
    "datetime fixed": {"at": NOON.replace(tzinfo=FIXED)},
    "datetime zone": {"at": NOON.replace(tzinfo=BERLIN), "again": NOON.replace(tzinfo=BERLIN)},
    "datetime fold": [datetime.datetime(2026, 10, 25, 2, 30, tzinfo=BERLIN, fold=1)],
    "two zones": [NOON.replace(tzinfo=BERLIN), NOON.replace(tzinfo=zoneinfo.ZoneInfo("UTC"))],
    "date": {"day": NOON.date()},
    "time": {"at": NOON.time(), "there": NOON.time().replace(tzinfo=FIXED)},
    "timedelta": {"took": datetime.timedelta(-1, 5, 250000), "none": datetime.timedelta()},
    "decimal": {"price": decimal.Decimal("1104.05"), "tiny": decimal.Decimal("1E-20"), "no": decimal.Decimal("NaN")},
    "fraction": {"part": fractions.Fraction(-1, 3)},
    "complex": {"z": complex(-0.0, 1.5)},
    "uuid": {"id": 1, "key": KEY, "next": 5},
    "uuid small": {"key": uuid.UUID(int=300)},
    "uuid unsafe": {"key": UNSURE},
    "order": {"a": NOON.replace(tzinfo=UTC), "b": decimal.Decimal("1.10"), "c": KEY, "d": [1, (2, 3)], "e": b"\x00\xff"},
    "orders": [order(number) for number in range(40)],
    "shared": [NOON, KEY, HALF, XXX, {"a": KEY, "b": NOON, "c": HALF}, XXX, NOON],
    "shared words": {"int": 1, "datetime": "UUID", "uuid": KEY, "numpy": "f8", "x": numpy.float64(1.5), "dt": NOON},
    "keys": {NOON: 1, KEY: 2, decimal.Decimal("1.5"): 3, (NOON.date(), "x"): 4},
    "tuples": [(NOON, KEY), (decimal.Decimal(1),), ((NOON.time(), NOON.date()), 1, 2)],
    "numpy": {
        "f": numpy.float64(1.25),
        "g": numpy.float64(2.5),
        "h": numpy.float32(0.5),
        "i": numpy.int64(-3),
        "u": numpy.uint64(2**63),
        "b": numpy.bool_(True),
        "c": numpy.complex128(1 + 2j),
        "s": numpy.str_("äb"),
        "y": numpy.bytes_(b"ab"),
    },
    "numpy times": {
        "t": numpy.datetime64("2026-11-29T12:30:00.5"),
        "d": numpy.datetime64("2026-11-29"),
        "m": numpy.timedelta64(90, "m"),
        "n": numpy.datetime64("NaT"),
    },
}

with open(HERE / "records.txt", "w") as out:
    for name, value in RECORDS.items():
        by = {}
        for protocol, pickler in itertools.product(range(2, 6), (pickle.dumps, pickle._dumps)):
            by.setdefault(pickler(value, protocol), set()).add(protocol)
            if protocol == 4:
                by.setdefault(pickletools.optimize(pickler(value, protocol)), set()).add("optimized")
        for pickled, protocols in by.items():
            print(name, "+".join(sorted(map(str, protocols))), pickled.hex(), sep="\t", file=out)
