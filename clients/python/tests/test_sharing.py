"""Queues that are shared: by threads, by a server's workers, by processes that were forked, by
event loops.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from contextlib import suppress
from pathlib import Path
from typing import Any, Callable

import pytest
from kinds import Kind
from proxy import PATIENCE, Proxy

from babelmq import BrokerError, ConnectionLost, JSONQueue, PickleQueue, QueueClosed, WrongLoop, aio

THREADS = 8
forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="it needs a system that forks")


def in_threads(count: int, work: Callable[[int], None]) -> None:
    """Does ``work`` in so many threads at once, and raises what one of them raised."""
    problems: list[BaseException] = []
    barrier = threading.Barrier(count)

    def run(number: int) -> None:
        try:
            barrier.wait(PATIENCE)
            work(number)
        except BaseException as problem:
            problems.append(problem)

    threads = [threading.Thread(target=run, args=(number,), daemon=True) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(2 * PATIENCE)
        assert not thread.is_alive(), "a thread hangs"
    if problems:
        raise problems[0]


# --- threads --------------------------------------------------------------------------------------


def test_threads_push_flush_ask_and_pull_over_one_queue() -> None:
    """Of 8 threads 5 push and flush, 2 pull, and 1 asks."""
    each = 1500
    pulled: list[tuple[int, int]] = []
    done = threading.Event()
    with JSONQueue.consumer("/a", timeout=PATIENCE, queue=200_000) as queue:

        def work(number: int) -> None:
            if number < 5:
                for turn in range(each):
                    queue.push([number, turn])
                    if turn % 100 == 0:
                        queue.flush()
                queue.flush()
            elif number < 7:
                while not done.is_set():
                    with suppress(TimeoutError):
                        pulled.append(tuple(queue.pull(timeout=0.2)[1]))
                        if len(pulled) == 5 * each:
                            done.set()
            else:
                while not done.is_set():
                    assert queue.topics() == ["/a"]
                    assert queue.get() is not None

        queue.push([9, 9])
        assert queue.pull() == ("/a", [9, 9])
        in_threads(THREADS, work)
    assert sorted(pulled) == [(number, turn) for number in range(5) for turn in range(each)]


def test_each_threads_messages_keep_their_order() -> None:
    with JSONQueue.consumer("/a", timeout=PATIENCE, queue=200_000) as consumer:
        with PickleQueue.producer("/a", timeout=PATIENCE) as producer:

            def work(number: int) -> None:
                for turn in range(1000):
                    producer.push([number, turn])

            in_threads(THREADS, work)
        seen = [consumer.pull()[1] for _ in range(THREADS * 1000)]
    for number in range(THREADS):
        assert [turn for who, turn in seen if who == number] == list(range(1000))


def test_a_pull_that_waits_keeps_nobody_from_pushing() -> None:
    with JSONQueue.consumer("/a", timeout=PATIENCE) as queue:
        pulled: list[Any] = []
        waiting = threading.Thread(target=lambda: pulled.append(queue.pull()))
        waiting.start()
        while queue._connection._poller == 0:
            pass
        queue.flush()
        assert queue.topics() == []
        queue.push(1)
        waiting.join(PATIENCE)
        assert pulled == [("/a", 1)]


def test_a_close_wakes_who_waits() -> None:
    queue = JSONQueue.consumer("/a")
    caught: list[BaseException] = []

    def wait(call: Callable[[], object]) -> None:
        try:
            call()
        except BaseException as error:
            caught.append(error)

    waiting = [threading.Thread(target=wait, args=(queue.pull,)) for _ in range(4)]
    for thread in waiting:
        thread.start()
    while queue._connection._poller == 0:
        pass
    queue.close()
    for thread in waiting:
        thread.join(PATIENCE)
    assert [type(error) for error in caught] == [QueueClosed] * 4


def test_threads_go_through_an_outage_together(proxy: Proxy) -> None:
    with JSONQueue.consumer("/a", timeout=PATIENCE, queue=200_000) as consumer:
        with JSONQueue.producer("/a", address=proxy.address, timeout=PATIENCE) as producer:
            lost: list[int] = []

            def work(number: int) -> None:
                for turn in range(300):
                    producer.push([number, turn])
                    if turn % 30 == 29:
                        try:
                            producer.flush()
                        except ConnectionLost:
                            lost.append(number)
                    if number == 0 and turn in (50, 100):
                        proxy.cut()

            in_threads(THREADS, work)
            with suppress(ConnectionLost):
                producer.flush()
            producer.push("last")
            producer.flush()
        seen: list[Any] = []
        while not seen or seen[-1] != "last":
            seen.append(consumer.pull()[1])
    assert lost
    messages = [tuple(one) for one in seen[:-1]]
    assert len(messages) == len(set(messages))
    for number in range(THREADS):
        turns = [turn for who, turn in messages if who == number]
        assert turns == sorted(turns)


def test_a_refusal_is_raised_to_one_of_the_threads() -> None:
    with JSONQueue.producer("/a", timeout=PATIENCE) as producer:
        refused: list[str] = []

        def work(number: int) -> None:
            with suppress(BrokerError):
                for _ in range(20):
                    producer.push(number)
                if number == 0:
                    producer.push_to("/a//b", 1)
                producer.flush()
                return
            refused.append("refused")

        in_threads(THREADS, work)
        assert refused == ["refused"]


def test_a_flask_application_shares_a_queue_between_its_threads() -> None:
    flask = pytest.importorskip("flask")
    serving = pytest.importorskip("werkzeug.serving")
    app = flask.Flask(__name__)
    with (
        JSONQueue.consumer("/orders", timeout=PATIENCE) as consumer,
        JSONQueue.producer("/orders", timeout=PATIENCE) as producer,
    ):

        @app.post("/orders/<int:number>")  # type: ignore[untyped-decorator]
        def order(number: int) -> dict[str, Any]:
            producer.push({"order": number})
            producer.flush()
            return {"last": producer.get()["order"], "topics": producer.topics()}

        server = serving.make_server("127.0.0.1", 0, app, threaded=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()

        def work(number: int) -> None:
            for turn in range(25):
                url = f"http://127.0.0.1:{server.server_port}/orders/{number * 100 + turn}"
                request = urllib.request.Request(url, method="POST")
                with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
                    assert json.load(answer)["topics"] == ["/orders"]

        try:
            in_threads(THREADS, work)
        finally:
            server.shutdown()
            server.server_close()
        seen = [consumer.pull()[1]["order"] for _ in range(THREADS * 25)]
    assert sorted(seen) == [number * 100 + turn for number in range(THREADS) for turn in range(25)]


# --- event loops ----------------------------------------------------------------------------------


def test_a_queue_belongs_to_one_event_loop() -> None:
    queue = aio.JSONQueue.consumer("/a", timeout=PATIENCE)

    async def first() -> None:
        await queue.push(1)
        assert await queue.pull() == ("/a", 1)

    async def second() -> None:
        for call in (lambda: queue.push(2), queue.pull, queue.flush, queue.topics):
            with pytest.raises(WrongLoop, match="another event loop"):
                await call()

    asyncio.run(first())
    asyncio.run(second())


def test_a_queue_is_not_shared_between_the_loops_of_threads() -> None:
    async def main() -> None:
        async with aio.JSONQueue.consumer("/a", timeout=PATIENCE) as queue:

            async def use() -> None:
                await queue.push(1)

            caught: list[BaseException] = []

            def other() -> None:
                try:
                    asyncio.run(use())
                except WrongLoop as error:
                    caught.append(error)

            thread = threading.Thread(target=other)
            thread.start()
            await asyncio.get_running_loop().run_in_executor(None, thread.join)
            assert len(caught) == 1
            await queue.push(2)
            assert await queue.pull() == ("/a", 2)

    asyncio.run(asyncio.wait_for(main(), 60))


# --- processes ------------------------------------------------------------------------------------


@forks
def test_forked_processes_have_connections_of_their_own(proxy: Proxy) -> None:
    fork = multiprocessing.get_context("fork")
    with (
        JSONQueue.consumer("/in", address=proxy.address, timeout=PATIENCE) as queue,
        JSONQueue.consumer("/out", timeout=PATIENCE) as results,
    ):
        queue.push_to("/in/x", "stored")
        assert queue.pull() == ("/in/x", "stored")
        queue.push_to("/in/y", "not pulled", retain=False)
        queue.flush()

        def child(number: int) -> None:
            # Its own subscription, with the stored value; what the parent has not pulled is the
            # parent's.
            got = list(queue.pull())
            for turn in range(200):
                queue.push_to(f"/out/{number}", [number, turn, got])
                assert queue.get("/in/x") == "stored"

        children = [fork.Process(target=child, args=(number,)) for number in range(4)]
        for process in children:
            process.start()
        for turn in range(200):
            assert queue.topics()[0] == "/in/x"
            queue.push_to("/out/parent", [9, turn, None])
        for process in children:
            process.join(PATIENCE)
            assert process.exitcode == 0
        assert queue.pull() == ("/in/y", "not pulled")
        queue.flush()
        seen = [results.pull()[1] for _ in range(5 * 200)]
        for number in range(4):
            mine = [(turn, got) for who, turn, got in seen if who == number]
            assert mine == [(turn, ["/in/x", "stored"]) for turn in range(200)]
        assert [turn for who, turn, _ in seen if who == 9] == list(range(200))
        assert proxy.accepted == 5


@forks
def test_a_fork_while_threads_use_the_queue(broker: str) -> None:
    """Whatever lock another thread holds at that moment, the child's is its own."""
    with JSONQueue.producer("/a", timeout=PATIENCE) as producer:
        stop = threading.Event()

        def push() -> None:
            while not stop.is_set():
                producer.push(1)

        threads = [threading.Thread(target=push) for _ in range(3)]
        for thread in threads:
            thread.start()
        try:
            for number in range(20):
                process = os.fork()
                if process == 0:
                    status = 1
                    with suppress(BaseException):
                        signal.alarm(20)
                        producer.push_to("/child", number)
                        producer.flush()
                        status = 0
                    os._exit(status)
                assert os.waitpid(process, 0)[1] == 0
                assert producer.get("/child") == number
        finally:
            stop.set()
            for thread in threads:
                thread.join(PATIENCE)


@forks
def test_what_a_child_pushed_last_is_sent_when_it_ends() -> None:
    fork = multiprocessing.get_context("fork")
    with (
        JSONQueue.consumer("/a", timeout=PATIENCE) as consumer,
        JSONQueue.producer("/a") as producer,
    ):
        producer.flush()

        def child() -> None:
            for number in range(500):
                producer.push(number)

        process = fork.Process(target=child)
        process.start()
        process.join(PATIENCE)
        assert [consumer.pull()[1] for _ in range(500)] == list(range(500))


@forks
def test_a_queue_of_asyncio_says_that_it_was_forked() -> None:
    fork = multiprocessing.get_context("fork")
    read, write = os.pipe()

    async def main() -> None:
        async with aio.JSONQueue.producer("/a", timeout=PATIENCE) as producer:
            await producer.push(1)
            await producer.flush()

            async def use() -> None:
                await producer.push(2)

            def child() -> None:
                try:
                    asyncio.run(use())
                except WrongLoop as error:
                    os.write(write, str(error).encode())

            process = fork.Process(target=child)
            process.start()
            process.join(PATIENCE)
            assert await producer.get() == 1

    # The child's loop may run: nothing of the parent's runs in it.
    asyncio.events._set_running_loop(None)
    asyncio.run(asyncio.wait_for(main(), 60))
    os.set_blocking(read, False)
    assert b"another event loop or process" in os.read(read, 1000)
    os.close(read)
    os.close(write)


APP = """
import os
from babelmq import JSONQueue

queue = JSONQueue.producer("/hits", timeout=20)
queue.push("loaded before the workers were forked")
queue.flush()

def app(environ, start_response):
    number = int(environ["PATH_INFO"].strip("/"))
    queue.push([os.getpid(), number])
    queue.push_to(f"/answers/{number}", number)
    queue.flush()
    body = str([os.getpid(), queue.get(f"/answers/{number}")]).encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
"""


@forks
def test_gunicorn_with_workers_that_were_forked_from_a_loaded_application(tmp_path: Path) -> None:
    pytest.importorskip("gunicorn")
    (tmp_path / "app.py").write_text(APP)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [
        sys.executable,
        "-m",
        "gunicorn",
        "--preload",
        "--workers",
        "3",
        "--threads",
        "2",
        "--bind",
    ]
    with JSONQueue.consumer("/hits", timeout=PATIENCE) as consumer:
        with subprocess.Popen([*command, f"127.0.0.1:{port}", "app:app"], cwd=tmp_path) as server:
            try:
                assert consumer.pull() == ("/hits", "loaded before the workers were forked")
                end = time.monotonic() + PATIENCE
                while True:
                    with suppress(OSError):
                        socket.create_connection(("127.0.0.1", port), 1).close()
                        break
                    assert time.monotonic() < end
                    time.sleep(0.01)

                def work(who: int) -> None:
                    for turn in range(25):
                        number = who * 100 + turn
                        url = f"http://127.0.0.1:{port}/{number}"
                        with urllib.request.urlopen(url, timeout=PATIENCE) as answer:
                            assert json.load(answer)[1] == number

                in_threads(THREADS, work)
            finally:
                server.terminate()
        hits = [consumer.pull()[1] for _ in range(THREADS * 25)]
    assert sorted(number for _, number in hits) == [
        who * 100 + turn for who in range(THREADS) for turn in range(25)
    ]
    assert len({process for process, _ in hits}) > 1


# --- writes that are shared -----------------------------------------------------------------------


def test_pushes_that_come_fast_share_writes(kind: Kind, monkeypatch: pytest.MonkeyPatch) -> None:
    with JSONQueue.consumer("/a", timeout=PATIENCE, queue=200_000) as consumer:
        sizes: list[int] = []

        def noting(session: Any) -> None:
            real = session.sent

            def sent(size: int) -> None:
                sizes.append(size)
                real(size)

            monkeypatch.setattr(session, "sent", sent)

        if kind("JSONQueue", "/x").queue.__class__.__module__ == "babelmq.queue":
            producer = JSONQueue.producer("/a")
            producer.flush()
            connection = producer._connection
            # As on a machine where a write takes long: whatever follows is faster.
            monkeypatch.setattr("babelmq.connection.LONGEST_SEND", 60.0)
            noting(connection._session)
            connection._sent_at, connection._took = time.monotonic(), 60.0
            for number in range(2000):
                producer.push(number)
            producer.close()
        else:

            async def main() -> None:
                async with aio.JSONQueue.producer("/a") as producer:
                    await producer.flush()
                    noting(producer._session)
                    for number in range(2000):
                        await producer.push(number)

            asyncio.run(asyncio.wait_for(main(), 60))
        assert [consumer.pull()[1] for _ in range(2000)] == list(range(2000))
    assert len(sizes) < 200


def test_a_push_into_an_idle_socket_is_not_held_back() -> None:
    with (
        JSONQueue.consumer("/a", timeout=PATIENCE) as consumer,
        JSONQueue.producer("/a") as producer,
    ):
        producer.flush()
        for number in range(20):
            time.sleep(0.002)
            producer.push(number)
            # Neither waits for a thread, nor is one started.
            assert not producer._session.outgoing
            assert producer._connection._sender is None
            assert consumer.pull() == ("/a", number)


def test_what_was_pushed_last_is_sent_though_nothing_follows(kind: Kind) -> None:
    with JSONQueue.consumer("/a", timeout=PATIENCE) as consumer:
        producer = kind("JSONQueue", "/a")
        for number in range(1000):
            producer.push(number)
        assert [consumer.pull()[1] for _ in range(1000)] == list(range(1000))


def test_a_program_that_ends_sends_what_it_pushed() -> None:
    code = (
        "from babelmq import JSONQueue\n"
        "queue = JSONQueue.producer('/a')\n"
        "for number in range(1000): queue.push(number)\n"
    )
    with JSONQueue.consumer("/a", timeout=PATIENCE) as consumer:
        subprocess.run([sys.executable, "-c", code], check=True, timeout=PATIENCE)
        assert [consumer.pull()[1] for _ in range(1000)] == list(range(1000))
