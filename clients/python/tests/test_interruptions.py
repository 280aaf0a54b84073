"""Calls that end in the middle: by Ctrl-C, by what a signal handler raises, by the cancelling of a
task.
"""

from __future__ import annotations

import asyncio
import gc
import signal
import threading
import time
from contextlib import suppress
from typing import Any

import pytest
from alarms import Alarm, alarms, needs_alarms
from proxy import PATIENCE, Proxy
from real_broker import BINARY

from babelmq import BabelmqError, ConnectionLost, JSONQueue, aio

pytestmark = needs_alarms


@pytest.mark.skipif(not BINARY, reason="the small broker of the tests waits for who does not read")
def test_an_interrupted_push_leaves_whole_frames(proxy: Proxy) -> None:
    with JSONQueue.consumer("/a", timeout=20) as consumer:
        producer = JSONQueue.producer("/a", address=proxy.address, timeout=20)
        producer.flush()
        proxy.stall()

        def waits() -> bool:
            begun = 0 < len(producer._session.outgoing) < 10_000_000
            return begun and not producer._connection._busy

        with pytest.raises(Alarm), alarms(0.2, once=waits):
            producer.push("x" * 10_000_000)
        proxy.flow()
        for number in range(5):
            producer.push(number)
        with suppress(ConnectionLost):
            producer.flush()
        producer.push("last")
        producer.flush()
        seen: list[Any] = []
        while not seen or seen[-1] != "last":
            seen.append(consumer.pull()[1])
        producer.close()
    # The one that was interrupted had begun to be sent, so it arrives; the five come after it.
    assert [value if len(str(value)) < 9 else "long" for value in seen] == [
        "long",
        0,
        1,
        2,
        3,
        4,
        "last",
    ]


def test_an_interrupted_pull_loses_nothing() -> None:
    with JSONQueue.consumer("/a", timeout=20) as consumer, JSONQueue.producer("/a") as producer:
        for number in range(5):
            with pytest.raises(Alarm), alarms(0.02):
                consumer.pull()
            producer.push(number)
            assert consumer.pull() == ("/a", number)


def test_an_interrupted_attempt_to_connect_is_made_again(proxy: Proxy) -> None:
    consumer = JSONQueue.consumer("/a", address=proxy.address, timeout=20)
    proxy.stall()
    proxy.cut()
    # It connects, subscribes, and hears nothing.
    with pytest.raises(Alarm), alarms(0.3):
        consumer.pull()
    proxy.flow()
    with JSONQueue.producer("/a") as producer:
        producer.push(1)
    assert consumer.pull() == ("/a", 1)
    proxy.down()
    with pytest.raises(Alarm), alarms(0.3):
        consumer.pull()
    proxy.up()
    with JSONQueue.producer("/a") as producer:
        producer.push(2)
    while consumer.pull() != ("/a", 2):
        pass
    consumer.close()


def test_an_interruption_at_the_end_of_a_turn(
    proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    with JSONQueue.producer("/a", address=proxy.address, timeout=20) as queue:
        queue.push(1)
        queue.flush()
        connection, drop = queue._connection, queue._connection._drop

        def struck() -> None:
            drop()
            if not connection._busy:
                monkeypatch.setattr(connection, "_drop", drop)
                raise Alarm

        monkeypatch.setattr(connection, "_drop", struck)
        proxy.cut()
        with pytest.raises(Alarm):
            for _ in range(1000):
                queue.flush()
        queue.push(2)
        queue.flush()


# One that strikes in threading.Thread.start() leaves a thread that ends at once, which threading
# says.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_hail_of_alarms_leaves_a_queue_that_works() -> None:
    """They strike anywhere: between a read and what is done with it, in the middle of a frame's
    bytes.
    """
    with (
        JSONQueue.consumer("/a", timeout=20) as queue,
        JSONQueue.producer("/a", timeout=20) as producer,
    ):
        end = time.monotonic() + 3
        number = struck = 0
        while time.monotonic() < end:
            try:
                with alarms(0.0005, 0.0007):
                    for _ in range(50):
                        producer.push(number)
                        queue.push(-number)
                        number += 1
                        with suppress(TimeoutError):
                            while True:
                                queue.pull(timeout=0)
            except (Alarm, ConnectionLost):
                struck += 1
        assert struck > 50
        for one in (producer, queue):
            for _ in range(2):
                with suppress(ConnectionLost):
                    one.flush()
        queue.push("queue")
        producer.flush()
        producer.push("producer")
        seen: set[Any] = set()
        while not {"queue", "producer"} <= seen:
            seen.add(queue.pull()[1])
        queue.flush()
        producer.flush()


def test_an_interrupted_flush_is_not_a_confirmation(proxy: Proxy) -> None:
    with JSONQueue.producer("/a", address=proxy.address, timeout=20) as producer:
        producer.flush()
        proxy.stall()
        producer.push(1)
        with pytest.raises(Alarm), alarms(0.1):
            producer.flush()
        proxy.cut()
        proxy.flow()
        with pytest.raises(ConnectionLost, match="may be lost"):
            producer.flush()


def test_a_signal_handler_may_use_a_queue_that_waits() -> None:
    with JSONQueue.consumer("/a", timeout=PATIENCE) as queue:

        def ring(*_: object) -> None:
            try:
                queue.push("from the handler")
            except BabelmqError:
                # The machine was so slow that the queue does not wait yet.
                signal.setitimer(signal.ITIMER_REAL, 0.01)

        before = signal.signal(signal.SIGALRM, ring)
        try:
            signal.setitimer(signal.ITIMER_REAL, 0.1)
            assert queue.pull() == ("/a", "from the handler")
        finally:
            signal.signal(signal.SIGALRM, before)


def _spin(seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass


def test_an_alarm_that_finds_a_finalizer_strikes_after_it() -> None:
    class Slow:
        def __del__(self) -> None:
            _spin(0.05)

    slow: Any = Slow()
    with pytest.raises(Alarm), alarms(0.01):
        del slow
        _spin(PATIENCE)


def test_an_alarm_that_is_swallowed_strikes_again() -> None:
    called: list[str] = []

    def collected(*_: object) -> None:
        called.append("begun")
        _spin(0.05)
        called.append("ended")

    gc.callbacks.append(collected)
    try:
        with pytest.raises(Alarm), alarms(0.01):
            gc.collect()
            _spin(PATIENCE)
    finally:
        gc.callbacks.remove(collected)
    # What calls it swallows what it raises.
    assert called
    assert "ended" not in called


def test_ctrl_c_while_other_threads_wait() -> None:
    with JSONQueue.consumer("/a", timeout=PATIENCE) as queue:
        pulled: list[Any] = []
        others = [threading.Thread(target=lambda: pulled.append(queue.pull()[1])) for _ in range(3)]
        with pytest.raises(Alarm), alarms(0.2):
            # The main thread is the one that polls, when the others come.
            for other in others:
                other.start()
            queue.pull()
        for number in range(3):
            queue.push(number)
        for other in others:
            other.join(PATIENCE)
        assert sorted(pulled) == [0, 1, 2]


@pytest.mark.skipif(not BINARY, reason="the small broker of the tests waits for who does not read")
def test_tasks_that_are_cancelled_leave_a_queue_that_works(proxy: Proxy) -> None:
    async def main() -> None:
        async with (
            aio.JSONQueue.consumer("/a", timeout=20) as consumer,
            aio.JSONQueue.producer("/a", address=proxy.address, timeout=20) as producer,
        ):
            await producer.flush()
            for call in (lambda: producer.push("x" * 10_000_000), producer.flush, producer.topics):
                proxy.stall()
                task = asyncio.ensure_future(call())
                await asyncio.sleep(0.05)
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
                proxy.flow()
            proxy.cut()
            # One is cancelled while it connects.
            task = asyncio.ensure_future(producer.flush())
            await asyncio.sleep(0)
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            with suppress(ConnectionLost):
                await producer.flush()
            for number in range(5):
                await producer.push(number)
            await producer.flush()
            seen = [await consumer.pull() for _ in range(5)]
            while len(str(seen[-1][1])) > 9 or seen[-1][1] != 4:
                seen.append(await consumer.pull())
            assert [value for _, value in seen if isinstance(value, int)] == [0, 1, 2, 3, 4]

    asyncio.run(asyncio.wait_for(main(), 60))
