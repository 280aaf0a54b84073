"""TLS: whom a connection trusts, its socket, and why a broker cannot be reached.

A :class:`TLSSocket` behaves as a plain socket that does not block, so that what drives it need not
know which one it has.
"""

from __future__ import annotations

import errno
import os
import socket
import ssl
import traceback
from typing import NoReturn, Union

from .address import Place
from .errors import CannotConnect, CertificateError

Path = Union[str, "os.PathLike[str]"]

RECORD = 16 << 10
"""Bytes that a record of TLS holds at most."""

# What OpenSSL says of a certificate, of X509_V_ERR_….
_NOT_YET_VALID, _EXPIRED, _WRONG_HOST, _WRONG_IP = 9, 10, 62, 64
_UNKNOWN_CA = (2, 18, 19, 20, 21)

# Of a stream that has ended, with a close_notify or without.
_ENDED = (ssl.SSLEOFError, ssl.SSLZeroReturnError)


# --- whom to trust --------------------------------------------------------------------------------


def context_for(
    place: Place,
    given: ssl.SSLContext | None = None,
    ca: Path | None = None,
    cert: Path | None = None,
    key: Path | None = None,
) -> ssl.SSLContext | None:
    """The context for connections to ``place``; ``None`` where they are plain.

    What is not given is taken from ``BABELMQ_CA``, ``BABELMQ_CERT`` and ``BABELMQ_KEY``. Those are
    for every queue of a process, so a plain one does not mind them; an argument is an error there.
    """
    files = {"ca": ca, "cert": cert, "key": key}
    named = [f"{name}=" for name, path in files.items() if path is not None]
    if not place.tls:
        if given is not None or named:
            what = ", ".join(named if given is None else ["ssl=", *named])
            advice = (
                "a Unix socket has none"
                if place.path
                else f"with TLS it is babelmqs://{str(place).rpartition('//')[2]}"
            )
            raise ValueError(f"{what} is for TLS, and the address {place} is without it; {advice}")
        return None
    if given is not None:
        _check_context(given)
        if named:
            raise ValueError(
                f"give ssl= or {', '.join(named)}, and not both: an SSLContext has its own "
                "certificates, by load_verify_locations() and load_cert_chain()"
            )
        return given
    if cert is None and key is None:
        # A pair: what is given of it is not completed by the environment.
        cert = os.environ.get("BABELMQ_CERT") or None
        key = os.environ.get("BABELMQ_KEY") or None
    if ca is None:
        ca = os.environ.get("BABELMQ_CA") or None
    if key is not None and cert is None:
        raise ValueError("a key (key= or BABELMQ_KEY) needs its certificate, cert= or BABELMQ_CERT")
    return _context(ca, cert, key)


def _context(ca: Path | None, cert: Path | None, key: Path | None) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=ca)
    except OSError as error:
        raise ValueError(
            f"the CA certificates in {os.fspath(ca or '')!r} (ca= or BABELMQ_CA) cannot be used: "
            f"{_reason(error)}; it is a file of certificates in PEM"
        ) from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # A broker does not ask for it, and a write would have to wait for a read.
    context.options |= getattr(ssl, "OP_NO_RENEGOTIATION", 0)
    if cert is None:
        return context

    def ask_nobody() -> NoReturn:
        raise ValueError(
            f"the key of {os.fspath(cert)!r} is encrypted, and nobody is asked for its password; "
            "give an ssl.SSLContext that has it loaded as ssl="
        )

    try:
        context.load_cert_chain(cert, key, ask_nobody)
    except OSError as error:
        where = repr(os.fspath(cert)) + ("" if key is None else f" with the key {os.fspath(key)!r}")
        raise ValueError(
            f"the client certificate {where} (cert= and key=, or BABELMQ_CERT and BABELMQ_KEY) "
            f"cannot be used: {_reason(error)}; both are files in PEM, and the key is the "
            "certificate's"
        ) from error
    return context


def _check_context(given: object) -> None:
    if not isinstance(given, ssl.SSLContext):
        raise TypeError(f"ssl is an ssl.SSLContext, and not a {type(given).__name__}")
    if given.protocol == ssl.PROTOCOL_TLS_SERVER:
        raise ValueError(
            "ssl is a server's SSLContext; ssl.create_default_context() makes a client's"
        )


# --- the socket -----------------------------------------------------------------------------------


class TLSSocket:
    """A connected socket that speaks TLS, with the calls of a plain one that does not block:
    :class:`BlockingIOError` where a call has to be made again later.

    Only one thread at a time may call it, but for :meth:`fileno`. Who waits for it with a poll
    misses nothing: see :meth:`recv`.
    """

    waits_to_read: bool
    """Whether what was to be done needs something to arrive first, also if it was a write."""

    def __init__(self, opened: ssl.SSLSocket) -> None:
        self._socket = opened
        self.waits_to_read = False

    @classmethod
    def wrap(cls, opened: socket.socket, context: ssl.SSLContext, host: str) -> TLSSocket:
        """Takes over a connected socket that does not block. Nothing is sent on it yet."""
        try:
            return cls(
                context.wrap_socket(opened, server_hostname=host, do_handshake_on_connect=False)
            )
        except BaseException as error:
            _keep(opened, error)
            raise

    def shake_hands(self) -> None:
        """Goes on with the handshake."""
        try:
            self._socket.do_handshake()
        except ssl.SSLWantReadError:
            self._not_yet(to_read=True)
        except ssl.SSLWantWriteError:
            self._not_yet(to_read=False)
        self.waits_to_read = False

    def recv(self, size: int) -> bytes:
        """What has arrived, and ``b""`` where the other end has closed it, with or without saying
        so. It may be a little more than ``size``: a record is read whole, so that no part of it
        stays behind in memory, where no poll of the socket would see it.
        """
        try:
            return self._socket.recv(max(size, RECORD))
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise BlockingIOError(errno.EAGAIN, "part of a record is missing") from None

    def send(self, data: bytes | bytearray) -> int:
        """Sends as much as the socket takes, and says how much. What it has begun with must be the
        beginning of ``data`` again when it is called the next time.
        """
        sent = 0
        try:
            while sent < len(data):
                # A copy of a record's size: what is sent may be removed from a bytearray then.
                sent += self._socket.send(bytes(data[sent : sent + RECORD]))
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError) as error:
            self.waits_to_read = isinstance(error, ssl.SSLWantReadError)
            if not sent:
                raise BlockingIOError(errno.EAGAIN, "the socket takes no more") from None
            return sent
        except OSError:
            # Of what went before it the caller has to know; it will meet the error again.
            if not sent:
                raise
            return sent
        self.waits_to_read = False
        return sent

    def say_goodbye(self) -> None:
        """Tells the other end that the end of the stream is one, and does not wait for its
        answer.
        """
        self._socket.unwrap()

    def fileno(self) -> int:
        """What a poll waits with."""
        return self._socket.fileno()

    def shutdown(self, how: int) -> None:
        """Ends the connection, also for who polls it."""
        self._socket.shutdown(how)

    def close(self) -> None:
        """Closes this process's end, and says nothing on it."""
        self._socket.close()

    def _not_yet(self, *, to_read: bool) -> NoReturn:
        self.waits_to_read = to_read
        raise BlockingIOError(errno.EAGAIN, "the handshake goes on") from None


def _keep(opened: socket.socket, error: BaseException) -> None:
    """Leaves its descriptor to ``opened`` alone. A signal handler's exception may come when an
    SSLSocket has been made of it and ``opened`` has not let go yet; the second of them to close it
    would meet somebody else's descriptor, or none.
    """
    for frame, _ in traceback.walk_tb(error.__traceback__):
        for value in frame.f_locals.values():
            if isinstance(value, ssl.SSLSocket) and value.fileno() == opened.fileno():
                value.detach()


# --- why there is no connection -------------------------------------------------------------------


def unreachable(place: Place, error: BaseException | None, *, accepted: bool) -> CannotConnect:
    """Why no connection to ``place`` came about, for people.

    :param accepted: Whether somebody has accepted the connection, and the rest went wrong.
    """
    failure: CannotConnect | None = None
    if isinstance(error, ssl.SSLCertVerificationError):
        failure = CertificateError(
            f"the certificate of {place} does not verify: {_verify_message(error)}; "
            f"{_advice(place, error)}"
        )
    elif isinstance(error, Exception):
        failure = refused_certificate(place, error)
    if failure is None and place.tls and (accepted or isinstance(error, ssl.SSLError)):
        failure = CannotConnect(
            f"no TLS connection to {place} came about ({_reason(error)}); "
            + _why_no_tls(place, error)
        )
    if failure is None:
        failure = CannotConnect(
            f"no broker answers at {place} ({_reason(error)}); is `babelmq serve` running there?"
        )
    failure.__cause__ = error
    return failure


def refused_certificate(place: Place, error: object) -> CertificateError | None:
    """What to raise where the other end has refused this one's certificate, or the lack of one.
    With TLS 1.3 it says so after the handshake.
    """
    said = error.reason if isinstance(error, ssl.SSLError) else None
    if not said or "ALERT" not in said:
        return None
    if not any(word in said for word in ("CERTIFICATE", "UNKNOWN_CA", "ACCESS_DENIED")):
        return None
    failure = CertificateError(
        f"{place} does not accept this client's certificate, or that it has none "
        f"({_reason(error)}); cert= and key=, or BABELMQ_CERT and BABELMQ_KEY, name one of a CA "
        "that it trusts"
    )
    if isinstance(error, BaseException):
        failure.__cause__ = error
    return failure


def _verify_message(error: ssl.SSLCertVerificationError) -> str:
    return str(getattr(error, "verify_message", "") or error).rstrip(".")


def _advice(place: Place, error: ssl.SSLCertVerificationError) -> str:
    code = getattr(error, "verify_code", 0)
    if code == _EXPIRED:
        return "it has to be renewed there, unless this machine's clock is wrong"
    if code == _NOT_YET_VALID:
        return "is this machine's clock right?"
    if code in (_WRONG_HOST, _WRONG_IP):
        return f"use an address that the certificate names, or one that names {place.host!r}"
    if code in _UNKNOWN_CA:
        return "if its CA is your own, name the CA's certificate with ca= or BABELMQ_CA"
    return "it, or its CA's, has to be made anew; this Python may be stricter than an older one"


def _why_no_tls(place: Place, error: object) -> str:
    if isinstance(error, ssl.SSLError) and "ALERT" in (error.reason or ""):
        return (
            "it refuses this client; it may ask for a client certificate, cert= and key=, or for "
            "another version of TLS than 1.2 and 1.3"
        )
    plain = str(place).replace("babelmqs:", "babelmq:")
    advice = f"does it speak TLS there, 1.2 or 1.3? without TLS the address is {plain}"
    if isinstance(error, (ConnectionError, *_ENDED)):
        advice += "; or it asks for a client certificate, cert= and key="
    return advice


def _reason(error: object) -> str:
    """What went wrong, without what only a developer of OpenSSL needs."""
    if isinstance(error, _ENDED) or (isinstance(error, ConnectionError) and not str(error)):
        return "it closed the connection"
    if isinstance(error, ssl.SSLError) and error.reason:
        return error.reason.replace("_", " ").lower()
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or "no answer in time"
