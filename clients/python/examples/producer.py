"""Publishes generated messages.

    python producer.py --topic /weather --queue_type pickle --generator weather --length 10

Generators: `temp` (a number), `msg` (a sentence), `weather` (three subtopics: temperature,
humidity, pressure).
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Iterator
from typing import Any

import babelmq

QUEUES = {"json": babelmq.JSONQueue, "xml": babelmq.XMLQueue, "pickle": babelmq.PickleQueue}
WORDS = [
    "the",
    "quick",
    "brown",
    "fox",
    "jumps",
    "over",
    "the",
    "lazy",
    "dog",
    "while",
    "nobody",
    "looks",
]


def temp() -> Iterator[tuple[str, Any]]:
    """A temperature that wanders, on the topic itself."""
    celsius = 20.0
    while True:
        celsius += random.uniform(-0.5, 0.5)
        yield "", round(celsius, 2)


def msg() -> Iterator[tuple[str, Any]]:
    """A sentence, on the topic itself."""
    while True:
        yield "", " ".join(random.sample(WORDS, 5)).capitalize() + "."


def weather() -> Iterator[tuple[str, Any]]:
    """Three measurements in turn, each on its subtopic."""
    bounds = {"temperature": (-10.0, 35.0), "humidity": (20.0, 100.0), "pressure": (980.0, 1040.0)}
    while True:
        for name, (lowest, highest) in bounds.items():
            yield (
                f"/{name}",
                {"value": round(random.uniform(lowest, highest), 1), "time": int(time.time())},
            )


GENERATORS = {"temp": temp, "msg": msg, "weather": weather}


def main() -> None:
    """Reads the arguments and publishes."""
    parser = argparse.ArgumentParser(description="Publish generated messages.")
    parser.add_argument(
        "--topic", default="/weather", help="topic to publish to (default: %(default)s)"
    )
    parser.add_argument(
        "--queue_type", choices=QUEUES, default="json", help="format (default: %(default)s)"
    )
    parser.add_argument(
        "--length", type=int, default=10, help="how many messages (default: %(default)s)"
    )
    parser.add_argument(
        "--generator", choices=GENERATORS, help="what to publish (default: by the topic's name)"
    )
    parser.add_argument(
        "--interval", type=float, default=0.0, help="seconds between messages (default: 0)"
    )
    parser.add_argument("--address", help="host:port of the broker")
    arguments = parser.parse_args()

    last = arguments.topic.rpartition("/")[2]
    generate = GENERATORS[arguments.generator or (last if last in GENERATORS else "temp")]
    queues: dict[str, babelmq.Queue] = {}
    for _, (subtopic, value) in zip(range(arguments.length), generate()):
        if subtopic not in queues:
            queues[subtopic] = QUEUES[arguments.queue_type].producer(
                arguments.topic + subtopic, address=arguments.address
            )
        queues[subtopic].push(value)
        print(arguments.topic + subtopic, value, flush=True)
        time.sleep(arguments.interval)
    for queue in queues.values():
        queue.flush()
        queue.close()


if __name__ == "__main__":
    main()
