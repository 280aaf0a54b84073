"""The same value, pushed by the Python and by the Rust middleware, is the same to whoever receives
it.

Rust gets its values from the broker: `examples/forward.rs` pulls them and pushes them again, in
each format. What that would lose on the way arrives as a difference.
"""

from __future__ import annotations

import os
import pickle
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from values import spelled

import babelmq
from judge.table import (
    as_exact_pickle,
    as_json,
    as_pickle,
    as_value,
    canonical,
    from_element,
    outline,
)
from judge.test_directions import BATCH, TOTAL, judged, values
from judge.wire import FORMATS, JSON, PICKLE, XML, Wire, wire

QUEUES: dict[str, type[babelmq.Queue]] = {
    "json": babelmq.JSONQueue,
    "xml": babelmq.XMLQueue,
    "pickle": babelmq.PickleQueue,
}
CONSUMERS = {
    "json": (JSON, False),
    "json exact": (JSON, True),
    "xml": (XML, False),
    "pickle": (PICKLE, False),
    "pickle exact": (PICKLE, True),
}
COUNT = max(TOTAL // 10, BATCH)


@pytest.fixture(scope="module")
def rust(broker: str) -> Iterator[None]:
    """Three Rust programs, each of which pushes to /same/rust/FORMAT what is published to
    /values.
    """
    program = Path(os.environ["BABELMQ_BIN"]).parent / "examples" / "forward"
    if not program.exists():
        pytest.fail(f"{program} is missing: cargo build --examples", pytrace=False)
    with ExitStack() as stack:
        for name in QUEUES:
            arguments = [
                "--from",
                "/values",
                "--to",
                f"/same/rust/{name}",
                "--format",
                name,
                "--address",
                broker,
            ]
            command = [str(program), *arguments]
            process = stack.enter_context(
                subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
            )
            stack.callback(process.terminate)
            assert process.stdout is not None
            assert process.stdout.readline().startswith("forwarding"), (
                "it said that before it subscribed"
            )
        yield


@pytest.fixture(scope="module")
def python(broker: str) -> Iterator[dict[str, babelmq.Queue]]:
    """The three queues of the package."""
    producer = babelmq.MiddlewareType.PRODUCER
    queues = {
        name: queue(f"/same/python/{name}", producer, address=broker, timeout=30)
        for name, queue in QUEUES.items()
    }
    yield queues
    for queue in queues.values():
        queue.close()


@pytest.fixture(scope="module")
def consumers(broker: str) -> Iterator[dict[str, Wire]]:
    """A raw connection for each way to receive."""
    with ExitStack() as stack:
        found = {
            name: stack.enter_context(wire(broker, spoken, exact))
            for name, (spoken, exact) in CONSUMERS.items()
        }
        for consumer in found.values():
            consumer.subscribe("/same")
        yield found


def received(consumer: Wire, count: int) -> dict[str, list[tuple[bytes, Any]]]:
    """The next ``count`` messages of each of the six producers, in its order."""
    found: dict[str, list[tuple[bytes, Any]]] = {}
    for _ in range(count * 2 * len(QUEUES)):
        body = consumer.receive_body()
        message = consumer.read(body)
        payload = message.find("message") if consumer.spoken == XML else message["message"]
        found.setdefault(message.get("topic").removeprefix("/same/"), []).append((body, payload))
    assert {len(messages) for messages in found.values()} == {count}
    return found


def test_the_same_value_is_the_same_message(
    broker: str, rust: None, python: dict[str, babelmq.Queue], consumers: dict[str, Wire]
) -> None:
    count = 0

    @settings(judged, max_examples=-(-COUNT // BATCH))
    @given(st.lists(values, min_size=BATCH, max_size=BATCH))
    def judge(batch: list[Any]) -> None:
        nonlocal count
        for value in batch:
            source.push(value, retain=False)
            for queue in python.values():
                queue.push(value)
        source.flush()
        for queue in python.values():
            queue.flush()
        for name, consumer in consumers.items():
            messages = received(consumer, len(batch))
            for format_name in FORMATS.values():
                pairs = zip(messages[f"python/{format_name}"], messages[f"rust/{format_name}"])
                for value, ((python_body, from_python), (rust_body, from_rust)) in zip(
                    batch, pairs
                ):
                    same = outline if consumer.spoken == XML else canonical
                    about = f"{pickle.dumps(value)!r} from {format_name} to {name}"
                    about = f"{about}\n  {python_body!r}\n  {rust_body!r}"
                    if name == "pickle":
                        assert (
                            spelled(from_python) == spelled(from_rust) == spelled(as_pickle(value))
                        ), about
                        continue
                    is_typed = spelled(as_pickle(value)) != spelled(as_value(value))
                    if format_name == "pickle" and is_typed:
                        # Rust writes no classes, so types are lost on its way to the broker.
                        continue
                    if name == "pickle exact":
                        found = spelled(from_python), spelled(from_rust)
                        assert found == (spelled(as_exact_pickle(value)),) * 2, about
                        continue
                    assert same(from_python) == same(from_rust), about
                    if name == "json exact":
                        assert canonical(from_rust) == canonical(
                            as_json(as_value(value), exact=True)
                        ), about
                    if name == "xml":
                        assert spelled(from_element(from_rust)) == spelled(as_value(value)), about
        count += len(batch)

    with babelmq.PickleQueue(
        "/values", babelmq.MiddlewareType.PRODUCER, address=broker, timeout=30
    ) as source:
        judge()
    assert count >= COUNT
