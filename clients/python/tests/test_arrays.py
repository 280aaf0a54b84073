"""Arrays of numpy: in each format what they are, with numpy and without it."""

from __future__ import annotations

import io
import json
import pickle
import re
import subprocess
import sys
import textwrap
import time
from fractions import Fraction
from pathlib import Path
from typing import Any
from uuid import UUID
from xml.etree import ElementTree

import pytest
from arrays import (
    KINDS,
    LAYOUTS,
    TIMES,
    UNITS,
    canonical_array,
    furthest,
    laid_out,
    made,
    spelled_array,
)
from fake_broker import CODECS, decode, exact_pickle
from judge.table import as_pickle, from_element
from judge.wire import LISTED
from real_broker import BINARY

from babelmq import (
    MalformedMessage,
    MiddlewareType,
    NotPlainData,
    json_codec,
    ndarray,
    pickle_codec,
    xml_codec,
    xml_writer,
)

numpy: Any = pytest.importorskip("numpy")
for_a_broker = pytest.mark.skipif(
    not BINARY, reason="it needs a real broker: set BABELMQ_BIN; `make test` does"
)
QUEUES = ["JSONQueue", "XMLQueue", "PickleQueue"]
PARTS = ndarray.NDArray("<i2", (2, 2), b"\x01\0\x02\0\x03\0\xff\xff")
SAME = numpy.array([[1, 2], [3, -1]], "<i2")


def pulled(queue: Any, value: Any) -> Any:
    queue.push(value)
    return queue.pull()[1]


@for_a_broker
@pytest.mark.parametrize("name", QUEUES)
def test_of_each_kind(name: str, kind: Any) -> None:
    queue = kind(name, "/a", timeout=20, **({"exact": True} if name == "JSONQueue" else {}))
    for number, code in enumerate([*KINDS, *TIMES]):
        array = numpy.ndarray((2, 3), code, bytes(range(7)) + bytes(200))
        if code[0] in "US":
            array = numpy.array([["a", "bc", ""], ["d", "\0e", "fgh"]], code)
        for order in "<>":
            ordered = array.astype(array.dtype.newbyteorder(order))
            for layout in (LAYOUTS[number % len(LAYOUTS)], "C"):
                sent = laid_out(ordered, layout, made_chance)
                found = pulled(queue, {"a": [sent, (sent,)], "b": 1})
                [first, [second]] = found["a"]
                wanted = spelled_array(canonical_array(sent))
                assert spelled_array(first) == spelled_array(second) == wanted, (code, layout)
                assert type(first) is numpy.ndarray
                assert first.flags.c_contiguous and first.flags.writeable and first.flags.owndata


class Unchosen:
    """What stands for a random.Random, and turns axes around."""

    @staticmethod
    def sample(population: Any, _count: int) -> list[Any]:
        return list(population)[::-1]

    @staticmethod
    def randint(_least: int, most: int) -> int:
        return most


made_chance: Any = Unchosen


@pytest.mark.parametrize("name", QUEUES)
@pytest.mark.parametrize(
    "shape", [(), (0,), (1,), (3, 0), (0, 3), (2, 0, 3), (1, 1, 1, 1), (2, 3, 4), (2, 1, 3, 2)]
)
def test_of_each_shape(name: str, shape: tuple[int, ...], kind: Any) -> None:
    queue = kind(name, "/a", timeout=20, **({"exact": True} if name == "JSONQueue" else {}))
    count = int(numpy.prod(shape))
    numbers = numpy.arange(count, dtype="<i4").reshape(shape)
    for array in (numbers, numpy.array(numbers % 2, "?"), numpy.zeros(shape, "U2")):
        for sent in (array, array.T, numpy.asfortranarray(array)):
            assert spelled_array(pulled(queue, sent)) == spelled_array(sent)


@for_a_broker
def test_arrays_are_lists_to_who_asks_for_no_types(kind: Any) -> None:
    consumer = kind("JSONQueue", "/a", MiddlewareType.CONSUMER, timeout=20)
    producer = kind("XMLQueue", "/a", MiddlewareType.PRODUCER, timeout=20)
    days = numpy.array(["2024-02-29", "NaT"], "M8[D]")
    for sent, expected in [
        (SAME, [[1, 2], [3, -1]]),
        (PARTS, [[1, 2], [3, -1]]),
        (days, ["2024-02-29", None]),
        (numpy.array(b"\0x"), b"\0x"),
        (numpy.zeros((3, 0)), [[], [], []]),
    ]:
        producer.push(sent)
        assert consumer.pull() == ("/a", expected)


def test_spelling() -> None:
    assert json_codec.dumps(SAME).decode() == (
        '{"$ndarray":{"dtype":"<i2","shape":[2,2],"data":"AQACAAMA//8="}}'
    )
    assert xml_writer.element(SAME).decode() == (
        '<message type="ndarray" dtype="&lt;i2" shape="2 2">AQACAAMA//8=</message>'
    )
    assert json_codec.dumps(PARTS) == json_codec.dumps(SAME)
    assert xml_writer.element(PARTS) == xml_writer.element(SAME)
    for seed in range(500):
        array = canonical_array(made(seed))
        element = ElementTree.fromstring(xml_writer.element(array))
        assert spelled_array(from_element(element)) == spelled_array(array)
        tag = json.loads(json_codec.dumps(array))["$ndarray"]
        assert tag["dtype"] == array.dtype.str and tuple(tag["shape"]) == array.shape


FAR = [*(10**power for power in range(19)), 2**61, 2**62, 2**63 - 1, 106_751_991_167_301]


def test_whatever_is_not_0_is_true_and_becomes_1() -> None:
    parts = ("|b1", (3,), b"\0\2\xff")
    sent = numpy.frombuffer(parts[2], "?")
    assert ndarray.parts(sent).data == b"\0\1\1"
    assert ndarray.make(*parts).tobytes() == b"\0\1\1"


@for_a_broker
@pytest.mark.parametrize("kind_of_time", "Mm")
def test_times_that_are_far_away(kind_of_time: str, kind: Any) -> None:
    counts = [sign * count for count in FAR for sign in (1, -1)]
    consumer = kind("PickleQueue", "/a", MiddlewareType.CONSUMER, timeout=20)
    plain = kind("JSONQueue", "/a", MiddlewareType.CONSUMER, timeout=20)
    producer = kind("XMLQueue", "/a", MiddlewareType.PRODUCER, timeout=20)
    for unit in UNITS:
        code = f"{kind_of_time}8[{unit}]"
        near = [count for count in counts if abs(count) <= furthest(code)]
        sent = numpy.array(near, "i8").view(code)
        producer.push(sent)
        assert spelled_array(consumer.pull()[1]) == spelled_array(sent), unit
        assert plain.pull()[1] == json.loads(json.dumps(as_pickle(sent))), unit


def test_a_memmap_is_the_array_that_it_shows(tmp_path: Path) -> None:
    (tmp_path / "data").write_bytes(SAME.tobytes())
    shown = numpy.memmap(tmp_path / "data", "<i2", "r", shape=(2, 2))
    for codec in CODECS.values():
        found = decode(codec.format, codec.publisher("/a")([shown], True)[5:])["message"][0]
        assert spelled_array(found) == spelled_array(SAME)


# --- what is refused before it leaves the process -------------------------------------------------


class Mine(numpy.ndarray):  # type: ignore[misc]
    pass


def refused() -> list[tuple[Any, str]]:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"a": [1.5]})
    astype = r"its tolist\(\), or its astype\(\) of a dtype that every format carries$"
    asarray = r"its tolist\(\), or numpy.asarray\(\) of it$"
    return [
        (numpy.array([object()]), astype),
        (numpy.zeros(2, [("a", "i4")]), astype),
        (numpy.zeros(2, "V3"), astype),
        (numpy.zeros(2, "longdouble"), r'its astype\("f8"\)$'),
        (numpy.zeros(2, "clongdouble"), r'its astype\("c16"\)$'),
        (SAME.view(numpy.matrix), asarray),
        (SAME.view(Mine), asarray),
        (numpy.zeros(2, [("a", "i4")]).view(numpy.recarray), asarray),
        (numpy.ma.array([1]), r"its tolist\(\), or its filled\(\)$"),
        (frame, r'its to_dict\("records"\)$'),
        (frame["a"], r"its tolist\(\), or its to_numpy\(\)$"),
        (SAME.dtype, "a dict, a list"),
        (numpy.ndarray, "its __name__"),
    ]


@pytest.mark.parametrize("codec", CODECS.values(), ids=lambda codec: codec.format.name)
def test_refused(codec: Any) -> None:
    publish = codec.publisher("/a")
    for value, advice in refused():
        for before in ([], [numpy.zeros(2)]):
            if before and value is numpy.ndarray and codec.format == 2:
                continue  # The pickler has written it already; the broker refuses it.
            if before and value is SAME.dtype and codec.format == 2:
                continue
            with pytest.raises(
                NotPlainData, match=rf"^value\['a'\]\[{len(before)}\] is a .*{advice}"
            ):
                publish({"a": [*before, value]}, True)
            publish({"a": before}, True)
    for hashed in ({(1, Hashed()): 1}, [{Hashed()}]):
        with pytest.raises(NotPlainData):
            publish(hashed, True)


class Hashed(Mine):
    """No array is a key, and none poses as one."""

    def __new__(cls) -> Hashed:
        found: Hashed = numpy.zeros(2).view(cls)
        return found

    def __hash__(self) -> int:
        return 1


@pytest.mark.parametrize("format_", [0, 1])
def test_parts_of_an_array_are_pushed(format_: int) -> None:
    codec = CODECS[format_]
    found = codec.decode(codec.publisher("/a")({"a": PARTS}, True)[5:])["message"]["a"]
    assert spelled_array(found) == spelled_array(SAME)


def test_parts_of_an_array_have_no_pickle() -> None:
    publish = CODECS[2].publisher("/a")
    with pytest.raises(
        NotPlainData, match=r"value\[0\] is a babelmq.ndarray.NDArray.* push it on a JSONQueue or"
    ):
        publish([PARTS], True)
    made = CODECS[2].publisher("/a", default=lambda parts: list(parts.shape))([PARTS], True)
    assert decode(2, made[5:])["message"] == [[2, 2]]


def test_parts_of_an_array() -> None:
    assert repr(PARTS) == "NDArray('<i2', (2, 2), b'\\x01\\x00\\x02\\x00\\x03\\x00\\xff\\xff')"
    same = ndarray.NDArray(PARTS.dtype, PARTS.shape, PARTS.data)
    assert same == PARTS and same != ndarray.NDArray("<u2", PARTS.shape, PARTS.data)
    assert PARTS != 1
    with pytest.raises(TypeError):
        hash(PARTS)


# --- without numpy --------------------------------------------------------------------------------

BLOCKED = """
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "numpy":
            raise ImportError(f"no module named {name}")

sys.meta_path.insert(0, Blocked())
"""


def run(program: str, *arguments: str) -> None:
    program = textwrap.dedent(program)
    subprocess.run([sys.executable, "-c", program, *arguments], check=True, timeout=60)


WITHOUT = """
import babelmq
from babelmq import NDArray, NotPlainData

address = sys.argv[1]
PARTS = NDArray("<i2", (2, 2), b"\\x01\\0\\x02\\0\\x03\\0\\xff\\xff")
OTHERS = [NDArray(dtype, shape, b"\\0" * size) for dtype, shape, size in OTHERS]
for name, options in [("JSONQueue", {"exact": True}), ("XMLQueue", {}), ("PickleQueue", {})]:
    queue = getattr(babelmq, name)
    with queue.consumer("/values", address=address, timeout=20, **options) as consumer:
        _, found = consumer.pull()
        assert found == {"array": PARTS, "twice": [PARTS, (PARTS,)], "others": OTHERS}, found
        assert type(found["array"]) is NDArray
        assert type(found["array"].dtype) is str and type(found["array"].shape) is tuple
    with queue.producer(f"/back/{name}", address=address, timeout=20) as producer:
        try:
            producer.push([1, PARTS])
            producer.flush()
            assert name != "PickleQueue"
        except NotPlainData as error:
            assert name == "PickleQueue"
            assert error.path == "value[1]" and "push it on a JSONQueue" in error.advice, error
assert "numpy" not in sys.modules
"""


def test_without_numpy(broker: str, kind: Any) -> None:
    others = [
        numpy.zeros(shape, dtype)
        for dtype in ("?", ">f8", "<c8", ">U3", "S2", "<M8[25s]", ">m8", "<M8[ns]")
        for shape in ((), (3, 0), (2, 1, 2))
    ]
    value = {"array": SAME, "twice": [SAME.T.T, (SAME,)], "others": others}
    source = kind("XMLQueue", "/values", timeout=20)
    source.push(value)
    source.flush()
    parts = [(other.dtype.str, other.shape, other.nbytes) for other in others]
    run(f"{BLOCKED}OTHERS = {parts!r}\n{WITHOUT}", broker)
    for name in ("JSONQueue", "XMLQueue"):
        queue = kind("PickleQueue", f"/back/{name}", timeout=20)
        [one, found] = queue.pull()[1]
        assert one == 1 and spelled_array(found) == spelled_array(SAME)
    assert kind("JSONQueue", "/back/PickleQueue").topics() == [
        "/back/JSONQueue",
        "/back/XMLQueue",
        "/values",
    ]


def test_nobody_imports_numpy_before_an_array_comes(broker: str) -> None:
    program = """
        import sys, datetime, decimal, babelmq
        value = {"a": [1, None, (2.5,), b"x", {"y"}], "b": datetime.date.today()}
        for name, options in [
            ("JSONQueue", {"exact": True}), ("XMLQueue", {}), ("PickleQueue", {})
        ]:
            queue = getattr(babelmq, name)(f"/{name}", address=sys.argv[1], timeout=20, **options)
            queue.push(value)
            assert queue.pull() == (f"/{name}", value)
            try:
                queue.push([print])
            except babelmq.NotPlainData:
                queue.close()
        assert "numpy" not in sys.modules and "zoneinfo" not in sys.modules
    """
    run(program, broker)


# --- what poses as an array -----------------------------------------------------------------------

DATA = "AQACAAMA//8="
HOSTILE_PARTS: list[tuple[Any, Any, Any]] = [
    ("<O8", [2, 2], DATA),
    ("O", [1], DATA),
    ("<i2,<i2", [2], DATA),
    ("i2", [2, 2], DATA),
    ("<i2 ", [2, 2], DATA),
    ("<f16", [1], DATA + DATA),
    ("<V8", [1], DATA),
    ("<M8[x]", [1], DATA),
    ("<U999999999", [0, 1], DATA),
    ("<i2", [2, 3], DATA),
    ("<i2", [4, -1], DATA),
    ("<i2", [-1], DATA),
    ("<i2", [2], DATA),
    ("<i2", [2**70], DATA),
    ("<i2", [1] * 70, "AQA="),
    ("<i2", [2, 2], "AQACAAMA//8"),
    ("<i2", [2, 2], "?"),
]  # fmt: skip
OTHERS: list[Any] = [None, 4, [], {}]
NO_PARTS: list[Any] = [
    *(1, None, [], "x", {}, {"dtype": "<i2", "shape": [2, 2]}),
    {"dtype": "<i2", "shape": [2, 2], "data": DATA, "more": 1},
    *({"dtype": "<i2", "shape": shape, "data": DATA} for shape in (None, 4, "4", [4.0], [True])),
    *({"dtype": dtype, "shape": [4], "data": DATA} for dtype in OTHERS),
    *({"dtype": "<i2", "shape": [4], "data": data} for data in OTHERS),
]


@pytest.mark.parametrize(("dtype", "shape", "data"), HOSTILE_PARTS, ids=repr)
def test_parts_that_fit_no_array(dtype: str, shape: list[int], data: str) -> None:
    tag = {"$ndarray": {"dtype": dtype, "shape": shape, "data": data}}
    with pytest.raises(MalformedMessage):
        json_codec.loads(json.dumps(tag))
    element = ElementTree.Element("message", type="ndarray", dtype=dtype)
    element.set("shape", " ".join(map(str, shape)))
    element.text = data
    body = b'<frame command="publish" topic="/a">%b</frame>' % ElementTree.tostring(element)
    with pytest.raises(MalformedMessage):
        xml_codec.XMLCodec().decode(body)


@pytest.mark.parametrize("content", NO_PARTS, ids=repr)
def test_what_are_no_parts_of_an_array(content: Any) -> None:
    with pytest.raises(MalformedMessage):
        json_codec.loads(json.dumps({"$ndarray": content}))
    for attributes in ('dtype="&lt;i2"', 'shape="4"', 'dtype="&lt;i2" shape="x"'):
        body = f'<f command="publish" topic="/a"><message type="ndarray" {attributes}/></f>'
        with pytest.raises(MalformedMessage):
            xml_codec.XMLCodec().decode(body.encode())


@pytest.mark.parametrize("shape", [[-2, -2], [-4], [2.0, 2], [True, 4], ["4"], [None]])
def test_a_shape_that_is_none(shape: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    for found in (numpy, None):
        monkeypatch.setattr(ndarray, "numpy", lambda found=found: found)
        assert ndarray.make("<i2", [2, 2], PARTS.data).shape == (2, 2)
        with pytest.raises(ValueError, match="is no shape of an array"):
            ndarray.make("<i2", shape, PARTS.data)


class Named:
    """What a pickle names, whatever that is."""

    def __init__(self, module: str, name: str) -> None:
        self.module = module
        self.name = name


class Made:
    """An object that a pickle makes by a call, and that it may give a state."""

    def __init__(self, make: Any, arguments: Any, *state: Any, new: bool = False) -> None:
        self.make = make
        self.arguments = arguments
        self.state = state
        self.opcode = pickle.NEWOBJ if new else pickle.REDUCE


_InPython: Any = vars(pickle)["_Pickler"]


class _Pickler(_InPython):  # type: ignore[misc]
    def save(self, value: Any, save_persistent_id: bool = True) -> None:
        if type(value) is Named:
            self.save(value.module)
            self.save(value.name)
            self.write(pickle.STACK_GLOBAL)
        elif type(value) is Made:
            self.save(value.make)
            self.save(value.arguments)
            self.write(value.opcode)
            for state in value.state:
                self.save(state)
                self.write(pickle.BUILD)
        else:
            super().save(value)


def loaded(value: Any) -> Any:
    file = io.BytesIO()
    _Pickler(file, 4).dump(value)
    return pickle_codec.loads(file.getvalue())


RECONSTRUCT = Named("numpy.core.multiarray", "_reconstruct")
NDARRAY = Named("numpy", "ndarray")
DTYPE = Named("numpy", "dtype")
DECIMAL = Named("decimal", "Decimal")
NUMBER = (3, "<", None, None, None, -1, -1, 0)


def dtype(code: Any = "i2", state: Any = NUMBER) -> Made:
    return Made(DTYPE, (code, False, True), state)


def array(state: Any = None, arguments: Any = (NDARRAY, (0,), b"b")) -> Made:
    if state is None:
        state = (1, (2, 2), dtype(), False, SAME.tobytes())
    return Made(RECONSTRUCT, arguments, state)


def times(*unit: Any) -> Made:
    return array((1, (1,), dtype("M8", (4, *NUMBER[1:], ({}, unit))), False, bytes(8)))


def test_what_the_pickles_below_are_made_of() -> None:
    assert spelled_array(loaded(array())) == spelled_array(SAME)
    shared = array()
    cycle: list[Any] = [array()]
    cycle.append(cycle)
    found = loaded([array(), (1, {"a": shared}), cycle])
    assert found[2][1] is found[2]
    arrays = [found[0], found[1][1]["a"], found[2][0]]
    assert [spelled_array(item) for item in arrays] == [spelled_array(SAME)] * 3
    assert loaded(times(b"s", 25, 1, 1)).dtype.str == "<M8[25s]"


LOOKALIKES = [
    *("numpy.core.multiarray.scalar", "numpy.core.multiarray.fromstring", "numpy.ndarray.tofile"),
    *("numpy._core.multiarray._reconstruct", "numpy.core.numeric._frombuffer", "numpy.load"),
    *("numpy.core._reconstruct", "numpy.core.multiarray. _reconstruct", "numpy.fromfile"),
    *("numpy.Ndarray", "NumPy.ndarray", "numpy.memmap", "numpy.matrix", "numpy.dtypes.dtype"),
    *("numpy.core.multiarray._reconstruct.__globals__", "numpy.ndarray.__reduce__"),
    *("datetime.datetime.now", "datetime.tzinfo", "_datetime.datetime", "datetime.Datetime"),
    *("zoneinfo.ZoneInfo._unpickle", "zoneinfo.ZoneInfo.from_file", "zoneinfo.TZPATH"),
    *("_decimal.Decimal", "decimal.decimal", "decimal.Context", "decimal.Decimal.__new__"),
    *("uuid.uuid4", "uuid.UUID.__setattr__", "fractions.Fraction.__new__", "builtins.getattr"),
    *("builtins.Complex", "__builtin__.complex", "builtins.complex.__class__", "builtins.eval"),
    *("copyreg._reconstructor", "collections.OrderedDict", "babelmq.ndarray.NDArray"),
    *("datetime.dateti\u043ce", "uuid.\uff35\uff35ID", "numpy.ndarray\0"),
]  # fmt: skip


@pytest.mark.parametrize("name", LOOKALIKES, ids=repr)
def test_names_that_look_like_those_of_the_list(name: str) -> None:
    module, dot, last = name.rpartition(".")
    splits = [(module, last)]
    if "." in module:
        first, _, more = module.partition(".")
        splits += [(first, f"{more}.{last}")]
    assert dot
    for part in splits:
        for value in (Named(*part), Made(Named(*part), ()), [Made(Named(*part), (), new=True)]):
            with pytest.raises(MalformedMessage, match=re.escape(f"it names {'.'.join(part)};")):
                loaded(value)


def hostile() -> dict[str, Any]:
    state = (1, (2, 2), dtype(), False, SAME.tobytes())
    return {
        "objects": dtype("O", (3, "|", None, None, None, -1, -1, 63)),
        "an array of objects": array((1, (1,), dtype("O8"), False, [1])),
        "a dtype alone": dtype(),
        "a dtype in a dict": [array(), {"a": dtype()}],
        "a long double": array((1, (1,), dtype("f16"), False, bytes(16))),
        "an order of its own": array(
            (1, (4,), dtype("i2", (3, "=", *NUMBER[2:])), False, b"12345678")
        ),
        "no state": Made(RECONSTRUCT, (NDARRAY, (0,), b"b")),
        "a class of another kind": array(arguments=(DECIMAL, (0,), b"b")),
        "a dtype for a class": array(arguments=(DTYPE, (0,), b"b")),
        "the class made": Made(NDARRAY, ()),
        "the class made anew": Made(NDARRAY, ((0,),), new=True),
        "another shape": array(arguments=(NDARRAY, (10**12,), b"b")),
        "another code": array(arguments=(NDARRAY, (0,), b"O")),
        "fewer arguments": array(arguments=(NDARRAY, (0,))),
        "more arguments": array(arguments=(NDARRAY, (0,), b"b", 1)),
        "objects in its state": array((1, (2, 2), dtype(), False, [[], []])),
        "text in its state": array((1, (2, 2), dtype(), False, "12345678")),
        "a bytearray": array((1, (2, 2), dtype(), False, [1, 2, 3, 4])),
        "Fortran's order": array((1, (2, 2), dtype(), True, SAME.tobytes())),
        "another version": array((2, *state[1:])),
        "a list for a shape": array((1, [2, 2], *state[2:])),
        "a shape of floats": array((1, (2.0, 2), *state[2:])),
        "a negative dimension": array((1, (-2, -2), *state[2:])),
        "a huge dimension": array((1, (2**62, 2**62), *state[2:])),
        "a dimension of 0": array((1, (2**62, 2**62, 0), dtype(), False, b"x")),
        "too few bytes": array((1, (2, 2), dtype(), False, b"x")),
        "a dtype that is a text": array((1, (2, 2), "<i2", False, SAME.tobytes())),
        "a dtype that is a class": array((1, (2, 2), DTYPE, False, SAME.tobytes())),
        "states that are none": [
            Made(RECONSTRUCT, (NDARRAY, (0,), b"b"), state)
            for state in [*OTHERS, (), "abcde", b"abcde"]
        ],
        "a state in two": array((None, {"parts": ("<O8", (1,), b"12345678")})),
        "an alignment of 0": array(
            (1, (1,), dtype("S8", (3, "|", None, None, None, 8, 0, 0)), False, b"x")
        ),
        "fields": array(
            (1, (1,), dtype("i8", (3, "|", None, ("a",), {"a": (1, 2)}, 8, 1, 0)), False, b"x")
        ),
        "a state of a dtype that is none": [dtype("i2", nothing) for nothing in OTHERS],
        "a dtype by a call": Made(DTYPE, ([("a", "O")],)),
        "no unit": times(),
        "a unit that is a text": times("s", 1, 1, 1),
        "a unit that there is not": times(b"O8", 1, 1, 1),
        "a count that is none": times(b"s", "]", 1, 1),
        "a count below 0": times(b"s", -1, 1, 1),
        "a key": {array(): 1},
        "an element": {"a": [{1, (2, array())}]}
        if False
        else Made(Named("uuid", "UUID"), (array(),)),
        "a fraction that takes long": Made(Named("fractions", "Fraction"), ("1e1000000000",)),
        "a fraction of two": Made(Named("fractions", "Fraction"), (1, 2)),
        "a fraction by new": Made(Named("fractions", "Fraction"), ("1/2",), new=True),
        "a fraction of nothing": Made(Named("fractions", "Fraction"), ("1/0",)),
        "a zone out of the way": Made(Named("zoneinfo", "ZoneInfo"), ("../../etc/passwd",)),
        "a zone from the root": Made(Named("zoneinfo", "ZoneInfo"), ("/etc/passwd",)),
        "a zone that is none": Made(Named("zoneinfo", "ZoneInfo"), (b"UTC",)),
        "a zone that is long": Made(Named("zoneinfo", "ZoneInfo"), ("A" * 100_000,)),
        "a zone with a NUL": Made(Named("zoneinfo", "ZoneInfo"), ("UTC\0",)),
        "a state of a function": [
            Made(Named("zoneinfo", "ZoneInfo"), ("UTC",), {"key": "x"}),
        ],
        "a decimal that is none": Made(DECIMAL, ("x",)),
        "a moment that is none": Made(Named("datetime", "datetime"), (b"\xff" * 10,)),
        "a date": Made(Named("datetime", "date"), (b"\xff" * 3,)),
        "a time": Made(Named("datetime", "time"), (b"\xff" * 6,)),
        "a span": Made(Named("datetime", "timedelta"), (10**10,)),
        "an offset": Made(Named("datetime", "timezone"), (5,)),
        "an UUID": Made(Named("uuid", "UUID"), (), [1, 2], new=True),
        "a complex number": Made(Named("builtins", "complex"), ([],)),
    }


SEVERAL = ("states that are none", "a state of a dtype that is none")


@pytest.mark.parametrize("name", hostile())
def test_hostile_pickles(name: str) -> None:
    value: Any = hostile()[name]
    # Each of a list is one by itself.
    for one in value if name in SEVERAL else [value]:
        start = time.monotonic()
        with pytest.raises(MalformedMessage, match=r"^a pickle was refused: "):
            loaded(one)
        assert time.monotonic() - start < 2


def test_a_pickle_that_is_too_deep() -> None:
    file = io.BytesIO()
    _Pickler(file, 4).dump(array())
    inside = file.getvalue()[2:-1]
    for depth in (100, 100_000):
        body = b"\x80\x04" + b"]" * depth + inside + b"a" * depth + b"."
        try:
            found = pickle_codec.loads(body)
            assert depth == 100 and spelled_array(dug(found)) == spelled_array(SAME)
        except MalformedMessage:
            assert depth > 100


def dug(value: Any) -> Any:
    while type(value) is list:
        [value] = value
    return value


def test_what_is_named_is_not_changed() -> None:
    """BUILD gives whatever is on the stack a state: a function, a class."""
    states: list[Any] = [{"x": 1}, (None, {"x": 1}), (None, {"__call__": 1, "_make": 1}), 1]
    for module, name in LISTED:
        for state in states:
            changed = Changed(module, name, state)
            with pytest.raises(MalformedMessage):
                file = io.BytesIO()
                _Changing(file, 4).dump(changed)
                pickle_codec.loads(file.getvalue())
    for kind in (UUID, Fraction, ndarray.Blank, ndarray.Dtype):
        assert not hasattr(kind, "x")
    assert spelled_array(loaded(array())) == spelled_array(SAME)


class Changed:
    def __init__(self, module: str, name: str, state: Any) -> None:
        self.named = Named(module, name)
        self.state = state


class _Changing(_Pickler):
    def save(self, value: Any, save_persistent_id: bool = True) -> None:
        if type(value) is Changed:
            self.save(value.named)
            self.save(value.state)
            self.write(pickle.BUILD)
        else:
            super().save(value)


@pytest.mark.parametrize("seed", range(300))
def test_damaged_pickles(seed: int) -> None:
    """Bytes of an exact pickle are changed: it is read, or refused, and the process lives."""
    import random

    chance = random.Random(seed)
    body = bytearray(exact_pickle({"a": made(seed), "b": [made(seed + 1)]}))
    for _ in range(chance.choice([1, 1, 2, 5])):
        body[chance.randrange(len(body))] = chance.randrange(256)
    try:
        found = pickle_codec.loads(bytes(body))
    except MalformedMessage:
        return
    assert type(found) is not ndarray.Blank


# --- the list -------------------------------------------------------------------------------------

ROOT = Path(__file__).parents[3]


def named_in(text: str) -> set[tuple[str, str]]:
    """The names in a sentence: of those without a module, that of the one before."""
    found: set[tuple[str, str]] = set()
    module = ""
    for name in re.findall(r"`([\w.]+)`", text):
        if "." in name:
            module = name.rpartition(".")[0]
        found.add((module, name.rpartition(".")[2]))
    return found


@pytest.mark.skipif(not (ROOT / "SECURITY.md").exists(), reason="the repository is not around it")
def test_the_list_is_the_one_that_is_promised() -> None:
    known = {*pickle_codec._LISTED, *pickle_codec._NUMPY}
    assert known == LISTED
    protocol = (ROOT / "docs/protocol.md").read_text()
    sentence = protocol.partition("### Exact pickle")[2].partition("each at most once:")[2]
    assert named_in(sentence.partition(": never a")[0]) == known
    security = (ROOT / "SECURITY.md").read_text()
    sentence = security.partition("never a producer's own:")[2].partition("([how]")[0]
    assert named_in(sentence) == known
