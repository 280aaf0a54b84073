"""Values for hypothesis to draw, from the whole model, and what "the same" means for them."""

from __future__ import annotations

import math
import struct
from datetime import date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from fractions import Fraction
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from arrays import arrays, is_array, spelled_array
from hypothesis import strategies as st

NEW_TYPES = True
"""Whether scalars of the standard library are drawn too. The broker has to know them."""

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=20) | st.sampled_from(
    [
        "$bytes",
        "item",
        "xml",
        "a b",
        "\r\n",
        "\0",
        "\ufffe",
        "]]>",
        " x ",
        "",
        "a:b",
        "@a",
        "#text",
        "\u2028",
        "é",
    ]
)
integers = st.integers() | st.integers(-(10**3000), 10**3000)

# --- scalars of the standard library --------------------------------------------------------------

BERLIN = ZoneInfo("Europe/Berlin")
ZONES = [
    BERLIN,
    *map(ZoneInfo, ("UTC", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe", "Etc/GMT+5")),
]
NASTY: list[Any] = [
    datetime.min,
    datetime.max,
    datetime(2026, 11, 29, 12, 30, tzinfo=timezone.utc),
    datetime(2026, 11, 29, 12, 30, 0, 1, timezone(timedelta(hours=-5, seconds=-3))),
    datetime(2026, 11, 29, 12, 30, tzinfo=timezone(timedelta(microseconds=7))),
    datetime(2026, 11, 29, 12, 30, tzinfo=timezone(timedelta(hours=1), "named")),
    datetime(2026, 11, 29, 12, 30, fold=1),
    datetime(2026, 11, 29, 12, 30, fold=1, tzinfo=timezone.utc),
    *(
        when.replace(fold=fold, tzinfo=zone)
        for when in [
            datetime(2026, 10, 25, 2, 30),  # Twice in Berlin.
            datetime(2026, 3, 29, 2, 30),  # Never.
            datetime(2026, 11, 1, 1, 30),  # Twice in New York.
            datetime(1800, 1, 1),
            datetime(2500, 7, 1),
        ]
        for zone in ZONES
        for fold in (0, 1)
    ),
    date.min,
    date.max,
    date(2024, 2, 29),
    time.min,
    time.max,
    time(2, 30, fold=1),
    time(1, tzinfo=BERLIN),
    time(1, fold=1, tzinfo=BERLIN),
    time(1, tzinfo=ZoneInfo("UTC")),
    time(1, fold=1, tzinfo=ZoneInfo("Etc/GMT+5")),
    time(1, 2, 3, 4, timezone(timedelta(hours=23, minutes=59, seconds=59, microseconds=999_999))),
    timedelta(0),
    timedelta.min,
    timedelta.max,
    timedelta.resolution,
    -timedelta.resolution,
    timedelta(days=-1),
    timedelta(days=1, hours=2, minutes=3, seconds=4.5),
    timedelta(hours=2, seconds=10),
    *map(
        Decimal,
        "1.10 1E+3 -0 0.0 0E-7 -0E+5 NaN -NaN NaN123 sNaN -sNaN5 Infinity -Infinity 1E-999 "
        "9.999E+999999 123456789012345678901234567890.123456789".split(),
    ),
    UUID(int=0),
    UUID(int=2**128 - 1),
    UUID("f81d4fae-7dec-11d0-a765-00a0c91e6bf6"),
    Fraction(0),
    Fraction(5),
    Fraction(-7, 2),
    Fraction(1, 3**100),
    *(
        complex(real, imag)
        for real in (0.0, -0.0, 1.0, -2.5, math.nan, math.inf, -math.inf, 1e16, 5e-324)
        for imag in (0.0, -0.0, 1.0, 1e-5, math.nan, -math.inf)
    ),
]
offsets = st.timedeltas(timedelta(hours=-24, microseconds=1), timedelta(hours=24, microseconds=-1))
zones: st.SearchStrategy[tzinfo | None] = (
    st.none() | st.sampled_from(ZONES) | st.just(timezone.utc) | offsets.map(timezone)
)
folds = st.integers(0, 1)
moments = st.builds(
    lambda value, zone, fold: value.replace(tzinfo=zone, fold=fold),
    st.datetimes() | st.times(),
    zones,
    folds,
)
_library = (
    moments
    | st.dates()
    | st.timedeltas()
    | st.decimals()
    | st.uuids()
    | st.fractions()
    | st.complex_numbers()
    | st.sampled_from(NASTY)
)
# Their texts are those of no other key.
_library_keys = (
    moments
    | st.dates()
    | st.timedeltas().filter(lambda value: value.microseconds % 10 != 0)
    | st.decimals(allow_nan=False).filter(lambda value: len(str(value)) > 4)
    | st.uuids()
    | st.fractions().filter(lambda value: value.denominator > 1)
    | st.complex_numbers(allow_nan=False).filter(lambda value: len(str(value)) > 4)
)
library: st.SearchStrategy[Any] = _library if NEW_TYPES else st.nothing()
library_keys: st.SearchStrategy[Any] = _library_keys if NEW_TYPES else st.nothing()


def zone_of(value: Any) -> str:
    """What stands behind the ``isoformat()`` of a datetime or time: its zone, and its fold where
    nothing else tells it.
    """
    named = f"[{value.tzinfo.key}]" if isinstance(value.tzinfo, ZoneInfo) else ""
    offsets = {value.replace(fold=fold).utcoffset() for fold in (0, 1)}
    return f"{named}[_fold=1]" if value.fold and len(offsets) == 1 else named


def duration(value: timedelta) -> str:
    """ISO 8601."""
    left = abs(value // timedelta.resolution)
    sign = "-" if value < timedelta(0) else ""
    left, microseconds = divmod(left, 10**6)
    left, seconds = divmod(left, 60)
    left, minutes = divmod(left, 60)
    days, hours = divmod(left, 24)
    exact = f"{seconds}.{microseconds:06}".rstrip("0").rstrip(".")
    times = [(hours, f"{hours}H"), (minutes, f"{minutes}M"), (exact != "0", f"{exact}S")]
    text = "".join(part for amount, part in times if amount)
    if not days and not text:
        return "PT0S"
    return f"{sign}P{f'{days}D' if days else ''}{f'T{text}' if text else ''}"


def library_text(value: Any) -> tuple[str, str] | None:
    """The name and the canonical text of a scalar of the standard library; ``None`` of others."""
    kind = type(value)
    if kind is datetime or kind is time:
        return kind.__name__, value.isoformat() + zone_of(value)
    if kind is date:
        return "date", value.isoformat()
    if kind is timedelta:
        return "timedelta", duration(value)
    if kind in (Decimal, UUID, Fraction, complex):
        return kind.__name__.lower(), str(value)
    return None


def _values(more: st.SearchStrategy[Any], more_keys: st.SearchStrategy[Any]) -> Any:
    hashables: st.SearchStrategy[Any] = st.recursive(
        st.none()
        | st.booleans()
        | integers
        | st.floats(allow_nan=False)
        | text
        | st.binary(max_size=20)
        | more_keys,
        lambda inner: st.lists(inner, max_size=3).map(tuple) | st.frozensets(inner, max_size=3),
        max_leaves=5,
    )
    return st.recursive(
        st.none() | st.booleans() | integers | st.floats() | text | st.binary(max_size=20) | more,
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.lists(inner, max_size=4).map(tuple)
            | st.sets(hashables, max_size=4)
            | st.frozensets(hashables, max_size=4)
            | st.dictionaries(text, inner, max_size=4)
            | st.dictionaries(hashables, inner, max_size=4)
        ),
        max_leaves=12,
    )


plain_values: st.SearchStrategy[Any] = _values(st.nothing(), st.nothing())
values: st.SearchStrategy[Any] = _values(library | arrays, library_keys)


def spelled(value: Any) -> Any:
    """``value`` such that == is: same types, order of keys, bits of floats; nan equals itself, 1 is
    not True. Of arrays the order in memory does not count.
    """
    kind = type(value)
    if is_array(value):
        return spelled_array(value)
    if kind is float:
        return "float", "nan" if math.isnan(value) else struct.pack(">d", value)
    if kind is complex:
        return "complex", spelled(value.real), spelled(value.imag)
    text = library_text(value)
    if text is not None:
        return text
    if kind is list or kind is tuple:
        return kind.__name__, [spelled(item) for item in value]
    if kind is set or kind is frozenset:
        return kind.__name__, sorted((spelled(item) for item in value), key=repr)
    if kind is dict:
        return "dict", [(spelled(key), spelled(item)) for key, item in value.items()]
    return kind.__name__, value
