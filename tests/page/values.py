"""Values of Python's, as pickles and as what the page wrote of them: CPython is the judge."""

import base64
import datetime
import pickle
import sys
import uuid
import zoneinfo
from decimal import Decimal
from fractions import Fraction

HOUR = datetime.timedelta(hours=1)
VALUES = [
    None, True, False, 0, -7, 2**63, -(2**200), "", "plain", "it's", 'say "hi"', "both ' and \"",
    "line\nbreak\ttab\\", "\x00\x1b[31m", "\u202eevil\u2066", "\u00a0\u2028", "grüße 😀 \U000e0041",
    0.0, -0.0, 1.0, 0.1, 1e16, 9999999999999998.0, 1e-5, 0.0001, 1.5e300, 5e-324, 1e22, 123456.789,
    -1.7976931348623157e308, 0.00012345, float("nan"), float("inf"), float("-inf"),
    b"", b"text", b"it's", bytes(range(256)), (), (1,), (1, (2, [3])), [], [[], {}], set(), {1},
    frozenset(), frozenset({"a"}), {}, {"a": 1}, {1: "one", None: 2}, {(1, 2): "pair"},
    {"$int": "5"}, {"$what": 1}, {"a b": {"c": [1.5, None, True]}},
    datetime.datetime(2026, 11, 29, 12, 30), datetime.datetime(1, 1, 1, 0, 0, 1, 5),
    datetime.datetime(2026, 11, 29, 12, 30, tzinfo=datetime.timezone.utc),
    datetime.datetime(2026, 11, 29, 12, 30, 5, 120000, datetime.timezone(5.5 * HOUR)),
    datetime.datetime(2026, 11, 29, tzinfo=datetime.timezone(-datetime.timedelta(seconds=3661))),
    datetime.datetime(2026, 7, 1, 12, tzinfo=zoneinfo.ZoneInfo("Europe/Berlin")),
    datetime.datetime(2026, 10, 25, 2, 30, fold=1, tzinfo=zoneinfo.ZoneInfo("Europe/Berlin")),
    datetime.date(2026, 2, 3), datetime.time(1, 2), datetime.time(1, 2, 3, 4),
    datetime.time(12, 0, tzinfo=datetime.timezone.utc), datetime.timedelta(0),
    datetime.timedelta(days=3, seconds=7, microseconds=9), -datetime.timedelta(microseconds=1),
    -datetime.timedelta(days=2, hours=5), datetime.timedelta(days=999999999),
    Decimal("1.10"), Decimal("-1E+30"), Decimal("NaN"), Fraction(1, 3), Fraction(-5),
    uuid.UUID("12345678-1234-5678-1234-567812345678"), complex(1, -2.5), complex(0, 1e30),
    {"deep": [{"at": datetime.date(2026, 1, 1), "of": (b"\xff", {"x": Decimal(1)})}] * 3},
]
NAMES = {
    "datetime": datetime, "zoneinfo": zoneinfo, "Decimal": Decimal, "Fraction": Fraction,
    "UUID": uuid.UUID,
}


def make() -> None:
    """A request to publish all of them, in base64."""
    request = {"command": "publish", "topic": "values", "message": VALUES}
    print(base64.b64encode(pickle.dumps(request, 4)).decode())


def check() -> None:
    """Standard input has what the page wrote of them."""
    text = sys.stdin.read()
    # As it is spelled, too: a float of 17 digits reads back as well.
    for spelled in ("1e+16", "9999999999999998.0", "1e-05", "0.0001", "-0.0", "b\"it's\""):
        assert f"\n  {spelled},\n" in text, spelled
    found = eval(text, dict(NAMES))  # Text that the page made of our own values.
    assert len(found) == len(VALUES)
    for read, value in zip(found, VALUES):
        assert (type(read), repr(read)) == (type(value), repr(value)), f"{read!r} for {value!r}"


if __name__ == "__main__":
    {"make": make, "check": check}[sys.argv[1]]()
