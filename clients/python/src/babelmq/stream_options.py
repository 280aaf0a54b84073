"""What a queue may ask of a stream: to be a durable consumer of it, or to follow it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, Literal, Union, get_args

from .codec import Fields

Start = Union[Literal["new", "all", "last"], int, datetime, str]
"""Where reading begins: with the next message, with the first that is kept, with the last one of
each topic, with a message's number, or with the first message of a time.
"""

Order = Literal["none", "topic"]
"""What stays in order."""

MAX_WINDOW = 65_536
"""Messages that may be delivered and not settled."""

_WORDS = ("new", "all", "last")
_is_time = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)").fullmatch


@dataclass(frozen=True)
class StreamOptions:
    """The options of a queue that reads from a stream."""

    consumer: str | None
    stream: str | None
    start: str | int | None
    window: int | None
    ack_wait: float | None
    max_deliver: int | None
    backoff: list[float] | None
    order: str | None

    def fields(self, start: str | int | None = None) -> Fields:
        """What a ``subscribe`` says of them; ``start`` in the place of their own."""
        fields: Fields = {
            "consumer": self.consumer,
            "stream": self.stream,
            "start": self.start if start is None else start,
            "window": self.window,
            "ack-wait": self.ack_wait,
            "max-deliver": self.max_deliver,
            "backoff": self.backoff,
            "order": self.order,
        }
        return {name: field for name, field in fields.items() if field is not None}


def stream_options(
    consumer: str | None,
    stream: str | None,
    start: Start | None,
    window: int | None,
    ack_wait: float | None,
    max_deliver: int | None,
    backoff: Sequence[float] | None,
    order: str | None,
) -> StreamOptions | None:
    """The options, if they can be meant; ``None`` where no stream is.

    >>> stream_options("billing", None, datetime(2026, 11, 29, tzinfo=timezone.utc),
    ...                None, None, None, None, None).fields()
    {'consumer': 'billing', 'start': '2026-11-29T00:00:00.000Z'}
    """
    for name, text in (("consumer", consumer), ("stream", stream)):
        if text is not None and not (isinstance(text, str) and text):
            raise ValueError(f"{name} is a name, and not {text!r}")
    of_consumer = {
        "window": window,
        "ack_wait": ack_wait,
        "max_deliver": max_deliver,
        "backoff": backoff,
        "order": order,
    }
    given = next((name for name, option in of_consumer.items() if option is not None), None)
    if consumer is None and given is not None:
        raise ValueError(f"{given} is for a durable consumer, which has a name: consumer='billing'")
    if consumer is None and start is None:
        if stream is not None:
            raise ValueError("stream is for a queue that reads from it: with consumer, or start")
        return None
    _check_number("window", window, 1, MAX_WINDOW)
    _check_number("max_deliver", max_deliver, 1, 0xFFFF_FFFF)
    if ack_wait is not None and not (_is_number(ack_wait) and ack_wait > 0):
        raise ValueError(f"ack_wait is a number of seconds over 0, and not {ack_wait!r}")
    pauses = None
    if backoff is not None:
        pauses = list(backoff) if isinstance(backoff, (list, tuple)) else []
        if not pauses or not all(_is_number(pause) and pause >= 0 for pause in pauses):
            raise ValueError(f"backoff is a list of seconds, one at least, and not {backoff!r}")
    if order is not None and order not in get_args(Order):
        raise ValueError(f"order is one of {', '.join(get_args(Order))}, and not {order!r}")
    begins = None if start is None else _start(start)
    return StreamOptions(consumer, stream, begins, window, ack_wait, max_deliver, pauses, order)


def _start(start: Start) -> str | int:
    """A beginning as it is said to the broker."""
    if isinstance(start, datetime):
        if start.tzinfo is None:
            raise ValueError(
                f"start is {start.isoformat()} without a time zone, so it is not known when; "
                "datetime.now(timezone.utc) has one, and astimezone() gives one"
            )
        # A stream counts milliseconds.
        utc = start.astimezone(timezone.utc).replace(tzinfo=None)
        return f"{utc.isoformat(timespec='milliseconds')}Z"
    if type(start) is int and start >= 1:
        return start
    if isinstance(start, str) and (start in _WORDS or _is_time(start)):
        return start
    raise ValueError(
        "start is 'new', 'all', 'last', the number of a message from 1 on, or a time: a datetime "
        f"with a time zone, or as 2026-11-29T17:00:00Z; and not {start!r}"
    )


def _check_number(name: str, number: int | None, least: int, most: int) -> None:
    if number is not None and not (type(number) is int and least <= number <= most):
        raise ValueError(f"{name} is a number from {least} to {most}, and not {number!r}")


def _is_number(number: Any) -> bool:
    return type(number) in (int, float) and number - number == 0
