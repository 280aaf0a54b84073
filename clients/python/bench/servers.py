"""The servers that are compared, each started afresh on a free port of this machine and ended
afterwards.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

START = 15.0
"""Seconds that a server may take until it accepts connections."""

ARGUMENTS = {
    "babelmq": "serve --listen 127.0.0.1:PORT",
    # Nothing is kept on a disk, and nobody is cut off for reading slowly.
    "redis-server": "--bind 127.0.0.1 --port PORT --save NEVER --appendonly no "
    "--client-output-buffer-limit LIMIT",
    "nats-server": "--addr 127.0.0.1 --port PORT",
}


def program(name: str, babelmq: str) -> str | None:
    """Where the program of a server is; ``None`` where it is not installed."""
    if name == "babelmq":
        return babelmq
    return shutil.which(name) or shutil.which(f"/usr/sbin/{name}")


def arguments(name: str) -> list[str]:
    """What a server is started with; ``PORT`` stands for the port."""
    stands_for = {"NEVER": "", "LIMIT": "pubsub 0 0 0"}
    return [stands_for.get(word, word) for word in ARGUMENTS[name].split()]


def version(path: str) -> str:
    """What a program says that it is."""
    said = subprocess.run([path, "--version"], capture_output=True, text=True, check=False)
    return (said.stdout or said.stderr).strip().split(" sha=")[0]


@contextmanager
def running(name: str, path: str) -> Iterator[tuple[int, int]]:
    """A server that runs: its port and its process id."""
    port = _free_port()
    command = [path, *(word.replace("PORT", str(port)) for word in arguments(name))]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            _wait_until_it_listens(process, port)
            yield port, process.pid
        finally:
            process.kill()


def processor_time(process: int) -> float:
    """Seconds of processor time that a process has had; 0 where there is no /proc to ask."""
    stat = Path(f"/proc/{process}/stat")
    if not stat.exists():
        return 0.0
    # The name, in parentheses, may hold spaces; user and system time are fields 14 and 15.
    fields = stat.read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait_until_it_listens(process: subprocess.Popen[bytes], port: int) -> None:
    end = time.monotonic() + START
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            if process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"{process.args!r} does not listen") from None
            time.sleep(0.01)
