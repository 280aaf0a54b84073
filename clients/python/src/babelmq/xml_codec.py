"""XML: messages whose string fields are attributes and whose ``message`` is a child element."""

from __future__ import annotations

from typing import Any

from . import xml_reader, xml_writer
from .codec import Message, Publish, check_ttl
from .frame import Format, frame


class XMLCodec:
    """Writes typed elements; reads typed ones, and plain documents as xmltodict does."""

    format = Format.XML

    def encode(self, message: Message) -> bytes:
        """The body that says ``message``."""
        return f"<frame{xml_writer.attributes(message)}/>".encode()

    def publisher(self, topic: str) -> Publish:
        """What writes the frames that publish to ``topic``."""
        fields = {"command": "publish", "topic": topic}
        stored = f"<frame{xml_writer.attributes(fields)}>".encode()
        passing = f'<frame{xml_writer.attributes(fields)} retain="false">'.encode()

        def publish(value: Any, retain: bool, ttl: int | None = None) -> bytes:
            start = stored if retain else passing
            if ttl is not None:
                start = b'%b ttl="%d">' % (start[:-1], check_ttl(ttl))
            body = b"".join((start, xml_writer.element(value), b"</frame>"))
            return frame(Format.XML, body)

        return publish

    def decode(self, body: bytes) -> Message:
        """The message in ``body``."""
        return xml_reader.read(body)
