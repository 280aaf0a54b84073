"""All nine directions, for values drawn from the whole model; pickle to X and back to pickle is the
identity.
"""

from __future__ import annotations

import io
import json
import os
import pickle
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import date
from decimal import Decimal
from typing import Any

from arrays import arrays, is_array
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from values import library, library_keys, spelled, text

from judge.table import (
    as_exact_pickle,
    as_json,
    as_pickle,
    as_value,
    canonical,
    from_element,
    message_element,
)
from judge.wire import JSON, PICKLE, XML, Wire, wire

TOTAL = int(os.environ.get("BABELMQ_JUDGE_VALUES", "20000"))
BATCH = 20
PRODUCERS = 3
EXAMPLES = -(-TOTAL // (PRODUCERS * BATCH))

# Nothing is shrunk: a failure names the one value and its bytes, and a batch takes long to shrink.
judged = settings(
    phases=[Phase.generate],
    max_examples=EXAMPLES,
    deadline=None,
    database=None,
    print_blob=True,
    suppress_health_check=list(HealthCheck),
)

huge = st.builds(
    lambda bits, less, sign: sign * ((1 << bits) - less),
    st.integers(60, 14280),
    st.integers(0, 2**32),
    st.sampled_from([1, -1]),
)
integers = (
    st.integers()
    | st.integers(-(2**66), 2**66)
    | st.sampled_from([2**63, 2**63 - 1, -(2**63), -(2**63) - 1])
)
floats = st.floats() | st.sampled_from(
    [-0.0, 5e-324, 2.2250738585072009e-308, 1e16, 1e22, 1e-7, 1.7976931348623157e308]
)
scalars = st.none() | st.booleans() | integers | huge | floats | text | st.binary(max_size=20)
hashables: st.SearchStrategy[Any] = st.recursive(
    scalars | library_keys,
    lambda inner: st.lists(inner, max_size=3).map(tuple) | st.frozensets(inner, max_size=3),
    max_leaves=4,
)
shapes: list[Callable[[Any], Any]] = [
    lambda v: [v, v],
    lambda v: {"a": v, "b": [v]},
    lambda v: (v, [v], v),
]


def with_itself(array: Any) -> Any:
    """An array and its first item, which are written anew, and nothing that both share."""
    return [array, array[:1] if array.ndim else (array, array)]


values: st.SearchStrategy[Any] = st.recursive(
    # Of many kinds and shapes, and so more often than others.
    scalars | library | arrays | arrays.map(with_itself) | st.binary(max_size=20).map(bytearray),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.sets(hashables, max_size=4)
        | st.frozensets(hashables, max_size=4)
        | st.dictionaries(text, inner, max_size=4)
        | st.dictionaries(hashables, inner, max_size=4)
        | st.builds(lambda shape, value: shape(value), st.sampled_from(shapes), inner)
    ),
    max_leaves=8,
)
documents: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | integers
    | huge
    | st.floats(allow_nan=False, allow_infinity=False)
    | text,
    lambda inner: (
        st.lists(inner, max_size=4)
        # None is a tag: hypothesis knows the words of the files around it.
        | st.dictionaries(text.map(lambda name: name.replace("$", "$.")), inner, max_size=4)
    ),
    max_leaves=8,
)
protocols = st.integers(0, 5)


class ByPython(pickle._Pickler):
    """The pickler that is written in Python. That of CPython 3.11 takes the bytes of an array that
    can be written to for those of any other of the same content that is shared, as ``b""``, and
    what was bytes is a bytearray when it is read. The one that is written in C copies them too.
    """

    def save_bytearray(self, obj: bytes) -> None:
        super().save_bytearray(bytearray(obj))  # type: ignore[misc]


def by_python(value: Any, protocol: int) -> bytes:
    """What the pickler that is written in Python writes."""
    out = io.BytesIO()
    try:
        ByPython(out, protocol).dump(value)
    except AssertionError:
        # It cannot memoise the same bytes of two read-only arrays, as b"".
        return pickle.dumps(value, protocol)
    return out.getvalue()


picklers: st.SearchStrategy[Callable[[Any, int], bytes]] = st.sampled_from(
    [pickle.dumps, by_python]
)


class Lines:
    """Long-lived connections: producers, and consumers of every kind."""

    def __init__(self, address: str, stack: ExitStack) -> None:
        self.producers = {
            spoken: stack.enter_context(wire(address, spoken)) for spoken in (JSON, XML, PICKLE)
        }
        self.consumers: dict[str, Wire] = {}
        for name, spoken, exact, topic in [
            ("json", JSON, False, "/out"),
            ("json exact", JSON, True, "/out"),
            ("xml", XML, False, "/out"),
            ("pickle", PICKLE, False, "/out"),
            ("pickle exact", PICKLE, True, "/out"),
            ("pickle again", PICKLE, False, "/back"),
            ("pickle exact again", PICKLE, True, "/back"),
        ]:
            self.consumers[name] = stack.enter_context(wire(address, spoken, exact))
            self.consumers[name].subscribe(topic)

    def publish(self, spoken: int, bodies: list[bytes]) -> None:
        """Sends all of them at once; each is accepted."""
        producer = self.producers[spoken]
        producer.send_body(*bodies)
        answer = producer.ask(command="ping", id="end")
        if answer.get("command") != "pong":
            raise AssertionError(
                f"{answer!r} {getattr(answer, 'attrib', '')} for one of {bodies!r}"
            )

    def deliveries(self, name: str, prefix: str, count: int) -> list[tuple[bytes, Any]]:
        """The bodies, in order, and the payload of each."""
        consumer, found = self.consumers[name], []
        for number in range(count):
            body = consumer.receive_body()
            message = consumer.read(body)
            assert (message.get("command"), message.get("topic")) == (
                "publish",
                f"{prefix}/{number}",
            )
            assert message.get("retained") is None
            if consumer.spoken == XML:
                [payload] = message
                assert payload.tag == "message"
            else:
                payload = message["message"]
            found.append((body, payload))
        return found


_lines: list[tuple[Lines, ExitStack]] = []


@contextmanager
def lines(address: str) -> Iterator[Lines]:
    """The connections of the example before, unless it left them in the middle of something."""
    if not _lines:
        stack = ExitStack()
        _lines.append((Lines(address, stack), stack))
    try:
        yield _lines[0][0]
    except BaseException:
        _lines.pop()[1].close()
        raise


def check(name: str, sent: bytes, body: bytes, found: Any, expected: Any) -> None:
    if found != expected:
        raise AssertionError(
            f"{name}\n  sent      {sent!r}\n  delivered {body!r}\n"
            f"  found     {found}\n  expected  {expected}"
        )


def check_all(
    line: Lines, values: list[Any], sent: list[bytes], verbatim: dict[str, list[bytes]]
) -> dict[str, list[bytes]]:
    """What arrives in each format is ``values``; a consumer in ``verbatim`` finds the producer's
    own bytes.
    """
    bodies: dict[str, list[bytes]] = {}
    for name in ("json", "json exact", "xml", "pickle", "pickle exact"):
        arrived = line.deliveries(name, "/out", len(values))
        bodies[name] = [body for body, _ in arrived]
        for number, (body, payload) in enumerate(arrived):
            value = as_value(values[number])
            if name in verbatim:
                check(f"{name}, verbatim", sent[number], body, verbatim[name][number] in body, True)
            elif name == "xml":
                check(name, sent[number], body, spelled(from_element(payload)), spelled(value))
            elif name == "pickle":
                check(name, sent[number], body, spelled(payload), spelled(as_pickle(value)))
            elif name == "pickle exact":
                check(name, sent[number], body, spelled(payload), spelled(as_exact_pickle(value)))
            else:
                expected = as_json(value, exact=name == "json exact")
                check(name, sent[number], body, canonical(payload), canonical(expected))
    return bodies


def as_sent(value: Any, read: Any) -> Any:
    """``value`` as CPython has ``read`` its pickle, since a fold is lost before protocol 4; but of
    arrays, of which numpy loses the order of bytes, as it was.
    """
    if is_array(value):
        return value
    if type(value) is dict:
        return {key: as_sent(*items) for key, *items in zip(read, value.values(), read.values())}
    if type(value) is list or type(value) is tuple:
        return type(value)(map(as_sent, value, read))
    return read


def sent_back(number: int, body: bytes) -> bytes:
    """What was delivered, as it is sent to another topic."""
    out, back = f"/out/{number}".encode(), f"/back/{number}".encode()
    in_pickle = b"\x8c%c%b" % (len(out), out)
    if in_pickle in body:
        return body.replace(in_pickle, b"\x8c%c%b" % (len(back), back), 1)
    return body.replace(b'"/out/', b'"/back/', 1)


def test_from_pickle_and_back(broker: str) -> None:
    count = 0

    @judged
    @given(st.lists(st.tuples(values, protocols, picklers), min_size=BATCH, max_size=BATCH))
    def judge(batch: list[tuple[Any, int, Callable[..., bytes]]]) -> None:
        nonlocal count
        sent = [
            dumps(
                {"command": "publish", "topic": f"/out/{n}", "retain": False, "message": value},
                protocol,
            )
            for n, (value, protocol, dumps) in enumerate(batch)
        ]
        drawn = [
            as_sent(value, pickle.loads(dumps(value, protocol))) for value, protocol, dumps in batch
        ]
        with lines(broker) as line:
            line.publish(PICKLE, sent)
            bodies = check_all(line, drawn, sent, {})
            for way, spoken in (("json exact", JSON), ("xml", XML), ("pickle exact", PICKLE)):
                returned = [sent_back(number, body) for number, body in enumerate(bodies[way])]
                line.publish(spoken, returned)
                for name, read in (
                    ("pickle again", as_pickle),
                    ("pickle exact again", as_exact_pickle),
                ):
                    again = line.deliveries(name, "/back", len(drawn))
                    about = f"pickle to {way} to {name}"
                    for value, first, body, (last, found) in zip(drawn, sent, returned, again):
                        expected = spelled(read(as_value(value)))
                        check(f"{about} ({body!r})", first, last, spelled(found), expected)
                        if (way, name) == ("pickle exact", "pickle exact again"):
                            check(f"{about}, the bytes", first, last, last, body)
        count += len(drawn)

    judge()
    assert count >= TOTAL / PRODUCERS


@st.composite
def json_texts(draw: st.DrawFn) -> tuple[Any, str]:
    """A value, and a text of it as one of the many ways to call ``json.dumps`` spells it."""
    plain = draw(st.booleans())
    value = draw(documents if plain else values)
    spelling = json.dumps(
        value if plain else as_json(value, exact=True),
        ensure_ascii=draw(st.booleans()),
        indent=draw(st.sampled_from([None, 1])),
        separators=draw(st.sampled_from([(",", ":"), (" , ", " : ")])),
        allow_nan=False,
    )
    return (json.loads(spelling) if plain else value), spelling


def test_from_json(broker: str) -> None:
    count = 0

    @judged
    @given(st.lists(json_texts(), min_size=BATCH, max_size=BATCH))
    def judge(batch: list[tuple[Any, str]]) -> None:
        nonlocal count
        payloads = [spelling.encode() for _, spelling in batch]
        sent = [
            b'{"command":"publish","topic":"/out/%d","retain":false,"message":%b}' % (n, payload)
            for n, payload in enumerate(payloads)
        ]
        with lines(broker) as line:
            line.publish(JSON, sent)
            check_all(
                line,
                [value for value, _ in batch],
                sent,
                {"json": [b'"message":' + p for p in payloads]},
            )
        count += len(batch)

    judge()
    assert count >= TOTAL / PRODUCERS


def check_from_xml(broker: str, batch: list[Any]) -> None:
    payloads = [message_element(value) for value in batch]
    sent = [
        b'<frame command="publish" topic="/out/%d" retain="false">%b</frame>' % (n, payload)
        for n, payload in enumerate(payloads)
    ]
    with lines(broker) as line:
        line.publish(XML, sent)
        check_all(line, batch, sent, {"xml": payloads})


def test_of_two_that_meet_as_one_text_neither_gets_lost(broker: str) -> None:
    meeting: list[Any] = [
        {Decimal("1"), "1"},
        {Decimal("1"): 1, "1": 2},
        frozenset({(Decimal("-Infinity"),), ("-Infinity",)}),
        {"a": {date(2020, 1, 1): [], "2020-01-01": {}}},
    ]
    check_from_xml(broker, meeting)


def test_from_xml(broker: str) -> None:
    count = 0

    @judged
    @given(st.lists(values, min_size=BATCH, max_size=BATCH))
    def judge(batch: list[Any]) -> None:
        nonlocal count
        check_from_xml(broker, batch)
        count += len(batch)

    judge()
    assert count >= TOTAL / PRODUCERS
