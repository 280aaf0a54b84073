"""Where the broker is: an argument, else the variable ``BABELMQ_ADDR``, else port 5000 of this
machine.
"""

from __future__ import annotations

import os
from typing import Union

Address = Union[str, tuple[str, int]]
"""``"host:port"``, ``"[::1]:5000"``, or a tuple of host and port."""

DEFAULT = "127.0.0.1:5000"


def resolve(address: Address | None = None) -> tuple[str, int]:
    """Host and port.

    >>> resolve("broker.example:5001")
    ('broker.example', 5001)
    >>> resolve(("::1", 5000))
    ('::1', 5000)
    """
    if address is None:
        address = os.environ.get("BABELMQ_ADDR") or DEFAULT
    if not isinstance(address, str):
        host, number = address
        return host, number
    host, separator, port = address.rpartition(":")
    if not separator or not port.isdecimal() or int(port) > 65535:
        raise ValueError(f"{address!r} is not an address; one looks like {DEFAULT}")
    return host.strip("[]") or "127.0.0.1", int(port)
