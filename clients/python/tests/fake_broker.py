"""Peers for the tests: a small broker, and one that says whatever a test wants it to say.

The small broker stands in where no real one was built (BABELMQ_BIN). It shares the codecs with what
it tests, so it proves how the client converses and not how values are written; test_codecs.py and
the judge do that.
"""

from __future__ import annotations

import io
import pickle
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import timezone
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

from arrays import canonical_array, is_array

from babelmq import json_codec, pickle_codec, xml_codec, xml_reader, xml_writer
from babelmq.codec import Codec, Fields
from babelmq.errors import ProtocolError
from babelmq.frame import Format, FrameBuffer, frame

CODECS: dict[int, Codec] = {
    0: json_codec.JSONCodec(),
    1: xml_codec.XMLCodec(),
    2: pickle_codec.PickleCodec(),
}


_NAMED = {
    **dict.fromkeys(
        [f"numpy.{core}.multiarray" for core in ("core", "_core")], ("_reconstruct", "scalar")
    ),
    **dict.fromkeys([f"numpy.{core}.numeric" for core in ("core", "_core")], ("_frombuffer",)),
    "numpy": ("dtype", "ndarray"),
    "builtins": ("complex", "getattr"),
    "datetime": ("date", "datetime", "time", "timedelta", "timezone"),
    "decimal": ("Decimal",),
    "fractions": ("Fraction",),
    "uuid": ("UUID",),
    "zoneinfo": ("ZoneInfo",),
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if name in _NAMED.get(module, ()):
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f"it names {module}.{name}")


_InPython: Any = vars(pickle)["_Pickler"]


class _Pickler(_InPython):  # type: ignore[misc]
    """Writes the names that a broker does."""

    def reducer_override(self, value: Any) -> Any:
        if type(value) is timezone:
            return timezone, (value.utcoffset(None),)
        if type(value) is ZoneInfo:
            return ZoneInfo, (value.key,)
        if is_array(value):
            # In C order.
            return canonical_array(value.copy()).__reduce__()
        return (Fraction, (str(value),)) if type(value) is Fraction else NotImplemented

    def save_global(self, value: Any, name: str | None = None) -> None:
        if value.__name__ != "_reconstruct":
            super().save_global(value, name)
            return
        self.save("numpy.core.multiarray")
        self.save("_reconstruct")
        self.write(pickle.STACK_GLOBAL)
        self.memoize(value)


def exact_pickle(value: Any) -> bytes:
    """``value`` as a pickle that keeps types and names what a broker names."""
    file = io.BytesIO()
    _Pickler(file, 4).dump(value)
    return file.getvalue()


def decode(form: int, body: bytes) -> Fields:
    """The message in ``body``, as a broker understands it."""
    if form == Format.PICKLE:
        message: Fields = _Unpickler(io.BytesIO(body)).load()
        return message
    return CODECS[form].decode(body)


def encode(form: int, message: Fields, spelled: str | None = None) -> bytes:
    """A frame that says ``message``, as the broker writes it; what was ``spelled`` in XML stays as
    it was.
    """
    if form == Format.JSON:
        body = json_codec.dumps(message)
    elif form == Format.PICKLE:
        # Who asks in pickle asks for types.
        body = exact_pickle(message)
    else:
        fields = {
            name: field for name, field in message.items() if name not in ("message", "topics")
        }
        children = [
            xml_writer.element(message[name], name)
            for name in ("message", "topics")
            if name in message
        ]
        if spelled is not None:
            children = [spelled.encode()]
        head = f"<frame{xml_writer.attributes(fields)}>".encode()
        body = b"".join([head, *children, b"</frame>"])
    return frame(Format(form), body)


class Listener:
    """Listens on a free port and gives each connection a thread."""

    def __init__(self, port: int = 0) -> None:
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind(("127.0.0.1", port))
        self._socket.listen()
        self.port: int = self._socket.getsockname()[1]
        self.address = f"127.0.0.1:{self.port}"
        self.connections: list[socket.socket] = []
        self.threads = [threading.Thread(target=self._accept, daemon=True)]
        self.threads[0].start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                peer, _ = self._socket.accept()
                self.connections.append(peer)
                thread = threading.Thread(target=self._serve_quietly, args=(peer,), daemon=True)
                self.threads.append(thread)
                thread.start()

    def _serve_quietly(self, peer: socket.socket) -> None:
        # Who says what no client says is hung up on.
        with suppress(OSError, ProtocolError), peer:
            self.serve(peer)

    def serve(self, peer: socket.socket) -> None:
        raise NotImplementedError

    def drop_all(self) -> None:
        """Cuts every connection."""
        for peer in self.connections:
            with suppress(OSError):
                peer.shutdown(socket.SHUT_RDWR)
        self.connections.clear()

    def close(self) -> None:
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self.drop_all()
        for thread in self.threads:
            thread.join(5)


class Scripted(Listener):
    """A peer that runs a function of the test for each connection."""

    def __init__(self, script: Callable[[socket.socket], None]) -> None:
        self.script = script
        super().__init__()

    def serve(self, peer: socket.socket) -> None:
        self.script(peer)


class _Refused(Exception):
    """What ends a connection, after what is said of it."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__()
        self.error = {"command": "error", "code": code, "reason": reason, "fatal": True}


class FakeBroker(Listener):
    """The contract's messages, without its limits. Whoever it is may do everything but what is
    ``denied``; where there are ``users`` or ``tokens``, a login comes first.
    """

    def __init__(self, port: int = 0) -> None:
        self._lock = threading.RLock()
        self.values: dict[str, Any] = {}
        self._ends: dict[str, float] = {}
        self._subscriptions: dict[socket.socket, dict[str, int]] = {}
        self._told: dict[socket.socket, int] = {}
        self.subscribed = threading.Semaphore(0)
        self.users: dict[str, str] = {}
        self.tokens: dict[str, str] = {}
        self.denied: set[str] = set()
        self.limited: set[str] = set()
        self.logins: list[str] = []
        self._known: set[socket.socket] = set()
        super().__init__(port)

    def serve(self, peer: socket.socket) -> None:
        frames = FrameBuffer()
        found = None
        try:
            while data := peer.recv(1 << 16):
                frames.feed(data)
                while (found := frames.next()) is not None:
                    with self._lock:
                        self._judge(peer, *found)
        except _Refused as refused:
            peer.sendall(encode(found[0] if found else 0, refused.error))
            peer.shutdown(socket.SHUT_WR)
            # With something unread, a close may take back what was said last.
            while peer.recv(1 << 16):
                pass
        finally:
            with self._lock:
                self._subscriptions.pop(peer, None)
                self._known.discard(peer)

    def _judge(self, peer: socket.socket, form: int, body: bytes) -> None:
        try:
            message = decode(form, body)
        except Exception as error:
            refusal = {
                "command": "error",
                "code": "malformed",
                "reason": str(error),
                "fatal": False,
            }
            peer.sendall(encode(form, refusal))
            return
        command, topic = message["command"], message.get("topic", "")
        if (self.users or self.tokens) and peer not in self._known and command != "login":
            raise _Refused("login-required", "nothing but a login is taken")
        if topic in self.denied:
            refusal = {
                "command": "error",
                "code": "not-permitted",
                "reason": f"no rule allows it: {command} {topic}",
                "fatal": False,
                "topic": topic,
            }
            peer.sendall(encode(form, refusal))
            return
        if "topic" in message and ("//" in topic or not topic):
            reason = "an empty segment"
            refusal = {
                "command": "error",
                "code": "invalid-topic",
                "reason": reason,
                "fatal": False,
                "topic": topic,
            }
            peer.sendall(encode(form, refusal))
            return
        for stored, end in list(self._ends.items()):
            if end <= time.monotonic():
                del self._ends[stored]
                self.values.pop(stored, None)
        reply = getattr(self, "_" + command)(peer, form, message)
        if reply is not None:
            peer.sendall(encode(form, reply))

    def _publish(self, _peer: socket.socket, published: int, message: Fields) -> None:
        topic = message["topic"]
        spelled = xml_reader.source(message[xml_reader.SOURCE]) if published == Format.XML else None
        if message.get("retain", True) not in (False, "false"):
            self.values.pop(topic, None)
            self.values[topic] = message["message"]
            self._ends.pop(topic, None)
            if "ttl" in message:
                self._ends[topic] = time.monotonic() + int(message["ttl"])
        for peer, subscriptions in list(self._subscriptions.items()):
            for pattern, form in subscriptions.items():
                if matches(pattern, topic):
                    delivery = {"command": "publish", "topic": topic, "message": message["message"]}
                    with suppress(OSError):
                        peer.sendall(encode(form, delivery, spelled))
                    break

    def _subscribe(self, peer: socket.socket, form: int, message: Fields) -> Fields:
        stored = [topic for topic in self.values if matches(message["topic"], topic)]
        for topic in stored:
            value = {
                "command": "publish",
                "topic": topic,
                "retained": True,
                "message": self.values[topic],
            }
            peer.sendall(encode(form, value))
        self._subscriptions.setdefault(peer, {})[message["topic"]] = form
        if message.get("cleared") in (True, "true"):
            self._told[peer] = form
        self.subscribed.release()
        reply = {"command": "subscribed", "topic": message["topic"], "values": len(stored)}
        if message["topic"] in self.limited:
            reply["limited"] = True
        return reply

    def _login(self, peer: socket.socket, _form: int, message: Fields) -> Fields:
        if not self.users and not self.tokens:
            user = "anonymous"
        elif "token" in message:
            user = self.tokens.get(message["token"], "")
        else:
            known = self.users.get(message["user"]) == message["password"]
            user = message["user"] if known else ""
        if not user:
            raise _Refused("login-failed", "the user, the password or the token is wrong")
        self._known.add(peer)
        self.logins.append(user)
        return {"command": "welcome", "user": user, "server": "0.1.0"}

    def _cancel(self, peer: socket.socket, _form: int, message: Fields) -> Fields:
        self._subscriptions.get(peer, {}).pop(message["topic"], None)
        return {"command": "cancelled", "topic": message["topic"]}

    def _list(self, _peer: socket.socket, _form: int, _message: Fields) -> Fields:
        return {"command": "topics", "topics": sorted(self.values)}

    def _get(self, _peer: socket.socket, _form: int, message: Fields) -> Fields:
        reply = {"command": "value", "topic": message["topic"]}
        if message["topic"] in self.values:
            reply["message"] = self.values[message["topic"]]
        return reply

    def _clear(self, _peer: socket.socket, _form: int, message: Fields) -> None:
        """Of one topic: filters are the real broker's."""
        topic = message["topic"]
        if topic not in self.values:
            return
        del self.values[topic]
        for peer, form in list(self._told.items()):
            if any(matches(pattern, topic) for pattern in self._subscriptions.get(peer, ())):
                with suppress(OSError):
                    peer.sendall(encode(form, {"command": "cleared", "topic": topic}))

    def _ping(self, _peer: socket.socket, _form: int, message: Fields) -> Fields:
        return {"command": "pong", "id": message["id"]} if "id" in message else {"command": "pong"}


def matches(pattern: str, topic: str) -> bool:
    segments = pattern.rstrip("/").split("/")
    if segments[-1] == "#":
        segments.pop()
    wanted = topic.split("/")
    return len(segments) <= len(wanted) and all(
        one in ("+", other) for one, other in zip(segments, wanted)
    )
