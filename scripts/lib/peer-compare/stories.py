"""Stories: each shows some kinds of requests once, on new threads of freshly started servers."""

from walk import (
    BAD, NOWHERE, RESTART, TEXT, ask, connect, hold, leave, pages, release, start, then_end, turn, wrong_requests,
)

CALL = {"server": "helper", "tool": "echo", "arguments": {"text": "word"}}


def begins():
    """Requests before the first thread, and a thread without a message."""
    yield connect("a")
    yield ask("a", "initialize", {"clientInfo": {"name": "again", "version": "1"}})
    for method in ("thread/list", "thread/loaded/list", "thread/search"):
        yield ask("a", method, {"searchTerm": "hello"} if method == "thread/search" else {})
    yield ask("a", "no/such/method", {})
    yield start("a", "$T1")
    yield ask("a", "thread/read", {"threadId": "$T1"})
    yield ask("a", "thread/name/set", {"threadId": "$T1", "name": "Early"})
    yield ask("a", "thread/list", {})
    yield ask("a", "thread/loaded/list", {})
    yield turn("a", "$T1", "$U1", "@say hello")
    yield pages("a", "thread/list", {"limit": 1})
    yield start("a", "$T2", ephemeral=True)
    yield turn("a", "$T2", "$U2", "@say hello")
    yield ask("a", "thread/read", {"threadId": "$T2"})
    yield ask("a", "thread/unsubscribe", {"threadId": "$T2"})
    yield ask("a", "thread/unsubscribe", {"threadId": "$T1"})


def tools():
    """Calls of a helper: read-only or not, with a question, declined, failing, in pairs, and one that asks the user."""
    yield connect("a")
    yield start("a", "$T1")
    yield turn("a", "$T1", "$U1", "@call echo word")
    yield turn("a", "$T1", "$U2", "@call write word")
    yield turn("a", "$T1", "$U3", "@call write word", "decline")
    yield turn("a", "$T1", "$U4", "@call broken word")
    yield turn("a", "$T1", "$U5", "@twice word")
    yield turn("a", "$T1", "$U6", "@call ask word")
    yield turn("a", "$T1", "$U7", "@call ask word", "decline")
    yield pages("a", "thread/turns/list", {"threadId": "$T1", "itemsView": "full", "limit": 3})
    yield pages("a", "thread/items/list", {"threadId": "$T1", "limit": 4, "sortDirection": "asc"})
    yield ask("a", "mcpServer/tool/call", {"threadId": "$T1", **CALL})
    yield ask("a", "mcpServer/tool/call", {"threadId": "$T1", **CALL, "server": "nobody"})
    yield ask("a", "mcpServer/resource/read", {"threadId": "$T1", "server": "nobody", "uri": "memo://one"})
    yield ask("a", "mcpServerStatus/list", {"threadId": "$T1"})
    yield start("a", "$T2", approvalPolicy="never", sandbox="danger-full-access")
    yield turn("a", "$T2", "$U8", "@call write word")


def running():
    """A running turn: steers and interrupts, valid and invalid, with two clients."""
    yield connect("a")
    yield connect("b")
    yield start("a", "$T1")
    yield ask("a", "turn/interrupt", {"threadId": "$T1", "turnId": BAD})
    yield ask("a", "turn/interrupt", {"threadId": "$T1", "turnId": ""})
    yield ask("a", "turn/steer", {"threadId": "$T1", "expectedTurnId": BAD, "input": TEXT("@say more")})
    yield turn("a", "$T1", "$U1", "@say hello")
    yield ask("b", "thread/resume", {"threadId": "$T1"})
    yield hold("a", "$T1", "$U2", "first", ["a", "b"])
    yield ask("b", "turn/steer", {"threadId": "$T1", "expectedTurnId": BAD, "input": TEXT("@say more")})
    yield ask("b", "turn/steer", {"threadId": "$T1", "expectedTurnId": "", "input": TEXT("@say more")})
    yield ask("b", "turn/interrupt", {"threadId": "$T1", "turnId": BAD})
    yield ask("b", "thread/unsubscribe", {"threadId": "$T1"})
    yield ask("b", "thread/resume", {"threadId": "$T1"})
    yield then_end(ask("b", "turn/interrupt", {"threadId": "$T1", "turnId": "$U2"}), ["a", "b"])
    yield ask("b", "turn/interrupt", {"threadId": "$T1", "turnId": "$U2"})
    yield ask("b", "turn/steer", {"threadId": "$T1", "expectedTurnId": "$U2", "input": TEXT("@say more")})
    yield hold("b", "$T1", "$U3", "second", ["a", "b"])
    yield then_end(ask("a", "turn/interrupt", {"threadId": "$T1", "turnId": ""}), ["a", "b"])
    yield hold("b", "$T1", "$U4", "third", ["a", "b"])
    yield release("third", ["a", "b"])
    yield pages("a", "thread/turns/list", {"threadId": "$T1", "itemsView": "full"})


def fails():
    """Failing answers of the model."""
    yield connect("a")
    yield start("a", "$T1")
    for number, words in enumerate(["@fail 400", "@fail 401", "@fail 403", "@fail 404", "@fail 500", "@cut half a word"]):
        yield turn("a", "$T1", f"$U{number}", words)
    yield turn("a", "$T1", "$U9", "@say well again")
    yield ask("a", "thread/read", {"threadId": "$T1", "includeTurns": True})


def stays():
    """A thread over a restart: listed, read, resumed in each form, forked, named, archived, unarchived, deleted."""
    yield connect("a")
    yield start("a", "$T1", model="another-model", approvalPolicy="untrusted")
    yield turn("a", "$T1", "$U1", "@say hello")
    yield turn("a", "$T1", "$U2", "@think of rest")
    yield ask("a", "thread/name/set", {"threadId": "$T1", "name": "First"})
    yield RESTART
    yield ask("a", "thread/list", {})
    yield ask("a", "thread/read", {"threadId": "$T1", "includeTurns": True})
    yield ask("a", "turn/start", {"threadId": "$T1", "input": TEXT("@say hello")})
    yield ask("a", "thread/compact/start", {"threadId": "$T1"})
    yield ask("a", "mcpServer/tool/call", {"threadId": "$T1", **CALL})
    yield ask("a", "thread/resume", {"threadId": "$T1"})
    yield ask("a", "thread/resume", {"threadId": "$T1", "excludeTurns": True})
    yield connect("b")
    yield ask("b", "thread/resume", {"threadId": "$T1", "initialTurnsPage": {"limit": 1}, "excludeTurns": True})
    yield ask("a", "thread/fork", {"threadId": "$T1"}, {"$T2": ["thread", "id"]})
    yield ask("a", "thread/fork", {"threadId": "$T1", "lastTurnId": "$U1"}, {"$T3": ["thread", "id"]})
    yield ask("a", "thread/fork", {"threadId": "$T1", "lastTurnId": NOWHERE})
    yield turn("a", "$T2", "$U3", "@say in the copy")
    yield ask("a", "thread/revert", {"threadId": "$T1", "beforeTurnId": NOWHERE})
    yield ask("a", "thread/revert", {"threadId": "$T1", "beforeTurnId": "$U2"})
    yield ask("a", "thread/read", {"threadId": "$T1", "includeTurns": True})
    yield ask("a", "thread/archive", {"threadId": "$T1"})
    yield ask("a", "thread/read", {"threadId": "$T1"})
    yield ask("a", "thread/list", {"archived": True})
    yield ask("a", "thread/list", {"archived": False})
    yield ask("a", "thread/unarchive", {"threadId": "$T1"})
    yield ask("a", "thread/delete", {"threadId": "$T3"})
    yield ask("a", "thread/read", {"threadId": "$T3"})
    yield ask("a", "thread/list", {})
    yield leave("b")


def wishes():
    """Names, goals, settings, read state, injected items, and a compaction."""
    yield connect("a")
    yield start("a", "$T1")
    yield turn("a", "$T1", "$U1", "@say hello")
    thread = {"threadId": "$T1"}
    for method, params in [
        ("thread/name/set", {"name": "  A name "}), ("thread/name/set", {"name": " "}),
        ("thread/metadata/update", {"gitInfo": {"branch": "main"}}), ("thread/metadata/update", {}),
        ("thread/goal/set", {"status": "active"}), ("thread/goal/set", {"objective": ""}),
        ("thread/goal/set", {"objective": "rest", "status": "paused"}), ("thread/goal/get", {}),
        ("thread/goal/set", {"tokenBudget": 0}), ("thread/goal/clear", {}), ("thread/goal/clear", {}),
        ("thread/settings/update", {"model": "third-model", "effort": "low"}),
        ("thread/readState/update", {"expectedRevision": BAD, "operation": {"type": "read"}}),
        ("thread/inject_items", {"items": []}), ("thread/inject_items", {"items": [1]}),
        ("thread/inject_items", {"items": [{"type": "message", "role": "user", "content": []}]}),
    ]:
        yield ask("a", method, {**thread, **params})
    yield turn("a", "$T1", "$U2", "@say hello again", model="fourth-model", effort="high")
    yield {**ask("a", "thread/compact/start", thread), "ends": ["a"]}
    yield ask("a", "thread/resume", thread)


def lists():
    """Lists with each of their filters, and invalid cursors."""
    yield connect("a")
    for number in range(3):
        yield start("a", f"$T{number}")
        yield turn("a", f"$T{number}", f"$U{number}", f"@say hello {number}")
    filters = [
        {}, {"limit": 1}, {"limit": 2, "sortDirection": "asc"}, {"limit": 1, "sortKey": "updated_at"},
        {"searchTerm": "hello 1"}, {"cwd": "$CWD"}, {"cwd": "$CWD/"}, {"cwd": "/nowhere"}, {"modelProviders": ["fake"]},
        {"modelProviders": ["nobody"]}, {"sourceKinds": ["appServer"]}, {"sourceKinds": ["cli"]}, {"archived": True},
        {"excludedThreadIds": ["$T1"]},
    ]
    for params in filters:
        yield pages("a", "thread/list", params)
    yield pages("a", "thread/loaded/list", {"limit": 2})
    yield pages("a", "thread/search", {"searchTerm": "hello", "limit": 2})
    for method in ("thread/list", "thread/loaded/list", "thread/turns/list", "thread/items/list", "model/list"):
        named = {"threadId": "$T1"} if "turns" in method or "items" in method else {}
        yield ask("a", method, {**named, "cursor": "garbage"})
    yield ask("a", "thread/search", {"searchTerm": ""})


def refusals():
    """Every request about an unknown thread, or without a thread."""
    yield connect("a")
    for thread in (NOWHERE, BAD):
        yield from wrong_requests("a", thread)
    yield ask("a", "thread/resume", {})
    yield ask("a", "turn/start", {"threadId": NOWHERE, "input": [{"type": "text"}]})
    yield ask("a", "thread/start", {"approvalPolicy": "bogus"})
    yield ask("a", "thread/start", {"modelProvider": "nobody"})


def together():
    """Two clients: one resumes a new thread without a message, both receive a turn, one leaves, one answers."""
    yield connect("a")
    yield connect("b")
    yield start("a", "$T1")
    yield turn("a", "$T1", "$U1", "@say hello")
    yield ask("b", "thread/resume", {"threadId": "$T1"})
    yield turn("b", "$T1", "$U2", "@call write word", heard=["a", "b"])
    yield turn("a", "$T1", "$U3", "@say to both", heard=["a", "b"])
    yield ask("a", "thread/name/set", {"threadId": "$T1", "name": "Ours"})
    yield ask("a", "thread/unsubscribe", {"threadId": "$T1"})
    yield turn("b", "$T1", "$U4", "@say to one")
    yield ask("b", "thread/archive", {"threadId": "$T1"})
    yield leave("b")
    yield ask("a", "thread/loaded/list", {})


STORIES = [begins, tools, running, fails, stays, wishes, lists, refusals, together]
