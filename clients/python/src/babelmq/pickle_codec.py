"""Pickle: plain data, scalars of the standard library and arrays of numpy; nothing else is written,
and no other name is known to what reads.

A pickle is a program. What makes it dangerous is that it can name any function and call it. This
reader knows a closed list of names, and the broker does as well: what comes from it was written by
it, and names nothing but these.
"""

from __future__ import annotations

import copyreg
import io
import pickle
import pickletools
import re
import types
from datetime import date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from typing import Any, Callable, NoReturn
from uuid import UUID

from . import ndarray, plain_data, scalar_types
from .codec import Fields, Publish, check_id, check_ttl
from .errors import MalformedMessage
from .frame import HEADER, LONGEST_BODY, Format, check_length

# What a lone surrogate looks like in a pickle, which would carry it; no other format could. Bytes
# may look so too.
_SURROGATE = re.compile(rb"\xed[\xa0-\xbf][\x80-\xbf]")

PROTOCOL = 5
"""What is written. From 5 on a bytearray is data; before, it is a call."""


class PickleCodec:
    """Whole messages as pickled dicts."""

    format = Format.PICKLE

    def encode(self, message: Fields) -> bytes:
        """The body that says ``message``."""
        return dumps(message)

    def publisher(self, topic: str, default: Callable[[Any], Any] | None = None) -> Publish:
        """What writes the frames that publish to ``topic``; ``default`` makes plain data of other
        objects.
        """
        header = HEADER.pack

        def publish(
            value: Any, retain: bool, ttl: int | None = None, id: str | None = None
        ) -> bytes:
            message = {"command": "publish", "topic": topic, "message": value}
            if not retain:
                message["retain"] = False
            if ttl is not None:
                message["ttl"] = check_ttl(ttl)
            if id is not None:
                message["id"] = check_id(id)
            try:
                body = dumps(message)
            except _CANNOT:
                message["message"] = plain_data.plain(value, default, pickled=True)
                try:
                    body = dumps(message)
                except _CANNOT as error:
                    raise ValueError(
                        f"the value cannot be pickled as plain data: {error}"
                    ) from error
            if b"\xed" in body and _SURROGATE.search(body):
                plain_data.check(message["message"])
            length = len(body)
            if length > LONGEST_BODY:
                check_length(length)
            return header(2, length) + body

        return publish

    def decode(self, body: bytes) -> Fields:
        """The message in ``body``."""
        message = loads(body)
        if type(message) is not dict:
            raise MalformedMessage(f"a message is a pickled dict, not a {type(message).__name__}")
        return message


class _Foreign(Exception):
    """Something that is not plain data was about to be pickled."""


_CANNOT = (_Foreign, pickle.PicklingError, RecursionError, UnicodeEncodeError)
_SCALARS = scalar_types.KINDS - {datetime, time}


class _Zone:
    """A time zone inside a value. One that is a value itself is no plain data."""

    __slots__ = ("tz",)

    def __init__(self, tz: tzinfo) -> None:
        self.tz = tz


class _PlainPickler(pickle.Pickler):
    """Pickles plain data at the speed of C, and scalars of the standard library as the library
    does.
    """

    def __init__(self, file: Any) -> None:
        super().__init__(file, PROTOCOL)
        # The class of the last scalar, which the pickler may ask about next, is under "class"; the
        # time zones are under their id(). Empty as long as all is plain.
        self.seen: dict[str | int, Any] = {}

    def reducer_override(self, obj: Any) -> Any:
        """Called by the pickler for all that has no opcode of its own, and the first time for each
        class that it names.
        """
        kind = type(obj)
        if kind in _SCALARS:
            self.seen["class"] = kind
            return NotImplemented
        if kind is datetime or kind is time:
            self.seen["class"] = kind
            return NotImplemented if obj.tzinfo is None else self._in_zone(obj)
        if ndarray.is_array(obj) and kind is not ndarray.NDArray:
            self.seen["array"] = True
            return NotImplemented
        if "array" in self.seen and ndarray.is_part(obj):
            return NotImplemented
        if kind is _Zone:
            self.seen["class"] = type(obj.tz)
            return obj.tz.__reduce__()
        named = self.seen.get("class")
        if named is not None and (obj is named or _is_of_zone_info(obj, named)):
            return NotImplemented
        raise _Foreign(kind)

    def _in_zone(self, value: datetime | time) -> Any:
        made: Any = value.__reduce_ex__(PROTOCOL)
        make, (state, tz) = made
        zone = self.seen.get(id(tz))
        if zone is None:
            if not scalar_types.has_a_word(tz):
                raise _Foreign(type(tz))
            zone = self.seen[id(tz)] = _Zone(tz)
        return make, (state, zone)


def _is_of_zone_info(obj: Any, named: Any) -> bool:
    """Whether ``obj`` is what a ``ZoneInfo`` is made by: ``getattr(ZoneInfo, "_unpickle")``."""
    if named is timezone or not issubclass(named, tzinfo):
        return False
    return obj is getattr or (
        isinstance(obj, (types.BuiltinMethodType, types.MethodType)) and obj == named._unpickle
    )


_MOST_REUSED = 64 << 10
"""Bytes of a pickle after which its pickler is given up, with the memory that it took."""


class _Pieces:
    """What a pickler writes to. Small pickles come in one piece, which is not copied."""

    __slots__ = ("pieces", "write")

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.write = self.pieces.append


# Picklers that nobody is using: to make one takes longer than to write a small message with it.
_idle: list[
    tuple[Callable[[Any], None], Callable[[], None], list[bytes], dict[str | int, Any]]
] = []


def dumps(value: Any) -> bytes:
    """``value`` as a pickle: data opcodes alone, but for scalars of the standard library."""
    try:
        tools = _idle.pop()
    except IndexError:
        written = _Pieces()
        pickler = _PlainPickler(written)
        tools = pickler.dump, pickler.clear_memo, written.pieces, pickler.seen
    dump, clear_memo, pieces, seen = tools
    dump(value)
    body = pieces.pop() if len(pieces) == 1 else b"".join(pieces)
    if len(body) <= _MOST_REUSED:
        # It must not keep alive what it has written.
        clear_memo()
        if seen:
            seen.clear()
        pieces.clear()
        _idle.append(tools)
    return body


class _Call:
    """A function that a pickle can call, and not change by BUILD."""

    __slots__ = ("_make",)

    def __init__(self, make: Callable[..., Any]) -> None:
        self._make = make

    def __call__(self, *arguments: Any) -> Any:
        return self._make(*arguments)

    def __setstate__(self, state: Any) -> NoReturn:
        raise pickle.UnpicklingError("a function has no state")


_LISTED: dict[tuple[str, str], Any] = {
    ("builtins", "complex"): complex,
    ("datetime", "datetime"): datetime,
    ("datetime", "date"): date,
    ("datetime", "time"): time,
    ("datetime", "timedelta"): timedelta,
    ("datetime", "timezone"): timezone,
    ("zoneinfo", "ZoneInfo"): _Call(scalar_types.zone),
    ("decimal", "Decimal"): Decimal,
    # Fraction() itself computes what "1e1000000000" says.
    ("fractions", "Fraction"): _Call(scalar_types.read_fraction),
    ("uuid", "UUID"): UUID,
}
_NUMPY: dict[tuple[str, str], Any] = {
    ("numpy.core.multiarray", "_reconstruct"): _Call(ndarray.reconstruct),
    ("numpy", "ndarray"): ndarray.Blank,
    ("numpy", "dtype"): ndarray.Dtype,
}


class _ListUnpickler(pickle.Unpickler):
    """Builds plain data, scalars of the standard library and arrays, and nothing else."""

    has_arrays = False

    def find_class(self, module: str, name: str) -> Any:
        """Called for GLOBAL, STACK_GLOBAL, INST and EXT: for whatever a pickle names."""
        listed = _LISTED.get((module, name))
        if listed is not None:
            return listed
        listed = _NUMPY.get((module, name))
        if listed is not None:
            self.has_arrays = True
            return listed
        raise pickle.UnpicklingError(f"it names {module}.{name}; only plain data is accepted")

    def persistent_load(self, pid: Any) -> NoReturn:
        """Called for PERSID and BINPERSID."""
        raise pickle.UnpicklingError(
            "it refers to a persistent object; only plain data is accepted"
        )


def loads(body: bytes) -> Any:
    """The data that ``body`` spells.

    >>> loads(pickle.dumps({"t": (21.5, None)}))
    {'t': (21.5, None)}
    >>> import os
    >>> class Evil:
    ...     def __reduce__(self):
    ...         return os.system, ("echo executed",)
    >>> loads(pickle.dumps(Evil()))
    Traceback (most recent call last):
        ...
    babelmq.errors.MalformedMessage: a pickle was refused: it names posix.system; only plain data \
is accepted
    """
    try:
        if _extensions:
            _refuse_extensions(body)
        unpickler = _ListUnpickler(io.BytesIO(body))
        value = unpickler.load()
        return ndarray.settled(value) if unpickler.has_arrays else value
    except Exception as error:  # The unpickler raises almost anything for bytes that are no pickle.
        raise MalformedMessage(f"a pickle was refused: {error}") from error


# Classes that this process gave a code with copyreg.add_extension. Once one of them was loaded
# elsewhere, the unpickler takes it from a cache without asking find_class. Nearly every process has
# none.
_extensions: dict[Any, Any] = getattr(copyreg, "_inverted_registry", {})


def _refuse_extensions(body: bytes) -> None:
    for opcode, argument, _ in pickletools.genops(body):
        if opcode.name.startswith("EXT"):
            raise pickle.UnpicklingError(
                f"it names extension {argument}; only plain data is accepted"
            )
