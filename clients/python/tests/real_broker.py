"""The broker that is tested against where there is one: the program at BABELMQ_BIN."""

from __future__ import annotations

import os
import subprocess

BINARY = os.environ.get("BABELMQ_BIN", "")


class RealBroker:
    """A `babelmq serve` that can be ended, and started again where it was."""

    def __init__(self, *options: str) -> None:
        self.address = "127.0.0.1:0"
        self._options = options
        self.start()

    def start(self) -> None:
        """Starts it, and waits until it listens."""
        self.process = subprocess.Popen(
            [BINARY, "serve", "--listen", self.address, *self._options],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            # Python ignores SIGXFSZ, and so must who is to be told that a file is too large.
            restore_signals=False,
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line.startswith("babelmq listening on "), f"{BINARY} said {line!r}"
        #: Where it listens, in the order of its options.
        self.listening = line.split(" on ", 1)[1].strip().split(", ")
        self.address = self.listening[0]

    def close(self) -> None:
        """Tells it to stop, and waits until it has."""
        self.process.terminate()
        self._wait()

    def kill(self) -> None:
        """Ends it without a warning."""
        self.process.kill()
        self._wait()

    def _wait(self) -> None:
        self.process.wait(20)
        if self.process.stdout is not None:
            self.process.stdout.close()
