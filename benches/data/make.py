"""Writes the message bodies that benches/translations.rs reads: what CPython's pickle, json and the habit of
dicttoxml make of a small record (128 bytes of JSON) and of a nested one (833 bytes); and what pickle makes of one with a
datetime, a Decimal and a UUID, and of the same with texts in their place."""

import json
import pickle
from datetime import datetime, timezone
from decimal import Decimal
from pathlib import Path
from uuid import UUID
from xml.sax.saxutils import escape

HERE = Path(__file__).parent
FILLER = "lorem ipsum dolor sit amet " * 40
TOPIC = "bench/flow"


def padded(record: dict, size: int) -> dict:
    missing = size - len(compact(record).encode())
    return record | {"note": FILLER[:missing]}


def compact(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def element(tag: str, value: object) -> str:
    kinds = {type(None): "null", bool: "bool", int: "int", float: "float", str: "str", list: "list", dict: "dict"}
    if isinstance(value, dict):
        inner = "".join(element(key, item) for key, item in value.items())
    elif isinstance(value, list):
        inner = "".join(element("item", item) for item in value)
    elif isinstance(value, str):
        inner = escape(value)
    else:
        inner = "" if value is None else compact(value)
    return f'<{tag} type="{kinds[type(value)]}">{inner}</{tag}>'


def item(sku: str, count: int, price: float) -> dict:
    return {"sku": sku, "count": count, "price": price, "gift": False, "tags": ["new", "summer"]}


small = {"sensor": "roof-07", "id": 48213, "celsius": 21.5, "ok": True, "unit": "C", "note": ""}
record = {
    "order": 900_017,
    "placed": "2025-03-14T09:26:53Z",
    "customer": {
        "id": 48_213,
        "name": "Zoë Brandt & Söhne",
        "mail": "zoe@example.org",
        "address": {"street": "Am Markt 7", "town": "Köln", "zip": "50667", "country": "DE"},
        "since": 2011,
        "vip": True,
        "referrer": None,
    },
    "items": [item("X1-100", 2, 19.99), item("X1-200", 1, 249.5), item("Q7-001", 12, 0.75), item("Q7-002", 3, 4.25)],
    "total": 311.23,
    "currency": "EUR",
    "paid": True,
    "note": "",
}

for name, value in ("small", padded(small, 128)), ("record", padded(record, 833)):
    body = {"command": "publish", "topic": TOPIC, "message": value}
    (HERE / f"{name}.json").write_text(compact(body), "utf-8")
    (HERE / f"{name}.pickle").write_bytes(pickle.dumps(body, 4))
    frame = f'<frame command="publish" topic="{TOPIC}">{element("message", value)}</frame>'
    (HERE / f"{name}.xml").write_text(frame, "utf-8")

plain = {
    "id": 48_213,
    "name": "order-000017",
    "customer": "c-00119",
    "status": "shipped",
    "paid": True,
    "note": None,
    "quantity": 3,
    "weight": 12.5,
    "currency": "EUR",
    "country": "DE",
    "tags": ["a", "b"],
    "score": 0.75,
}
placed = datetime(2026, 11, 29, 12, 30, 7, 123_456, timezone.utc)
types = {"placed": placed, "price": Decimal("1104.05"), "key": UUID("12345678-90ab-cdef-1234-567890abcdef")}
texts = {"placed": placed.isoformat(), "price": str(types["price"]), "key": str(types["key"])}
for name, value in ("types", plain | types), ("texts", plain | texts):
    body = {"command": "publish", "topic": TOPIC, "message": value}
    (HERE / f"{name}.pickle").write_bytes(pickle.dumps(body, 4))
