"""A blocking connection, and the driver that performs a session's steps with it.

Threads may share it. Whoever uses the session holds the lock, never while waiting. Of those that
wait for input one polls the socket, and the others for its word that something has happened.
"""

from __future__ import annotations

import errno
import os
import select
import socket
import threading
import time
import weakref
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Callable, NamedTuple, TypeVar, Union

from .address import Place
from .codec import Fields
from .errors import BabelmqError, CertificateError
from .link import State
from .session import MOST_WAITING, Answer, Session, Step, Steps
from .tls import TLSSocket, refused_certificate, unreachable

if TYPE_CHECKING:
    import ssl

T = TypeVar("T")
Socket = Union[socket.socket, TLSSocket]

SHARED = 32 << 10
"""Bytes of pushes that come faster than the socket takes them, after which they are sent."""

LONGEST_SEND = 100e-6
"""Seconds: a push that comes sooner after a write than that write took waits for others. This is
the most.
"""

LINGER = 0.02
"""Seconds that the thread which sends such pushes waits for more before it ends; an exit may wait
for it.
"""

LAST_WORDS = 1.0
"""Seconds that ``close()`` gives the operating system to take what was pushed."""

LAST_SECONDS = 5.0
"""Seconds that an interpreter which ends waits for a broker that takes nothing."""

_IN_PROGRESS = {0, errno.EINPROGRESS, errno.EWOULDBLOCK}


class _Wait(NamedTuple):
    """What a call waits for, outside of the lock."""

    turn: int
    poll: Callable[[float | None], object] | None
    until: float | None


class Connection:
    """The connection of one session: opened when a step asks for it, and again after it
    was lost.
    """

    def __init__(
        self,
        session: Session,
        place: Place,
        context: ssl.SSLContext | None,
        timeout: float | None,
    ) -> None:
        self._session = session
        self._place = place
        self._context = context
        self._timeout = timeout
        # Used by who holds the lock, for reading and for writing; others only poll it.
        self._socket: Socket | None = None
        self._addresses: deque[Any] = deque()
        self._has_input: Callable[[float | None], object] = lambda _: False
        self._sent_at = 0.0
        self._took = 0.0
        self._make_locks()
        _connections.add(self)

    def _make_locks(self) -> None:
        self._lock = threading.RLock()
        # Of each thread that waits for another's word, a lock that it cannot acquire before. An
        # exception in the middle of a Condition's wait() would leave the other lock unacquired.
        self._waiting: deque[threading.Lock] = deque()
        # The thread that polls for input, and the one that looks the address up.
        self._poller = 0
        self._resolver = 0
        self._turn = 0
        # Set while the session is being used. Where an exception that is none of ours ends that
        # (Ctrl-C, an alarm), it stays set, and nobody knows how far it came.
        self._busy = False
        self._inside = False
        self._sender: threading.Thread | None = None
        self._sender_sleeps = False
        self._wake_sender = threading.Lock()

    # --- what a queue calls -----------------------------------------------------------------------

    def run(self, steps: Steps[T], timeout: float | None = None) -> T:
        """Performs ``steps`` and returns what they return. Raises :class:`TimeoutError` after
        ``timeout`` seconds, by default the connection's. The first connection may take as long as
        it was given.
        """
        deadline = self._deadline(timeout)
        me = threading.get_ident()
        try:
            while True:
                try:
                    step, wait = self._use(lambda: self._advance(steps, deadline, me))
                except StopIteration as done:
                    result: T = done.value
                    return result
                self._session.log()
                if isinstance(step, Answer):
                    step.callback(step.topics)
                elif wait is None:
                    raise TimeoutError(self._session.trouble(step))
                elif self._resolver == me:
                    self._resolve()
                else:
                    self._wait(wait)
        finally:
            with self._lock:
                steps.close()
                self._leave(me)
            self._session.log()

    def push_now(self, data: bytes) -> bool:
        """Takes ``data`` if nothing has arrived that should be looked at first. It is sent at once
        if the socket is idle; else with what else is pushed meanwhile, in one write.
        """
        session = self._session
        with self._lock:
            waiting = session.outgoing
            size = len(waiting)
            if (
                self._busy
                or not session.connected
                or session.attention
                or session.crowded
                or size + len(data) > MOST_WAITING
            ):
                return False
            if 0 < size < SHARED:
                # What waits already is somebody's to send. Here and below is what take() does,
                # without the call.
                if session.pushes is None:
                    session.pushed += 1
                    waiting += data
                else:
                    session.take(data)
                return True
            self._busy = self._inside = True
            try:
                burst = not size and time.monotonic() - self._sent_at < self._took
                if not burst and self._poller == 0 and self._has_input(0):
                    self._busy = False
                    return False
                if session.pushes is None:
                    session.pushed += 1
                    waiting += data
                else:
                    session.take(data)
                if burst:
                    self._start_sender()
                else:
                    self._write()
                self._busy = False
            finally:
                self._inside = False
        if session.notes:
            session.log()
        return True

    def next_delivery(self) -> Fields | None:
        """What can be pulled without waiting."""
        session = self._session
        with self._lock:
            if self._busy:
                return None
            self._busy = self._inside = True
            try:
                delivery = session.next_delivery()
                if session.outgoing:
                    # What was read had to be answered.
                    self._start_sender()
                self._busy = False
                return delivery
            except BabelmqError:
                self._busy = False
                raise
            finally:
                self._inside = False

    def settle(self, said: Fields, *, more: bool = False) -> None:
        """Says what is to become of a message; where ``more`` is about to be said, with that."""

        def say() -> None:
            session = self._session
            waited = len(session.outgoing)
            session.settle(said)
            if waited or not session.outgoing or self._socket is None:
                # What waits already is somebody's to send.
                return
            if more or time.monotonic() - self._sent_at < self._took:
                self._start_sender()
            else:
                self._write()

        self._use(say)
        self._session.log()

    def has_more(self) -> bool:
        """Whether a pull would have to wait for nothing."""
        return self._session.has_more()

    def close(self) -> None:
        """Closes the connection; no harm where there is none."""
        with self._lock:
            end = time.monotonic() + LAST_WORDS
            opened = self._socket
            while opened is not None and self._session.outgoing and not self._busy:
                self._write()
                if time.monotonic() >= end or self._socket is None:
                    break
                if self._session.outgoing:
                    _poller(opened, write=True)(end - time.monotonic())
            whole = self._session.connected and not self._busy and not self._session.outgoing
            if whole and isinstance(opened, TLSSocket):
                with suppress(OSError):
                    opened.say_goodbye()
            self._session.close()
            self._session.outgoing.clear()
            self._drop()
            self._leave(0)

    def forked(self) -> None:
        """Leaves the connection to the process that this one was forked from."""
        opened, self._socket = self._socket, None
        if opened is not None:
            opened.close()
        self._make_locks()
        self._session.forget()

    # --- one turn of a call, with the lock --------------------------------------------------------

    def _use(self, work: Callable[[], T]) -> T:
        """Does ``work``, which uses the session and waits for nothing."""
        with self._lock:
            if self._inside:
                raise BabelmqError(
                    "a signal handler cannot use a queue whose call it has interrupted"
                )
            if self._busy:
                why = "a call was interrupted, and part of a message may have been read or sent"
                self._session.connection_lost(why, interrupted=True)
                self._drop()
                if self._sender is not None and not self._sender.is_alive():
                    self._sender = None
            self._inside = self._busy = True
            try:
                done = work()
                self._busy = False
                return done
            except (BabelmqError, StopIteration):
                self._busy = False
                raise
            finally:
                # An interruption may strike in here too.
                try:
                    if self._session.link.state is State.DOWN:
                        self._drop()
                finally:
                    self._inside = False

    def _advance(
        self, steps: Steps[T], deadline: float | None, me: int
    ) -> tuple[Step | Answer, _Wait | None]:
        self._read_ready(me)
        try:
            step = next(steps)
            turn = self._session.turn
        finally:
            self._write()
        if isinstance(step, Answer):
            return step, None
        if turn != self._session.turn:
            # Sending what it had to say made room, or has shown that the connection is lost.
            return step, _Wait(self._turn, None, 0)
        return step, self._plan(step, deadline, me)

    def _deadline(self, timeout: float | None) -> float | None:
        if timeout is None:
            timeout = self._timeout
        if timeout is None:
            return None
        link = self._session.link
        deadline = time.monotonic() + timeout
        return deadline if link.was_up else max(deadline, link.wait_until())

    def _plan(self, step: Step, deadline: float | None, me: int) -> _Wait | None:
        """What there is to wait for; ``None`` where the time for it is over."""
        session = self._session
        if step is Step.CONNECTION and session.link.may_connect():
            session.connecting()
            self._resolver = me
        if self._turn != session.turn:
            self._tell()
        if deadline is not None and time.monotonic() >= deadline and self._resolver != me:
            return None
        opened = self._socket
        if opened is None or (step is not Step.ROOM and self._poller not in (0, me)):
            until = session.link.retry_at if session.link.state is State.DOWN else None
            return _Wait(self._turn, None, _earlier(until, deadline))
        until = _earlier(session.link.next_look(), deadline)
        if step is Step.ROOM and session.connected:
            read = self._poller == 0 and not session.is_full()
            return _Wait(self._turn, _poller(opened, read=read, write=True), until)
        self._poller = me
        connecting = session.link.state is State.CONNECTING
        poll = _poller(opened, read=not connecting, write=connecting or bool(session.outgoing))
        return _Wait(self._turn, poll, until)

    def _wait(self, wait: _Wait) -> None:
        """Waits until something may have happened."""
        left = None if wait.until is None else max(0.0, wait.until - time.monotonic())
        if wait.poll is not None:
            wait.poll(left)
            return
        word = threading.Lock()
        word.acquire()
        with self._lock:
            if wait.turn != self._turn:
                return
            self._waiting.append(word)
        try:
            word.acquire(timeout=-1 if left is None else min(left, threading.TIMEOUT_MAX))
        finally:
            with self._lock, suppress(ValueError):
                self._waiting.remove(word)

    def _tell(self) -> None:
        """Lets those go on who wait for something to happen."""
        self._turn = self._session.turn
        while self._waiting:
            # One that was told before an interruption may be told again.
            with suppress(RuntimeError):
                self._waiting[0].release()
            self._waiting.popleft()

    def _leave(self, me: int) -> None:
        """The call of a thread has ended, and what it did for others is theirs to do."""
        if self._resolver == me != 0:
            # It was interrupted.
            self._resolver = 0
            self._session.link.forget()
        if self._poller == me:
            self._poller = 0
        self._session.turn += 1
        self._tell()

    # --- connecting -------------------------------------------------------------------------------

    def _resolve(self) -> None:
        """Looks the address up, which may take a while, and asks the first for a connection."""
        place = self._place
        found: list[Any] = []
        error: Exception | None = None
        try:
            if place.path:
                found = [(socket.AF_UNIX, socket.SOCK_STREAM, 0, "", place.path)]
            else:
                found = socket.getaddrinfo(place.host, place.port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as caught:
            error = caught

        def connect() -> None:
            self._resolver = 0
            self._addresses = deque(found)
            self._connect(error)

        self._use(connect)

    def _connect(self, error: Exception | None, *, accepted: bool = False) -> None:
        """Asks the next address for a connection; after the last one, the ``error`` is why there is
        none, though the last one may have ``accepted`` it.
        """
        session = self._session
        self._drop()
        while self._addresses:
            family, kind, protocol, _, address = self._addresses.popleft()
            try:
                opened = socket.socket(family, kind, protocol)
            except OSError as caught:
                error = caught
                continue
            accepted = False
            code = errno.EINVAL
            try:
                opened.setblocking(False)
                keep_alive(opened, session.link.keepalive)
                code = opened.connect_ex(address)
            except OSError as caught:
                code = caught.errno or code
            # A Unix socket connects at once, and says so if its listener has no room.
            if code == 0 or (code in _IN_PROGRESS and not self._place.path):
                session.connecting()
                self._socket = opened
                self._has_input = _poller(opened, read=True)
                return
            opened.close()
            error = OSError(code, os.strerror(code))
        session.cannot_connect(unreachable(self._place, error, accepted=accepted))

    def _finish_connecting(self, opened: Socket) -> None:
        if isinstance(opened, TLSSocket):
            self._shake_hands(opened)
            return
        if not _poller(opened, write=True)(0):
            if self._session.link.is_silent():
                self._connect(OSError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT)))
            return
        code = opened.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            self._connect(OSError(code, os.strerror(code)))
        elif self._context is None:
            self._opened()
        else:
            try:
                secured = TLSSocket.wrap(opened, self._context, self._place.host)
            except (OSError, ValueError) as error:
                self._connect(error, accepted=True)
                return
            self._socket = secured
            self._has_input = _poller(secured, read=True)
            self._shake_hands(secured)

    def _shake_hands(self, opened: TLSSocket) -> None:
        """Goes on with the handshake of TLS, for which nobody waits here."""
        try:
            opened.shake_hands()
        except BlockingIOError:
            if self._session.link.is_silent():
                late = OSError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT))
                self._connect(late, accepted=True)
        except (OSError, ValueError) as error:
            failure = unreachable(self._place, error, accepted=True)
            if isinstance(failure, CertificateError):
                # Another address of the broker may not be asked in the hope of a better one.
                self._drop()
                self._session.cannot_connect(failure)
            else:
                self._connect(error, accepted=True)
        else:
            self._opened()

    def _opened(self) -> None:
        self._session.opened()
        self._write()

    def _drop(self) -> None:
        """Closes the socket. Who polls it is woken by that."""
        opened, self._socket = self._socket, None
        self._has_input = lambda _: False
        if opened is not None:
            with suppress(OSError):
                opened.shutdown(socket.SHUT_RDWR)
            opened.close()

    def _lose(self, why: object) -> None:
        """Gives the connection up, after what the broker said last: it may have said why."""
        session = self._session
        refused = refused_certificate(self._place, why)
        if self._socket is not None and session.link.state is not State.CONNECTING:
            try:
                while data := self._socket.recv(session.wanted()):
                    session.received(data)
            except OSError as last:
                refused = refused or refused_certificate(self._place, last)
        session.connection_lost(str(refused or why), refused=refused)
        self._drop()

    # --- reading and writing ----------------------------------------------------------------------

    def _read_ready(self, me: int) -> None:
        """Passes on what has arrived, unless another thread is polling and will do so."""
        if self._poller == me:
            self._poller = 0
            self._session.turn += 1
        opened, session = self._socket, self._session
        if opened is None or self._poller != 0:
            return
        if session.link.state is State.CONNECTING:
            self._finish_connecting(opened)
        elif not self._has_input(0):
            dead = session.look()
            if dead is not None:
                self._lose(dead)
        elif not session.is_full():
            self._receive(opened)

    def _receive(self, opened: Socket) -> None:
        try:
            data = opened.recv(self._session.wanted())
        except BlockingIOError:
            return
        except OSError as error:
            self._lose(error)
            return
        if data:
            self._session.received(data)
        else:
            self._lose("the broker closed it")

    def _write(self) -> None:
        """Sends as much as the socket takes; the rest is left to the thread that sends."""
        session, opened = self._session, self._socket
        waiting = session.outgoing
        if not waiting or opened is None or session.link.state is State.CONNECTING:
            return
        begun = time.monotonic()
        try:
            session.sent(opened.send(waiting))
        except BlockingIOError:
            pass
        except OSError as error:
            self._lose(error)
        self._sent_at = time.monotonic()
        self._took = min(self._sent_at - begun, LONGEST_SEND)
        if waiting:
            self._start_sender()

    # --- the thread that sends what was pushed while the socket was busy --------------------------

    def _start_sender(self) -> None:
        """Has what waits sent by the thread that does so, unless it is at it already."""
        if self._sender is None:
            # No daemon: an interpreter that ends waits for it, so that what was pushed is sent.
            self._sender = threading.Thread(
                target=self._send_on, name="babelmq-sender", daemon=False
            )
            self._sender_sleeps = False
            self._wake_sender = threading.Lock()
            self._wake_sender.acquire()
            try:
                self._sender.start()
            except RuntimeError:  # The interpreter is ending, or there can be no more threads.
                self._sender = None
                with suppress(OSError):
                    if self._socket is not None:
                        self._session.sent(self._socket.send(self._session.outgoing))
        elif self._sender_sleeps:
            self._sender_sleeps = False
            self._wake_sender.release()

    def _send_on(self) -> None:
        """Sends until there was nothing to send for a while."""
        wake = self._wake_sender
        give_up: float | None = None
        while True:
            opened = self._use(self._send_some)
            self._session.log()
            if opened is not None:
                _poller(opened, write=True)(0.5)
                if not threading.main_thread().is_alive():
                    give_up = give_up or time.monotonic() + LAST_SECONDS
                    if time.monotonic() >= give_up:
                        return
            elif not wake.acquire(timeout=LINGER):
                with self._lock:
                    if self._sender_sleeps:
                        self._sender = None
                        return
                wake.acquire()

    def _send_some(self) -> Socket | None:
        """Sends what the socket takes; gives the socket where there is more."""
        self._sender_sleeps = False
        self._write()
        if self._session.turn != self._turn:
            self._tell()
        self._sender_sleeps = not self._session.outgoing or self._socket is None
        return None if self._sender_sleeps else self._socket


def keep_alive(opened: socket.socket, silence: float | None) -> None:
    """Small messages are sent at once; the system asks a peer that says nothing for so many seconds
    whether it is there, and gives up what it does not confirm in twice that time.
    """
    if opened.family not in (socket.AF_INET, socket.AF_INET6):
        return
    opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if silence is None:
        return
    seconds = max(1, round(silence))
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    options = {
        "TCP_KEEPIDLE": seconds,
        "TCP_KEEPINTVL": max(1, seconds // 3),
        "TCP_KEEPCNT": 3,
        "TCP_USER_TIMEOUT": 2000 * seconds,
    }
    for name, number in options.items():
        # Not every system has all of them.
        if hasattr(socket, name):
            with suppress(OSError):
                opened.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), number)


def _earlier(one: float | None, other: float | None) -> float | None:
    return other if one is None else one if other is None else min(one, other)


def _poller(
    opened: Socket, *, read: bool = False, write: bool = False
) -> Callable[[float | None], object]:
    """What says whether ``opened`` becomes ready within so many seconds; for one thread
    at a time.
    """
    if write and isinstance(opened, TLSSocket) and opened.waits_to_read:
        # It could be written to, and what is to be written needs something to arrive first.
        read, write = True, False
    if not hasattr(select, "poll"):  # Windows
        reads, writes = [opened] if read else [], [opened] if write else []
        return lambda seconds: any(select.select(reads, writes, writes, seconds))
    poll = select.poll()
    poll.register(opened, (select.POLLIN if read else 0) | (select.POLLOUT if write else 0))
    poll_milliseconds = poll.poll

    def ready(seconds: float | None) -> object:
        # Rounded up: a poll that returns a moment too early would come again, and again.
        return poll_milliseconds(None if seconds is None else int(seconds * 1000) + (seconds > 0))

    return ready


_connections: weakref.WeakSet[Connection] = weakref.WeakSet()


def _after_fork() -> None:
    for connection in list(_connections):
        connection.forked()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
