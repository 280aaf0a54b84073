"""Values through the codecs: nothing is lost, and nothing dangerous is read."""

from __future__ import annotations

import base64
import json
import pickle
import pickletools
import re
from typing import Any
from xml.etree import ElementTree
from xml.sax import saxutils

import pytest
from arrays import canonical_array, is_array
from fake_broker import CODECS, decode, exact_pickle
from hypothesis import example, given
from hypothesis import strategies as st
from judge.table import as_exact_pickle, as_value
from values import library_text, plain_values, spelled, values

from babelmq import (
    Format,
    MalformedMessage,
    json_codec,
    pickle_codec,
    xml_codec,
    xml_reader,
    xml_usual,
    xml_writer,
)
from babelmq.frame import HEADER

CALLING_OPCODES = {
    *(
        "GLOBAL",
        "STACK_GLOBAL",
        "INST",
        "OBJ",
        "NEWOBJ",
        "NEWOBJ_EX",
        "REDUCE",
        "BUILD",
        "PERSID",
        "BINPERSID",
    ),
    *("EXT1", "EXT2", "EXT4", "NEXT_BUFFER", "READONLY_BUFFER"),
}


@pytest.mark.parametrize("codec", CODECS.values(), ids=lambda codec: codec.format.name)
@given(value=values)
def test_what_is_pushed_is_what_is_read(codec: Any, value: Any) -> None:
    data = codec.publisher("/a&b")(value, True)
    form, length = HEADER.unpack_from(data)
    assert (form, length) == (codec.format, len(data) - 5)
    message = decode(codec.format, data[5:])
    assert (message["command"], message["topic"]) == ("publish", "/a&b")
    found = message["message"]
    if codec.format == Format.PICKLE:
        # numpy changes the order of bytes of the arrays that it reads.
        found, value = as_exact_pickle(found), as_exact_pickle(value)
    assert spelled(as_value(found)) == spelled(as_value(value))


@given(values)
def test_an_exact_pickle_is_read(value: Any) -> None:
    message = {"command": "publish", "topic": "/a", "message": value}
    found = pickle_codec.PickleCodec().decode(exact_pickle(message))
    assert spelled(found["message"]) == spelled(as_value(value))


@given(values)
def test_json_is_json_for_any_parser(value: Any) -> None:
    def refuse(word: str) -> None:
        raise AssertionError(word)

    json.loads(json_codec.dumps(value), parse_constant=refuse)


@given(values)
def test_xml_is_xml_for_any_parser(value: Any) -> None:
    assert ElementTree.fromstring(xml_writer.element(value)).tag == "message"


def simply_written(tag: str, name: str, value: Any) -> str:
    """The element that docs/protocol.md describes, in as few words as it takes: ``tag`` opens
    it, ``name`` closes it.
    """
    kind = type(value).__name__
    if value is None:
        return f'<{tag} type="null"/>'
    if kind == "str" and re.search("[\0-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]", value):
        data = base64.b64encode(value.encode()).decode()
        return f'<{tag} type="str" encoding="base64">{data}</{name}>'
    if is_array(value):
        data = base64.b64encode(canonical_array(value).tobytes()).decode()
        dtype, shape = value.dtype.str.replace("<", "&lt;"), " ".join(map(str, value.shape))
        dtype = dtype.replace(">", "&gt;")
        return f'<{tag} type="ndarray" dtype="{dtype}" shape="{shape}">{data}</{name}>'
    text = library_text(value)
    if text is not None:
        kind, inner = text
    elif kind == "str":
        inner = saxutils.escape(value, {"\r": "&#13;"})
    elif kind in ("bytes", "bytearray"):
        kind, inner = "bytes", base64.b64encode(value).decode()
    elif kind == "float":
        inner = {"nan": "NaN", "inf": "INF", "-inf": "-INF"}.get(repr(value), repr(value))
    elif kind in ("int", "bool"):
        inner = str(value).lower()
    elif kind == "dict" and all(type(key) is str for key in value):
        inner = "".join(
            simply_written(xml_writer._tags[key][0][1 : -len(' type="')], close, item)
            for key, item in value.items()
            for close in [xml_writer._tags[key][1][2:-1]]
        )
    elif kind == "dict":
        kind = "map"
        entries = (
            simply_written("key", "key", key) + simply_written("value", "value", item)
            for key, item in value.items()
        )
        inner = "".join(f"<entry>{entry}</entry>" for entry in entries)
    else:
        inner = "".join(simply_written("item", "item", item) for item in value)
    return f'<{tag} type="{kind}">{inner}</{name}>'


def usually_read(body: bytes) -> Any:
    """What the quick reader makes of a message; ``None`` where it leaves it to the other."""
    try:
        return xml_usual.read(body, xml_reader._SCALARS)
    except (ValueError, TypeError, KeyError):
        return None


def check_usual(body: bytes) -> bool:
    """The quick reader refuses nothing: it gives the value that the complete one would, or none.
    Returns whether it did.
    """
    found = usually_read(body)
    if found is None:
        return False
    topic, retained, value = found
    message = xml_reader._Reader().read(body)
    fields = {"command": "publish", "topic": topic, "message": value}
    if retained:
        fields["retained"] = "true"
    assert {**fields, xml_reader.SOURCE: body}.keys() == message.keys()
    assert spelled(value) == spelled(message["message"])
    assert {**message, "message": None, xml_reader.SOURCE: None} == {
        **fields,
        "message": None,
        xml_reader.SOURCE: None,
    }
    return True


def delivered(value: Any, more: str = "") -> bytes:
    start = f'<frame command="publish" topic="/a"{more}>'
    return xml_writer.element(value, "message", None, start, "</frame>")


@given(
    value=values,
    at=st.integers(0, 400),
    cut=st.integers(0, 12),
    piece=st.sampled_from(
        [
            *("", "&", "&lt;", "&#13;", "&#x41;", "&a;", "<", ">", "]]>", "\0", "\r", "\n", "\x7f"),
            *("é", "\ufffe", " ", "/", '"', "<!-- x -->", "<![CDATA[x]]>", "<a/>", "</a>", "<a>"),
            *(' key="a"', ' type="int"', '<a type="int">1</a>', '<item type="null"/>', "item"),
            *('<message type="null"/>', "</message>", "</frame>", '<a type="dict">', "1", " 1_0 "),
        ]
    ),
)
def test_the_quick_reader_of_xml_says_what_the_complete_one_says(
    value: Any, at: int, cut: int, piece: str
) -> None:
    check_usual(delivered(value, ' retained="true"'))
    text = delivered(value).decode()
    check_usual((text[:at] + piece + text[at + cut :]).encode())


@pytest.mark.parametrize(
    "value",
    [
        None,
        "x",
        "<&>\r\n",
        [],
        {},
        {"a": {"2nd key": [1, 2.5, True, (), {3}, frozenset({"x"}), b"\x00"]}, "b": None},
    ],
)
def test_the_usual_message_in_xml_is_read_by_the_quick_reader(value: Any) -> None:
    assert check_usual(delivered(value))
    assert check_usual(delivered(value, ' retained="true"'))


@pytest.mark.parametrize(
    "xml",
    [
        "<message>text</message>",
        '<message type="document"><a/></message>',
        '<message type="dict"><item type="int">1</item></message>',
        '<message type="dict"><a key="b" type="int">1</a></message>',
        '<message type="dict"><a type="int">1</a> </message>',
        '<message type="int">x</message>',
        '<message type="str">&unknown;</message>',
        '<message type="str">]]></message>',
        '<message type="null"/><message type="null"/>',
        '<message type="null"/><other type="null"/>',
        '<message type="null"/></frame><frame>',
        '<message type="list"></message></frame>',
        '<message type="set"><item type="list"></item></message>',
        '<message type="list">' * 200 + "</message>" * 200,
    ],
)
def test_what_is_not_usual_is_left_to_the_complete_reader(xml: str) -> None:
    body = f'<frame command="publish" topic="/a">{xml}</frame>'.encode()
    assert usually_read(body) is None


LONG = [
    "x" * 39 + last
    for last in ("xx", "é&", "a&", "a<", "]]>", "a\r", "\0", "\n\t", "\x7f", "\uffff")
]


@given(values)
@example(LONG)
@example({text: text for text in LONG})
@example({"a": True, "b": False, "c": None, "d": float("nan"), "e": -float("inf"), "f": {"": 0}})
def test_xml_is_spelled_as_a_simple_writer_spells_it(value: Any) -> None:
    expected = simply_written("message", "message", value)
    assert xml_writer.element(value).decode() == expected


@given(values)
def test_a_frame_holds_what_the_library_of_its_format_writes(value: Any) -> None:
    for retain in (True, False):
        fields = {"command": "publish", "topic": "/a"}
        more = {} if retain else {"retain": False}
        data = pickle_codec.PickleCodec().publisher("/a")(value, retain, 7)
        message = {**fields, "message": value, **more, "ttl": 7}
        assert data[5:] == pickle.dumps(message, pickle_codec.PROTOCOL)
        data = json_codec.JSONCodec().publisher("/a")(value, retain, 7)
        message = {**fields, **more, "ttl": 7, "message": json.loads(json_codec.dumps(value))}
        assert data[5:] == json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode()
        data = xml_codec.XMLCodec().publisher("/a")(value, retain, 7)
        retained = "" if retain else ' retain="false"'
        start = f'<frame command="publish" topic="/a"{retained} ttl="7">'.encode()
        assert data[5:] == start + xml_writer.element(value) + b"</frame>"


@pytest.mark.parametrize("size", [0, 40_000, 70_000, 200_000])
def test_pickles_of_any_size_are_what_the_library_writes(size: int) -> None:
    value = {"data": b"x" * size, "text": "é" * size, "array": bytearray(size)}
    for _ in range(2):
        assert pickle_codec.dumps(value) == pickle.dumps(value, pickle_codec.PROTOCOL)


@given(plain_values)
def test_pickles_of_plain_data_are_data_and_nothing_else(value: Any) -> None:
    opcodes = {
        opcode.name
        for opcode, _, _ in pickletools.genops(pickle_codec.dumps([value, bytearray(b"x")]))
    }
    assert not opcodes & CALLING_OPCODES


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"a": [1, None, True, "é"]}, '{"a":[1,null,true,"é"]}'),
        (1, "1"),
        (2**80, "1208925819614629174706176"),
        (1.0, "1.0"),
        (float("inf"), '{"$float":"inf"}'),
        ([float("nan"), 1], '[{"$float":"nan"},1]'),
        (b"\0", '{"$bytes":"AA=="}'),
        (bytearray(b"\0"), '{"$bytes":"AA=="}'),
        ((1,), '{"$tuple":[1]}'),
        ({7}, '{"$set":[7]}'),
        (frozenset({7}), '{"$frozenset":[7]}'),
        ({1: 2}, '{"$dict":[[1,2]]}'),
        ({"$set": 1}, '{"$dict":[["$set",1]]}'),
        ({"$set": 1, "b": 2}, '{"$set":1,"b":2}'),
        ({}, "{}"),
    ],
)
def test_json_spelling(value: Any, expected: str) -> None:
    assert json_codec.dumps(value).decode() == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (' {"a" : 1} ', {"a": 1}),
        ('{"$int":"123"}', 123),
        ('{"$other":1}', {"$other": 1}),
        ('{"\\u0024bytes":"AA=="}', b"\0"),
        ('{"$bytes":"AA==","b":1}', {"$bytes": "AA==", "b": 1}),
        ('{"$dict":[[[1,[2]],3]]}', {(1, (2,)): 3}),
        ('{"$set":[{"$set":[1]}]}', {frozenset({1})}),
        ('{"a":1,"a":2}', {"a": 2}),
        ('"$"', "$"),
    ],
)
def test_json_reading(text: str, expected: Any) -> None:
    assert spelled(json_codec.loads(text.encode())) == spelled(expected)


@pytest.mark.parametrize(
    "text",
    [
        *(
            "NaN",
            "[Infinity]",
            "",
            "1 2",
            "{",
            '{"$bytes":1}',
            '{"$bytes":"?"}',
            '{"$set":[{}]}',
            '{"$set":1}',
        ),
        *(
            '{"$tuple":"ab"}',
            '{"$dict":[1]}',
            '{"$dict":{}}',
            '{"$float":"x"}',
            '{"$int":1}',
            "[" * 100_000,
        ),
        *('{"$int":"' + "9" * 5000 + '"}', "\xff"),
    ],
    ids=lambda text: repr(text[:20]),
)
def test_json_refused(text: str) -> None:
    with pytest.raises(MalformedMessage):
        json_codec.loads(text.encode("latin-1"))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"temp": 21.5}, '<message type="dict"><temp type="float">21.5</temp></message>'),
        (None, '<message type="null"/>'),
        (True, '<message type="bool">true</message>'),
        (float("nan"), '<message type="float">NaN</message>'),
        (float("-inf"), '<message type="float">-INF</message>'),
        ("a<b&c>\r\n", '<message type="str">a&lt;b&amp;c&gt;&#13;\n</message>'),
        ("\0", '<message type="str" encoding="base64">AA==</message>'),
        ({"item": 1}, '<message type="dict"><item key="item" type="int">1</item></message>'),
        ({"XMLish": 1}, '<message type="dict"><item key="XMLish" type="int">1</item></message>'),
        (
            {'a"\n': 1},
            '<message type="dict"><item key="a&quot;&#10;" type="int">1</item></message>',
        ),
        (
            {"\0": 1},
            '<message type="dict">'
            '<item key="AA==" key-encoding="base64" type="int">1</item></message>',
        ),
        (
            {1: [()]},
            '<message type="map"><entry><key type="int">1</key>'
            '<value type="list"><item type="tuple"></item></value></entry></message>',
        ),
    ],
)
def test_xml_spelling(value: Any, expected: str) -> None:
    assert xml_writer.element(value).decode() == expected


@pytest.mark.parametrize(
    ("xml", "expected"),
    [
        ("<message>text </message>", "text"),
        ("<message/>", None),
        ("<message> \n </message>", None),
        ("<message><a>1</a><a>2</a><b/></message>", {"a": ["1", "2"], "b": None}),
        ("<message><a>1</a><b/><a>2</a><a>3</a></message>", {"a": ["1", "2", "3"], "b": None}),
        ('<message x="1">t<b>2</b>u</message>', {"@x": "1", "b": "2", "#text": "tu"}),
        ('<message type="other"/>', {"@type": "other"}),
        ('<message><a type="int">5</a></message>', {"a": 5}),
        (
            '<message type="document"><a type="int">5</a></message>',
            {"a": {"@type": "int", "#text": "5"}},
        ),
        ('<message type="list"><x type="int"> 5 </x><y>6</y><!-- c --></message>', [5, "6"]),
        ('<message xmlns:n="u"><n:a>1</n:a></message>', {"@xmlns:n": "u", "n:a": "1"}),
        ("<message><![CDATA[<b>]]></message>", "<b>"),
        ('<message type="str"> a&#13;\n</message>', " a\r\n"),
        ('<message type="float">1e3</message>', 1000.0),
    ],
)
def test_xml_reading(xml: str, expected: Any) -> None:
    body = f'<frame command="publish" topic="t">{xml}</frame>'.encode()
    assert spelled(xml_reader.read(body)["message"]) == spelled(expected)


BILLION_LAUGHS = '<!DOCTYPE m [<!ENTITY a "ha"><!ENTITY b "&a;&a;">]><m><message>&b;</message></m>'


@pytest.mark.parametrize(
    "xml",
    [
        *(
            BILLION_LAUGHS,
            "<!DOCTYPE m><m/>",
            '<!DOCTYPE m SYSTEM "file:///etc/passwd"><m/>',
            "<m>&nbsp;</m>",
        ),
        *(
            "",
            "<m>",
            "<m/><m/>",
            "<m>text</m>",
            "<m a='1' a='2'/>",
            "<m a='1'><a/></m>",
            "<m>" * 1000,
            "<m>\0</m>",
        ),
        *(
            '<m><a type="int">x</a></m>',
            '<m><a type="bool">yes</a></m>',
            '<m><a type="bytes">?</a></m>',
        ),
        *(
            '<m><a type="list">x</a></m>',
            '<m><a type="map"><e/></a></m>',
            '<m><a type="int"><b/></a></m>',
        ),
        *('<m><a type="set"><b type="list"/></a></m>', '<m><a type="str" encoding="x">a</a></m>'),
    ],
    ids=lambda text: repr(text[:30]),
)
def test_xml_refused(xml: str) -> None:
    with pytest.raises(MalformedMessage):
        xml_reader.read(xml.encode())


class Evil:
    """Pickles as a call of ``open``, which would leave a file behind."""

    def __init__(self, canary: str) -> None:
        self.canary = canary

    def __reduce__(self) -> Any:
        return open, (self.canary, "w")


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickle_executes_nothing(protocol: int, tmp_path: Any) -> None:
    canary = tmp_path / "canary"
    for message in (Evil(str(canary)), {"message": [Evil(str(canary))]}, {(Evil(str(canary)),): 1}):
        with pytest.raises(MalformedMessage, match=r"open"):
            pickle_codec.PickleCodec().decode(pickle.dumps(message, protocol))
    assert not canary.exists()


@pytest.mark.parametrize(
    "body",
    [
        *(
            b"",
            b".",
            b"\x80\x04",
            b"\x80\x04]",
            b"cos\nsystem\n(S'true'\ntR.",
            b"(S'true'\nios\nsystem\n.",
        ),
        b"\x80\x04\x8c\x02os\x94\x8c\x06system\x94\x93\x94\x8c\x04true\x94\x85\x94R\x94.",
        *(
            b"(cos\nsystem\nS'true'\no.",
            b"Pid\n.",
            b"\x80\x02]Q.",
            b"\x80\x02\x82\x01.",
            b"\x80\x05\x97.",
            b"]}b.",
        ),
        *(b"\x80\x04\x8eAAAAAAA\x7f.", b"\x80\xff}.", pickle.dumps([1]), b"\x80\x02}K\x01R."),
    ],
    ids=repr,
)
def test_pickles_refused(body: Any) -> None:
    with pytest.raises(MalformedMessage):
        pickle_codec.PickleCodec().decode(body if isinstance(body, bytes) else bytes([body]))


def test_a_pickle_extension_is_refused_though_it_is_cached() -> None:
    import copyreg

    copyreg.add_extension("builtins", "print", 0xE7)
    try:
        body = b"\x80\x02\x82\xe7(S'printed'\ntR."
        assert pickle.loads(b"\x80\x02\x82\xe7.") is print  # Now it is in the cache.
        with pytest.raises(MalformedMessage, match="extension 231"):
            pickle_codec.loads(body)
    finally:
        copyreg.remove_extension("builtins", "print", 0xE7)
        copyreg.clear_extension_cache()  # type: ignore[attr-defined, unused-ignore]
