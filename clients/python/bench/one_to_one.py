"""Messages per second from one Python process to another, through babelmq, Redis and NATS.

    python bench/one_to_one.py --babelmq target/release/babelmq --out docs/performance/python.md

Rounds are interleaved: in each, every contender has its turn with a server of its own, so what
disturbs the machine disturbs all of them. What counts are the ratios within a round. The clock runs
from before the first message is published until after the last one is received.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

from contenders import CONTENDERS, Contender
from report import Run, Runs, report
from servers import ARGUMENTS, processor_time, program, running

WARM_UP = 1_000
"""Messages before those that are counted."""


class Side(NamedTuple):
    """When one side began and when it had finished, and the seconds of processor time that it had
    meanwhile.
    """

    begun: float
    ended: float
    processor: float


def measure(contender: Contender, path: str, count: int) -> Run:
    """One run, with a server of its own."""
    with running(contender.server, path) as (port, process):
        _run_sides(contender, port, WARM_UP)
        before = processor_time(process)
        produced, consumed = _run_sides(contender, port, count)
        server = processor_time(process) - before
    seconds = consumed.ended - produced.begun
    cost = 1e6 / count
    return Run(count / seconds, produced.processor * cost, server * cost, consumed.processor * cost)


def _run_sides(contender: Contender, port: int, count: int) -> tuple[Side, Side]:
    """The producer and the consumer, each a process."""
    command = [
        sys.executable,
        __file__,
        "--title",
        contender.title,
        "--port",
        str(port),
        "--messages",
        str(count),
    ]
    sides = [
        subprocess.Popen(
            [*command, "--side", side], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for side in ("consume", "produce")
    ]
    try:
        for side in sides:
            assert side.stdout is not None
            if side.stdout.readline() != "ready\n":
                raise RuntimeError(f"{contender.title}: {side.args!r} did not become ready")
        for side in sides:
            assert side.stdin is not None
            side.stdin.write("go\n")
            side.stdin.flush()
        consumed, produced = (
            Side(*map(float, side.communicate(timeout=300)[0].split())) for side in sides
        )
        return produced, consumed
    finally:
        for side in sides:
            side.kill()


def be_one_side(arguments: argparse.Namespace) -> None:
    """What the processes run that this program starts: prints a :class:`Side`."""
    contender = next(contender for contender in CONTENDERS if contender.title == arguments.title)
    begun = processor = 0.0

    def ready() -> None:
        nonlocal begun, processor
        print("ready", flush=True)
        sys.stdin.readline()
        begun, processor = time.monotonic(), time.process_time()

    run = contender.produce if arguments.side == "produce" else contender.consume
    run(arguments.port, arguments.messages, ready)
    print(begun, time.monotonic(), time.process_time() - processor)


def main() -> None:
    """Measures, prints the progress, and writes the report."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--babelmq", default="target/release/babelmq", help="the broker (default: %(default)s)"
    )
    parser.add_argument("--out", type=Path, help="where to write the report; else it is printed")
    parser.add_argument("--rounds", type=int, default=7, help="default: %(default)s")
    parser.add_argument(
        "--messages", type=int, default=50_000, help="in each run (default: %(default)s)"
    )
    parser.add_argument("--only", default="", help="contenders whose title contains this")
    parser.add_argument("--title", help=argparse.SUPPRESS)
    parser.add_argument("--side", choices=["produce", "consume"], help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.side:
        be_one_side(arguments)
        return

    found = {name: program(name, arguments.babelmq) for name in ARGUMENTS}
    paths = {name: path for name, path in found.items() if path is not None}
    wanted = [contender for contender in CONTENDERS if arguments.only in contender.title]
    there = [contender for contender in wanted if contender.server in paths]
    missing = [contender.title for contender in wanted if contender not in there]
    runs: Runs = {contender.title: [] for contender in there}
    for number in range(arguments.rounds):
        for contender in there:
            run = measure(contender, paths[contender.server], arguments.messages)
            runs[contender.title].append(run)
            print(
                f"round {number + 1}/{arguments.rounds}  {contender.title:<26} {run.rate:>9,.0f}/s",
                flush=True,
            )
    text = report(runs, missing, paths, arguments.rounds, arguments.messages)
    if arguments.out:
        arguments.out.write_text(text, encoding="utf-8")
        print(f"written to {arguments.out}")
    else:
        print(text)


if __name__ == "__main__":
    main()
