"""Prints what is published to a topic and below it.

python consumer.py --topic /weather --queue_type json --length 10
"""

from __future__ import annotations

import argparse
import contextlib

import babelmq

QUEUES = {"json": babelmq.JSONQueue, "xml": babelmq.XMLQueue, "pickle": babelmq.PickleQueue}


def main() -> None:
    """Reads the arguments and prints messages."""
    parser = argparse.ArgumentParser(description="Print what is published.")
    parser.add_argument(
        "--topic", default="/weather", help="topic to subscribe to (default: %(default)s)"
    )
    parser.add_argument(
        "--queue_type", choices=QUEUES, default="json", help="format (default: %(default)s)"
    )
    parser.add_argument(
        "--length", type=int, help="how many messages; else all, until it is stopped"
    )
    parser.add_argument("--address", help="host:port of the broker")
    arguments = parser.parse_args()

    queue_type = QUEUES[arguments.queue_type]
    with queue_type.consumer(arguments.topic, address=arguments.address) as queue:
        for count, (topic, value) in enumerate(queue, 1):
            print(topic, value, flush=True)
            if count == arguments.length:
                break


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        main()
