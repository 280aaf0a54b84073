"""The examples of streams, run as a reader would, against a real broker."""

from __future__ import annotations

import re
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from real_broker import BINARY, RealBroker

from babelmq import JSONQueue

pytestmark = pytest.mark.skipif(
    not BINARY, reason="it needs a real broker: set BABELMQ_BIN; `make test` does"
)

EXAMPLES = Path(__file__).parent.parent / "examples"


@pytest.fixture
def orders(tmp_path: Path) -> Iterator[RealBroker]:
    started = RealBroker("--data-dir", str(tmp_path / "data"), "--stream", "orders:filter=orders/#")
    yield started
    started.close()


def run(name: str, *arguments: str) -> str:
    command = [sys.executable, str(EXAMPLES / name), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def kept(orders: RealBroker) -> list[object]:
    with JSONQueue.producer("orders/new", address=orders.address, timeout=5) as queue:
        return [message.value for message in queue.get_last(count=100)]


def test_a_work_queue_of_which_one_worker_is_killed(orders: RealBroker) -> None:
    said = run("work_queue.py", "--orders", "30", "--pause", "0.02", "--address", orders.address)
    lines = said.splitlines()
    assert lines[-1] == "30 orders are done"
    assert "bob was killed" in lines
    assert {f"order {n}" for n in range(30)} <= {
        line.split(" done ")[1].split(",")[0] for line in lines if " done " in line
    }
    after = lines[lines.index("bob was killed") + 1 :]
    # What bob had done before may be read after it: no more than he had in his hands.
    assert sum(line.startswith("bob") for line in after) <= 4
    # The other two were killed as well, and had as many each.
    with JSONQueue.consumer("orders", consumer="billing", address=orders.address) as queue:
        assert queue.pending is not None and queue.pending <= 8


def test_an_outbox(orders: RealBroker, tmp_path: Path) -> None:
    database = str(tmp_path / "shop.db")
    given = ("--database", database, "--address", orders.address)
    assert run("outbox.py", *given, "--order", "X1", "--order", "X2") == "2 messages published\n"
    assert run("outbox.py", *given) == "0 messages published\n"
    assert kept(orders) == [{"sku": "X1"}, {"sku": "X2"}]
    # It dies after the broker has confirmed and before the rows are deleted.
    with sqlite3.connect(database) as opened:
        opened.execute(
            "CREATE TRIGGER dies BEFORE DELETE ON outbox BEGIN SELECT RAISE(ABORT, 'dies'); END"
        )
    with pytest.raises(AssertionError, match="dies"):
        run("outbox.py", *given, "--order", "X3")
    assert kept(orders) == [{"sku": "X1"}, {"sku": "X2"}, {"sku": "X3"}]
    with sqlite3.connect(database) as opened:
        opened.execute("DROP TRIGGER dies")
    assert run("outbox.py", *given, "--order", "X4") == "2 messages published\n"
    assert kept(orders) == [{"sku": "X1"}, {"sku": "X2"}, {"sku": "X3"}, {"sku": "X4"}]


def test_readme(orders: RealBroker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BABELMQ_ADDR", orders.address)
    readme = (EXAMPLES.parent / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", readme, re.DOTALL)
    (code,) = (block for block in blocks if "consumer=" in block)
    exec(compile(code, "README.md", "exec"), {"__name__": "readme"})


def test_a_replay(orders: RealBroker) -> None:
    with JSONQueue.producer("orders/new", address=orders.address, timeout=5) as queue:
        queue.push({"order": 1})
        queue.push({"order": 2})
    given = ("--address", orders.address)
    # Of yesterday there is nothing.
    assert run("replay.py", *given) == ""
    tomorrow = (datetime.now() + timedelta(days=1)).isoformat()
    lines = run("replay.py", *given, "--until", tomorrow).splitlines()
    assert [line.split(" ", 2)[2] for line in lines] == [
        "orders/new {'order': 1}",
        "orders/new {'order': 2}",
    ]
    assert run("replay.py", *given, "--since", tomorrow, "--until", tomorrow) == ""
