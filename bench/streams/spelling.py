"""Spells a stream's messages in three formats, and writes them down.

A file is a row of fields, each with its length in four bytes before it, big-endian; nine fields
make a message: its topic; JSON, pickle and XML; the JSON frame's body before and after the message,
the pickled frame's body, and the XML frame's body before and after the message. Pickles are
CPython's, XML is that of babelmq's Python client.
"""

import json
import pickle
import struct
import sys
from pathlib import Path

import envelopes

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "clients" / "python" / "src"))

from babelmq import xml_writer  # noqa: E402

PROTOCOL = 5
LENGTH = struct.Struct(">I")


def fields_of(message, number, styles):
    value = json.loads(message.text)
    style = styles[number % len(styles)]
    yield message.topic.encode()
    yield message.text.encode()
    yield pickle.dumps(value, PROTOCOL)
    yield xml_writer.element(value)
    yield from style.json(message.topic)
    yield style.pickle(message.topic, value)
    yield from style.xml(message.topic)


def is_flat(value):
    return type(value) is dict and not any(type(item) in (dict, list) for item in value.values())


def write(stream, folder):
    """Writes a stream, and returns its entry in the list of streams."""
    styles = envelopes.MIXED if stream.envelopes == "mixed" else envelopes.ALIKE
    file = folder / f"{stream.name}.stream"
    total = 0
    with file.open("wb") as out:
        for number, message in enumerate(stream.messages):
            for part in fields_of(message, number, styles):
                out.write(LENGTH.pack(len(part)))
                out.write(part)
            total += len(message.text.encode())
    roots = {message.topic.split("/")[0] for message in stream.messages}
    if len(roots) != 1:
        raise ValueError(f"the topics of {stream.name} have no first part in common")
    return {
        "name": stream.name,
        "title": stream.title,
        "group": stream.group,
        "root": roots.pop(),
        "flat": all(is_flat(json.loads(message.text)) for message in stream.messages[:100]),
        "topics": len({message.topic for message in stream.messages}),
        "messages": len(stream.messages),
        "bytes": round(total / len(stream.messages)),
    }
