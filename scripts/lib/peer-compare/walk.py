"""The actions for both servers: stories that show each kind of request once, and random walks. A step is data, which `Runner`
executes. Texts of the form $T1 stand for values from earlier answers."""

import random

BAD = "nope"
NOWHERE = "00000000-0000-7000-8000-00000000dead"
TEXT = lambda words: [{"type": "text", "text": words}]


def ask(client, method, params=None, bind=None):
    return {"do": "ask", "client": client, "method": method, "params": params, "bind": bind or {}}


def start(client, thread, **params):
    return ask(client, "thread/start", {"cwd": "$CWD", **params}, {thread: ["thread", "id"]})


def turn(client, thread, turn_name, words, answer="accept", heard=None, **params):
    """A turn from start to end; every client of `heard` receives it. Questions are answered with `answer`."""
    params = {"threadId": thread, "input": TEXT(words), **params}
    return {
        "do": "turn", "client": client, "params": params, "bind": {turn_name: ["turn", "id"]},
        "answer": answer, "heard": heard or [client],
    }


def hold(client, thread, turn_name, gate, heard=None):
    """A turn that has streamed its first word."""
    return {**turn(client, thread, turn_name, f"@hold {gate}", heard=heard), "do": "hold"}


def release(gate, heard):
    return {"do": "release", "gate": gate, "heard": heard}


def then_end(step, heard):
    """A request that ends the running turn; every client of `heard` receives the end."""
    return {**step, "ends": heard}


def pages(client, method, params, most=8):
    return {"do": "pages", "client": client, "method": method, "params": params, "most": most}


def connect(client):
    return {"do": "connect", "client": client}


def leave(client):
    return {"do": "leave", "client": client}


RESTART = {"do": "restart"}


class Walk:
    """A random walk. It knows the state from its own requests, never from a server's answers."""

    def __init__(self, seed):
        self.dice = random.Random(seed)
        self.clients, self.threads, self.count = {"a"}, {}, 0
        self.steps = [connect("a")]

    def new(self, letter):
        self.count += 1
        return f"${letter}{self.count}"

    def said(self, **wanted):
        """Threads with messages, of this state."""
        fits = lambda thread: all(thread[name] == value for name, value in wanted.items())
        return [name for name, thread in self.threads.items() if fits(thread)]

    def here(self, client):
        return [name for name in self.said(place="active", held=None) if client in self.threads[name]["by"]]

    def plan(self, steps):
        choices = [
            (self.begin, 3), (self.talk, 8), (self.tool, 4), (self.held, 4), (self.list, 6), (self.look, 6),
            (self.resume, 3), (self.unsubscribe, 1), (self.fork, 1), (self.archive, 1), (self.name, 2), (self.goal, 1),
            (self.revert, 1), (self.wrong, 6), (self.come, 1), (self.go, 1), (self.again, 0.3), (self.fail, 1),
            (self.read_state, 1), (self.delete, 0.5), (self.settings, 1),
        ]
        kinds, weights = zip(*choices)
        self.begin()
        while len(self.steps) < steps:
            self.dice.choices(kinds, weights)[0]()
        return self.steps[:steps] if self.steps[steps - 1]["do"] != "hold" else self.steps[: steps + 3]

    def client(self):
        return self.dice.choice(sorted(self.clients))

    def begin(self):
        client, thread = self.client(), self.new("T")
        wishes = {}
        if self.dice.random() < 0.3:
            wishes["approvalPolicy"] = self.dice.choice(["never", "on-request", "untrusted"])
        if self.dice.random() < 0.3:
            wishes["sandbox"] = self.dice.choice(["read-only", "danger-full-access"])
        if self.dice.random() < 0.2:
            wishes["model"] = "another-model"
        self.steps.append(start(client, thread, **wishes))
        # The first message writes the thread to disk; threads without one are the subject of a story.
        self.threads[thread] = {"place": "active", "held": None, "by": {client}, "turns": [], "whole": True}
        self.say(client, thread, "@say hello")

    def say(self, client, thread, words, answer="accept"):
        name = self.new("U")
        heard = sorted(self.threads[thread]["by"] & self.clients)
        self.steps.append(turn(client, thread, name, words, answer, heard))
        self.threads[thread]["turns"].append(name)

    def mine(self):
        """A client, and an idle thread to which it is subscribed."""
        client = self.client()
        there = self.here(client)
        return (client, self.dice.choice(there)) if there else (client, None)

    def talk(self):
        client, thread = self.mine()
        if thread:
            kind = self.dice.choice(["@say one two", "@say three", "@think of rest"])
            self.say(client, thread, kind)

    def tool(self):
        client, thread = self.mine()
        if thread:
            tool = self.dice.choice(["echo", "write", "ask", "broken"])
            words = self.dice.choice([f"@call {tool} word", "@twice word"])
            self.say(client, thread, words, self.dice.choice(["accept", "decline"]))

    def fail(self):
        client, thread = self.mine()
        if thread:
            self.threads[thread]["whole"] = False
            self.say(client, thread, self.dice.choice(["@fail 400", "@fail 401", "@fail 500", "@cut half a"]))

    def held(self):
        client, thread = self.mine()
        if not thread:
            return
        name, gate = self.new("U"), self.new("gate")[1:]
        heard = sorted(self.threads[thread]["by"] & self.clients)
        named = {"threadId": thread, "expectedTurnId": BAD, "input": TEXT("@say more")}
        self.steps.append(hold(client, thread, name, gate, heard))
        if self.dice.random() < 0.4:
            self.steps.append(ask(client, "turn/steer", {**named, "expectedTurnId": self.dice.choice([BAD, ""])}))
        if self.dice.random() < 0.4:
            self.steps.append(ask(client, "turn/interrupt", {"threadId": thread, "turnId": BAD}))
        if self.dice.random() < 0.5:
            end = ask(client, "turn/interrupt", {"threadId": thread, "turnId": self.dice.choice([name, ""])})
            self.steps.append(then_end(end, heard))
            self.threads[thread]["whole"] = False
        else:
            self.steps.append(release(gate, heard))
        self.threads[thread]["turns"].append(name)

    def list(self):
        params = {}
        if self.dice.random() < 0.6:
            params["limit"] = self.dice.choice([1, 2, 3, 50])
        if self.dice.random() < 0.4:
            params["sortKey"] = self.dice.choice(["created_at", "updated_at", "recency_at"])
        if self.dice.random() < 0.3:
            params["sortDirection"] = self.dice.choice(["asc", "desc"])
        if self.dice.random() < 0.3:
            params["archived"] = self.dice.random() < 0.5
        if self.dice.random() < 0.2:
            params["searchTerm"] = self.dice.choice(["hello", "nothing of this"])
        if self.dice.random() < 0.2:
            params["cwd"] = self.dice.choice(["$CWD", "$CWD/", "/nowhere", ["$CWD"]])
        if self.dice.random() < 0.2:
            params["modelProviders"] = self.dice.choice([["fake"], ["nobody"], []])
        if self.dice.random() < 0.2:
            params["sourceKinds"] = self.dice.choice([["appServer"], ["cli"], []])
        self.steps.append(pages(self.client(), "thread/list", params))

    def look(self):
        there = self.said(held=None)
        if not there:
            return
        client, thread = self.client(), self.dice.choice(there)
        params = {"threadId": thread}
        kind = self.dice.choice(["thread/read", "thread/turns/list", "thread/items/list", "thread/loaded/list"])
        # The kept part of an interrupted turn is on one more page.
        if kind == "thread/items/list" and not self.threads[thread]["whole"]:
            kind = "thread/turns/list"
        if kind == "thread/read":
            return self.steps.append(ask(client, kind, {**params, "includeTurns": self.dice.random() < 0.5}))
        if kind == "thread/loaded/list":
            return self.steps.append(ask(client, kind, {}))
        if self.dice.random() < 0.7:
            params["limit"] = self.dice.choice([1, 2, 5])
        if self.dice.random() < 0.5:
            params["sortDirection"] = self.dice.choice(["asc", "desc"])
        if kind == "thread/turns/list" and self.dice.random() < 0.6:
            params["itemsView"] = self.dice.choice(["full", "summary", "notLoaded"])
        self.steps.append(pages(client, kind, params))

    def resume(self):
        there = self.said(place="active", held=None)
        if there:
            client, thread = self.client(), self.dice.choice(there)
            wishes = {"excludeTurns": True} if self.dice.random() < 0.4 else {}
            self.steps.append(ask(client, "thread/resume", {"threadId": thread, **wishes}))
            self.threads[thread]["by"].add(client)

    def unsubscribe(self):
        client, thread = self.mine()
        if thread:
            self.steps.append(ask(client, "thread/unsubscribe", {"threadId": thread}))
            self.threads[thread]["by"].discard(client)

    def fork(self):
        client, thread = self.mine()
        if thread:
            copy = self.new("T")
            self.steps.append(ask(client, "thread/fork", {"threadId": thread}, {copy: ["thread", "id"]}))
            self.threads[thread]["forked"] = True
            whole = self.threads[thread]["whole"]
            self.threads[copy] = {"place": "active", "held": None, "by": {client}, "turns": [], "whole": whole}

    def archive(self):
        client = self.client()
        active, archived = self.said(place="active", held=None), self.said(place="archived")
        active = [name for name in active if not self.threads[name].get("reverted")]
        if active and self.dice.random() < 0.6:
            thread = self.dice.choice(active)
            self.steps.append(ask(client, "thread/archive", {"threadId": thread}))
            self.threads[thread] |= {"place": "archived", "by": set()}
        elif archived:
            thread = self.dice.choice(archived)
            self.steps.append(ask(client, "thread/unarchive", {"threadId": thread}))
            self.threads[thread]["place"] = "active"

    def delete(self):
        # The peer deletes no thread that was the source of a fork.
        there = [name for name in self.said(held=None) if not self.threads[name].get("forked")]
        if len(there) > 2:
            thread = self.dice.choice(there)
            self.steps.append(ask(self.client(), "thread/delete", {"threadId": thread}))
            self.steps.append(ask(self.client(), "thread/read", {"threadId": thread}))
            del self.threads[thread]

    def name(self):
        there = self.said(place="active", held=None)
        if there:
            name = self.dice.choice(["A name", "  Another  ", ""])
            self.steps.append(ask(self.client(), "thread/name/set", {"threadId": self.dice.choice(there), "name": name}))

    def goal(self):
        client, thread = self.mine()
        if thread:
            for method, more in [("set", {"objective": "rest", "status": "paused"}), ("get", {}), ("clear", {})]:
                self.steps.append(ask(client, f"thread/goal/{method}", {"threadId": thread, **more}))

    def settings(self):
        client, thread = self.mine()
        if thread:
            change = self.dice.choice([{"model": "third-model"}, {"effort": "low"}, {"approvalPolicy": "never"}])
            self.steps.append(ask(client, "thread/settings/update", {"threadId": thread, **change}))

    def read_state(self):
        client, thread = self.mine()
        if thread:
            params = {"threadId": thread, "expectedRevision": BAD, "operation": {"type": "read"}}
            self.steps.append(ask(client, "thread/readState/update", params))

    def revert(self):
        client, thread = self.mine()
        turns = self.threads[thread]["turns"] if thread else []
        if len(turns) > 1:
            at = self.dice.randrange(1, len(turns))
            self.steps.append(ask(client, "thread/revert", {"threadId": thread, "beforeTurnId": turns[at]}))
            del turns[at:]
            # In that case the peer lists an archived thread twice.
            self.threads[thread]["reverted"] = True

    def wrong(self):
        self.steps.append(self.dice.choice(wrong_requests(self.client(), self.dice.choice([NOWHERE, NOWHERE, BAD]))))

    def come(self):
        if (name := self.dice.choice(["b", "c"])) not in self.clients:
            self.steps.append(connect(name))
            self.clients.add(name)

    def go(self):
        others = sorted(self.clients - {"a"})
        if others:
            name = self.dice.choice(others)
            self.steps.append(leave(name))
            self.clients.discard(name)
            for thread in self.threads.values():
                thread["by"].discard(name)

    def again(self):
        self.steps.append(RESTART)
        for thread in self.threads.values():
            thread["by"] = set()


def wrong_requests(client, thread):
    """Requests about an unknown thread."""
    named = {"threadId": thread}
    answerless = {"server": "helper", "tool": "echo", "arguments": {"text": "word"}}
    requests = [
        ("thread/resume", {}), ("thread/fork", {}), ("thread/archive", {}), ("thread/unarchive", {}),
        ("thread/delete", {}), ("thread/name/set", {"name": "name"}), ("thread/read", {}), ("thread/turns/list", {}),
        ("thread/read", {"includeTurns": True}), ("thread/unsubscribe", {}), ("thread/compact/start", {}),
        ("thread/settings/update", {"model": "other"}), ("thread/goal/get", {}), ("thread/goal/clear", {}),
        ("thread/goal/set", {"objective": "rest"}), ("thread/revert", {"beforeTurnId": NOWHERE}),
        ("thread/inject_items", {"items": [{"type": "message", "role": "user", "content": []}]}),
        ("thread/metadata/update", {"gitInfo": {"branch": "main"}}),
        ("thread/readState/update", {"expectedRevision": "1", "operation": {"type": "read"}}),
        ("turn/start", {"input": TEXT("@say words")}), ("turn/interrupt", {"turnId": NOWHERE}),
        ("turn/interrupt", {"turnId": ""}), ("turn/steer", {"expectedTurnId": NOWHERE, "input": TEXT("@say words")}),
        ("mcpServer/tool/call", answerless), ("mcpServer/resource/read", {"server": "helper", "uri": "memo://one"}),
        ("mcpServerStatus/list", {}),
    ]
    return [ask(client, method, {**named, **more}) for method, more in requests]
