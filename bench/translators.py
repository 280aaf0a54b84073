"""What a user would write to translate a message without babelmq, with either JSON library.

The XML side is leaner than dicttoxml and xmltodict are: the reader is the C one of xml.etree, the
writer joins strings. Both know what babelmq writes: `type` says the type, and a key that is no name
is an attribute.
"""

import json
import pickle
import re
import xml.etree.ElementTree as etree
from functools import lru_cache
from xml.sax.saxutils import escape, quoteattr

try:
    import orjson
except ImportError:
    orjson = None

NAME = re.compile(r"(?!item\Z)(?![xX][mM][lL])[^\W\d][\w.-]*")
PROTOCOL = 5


@lru_cache(maxsize=4096)
def tags(key):
    """What opens and what closes the element of a key."""
    if NAME.fullmatch(key):
        return f"<{key}", f"</{key}>"
    return f"<item key={quoteattr(key)}", "</item>"


def write_xml(opening, closing, value, out):
    if isinstance(value, str):
        out.append(f'{opening} type="str">{escape(value)}{closing}')
    elif value is None:
        out.append(f'{opening} type="null"/>')
    elif isinstance(value, bool):
        out.append(f'{opening} type="bool">{"true" if value else "false"}{closing}')
    elif isinstance(value, int):
        out.append(f'{opening} type="int">{value}{closing}')
    elif isinstance(value, float):
        out.append(f'{opening} type="float">{value!r}{closing}')
    elif isinstance(value, dict):
        out.append(f'{opening} type="dict">')
        for key, item in value.items():
            write_xml(*tags(key), item, out)
        out.append(closing)
    else:
        out.append(f'{opening} type="list">')
        for item in value:
            write_xml("<item", "</item>", item, out)
        out.append(closing)


def read_xml(element):
    kind = element.get("type")
    if kind == "dict":
        return {child.get("key", child.tag): read_xml(child) for child in element}
    if kind == "list":
        return [read_xml(child) for child in element]
    if kind == "int":
        return int(element.text)
    if kind == "float":
        return float(element.text)
    if kind == "bool":
        return element.text == "true"
    if kind == "null":
        return None
    return element.text or ""


def to_xml(value):
    out = []
    write_xml("<message", "</message>", value, out)
    return "".join(out).encode()


def from_xml(payload):
    return read_xml(etree.fromstring(payload))


def to_pickle(value):
    return pickle.dumps(value, PROTOCOL)


def standard_json(value):
    return json.dumps(value, separators=(",", ":")).encode()


LIBRARIES = {"standard": (json.loads, standard_json)}
if orjson is not None:
    LIBRARIES["orjson"] = (orjson.loads, orjson.dumps)

DIRECTIONS = [
    "json-json",
    "json-pickle",
    "json-xml",
    "pickle-json",
    "pickle-xml",
    "pickle-pickle",
    "xml-json",
    "xml-pickle",
]


def translator(direction, library):
    """A function from a payload to another: `json-pickle` and the like, `standard` or `orjson`."""
    from_json, to_json = LIBRARIES[library]
    readers = {"json": from_json, "pickle": pickle.loads, "xml": from_xml}
    writers = {"json": to_json, "pickle": to_pickle, "xml": to_xml}
    origin, goal = direction.split("-")
    read, write = readers[origin], writers[goal]
    return lambda payload: write(read(payload))
