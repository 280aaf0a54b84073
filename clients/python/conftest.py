"""The broker that tests, doctests and README examples talk to.

With BABELMQ_BIN, the path of a `babelmq` binary, it is the real one; without, a small one of the tests' own.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent / "tests"))
from fake_broker import FakeBroker


def pytest_configure() -> None:
    """Says once what is missing, where collecting would fail in each file that wants it."""
    missing = [name for name in ("hypothesis", "lxml") if importlib.util.find_spec(name) is None]
    if missing:
        raise pytest.UsageError(f"these tests need {' and '.join(missing)}: pip install -e '.[test]'")


@pytest.fixture(autouse=True)
def broker(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A fresh broker, whose address is also in BABELMQ_ADDR."""
    binary = os.environ.get("BABELMQ_BIN")
    if not binary:
        fake = FakeBroker()
        monkeypatch.setenv("BABELMQ_ADDR", fake.address)
        yield fake.address
        fake.close()
        return
    process = subprocess.Popen(
        [binary, "serve", "--listen", "127.0.0.1:0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        address = next(word.rstrip(".,;") for word in line.split() if word.startswith("127.0.0.1:"))
        monkeypatch.setenv("BABELMQ_ADDR", address)
        yield address
    finally:
        process.terminate()
        process.wait(10)
        if process.stdout is not None:
            process.stdout.close()
