"""How much faster, or slower, this tree pushes than another one: pushes a second to a broker, flush
included.

    git worktree add /tmp/before COMMIT
    python bench/push_ratio.py --babelmq target/release/babelmq \\
        --before /tmp/before/clients/python/src [--asyncio]

Rounds are interleaved, each side a process of its own. What counts are the ratios within a round:
of the rates, and of the processor time of the producer, which other programs disturb less.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
from pathlib import Path

from servers import running

HERE = Path(__file__).parent
VALUES = ("text", "record", "number")
"""What is pushed: a text of 128 characters, a dict of ten fields, or 21.5."""

SIDE = """
import asyncio, sys, time
sys.path.insert(0, sys.argv[1])
import babelmq, babelmq.aio
how, name, port, kind, count = sys.argv[2:]
value = {
    "text": "x" * 128,
    "record": {
        "id": 12345, "station": "KNYC0", "celsius": 21.5, "wind": 270, "gust": 4.5, "ok": True,
        "note": "x" * 48, "tags": ["a", "b"], "when": "2024-02-29T12:00:00", "none": None,
    },
    "number": 21.5,
}[kind]
options = {"address": ("127.0.0.1", int(port))}

def now():
    return time.perf_counter(), time.process_time()

def blocking():
    queue = getattr(babelmq, name)("/bench", babelmq.MiddlewareType.PRODUCER, **options)
    for messages in (1000, int(count)):
        begun = now()
        for _ in range(messages):
            queue.push(value)
        queue.flush()
    return begun, now()

async def awaited():
    queue = getattr(babelmq.aio, name)("/bench", babelmq.MiddlewareType.PRODUCER, **options)
    for messages in (1000, int(count)):
        begun = now()
        for _ in range(messages):
            await queue.push(value)
        await queue.flush()
    return begun, now()

begun, ended = asyncio.run(awaited()) if how == "asyncio" else blocking()
print(*(int(count) / (end - begin) for begin, end in zip(begun, ended)))
"""


def rates(source: Path, how: str, name: str, port: int, kind: str, count: int) -> list[float]:
    """Pushes a second with the package in ``source``, and pushes a second of processor time."""
    command = [sys.executable, "-c", SIDE, str(source), how, name, str(port), kind, str(count)]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return [float(word) for word in said.split()]


def spread(ratios: list[float]) -> str:
    """The median of the ratios, with the lowest and the highest."""
    return f"{statistics.median(ratios):5.2f} ({min(ratios):.2f} to {max(ratios):.2f})"


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
    parser.add_argument("--asyncio", action="store_true", help="the queues of babelmq.aio")
    arguments = parser.parse_args()
    how = "asyncio" if arguments.asyncio else "blocking"
    after = HERE.parent / "src"
    with running("babelmq", arguments.babelmq) as (port, _):
        for name in ("JSONQueue", "PickleQueue", "XMLQueue"):
            for kind in VALUES:
                sides = (arguments.before, after)
                rounds = [
                    [rates(side, how, name, port, kind, arguments.messages) for side in sides]
                    for _ in range(arguments.rounds)
                ]
                by_rate, by_time = (
                    spread([now[which] / before[which] for before, now in rounds])
                    for which in (0, 1)
                )
                best = [max(side[0] for side in sides) for sides in zip(*rounds)]
                print(
                    f"{how} {name:11} {kind:6} {by_rate}, by processor time {by_time}, "
                    f"at best {best[1]:,.0f} pushes/s, {best[0]:,.0f} before",
                    flush=True,
                )


if __name__ == "__main__":
    main()
