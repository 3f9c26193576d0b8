"""The steps of clients that are programs: each starts one like its user, and checks its output and its messages."""

import re
import subprocess

from home import until

LATE = "message at the end"
QUESTION = "question over kill -9"
NAMES = ["start", "prompt", "streamed answer", "MCP tool call", "approval", "interrupt", LATE, "resume", "resume after kill -9", QUESTION, "list"]
# The built-in model streams numbered pieces: their number, bytes, and rate per second. Some clients lose a turn that
# ends within milliseconds, because they wait for the end of a turn whose id they do not know yet. They do so with Codex
# as well.
PROMPT = "/stream 5 8 10"
LONGER = "/stream 12 8 10"
ENDLESS = "/stream 100000 8 10"
# Two parallel calls, one of them slow for the same reason.
CALLS = '/tool helper pid\n/tool helper sleep {"ms": 500}'
HANGS = "/tool helper hang"
# A call that needs the user's approval, and one that does not.
APPROVED = '/tool asks pid\n/tool helper sleep {"ms": 500}'


def pieces(count):
    """The pieces of a streamed answer."""
    return [f"{number} ".ljust(8, ".") for number in range(count)]


def equal(found, wanted):
    if found != wanted:
        raise AssertionError(f"{found!r} instead of {wanted!r}")


def pid(text):
    """The helper's answer comes first."""
    if not (text or "-").split()[0].isdigit():
        raise AssertionError(f"{text!r} is not the helper's pid")


def interrupted(home, since):
    """The server says that a turn was interrupted. A client that leaves the thread before the turn has ended receives no
    message about its end; then the thread's history says so."""
    left = lambda: home.requested("thread/unsubscribe", since) and home.requested("turn/interrupt", since)
    kept = lambda: [status for turn in left() for status in home.ends(turn["threadId"], turn["turnId"])]
    statuses = lambda: [turn["turn"]["status"] for turn in home.said("turn/completed", since)] or kept()
    equal(until("the end of the turn", statuses)[-1], "interrupted")


def asked(home, since, thread, connections=1):
    """The server has asked every connection of the thread once whether to make this call."""
    questions = home.said("mcpServer/elicitation/request", since)
    asks = [(it["threadId"], it["serverName"], it["_meta"]["tool_name"]) for it in questions]
    equal(asks, [(thread, "asks", "pid")] * connections)


def history(home, thread, since):
    """The texts of a thread's items as the server sent them to a returning client, in order."""
    told = []
    for result in home.answers(thread, since):
        rows = [*result.get("thread", {}).get("turns", []), *result.get("data", [])]
        items = [item for row in rows for item in row.get("items", [row.get("item", {})])]
        # Some clients ask for the last item before they ask for all.
        told = max(told, [item for item in items if item.get("type") in ("userMessage", "agentMessage")], key=len)
    return [item["text"] if "text" in item else "".join(part["text"] for part in item["content"]) for item in told]


class Program:
    """A client under a driver: each step is one run. A client with `passes_over` loses a piece that comes before it knows the turn's
    id; a client with `replays` repeats the history when it comes back."""

    def __init__(self, home, driver, passes_over=False, replays=False):
        self.home, self.driver, self.passes_over, self.replays = home, driver, passes_over, replays
        self.thread, self.history = None, []

    def run(self, step, text="-"):
        return self.home.run(self.driver, step, self.thread or "-", text)

    def start(self):
        thread = self.run("start", PROMPT)["thread"]
        if not re.fullmatch(r"[0-9a-f-]{36}", thread):
            raise AssertionError(f"{thread!r} is not a thread")

    def counted(self, answer, since, count):
        """The streamed answer is complete in the server's messages and in the client."""
        items = [it["item"] for it in self.home.said("item/completed", since) if it["threadId"] == answer["thread"]]
        equal([item["text"] for item in items if item["type"] == "agentMessage"], ["".join(pieces(count))])
        if not (self.passes_over and answer["text"] == "".join(pieces(count)[1:])):
            equal(answer["text"], "".join(pieces(count)))

    def prompt(self):
        since = len(self.home.entries())
        answer = self.run("prompt", PROMPT)
        self.counted(answer, since, 5)
        self.thread, self.history = answer["thread"], [PROMPT, "".join(pieces(5))]

    def streamed(self):
        since = len(self.home.entries())
        answer = self.run("stream", LONGER)
        self.counted(answer, since, 12)
        if answer["pieces"] < 10 or answer["seconds"] < 0.8:
            raise AssertionError(f"{answer['pieces']} pieces in {answer['seconds']} s were streamed")

    def tool(self):
        pid(self.run("prompt", CALLS)["text"])

    def approval(self):
        since = len(self.home.entries())
        answer = self.run("approve", APPROVED)
        asked(self.home, since, answer["thread"])
        if not answer["asked"]:
            raise AssertionError("the client did not ask its user")
        pid(answer["text"])

    def interrupt(self):
        since = len(self.home.entries())
        answer = self.run("interrupt", ENDLESS)
        interrupted(self.home, since)
        if (answer["pieces"] or 0) < 1:
            raise AssertionError("nothing was streamed before")

    def resume(self):
        since = len(self.home.entries())
        answer = self.run("resume", PROMPT)
        equal(answer["thread"], self.known())
        equal(history(self.home, self.thread, since), self.history)
        if self.replays:
            equal(answer["replayed"], self.history)
        self.counted(answer, since, 5)
        self.history += [PROMPT, "".join(pieces(5))]

    def kill(self):
        since = len(self.home.entries())
        hangs = self.home.start(self.driver, "resume", self.known(), HANGS)
        calls = lambda: [it for it in self.home.said("item/started", since) if it["item"]["type"] == "mcpToolCall"]
        until("a helper at work", calls)
        self.history.append(HANGS)
        self.home.kill_servers()
        try:
            hangs.communicate(timeout=5)
        except subprocess.TimeoutExpired:
            # Some clients wait for ever for a missing server.
            self.home.stop(hangs)
        until("the end of the helpers", lambda: not self.home.helpers())
        if self.home.connects:
            self.home.serve()
        self.resume()

    def listed(self):
        if self.known() not in self.run("list")["threads"]:
            raise AssertionError(f"{self.thread} is not in the list")

    def known(self):
        if self.thread is None:
            raise AssertionError("there is no thread: the prompt has failed")
        return self.thread

    def close(self):
        pass

    def steps(self):
        """Each step by its name, in order; each builds on those before it."""
        ways = [self.start, self.prompt, self.streamed, self.tool, self.approval, self.interrupt, None, self.resume, self.kill, None, self.listed]
        return dict(zip(NAMES, ways))
