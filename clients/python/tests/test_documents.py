"""README and examples are run as they are read."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from babelmq import JSONQueue, MiddlewareType
from babelmq.address import resolve

HERE = Path(__file__).parent.parent
PROJECT = HERE.parent.parent


def blocks(document: Path) -> list[str]:
    return re.findall(r"```python\n(.*?)```", document.read_text(encoding="utf-8"), re.S)


# Those with TLS, with a login and with streams are in test_tls.py, test_login.py and
# test_stream_examples.py.
BLOCKS = [
    code
    for code in blocks(HERE / "README.md")
    if "babelmqs://" not in code and "password" not in code and "consumer=" not in code
]


def test_there_are_nine_examples() -> None:
    assert len(BLOCKS) == 9


@pytest.mark.parametrize("code", BLOCKS, ids=range(len(BLOCKS)))
def test_readme(code: str) -> None:
    exec(compile(code, "README.md", "exec"), {"__name__": "readme"})


@pytest.mark.skipif(
    not (PROJECT / "docs").exists(), reason="the package was taken out of its project"
)
def test_the_projects_own_documents(broker: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The code in them that is Python: with the address of this broker, and an end where they have
    none.
    """
    place = resolve(broker)
    found = blocks(PROJECT / "README.md") + blocks(PROJECT / "docs" / "protocol.md")
    assert len(found) == 3
    said = []
    for code in found:
        code = code.replace('("127.0.0.1", 5000)', repr((place.host, place.port)))
        code = code.replace("while True:\n    print(receive())", "print(receive(), receive())")
        space: dict[str, object] = {}
        exec(compile(code, "document", "exec"), space)
        said.append(capsys.readouterr().out)
        with JSONQueue("/weather/temperature", MiddlewareType.PRODUCER) as queue:
            queue.clear()
        if "topic" in space:
            assert (space["topic"], space["value"]) == ("/weather/temperature", 21.5)
    assert "'subscribed'" in said[1] and "21.5" in said[1]
    assert "'subscribed'" in said[2] and "21.5" in said[2]


def example(name: str, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, str(HERE / "examples" / name), *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


@pytest.mark.parametrize("queue_type", ["json", "xml", "pickle"])
def test_examples(queue_type: str) -> None:
    producer = example(
        "producer.py", "--topic", "/weather", "--queue_type", queue_type, "--length", "6"
    )
    produced, _ = producer.communicate(timeout=30)
    assert producer.returncode == 0
    assert [line.split()[0] for line in produced.splitlines()] == [
        "/weather/temperature",
        "/weather/humidity",
        "/weather/pressure",
    ] * 2
    consumer = example(
        "consumer.py", "--topic", "/weather", "--queue_type", "json", "--length", "3"
    )
    consumed, _ = consumer.communicate(timeout=30)
    assert consumer.returncode == 0
    # Each subtopic has a queue and so a connection of its own: between them there is no order.
    assert sorted(consumed.splitlines()) == sorted(produced.splitlines()[3:])
