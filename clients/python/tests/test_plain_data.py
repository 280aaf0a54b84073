"""What is not plain data is refused before it leaves the process, with its class, its place and
advice.
"""

from __future__ import annotations

import array
import ast
import collections
import dataclasses
import datetime
import decimal
import enum
import json
import pathlib
import pickle
import re
import uuid
from fractions import Fraction
from typing import Any, Callable, NamedTuple

import pytest
from fake_broker import CODECS, decode
from values import BERLIN, spelled

from babelmq import Format, MiddlewareType, NotPlainData, plain_data


class Level(enum.IntEnum):
    HIGH = 1


class Name(str):
    __slots__ = ()


class Point(NamedTuple):
    x: int


@dataclasses.dataclass
class Order:
    sku: str


class Opaque:
    pass


class Colour(str, enum.Enum):
    RED = "red"


class Price(float):
    def __repr__(self) -> str:
        return "expensive"


class Rows(list):  # type: ignore[type-arg]
    pass


class Moment(datetime.datetime):
    pass


class Span(datetime.timedelta):
    pass


class Money(decimal.Decimal):
    pass


class Part(Fraction):
    pass


class Wave(complex):
    pass


class Number(uuid.UUID):
    pass


class Ordered(collections.OrderedDict):  # type: ignore[type-arg]
    pass


CASES: list[tuple[Any, str]] = [
    (Moment(2024, 2, 29), "isoformat"),
    (Span(1), "total_seconds"),
    (Money(1), r"Decimal\(\)"),
    (Part(1, 3), r"Fraction\(\)"),
    (Wave(1j), r"complex\(\)"),
    (Number(int=1), r"str\(\)"),
    (datetime.timezone.utc, r"str\(\)"),
    (BERLIN, r"str\(\)"),
    (datetime.date, "its __name__"),
    (Level.HIGH, r"\.value"),
    (Name("x"), r"str\(\)"),
    (Point(1), "_asdict"),
    (Order("x"), "asdict"),
    (Ordered(a=1), r"dict\(\)"),
    (collections.ChainMap({}), r"list\(\)"),
    (Opaque(), "as a dict"),
    (Opaque, "its __name__"),
    (len, "its __name__"),
    (print, "its __name__"),
    (array.array("d", [1.0]), r"tolist\(\)"),
    (memoryview(b"x"), r"bytes\(\)"),
    (iter([1]), r"list\(\)"),
    (..., "as a dict"),
]


@pytest.mark.parametrize("codec", CODECS.values(), ids=lambda codec: codec.format.name)
@pytest.mark.parametrize(("value", "advice"), CASES, ids=lambda case: type(case).__name__)
def test_refused(codec: Any, value: Any, advice: str) -> None:
    if codec.format is Format.JSON and isinstance(value, (str, int, float, dict, list, tuple)):
        pytest.skip("JSON takes what json.dumps takes")
    publish = codec.publisher("t")
    name = type(value).__name__
    with pytest.raises(NotPlainData, match=rf"^value is a .*{name}.*push.*{advice}"):
        publish(value, True)
    with pytest.raises(NotPlainData) as caught:
        publish({"rows": [1, (2, value)]}, True)
    assert caught.value.path == "value['rows'][1][1]"
    assert caught.value.kind is type(value)
    if type(value).__hash__ is not None and not isinstance(value, (memoryview, Order)):
        with pytest.raises(NotPlainData, match="key"):
            publish({value: 1}, True)
        with pytest.raises(NotPlainData, match="element"):
            publish([{value}], True)


# --- advice is followed ---------------------------------------------------------------------------

ASTYPE = "push its tolist(), or its astype() of a dtype that every format carries"


def as_array(value: Any) -> Any:
    return pytest.importorskip("numpy").asarray(value)


FOLLOWED: dict[str, Callable[[Any], Any]] = {
    "push its isoformat()": lambda value: value.isoformat(),
    "push its total_seconds()": lambda value: value.total_seconds(),
    "push str() of it": str,
    "push its .value or its .name": lambda value: value.value,
    "push its tolist()": lambda value: value.tolist(),
    "push its tolist(), or its to_numpy()": lambda value: value.tolist(),
    ASTYPE: lambda value: value.tolist(),
    "push its tolist(), or numpy.asarray() of it": as_array,
    "push its tolist(), or its filled()": lambda value: value.filled(),
    'push its astype("f8")': lambda value: value.astype("f8"),
    'push its astype("c16")': lambda value: value.astype("c16"),
    'push its to_dict("records")': lambda value: value.to_dict("records"),
    "push its _asdict(), or tuple() of it": lambda value: value._asdict(),
    "push dataclasses.asdict() of it": dataclasses.asdict,
    "push its __name__": lambda value: value.__name__,
    "push bytes() of it": bytes,
    "push list() of it": list,
    "push the datetime's astimezone(datetime.timezone.utc)": lambda value: value.astimezone(
        datetime.timezone.utc
    ),
    "push None": lambda value: None,
    **{
        f"push {kind.__name__}() of it": kind
        for kind in (
            *(dict, list, tuple, set, frozenset, str, int, float, complex),
            *(decimal.Decimal, Fraction),
        )
    },
}

NO_ADVICE = "push its data as a dict, a list, a string or numbers"


def numeric() -> list[tuple[Any, str]]:
    """What numpy and pandas have, with what is advised first."""
    numpy = pytest.importorskip("numpy")
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(
        {
            "when": [pandas.Timestamp("2024-02-29T12:00"), pandas.NaT],
            "count": pandas.array([1, pandas.NA], dtype="Int64"),
            "price": [1.5, float("nan")],
            "name": ["a", None],
        }
    )
    return [
        (frame, 'push its to_dict("records")'),
        (frame["price"], "push its tolist(), or its to_numpy()"),
        (frame["when"], "push its tolist(), or its to_numpy()"),
        (frame["count"], "push its tolist(), or its to_numpy()"),
        (frame.index, "push its tolist(), or its to_numpy()"),
        (pandas.NaT, "push None"),
        (pandas.NA, "push None"),
        (pandas.Period("2024-02"), "push str() of it"),
        (pandas.Interval(1, 2), "push str() of it"),
        (numpy.array([decimal.Decimal(1), None], dtype=object), ASTYPE),
        (numpy.zeros(2, dtype=[("a", "i4"), ("b", "f8")]), ASTYPE),
        (numpy.zeros(2, dtype="V3"), ASTYPE),
        (numpy.ones((2, 2), dtype="longdouble"), 'push its astype("f8")'),
        (numpy.ones((2, 2), dtype="clongdouble"), 'push its astype("c16")'),
        (numpy.ones((2, 2)).view(numpy.matrix), "push its tolist(), or numpy.asarray() of it"),
        (numpy.ma.array([1, 2], mask=[0, 1]), "push its tolist(), or its filled()"),
        (numpy.longdouble(1), "push float() of it"),
        (numpy.clongdouble(1j), "push complex() of it"),
        (numpy.void(b"abc"), "push its tolist()"),
    ]


ADVISED = [(value, None) for value, advice in CASES if advice != "as a dict"]


@pytest.mark.parametrize("codec", CODECS.values(), ids=lambda codec: codec.format.name)
def test_what_an_error_advises_can_be_pushed(codec: Any) -> None:
    publish = codec.publisher("t")
    seen: set[str] = set()
    for value, first in [*ADVISED, *numeric()]:
        if hasattr(value, "__next__"):
            value = iter([1, 2])
        try:
            publish(value, True)
            assert codec.format is Format.JSON
            continue
        except NotPlainData as error:
            seen.add(error.advice)
            assert first in (None, error.advice), value
            advised = FOLLOWED[error.advice](value)
        for _ in range(50):
            # What is inside may need advice of its own, each time about the place that the error
            # names.
            try:
                publish(advised, True)
                break
            except NotPlainData as error:
                seen.add(error.advice)
                advised = follow_at(advised, error.path, FOLLOWED[error.advice])
        else:
            raise AssertionError(f"no end of advice for {value!r}")
    assert {'push its to_dict("records")', "push its tolist()", "push bytes() of it"} <= seen
    assert NO_ADVICE not in seen


def follow_at(value: Any, path: str, change: Callable[[Any], Any]) -> Any:
    """``value`` with what is at ``path``, as an error writes it, replaced."""
    inside: list[Any] = []
    for name in re.findall(r"\[([^\]]*)\]", path):
        inside.append(ast.literal_eval(name))
    if not inside:
        return change(value)

    def replaced(part: Any, keys: list[Any]) -> Any:
        if not keys:
            return change(part)
        copy = dict(part) if isinstance(part, dict) else list(part)
        copy[keys[0]] = replaced(part[keys[0]], keys[1:])
        return tuple(copy) if isinstance(part, tuple) else copy

    return replaced(value, inside)


# --- what becomes plain data by itself ------------------------------------------------------------


def test_json_takes_what_json_dumps_takes() -> None:
    publish = CODECS[0].publisher("t")
    values: list[Any] = [
        Level.HIGH,
        Colour.RED,
        Name("x"),
        Price(1.5),
        Point(1),
        Rows([1, Rows()]),
        collections.OrderedDict(b=1, a=[Level.HIGH]),
        collections.defaultdict(int, a=2),
        collections.Counter("aab"),
        {Name("k"): {Level.HIGH: Point(2)}},
        {"rows": [{"level": Level.HIGH}] * 3},
    ]
    for value in values:
        message = CODECS[0].decode(publish(value, True)[5:])["message"]
        assert json.loads(json.dumps(message)) == json.loads(json.dumps(value))
    # As json.dumps does, and where it loses something, as what they are derived from.
    assert CODECS[0].decode(publish(Point(1), True)[5:])["message"] == (1,)
    assert CODECS[0].decode(publish({Level.HIGH: 2}, True)[5:])["message"] == {1: 2}
    with pytest.raises(NotPlainData):
        publish({"set": {Opaque()}}, True)


def pushed(codec: Any, value: Any) -> Any:
    """What a broker reads of a push."""
    return decode(codec.format, codec.publisher("t")(value, True)[5:])["message"]


MADE: list[tuple[Any, Any]] = [
    (collections.deque([1, (2, collections.deque("ab"))], maxlen=9), [1, (2, ["a", "b"])]),
    (range(2, 9, 3), [2, 5, 8]),
    (range(0), []),
    (collections.OrderedDict(b=1, a=range(1)), {"b": 1, "a": [0]}),
    (collections.defaultdict(int, a=2), {"a": 2}),
    (collections.Counter("aab"), {"a": 2, "b": 1}),
    (pathlib.Path("/tmp/é"), "/tmp/é"),
    ({pathlib.PurePosixPath("a/b"): {pathlib.PureWindowsPath("a\\b")}}, {"a/b": {"a\\b"}}),
]


@pytest.mark.parametrize("codec", CODECS.values(), ids=lambda codec: codec.format.name)
def test_what_the_library_has_becomes_plain(codec: Any) -> None:
    for value, expected in MADE:
        assert spelled(pushed(codec, value)) == spelled(expected)
        assert spelled(pushed(codec, {"a": [value]})) == spelled({"a": [expected]})
    with pytest.raises(NotPlainData, match=r"value key .* is a range, .* push tuple\(\) of it"):
        pushed(codec, {(1, range(3)): 1})
    with pytest.raises(NotPlainData, match=r"value element .* is a range"):
        pushed(codec, {range(3)})
    with pytest.raises(ValueError, match="two keys of value become one"):
        pushed(codec, {"a": 1, pathlib.PurePosixPath("a"): 2})
    with pytest.raises(ValueError, match="a range of more than"):
        pushed(codec, range(10**30))
    with pytest.raises(ValueError, match="lone surrogate"):
        pushed(codec, pathlib.Path("x\udc80"))
    endless: collections.deque[Any] = collections.deque()
    endless.append(endless)
    with pytest.raises(ValueError, match="contains itself"):
        pushed(codec, endless)


@pytest.mark.parametrize("codec", CODECS.values(), ids=lambda codec: codec.format.name)
def test_what_numpy_and_pandas_have_becomes_plain(codec: Any) -> None:
    numpy = pytest.importorskip("numpy")
    pandas = pytest.importorskip("pandas")
    when = datetime.datetime(2024, 2, 29, 12, 0, 0, 123456)
    cases: list[tuple[Any, Any]] = [
        (numpy.int64(7), 7),
        (numpy.uint64(2**64 - 1), 2**64 - 1),
        (numpy.float32(0.1), 0.10000000149011612),
        (numpy.float64("nan"), float("nan")),
        (numpy.bool_(True), True),
        (numpy.complex64(1 - 0.5j), 1 - 0.5j),
        (numpy.str_("é"), "é"),
        (numpy.bytes_(b"\0x"), b"\0x"),
        (numpy.datetime64("2024-02-29T12:00:00.123456"), when),
        (numpy.datetime64("2024-02-29"), when.date()),
        (numpy.datetime64("2024-02-29T12:00:00.123456789"), 1709208000123456789),
        (numpy.datetime64("NaT"), None),
        (numpy.timedelta64(5, "s"), datetime.timedelta(seconds=5)),
        (numpy.timedelta64(5, "ns"), 5),
        (pandas.Timestamp("2024-02-29T12:00:00.123456789"), when),
        (pandas.Timestamp("2024-02-29", tz=BERLIN), datetime.datetime(2024, 2, 29, tzinfo=BERLIN)),
        (pandas.Timedelta("1s"), datetime.timedelta(seconds=1)),
    ]
    for value, expected in cases:
        assert spelled(pushed(codec, value)) == spelled(expected)
        assert spelled(pushed(codec, {"a": [1, value]})) == spelled({"a": [1, expected]})
        assert spelled(pushed(codec, {value: 1})) == spelled({expected: 1})
    third = Fraction(numpy.int64(1), numpy.int64(3))
    assert spelled(pushed(codec, [third])) == spelled([Fraction(1, 3)])


class Astronomy(datetime.tzinfo):
    def utcoffset(self, when: Any) -> datetime.timedelta:
        return datetime.timedelta(0)

    def dst(self, when: Any) -> None:
        return None

    def tzname(self, when: Any) -> None:
        return None


@pytest.mark.parametrize("codec", CODECS.values(), ids=lambda codec: codec.format.name)
def test_a_time_zone_that_no_format_can_say(codec: Any) -> None:
    when = datetime.datetime(2024, 2, 29, tzinfo=Astronomy())
    with pytest.raises(NotPlainData) as caught:
        pushed(codec, {"when": [when]})
    assert caught.value.path == "value['when'][0].tzinfo"
    assert caught.value.kind is Astronomy
    assert caught.value.advice == "push the datetime's astimezone(datetime.timezone.utc)"
    assert pushed(codec, when.astimezone(datetime.timezone.utc)) == when
    with pytest.raises(NotPlainData, match=r"value.tzinfo .* push the time's replace"):
        pushed(codec, datetime.time(1, tzinfo=Astronomy()))
    publish = codec.publisher("t", default=str)
    data = publish([when], True)
    assert decode(codec.format, data[5:])["message"] == [str(when)]


@pytest.mark.parametrize("codec", CODECS.values(), ids=lambda codec: codec.format.name)
def test_a_zone_without_a_name(codec: Any) -> None:
    path = pathlib.Path("/usr/share/zoneinfo/Europe/Berlin")
    if not path.exists():
        pytest.skip("no database of the system")
    for key in (None, "a]b"):
        with path.open("rb") as file:
            zone = type(BERLIN).from_file(file, key)
        with pytest.raises(NotPlainData, match="astimezone"):
            pushed(codec, datetime.datetime(2024, 2, 29, tzinfo=zone))


def test_numbers_of_too_many_digits() -> None:
    with pytest.raises(ValueError, match="a Decimal of more than 4300 digits"):
        plain_data.check([decimal.Decimal("1" * 4301)])
    for value in (Fraction(10**4300), Fraction(1, 10**4300)):
        with pytest.raises(ValueError, match="a Fraction of more than 4300 digits"):
            plain_data.check(value)


@pytest.mark.parametrize("name", ["JSONQueue", "XMLQueue", "PickleQueue"])
def test_a_default_makes_plain_data(name: str, kind: Any) -> None:
    when = Moment(2024, 2, 29, tzinfo=datetime.timezone.utc)

    def default(value: Any) -> Any:
        if isinstance(value, Moment):
            return value.isoformat()
        if isinstance(value, Order):
            return {"sku": value.sku, "level": Money(7)}
        if isinstance(value, decimal.Decimal):
            return int(value)
        raise TypeError(f"what is a {type(value).__name__}?")

    queue = kind(name, "/a", timeout=20, default=default)
    queue.push({"when": when, "orders": [Order("x")], "raw": b"\x00", "key": {Money(1): None}})
    assert queue.pull()[1] == {
        "when": when.isoformat(),
        "orders": [{"sku": "x", "level": 7}],
        "raw": b"\x00",
        "key": {1: None},
    }
    queue.push_to("/a/b", when)
    assert queue.pull() == ("/a/b", when.isoformat())
    with pytest.raises(TypeError, match="what is a Opaque"):
        queue.push([Opaque()])
    # Plain data is not asked about, and what never becomes plain is told apart from what is deep.
    queue.push(1)
    assert queue.pull() == ("/a", 1)
    endless = kind(name, "/a", MiddlewareType.PRODUCER, timeout=20, default=lambda value: value)
    with pytest.raises(ValueError, match="deeper than 128"):
        endless.push(Opaque())


@pytest.mark.parametrize("codec", CODECS.values(), ids=lambda codec: codec.format.name)
def test_plain_data_that_no_format_carries(codec: Any) -> None:
    publish = codec.publisher("t")
    with pytest.raises(ValueError, match=r"value\['a'\] holds a lone surrogate at index 1"):
        publish({"a": "x\ud800"}, True)
    endless: list[Any] = []
    for _ in range(100_000):
        endless = [endless]
    with pytest.raises(ValueError, match="deeper than 128"):
        publish(endless, True)


@pytest.mark.parametrize("codec", [CODECS[0], CODECS[1]], ids=lambda codec: codec.format.name)
def test_the_depth_is_the_brokers(codec: Any) -> None:
    value: Any = 1
    for _ in range(128):
        value = [value]
    codec.publisher("t")(value, True)
    with pytest.raises(ValueError, match="deeper"):
        codec.publisher("t")([value], True)


def test_a_pickle_with_shared_references_and_cycles_is_the_brokers_to_judge() -> None:
    row = [1]
    data = CODECS[2].publisher("t")([row, row], True)
    assert pickle.loads(data[5:])["message"] == [[1], [1]]
