"""Pickles that would run something: refused, with nothing delivered, stored or executed."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from judge.wire import JSON, PICKLE, XML, Wire, wire

SYSTEM = b"cposix\nsystem\n"
NAMESPACE = b"(cargparse\nNamespace\no"


def text(value: str) -> bytes:
    return b"V" + value.encode() + b"\n"


def reduce(command: str) -> bytes:
    return SYSTEM + b"(" + text(command) + b"tR"


def nested(command: str) -> bytes:
    return b"(lp7\n(dp8\n" + text("deep") + b"(" + reduce(command) + b"tsa"


def via_memo(command: str) -> bytes:
    return b"(" + SYSTEM + b"p5\n0" + text("harmless") + b"g5\n(" + text(command) + b"tRl"


def via_build(command: str) -> bytes:
    # The first BUILD gives the object a __setstate__, which the second calls.
    return NAMESPACE + b"(d" + text("__setstate__") + SYSTEM + b"sb" + text(command) + b"b"


def dict_key(command: str) -> bytes:
    return b"(" + reduce(command) + text("value") + b"d"


def by_stack_global(command: str) -> bytes:
    return text("posix") + text("system") + b"\x93(" + text(command) + b"tR"


def by_inst(command: str) -> bytes:
    return b"(" + text(command) + b"iposix\nsystem\n"


def by_obj(command: str) -> bytes:
    return b"(" + SYSTEM + text(command) + b"o"


ATTACKS = {
    attack.__name__: attack
    for attack in (reduce, nested, via_memo, via_build, dict_key, by_stack_global, by_inst, by_obj)
}


def pickled(protocol: int, opcodes: bytes) -> bytes:
    return (b"\x80%c" % protocol if protocol >= 2 else b"") + opcodes + b"."


def publish(protocol: int, topic: str, message: bytes) -> bytes:
    fields = (
        text("command") + text("publish") + text("topic") + text(topic) + text("message") + message
    )
    return pickled(protocol, b"(" + fields + b"d")


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("name", ATTACKS)
def test_a_pickle_that_would_run_something(
    broker: str, tmp_path: Path, name: str, protocol: int
) -> None:
    canary, topic = tmp_path / "canary", f"/refused/{name}/{protocol}"
    opcodes = ATTACKS[name](f"touch {canary}")

    # It is what it claims to be: CPython runs it.
    if name != "by_stack_global" or protocol >= 4:
        pickle.loads(pickled(protocol, opcodes))
        assert canary.exists()
        canary.unlink()

    with wire(broker, PICKLE) as producer, wire(broker, PICKLE) as in_pickle:
        with wire(broker, JSON) as in_json, wire(broker, XML) as in_xml:
            producer.send_body(publish(protocol, topic, text("before")))
            assert producer.ask(command="ping", id="1") == {"command": "pong", "id": "1"}
            consumers = [in_pickle, in_json, in_xml]
            for consumer in consumers:
                consumer.send(command="subscribe", topic=topic)
                assert payload(consumer) == "before"
                assert consumer.receive().get("command") == "subscribed"

            producer.send_body(publish(protocol, topic, opcodes))
            error = producer.receive()
            assert (error["command"], error["fatal"]) == ("error", False)
            assert error["code"], error
            expected = "argparse.Namespace" if name == "via_build" else "posix.system"
            assert expected in error["reason"], error

            assert producer.ask(command="get", topic=topic)["message"] == "before"
            producer.send_body(publish(protocol, topic, text("after")))
            assert producer.ask(command="ping", id="2") == {"command": "pong", "id": "2"}
            for consumer in consumers:
                assert payload(consumer) == "after"
    assert not canary.exists()


def payload(consumer: Wire) -> str | None:
    message = consumer.receive()
    assert message.get("command") == "publish"
    if consumer.spoken == XML:
        text: str | None = message.find("message").text
        return text
    word: str = message["message"]
    return word
