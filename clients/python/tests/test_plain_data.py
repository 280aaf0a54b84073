"""What is not plain data is refused before it leaves the process, with its class, its place and advice."""

from __future__ import annotations

import array
import collections
import dataclasses
import datetime
import decimal
import enum
import pickle
import uuid
from typing import Any, NamedTuple

import pytest
from fake_broker import CODECS

from babelmq import NotPlainData


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
    (Opaque, "its name"),
    (len, "its name"),
    (print, "its name"),
    (array.array("d", [1.0]), r"tolist\(\)"),
    (memoryview(b"x"), r"tolist\(\)"),
    (range(3), r"list\(\)"),
    (iter([1]), r"list\(\)"),
    (1j, "as a dict"),
    (..., "as a dict"),
]


@pytest.mark.parametrize("codec", CODECS.values(), ids=lambda codec: codec.format.name)
@pytest.mark.parametrize(("value", "advice"), CASES, ids=lambda case: type(case).__name__)
def test_refused(codec: Any, value: Any, advice: str) -> None:
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
