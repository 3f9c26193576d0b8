"""Shared parts of the Python drivers: the record of a turn, and a user who agrees to every question."""

import json
import time


class Heard:
    """A turn as its client reports it."""

    def __init__(self):
        self.pieces, self.times, self.asked = [], [], []

    def piece(self, text):
        """A piece of the agent's text."""
        self.pieces.append(text)
        self.times.append(time.monotonic())

    def answer(self, method, _params):
        """Answers a question of the server."""
        self.asked.append(method)
        if method == "mcpServer/elicitation/request":
            return {"action": "accept", "content": None, "_meta": None}
        raise ValueError(f"{method} was not expected")

    def tell(self, **more):
        """Prints the turn for table.py: `pieces`, their number; `seconds`, from the first to the last."""
        seconds = self.times[-1] - self.times[0] if self.times else 0
        print(json.dumps({"pieces": len(self.pieces), "seconds": seconds, "asked": self.asked, **more}))
