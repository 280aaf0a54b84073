"""Answers that come after a call stopped waiting for them. The peer is the test's own, so that it
can be late.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator

import pytest
from fake_broker import CODECS, Scripted, encode

from babelmq import BrokerError, JSONQueue, aio
from babelmq.codec import Fields
from babelmq.frame import FrameBuffer

SHORT = 0.5
"""Seconds: waited out where the peer says nothing, and enough for the peer to say what it does."""


class Peer:
    """The other end of one connection, and what the client said on it."""

    def __init__(self) -> None:
        self._accepted = threading.Event()
        self._done = threading.Event()
        self._frames = FrameBuffer()
        self._listener = Scripted(self._script)
        self.address = self._listener.address

    def _script(self, peer: socket.socket) -> None:
        self._socket = peer
        self._accepted.set()
        self.hears("subscribe")
        self.says({"command": "subscribed", "topic": "/a", "values": 0})
        self._done.wait(20)

    def hears(self, command: str) -> Fields:
        """The next message, which is this command."""
        self._accepted.wait(20)
        while (found := self._frames.next()) is None:
            self._frames.feed(self._socket.recv(1 << 16))
        message = CODECS[0].decode(found[1])
        assert message["command"] == command
        return message

    def says(self, *messages: Fields) -> None:
        self._socket.sendall(b"".join(encode(0, message) for message in messages))

    def pongs(self) -> None:
        self.says({"command": "pong", "id": self.hears("ping")["id"]})

    def close(self) -> None:
        self._done.set()
        self._listener.close()


@pytest.fixture
def peer() -> Iterator[Peer]:
    peer = Peer()
    yield peer
    peer.close()


def delivers(peer: Peer, queue: JSONQueue) -> None:
    peer.says({"command": "publish", "topic": "/a", "message": 1})
    assert queue.pull(timeout=20) == ("/a", 1)


def test_regression_a_cancel_that_timed_out_is_not_confirmed(peer: Peer) -> None:
    queue = JSONQueue("/a", address=peer.address, timeout=SHORT)
    for _ in range(2):
        with pytest.raises(TimeoutError):
            queue.cancel()
    for _ in range(2):
        peer.hears("cancel")
        peer.says({"command": "cancelled", "topic": "/a"})
        peer.pongs()
    # Both answers came late, and neither confirms this one.
    with pytest.raises(TimeoutError):
        queue.cancel()

    def answer() -> None:
        for _ in range(2):
            peer.hears("cancel")
            peer.pongs()

    answers = threading.Thread(target=answer)
    answers.start()
    queue.cancel()
    queue.cancel()  # Nothing is left to confirm, so nothing is asked.
    answers.join(20)
    queue.close()


def test_regression_a_late_value_is_not_the_next_gets(peer: Peer) -> None:
    queue = JSONQueue("/a", address=peer.address, timeout=SHORT)
    with pytest.raises(TimeoutError):
        queue.get("/b")
    peer.hears("get")
    late = {"command": "pong", "id": peer.hears("ping")["id"]}

    def answer() -> None:
        peer.hears("get")
        peer.says(
            {"command": "value", "topic": "/b", "message": "old"},
            late,
            {"command": "value", "topic": "/b"},
        )
        peer.pongs()

    answers = threading.Thread(target=answer)
    answers.start()
    assert queue.get("/b", "none") == "none"
    answers.join(20)
    queue.close()


def test_late_pongs_and_topics_are_not_taken_for_others(peer: Peer) -> None:
    queue = JSONQueue("/a", address=peer.address, timeout=SHORT)
    for call in (queue.flush, queue.topics):
        with pytest.raises(TimeoutError):
            call()
    peer.pongs()
    peer.hears("list")
    peer.says({"command": "topics", "topics": ["late"]})
    peer.pongs()
    delivers(peer, queue)
    with pytest.raises(TimeoutError):
        queue.flush()
    peer.pongs()

    def answer() -> None:
        peer.hears("list")
        peer.says({"command": "topics", "topics": ["in time"]})
        peer.pongs()

    answers = threading.Thread(target=answer)
    answers.start()
    assert queue.topics() == ["in time"]
    answers.join(20)
    queue.close()


FAILED: Fields = {
    "command": "error",
    "code": "storage-failed",
    "reason": "the disk is full",
    "fatal": False,
}


def test_storage_failed_ends_a_flush_at_once(peer: Peer) -> None:
    queue = JSONQueue("/a", address=peer.address, timeout=20)
    for call in (queue.flush, queue.clear):
        peer.says(FAILED)
        with pytest.raises(BrokerError) as caught:
            call()
        assert caught.value.code == "storage-failed" and not caught.value.fatal
    peer.says({"command": "pong", "id": 3})
    queue.flush()


def test_storage_failed_says_nothing_to_who_asks_for_something_else(peer: Peer) -> None:
    queue = JSONQueue("/a", address=peer.address, timeout=20)
    peer.says({"command": "value", "topic": "/a", "message": 7}, FAILED)
    assert queue.get() == 7
    peer.says({"command": "topics", "topics": ["/a"]}, FAILED)
    assert queue.topics() == ["/a"]
    peer.says({"command": "cancelled", "topic": "/a"}, FAILED)
    queue.cancel()


def test_a_late_storage_failed_does_not_end_the_next_flush(peer: Peer) -> None:
    queue = JSONQueue("/a", address=peer.address, timeout=SHORT)
    for _ in range(2):
        with pytest.raises(TimeoutError):
            queue.flush()
        peer.says(FAILED)
        delivers(peer, queue)


def test_each_task_learns_what_became_of_its_own_flush(peer: Peer) -> None:
    async def main() -> list[object]:
        queue = aio.JSONQueue("/a", address=peer.address, timeout=20)
        async with queue:
            flushes = [asyncio.ensure_future(queue.flush()) for _ in range(4)]
            # All have asked when they are waiting.
            await asyncio.get_running_loop().run_in_executor(
                None, lambda: [peer.hears("ping") for _ in flushes]
            )
            peer.says(FAILED, {"command": "pong", "id": 2}, FAILED, {"command": "pong", "id": 4})
            answers: list[object] = await asyncio.gather(*flushes, return_exceptions=True)
        return answers

    codes = [getattr(answer, "code", answer) for answer in asyncio.run(main())]
    assert codes == ["storage-failed", None, "storage-failed", None]
