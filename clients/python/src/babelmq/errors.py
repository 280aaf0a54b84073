"""What can go wrong, as exceptions. All but :class:`TimeoutError` are a :class:`BabelmqError`."""

from __future__ import annotations


class BabelmqError(Exception):
    """The base of everything that this package raises on its own account."""


class BrokerError(BabelmqError):
    """The broker refused something.

    Which call it was that sent it cannot be known in general: a push does not wait for an answer.
    So a refusal is raised by the call that learns of it: :meth:`flush`, or whichever comes next.

    >>> error = BrokerError("invalid-topic", "a topic cannot be empty", topic="")
    >>> str(error)
    'invalid-topic: a topic cannot be empty'
    """

    code: str
    """What kind of refusal, as a stable word for programs: ``forbidden-pickle``, ``slow-consumer``
    ...
    """
    reason: str
    """What was wrong and what to do, for people."""
    topic: str | None
    """The topic of the refused message, where the broker could read it."""
    fatal: bool
    """Whether the broker ended the connection with it. The next call connects again."""
    more: tuple[BrokerError, ...]
    """What else was refused before this was raised, the first hundred of it."""

    def __init__(
        self,
        code: str,
        reason: str,
        topic: str | None = None,
        *,
        fatal: bool = False,
        more: tuple[BrokerError, ...] = (),
    ) -> None:
        super().__init__(code, reason, topic)
        self.code = code
        self.reason = reason
        self.topic = topic
        self.fatal = fatal
        self.more = more

    def __str__(self) -> str:
        others = f" (and {len(self.more)} more refused, see .more)" if self.more else ""
        return f"{self.code}: {self.reason}{others}"


class CannotConnect(BabelmqError, ConnectionError):
    """No broker answers at the address."""


class CertificateError(CannotConnect):
    """The broker's certificate does not verify, or the broker does not accept this client's.

    Trying again does not change that. So it is raised at once, also with ``wait``, and where it
    happens when a connection is made again, every later call raises it.
    """


class LoginFailed(CannotConnect):
    """The broker does not log this client in, or wants a login and there is none.

    Trying again does not change that. So it is raised at once, also with ``wait``, and where it
    happens when a connection is made again, every later call raises it.
    """

    code: str
    """What kind of refusal, as a stable word for programs: ``login-failed``, ``login-required``
    ...
    """

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code


class ConnectionLost(BabelmqError, ConnectionError):
    """The connection broke, and with it perhaps what was pushed and not yet confirmed by
    ``flush()``.
    """


class ProtocolError(BabelmqError):
    """The other end sent what a broker does not send. It is not a broker, or not one to trust."""


class MalformedMessage(ProtocolError):
    """One message cannot be read, or is not plain data, and was dropped. The messages after it can
    be pulled.
    """


class NotPlainData(BabelmqError, TypeError):
    """A value holds an object that is not plain data, so nothing was sent.

    Plain data is ``None``, ``bool``, ``int``, ``float``, ``str``, ``bytes``, ``bytearray``,
    ``list``, ``tuple``, ``set``, ``frozenset`` and ``dict``; ``datetime``, ``date``, ``time``,
    ``timedelta``, ``Decimal``, ``Fraction``, ``complex`` and ``UUID``; arrays of numpy: exactly
    these types and not classes derived from them. What :func:`babelmq.plain_data.plain` names
    becomes plain data by itself. A :class:`JSONQueue` takes objects of derived classes too, as
    ``json.dumps`` does. A queue's ``default`` makes plain data of others.
    """

    kind: type
    """The class of the object."""
    path: str
    """Where it is inside the pushed value, as Python would write it: ``value['rows'][3]``."""

    def __init__(self, kind: type, path: str, advice: str) -> None:
        super().__init__(kind, path, advice)
        self.kind = kind
        self.path = path
        self.advice = advice

    def __str__(self) -> str:
        name = f"{self.kind.__module__}.{self.kind.__qualname__}".replace("builtins.", "")
        return (
            f"{self.path} is a {name}, which is not plain data and cannot be pushed: {self.advice}"
        )


class NotSubscribed(BabelmqError, RuntimeError):
    """There is nothing that a ``pull`` could wait for: a producer's queue, or one that was
    cancelled.
    """


class WrongLoop(BabelmqError, RuntimeError):
    """A queue of :mod:`babelmq.aio` was used in another event loop than the one in which it was
    used first.
    """


class QueueClosed(BabelmqError, RuntimeError):
    """The queue was closed."""
