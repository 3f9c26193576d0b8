"""One long conversation: its messages, the client that sends each, and the views of both clients."""

import json
import random
import threading
import time

import websockets.sync.client
from websockets.exceptions import ConnectionClosed

LIMIT = 90  # limit of every wait, seconds
# Compared members of an item, beside its type and its id.
COMPARED = ("text", "status", "server", "tool", "arguments", "error")

# A call that takes a minute.
ENDLESS = [["pictures", "trigger-long-running-operation", {"duration": 60, "steps": 60}]]


def shape(item):
    """The members that must be the same wherever an item is shown."""
    said = {"said": [part.get("text") for part in item["content"]]} if item["type"] == "userMessage" else {}
    return {"type": item["type"], "id": item["id"], **said, **{name: item[name] for name in COMPARED if name in item}}


def shape_of(turn):
    return {"id": turn["id"], "status": turn["status"], "items": [shape(item) for item in turn["items"]]}


class Client:
    """A connection, and its client's view of the thread."""

    def __init__(self, address, name):
        self.name, self.turns, self.last, self.totals = name, {}, 0, None
        # Histories are large, and unread data is not a sign of a dead connection.
        self.ws = websockets.sync.client.connect(address, max_size=None, max_queue=None, compression=None, ping_interval=None)
        self.call("initialize", {"clientInfo": {"name": name, "version": "1"}})

    def call(self, method, params):
        self.last += 1
        self.ws.send(json.dumps({"id": self.last, "method": method, "params": params}))
        return self.hear(lambda message: message.get("id") == self.last and "method" not in message, method)

    def hear(self, wanted, what):
        """Takes messages until the wanted one, and applies all of them."""
        end = time.monotonic() + LIMIT
        while True:
            message = json.loads(self.ws.recv(timeout=max(0, end - time.monotonic())))
            self.take(message)
            if wanted(message):
                if "error" in message:
                    raise Refused(f"{self.name}: {what}: {message['error']}")
                return message.get("result") or message.get("params")

    def take(self, message):
        method, params = message.get("method"), message.get("params") or {}
        if method == "turn/started":
            self.turns[params["turn"]["id"]] = {"id": params["turn"]["id"], "status": "inProgress", "items": {}}
        elif method == "item/started":
            self.turns[params["turnId"]]["items"][params["item"]["id"]] = params["item"]
        elif method == "item/completed":
            self.turns[params["turnId"]]["items"][params["item"]["id"]] = params["item"]
        elif method == "turn/completed":
            self.turns[params["turn"]["id"]].update(status=params["turn"]["status"], error=params["turn"]["error"])
        elif method == "thread/tokenUsage/updated":
            self.totals = params["tokenUsage"]["total"]
        elif method and "id" in message:
            raise AssertionError(f"{self.name} was asked {method}")

    def resume(self, thread):
        """Takes over the state from a resume. It has the newest turns; older ones come in pages."""
        resumed = self.call("thread/resume", {"threadId": thread})
        turns, cursor = resumed["thread"]["turns"], (resumed.get("skein") or {}).get("olderTurns")
        while cursor:
            page = self.call("thread/turns/list", {"threadId": thread, "cursor": cursor, "itemsView": "full"})
            turns, cursor = page["data"][::-1] + turns, page["nextCursor"]
        self.turns = {turn["id"]: {**turn, "items": {item["id"]: item for item in turn["items"]}} for turn in turns}

    def catch_up(self, turn):
        """Waits until this client has seen the end of the turn."""
        while self.turns.get(turn, {}).get("status", "inProgress") == "inProgress":
            self.hear(lambda message: message.get("method") == "turn/completed", "the end of a turn")

    def shown(self):
        return [shape_of({**turn, "items": list(turn["items"].values())}) for turn in self.turns.values()]

    def close(self):
        self.ws.close()


class Refused(Exception):
    """The server has answered with an error."""


class Talk:
    """A conversation by one interface, with turns drawn from the seed. `killing` is a barrier: all conversations wait there in
    the middle of a turn, while the server is killed and restarted."""

    def __init__(self, form, turns, seed, place):
        self.form, self.turns, self.place = form, turns, place
        self.draw = random.Random(f"{seed}-{form}")
        self.thread, self.number = None, 0
        self.figures = {"turns": 0, "seconds": 0.0, "calls": 0, "compactions": 0, "interrupts": 0, "added": 0, "kills": 0, "leaves": 0}
        # Expected end of each user message: complete, or cut off.
        self.whole, self.cut = set(), set()
        self.plan = self.planned(place.kills)
        self.error = None

    def clients(self):
        return [Client(self.place.address(), f"{self.form}-{name}") for name in ("a", "b")]

    def run(self):
        try:
            began = time.monotonic()
            self.first, self.second = self.clients()
            params = {"modelProvider": f"litellm-{self.form}", "model": f"long-{self.form}", "approvalPolicy": "never", "cwd": str(self.place.folder)}
            self.thread = self.first.call("thread/start", params)["thread"]["id"]
            self.second.resume(self.thread)
            for kind in self.plan:
                getattr(self, kind)()
            self.figures["seconds"] = time.monotonic() - began
            self.judge()
        except (AssertionError, OSError, KeyError, ValueError, TimeoutError, ConnectionClosed, Refused, threading.BrokenBarrierError) as error:
            self.error = f"turn {self.figures['turns']} of {self.form}, message #{self.number}, thread {self.thread}: {type(error).__name__}: {error}"
            self.place.killing.abort()

    def planned(self, kills):
        """The kind of each turn: the kills at the same place in all conversations, each other kind by its share, at least once."""
        plan = ["plain"] * self.turns
        for at in range(kills):
            plan[self.turns * (at + 1) // (kills + 1)] = "killed"
        # A message added in mid-answer and compacted in the same turn does not reach later turns: a known fault.
        kinds = [("interrupt", 0.08), ("compact", 0.04), ("leave", 0.03), ("add", 0.05)]
        for kind, share in kinds:
            # The first turns are plain: a compaction needs earlier messages.
            free = [at for at, planned in enumerate(plan) if planned == "plain" and at > 1]
            for at in self.draw.sample(free, min(len(free), max(1, round(share * self.turns)))):
                plan[at] = kind
        return plan

    # The messages.

    def calls(self):
        """Lists of calls: parallel within a list, the lists in sequence."""
        draw, folder, number = self.draw, self.place.folder / self.form, self.number + 1
        file, page = str(folder / f"note{draw.randrange(9)}.txt"), f"http://127.0.0.1:{self.place.pages}/page/{number}"
        repo = {"repo_path": str(folder)}
        entity = {"name": f"{self.form}-{number}", "entityType": "note", "observations": [f"said at {number}"]}
        write = ["files", "write_file", {"path": file, "content": f"note {number}\n" * draw.randrange(1, 40)}]
        ways = [
            [[write], [["files", "read_text_file", {"path": file}]]],
            [[write], [["git", "git_add", {**repo, "files": ["."]}], ["files", "list_directory", {"path": str(folder)}]], [["git", "git_commit", {**repo, "message": f"note {number}"}]]],
            [[["git", "git_log", {**repo, "max_count": 3}], ["git", "git_status", repo]]],
            [[["web", "fetch", {"url": page}]]],
            [[["pictures", "get-tiny-image", {}]]],
            [[["pictures", "get-sum", {"a": number, "b": 2}], ["web", "fetch", {"url": page}], ["pictures", "echo", {"message": f"at {number}"}]]],
            [[["shared", "create_entities", {"entities": [entity]}]], [["shared", "open_nodes", {"names": [entity["name"]]}]]],
            [],
        ]
        return draw.choice(ways)

    def message(self, **plan):
        self.number += 1
        return {"threadId": self.thread, "input": [{"type": "text", "text": f"#{self.number} {json.dumps(plan)}"}]}

    def begin(self, client, calls, words, pace=0.0):
        """Starts a turn. Returns its id."""
        self.figures["turns"] += 1
        return client.call("turn/start", self.message(calls=calls, words=words, pace=pace))["turn"]["id"]

    def either(self):
        both = [self.first, self.second]
        self.draw.shuffle(both)
        return both

    def see(self, turn, status="completed", why=None):
        """Waits until both clients have the end of a turn with the same error message and the same items."""
        for client in (self.first, self.second):
            client.catch_up(turn)
        shown = [shape_of({**client.turns[turn], "items": list(client.turns[turn]["items"].values())}) for client in (self.first, self.second)]
        equal("what both clients show of a turn", *shown)
        error = self.first.turns[turn].get("error")
        equal("the turn's end", (shown[0]["status"], error and error["message"]), (status, why))
        return shown[0]

    # The steps.

    def plain(self):
        calls = self.calls()
        client, _ = self.either()
        shown = self.see(self.begin(client, calls, self.draw.randrange(3, 60)))
        made = [item for item in shown["items"] if item["type"] == "mcpToolCall"]
        equal("the calls of a turn", [(item["server"], item["tool"]) for item in made], [(call[0], call[1]) for group in calls for call in group])
        # git refuses an empty commit, and some calls are of that kind.
        failed = [item for item in made if item["status"] != "completed" and item["tool"] != "git_commit"]
        equal("calls that failed", failed, [])
        self.figures["calls"] += len(made)
        self.whole.add(self.number)

    def begin_endless(self):
        """Starts a turn that lasts for a while. Returns its id once both clients show its answer, or its call, in progress."""
        client, other = self.either()
        if self.draw.random() < 0.5:
            turn, under_way = self.begin(client, self.calls()[:1], 2000, 0.05), delta
        else:
            turn, under_way = self.begin(client, [ENDLESS], 1), call
        for each in (client, other):
            each.hear(under_way(turn), "what a turn does")
        self.cut.add(self.number)
        return turn, other

    def interrupt(self):
        turn, other = self.begin_endless()
        other.call("turn/interrupt", {"threadId": self.thread, "turnId": turn})
        self.see(turn, "interrupted")
        self.figures["interrupts"] += 1

    def add(self):
        """The other client adds input to a running turn."""
        client, other = self.either()
        turn = self.begin(client, [], 30, 0.03)
        self.cut.add(self.number)
        other.hear(delta(turn), "a piece of the answer")
        other.call("turn/steer", {**self.message(calls=self.calls(), words=5, pace=0), "expectedTurnId": turn})
        shown = self.see(turn)
        said = [item for item in shown["items"] if item["type"] == "userMessage"]
        equal("messages of a turn that something was added to", len(said), 2)
        self.whole.add(self.number)
        self.figures["added"] += 1

    def compact(self):
        client, other = self.either()
        client.call("thread/compact/start", {"threadId": self.thread})
        turn = other.hear(lambda message: message.get("method") == "turn/started", "the compaction")["turn"]["id"]
        self.see(turn)
        self.plain()

    def leave(self):
        """Both clients leave, so the thread and its helpers stop; then both come back."""
        for client in (self.first, self.second):
            client.close()
        self.figures["leaves"] += 1
        self.come_back()
        self.plain()

    def come_back(self):
        before = [turn for turn in self.first.shown() if turn["status"] != "inProgress"]
        known = {turn["id"] for turn in before}
        self.first, self.second = self.clients()
        for client in (self.first, self.second):
            client.resume(self.thread)
            shown = [turn for turn in client.shown() if turn["id"] in known]
            equal("what a client that comes back is shown", shown, before)

    def killed(self):
        """The server is killed in the middle of a turn. Afterwards its text is there, and the turn has ended."""
        turn, _ = self.begin_endless()
        self.place.killing.wait(LIMIT)
        self.come_back()
        self.see(turn, "interrupted", "the server ended while this turn ran")
        self.figures["kills"] += 1

    # The final checks.

    def judge(self):
        shown = self.first.shown()
        equal("what both clients show", shown, self.second.shown())
        self.figures["compactions"] = sum(item["type"] == "contextCompaction" for turn in shown for item in turn["items"])
        said = [text for turn in shown for item in turn["items"] if item["type"] == "userMessage" for text in item["said"]]
        equal("the messages of the user", [text.split()[0] for text in said], [f"#{number}" for number in range(1, self.number + 1)])
        for turn in shown:
            equal("a turn that has not ended", turn["status"] in ("completed", "interrupted"), True)
        answers = [item["text"] for turn in shown for item in turn["items"] if item["type"] == "agentMessage"]
        counted = {number: sum(text.startswith(f"answer to #{number}:") for text in answers) for number in range(1, self.number + 1)}
        equal("messages that were not answered once", [number for number in self.whole if counted[number] != 1], [])
        equal("messages whose cut answer is there twice", [number for number in self.cut if counted[number] > 1], [])

    def judge_cold(self, client, exported):
        """The thread from disk equals both clients' views."""
        shown = self.first.shown()
        read = client.call("thread/read", {"threadId": self.thread, "includeTurns": True})["thread"]
        equal("what is read after a cold start", [shape_of(turn) for turn in read["turns"]], shown)
        pages, cursor = [], None
        while True:
            page = client.call("thread/turns/list", {"threadId": self.thread, "sortDirection": "asc", "itemsView": "full", "limit": 40, "cursor": cursor})
            pages += page["data"]
            cursor = page["nextCursor"]
            if cursor is None:
                break
        equal("the pages of the history", [shape_of(turn) for turn in pages], shown)
        client.resume(self.thread)
        equal("what is resumed after a cold start", client.shown(), shown)
        numbers = [int(text.split()[0][1:]) for text in exported]
        equal("the messages of the user in the export", numbers, list(range(1, self.number + 1)))


def call(turn):
    """Whether a call of the endless kind was made alone."""
    tool = ENDLESS[0][1]
    return lambda message: message.get("method") == "item/started" and message["params"]["turnId"] == turn and message["params"]["item"].get("tool") == tool


def delta(turn):
    return lambda message: message.get("method") == "item/agentMessage/delta" and message["params"]["turnId"] == turn


def equal(what, found, wanted):
    if found == wanted:
        return
    if isinstance(found, list) and isinstance(wanted, list) and len(found) == len(wanted):
        found, wanted = next((one, other) for one, other in zip(found, wanted) if one != other)
    raise AssertionError(f"{what}: {json.dumps(found)[-2000:]} instead of {json.dumps(wanted)[-2000:]}")
