"""A producer and a consumer whose connections are cut every now and then: what the soak starts.

It says on stdout, line by line, what a flush confirmed and what was pulled; the soak judges.

    confirmed FIRST LAST        these numbers were pushed, and a flush confirmed them
    doubtful FIRST LAST         these were pushed, and the flush said that the connection was lost
    pulled TOPIC FIRST LAST STORED   these came one after the other; the first as a stored value?
    ended ROLE                  it answers at the end

It ends when its stdin does: the producer pushes -1, the consumer has pulled -1 of every producer.
"""

from __future__ import annotations

import sys
import threading
import time
import traceback
from collections.abc import Callable

import babelmq

QUEUES = {"json": babelmq.JSONQueue, "xml": babelmq.XMLQueue, "pickle": babelmq.PickleQueue}
PATIENCE = 20.0
# Numbers that are confirmed together.
BATCH = 100
END = -1

stop = threading.Event()


def say(*words: object) -> None:
    """Writes a line at once, so that those of two threads do not mix."""
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


def produce(queue_type: type[babelmq.Queue], topic: str, address: str) -> None:
    """Pushes numbers until it is the end, and then one that says so."""
    queue = queue_type.producer(topic, address=address, timeout=PATIENCE, wait=PATIENCE)
    first = 0
    while not stop.is_set():
        last = first + BATCH - 1
        try:
            for number in range(first, last + 1):
                queue.push(number)
            queue.flush()
        except babelmq.ConnectionLost:
            say("doubtful", first, last)
        else:
            say("confirmed", first, last)
        first = last + 1
    ends = time.monotonic() + PATIENCE
    while True:
        try:
            queue.push(END)
            queue.flush()
            break
        except babelmq.ConnectionLost:
            if time.monotonic() > ends:
                raise
    say("ended", "producer")


class Run:
    """The numbers of a topic that came one after the other, said when another one comes."""

    def __init__(self, topic: str) -> None:
        self.topic = topic
        self.first = self.last = -2
        self.stored = False

    def take(self, number: int, stored: bool) -> None:
        """Adds a number that was pulled."""
        if stored or number != self.last + 1 or number == 0:
            self.say()
            self.first, self.stored = number, stored
        self.last = number

    def say(self) -> None:
        """Says what has come so far."""
        if self.last >= END:
            say("pulled", self.topic, self.first, self.last, int(self.stored))


def consume(queue_type: type[babelmq.Queue], topic: str, address: str, producers: int) -> None:
    """Pulls until every producer has ended."""
    runs: dict[str, Run] = {}
    ended: set[str] = set()
    queue = queue_type.consumer(topic, address=address, timeout=PATIENCE, wait=PATIENCE)
    while len(ended) < producers:
        message = queue.pull_message()
        run = runs.setdefault(message.topic, Run(message.topic))
        run.take(message.value, message.retained)
        if message.value == END:
            ended.add(message.topic)
    for run in runs.values():
        run.say()
    assert sorted(runs) == [held for held in queue.topics() if held.startswith(f"{topic}/")]
    say("ended", "consumer")


def main() -> None:
    """Runs both until stdin ends, and fails if either does."""
    format_name, root, number, producers, address = sys.argv[1:]
    queue_type = QUEUES[format_name]
    failed: list[BaseException] = []

    def run(role: Callable[[], None]) -> None:
        try:
            role()
        except BaseException as error:
            traceback.print_exc()
            failed.append(error)

    roles = [
        lambda: produce(queue_type, f"{root}/{number}", address),
        lambda: consume(queue_type, root, address, int(producers)),
    ]
    threads = [threading.Thread(target=run, args=[role]) for role in roles]
    for thread in threads:
        thread.start()
    sys.stdin.read()
    stop.set()
    for thread in threads:
        thread.join()
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
