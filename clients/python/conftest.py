"""The broker that tests, doctests and README examples talk to.

With BABELMQ_BIN, the path of a `babelmq` binary, it is the real one; without, a small one of the
tests' own.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent / "tests"))
from fake_broker import FakeBroker
from kinds import KINDS, Kind
from proxy import Proxy
from real_broker import BINARY, RealBroker


def pytest_configure() -> None:
    """Says once what is missing, where collecting would fail in each file that wants it."""
    needed = ("build", "hatchling", "hypothesis", "lxml")
    missing = [name for name in needed if importlib.util.find_spec(name) is None]
    if missing:
        raise pytest.UsageError(
            f"these tests need {' and '.join(missing)}: pip install --group test"
        )


@pytest.fixture(autouse=True)
def broker(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A fresh broker, whose address is also in BABELMQ_ADDR."""
    started = RealBroker() if BINARY else FakeBroker()
    monkeypatch.setenv("BABELMQ_ADDR", started.address)
    yield started.address
    started.close()


@pytest.fixture
def proxy(broker: str) -> Iterator[Proxy]:
    """What a test can cut, stall and take down, between its clients and the broker."""
    started = Proxy(broker)
    yield started
    started.close()


@pytest.fixture(params=KINDS, ids=["blocking", "asyncio"])
def kind(request: pytest.FixtureRequest) -> Iterator[Kind]:
    """Makes queues of one kind, by the name of their class: of asyncio they are used as blocking
    ones are.
    """
    made: list[Any] = []

    def make(name: str, *arguments: Any, **options: Any) -> Any:
        made.append(request.param(name, *arguments, **options))
        return made[-1]

    yield make
    for queue in made:
        queue.close()
