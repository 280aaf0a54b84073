"""Messages that somebody has: files of lines `{"topic": ..., "message": ...}`."""

import json
import re

from stream import Message, Stream, compact

# Some peers give other characters a meaning of their own.
UNUSUAL = re.compile(r"[^A-Za-z0-9_/-]")


def streams(folder):
    files = sorted(folder.glob("*.ndjson"))
    if not files:
        raise ValueError("there is no file *.ndjson in the folder of --ndjson")
    for file in files:
        with file.open(encoding="utf-8") as lines:
            read = [json.loads(line) for line in lines if line.strip()]
        name = UNUSUAL.sub("-", file.stem)
        topics = [UNUSUAL.sub("_", entry["topic"]).strip("/") for entry in read]
        if len({topic.split("/")[0] for topic in topics}) > 1:
            topics = [f"{name}/{topic}" for topic in topics]
        texts = [compact(entry["message"]) for entry in read]
        yield Stream(name, name, "real", [*map(Message, topics, texts)])
