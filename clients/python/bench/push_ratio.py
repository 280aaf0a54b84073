"""How much faster, or slower, this tree pushes than another one: pushes a second to a broker, flush
included.

    git worktree add /tmp/before COMMIT python bench/push_ratio.py --babelmq target/release/babelmq
    --before /tmp/before/clients/python/src

Rounds are interleaved, each side a process of its own. What counts are the ratios within a round.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
from pathlib import Path

from servers import running

HERE = Path(__file__).parent
VALUES = ("record", "number")
"""What is pushed: 128 bytes of JSON, or 4."""

SIDE = """
import sys, time
sys.path[:0] = sys.argv[1:3]
import babelmq
from contenders import VALUE
name, port, kind, count = sys.argv[3:]
value = VALUE if kind == "record" else 21.5
queue = getattr(babelmq, name).producer("/bench", address=("127.0.0.1", int(port)))
for messages in (1000, int(count)):
    begun = time.perf_counter()
    for _ in range(messages):
        queue.push(value)
    queue.flush()
print(messages / (time.perf_counter() - begun))
"""


def rate(source: Path, name: str, port: int, kind: str, count: int) -> float:
    """Pushes a second with the package in ``source``."""
    command = [
        sys.executable,
        "-c",
        SIDE,
        str(source),
        str(HERE),
        name,
        str(port),
        kind,
        str(count),
    ]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--babelmq", required=True, help="the broker's program")
    parser.add_argument(
        "--before", required=True, type=Path, help="the folder with the other package in it"
    )
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--messages", type=int, default=30_000)
    arguments = parser.parse_args()
    after = HERE.parent / "src"
    with running("babelmq", arguments.babelmq) as (port, _):
        for name in ("JSONQueue", "PickleQueue", "XMLQueue"):
            for kind in VALUES:
                sides = (arguments.before, after)
                rounds = [
                    [rate(side, name, port, kind, arguments.messages) for side in sides]
                    for _ in range(arguments.rounds)
                ]
                ratios = [now / before for before, now in rounds]
                spread = (
                    f"{statistics.median(ratios):5.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
                )
                best = f"at best {max(now for _, now in rounds):,.0f} pushes/s"
                print(
                    f"{name:11} {kind:6} {spread}, {best}, "
                    f"{max(one for one, _ in rounds):,.0f} before",
                    flush=True,
                )


if __name__ == "__main__":
    main()
