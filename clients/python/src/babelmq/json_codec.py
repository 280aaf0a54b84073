"""JSON with ``$`` tags for what JSON cannot say: ``{"$bytes": "AAE="}`` is ``b"\\x00\\x01"``.

The tags are those of the contract: ``$int $float $bytes $tuple $set $frozenset $dict``, one for
each of :mod:`babelmq.scalar_types`, ``$ndarray``, and ``$object``, which is read as a dict. A dict
whose only key begins with ``$`` is written as ``$dict``, so that no data can pose as a tag.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Iterable
from typing import Any, Callable, NoReturn

from . import ndarray, plain_data, scalar_types
from .codec import Fields, Publish, check_id, check_ttl
from .errors import MalformedMessage
from .frame import HEADER, LONGEST_BODY, Format, check_length
from .plain_data import MAX_DEPTH

# The encoder has a word for these, or asks _tag() for one.
_SCALARS = scalar_types.KINDS | {type(None), bool, int, float, str}
_ONLY_STR = frozenset({str})
_MESSAGE = ',"message":'
_quote: Any = json.encoder.encode_basestring
_FLOATS = {"nan": float("nan"), "inf": float("inf"), "-inf": float("-inf")}


class JSONCodec:
    """Writes with the C encoder of :mod:`json` what JSON can say, and with tags what it cannot."""

    format = Format.JSON

    def encode(self, message: Fields) -> bytes:
        """The body that says ``message``."""
        return _encode(message).encode()

    def publisher(self, topic: str, default: Callable[[Any], Any] | None = None) -> Publish:
        """What writes the frames that publish to ``topic``."""
        head = '{"command":"publish","topic":' + _encode(topic)
        stored = head + _MESSAGE
        passing = f'{head},"retain":false{_MESSAGE}'
        header, pieces, join, quote = HEADER.pack, _pieces, "".join, _quote

        def publish(
            value: Any, retain: bool, ttl: int | None = None, id: str | None = None
        ) -> bytes:
            start = stored if retain else passing
            if ttl is not None:
                start = f'{start[: -len(_MESSAGE)]},"ttl":{check_ttl(ttl)}{_MESSAGE}'
            if id is not None:
                start = f'{start[: -len(_MESSAGE)]},"id":{_encode(check_id(id))}{_MESSAGE}'
            try:
                # As dumps() does, without the calls: this is what a push costs.
                if type(value) is str:
                    text = quote(value)
                elif _is_json(value, MAX_DEPTH):
                    text = join(pieces(value, 0))
                else:
                    text = dumps(value, default).decode()
                body = f"{start}{text}}}".encode()
            except (TypeError, ValueError):
                body = f"{start}{dumps(value, default).decode()}}}".encode()
            length = len(body)
            if length > LONGEST_BODY:
                check_length(length)
            return header(0, length) + body

        return publish

    def decode(self, body: bytes) -> Fields:
        """The message in ``body``."""
        message = loads(body)
        if type(message) is not dict:
            raise MalformedMessage(f"a message is a JSON object, not a {type(message).__name__}")
        return message


# --- writing --------------------------------------------------------------------------------------


def dumps(value: Any, default: Callable[[Any], Any] | None = None) -> bytes:
    """``value`` as JSON in UTF-8; tagged where JSON has no word for it. Objects of derived classes
    are written as ``json.dumps`` writes them, and what ``default`` makes of others.

    >>> dumps({"t": 21.5, "raw": b"\\x00\\x01", "where": (48, 11)})
    b'{"t":21.5,"raw":{"$bytes":"AAE="},"where":{"$tuple":[48,11]}}'
    >>> dumps({1: float("nan")})
    b'{"$dict":[[1,{"$float":"nan"}]]}'
    >>> import datetime
    >>> dumps(datetime.date(2024, 2, 29))
    b'{"$date":"2024-02-29"}'
    """
    if _is_json(value, MAX_DEPTH):
        try:
            return _encode(value).encode()
        except (TypeError, ValueError):
            pass  # A nan, which has a tag, or something that plain() below has words for.
    try:
        return _encode(_tagged(value, 0)).encode()
    except (TypeError, ValueError):
        plain = plain_data.plain(value, default, derived=True)
    return _encode(_tagged(plain, 0)).encode()


def _parts(value: complex) -> list[Any]:
    return [_tagged(value.real, 0), _tagged(value.imag, 0)]


_WRITERS: dict[type, tuple[str, Callable[[Any], Any]]] = {
    **{row.kind: (f"${row.name}", row.write) for row in scalar_types.TYPES},
    complex: ("$complex", _parts),
}


def _tag(value: Any) -> dict[str, Any]:
    """A scalar of the standard library under its tag."""
    writer = _WRITERS.get(type(value))
    if writer is None:
        raise TypeError(type(value))
    tag, write = writer
    return {tag: write(value)}


def _encoder() -> Callable[[Any, int], Iterable[str]]:
    """What ``JSONEncoder.iterencode`` does, with one C encoder for all calls where it makes one for
    each.
    """
    encoder = json.JSONEncoder(
        ensure_ascii=False,
        allow_nan=False,
        check_circular=False,
        separators=(",", ":"),
        default=_tag,
    )
    make: Any = getattr(json.encoder, "c_make_encoder", None)
    if make is None:  # A Python without the C encoder.
        return lambda value, _: encoder.iterencode(value)
    made: Callable[[Any, int], Iterable[str]] = make(
        None, _tag, _quote, None, ":", ",", False, False, False
    )
    return made


_pieces = _encoder()


def _encode(value: Any) -> str:
    return "".join(_pieces(value, 0))


def _is_json(value: Any, depth: int) -> bool:
    """Whether json writes just what ``value`` is; it would turn a tuple into a list and a key 1
    into "1".
    """
    kind = type(value)
    if kind is dict:
        if depth == 0:
            return False
        # One loop, for the dicts of messages are short.
        for key, child in value.items():
            if type(key) is not str or (
                type(child) not in _SCALARS and not _is_json(child, depth - 1)
            ):
                return False
        return len(value) != 1 or not next(iter(value)).startswith("$")
    if kind is not list:
        return kind in _SCALARS
    if depth == 0:
        return False
    # The types of all items at once, at the speed of C; most lists hold only scalars.
    if _SCALARS.issuperset(map(type, value)):
        return True
    for child in value:
        if type(child) not in _SCALARS and not _is_json(child, depth - 1):
            return False
    return True


def _tagged(value: Any, depth: int) -> Any:
    """The same value in words that JSON has."""
    kind = type(value)
    if kind is float:
        return value if value - value == 0 else {"$float": repr(value)}
    if kind in _SCALARS:
        return value
    if kind is bytes or kind is bytearray:
        return {"$bytes": b64encode(value).decode()}
    depth += 1
    if depth > plain_data.MAX_DEPTH:
        raise ValueError("too deep")
    if kind is dict:
        if _ONLY_STR.issuperset(map(type, value)) and not (
            len(value) == 1 and next(iter(value)).startswith("$")
        ):
            return {key: _tagged(item, depth) for key, item in value.items()}
        return {
            "$dict": [[_tagged(key, depth), _tagged(item, depth)] for key, item in value.items()]
        }
    if kind is list:
        return [_tagged(item, depth) for item in value]
    if kind is tuple or kind is set or kind is frozenset:
        return {f"${kind.__name__}": [_tagged(item, depth) for item in value]}
    if ndarray.is_array(value):
        return ndarray.tag(value)
    raise TypeError(kind)


# --- reading --------------------------------------------------------------------------------------


def loads(body: bytes | str) -> Any:
    """The value that ``body`` spells, tags resolved.

    >>> loads(b'{"raw":{"$bytes":"AAE="},"at":{"$tuple":[48,11]},"odd":{"$other":1}}')
    {'raw': b'\\x00\\x01', 'at': (48, 11), 'odd': {'$other': 1}}
    """
    try:
        text = body if isinstance(body, str) else body.decode()
        # Tags are rare: without a "$", however it is spelled, json's own reader does it alone.
        if "$" not in text and "\\u0024" not in text:
            # A message begins with its "{"; white space around it costs a second look.
            if text.startswith("{"):
                value, end = _plain_decode(text)
                if end == len(text):
                    return value
            return _plain.decode(text)
        return _with_tags.decode(text)
    except (ValueError, TypeError, RecursionError) as error:
        raise MalformedMessage(f"not JSON as a broker writes it: {error}") from error


def _refuse_constant(word: str) -> NoReturn:
    raise ValueError(f"{word} is not JSON")


def _from_tag(value: dict[str, Any]) -> Any:
    if len(value) == 1:
        [(tag, content)] = value.items()
        read = _TAGS.get(tag)
        if read is not None:
            return read(content)
    return value


def _int(content: Any) -> int:
    return int(_of(str, content))


def _float(content: Any) -> float:
    return _FLOATS[content] if content in _FLOATS else float(_of(str, content))


def _bytes(content: Any) -> bytes:
    return b64decode(_of(str, content), validate=True)


def _tuple(content: Any) -> tuple[Any, ...]:
    return tuple(_of(list, content))


def _set(content: Any) -> set[Any]:
    return set(map(_hashable, _of(list, content)))


def _frozenset(content: Any) -> frozenset[Any]:
    return frozenset(map(_hashable, _of(list, content)))


def _dict(content: Any) -> dict[Any, Any]:
    return {_hashable(key): item for key, item in _of(list, content)}


def _complex(content: Any) -> complex:
    return scalar_types.complex_of(_of(list, content))


def _object(content: Any) -> dict[str, Any]:
    if type(content) is not dict or content.keys() != {"class", "state"}:
        raise ValueError("an object is a class and its state")
    state: dict[str, Any] = _of(dict, content["state"])
    return state


def _text_of(read: Callable[[str], Any]) -> Callable[[Any], Any]:
    return lambda content: read(_of(str, content))


def _of(kind: type, content: Any) -> Any:
    if type(content) is not kind:
        raise ValueError(f"a tag holds {content!r:.40}, which is not a {kind.__name__}")
    return content


def _hashable(value: Any) -> Any:
    """A key or element. Without ``exact`` the broker spells tuples and frozensets as list and
    ``$set``.
    """
    if type(value) is list or type(value) is tuple:
        return tuple(map(_hashable, value))
    if type(value) is set:
        return frozenset(value)
    return value


_TAGS: dict[str, Callable[[Any], Any]] = {
    **{f"${row.name}": _text_of(row.read) for row in scalar_types.TYPES},
    "$complex": _complex,
    "$ndarray": ndarray.from_tag,
    "$object": _object,
    "$int": _int,
    "$float": _float,
    "$bytes": _bytes,
    "$tuple": _tuple,
    "$set": _set,
    "$frozenset": _frozenset,
    "$dict": _dict,
}

_plain = json.JSONDecoder(parse_constant=_refuse_constant)
_plain_decode = _plain.raw_decode
_with_tags = json.JSONDecoder(parse_constant=_refuse_constant, object_hook=_from_tag)
