"""Dates and times, exact numbers and UUIDs: in each format, each as what it was."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal, getcontext, localcontext
from fractions import Fraction
from typing import Any
from uuid import UUID
from xml.etree import ElementTree
from zoneinfo import ZoneInfo

import pytest
from fake_broker import CODECS, decode
from hypothesis import given
from judge.table import _LIBRARY, as_json, as_pickle, from_element, message_element
from values import BERLIN, NASTY, _library, _library_keys, library_text, spelled

from babelmq import (
    MalformedMessage,
    NotPlainData,
    json_codec,
    pickle_codec,
    scalar_types,
    xml_reader,
    xml_usual,
    xml_writer,
)

UTC = ZoneInfo("UTC")
NIGHT = (2026, 10, 25, 2, 30)
"""Twice in Berlin."""

TEXTS: list[tuple[Any, str, str]] = [
    (datetime(2026, 11, 29, 12, 30), "datetime", "2026-11-29T12:30:00"),
    (datetime(2026, 11, 29, 12, 30, 0, 7), "datetime", "2026-11-29T12:30:00.000007"),
    (
        datetime(2026, 11, 29, 12, 30, tzinfo=BERLIN),
        "datetime",
        "2026-11-29T12:30:00+01:00[Europe/Berlin]",
    ),
    (datetime(2026, 11, 29, tzinfo=timezone.utc), "datetime", "2026-11-29T00:00:00+00:00"),
    (
        datetime(2026, 11, 29, tzinfo=timezone(timedelta(hours=1), "CET")),
        "datetime",
        "2026-11-29T00:00:00+01:00",
    ),
    (
        datetime(2026, 11, 29, tzinfo=timezone(-timedelta(seconds=3))),
        "datetime",
        "2026-11-29T00:00:00-00:00:03",
    ),
    (datetime(*NIGHT, tzinfo=BERLIN), "datetime", "2026-10-25T02:30:00+02:00[Europe/Berlin]"),
    (
        datetime(*NIGHT, tzinfo=BERLIN, fold=1),
        "datetime",
        "2026-10-25T02:30:00+01:00[Europe/Berlin]",
    ),
    (
        datetime(2026, 3, 29, 2, 30, tzinfo=BERLIN, fold=1),
        "datetime",
        "2026-03-29T02:30:00+02:00[Europe/Berlin]",
    ),
    (
        datetime(2026, 11, 29, tzinfo=BERLIN, fold=1),
        "datetime",
        "2026-11-29T00:00:00+01:00[Europe/Berlin][_fold=1]",
    ),
    (datetime(*NIGHT, fold=1), "datetime", "2026-10-25T02:30:00[_fold=1]"),
    (
        datetime(1800, 1, 1, tzinfo=BERLIN),
        "datetime",
        "1800-01-01T00:00:00+00:53:28[Europe/Berlin]",
    ),
    (date(2026, 11, 29), "date", "2026-11-29"),
    (time(12, 30), "time", "12:30:00"),
    (time(1, tzinfo=BERLIN), "time", "01:00:00[Europe/Berlin]"),
    (time(1, tzinfo=BERLIN, fold=1), "time", "01:00:00[Europe/Berlin][_fold=1]"),
    (time(1, tzinfo=UTC), "time", "01:00:00+00:00[UTC]"),
    (timedelta(1, 7384, 500_000), "timedelta", "P1DT2H3M4.5S"),
    (timedelta(1, 7203, 500_000), "timedelta", "P1DT2H3.5S"),
    (-timedelta(microseconds=1), "timedelta", "-PT0.000001S"),
    (timedelta(0), "timedelta", "PT0S"),
    (timedelta(days=2), "timedelta", "P2D"),
    (timedelta(seconds=100), "timedelta", "PT1M40S"),
    (timedelta.min, "timedelta", "-P999999999D"),
    (timedelta.max, "timedelta", "P999999999DT23H59M59.999999S"),
    (Decimal("1.10"), "decimal", "1.10"),
    (Decimal("1e3"), "decimal", "1E+3"),
    (Decimal("-sNaN5"), "decimal", "-sNaN5"),
    (UUID("F81D4FAE7DEC11D0A76500A0C91E6BF6"), "uuid", "f81d4fae-7dec-11d0-a765-00a0c91e6bf6"),
    (Fraction(1, 3), "fraction", "1/3"),
    (Fraction(-10, 2), "fraction", "-5"),
]
COMPLEX: list[tuple[complex, str, str]] = [
    (1 - 2.5j, '{"$complex":[1.0,-2.5]}', "(1-2.5j)"),
    (complex(-0.0, 2), '{"$complex":[-0.0,2.0]}', "(-0+2j)"),
    (complex("nan-infj"), '{"$complex":[{"$float":"nan"},{"$float":"-inf"}]}', "(nan-infj)"),
]


def from_xml(xml: str) -> Any:
    body = f'<frame command="publish" topic="t">{xml}</frame>'.encode()
    value = xml_reader.read(body)["message"]
    assert spelled(xml_reader._Reader().read(body)["message"]) == spelled(value)
    return value


@pytest.mark.parametrize(("value", "name", "text"), TEXTS, ids=[row[2] for row in TEXTS])
def test_spelling(value: Any, name: str, text: str) -> None:
    assert library_text(value) == (name, text), "the judge"
    tagged = f'{{"${name}":"{text}"}}'
    assert json_codec.dumps(value).decode() == tagged
    assert spelled(json_codec.loads(tagged)) == spelled(value)
    xml = f'<message type="{name}">{text}</message>'
    assert xml_writer.element(value).decode() == xml
    assert spelled(from_xml(xml)) == spelled(value)
    assert spelled(from_xml(xml.replace(">", "> \n", 1))) == spelled(value)
    assert spelled(_LIBRARY[name](text)) == spelled(value), "the judge"


@pytest.mark.parametrize(("value", "tagged", "text"), COMPLEX, ids=[row[2] for row in COMPLEX])
def test_spelling_of_complex_numbers(value: complex, tagged: str, text: str) -> None:
    assert json_codec.dumps(value).decode() == tagged
    assert spelled(json_codec.loads(tagged)) == spelled(value)
    xml = f'<message type="complex">{text}</message>'
    assert xml_writer.element(value).decode() == xml
    assert spelled(from_xml(xml)) == spelled(value)


def check(value: Any) -> None:
    for codec in CODECS.values():
        data = codec.publisher("/a")(value, True)[5:]
        assert spelled(decode(codec.format, data)["message"]) == spelled(value)
    data = pickle_codec.PickleCodec().publisher("/a")(value, True)[5:]
    message = {"command": "publish", "topic": "/a", "message": value}
    assert data == pickle.dumps(message, pickle_codec.PROTOCOL)


@pytest.mark.parametrize("value", NASTY, ids=repr)
def test_nasty_values(value: Any) -> None:
    check(value)
    check({"a": [value, (value,)], "b": {"c": value}})
    if not (isinstance(value, Decimal) and value.is_snan()):
        check({value: 1})
        check({(value, 1): {value}})


@given(_library)
def test_any_value(value: Any) -> None:
    check(value)
    check([value, {"a": value}])


@given(_library_keys)
def test_any_key(value: Any) -> None:
    check({value: [value]})
    check(frozenset({value}))


@given(_library)
def test_the_judge_reads_and_writes_the_same(value: Any) -> None:
    assert json.loads(json_codec.dumps({"a": value})) == {"a": as_json(value, exact=True)}
    element = ElementTree.fromstring(xml_writer.element([value]))
    assert spelled(from_element(element)) == spelled([value])
    assert spelled(from_xml(message_element([value]).decode())) == spelled([value])


def test_keys_are_tagged() -> None:
    assert json_codec.dumps({date(2024, 2, 29): 1}) == b'{"$dict":[[{"$date":"2024-02-29"},1]]}'
    assert json_codec.dumps({"$date": "x"}) == b'{"$dict":[["$date","x"]]}'
    assert json_codec.loads('{"$date":"2024-02-29","b":1}') == {"$date": "2024-02-29", "b": 1}


def test_the_table_says_what_other_consumers_get() -> None:
    value = {date(2024, 2, 29): [timedelta(minutes=1), {Decimal("1.10")}, (UUID(int=1),), 2j]}
    plain = {"2024-02-29": [60.0, {"1.10"}, ("00000000-0000-0000-0000-000000000001",), "2j"]}
    assert as_pickle(value) == plain
    assert as_json(value, exact=False) == as_json(plain, exact=False)
    moment = datetime(2024, 2, 29, fold=1, tzinfo=BERLIN)
    assert as_pickle(moment) == "2024-02-29T00:00:00+01:00"


def test_the_usual_reader_of_xml_reads_them() -> None:
    value = {"when": NASTY, "at": {"2nd": Decimal(1)}, "one": [date.min]}
    body = xml_writer.element(
        value, before='<frame command="publish" topic="/a">', after="</frame>"
    )
    found = xml_usual.read(body, xml_reader._SCALARS)
    assert found is not None
    assert spelled(found[2]) == spelled(value)


def test_the_context_of_decimals_changes_nothing() -> None:
    with localcontext() as context:
        context.prec = 2
        context.capitals = 0
        assert json_codec.dumps(Decimal("12345E+30")) == b'{"$decimal":"1.2345E+34"}'
        context.traps = dict.fromkeys(getcontext().traps, False)
        with pytest.raises(MalformedMessage):
            json_codec.loads('{"$decimal":"x"}')
        assert str(json_codec.loads('{"$decimal":"12345E+30"}')) == "1.2345e+34"


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("datetime", "2026-11-29T12:30:00Z", datetime(2026, 11, 29, 12, 30, tzinfo=timezone.utc)),
        ("datetime", "2026-11-29T12:30:00[UTC]", datetime(2026, 11, 29, 12, 30, tzinfo=UTC)),
        ("decimal", "1e3", Decimal("1E+3")),
        ("decimal", "+.5", Decimal("0.5")),
        ("timedelta", "PT36H", timedelta(hours=36)),
        ("timedelta", "P0D", timedelta(0)),
        ("fraction", "2/4", Fraction(1, 2)),
        ("uuid", "F81D4FAE-7DEC-11D0-A765-00A0C91E6BF6", UUID("f81d4fae7dec11d0a76500a0c91e6bf6")),
    ],
)  # fmt: skip
def test_other_producers_may_spell_them_differently(name: str, text: str, expected: Any) -> None:
    assert spelled(json_codec.loads(f'{{"${name}":"{text}"}}')) == spelled(expected)
    assert spelled(from_xml(f'<message type="{name}">{text}</message>')) == spelled(expected)


@pytest.mark.parametrize(
    ("text", "fold", "offset"),
    [
        # Neither offset is Berlin's: the databases differ, and the instant is what counts.
        ("2026-10-25T02:30:00+05:00[Europe/Berlin]", 0, timedelta(hours=5)),
        ("2026-10-25T02:30:00+05:00[Europe/Berlin][_fold=1]", 1, timedelta(hours=5)),
    ],
)
def test_an_offset_that_a_zone_does_not_have(text: str, fold: int, offset: timedelta) -> None:
    value = json_codec.loads(f'{{"$datetime":"{text}"}}')
    assert (value.tzinfo, value.fold) == (timezone(offset), fold)
    assert value.replace(tzinfo=None, fold=0) == datetime(*NIGHT)


def test_an_offset_that_a_time_does_not_have() -> None:
    value = json_codec.loads('{"$time":"01:00:00+05:00[Europe/Berlin]"}')
    assert spelled(value) == spelled(time(1, tzinfo=timezone(timedelta(hours=5))))


REFUSED = [
    *[("datetime", text) for text in ("", "x", "2026-02-30T00:00:00", "2026-11-29T12:30:00[")],
    *[("datetime", f"2026-11-29T12:30:00[{zone}") for zone in ("]", "UTC", "a b]", "UTC][UTC]")],
    *[("datetime", f"2026-11-29T12:30:00{more}") for more in ("[_fold=2]", "[_fold=1]x")],
    *[("date", text) for text in ("", "2026-02-30", "2026-11-29T00:00:00", "0000-01-01")],
    *[("time", text) for text in ("", "25:00:00", "12:30:00[_fold=0]")],
    *[("timedelta", text) for text in ("", "P", "PT", "P1DT", "1", "P1W", "P1000000000D")],
    *[("timedelta", text) for text in ("--PT1S", "PT1.0000001S", "-P999999999DT1S", "P1,5D")],
    *[("decimal", text) for text in ("", "x", "1_0", "\u0661", "nan", ".", "1E")],
    ("decimal", "1E+9999999999999999999"),
    *[("uuid", text) for text in ("", "x", "f81d4fae-7dec-11d0-a765-00a0c91e6bf")],
    *[("fraction", text) for text in ("", "1/0", "1/-3", "0.5", "1e9", "1_0", " 1/", "\u0661")],
    *[("complex", text) for text in ("", "x", "1+", "j1")],
]  # fmt: skip


@pytest.mark.parametrize(("name", "text"), REFUSED)
def test_what_is_no_value_of_a_type(name: str, text: str) -> None:
    with pytest.raises(MalformedMessage):
        json_codec.loads(f'{{"${name}":"{text}"}}')
    with pytest.raises(MalformedMessage):
        from_xml(f'<message type="{name}">{text}</message>')


@pytest.mark.parametrize(
    "content",
    [
        *('"1"', "1", "[]", "[1]", "[1,2,3]", '["1","2"]', "[true,1]", "[null,1]", "{}"),
        f"[{10**400},1]",
    ],
)
def test_what_are_no_parts_of_a_complex_number(content: str) -> None:
    with pytest.raises(MalformedMessage):
        json_codec.loads(f'{{"$complex":{content}}}')


@pytest.mark.parametrize("name", [row.name for row in scalar_types.TYPES if row.name != "complex"])
def test_a_tag_holds_a_text(name: str) -> None:
    for content in ("1", "null", "[]", "{}", '{"$bytes":""}'):
        with pytest.raises(MalformedMessage, match="is not a str"):
            json_codec.loads(f'{{"${name}":{content}}}')


@pytest.mark.parametrize(
    "zone", ["Nowhere/Town", "../../etc/passwd", "/etc/passwd", "Europe", "europe/berlin/"]
)
def test_a_zone_that_this_machine_does_not_know(zone: str) -> None:
    text = f"2026-11-29T12:30:00+01:00[{zone}]"
    with pytest.raises(MalformedMessage, match=f"the time zone '{zone}' .* the package tzdata"):
        json_codec.loads(f'{{"$datetime":"{text}"}}')
    with pytest.raises(MalformedMessage, match="tzdata"):
        from_xml(f'<message type="datetime">{text}</message>')


@pytest.mark.parametrize(
    "value",
    [
        *(BERLIN, timezone.utc, date, datetime, ZoneInfo, getattr, UTC.utcoffset),
        *(Decimal, UUID, complex, scalar_types),
    ],
    ids=repr,
)
@pytest.mark.parametrize("before", [[], [time(1, tzinfo=BERLIN)], [Decimal(1)]], ids=repr)
def test_what_a_pickle_of_them_names_is_no_value(before: list[Any], value: Any) -> None:
    if before and value in (getattr, ZoneInfo, Decimal):
        pytest.skip("the pickler has written it already; the broker refuses it")
    publish = pickle_codec.PickleCodec().publisher("/a")
    for _ in range(2):
        with pytest.raises(NotPlainData):
            publish([*before, value], True)
        publish([*before, 1], True)


def test_nobody_imports_zoneinfo_who_does_not_name_a_zone() -> None:
    program = (
        "import sys, datetime; from babelmq import json_codec\n"
        "now = datetime.datetime.now(datetime.timezone.utc)\n"
        "assert json_codec.loads(json_codec.dumps([now, now.time()])) == [now, now.time()]\n"
        "assert 'zoneinfo' not in sys.modules and 'numpy' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_a_fraction_has_as_many_digits_as_a_broker_takes() -> None:
    most = "1" * 1_000
    assert json_codec.loads(f'{{"$fraction":"-{most}/7"}}') == Fraction(-int(most), 7)
    for text in (f"{most}1", f"1/{most}1"):
        with pytest.raises(MalformedMessage, match="1,000 digits"):
            json_codec.loads(f'{{"$fraction":"{text}"}}')
