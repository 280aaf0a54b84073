"""Makes the streams of messages that babelmq and its peers are measured with.

    python3 bench/streams [--cache FOLDER] [--shipped FOLDER] [--ndjson FOLDER]
    python3 bench/streams --samples benches/data/streams

Each stream becomes a file in the cache folder, and `streams.json` there names them all. What is
generated is the same in every run. `--shipped` is a folder with twitter.json.xz and its three
siblings, `--ndjson` one with files of lines `{"topic": ..., "message": ...}`.
"""

import argparse
import json
from pathlib import Path

import everyday
import ndjson
import samples
import shipped
import spelling
import variants
import webhooks

CACHE = Path(__file__).resolve().parents[1] / ".cache" / "streams"


def main():
    parser = argparse.ArgumentParser(prog="streams")
    parser.add_argument("--cache", type=Path, default=CACHE)
    parser.add_argument("--shipped", type=Path)
    parser.add_argument("--ndjson", type=Path)
    parser.add_argument("--samples", type=Path, help="write samples of what is generated, no more")
    options = parser.parse_args()
    if options.samples is not None:
        samples.write(options.samples)
        return
    options.cache.mkdir(parents=True, exist_ok=True)
    streams = [*everyday.streams(), webhooks.stream()]
    if options.shipped is not None:
        streams += shipped.streams(options.shipped)
    if options.ndjson is not None:
        streams += ndjson.streams(options.ndjson)
    streams += variants.streams()
    index = [spelling.write(stream, options.cache) for stream in streams]
    # Whoever reads finds either the list before or this one.
    fresh = options.cache / "streams.json.new"
    fresh.write_text(json.dumps(index, indent=1) + "\n")
    fresh.replace(options.cache / "streams.json")
    for entry in index:
        print(f"{entry['name']:16} {entry['messages']:7} messages, {entry['bytes']:7} bytes each")


main()
