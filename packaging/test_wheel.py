"""What `make test-wheel` runs, with the Python of an environment that has the two wheels alone."""

from __future__ import annotations

import subprocess
import sys
import threading
from importlib.metadata import distribution, distributions, version
from pathlib import Path

import babelmq
from babelmq import JSONQueue, PickleQueue, XMLQueue

# Nothing here takes this long: a broker that hangs is killed, and what waits for it fails.
SECONDS = 60
VALUE = {"celsius": 21.5, "wind": (270, 4), "raw": b"\x07"}


def main() -> None:
    """Starts the broker of the one wheel, and has the client of the other talk to it."""
    place = Path(sys.prefix)
    assert place in Path(babelmq.__file__).parents, f"{babelmq.__file__} is not from the wheel"
    installed = {found.metadata["Name"] for found in distributions()}
    assert installed <= {"babelmq", "babelmq-server", "pip", "setuptools", "wheel"}, installed
    program = str(place / "bin" / "babelmq")
    said = subprocess.check_output([program, "--version"], text=True, timeout=SECONDS)
    assert said.split()[:2] == ["babelmq", version("babelmq-server")], said
    assert version("babelmq-server") == version("babelmq") == babelmq.__version__
    files = distribution("babelmq-server").files or []
    texts = {path.name for path in files if path.parent.name == "licenses"}
    assert texts == {"LICENSE", "LICENSE-APACHE", "LICENSE-MIT"}, texts

    command = [program, "serve", "--listen", "127.0.0.1:0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as broker:
        guard = threading.Timer(SECONDS, broker.kill)
        guard.start()
        try:
            assert broker.stdout is not None
            line = broker.stdout.readline()
            assert line.startswith("babelmq listening on 127.0.0.1:"), f"it said {line!r}"
            translate(line.split()[-1])
            broker.terminate()
            code = broker.wait()
        finally:
            guard.cancel()
            broker.kill()
    assert code == 0, f"the broker ended with {code}"
    print(f"the wheels work: {said.strip()}, Python {sys.version.split()[0]}")


def translate(address: str) -> None:
    """Pushes a pickle, and pulls it as JSON and as XML."""
    with PickleQueue.producer("/wheel/value", address=address, timeout=SECONDS) as producer:
        producer.push(VALUE)
    for queue in (JSONQueue, XMLQueue):
        options = {"exact": True} if queue is JSONQueue else {}
        with queue.consumer("/wheel", address=address, timeout=SECONDS, **options) as consumer:
            assert consumer.pull() == ("/wheel/value", VALUE), queue.__name__


if __name__ == "__main__":
    main()
