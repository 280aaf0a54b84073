"""Elements whose names only the fifth edition of XML 1.0 allows: what is delivered, expat
can read.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET

from judge.wire import XML, wire

MESSAGES = (
    "<message><{}/></message>",
    "<message><a{}/></message>",
    "<message><b {}='1'/></message>",
)


def names(element: ET.Element) -> set[str]:
    """The elements of the message, by name or by the key that it stands for, without the ``@`` of
    attributes.
    """
    found = {child.get("key", child.tag) for child in element.iter() if child.tag != "message"}
    found |= {
        name for child in element.iter() for name in child.attrib if name not in ("key", "type")
    }
    return {name.removeprefix("@") for name in found}


def test_every_character_of_the_basic_plane_in_a_name(broker: str) -> None:
    characters = [chr(code) for code in range(0x80, 0x10000) if not 0xD800 <= code < 0xE000]
    readable = 0
    with wire(broker, XML) as client:
        client.ask(command="subscribe", topic="names")
        for message in MESSAGES:
            for start in range(0, len(characters), 1000):
                some = characters[start : start + 1000]
                for character in some:
                    body = f"<f command='publish' topic='names'>{message.format(character)}</f>"
                    client.send_body(body.encode())
                client.send(command="ping")
                while True:
                    answer = client.receive_body()
                    element = ET.fromstring(answer)
                    if element.get("command") == "pong":
                        break
                    if element.get("command") == "error":
                        assert element.get("code") == "malformed-xml", answer
                        continue
                    readable += 1
                    found = names(element[0])
                    assert any(name.removeprefix("a") in some for name in found), answer
    # More than the fourth edition has: those were written anew.
    assert readable > 2 * 48_000, readable
