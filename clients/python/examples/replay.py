"""Prints what was published yesterday, and says when; or since any other time.

    babelmq serve --data-dir /tmp/babelmq --stream 'orders:filter=orders/#'
    python replay.py --topic orders --since 2026-11-28 --until 2026-11-29

It follows the stream and is no consumer: nothing is acknowledged, nobody gets a message less, and
it may be run as often as one likes. Days are those of this machine's time zone.
"""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import babelmq


def replay(
    queue: babelmq.Queue, until: datetime, patience: float = 1.0
) -> Iterator[babelmq.StreamMessage]:
    """The messages that were published before ``until``. The stream goes on with what is published
    now: where it says nothing for so many seconds, it has said all.
    """
    with contextlib.suppress(TimeoutError):
        while (message := queue.pull_one(timeout=patience)).time < until:
            yield message


def main() -> None:
    """Reads the arguments and prints messages."""
    today = datetime.now().replace(hour=0, minute=0, second=0, microsecond=0)
    parser = argparse.ArgumentParser(description="Print what was published.")
    parser.add_argument("--topic", default="orders", help="(default: %(default)s)")
    parser.add_argument(
        "--since",
        type=datetime.fromisoformat,
        default=today - timedelta(days=1),
        help="a day, or a time (default: yesterday)",
    )
    parser.add_argument(
        "--until", type=datetime.fromisoformat, default=today, help="(default: today)"
    )
    parser.add_argument("--address", help="host:port of the broker")
    arguments = parser.parse_args()

    options: dict[str, Any] = {"start": arguments.since.astimezone(), "address": arguments.address}
    with babelmq.JSONQueue.consumer(arguments.topic, **options) as queue:
        for message in replay(queue, arguments.until.astimezone()):
            local = message.time.astimezone()
            print(f"{local:%Y-%m-%d %H:%M:%S}", message.topic, message.value, flush=True)


if __name__ == "__main__":
    main()
