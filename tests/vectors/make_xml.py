"""Writes xml/plain.jsonl: plain documents, and what CPython's xmltodict makes of them.

    python3 -m venv venv && venv/bin/pip install xmltodict==1.0.4 lxml
    venv/bin/python tests/vectors/make_xml.py                 # writes the vectors
    venv/bin/python tests/vectors/make_xml.py check FILE      # reads samples that the broker wrote
    venv/bin/python tests/vectors/make_xml.py mutate FILE 50000   # for XML_MUTANTS=FILE cargo test … mutants

FILE to check comes from `XML_SAMPLES=FILE cargo test --lib xml::tests::identity::samples -- --ignored`.
"""

import base64
import json
import os
import random
import re
import sys
import xml.etree.ElementTree as ET

import xmltodict

HERE = os.path.dirname(os.path.abspath(__file__))

DOCUMENTS = [
    "<message/>",
    "<message></message>",
    "<message>  \n </message>",
    "<message>text</message>",
    "<message>  text in white space\n</message>",
    "<message>\u00a0 no-break\u2003</message>",
    "<message>&#133;next line&#x2028;</message>",
    "<message>&#32;a&#32;</message>",
    "<message>a&#13;b</message>",
    "<message>a\r\nb\rc\n\rd\r\r\ne</message>",
    "<message>a<!-- c -->b</message>",
    "<message>a\r<!-- c -->\nb</message>",
    "<message><![CDATA[ <raw> & ]]></message>",
    "<message><![CDATA[ ]]></message>",
    "<message>a <![CDATA[<]]>&gt; b</message>",
    "<message>]]&gt;</message>",
    "<message>&lt;&gt;&amp;&quot;&apos;</message>",
    "<message>&#x1F600;\U0001F600</message>",
    "<message><?pi data?>a</message>",
    '<message><order id="5"><sku>X1</sku></order></message>',
    '<message a=""/>',
    '<message a="1">text</message>',
    '<message a="1">  </message>',
    '<message a="x\ty\nz\r\nw&#9;&#10;&#13;"/>',
    "<message a='\"&lt;&apos;>'/>",
    '<message b="2" a="1"><c/></message>',
    "<message><a/></message>",
    "<message><a> </a></message>",
    "<message><a>1</a><a>2</a></message>",
    "<message><a>1</a><b>2</b><a>3</a></message>",
    "<message><a/><a/><a/></message>",
    "<message><b/><a>1</a><c/><a x='1'/><b>t</b><a><a/><a/></a></message>",
    "<message>x<a/>y<a/>z</message>",
    "<message>  x <a/> y  </message>",
    "<message a='1'>x<a/></message>",
    "<message><a/>text<!-- c --> more </message>",
    "<message><a><b><c><d>deep</d></c></b></a></message>",
    "<message>\n  <a>1</a>\n  <b>\n    <c>2</c>\n    <c>3</c>\n  </b>\n</message>",
    "<message><item key='k'>v</item><item>w</item></message>",
    "<message><entry><key>k</key><value>v</value></entry></message>",
    '<message type="order"><a type="x">1</a></message>',
    '<message type="INT">1</message>',
    '<message encoding="base64">AAE=</message>',
    '<message xmlns="urn:a"><b/></message>',
    '<message xmlns:a="urn:a" a:b="1"><a:c xmlns:a="urn:b">t</a:c></message>',
    '<message xml:lang="en" xml:space="preserve"> x </message>',
    "<m\u00e9ssage><\u6f22\u5b57 \u00fc='1'/></m\u00e9ssage>",
    "<message><a-b.c_d/></message>",
    "<message ><a ></a ><b\n/><c\td = '1'\r\n/></message\n>",
    "<message><a>\U0010ffff\ufffd</a></message>",
    "<message>]]</message>",
    "<message>a > b</message>",
    "<message>'\"</message>",
    "<message>" + "".join(f"<k{i}>{i}</k{i}>" for i in range(40)) + "</message>",
    "<message>" + "".join(f"<k{i % 7} n='{i}'/>" for i in range(40)) + "</message>",
    "<message " + " ".join(f"a{i}='{i}'" for i in range(40)) + ">t</message>",
]


def show(value):
    """As the Rust test `shown` writes it."""
    if value is None or isinstance(value, (bool, int, float)):
        return repr(value)
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, bytes):
        return "b:" + value.hex()
    if isinstance(value, dict):
        return "{" + ", ".join(f"{show(k)}: {show(v)}" for k, v in value.items()) + "}"
    items = ", ".join(map(show, value))
    return {list: "[%s]", tuple: "(%s)"}[type(value)] % items


def random_document(rng, depth=0):
    """An element without types, of a few names, so that children repeat."""
    name = rng.choice("abc")
    attributes = "".join(f' {key}="{rng.choice(["", " x ", "&amp;"])}"' for key in "xy" if rng.random() < 0.2)
    content = []
    for _ in range(rng.randrange(5 if depth < 4 else 1)):
        content.append(random_document(rng, depth + 1))
    for text in rng.choices(["", " ", "\r\n", "t", " t ", "&lt;", "<!-- c -->", "<![CDATA[ & ]]>", "<?p?>", "\u00e9"], k=2):
        content.insert(rng.randrange(len(content) + 1), text)
    return f"<{name}{attributes}>{''.join(content)}</{name}>"


def make():
    rng = random.Random(1)
    documents = DOCUMENTS + [random_document(rng) for _ in range(60)]
    with open(os.path.join(HERE, "xml", "plain.jsonl"), "w", encoding="utf-8") as out:
        for document in documents:
            (value,) = xmltodict.parse(document).values()
            out.write(json.dumps({"xml": document, "value": show(value)}) + "\n")


def read_typed(element):
    """The value of an element that the broker wrote, as any program could read it, shown as `show` shows it."""
    kind = element.get("type")
    text = element.text or ""
    if kind == "null":
        assert text == "" and len(element) == 0
        return "None"
    if kind == "bool":
        return {"true": "True", "false": "False"}[text]
    if kind == "int":
        return text
    if kind == "float":
        return rust_float(float(text.replace("INF", "inf")))
    if kind == "str":
        if element.get("encoding") == "base64":
            text = base64.b64decode(text, validate=True).decode()
        return json.dumps(text, ensure_ascii=False)
    if kind == "bytes":
        return "b:" + base64.b64decode(text, validate=True).hex()
    assert text == "", text
    if kind == "map":
        return "{" + ", ".join(": ".join(map(read_typed, entry)) for entry in element) + "}"
    if kind == "dict":
        return "{" + ", ".join(f"{json.dumps(key_of(e), ensure_ascii=False)}: {read_typed(e)}" for e in element) + "}"
    form = {"list": "[%s]", "tuple": "(%s)", "set": "set(%s)", "frozenset": "frozenset(%s)"}[kind]
    return form % ", ".join(map(read_typed, element))


def key_of(element):
    if element.tag != "item":
        return element.tag
    key = element.get("key")
    return base64.b64decode(key, validate=True).decode() if element.get("key-encoding") else key


def rust_float(number):
    """The bits, since Rust and Python spell exponents differently."""
    return "nan" if number != number else number.hex()


def check(path):
    """Reads every sample with ElementTree and with lxml and compares the values."""
    from lxml import etree

    floats = re.compile(r'("(?:[^"\\]|\\.)*"|b:[0-9a-f]*)|(-?[0-9]+(?:\.[0-9]+)?(?:e-?[0-9]+)?|-?inf)')

    def settle(shown):
        def replace(match):
            if match[1] or not re.search(r"[.e]|inf", match[0]):
                return match[0]
            return float(match[0]).hex()

        return floats.sub(replace, shown)

    count = 0
    for line in open(path, encoding="utf-8"):
        vector = json.loads(line)
        expected = settle(vector["value"])
        for parse in (ET.fromstring, etree.fromstring):
            shown = read_typed(parse(vector["xml"]))
            assert shown == expected, (vector["xml"], shown, expected)
        count += 1
    print(count, "samples read alike by ElementTree and lxml")


MUTANTS = """<m xmlns:n='u' a="1 &amp; 2"><!-- c --><n:b n:c='d'>t &lt; &#233;<e/>\r\n u</n:b><?p q?>
<b>]] ></b><b x='' y="'"/><f><![CDATA[<g>]]></f></m>"""
PIECES = ["<", ">", "/>", "</", "&", "&#", ";", "'", '"', "<!--", "-->", "--", "<![CDATA[", "]]>", "<?", "?>", "=", " ",
          "xmlns:n='v'", "xmlns='v'", ":", "\r", "\n", "\0", "\ufffe", "<e/>", "\u00e9", "&#x1F600;", "xml", "<?xml?>", "-", "!", "#",
          "x", "1", "&apos;", "<b>", "</b>", "/", "]", "[", "\t", "\u0300", "\u00b7"]


def mutate(path, count):
    """Writes mutants of a document, each with the value that xmltodict gives it, or null where expat refuses it."""
    rng = random.Random(2)
    refused = 0
    with open(path, "w", encoding="utf-8") as out:
        for _ in range(count):
            mutant = MUTANTS
            for _ in range(rng.randrange(1, 4)):
                at = rng.randrange(len(mutant))
                kind = rng.randrange(4)
                if kind == 0:
                    mutant = mutant[:at] + rng.choice(PIECES) + mutant[at + 1:]
                elif kind == 1:
                    mutant = mutant[:at] + mutant[at + rng.randrange(8):]
                elif kind == 2:
                    mutant = mutant[:at] + rng.choice(PIECES) + mutant[at:]
                else:
                    into = rng.randrange(len(mutant))
                    mutant = mutant[:into] + mutant[at:at + rng.randrange(20)] + mutant[into:]
            try:
                ET.fromstring(mutant)
                (value,) = xmltodict.parse(mutant).values()
                value = show(value)
            except (ET.ParseError, xmltodict.expat.ExpatError):
                value = None
                refused += 1
            out.write(json.dumps({"xml": mutant, "value": value}) + "\n")
    print(count, "mutants,", refused, "of them refused by expat")


if __name__ == "__main__":
    if sys.argv[1:2] == ["check"]:
        check(sys.argv[2])
    elif sys.argv[1:2] == ["mutate"]:
        mutate(sys.argv[2], int(sys.argv[3]))
    else:
        make()
