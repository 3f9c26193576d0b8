"""Removes everything that differs between two runs: ids become names, times and cursors become placeholders."""

import re

UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
TIMES = re.compile(r"(At|AtMs|Ms)$")
MARKS = {
    "nextCursor": "<cursor>",
    "backwardsCursor": "<cursor>",
    "turnsBackwardsCursor": "<cursor>",
    "itemsBackwardsCursor": "<cursor>",
    "revision": "<revision>",
    "version": "<version>",
    "userAgent": "<agent>",
    "cliVersion": "<version>",
    "itemId": "<item>",
}
ABSENT = "absent"


class Plain:
    """Names for the ids of one side. The walk fills `names` with thread and turn ids from the answers."""

    def __init__(self, side):
        self.names = {}
        self.places = [(side.home, "<home>"), (side.cwd, "<cwd>"), (side.folder, "<folder>")]

    def text(self, text):
        for path, mark in self.places:
            text = text.replace(path, mark)
        text = re.sub(r"rollout-[\d-]+T[\d-]+-", "rollout-<time>-", text)
        text = re.sub(r"/\d{4}/\d{2}/\d{2}/", "/<day>/", text)
        text = re.sub(r"/(threads|archived_sessions)/[0-9a-f]{2}/", r"/\1/<shard>/", text)
        text = re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:<port>", text)
        return UUID.sub(lambda found: self.names.get(found.group(0), "<id>"), text)

    def value(self, value, key=""):
        if isinstance(value, dict):
            if key == "item" or ("type" in value and "id" in value and key == "items"):
                value = {**value, "id": "<item>"}
            return {self.text(name): self.value(inner, name) for name, inner in value.items()}
        if isinstance(value, list):
            return [self.value(inner, key) for inner in value]
        if value is None or isinstance(value, bool):
            return value
        if key in MARKS:
            return MARKS[key]
        if isinstance(value, (int, float)):
            return "<time>" if TIMES.search(key) else value
        return self.text(value)


def differences(peer, skein, path=""):
    """Different members: (path, the peer's, Skein's). An object on one side only is one difference."""
    if isinstance(peer, dict) and isinstance(skein, dict):
        for name in sorted(peer.keys() | skein.keys()):
            inner = f"{path}.{name}" if path else name
            yield from differences(peer.get(name, ABSENT), skein.get(name, ABSENT), inner)
    elif isinstance(peer, list) and isinstance(skein, list):
        if len(peer) != len(skein):
            yield f"{path}[] length", peer, skein
        for mine, its_own in zip(peer, skein):
            yield from differences(mine, its_own, f"{path}[]")
    elif peer != skein or isinstance(peer, bool) != isinstance(skein, bool):
        yield path, peer, skein
