"""One real broker for all of the judge's tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from real_broker import BINARY, RealBroker

HOW = "the judge needs a real broker: set BABELMQ_BIN to a babelmq binary; `make test` does"


@pytest.fixture(scope="session", autouse=True)
def broker() -> Iterator[str]:
    """The address of a broker that lives as long as the session."""
    if not BINARY:
        pytest.skip(HOW)
    started = RealBroker()
    yield started.address
    assert started.process.poll() is None, (
        f"the broker ended during the tests: {started.process.returncode}"
    )
    started.close()
