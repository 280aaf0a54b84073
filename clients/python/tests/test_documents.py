"""README and examples are run as they are read."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent.parent
BLOCKS = re.findall(r"```python\n(.*?)```", (HERE / "README.md").read_text(encoding="utf-8"), re.S)


def test_there_are_three_examples() -> None:
    assert len(BLOCKS) == 3


@pytest.mark.parametrize("code", BLOCKS, ids=range(len(BLOCKS)))
def test_readme(code: str) -> None:
    exec(compile(code, "README.md", "exec"), {"__name__": "readme"})


def example(name: str, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, str(HERE / "examples" / name), *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


@pytest.mark.parametrize("queue_type", ["json", "xml", "pickle"])
def test_examples(queue_type: str) -> None:
    producer = example("producer.py", "--topic", "/weather", "--queue_type", queue_type, "--length", "6")
    produced, _ = producer.communicate(timeout=30)
    assert producer.returncode == 0
    assert [line.split()[0] for line in produced.splitlines()] == [
        "/weather/temperature",
        "/weather/humidity",
        "/weather/pressure",
    ] * 2
    consumer = example("consumer.py", "--topic", "/weather", "--queue_type", "json", "--length", "3")
    consumed, _ = consumer.communicate(timeout=30)
    assert consumer.returncode == 0
    # Each subtopic has a queue and so a connection of its own: between them there is no order.
    assert sorted(consumed.splitlines()) == sorted(produced.splitlines()[3:])
