"""Scalars of Python's standard library that every format carries: dates and times, exact numbers,
UUIDs.

Each has a name, which is its ``type`` in XML and after a ``$`` its tag in JSON, and each value has
one canonical text. A new type is a row of :data:`TYPES`.
"""

from __future__ import annotations

import re
import sys
from datetime import date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from fractions import Fraction
from typing import Any, Callable, NamedTuple
from uuid import UUID

from .errors import MalformedMessage

_FOLD = "[_fold=1]"
_KEY = "[A-Za-z0-9_+./-]+"
_is_key = re.compile(_KEY).fullmatch
_in_zone = re.compile(rf"([^\[]*)(?:\[({_KEY})\])?(\[_fold=1\])?").fullmatch
_duration = re.compile(
    r"(-?)P(?:([0-9]+)D)?(?:T(?:([0-9]+)H)?(?:([0-9]+)M)?(?:([0-9]+)(?:\.([0-9]{1,6}))?S)?)?"
).fullmatch
_decimal = re.compile(
    r"[+-]?(?:(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|Infinity|s?NaN[0-9]*)"
).fullmatch
_fraction = re.compile(r"-?[0-9]+(?:/[0-9]+)?").fullmatch
_FRACTION_DIGITS = 1_000
"""Above and below the line, the broker's limit: to reduce a fraction takes their square."""
_LESS_THAN_A_SECOND = ("+00:00:00.", "-00:00:00.")
_DAY = 86_400_000_000
_HOUR = 3_600_000_000
_MINUTE = 60_000_000


class ScalarType(NamedTuple):
    """What is to be known of a type."""

    name: str
    kind: type
    write: Callable[[Any], str]
    """The canonical text of a value. Raises :class:`TypeError` where its time zone has none."""
    read: Callable[[str], Any]
    """The value of a text. Raises :class:`ValueError` where there is none."""


# --- dates and times ------------------------------------------------------------------------------


def is_zone_info(tz: tzinfo) -> bool:
    """Whether ``tz`` is a ``zoneinfo.ZoneInfo`` that has a name. Nobody has one who has not
    imported ``zoneinfo``, so this does not.
    """
    kind = getattr(sys.modules.get("zoneinfo"), "ZoneInfo", None)
    if type(tz) is not kind:
        return False
    key: str | None = getattr(tz, "key", None)
    return key is not None and _is_key(key) is not None


def has_a_word(tz: tzinfo | None) -> bool:
    """Whether every format can say this time zone."""
    return tz is None or type(tz) is timezone or is_zone_info(tz)


def _write_time(value: datetime | time) -> str:
    """As ``isoformat()``, the zone behind it, and the fold where nothing else tells it.

    >>> _write_time(datetime(2026, 11, 29, 12, 30, tzinfo=timezone.utc))
    '2026-11-29T12:30:00+00:00'
    >>> _write_time(time(2, 30, fold=1))
    '02:30:00[_fold=1]'
    """
    text = value.isoformat()
    tz = value.tzinfo
    if tz is not None and type(tz) is not timezone:
        if not is_zone_info(tz):
            raise TypeError(type(tz))
        text = f"{text}[{tz}]"
    if value.fold and value.utcoffset() == value.replace(fold=0).utcoffset():
        text += _FOLD
    return text


def _read_time(kind: Any, text: str) -> Any:
    found = _in_zone(text)
    if found is None:
        raise ValueError(f"{text!r:.60} is not a {kind.__name__}")
    written, key, fold = found.groups()
    if written.endswith("Z"):
        # Python reads it only from 3.11 on.
        written = f"{written[:-1]}+00:00"
    value = kind.fromisoformat(written)
    if written[-16:-6] in _LESS_THAN_A_SECOND:
        # CPython takes such an offset for none.
        offset = timedelta(microseconds=int(written[-16] + written[-6:]))
        value = value.replace(tzinfo=timezone(offset))
    if fold is not None:
        value = value.replace(fold=1)
    return value if key is None else _at_home(value, zone(key))


def zone(key: str) -> tzinfo:
    """The time zone of that name; raises :class:`MalformedMessage` where it is not known."""
    from zoneinfo import ZoneInfo

    try:
        return ZoneInfo(key)
    except (KeyError, ValueError, OSError) as error:
        raise MalformedMessage(
            f"the time zone {key!r:.60} is not known on this machine; where the system has no "
            "time zone database, or an old one, install the package tzdata"
        ) from error


def _at_home(value: Any, home: tzinfo) -> Any:
    """``value`` in its zone, of the two folds the one that has its offset. Where none has, the
    databases differ, and the offset stays.
    """
    local = value.replace(tzinfo=home)
    offset = value.utcoffset()
    if offset is None or offset == local.utcoffset():
        return local
    other = local.replace(fold=1 - local.fold)
    return other if offset == other.utcoffset() else value


def read_datetime(text: str) -> datetime:
    """The date and time that a text says; raises :class:`ValueError` where it says none."""
    found: datetime = _read_time(datetime, text)
    return found


def _read_time_of_day(text: str) -> time:
    found: time = _read_time(time, text)
    return found


def _write_timedelta(value: timedelta) -> str:
    """ISO 8601, days the largest unit; a sign counts for all of it.

    >>> _write_timedelta(timedelta(days=1, hours=2, seconds=4.5))
    'P1DT2H4.5S'
    >>> _write_timedelta(timedelta(microseconds=-1))
    '-PT0.000001S'
    """
    sign, value = ("-", -value) if value.days < 0 else ("", value)
    minutes, seconds = divmod(value.seconds, 60)
    hours, minutes = divmod(minutes, 60)
    text = f"{hours}H" if hours else ""
    if minutes:
        text += f"{minutes}M"
    if value.microseconds:
        text += f"{seconds}.{value.microseconds:06}".rstrip("0") + "S"
    elif seconds:
        text += f"{seconds}S"
    if value.days:
        return f"{sign}P{value.days}DT{text}" if text else f"{sign}P{value.days}D"
    return f"{sign}PT{text or '0S'}"


def _read_timedelta(text: str) -> timedelta:
    found = _duration(text)
    if found is None or text[-1] in "PT":
        raise ValueError(f"{text!r:.60} is not a duration")
    sign, days, hours, minutes, seconds, fraction = found.groups(default="0")
    units = (int(days) * _DAY, int(hours) * _HOUR, int(minutes) * _MINUTE, int(seconds) * 1_000_000)
    microseconds = sum(units) + int(fraction.ljust(6, "0"))
    try:
        return timedelta(microseconds=-microseconds if sign == "-" else microseconds)
    except OverflowError as error:
        raise ValueError(f"{text!r:.60} is too long for a timedelta") from error


# --- numbers --------------------------------------------------------------------------------------


def _write_decimal(value: Decimal) -> str:
    # The letter follows a context of the program's own.
    return str(value).replace("e", "E")


def _read_decimal(text: str) -> Decimal:
    if _decimal(text) is None:
        raise ValueError(f"{text!r:.60} is not a decimal number")
    try:
        return Decimal(text)
    except ArithmeticError as error:
        raise ValueError(f"{text!r:.60} is out of the range of Decimal") from error


def read_fraction(text: str) -> Fraction:
    """The number that a text spells; raises :class:`ValueError` where it spells none."""
    if _fraction(text) is None:
        raise ValueError(f"{text!r:.60} is not a fraction")
    if max(map(len, text.lstrip("-").split("/"))) > _FRACTION_DIGITS:
        raise ValueError(f"a fraction of more than {_FRACTION_DIGITS:,} digits")
    try:
        return Fraction(text)
    except ZeroDivisionError as error:
        raise ValueError(f"{text!r:.60} divides by zero") from error


def complex_of(parts: list[Any]) -> complex:
    """The number that a list of its two parts stands for."""
    if len(parts) != 2 or not {type(part) for part in parts} <= {int, float}:
        raise ValueError(f"{parts!r:.60} are not the two parts of a complex number")
    try:
        return complex(*parts)
    except OverflowError as error:
        raise ValueError("a part of a complex number is out of range") from error


# --- the table ------------------------------------------------------------------------------------

TYPES: tuple[ScalarType, ...] = (
    ScalarType("datetime", datetime, _write_time, read_datetime),
    ScalarType("date", date, date.isoformat, date.fromisoformat),
    ScalarType("time", time, _write_time, _read_time_of_day),
    ScalarType("timedelta", timedelta, _write_timedelta, _read_timedelta),
    ScalarType("decimal", Decimal, _write_decimal, _read_decimal),
    ScalarType("uuid", UUID, str, UUID),
    ScalarType("fraction", Fraction, str, read_fraction),
    ScalarType("complex", complex, str, complex),
)
KINDS = frozenset(row.kind for row in TYPES)
