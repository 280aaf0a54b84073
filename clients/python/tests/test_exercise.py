"""The course exercise that this API comes from: a middleware of queues over a broker.

Its tests patch ``json.dumps`` to see that JSON is made by it, and ``socket.send`` to see what is
sent. They need nothing but the adapter that README.md shows, which is what runs here.
"""

import json
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import patch

import pytest
from real_broker import BINARY, RealBroker

from babelmq import MiddlewareType

pytestmark = pytest.mark.skipif(
    not BINARY, reason="it needs a real broker: set BABELMQ_BIN; `make test` does"
)

HEADER = 5


def adapter() -> Any:
    """The module that README.md shows under "The course exercise"."""
    text = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
    section = text.split("## The course exercise\n")[1].split("\n## ")[0]
    [code] = re.findall(r"```python\n(.*?)```", section, re.S)
    module = ModuleType("middleware")
    exec(compile(code, "README.md", "exec"), module.__dict__)
    return module


middleware = adapter()
JSONQueue = middleware.JSONQueue
QUEUES = [JSONQueue, middleware.XMLQueue, middleware.PickleQueue]


@pytest.fixture
def broker(monkeypatch: pytest.MonkeyPatch) -> Iterator[RealBroker]:
    """A broker where the exercise looks for one."""
    broker = RealBroker()
    monkeypatch.setenv("BABELMQ_ADDR", broker.address)
    yield broker
    broker.close()


def test_json_dumps_makes_the_messages(broker: RealBroker) -> None:
    producer = JSONQueue("/temp", _type=MiddlewareType.PRODUCER)
    with patch("json.dumps", wraps=json.dumps) as dumps:
        producer.push({"celsius": 21.5})
    assert dumps.call_args_list[0].args == ({"celsius": 21.5},)


def test_socket_send_sees_whole_frames(broker: RealBroker) -> None:
    producer = JSONQueue("/temp", _type=MiddlewareType.PRODUCER)
    send = socket.socket.send
    sent: list[bytes] = []

    def seen(self: socket.socket, data: Any, *flags: int) -> int:
        taken = send(self, data, *flags)
        sent.append(bytes(data[:taken]))
        return taken

    with patch.object(socket.socket, "send", seen):
        producer.push({"celsius": 21.5})
        producer.flush()
    stream = b"".join(sent)
    form, length = stream[0], int.from_bytes(stream[1:HEADER], "big")
    assert form == 0
    publish = json.loads(stream[HEADER : HEADER + length])
    assert (publish["topic"], publish["message"]) == ("/temp", {"celsius": 21.5})


@pytest.mark.parametrize("consumer_class", QUEUES)
@pytest.mark.parametrize("producer_class", QUEUES)
def test_each_queue_reads_each_other(
    broker: RealBroker, producer_class: Any, consumer_class: Any
) -> None:
    consumer = consumer_class("/temp", _type=MiddlewareType.CONSUMER)
    producer = producer_class("/temp/room", _type=MiddlewareType.PRODUCER)
    producer.push({"celsius": 21.5})
    assert consumer.pull() == ("/temp/room", {"celsius": 21.5})
