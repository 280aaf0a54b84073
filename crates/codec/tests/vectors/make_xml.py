"""Writes xml/plain.jsonl: plain documents, and what CPython's xmltodict makes of them; and
xml/unparse.jsonl: values as JSON, and what it writes for them.

python3 -m venv venv && venv/bin/pip install xmltodict==1.0.4
venv/bin/python crates/codec/tests/vectors/make_xml.py
"""

import json
import os
import random

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
    "<message>&#x1F600;\U0001f600</message>",
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
    attributes = "".join(
        f' {key}="{rng.choice(["", " x ", "&amp;"])}"'
        for key in "xy"
        if rng.random() < 0.2
    )
    content = []
    for _ in range(rng.randrange(5 if depth < 4 else 1)):
        content.append(random_document(rng, depth + 1))
    for text in rng.choices(
        [
            "",
            " ",
            "\r\n",
            "t",
            " t ",
            "&lt;",
            "<!-- c -->",
            "<![CDATA[ & ]]>",
            "<?p?>",
            "\u00e9",
        ],
        k=2,
    ):
        content.insert(rng.randrange(len(content) + 1), text)
    return f"<{name}{attributes}>{''.join(content)}</{name}>"


SCALARS = [
    None, True, False, 0, -7, 2**70, 1.5, -0.0, 1e16, 1e-05, "", "t", " t ", "<&>", "\u00e9", "a\nb\tc",
    "'", "]]>", "\u6f22\U0001f600",
]


def random_value(rng, depth=0):
    """A value as untyped XML can say it, and more."""
    kind = rng.random()
    if depth > 4 or kind < 0.3:
        return rng.choice(SCALARS)
    if kind < 0.6:
        return [random_value(rng, depth + 1) for _ in range(rng.randrange(4))]
    return random_dict(rng, depth)


def random_dict(rng, depth=0):
    """At the top there is no element whose attributes and text these could be."""
    entries = []
    for key in rng.sample(["a", "b", "item", "\u00fc", "x-1.y", "_", "type", "@a", "@b", "#text"], rng.randrange(5)):
        if key[0] not in "@#":
            entries.append((key, random_value(rng, depth + 1)))
        elif depth:
            entries.append((key, rng.choice(SCALARS)))
    return dict(entries)


def make_unparse(rng):
    values = [
        {"order": {"sku": ["X1", "X2"], "@id": "5"}},
        {"a": {"#text": "t", "b": None, "@c": True}},
        {"a": [[1, [2, [3]]], [], {}, None]},
        {},
    ]
    values += [random_dict(rng) for _ in range(400)]
    with open(os.path.join(HERE, "xml", "unparse.jsonl"), "w", encoding="utf-8") as out:
        for value in values:
            xml = xmltodict.unparse(value, full_document=False, expand_iter="item")
            out.write(json.dumps({"json": json.dumps(value), "xml": xml}) + "\n")


def make():
    rng = random.Random(1)
    documents = DOCUMENTS + [random_document(rng) for _ in range(60)]
    with open(os.path.join(HERE, "xml", "plain.jsonl"), "w", encoding="utf-8") as out:
        for document in documents:
            (value,) = xmltodict.parse(document).values()
            out.write(json.dumps({"xml": document, "value": show(value)}) + "\n")
    make_unparse(rng)


if __name__ == "__main__":
    make()
