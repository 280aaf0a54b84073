"""The broker that tests, doctests and README examples talk to.

With BABELMQ_BIN, the path of a `babelmq` binary, it is the real one; without, a small one of the tests' own.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent / "tests"))
from fake_broker import FakeBroker
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
