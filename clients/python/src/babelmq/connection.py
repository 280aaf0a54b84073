"""A blocking TCP connection, and the driver that performs a session's steps with it."""

from __future__ import annotations

import select
import socket
import time
from typing import Callable, TypeVar

from .errors import CannotConnect, ConnectionLost
from .session import Send, Session, Sleep, Step, Steps

T = TypeVar("T")


class Connection:
    """The connection of one session: opened when a step asks for it, and again after it was lost."""

    def __init__(self, session: Session, address: tuple[str, int], timeout: float | None) -> None:
        self._session = session
        self._address = address
        self._timeout = timeout
        self._socket: socket.socket | None = None
        self._poll: Callable[[int], object] = lambda _: False

    def run(self, steps: Steps[T], timeout: float | None = None) -> T:
        """Performs ``steps`` and returns what they return. Raises :class:`TimeoutError` after ``timeout``
        seconds, by default the connection's.
        """
        if timeout is None:
            timeout = self._timeout
        deadline = None if timeout is None else time.monotonic() + timeout
        return self._run(steps, deadline)

    def send_now(self, data: bytes) -> bool:
        """Sends ``data`` if nothing has arrived that should be looked at first. One system call to see, one to
        send.
        """
        if self._socket is None or self._poll(0):
            return False
        try:
            self._socket.sendall(data)
        except OSError as error:
            self._lose(error)
            if _is_timeout(error):
                raise TimeoutError("the broker did not take the message in time") from None
            return False
        return True

    def close(self) -> None:
        """Closes the connection; no harm where there is none."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _run(self, steps: Steps[T], deadline: float | None) -> T:
        try:
            step = next(steps)
            while True:
                try:
                    self._perform(step, deadline)
                except (ConnectionError, TimeoutError) as error:
                    step = steps.throw(error)
                else:
                    step = steps.send(None)
        except StopIteration as done:
            result: T = done.value
            return result
        finally:
            steps.close()

    def _perform(self, step: object, deadline: float | None) -> None:
        if step is Step.RECEIVE:
            self._wait_for_input(deadline)
            self._receive()
        elif isinstance(step, Send):
            self._send(step.data, deadline)
        elif step is Step.RECEIVE_READY:
            if self._poll(0):
                self._receive()
        elif step is Step.RECONNECT:
            self._run(self._session.connect(), deadline)
        elif step is Step.CONNECT:
            self._connect(deadline)
        elif isinstance(step, Sleep):
            left = _left(deadline)
            time.sleep(step.seconds if left is None else min(step.seconds, left))
            if left is not None and left <= step.seconds:
                raise TimeoutError("the broker could not be reached in time")

    def _connect(self, deadline: float | None) -> None:
        self.close()
        try:
            opened = socket.create_connection(self._address, timeout=_left(deadline))
        except OSError as error:
            host, port = self._address
            if _is_timeout(error) and deadline is not None and time.monotonic() >= deadline:
                raise TimeoutError(f"no answer from {host}:{port} in time") from None
            raise CannotConnect(
                f"no broker answers at {host}:{port} ({error}); is `babelmq serve` running there?"
            ) from error
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        opened.settimeout(self._timeout)
        self._socket = opened
        self._poll = _poller(opened)

    def _wait_for_input(self, deadline: float | None) -> None:
        if deadline is None:
            return
        seconds = max(0.0, deadline - time.monotonic())
        # Rounded up: a poll that returns a moment too early would come again, and again.
        if not self._poll(int(seconds * 1000) + (seconds > 0)):
            raise TimeoutError("nothing arrived from the broker in time")

    def _receive(self) -> None:
        if self._socket is None:
            raise ConnectionLost("there is no connection")
        try:
            data = self._socket.recv(self._session.wanted())
        except OSError as error:
            raise self._lose(error) from error
        if not data:
            raise self._lose("the broker closed it")
        self._session.received(data)

    def _send(self, data: bytes, deadline: float | None) -> None:
        if self._socket is None:
            raise ConnectionLost("there is no connection")
        try:
            self._socket.settimeout(_left(deadline))
            self._socket.sendall(data)
            self._socket.settimeout(self._timeout)
        except OSError as error:
            lost = self._lose(error)
            # Part of a frame may have been sent, so this connection is of no more use either way.
            if _is_timeout(error):
                raise TimeoutError("the broker did not take the message in time") from None
            raise lost from error

    def _lose(self, why: object) -> ConnectionLost:
        """Gives the connection up, after what the broker said last: it may have said why."""
        if self._socket is not None:
            try:
                self._socket.setblocking(False)
                while data := self._socket.recv(self._session.wanted()):
                    self._session.received(data)
            except OSError:
                pass
            self.close()
        self._session.connection_lost(str(why))
        return ConnectionLost(f"the connection was lost: {why}")


def _left(deadline: float | None) -> float | None:
    """Seconds until ``deadline``, never quite none: sockets take a timeout of 0 for something else."""
    return None if deadline is None else max(deadline - time.monotonic(), 1e-6)


def _is_timeout(error: OSError) -> bool:
    """Whether a wait ended, and not a connection: the operating system's own ETIMEDOUT has a number."""
    return isinstance(error, socket.timeout) and error.errno is None


def _poller(opened: socket.socket) -> Callable[[int], object]:
    """What says whether something arrives on ``opened`` within so many milliseconds."""
    if not hasattr(select, "poll"):  # Windows
        return lambda milliseconds: select.select([opened], [], [], milliseconds / 1000)[0]
    poll = select.poll()
    poll.register(opened, select.POLLIN)
    return poll.poll
