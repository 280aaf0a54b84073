"""What a stream is, before it is spelled in three formats."""

import json
from dataclasses import dataclass, field

COMPACT = (",", ":")


def compact(value):
    """Compact JSON in UTF-8, as most producers write it."""
    return json.dumps(value, separators=COMPACT, ensure_ascii=False)


@dataclass(frozen=True)
class Message:
    topic: str
    text: str
    """The message as its JSON producer spells it."""


@dataclass(frozen=True)
class Stream:
    name: str
    title: str
    group: str
    """The table that it stands in: small, real, variants, wide."""
    messages: list = field(repr=False)
    envelopes: str = "alike"
    """Whether all come from one producer's program, or `mixed`, from several."""
