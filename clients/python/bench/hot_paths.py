"""Pushes and pulls per second over loopback, against a sink and a source that do nothing else.

    python bench/hot_paths.py

What it shows is the cost of the package and of its system calls, not of a broker. Each figure is
the best of five.
"""

from __future__ import annotations

import socket
import time
from contextlib import suppress
from multiprocessing import get_context

import babelmq

VALUE = {
    "id": 12345,
    "station": "KNYC0",
    "celsius": 21.5,
    "wind": [270, 4],
    "ok": True,
    "note": "x" * 47,
}
"""128 bytes of JSON, about."""
QUEUES: dict[str, type[babelmq.Queue]] = {
    "json": babelmq.JSONQueue,
    "xml": babelmq.XMLQueue,
    "pickle": babelmq.PickleQueue,
}
PUSHES = 50_000
PULLS = 100_000


def sink(listener: socket.socket) -> None:
    """Reads and forgets."""
    while True:
        peer, _ = listener.accept()
        while peer.recv(1 << 20):
            pass


def source(listener: socket.socket, block: bytes) -> None:
    """Sends ``block`` to whoever comes, as long as they take it."""
    while True:
        peer, _ = listener.accept()
        with suppress(OSError):
            while True:
                peer.sendall(block)


def pushes_per_second(queue_type: type[babelmq.Queue], port: int) -> float:
    """How fast a producer hands messages to the operating system."""
    queue = queue_type("/bench", babelmq.MiddlewareType.PRODUCER, address=("127.0.0.1", port))
    begun = time.perf_counter()
    for _ in range(PUSHES):
        queue.push(VALUE)
    seconds = time.perf_counter() - begun
    queue.close()
    return PUSHES / seconds


def pulls_per_second(queue_type: type[babelmq.Queue], port: int) -> float:
    """How fast a consumer takes messages that are there."""
    queue = queue_type("/bench", address=("127.0.0.1", port))
    begun = time.perf_counter()
    for _ in range(PULLS):
        queue.pull()
    seconds = time.perf_counter() - begun
    queue.close()
    return PULLS / seconds


def bare_sends_per_second(port: int, data: bytes) -> float:
    """What the operating system allows: sendall in a loop."""
    with socket.create_connection(("127.0.0.1", port)) as peer:
        begun = time.perf_counter()
        for _ in range(PUSHES):
            peer.sendall(data)
        return PUSHES / (time.perf_counter() - begun)


def main() -> None:
    """Measures and prints."""
    fork = get_context("fork")
    listening = socket.create_server(("127.0.0.1", 0))
    drain = fork.Process(target=sink, args=(listening,), daemon=True)
    drain.start()
    port = listening.getsockname()[1]
    frame = babelmq.JSONQueue.codec.publisher("/bench")(VALUE, True)
    print(f"bare sendall: {max(bare_sends_per_second(port, frame) for _ in range(5)):>9,.0f}/s")
    for name, queue_type in QUEUES.items():
        data = queue_type.codec.publisher("/bench")(VALUE, True)
        pushed = max(pushes_per_second(queue_type, port) for _ in range(5))
        offering = socket.create_server(("127.0.0.1", 0))
        offer = fork.Process(target=source, args=(offering, data * 1000), daemon=True)
        offer.start()
        pulled = max(pulls_per_second(queue_type, offering.getsockname()[1]) for _ in range(5))
        offer.terminate()
        print(f"{name:>6} {len(data):>4} bytes: {pushed:>9,.0f} pushes/s {pulled:>9,.0f} pulls/s")
    drain.terminate()


if __name__ == "__main__":
    main()
