"""A message that a stream has kept: where it stands there, and what a consumer says of it."""

from __future__ import annotations

import re
from datetime import datetime
from typing import TypeVar

from .codec import Fields
from .errors import BabelmqError, MalformedMessage
from .frame import Format
from .scalar_types import read_datetime
from .session import Message

MOST_REASON = 1_024
"""Bytes of the reason of a ``reject``: a broker keeps no more."""

_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")

K = TypeVar("K", bound="KeptMessage")


class KeptMessage(Message):
    """A :class:`Message` that a stream has kept. What a consumer says of it is in the classes that
    are made of this one, :class:`babelmq.StreamMessage` and :class:`babelmq.aio.StreamMessage`.
    """

    stream: str
    """The stream that it is of."""
    seq: int
    """Its number there; the first message of a stream has 1."""
    time: datetime
    """When it was published, by the broker's clock, in UTC."""
    attempt: int
    """How often it was delivered to its consumer, with this time: 1 for the first."""
    consumer: str | None
    """The durable consumer to which it was delivered; ``None`` where there is none, and nothing to
    acknowledge.
    """
    settled: bool
    """Whether it was acknowledged, given back or rejected, by this object."""

    @classmethod
    def of_fields(cls: type[K], fields: Fields, form: Format) -> K:
        """The message that a delivery brought; raises :class:`MalformedMessage` where that lacks
        something.
        """
        message = cls(fields["topic"], fields["message"], False, form, False)
        try:
            message.stream = fields["stream"]
            message.seq = int(fields["seq"])
            message.time = read_datetime(fields["time"])
            message.attempt = int(fields.get("attempt", 1))
        except (KeyError, ValueError, TypeError) as error:
            raise MalformedMessage(f"a message of a stream lacks something: {error!r}") from error
        message.consumer = fields.get("consumer")
        message.settled = False
        return message

    def __repr__(self) -> str:
        of_consumer = "" if self.consumer is None else f", consumer={self.consumer!r}"
        return (
            f"{type(self).__name__}(topic={self.topic!r}, value={self.value!r}, "
            f"stream={self.stream!r}, seq={self.seq}, time={self.time.isoformat()}, "
            f"attempt={self.attempt}{of_consumer})"
        )

    def _say(self, command: str, **more: str | float | None) -> Fields | None:
        """What tells the broker of it; ``None`` where it was settled before."""
        if self.consumer is None:
            raise BabelmqError(
                f"there is nothing to {command}: the message was not delivered to a durable "
                "consumer, which a queue is with consumer='name'"
            )
        if self.settled:
            return None
        self.settled = command != "touch"
        said = {name: field for name, field in more.items() if field is not None}
        return {"command": command, "seq": self.seq, **said}

    def _nak(self, delay: float | None) -> Fields | None:
        if delay is not None and not (
            isinstance(delay, (int, float)) and 0 <= delay < float("inf")
        ):
            raise ValueError(f"delay is a number of seconds, 0 or more, and not {delay!r}")
        return self._say("nak", delay=delay)

    def _reject(self, reason: str | None) -> Fields | None:
        if reason is not None:
            if not isinstance(reason, str):
                raise TypeError(f"a reason is a str, and not a {type(reason).__name__}")
            # An exception's text may hold what XML cannot carry, and is no reason to fail here.
            text = _FORBIDDEN.sub("\ufffd", reason).encode(errors="replace")
            reason = text[:MOST_REASON].decode(errors="ignore")
        return self._say("reject", reason=reason)
