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
import pickle
import re
import uuid
from typing import Any, Callable, NamedTuple

import pytest
from fake_broker import CODECS

from babelmq import Format, MiddlewareType, NotPlainData


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


CASES: list[tuple[Any, str]] = [
    (datetime.datetime.now(), "isoformat"),
    (datetime.timedelta(1), "total_seconds"),
    (decimal.Decimal(1), r"str\(\)"),
    (uuid.UUID(int=1), r"str\(\)"),
    (Level.HIGH, r"\.value"),
    (Name("x"), r"str\(\)"),
    (Point(1), "_asdict"),
    (Order("x"), "asdict"),
    (collections.OrderedDict(a=1), r"dict\(\)"),
    (collections.defaultdict(int), r"dict\(\)"),
    (Opaque(), "as a dict"),
    (Opaque, "its __name__"),
    (len, "its __name__"),
    (print, "its __name__"),
    (array.array("d", [1.0]), r"tolist\(\)"),
    (memoryview(b"x"), r"bytes\(\)"),
    (range(3), r"list\(\)"),
    (iter([1]), r"list\(\)"),
    (1j, r"\.real"),
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
    if type(value).__hash__ is not None and not isinstance(value, (memoryview, dict, Order)):
        with pytest.raises(NotPlainData, match="key"):
            publish({value: 1}, True)
        with pytest.raises(NotPlainData, match="element"):
            publish([{value}], True)


# --- advice is followed ---------------------------------------------------------------------------

FOLLOWED: dict[str, Callable[[Any], Any]] = {
    "push its isoformat()": lambda value: value.isoformat(),
    "push its total_seconds()": lambda value: value.total_seconds(),
    "push str() of it": str,
    "push its .value or its .name": lambda value: value.value,
    "push its tolist()": lambda value: value.tolist(),
    "push its to_dict()": lambda value: value.to_dict(),
    "push its _asdict(), or tuple() of it": lambda value: value._asdict(),
    "push dataclasses.asdict() of it": dataclasses.asdict,
    "push its __name__": lambda value: value.__name__,
    "push bytes() of it": bytes,
    "push list() of it": list,
    "push its .real and its .imag": lambda value: [value.real, value.imag],
    "push None": lambda value: None,
    **{
        f"push {kind.__name__}() of it": kind
        for kind in (dict, list, tuple, set, frozenset, str, int, float)
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
        (frame, "push its to_dict()"),
        (frame["price"], "push its tolist()"),
        (frame["when"], "push its tolist()"),
        (frame["count"], "push its tolist()"),
        (frame.index, "push its tolist()"),
        (pandas.NaT, "push None"),
        (pandas.NA, "push None"),
        (pandas.Timestamp("2024-02-29"), "push its isoformat()"),
        (pandas.Timedelta("1s"), "push its total_seconds()"),
        (pandas.Period("2024-02"), "push str() of it"),
        (pandas.Interval(1, 2), "push str() of it"),
        (numpy.arange(6).reshape(2, 3), "push its tolist()"),
        (numpy.array(["a", "b"]), "push its tolist()"),
        (numpy.array([decimal.Decimal(1), None], dtype=object), "push its tolist()"),
        (numpy.int64(7), "push its tolist()"),
        (numpy.float32(0.5), "push its tolist()"),
        (numpy.bool_(True), "push its tolist()"),
        (numpy.datetime64("2024-02-29T12:00:00.123456789"), "push str() of it"),
        (numpy.timedelta64(5, "ns"), "push str() of it"),
        (numpy.zeros(2, dtype=[("a", "i4"), ("b", "f8")]), "push its tolist()"),
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
    assert {"push None", "push its to_dict()", "push its tolist()", "push bytes() of it"} <= seen
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


@pytest.mark.parametrize("name", ["JSONQueue", "XMLQueue", "PickleQueue"])
def test_a_default_makes_plain_data(name: str, kind: Any) -> None:
    when = datetime.datetime(2024, 2, 29, tzinfo=datetime.timezone.utc)

    def default(value: Any) -> Any:
        if isinstance(value, datetime.datetime):
            return value.isoformat()
        if isinstance(value, Order):
            return {"sku": value.sku, "level": decimal.Decimal(7)}
        if isinstance(value, decimal.Decimal):
            return int(value)
        raise TypeError(f"what is a {type(value).__name__}?")

    queue = kind(name, "/a", timeout=20, default=default)
    queue.push(
        {"when": when, "orders": [Order("x")], "raw": b"\x00", "key": {decimal.Decimal(1): None}}
    )
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
