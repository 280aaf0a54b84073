"""Files that JSON libraries are measured with, each cut into messages."""

import json
import lzma

from stream import Message, Stream, compact

POINTS = 32
"""In a piece of a ring."""


def streams(folder):
    for name, cut in [("twitter", twitter), ("github", github), ("citm", citm), ("canada", canada)]:
        messages = [Message(topic, compact(value)) for topic, value in cut(folder)]
        yield Stream(name, f"{name}.json", "real", messages)


def read(folder, name):
    return json.loads(lzma.decompress((folder / f"{name}.json.xz").read_bytes()))


def twitter(folder):
    for status in read(folder, "twitter")["statuses"]:
        yield f"twitter/{status['user']['id']}", status


def github(folder):
    for event in read(folder, "github"):
        yield f"github/{event['type']}", event


def citm(folder):
    catalogue = read(folder, "citm_catalog")
    for event in catalogue["events"].values():
        yield f"citm/event/{event['id']}", event
    for performance in catalogue["performances"]:
        yield f"citm/performance/{performance['eventId']}", performance


def canada(folder):
    rings = read(folder, "canada")["features"][0]["geometry"]["coordinates"]
    for number, ring in enumerate(rings):
        for start in range(0, len(ring), POINTS):
            piece = ring[start : start + POINTS]
            yield f"canada/{number}", {"ring": number, "from": start, "points": piece}
