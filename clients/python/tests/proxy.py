"""Outages: a proxy between a client and its broker, which can do to a connection what
networks do.
"""

from __future__ import annotations

import socket
import struct
import threading
from contextlib import suppress

from babelmq.address import resolve

PATIENCE = 30.0
"""Seconds that a test waits for something that will happen, before it fails."""


class _Pair:
    """A client's connection and the broker's that belongs to it."""

    def __init__(self, proxy: Proxy, client: socket.socket, broker: socket.socket) -> None:
        self.proxy = proxy
        self.client = client
        self.broker = broker
        self.forgotten = False
        self.held = False

    def start(self) -> None:
        for source, sink in ((self.client, self.broker), (self.broker, self.client)):
            threading.Thread(target=self._pass_on, args=(source, sink), daemon=True).start()

    def _pass_on(self, source: socket.socket, sink: socket.socket) -> None:
        proxy = self.proxy
        with suppress(OSError):
            while data := source.recv(1 << 16):
                proxy.flowing.wait()
                if self.held:
                    proxy.closing.wait()
                if self.forgotten:
                    proxy.note_swallowed(data)
                    continue
                if proxy.delay:
                    threading.Event().wait(proxy.delay)
                if sink is self.client:
                    data = proxy.until_stopped(sink, data)
                for piece in proxy.cut_up(data):
                    sink.sendall(piece)
                if source is self.client:
                    proxy.note_passed(data)
        if not self.forgotten:
            self.end()

    def end(self, *, reset: bool = False) -> None:
        for one in (self.client, self.broker):
            with suppress(OSError):
                if reset:
                    one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                else:
                    one.shutdown(socket.SHUT_RDWR)
            with suppress(OSError):
                if reset:
                    one.close()


class Proxy:
    """Passes everything on, until a test says otherwise."""

    def __init__(self, broker: str) -> None:
        place = resolve(broker)
        self._broker = (place.host, place.port)
        self._happened = threading.Condition()
        self._pairs: list[_Pair] = []
        self._listener: socket.socket | None = None
        self.port = 0
        self.accepted = 0
        self.swallowed = b""
        self.passed = b""
        self.delay = 0.0
        self.single_bytes = False
        self._stop_after = -1
        self.flowing = threading.Event()
        self.flowing.set()
        self.closing = threading.Event()
        self.up()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    # --- what a test does to it -------------------------------------------------------------------

    def up(self) -> None:
        """Listens, at the same port as before."""
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", self.port))
        listener.listen(128)
        self.port = listener.getsockname()[1]
        self._listener = listener
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    def down(self) -> None:
        """Refuses connections, and ends those that there are."""
        listener, self._listener = self._listener, None
        if listener is not None:
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        self.cut()

    def cut(self, *, reset: bool = False) -> None:
        """Ends every connection."""
        with self._happened:
            pairs, self._pairs = self._pairs, []
        for pair in pairs:
            pair.end(reset=reset)

    def stall(self) -> None:
        """Passes nothing on until :meth:`flow`."""
        self.flowing.clear()

    def stop_after(self, size: int) -> None:
        """Passes so many bytes on to the clients, and nothing more until :meth:`flow`."""
        self._stop_after = size

    def flow(self) -> None:
        self._stop_after = -1
        self.flowing.set()

    def forget(self) -> None:
        """Does as a NAT that has forgotten the connections: nothing arrives any more, and nobody is
        told. New ones are passed on.
        """
        with self._happened:
            for pair in self._pairs:
                pair.forgotten = True

    def hold(self) -> None:
        """Reads nothing any more from the connections that there are, so that their buffers fill,
        and nobody is told. New ones are passed on.
        """
        with self._happened:
            for pair in self._pairs:
                pair.held = True

    def close(self) -> None:
        self.flow()
        self.closing.set()
        self.down()

    # --- what a test waits for --------------------------------------------------------------------

    def wait_for_connections(self, count: int) -> None:
        """Waits until so many were accepted in all."""
        with self._happened:
            assert self._happened.wait_for(lambda: self.accepted >= count, PATIENCE)

    def wait_until_passed(self, data: bytes) -> None:
        """Waits until a client's bytes with ``data`` in them went to the broker."""
        with self._happened:
            assert self._happened.wait_for(lambda: data in self.passed, PATIENCE)

    def wait_until_swallowed(self, data: bytes) -> None:
        """Waits until bytes with ``data`` in them were swallowed by a connection that was
        forgotten.
        """
        with self._happened:
            assert self._happened.wait_for(lambda: data in self.swallowed, PATIENCE)

    # --- what it does -----------------------------------------------------------------------------

    def until_stopped(self, sink: socket.socket, data: bytes) -> bytes:
        """Passes on what is to be passed on before the stop, and gives the rest after it."""
        if 0 <= self._stop_after <= len(data):
            sink.sendall(data[: self._stop_after])
            data = data[self._stop_after :]
            self.stall()
            self.flowing.wait()
        elif self._stop_after > 0:
            self._stop_after -= len(data)
        return data

    def cut_up(self, data: bytes) -> list[bytes]:
        return [bytes([byte]) for byte in data] if self.single_bytes else [data]

    def note_swallowed(self, data: bytes) -> None:
        with self._happened:
            self.swallowed += data
            self._happened.notify_all()

    def note_passed(self, data: bytes) -> None:
        with self._happened:
            self.passed = (self.passed + data)[-1_000_000:]
            self._happened.notify_all()

    def _accept(self, listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                with self._happened:
                    self.accepted += 1
                    self._happened.notify_all()
                try:
                    broker = socket.create_connection(self._broker, 10)
                except OSError:
                    client.close()
                    continue
                broker.settimeout(None)
                for one in (client, broker):
                    one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                pair = _Pair(self, client, broker)
                with self._happened:
                    self._pairs.append(pair)
                pair.start()
