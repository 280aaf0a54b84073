"""What was measured, as Markdown: ratios first."""

from __future__ import annotations

import os
import platform
import shlex
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from statistics import median

from contenders import TOPIC, VALUE, encode
from servers import ARGUMENTS, arguments, version


@dataclass(frozen=True)
class Run:
    """What one run of one contender came to."""

    rate: float
    """Messages per second."""
    producer: float
    """Microseconds of processor time a message, of the process that publishes."""
    server: float
    consumer: float


Runs = dict[str, list[Run]]
"""By title, one a round."""

INTRODUCTION = """\
# From Python: babelmq, Redis and NATS

`make bench` writes this. One process pushes, one pulls, {size} bytes of JSON a message, everything
on loopback. All send and receive the same dict; Redis and NATS carry bytes, so with them the
programs call `json` themselves.
{rounds} interleaved rounds of {messages:,} messages, from the first push to the last pull.

Messages a second, babelmq to the peer: the median of the ratios within a round, with the lowest and
the highest.
More than 1 is more than the peer.
"""

HOW = """
## How

Each server is started afresh for each run, as

{servers}

`clients/python/bench/contenders.py` has what each library is asked to do, on the topic `{topic}`.
babelmq and nats-py by themselves, and a pipeline of redis-py, put many messages into one `send`.
Redis and NATS translate nothing. The command:

    {command}
"""


def report(
    runs: Runs, missing: list[str], paths: dict[str, str], rounds: int, messages: int
) -> str:
    """The whole page."""
    lines = [INTRODUCTION.format(size=len(encode(VALUE)), rounds=rounds, messages=messages)]
    ours = [title for title in runs if title.startswith("babelmq")]
    peers = [title for title in runs if title not in ours]
    lines += table(
        ["", *peers],
        [[title, *(_ratio(runs[title], runs[peer]) for peer in peers)] for title in ours],
    )
    lines += ["", "Messages a second, and microseconds of processor time a message; medians:", ""]
    heads = ["", "median", "lowest", "highest", "µs, producer", "µs, server", "µs, consumer"]
    lines += table(heads, [[title, *_figures(found)] for title, found in runs.items()])
    if missing:
        lines += ["", f"Not measured, because it is not installed: {', '.join(missing)}."]
    servers = "\n".join(f"    {shlex.join([name, *arguments(name)])}" for name in ARGUMENTS)
    command = f"python clients/python/bench/one_to_one.py --rounds {rounds} --messages {messages}"
    lines += [HOW.format(servers=servers, topic=TOPIC, command=command)]
    lines += table(
        ["what", "version"], [[name, said] for name, said in versions(paths).items()], right=False
    )
    return "\n".join(lines) + "\n"


def table(heads: list[str], rows: list[list[str]], *, right: bool = True) -> list[str]:
    """The lines of a table; all columns but the first are numbers, unless they are not."""
    rule = "|---" + ("|--:" if right else "|---") * (len(heads) - 1) + "|"
    return ["| " + " | ".join(heads) + " |", rule, *("| " + " | ".join(row) + " |" for row in rows)]


def _ratio(mine: list[Run], theirs: list[Run]) -> str:
    ratios = [one.rate / other.rate for one, other in zip(mine, theirs)]
    return f"**{median(ratios):.2f}** ({min(ratios):.2f} to {max(ratios):.2f})"


def _figures(found: list[Run]) -> list[str]:
    rates = [run.rate for run in found]
    costs = zip(*((run.producer, run.server, run.consumer) for run in found))
    counts = (median(rates), min(rates), max(rates))
    return [*(f"{count:,.0f}" for count in counts), *(f"{median(cost):.1f}" for cost in costs)]


def versions(paths: dict[str, str]) -> dict[str, str]:
    """The machine, and all that takes part with its version."""
    found = {"machine": _machine(), "Python": platform.python_version()}
    found |= {name: version(path) for name, path in paths.items()}
    for package in ("redis", "hiredis", "nats-py"):
        try:
            found[f"{package} (Python)"] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[f"{package} (Python)"] = "not installed"
    return found


def _machine() -> str:
    model = platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        lines = cpuinfo.read_text(encoding="utf-8").splitlines()
        model = next(
            (line.partition(":")[2].strip() for line in lines if line.startswith("model name")),
            model,
        )
    return f"{os.cpu_count()} processors, {model}, {platform.system()} {platform.release()}"
