"""The translator that a user would write without babelmq: CPython between two sockets.

    python3 diy.py pickle-json | json-pickle | json-xml | xml-json

It prints the port that it listens on, takes one consumer (whose first byte is S, answered with K) and one producer
(whose first byte is P), and translates frame after frame: five bytes of header (a byte that is ignored and the length,
big-endian), then the payload. It reads and writes in bulk, as much at once as has arrived. The XML side is leaner than
dicttoxml and xmltodict are: the reader is the C one of xml.etree, the writer joins strings.
"""

import json
import pickle
import socket
import struct
import sys
import xml.etree.ElementTree as etree
from xml.sax.saxutils import escape

HEADER = struct.Struct(">BI")
CHUNK = 64 << 10


def write_xml(tag, value, out):
    """As dicttoxml does: the key is the element's name and `type` says the type."""
    if isinstance(value, str):
        out.append(f'<{tag} type="str">{escape(value)}</{tag}>')
    elif value is None:
        out.append(f'<{tag} type="null"/>')
    elif isinstance(value, bool):
        out.append(f'<{tag} type="bool">{"true" if value else "false"}</{tag}>')
    elif isinstance(value, int):
        out.append(f'<{tag} type="int">{value}</{tag}>')
    elif isinstance(value, float):
        out.append(f'<{tag} type="float">{value!r}</{tag}>')
    elif isinstance(value, dict):
        out.append(f'<{tag} type="dict">')
        for key, item in value.items():
            write_xml(key, item, out)
        out.append(f"</{tag}>")
    else:
        out.append(f'<{tag} type="list">')
        for item in value:
            write_xml("item", item, out)
        out.append(f"</{tag}>")


def read_xml(element):
    kind = element.get("type")
    if kind == "dict":
        return {child.tag: read_xml(child) for child in element}
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


def json_to_xml(payload):
    out = []
    write_xml("message", json.loads(payload), out)
    return "".join(out).encode()


TRANSLATORS = {
    "pickle-json": lambda payload: json.dumps(
        pickle.loads(payload), separators=(",", ":")
    ).encode(),
    "json-pickle": lambda payload: pickle.dumps(json.loads(payload)),
    "json-xml": json_to_xml,
    "xml-json": lambda payload: json.dumps(
        read_xml(etree.fromstring(payload)), separators=(",", ":")
    ).encode(),
}


def main():
    translate = TRANSLATORS[sys.argv[1]]
    listener = socket.create_server(("127.0.0.1", 0))
    print("listening on", "127.0.0.1:%d" % listener.getsockname()[1], flush=True)
    producer = consumer = None
    while producer is None or consumer is None:
        connection, _ = listener.accept()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        role = connection.recv(1)
        if role == b"S":
            consumer = connection
            consumer.sendall(b"K")
        elif role == b"P":
            producer = connection
    waiting = b""
    while arrived := producer.recv(CHUNK):
        waiting += arrived
        at, out = 0, []
        while len(waiting) - at >= HEADER.size:
            _, length = HEADER.unpack_from(waiting, at)
            end = at + HEADER.size + length
            if end > len(waiting):
                break
            translated = translate(waiting[at + HEADER.size : end])
            out.append(HEADER.pack(0, len(translated)))
            out.append(translated)
            at = end
        waiting = waiting[at:]
        if out:
            consumer.sendall(b"".join(out))


main()
