"""One record in many spellings, shapes and places: what depends on how a message looks."""

import json
import random
from itertools import repeat

from stream import COMPACT, Message, Stream, compact

COUNT = 400
ASCII = "lorem ipsum dolor sit amet consectetur"
NON_ASCII = "Zoë Brandt & Söhne, Köln — 東京都千代田区 🚀 naïve façade"
ESCAPED = 'C:\\temp\\new\n"quoted"\tand\r\nlines </b> '


def record(number, text):
    """About 700 bytes, nested."""
    item = {
        "sku": "",
        "count": number % 12,
        "price": 19.99,
        "gift": False,
        "tags": ["new", "summer"],
    }
    customer = {"id": 48_213 + number, "name": text, "since": 2011, "vip": True, "referrer": None}
    return {
        "order": 900_000 + number,
        "placed": f"2025-03-14T09:{number % 60:02}:53Z",
        "customer": customer,
        "items": [item | {"sku": f"Q7-{place:03}"} for place in range(4)],
        "total": 311.23 + number,
        "note": (text + " ") * 2,
    }


def records(text):
    return [record(number, text) for number in range(COUNT)]


def stream(name, title, texts, group="variants", topics=1, envelopes="alike"):
    messages = [Message(f"variants/{number % topics}", text) for number, text in enumerate(texts)]
    return Stream(name, title, group, messages, envelopes)


def streams():
    """All variants; what is `wide` is compared with each other."""
    usual, foreign = records(ASCII), records(NON_ASCII)
    plain = [*map(compact, usual)]
    yield stream("plain", "a record", plain)
    yield stream("spaced", "with spaces", map(json.dumps, usual))
    yield stream("indented", "indented", map(indented, usual))
    yield stream("escapes", "escapes", map(compact, records(ESCAPED)))
    yield stream("non-ascii", "non-ASCII as it is", map(compact, foreign))
    yield stream("non-ascii-escaped", "non-ASCII escaped", map(escaped, foreign))
    yield stream("envelopes", "envelopes of several producers", plain, envelopes="mixed")
    for keys in (20, 40, 80, 500):
        yield stream(f"keys-{keys}", f"{keys} keys", map(wide, range(COUNT), repeat(keys)))
    for depth in (5, 60):
        yield stream(f"depth-{depth}", f"depth {depth}", map(deep, range(COUNT), repeat(depth)))
    yield stream("numbers", "numbers of all kinds", numbers())
    for topics, title in ((1, "1 topic"), (1_000, "1,000 topics"), (100_000, "100,000 topics")):
        texts = map(small, range(max(topics, 1_000)))
        yield stream(f"topics-{topics}", title, texts, topics=topics)
    yield stream("one-of-76", "an object of 76 keys", map(wide, range(COUNT), repeat(76)), "wide")
    yield stream("four-of-19", "four objects of 19 keys", map(in_four, range(COUNT)), "wide")


def escaped(value):
    return json.dumps(value, separators=COMPACT)


def indented(value):
    return json.dumps(value, indent=2)


def small(number):
    return compact({"id": 100_000 + number, "celsius": 21.5, "ok": True})


def members(number, keys):
    texts = f"value {number}", "a somewhat longer text of a member"
    for place in range(keys):
        kinds = [texts[0], place * 17 + number, place * 1.25, True, None, texts[1]]
        yield f"property_{place}", kinds[place % len(kinds)]


def wide(number, keys):
    return compact(dict(members(number, keys)))


def in_four(number):
    """The members of `wide`, in four objects; as many bytes, but for the brackets."""
    all_of_them = list(members(number, 76))
    return compact([dict(all_of_them[start : start + 19]) for start in range(0, 76, 19)])


def deep(number, depth):
    value = {"id": number, "celsius": 21.5, "note": "the innermost"}
    for level in range(1, depth):
        value = [value, level] if level % 2 else {"level": level, "inner": value}
    return compact(value)


def numbers():
    rng = random.Random(64)
    for _ in range(COUNT):
        yield compact(
            {
                "small": [rng.randrange(10) for _ in range(8)],
                "ids": [rng.randrange(10**9) for _ in range(4)],
                "long": [rng.randrange(2**63), -rng.randrange(2**63), rng.randrange(2**63, 2**64)],
                "huge": rng.randrange(10**30),
                "negative": [-rng.randrange(1000) for _ in range(4)],
                "prices": [round(rng.uniform(0, 1000), 2) for _ in range(6)],
                "places": [round(rng.uniform(-180, 180), 6) for _ in range(4)],
                "measured": [rng.gauss(0, 1) for _ in range(6)],
                "tiny": [rng.random() * 1e-12, -rng.random() * 1e-300],
                "vast": [rng.random() * 1e22, rng.random() * 1e300],
                "zero": [0, 0.0, -0.0],
            }
        )
