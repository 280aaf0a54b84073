"""The first messages of what is generated, for `benches/budget.rs`, which counts instructions."""

from dataclasses import replace

import everyday
import spelling
import variants
import webhooks

COUNTS = {"gps": 16, "flights": 4, "earthquakes": 2, "envelopes": 6}
"""One of each other stream."""


def write(folder):
    folder.mkdir(parents=True, exist_ok=True)
    for stream in [*everyday.streams(), webhooks.stream(), *variants.streams()]:
        # Topics are a matter of how many messages there are.
        if not stream.name.startswith("topics-"):
            few = stream.messages[: COUNTS.get(stream.name, 1)]
            spelling.write(replace(stream, messages=few), folder)
