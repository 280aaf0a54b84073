"""An outbox: what a database has committed reaches the broker, each message once, whatever dies.

    babelmq serve --data-dir /tmp/babelmq --stream 'orders:filter=orders/#'
    python outbox.py --database shop.db --order X1 --order X2

A program that writes to a database and then publishes may die between the two. So the message is
written to a table of the same database, in the same transaction as the order, and published from
there. Its row is deleted when the broker has confirmed it. If this dies before, the row is
published again, with the same `id`, and the stream keeps it once (within two minutes).
"""

from __future__ import annotations

import argparse
import json
import sqlite3
import uuid

import babelmq

TABLES = """
CREATE TABLE IF NOT EXISTS orders (sku TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS outbox (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL,
    topic TEXT NOT NULL,
    message TEXT NOT NULL
);
"""


def place_order(database: sqlite3.Connection, sku: str) -> None:
    """Notes an order and what is to be said of it, both or neither."""
    with database:
        database.execute("INSERT INTO orders VALUES (?)", (sku,))
        database.execute(
            "INSERT INTO outbox (id, topic, message) VALUES (?, ?, ?)",
            (str(uuid.uuid4()), "orders/new", json.dumps({"sku": sku})),
        )


def empty_outbox(database: sqlite3.Connection, queue: babelmq.JSONQueue) -> int:
    """Publishes what is in the outbox, in its order, and deletes what is confirmed."""
    rows = database.execute("SELECT number, id, topic, message FROM outbox ORDER BY number")
    sent = 0
    while batch := rows.fetchmany(500):
        for _, message_id, topic, message in batch:
            queue.push_to(topic, json.loads(message), id=message_id)
        queue.flush()
        with database:
            database.executemany("DELETE FROM outbox WHERE number = ?", [row[:1] for row in batch])
        sent += len(batch)
    return sent


def main() -> None:
    """Places orders and empties the outbox."""
    parser = argparse.ArgumentParser(description="Bring what a database has to a broker.")
    parser.add_argument("--database", default="shop.db", help="(default: %(default)s)")
    parser.add_argument("--order", action="append", default=[], help="an order to place")
    parser.add_argument("--address", help="host:port of the broker")
    arguments = parser.parse_args()

    database = sqlite3.connect(arguments.database)
    database.executescript(TABLES)
    for sku in arguments.order:
        place_order(database, sku)
    with babelmq.JSONQueue.producer("orders", reliable=True, address=arguments.address) as queue:
        print(f"{empty_outbox(database, queue)} messages published", flush=True)
    database.close()


if __name__ == "__main__":
    main()
