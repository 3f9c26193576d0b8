"""Runs steps on one side, and keeps each client's messages per step, without values that differ between two runs."""

from plain import Plain
from side import Lost

# A client's answers to questions of the server.
ACCEPT = {
    "mcpServer/elicitation/request": {"action": "accept", "content": {"name": "Ada"}, "_meta": None},
    "item/tool/requestUserInput": {"answers": {}},
}
DECLINE = {"mcpServer/elicitation/request": {"action": "decline", "content": None, "_meta": None}}
ANSWERS = {"accept": (ACCEPT, {"decision": "accept"}), "decline": (DECLINE, {"decision": "decline"})}


class Runner:
    def __init__(self, side):
        self.side, self.plain, self.known = side, Plain(side), {"$CWD": side.cwd}

    def step(self, step):
        """Runs the step. Returns each client's messages, in order, and the reason if the step was not possible."""
        lost = None
        try:
            getattr(self, step["do"])(step)
            self.side.settle()
        except Lost as error:
            lost = str(error).replace(self.side.name, "the server")
        except KeyError as error:
            lost = f"nothing is known as {error}"
        heard = {name: [] for name in self.side.clients}
        for name, client in self.side.clients.items():
            shown = (self.show(client, said) for said in client.take())
            heard[name] = joined(message for message in shown if message)
        return heard, lost

    def show(self, client, said):
        """A message in its compared form; none for answers outside the comparison."""
        if "method" in said:
            return "asks" if "id" in said else "says", said["method"], self.plain.value(said.get("params") or {})
        if method := client.asked.get(said["id"]):
            kind = "error" if "error" in said else "result"
            value = listed_once(said[kind]) if (kind, method) == ("result", "thread/list") else said[kind]
            return kind, method, self.plain.value(value)
        return None

    # The steps.

    def connect(self, step):
        self.side.connect(step["client"])

    def leave(self, step):
        self.side.clients.pop(step["client"]).close()

    def restart(self, _step):
        self.side.restart()

    def ask(self, step):
        client = self.side.clients[step["client"]]
        since = {name: len(self.side.clients[name].heard) for name in step.get("ends", [])}
        answer = client.call(step["method"], self.fill(step["params"]))
        self.bind(step, answer)
        if "result" in answer:
            self.ended(since)
        return answer

    def pages(self, step):
        params = self.fill(step["params"])
        for _ in range(step["most"]):
            answer = self.side.clients[step["client"]].call(step["method"], params)
            params = {**params, "cursor": (answer.get("result") or {}).get("nextCursor")}
            if not params["cursor"]:
                return

    def turn(self, step):
        since = self.begin(step)
        self.ended(since, step["answer"], step["client"])

    def hold(self, step):
        since = self.begin(step)
        for name, place in since.items():
            said = lambda message: message.get("method") == "item/agentMessage/delta"
            self.side.clients[name].wait("a delta", said, place)

    def release(self, step):
        since = {name: len(self.side.clients[name].heard) for name in step["heard"]}
        self.side.model.release(step["gate"])
        self.ended(since)

    def begin(self, step):
        since = {name: len(self.side.clients[name].heard) for name in step["heard"]}
        answer = self.side.clients[step["client"]].call("turn/start", self.fill(step["params"]))
        self.bind(step, answer)
        return since if "result" in answer else {}

    def ended(self, since, answer="accept", answerer=None):
        """Waits for the end of a turn at each client; `answerer` answers the server's questions meanwhile."""
        end = lambda message: message.get("method") == "turn/completed"
        asked = lambda message: "method" in message and "id" in message
        if answerer in since:
            client, place = self.side.clients[answerer], since[answerer]
            while asked(said := client.wait("turn/completed", lambda m: end(m) or asked(m), place)):
                place = client.heard.index(said, place) + 1
                known, decision = ANSWERS[answer]
                client.send({"id": said["id"], "result": known.get(said["method"], decision)})
        for name, place in since.items():
            self.side.clients[name].wait("turn/completed", end, place)

    def bind(self, step, answer):
        for name, path in step["bind"].items():
            value = answer.get("result")
            for member in path:
                value = (value or {}).get(member)
            if value:
                self.known[name] = value
                self.plain.names[value] = name

    def fill(self, value):
        if isinstance(value, dict):
            return {name: self.fill(inner) for name, inner in value.items()}
        if isinstance(value, list):
            return [self.fill(inner) for inner in value]
        if isinstance(value, str) and value.startswith("$"):
            name, slash, rest = value.partition("/")
            return self.known[name] + slash + rest
        return value


def listed_once(answer):
    """The peer lists a thread twice that was reverted: at its creation and at its revert."""
    return {**answer, "data": list({thread["id"]: thread for thread in answer["data"]}.values())}


def joined(messages):
    """Joins consecutive deltas of one item: the split of a text is not part of the protocol."""
    together = []
    for kind, method, params in messages:
        last = together[-1] if together else None
        if last and method.lower().endswith("delta") and last[1] == method and "delta" in params:
            last[2]["delta"] += params["delta"]
        else:
            together.append((kind, method, params))
    return together
