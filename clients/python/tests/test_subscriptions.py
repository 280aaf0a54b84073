"""One queue, many topics; stored values and live ones; what happens to messages that nobody pulls
in time.
"""

from __future__ import annotations

import socket
import threading
from typing import Any

import pytest
from fake_broker import CODECS, Scripted, encode
from kinds import Kind
from proxy import PATIENCE, Proxy
from real_broker import BINARY

from babelmq import BrokerError, Format, JSONQueue, Message, MiddlewareType, NotSubscribed
from babelmq.frame import FrameBuffer

PRODUCER = MiddlewareType.PRODUCER
NAMES = ["JSONQueue", "XMLQueue", "PickleQueue"]


# --- many topics over one connection --------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_the_order_of_pushes_holds_over_all_topics(name: str, kind: Kind, proxy: Proxy) -> None:
    consumer = kind("JSONQueue", "/t", timeout=PATIENCE)
    producer = kind(name, "/t", PRODUCER, address=proxy.address, timeout=PATIENCE)
    expected = []
    for number in range(3000):
        topic = f"/t/{number * 7 % 1500}"
        if number % 10 == 0:
            producer.push(number)
            topic = "/t"
        else:
            producer.push_to(topic, number, retain=number % 2 == 0)
        expected.append((topic, number))
    producer.flush()
    assert [consumer.pull() for _ in range(3000)] == expected
    assert proxy.accepted == 1


def test_a_topic_that_cannot_be_pushed_to(kind: Kind) -> None:
    producer = kind("JSONQueue", "/t", PRODUCER, timeout=PATIENCE)
    with pytest.raises(ValueError, match="which no topic may"):
        producer.push_to("a\nb", 1)
    with pytest.raises(TypeError, match="a topic is a str"):
        producer.push_to(7, 1)
    producer.push_to("/t//x", 1)
    with pytest.raises(BrokerError, match="invalid-topic") as caught:
        producer.flush()
    assert caught.value.topic == "/t//x"
    with pytest.raises(ValueError, match="a ttl is from 1"):
        producer.push_to("/t/x", 1, ttl=0)


@pytest.mark.parametrize("name", NAMES)
def test_a_queue_subscribes_again_after_a_cancel(name: str, kind: Kind) -> None:
    queue = kind(name, "/a", timeout=PATIENCE)
    for number in range(3):
        queue.push(number)
        if number:
            # The stored value comes again, and is the one before.
            assert queue.pull() == ("/a", number - 1)
        assert queue.pull() == ("/a", number)
        queue.cancel()
        with pytest.raises(NotSubscribed):
            queue.pull()
        queue.subscribe()


@pytest.mark.parametrize("name", NAMES)
def test_a_queue_has_several_subscriptions(name: str, kind: Kind, proxy: Proxy) -> None:
    queue = kind(name, "/a", address=proxy.address, timeout=PATIENCE)
    queue.subscribe("/b")
    queue.subscribe("/c/+/d")
    for topic in ("/a/x", "/b/x", "/c/x/d", "/d"):
        queue.push_to(topic, topic)
    assert [queue.pull()[0] for _ in range(3)] == ["/a/x", "/b/x", "/c/x/d"]
    queue.cancel("/b")
    queue.push_to("/b/y", 1)
    queue.push_to("/a/y", 2)
    assert queue.pull() == ("/a/y", 2)
    # On a new connection those that are left are made again.
    queue.flush()
    proxy.cut()
    queue.flush()
    assert {message.topic for message in queue.pull_stored()} == {"/a/x", "/a/y", "/c/x/d"}
    queue.push_to("/c/y/d", 3)
    assert queue.pull() == ("/c/y/d", 3)
    queue.cancel()
    with pytest.raises(NotSubscribed):
        queue.pull()


def test_a_producer_may_subscribe(kind: Kind) -> None:
    queue = kind("JSONQueue", "/a", PRODUCER, timeout=PATIENCE)
    queue.subscribe()
    queue.subscribe("/b")
    queue.push_to("/b", 1)
    queue.push(2)
    assert [queue.pull(), queue.pull()] == [("/b", 1), ("/a", 2)]


def test_nothing_is_missed_from_subscribe_on(kind: Kind) -> None:
    queue = kind("JSONQueue", "/a", timeout=PATIENCE)
    with JSONQueue.producer("/x", timeout=PATIENCE) as other:
        other.flush()
        for number in range(50):
            topic = f"/n/{number}"
            queue.subscribe(topic)
            other.push_to(topic, number)
            assert queue.pull() == (topic, number)


def test_a_subscription_that_is_refused_leaves_the_others(kind: Kind) -> None:
    queue = kind("JSONQueue", "/a", timeout=PATIENCE)
    with pytest.raises(BrokerError, match="invalid-topic"):
        queue.subscribe("/b//c")
    queue.push(1)
    assert queue.pull() == ("/a", 1)
    queue.cancel("/a")
    with pytest.raises(NotSubscribed):
        queue.pull()
    other = kind("JSONQueue", "/a", PRODUCER, timeout=PATIENCE)
    with pytest.raises(BrokerError, match="invalid-topic"):
        other.subscribe("/b//c")
    other.flush()
    with pytest.raises(NotSubscribed):
        other.pull()


# --- stored values --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_a_message_says_whether_it_was_stored(name: str, kind: Kind) -> None:
    with JSONQueue.producer("/a", timeout=PATIENCE) as producer:
        producer.push("stored")
    queue = kind(name, "/a", timeout=PATIENCE)
    queue.push("live")
    form = Format[name.replace("Queue", "").upper()]
    assert queue.pull_message() == Message("/a", "stored", True, form)
    message = queue.pull_message()
    assert message == Message("/a", "live", False, form)
    assert (message.topic, message.value, message.retained, message.format) == message[:4]
    assert not message.cleared
    with pytest.raises(TimeoutError):
        queue.pull_message(timeout=0)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("flushed", [False, True], ids=["", "flushed"])
def test_where_stored_values_end(name: str, flushed: bool, kind: Kind) -> None:
    with JSONQueue.producer("/a", timeout=PATIENCE) as producer:
        for number in range(100):
            producer.push_to(f"/a/{number}", number)
    queue = kind(name, "/a", timeout=PATIENCE)
    for number in range(20):
        queue.push_to(f"/a/{number}", "live")
    if flushed:
        queue.flush()
    assert queue.pull() == ("/a/0", 0)
    stored = queue.pull_stored()
    assert [(message.topic, message.value) for message in stored] == [
        (f"/a/{n}", n) for n in range(1, 100)
    ]
    assert all(message.retained for message in stored)
    assert [queue.pull_message().retained for _ in range(20)] == [False] * 20
    assert queue.pull_stored() == []
    queue.cancel()
    with pytest.raises(NotSubscribed):
        queue.pull()


def test_waiting_for_stored_values_loses_none(kind: Kind) -> None:
    more = threading.Event()
    value = {"command": "publish", "topic": "/a", "retained": True, "message": 1}
    live = {"command": "publish", "topic": "/a", "message": 2}

    def script(peer: socket.socket) -> None:
        peer.recv(1 << 16)
        peer.sendall(encode(0, value))
        more.wait(PATIENCE)
        peer.sendall(
            encode(0, value) + encode(0, {"command": "subscribed", "topic": "/a", "values": 2})
        )
        peer.sendall(encode(0, live))
        peer.recv(1)

    broker = Scripted(script)
    try:
        queue = kind("JSONQueue", "/a", address=broker.address)
        with pytest.raises(TimeoutError):
            queue.pull_stored(timeout=0.05)
        more.set()
        assert [message.value for message in queue.pull_stored(timeout=PATIENCE)] == [1, 1]
        assert queue.pull(timeout=PATIENCE) == ("/a", 2)
    finally:
        queue.close()
        broker.close()


@pytest.mark.parametrize("name", NAMES)
def test_without_stored_values(name: str, kind: Kind, proxy: Proxy) -> None:
    with JSONQueue.producer("/a", timeout=PATIENCE) as producer:
        producer.push("stored")
    queue = kind(name, "/a", address=proxy.address, timeout=PATIENCE, retained=False)
    queue.push("live")
    assert queue.pull() == ("/a", "live")
    assert queue.pull_stored() == []
    queue.flush()
    proxy.cut()
    queue.flush()
    queue.push("again")
    assert queue.pull() == ("/a", "again")


# --- messages that nobody pulls in time -----------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_how_a_subscription_overflows_is_said_to_the_broker(name: str, kind: Kind) -> None:
    heard: list[dict[str, Any]] = []
    form = int(Format[name.replace("Queue", "").upper()])

    def script(peer: socket.socket) -> None:
        frames = FrameBuffer()
        frames.feed(peer.recv(1 << 16))
        found = frames.next()
        assert found is not None
        heard.append(CODECS[form].decode(found[1]))
        dropped = {"command": "dropped", "topic": "/a", "count": 12}
        subscribed = {"command": "subscribed", "topic": "/a", "values": 0}
        live = {"command": "publish", "topic": "/a", "message": 1}
        peer.sendall(
            b"".join(encode(form, one) for one in (subscribed, dropped, live, dropped, live))
        )
        peer.recv(1)

    broker = Scripted(script)
    try:
        queue = kind(
            name, "/a", address=broker.address, timeout=PATIENCE, overflow="drop-oldest", queue=5
        )
        assert (heard[0]["overflow"], int(heard[0]["queue"])) == ("drop-oldest", 5)
        assert queue.dropped == 0
        assert queue.pull() == ("/a", 1)
        assert queue.dropped == 12
        queue.pull()
        assert queue.dropped == 24
    finally:
        queue.close()
        broker.close()
    with pytest.raises(ValueError, match="overflow is one of disconnect, drop-oldest, latest"):
        kind(name, "/a", overflow="newest")


@pytest.mark.skipif(not BINARY, reason="it needs a real broker: set BABELMQ_BIN; `make test` does")
@pytest.mark.parametrize("overflow", ["drop-oldest", "latest"])
def test_a_real_broker_lets_messages_go(overflow: str, kind: Kind, proxy: Proxy) -> None:
    queue = kind(
        "JSONQueue", "/a", address=proxy.address, timeout=PATIENCE, overflow=overflow, queue=4
    )
    queue.flush()
    proxy.stall()
    with JSONQueue.producer("/a", timeout=PATIENCE) as producer:
        for number in range(400):
            producer.push([number, "x" * 100_000])
        producer.flush()
        proxy.flow()
        seen: list[int] = []
        while not seen or seen[-1] != 399:
            seen.append(queue.pull()[1][0])
    assert seen == sorted(seen) and len(seen) < 400
    if overflow == "drop-oldest":
        assert len(seen) + queue.dropped == 400


@pytest.mark.skipif(not BINARY, reason="it needs a real broker: set BABELMQ_BIN; `make test` does")
def test_a_queue_that_is_too_short_is_the_brokers_to_refuse(kind: Kind) -> None:
    with pytest.raises(BrokerError, match="queue"):
        kind("JSONQueue", "/a", timeout=PATIENCE, queue=0)


# --- documents ------------------------------------------------------------------------------------

DOCUMENT = (
    '<order id="5" xmlns:x="urn:x"><!-- two --><sku>X1 &amp; ä</sku>'
    '<sku type="int">X2</sku><x:note/></order>'
)


def test_a_document_arrives_as_it_was(kind: Kind) -> None:
    queue = kind("XMLQueue", "/orders", timeout=PATIENCE)
    json = kind("JSONQueue", "/orders", timeout=PATIENCE)
    spellings: list[Any] = [
        DOCUMENT,
        DOCUMENT.encode(),
        f'<?xml version="1.0" encoding="utf-8"?>\n{DOCUMENT}',
        f"<?xml version='1.0' encoding='UTF-8'?>{DOCUMENT}".encode(),
        f'<?xml version="1.0" encoding="latin-1"?>{DOCUMENT}',
    ]
    for spelling in spellings:
        queue.push_document(spelling)
        topic, document = queue.pull_document()
        assert (topic, document.strip()) == ("/orders", DOCUMENT)
        order = json.pull()[1]["order"]
        assert (order["@id"], order["sku"][0], order["sku"][1]["#text"]) == ("5", "X1 & ä", "X2")
    queue.push_document("<a/>", retain=False)
    assert queue.pull_document() == ("/orders", "<a/>")
    queue.push_document("<b/>", ttl=100)
    queue.flush()
    assert queue.pull_message().value == {"b": None}


def test_a_document_is_pushed_to_another_topic(kind: Kind) -> None:
    queue = kind("XMLQueue", "/orders", timeout=PATIENCE)
    queue.push_document_to("/orders/5", DOCUMENT, retain=False)
    assert queue.pull_document() == ("/orders/5", DOCUMENT)
    for wrong, problem in (("/a\n", ValueError), (5, TypeError)):
        with pytest.raises(problem):
            queue.push_document_to(wrong, DOCUMENT)
    with pytest.raises(ValueError, match="well-formed"):
        queue.push_document_to("/orders/5", "<a>")


def test_what_is_no_document_is_not_sent(kind: Kind) -> None:
    queue = kind("XMLQueue", "/orders", PRODUCER, timeout=PATIENCE)
    for bad in (
        "",
        "text",
        "<a>",
        "<a/><b/>",
        "<!DOCTYPE a><a/>",
        "<a>&nbsp;</a>",
        "<a></a></message>",
    ):
        with pytest.raises(ValueError):
            queue.push_document(bad)
    with pytest.raises(ValueError, match="latin-1"):
        queue.push_document(b'<?xml version="1.0" encoding="latin-1"?><a/>')
    with pytest.raises(ValueError, match="a ttl is from 1"):
        queue.push_document("<a/>", ttl=0)
    queue.flush()
    assert queue.get() is None


def test_other_messages_are_the_element_in_which_they_came(kind: Kind) -> None:
    queue = kind("XMLQueue", "/a", timeout=PATIENCE)
    queue.push({"message": [1, "<&>"], "note": None})
    assert queue.pull_document()[1] == (
        '<message type="dict"><message type="list"><item type="int">1</item>'
        '<item type="str">&lt;&amp;&gt;</item></message><note type="null"/></message>'
    )
    queue.push(None)
    queue.push(7)
    queue.flush()
    assert [queue.pull_document()[1] for _ in range(2)] == [
        '<message type="null"/>',
        '<message type="int">7</message>',
    ]
    with JSONQueue.producer("/a", timeout=PATIENCE) as producer:
        producer.push({"a": 1})
    assert queue.pull_document()[1] == '<message type="dict"><a type="int">1</a></message>'
