"""One real broker for all of the judge's tests."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator

import pytest

HOW = "the judge needs a real broker: set BABELMQ_BIN to a babelmq binary; `make test` does"


@pytest.fixture(scope="session", autouse=True)
def broker() -> Iterator[str]:
    """The address of a broker that lives as long as the session."""
    binary = os.environ.get("BABELMQ_BIN")
    if not binary:
        pytest.skip(HOW)
    process = subprocess.Popen(
        [binary, "serve", "--listen", "127.0.0.1:0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("babelmq listening on "), f"{binary} said {line!r}"
        yield line.split()[-1]
        assert process.poll() is None, f"the broker ended during the tests: {process.returncode}"
    finally:
        process.terminate()
        process.wait(10)
        if process.stdout is not None:
            process.stdout.close()
