"""Translates a stream's messages in a loop, with every JSON library that is there.

    python3 bare_loop.py FILE SECONDS DIRECTION...

For each direction and library it prints a line: both, and messages per second of processor time,
or `-` and why there are none.
"""

import struct
import sys
import time
from pathlib import Path

import translators

LENGTH = struct.Struct(">I")
FIELDS = 9
PAYLOADS = {"json": 1, "pickle": 2, "xml": 3}
"""At which of a message's fields each format's payload stands; see streams/spelling.py."""


def read(file):
    data, at, fields = file.read_bytes(), 0, []
    while at < len(data):
        (length,) = LENGTH.unpack_from(data, at)
        at += LENGTH.size
        fields.append(data[at : at + length])
        at += length
    return [fields[start : start + FIELDS] for start in range(0, len(fields), FIELDS)]


def rate(translate, payloads, seconds):
    # What else the machine does is not counted.
    done, start = 0, time.thread_time()
    while True:
        for payload in payloads:
            translate(payload)
        done += len(payloads)
        passed = time.thread_time() - start
        if passed >= seconds:
            return done / passed


def main():
    file, seconds, directions = Path(sys.argv[1]), float(sys.argv[2]), sys.argv[3:]
    messages = read(file)
    for direction in directions:
        payloads = [message[PAYLOADS[direction.split("-")[0]]] for message in messages]
        # Without JSON, all libraries are one.
        libraries = translators.LIBRARIES if "json" in direction else ["standard"]
        for library in libraries:
            translate = translators.translator(direction, library)
            try:
                # The first pass is for what is made once.
                for payload in payloads:
                    translate(payload)
            except (TypeError, ValueError) as error:
                print(direction, library, "-", error)
                continue
            print(direction, library, rate(translate, payloads, seconds))


main()
