"""A small broker that keeps streams, for what no real one does on demand: losing what is on its
way, and showing what it was told.
"""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any

from fake_broker import FakeBroker, encode, matches

from babelmq.codec import Fields

DAWN = datetime(2026, 11, 29, 17, tzinfo=timezone.utc)


@dataclass
class Consumer:
    """What a durable consumer has: messages by their numbers."""

    next: int
    attempts: dict[int, int] = field(default_factory=dict)
    ready: list[int] = field(default_factory=list)
    out: dict[int, socket.socket] = field(default_factory=dict)
    dead: dict[int, str] = field(default_factory=dict)
    members: dict[socket.socket, Fields] = field(default_factory=dict)


class StreamBroker(FakeBroker):
    """A broker with the stream ``s``, which keeps all topics. No time passes in it: nothing is
    delivered again before somebody leaves or gives it back.
    """

    def __init__(self, port: int = 0) -> None:
        self.log: list[tuple[str, Any]] = []
        self.ids: set[str] = set()
        self.consumers: dict[str, Consumer] = {}
        self.followers: dict[socket.socket, Fields] = {}
        self.told: list[Fields] = []
        self.forms: dict[socket.socket, int] = {}
        self.most = 1 << 20
        #: Whether it answers pings.
        self.answers = True
        #: One for each member that has left.
        self.left = threading.Semaphore(0)
        super().__init__(port)

    def serve(self, peer: socket.socket) -> None:
        try:
            super().serve(peer)
        finally:
            with self._lock:
                self._leave(peer)

    def _judge(self, peer: socket.socket, form: int, body: bytes) -> None:
        if len(body) > self.most:
            self._refuse(peer, form, "frame-too-large", "a frame is too long", fatal=True)
            peer.shutdown(socket.SHUT_RDWR)
            return
        super()._judge(peer, form, body)

    def _refuse(
        self, peer: socket.socket, form: int, code: str, reason: str, *, fatal: bool = False
    ) -> None:
        error = {"command": "error", "code": code, "reason": reason, "fatal": fatal}
        peer.sendall(encode(form, error))

    # --- what a client says -----------------------------------------------------------------------

    def _publish(self, peer: socket.socket, published: int, message: Fields) -> None:
        if "id" in message:
            if message["id"] in self.ids:
                return
            self.ids.add(message["id"])
        self.log.append((message["topic"], message["message"]))
        super()._publish(peer, published, message)
        self._hand_out()

    def _subscribe(self, peer: socket.socket, form: int, message: Fields) -> Fields:
        if "consumer" not in message and "start" not in message:
            return super()._subscribe(peer, form, message)
        self.told.append(message)
        self.forms[peer] = form
        reply = {"command": "subscribed", "topic": message["topic"], "values": 0, "stream": "s"}
        if "consumer" not in message:
            self.followers[peer] = {**message, "next": self._begins(message)}
            begins = self.followers[peer]["next"]
            pending = len(self.log) + 1 - begins
            peer.sendall(encode(form, {**reply, "pending": pending, "next": begins}))
        else:
            name = message["consumer"]
            consumer = self.consumers.setdefault(name, Consumer(self._begins(message)))
            consumer.members[peer] = message
            pending = len(self.log) + 1 - consumer.next + len(consumer.ready) + len(consumer.out)
            peer.sendall(encode(form, {**reply, "consumer": name, "pending": pending}))
        self._hand_out()
        return {"command": "nothing"}

    def _cancel(self, peer: socket.socket, form: int, message: Fields) -> Fields:
        self._leave(peer)
        self._hand_out()
        return super()._cancel(peer, form, message)

    def _ack(self, peer: socket.socket, form: int, message: Fields) -> None:
        self._settle(peer, form, message)

    _nak = _touch = _reject = _ack

    def _ping(self, peer: socket.socket, form: int, message: Fields) -> Fields:
        return super()._ping(peer, form, message) if self.answers else {"command": "nothing"}

    def _get(self, peer: socket.socket, form: int, message: Fields) -> Fields:
        if "last" not in message:
            return super()._get(peer, form, message)
        topic, count = message["topic"], 0
        found = [seq for seq, (kept, _) in enumerate(self.log, 1) if kept == topic]
        for seq in found[-int(message["last"]) :]:
            count += 1
            peer.sendall(encode(form, {**self._kept(seq), "command": "value"}))
        return {"command": "values", "topic": topic, "count": count}

    # --- what becomes of it -----------------------------------------------------------------------

    def _begins(self, message: Fields) -> int:
        start = message.get("start", "new")
        return len(self.log) + 1 if start == "new" else 1 if start == "all" else int(start)

    def _settle(self, peer: socket.socket, form: int, message: Fields) -> None:
        self.told.append(message)
        consumer = next((one for one in self.consumers.values() if peer in one.members), None)
        if consumer is None:
            self._refuse(peer, form, "no-consumer", "this connection is none")
            return
        seq, command = int(message["seq"]), message["command"]
        if command == "touch" or not (seq in consumer.out or seq in consumer.ready):
            return
        consumer.out.pop(seq, None)
        if seq in consumer.ready:
            consumer.ready.remove(seq)
        if command == "nak":
            consumer.ready.append(seq)
        elif command == "reject":
            consumer.dead[seq] = message.get("reason", "")
        self._hand_out()

    def _leave(self, peer: socket.socket) -> None:
        self.followers.pop(peer, None)
        for consumer in self.consumers.values():
            if consumer.members.pop(peer, None) is not None:
                back = [seq for seq, member in consumer.out.items() if member is peer]
                consumer.ready += back
                for seq in back:
                    del consumer.out[seq]
                self.left.release()
        self._hand_out()

    def _hand_out(self) -> None:
        for name, consumer in self.consumers.items():
            for peer, options in list(consumer.members.items()):
                window = int(options.get("window", 256))
                while sum(member is peer for member in consumer.out.values()) < window:
                    seq = self._next(consumer, options["topic"])
                    if seq is None:
                        break
                    consumer.out[seq] = peer
                    attempt = consumer.attempts[seq] = consumer.attempts.get(seq, 0) + 1
                    self._send(peer, {**self._kept(seq, attempt), "consumer": name})
        for peer, options in list(self.followers.items()):
            for seq in range(options["next"], len(self.log) + 1):
                if matches(options["topic"], self.log[seq - 1][0]):
                    self._send(peer, self._kept(seq))
            options["next"] = len(self.log) + 1

    def _next(self, consumer: Consumer, pattern: str) -> int | None:
        if consumer.ready:
            return consumer.ready.pop(0)
        while consumer.next <= len(self.log):
            consumer.next += 1
            if matches(pattern, self.log[consumer.next - 2][0]):
                return consumer.next - 1
        return None

    def _kept(self, seq: int, attempt: int = 1) -> Fields:
        topic, value = self.log[seq - 1]
        time = (DAWN + timedelta(milliseconds=seq)).isoformat(timespec="milliseconds")
        fields = {"command": "publish", "topic": topic, "stream": "s", "seq": seq}
        fields["time"] = time.replace("+00:00", "Z")
        if attempt > 1:
            fields["attempt"] = attempt
        return {**fields, "message": value}

    def _send(self, peer: socket.socket, message: Fields) -> None:
        with suppress(OSError):
            peer.sendall(encode(self.forms[peer], message))
