"""XML: messages whose string fields are attributes and whose ``message`` is a child element."""

from __future__ import annotations

import re
from typing import Any, Callable

from . import xml_reader, xml_writer
from .codec import Fields, Publish, check_id, check_ttl
from .frame import HEADER, LONGEST_BODY, Format, check_length, frame


class XMLCodec:
    """Writes typed elements; reads typed ones, and plain documents as xmltodict does."""

    format = Format.XML

    def encode(self, message: Fields) -> bytes:
        """The body that says ``message``."""
        lists = {name: field for name, field in message.items() if isinstance(field, list)}
        if not lists:
            return f"<frame{xml_writer.attributes(message)}/>".encode()
        simple = {name: field for name, field in message.items() if name not in lists}
        elements = b"".join(xml_writer.element(field, name) for name, field in lists.items())
        return f"<frame{xml_writer.attributes(simple)}>".encode() + elements + b"</frame>"

    def publisher(self, topic: str, default: Callable[[Any], Any] | None = None) -> Publish:
        """What writes the frames that publish to ``topic``; ``default`` makes plain data of other
        objects.
        """
        fields = {"command": "publish", "topic": topic}
        stored = f"<frame{xml_writer.attributes(fields)}>"
        passing = f'<frame{xml_writer.attributes(fields)} retain="false">'
        header, element = HEADER.pack, xml_writer.element

        def publish(
            value: Any, retain: bool, ttl: int | None = None, id: str | None = None
        ) -> bytes:
            start = stored if retain else passing
            if ttl is not None:
                start = f'{start[:-1]} ttl="{check_ttl(ttl)}">'
            if id is not None:
                start = f'{start[:-1]} id="{xml_writer.attribute(check_id(id))}">'
            body = element(value, "message", default, start, "</frame>")
            length = len(body)
            if length > LONGEST_BODY:
                check_length(length)
            return header(1, length) + body

        return publish

    def decode(self, body: bytes) -> Fields:
        """The message in ``body``."""
        return xml_reader.read(body)


_DECLARATION = re.compile(r"\ufeff?\s*(<\?xml\s.*?\?>)?", re.DOTALL)
_UTF_8 = ("utf-8", "us-ascii")
_ENCODING = re.compile(r"encoding\s*=\s*[\"']([^\"']*)")


def publish_document(
    topic: str, document: str | bytes, retain: bool, ttl: int | None, id: str | None = None
) -> bytes:
    """The frame that publishes ``document`` as it is, without its XML declaration."""
    text = document if isinstance(document, str) else document.decode()
    declared = _DECLARATION.match(text)
    if declared is not None:
        encoding = _ENCODING.search(declared.group())
        if (
            isinstance(document, bytes)
            and encoding is not None
            and encoding[1].lower() not in _UTF_8
        ):
            raise ValueError(
                f"the document is in {encoding[1]!r:.40}, as it says; "
                "decode it, or write it in UTF-8"
            )
        text = text[declared.end() :]
    xml_reader.check_document(text)
    fields = {"command": "publish", "topic": topic}
    if id is not None:
        fields["id"] = check_id(id)
    options = ("" if retain else ' retain="false"') + (
        "" if ttl is None else f' ttl="{check_ttl(ttl)}"'
    )
    head = f'<frame{xml_writer.attributes(fields)}{options}><message type="document">'
    return frame(Format.XML, f"{head}{text}</message></frame>".encode())


_CONTENT = re.compile(
    r"""<message(?:\s+type\s*=\s*["']document["'])?\s*>(.*)</message\s*>""", re.DOTALL
)


def document_of(message: Fields) -> str:
    """The document that a delivery holds: what is in its element ``message``, where that bears no
    type and is one element; else the element ``message`` itself, which is one.
    """
    text = xml_reader.source(message[xml_reader.SOURCE])
    found = _CONTENT.fullmatch(text)
    return text if found is None or not _is_one_element(message["message"]) else found[1]


def _is_one_element(value: Any) -> bool:
    """Whether a value that has no type is one element: the broker puts no root around such."""
    if type(value) is not dict or len(value) != 1:
        return False
    [(key, item)] = value.items()
    return not key.startswith("@") and key != "#text" and type(item) is not list
