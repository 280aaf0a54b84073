"""Three workers share the work of a queue, and one of them is killed: nothing is lost.

    babelmq serve --data-dir /tmp/babelmq --stream 'orders:filter=orders/#'
    python work_queue.py --orders 30

Each worker is a process of its own, and all of them are one durable consumer, `billing`: an order
goes to one of them. What the one that is killed had in its hands is delivered again to the others,
so an order may be worked at twice, and none is left out.
"""

from __future__ import annotations

import argparse
import multiprocessing
import time
from multiprocessing.connection import Connection, wait

import babelmq


def work(name: str, address: str | None, pause: float, results: Connection) -> None:
    """Works at orders until the process ends."""
    with babelmq.JSONQueue.consumer(
        "orders", consumer="billing", start="all", window=4, address=address
    ) as queue:
        while True:
            # The end of the `with` acknowledges; an exception gives the order back.
            with queue.pull_one() as message:
                time.sleep(pause)
                results.send((name, message.value["order"], message.attempt))


def main() -> None:
    """Publishes orders, starts the workers, kills one, and waits until all orders are done."""
    parser = argparse.ArgumentParser(description="Share work among processes.")
    parser.add_argument("--orders", type=int, default=30, help="how many (default: %(default)s)")
    parser.add_argument(
        "--pause", type=float, default=0.05, help="seconds for an order (default: %(default)s)"
    )
    parser.add_argument("--address", help="host:port of the broker")
    arguments = parser.parse_args()

    context = multiprocessing.get_context("spawn")
    # Each worker has a pipe of its own: who is killed amid a write leaves no lock behind.
    pipes = {name: context.Pipe(duplex=False) for name in ("ann", "bob", "eve")}
    workers = {
        name: context.Process(
            target=work, args=(name, arguments.address, arguments.pause, sender), daemon=True
        )
        for name, (_, sender) in pipes.items()
    }
    results: list[Connection] = []
    for name, (receiver, sender) in pipes.items():
        workers[name].start()
        sender.close()
        results.append(receiver)
    with babelmq.JSONQueue.producer(
        "orders/new", reliable=True, address=arguments.address
    ) as producer:
        for number in range(arguments.orders):
            producer.push({"order": number})

    done: set[int] = set()
    while len(done) < arguments.orders:
        for ready in wait(results, timeout=60):
            assert isinstance(ready, Connection)
            try:
                name, order, attempt = ready.recv()
            except EOFError:
                results.remove(ready)
                continue
            again = f", attempt {attempt}" if attempt > 1 else ""
            print(f"{name} has done order {order}{again}", flush=True)
            done.add(order)
        if len(done) >= arguments.orders // 3 and workers["bob"].is_alive():
            workers["bob"].kill()
            print("bob was killed", flush=True)
    print(f"{len(done)} orders are done", flush=True)
    for worker in workers.values():
        worker.kill()
        worker.join()


if __name__ == "__main__":
    main()
