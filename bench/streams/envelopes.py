"""Envelopes, as programs that publish to babelmq write them: what is around a message."""

import json
import pickle


class Style:
    """One producer's habit. `members` are those of the envelope in its order."""

    def __init__(self, members, separators=(",", ":"), protocol=5, quote='"'):
        self.members = members
        self.separators = separators
        self.protocol = protocol
        self.quote = quote

    def fields(self, topic, message):
        known = {"command": "publish", "topic": topic, "retain": False, "message": message}
        return {name: known.get(name, 60) for name in self.members}

    def json(self, topic):
        """What stands before the message, and what behind it."""
        marked = json.dumps(self.fields(topic, "MESSAGE"), separators=self.separators)
        before, _, behind = marked.partition('"MESSAGE"')
        return before.encode(), behind.encode()

    def pickle(self, topic, message):
        return pickle.dumps(self.fields(topic, message), self.protocol)

    def xml(self, topic):
        attributes = self.fields(topic, None)
        del attributes["message"]
        spelled = "".join(
            f" {name}={self.quote}{str(value).lower() if value is False else value}{self.quote}"
            for name, value in attributes.items()
        )
        return f"<frame{spelled}>".encode(), b"</frame>"


ALIKE = [Style(["command", "topic", "message"])]
MIXED = [
    *ALIKE,
    Style(["command", "topic", "message"], (", ", ": "), 4, "'"),
    Style(["topic", "message", "command"], protocol=2),
    Style(["command", "message", "topic"], (", ", ": ")),
    Style(["command", "topic", "retain", "message"]),
    Style(["command", "topic", "ttl", "message"], (", ", ": "), 3),
]
