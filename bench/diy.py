"""The translator that a user would write without babelmq: CPython between two sockets.

    python3 diy.py DIRECTION LIBRARY

DIRECTION is one of translators.py, json-pickle for example, LIBRARY `standard` or `orjson`. It
prints the port that it listens on, takes one consumer (whose first byte is S, answered with K) and
one producer (whose first byte is P), and translates frame after frame: five bytes of header (a byte
that is ignored and the length, big-endian), then the payload. It reads and writes in bulk, as much
at once as has arrived.
"""

import socket
import struct
import sys

from translators import translator

HEADER = struct.Struct(">BI")
CHUNK = 64 << 10


def main():
    translate = translator(sys.argv[1], sys.argv[2])
    listener = socket.create_server(("127.0.0.1", 0))
    print("listening on", "127.0.0.1:%d" % listener.getsockname()[1], flush=True)
    producer = consumer = None
    while producer is None or consumer is None:
        connection, _ = listener.accept()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        role = connection.recv(1)
        if role == b"S":
            consumer = connection
            consumer.sendall(b"K")
        elif role == b"P":
            producer = connection
    waiting = b""
    while arrived := producer.recv(CHUNK):
        waiting += arrived
        at, out = 0, []
        while len(waiting) - at >= HEADER.size:
            _, length = HEADER.unpack_from(waiting, at)
            end = at + HEADER.size + length
            if end > len(waiting):
                break
            translated = translate(waiting[at + HEADER.size : end])
            out.append(HEADER.pack(0, len(translated)))
            out.append(translated)
            at = end
        waiting = waiting[at:]
        if out:
            consumer.sendall(b"".join(out))


main()
