"""The steps of clients that are programs: each starts one, as its user would, and judges what it tells and what was said to it."""

import re
import subprocess

from home import until

NAMES = ["start", "prompt", "streamed answer", "MCP tool call", "approval", "interrupt", "resume", "resume after kill -9", "list"]
# The model without a network streams numbered pieces: so many, of so many bytes, so many a second. A turn that is over
# within milliseconds is lost on some clients, which wait for the end of a turn whose id they do not know yet, with Codex
# as well.
PROMPT = "/stream 5 8 10"
LONGER = "/stream 12 8 10"
ENDLESS = "/stream 100000 8 10"
# Two calls at once, of which one takes a while for the same reason.
CALLS = '/tool helper pid\n/tool helper sleep {"ms": 500}'
HANGS = "/tool helper hang"
# A call that its user is asked about, and one that is just made.
APPROVED = '/tool asks pid\n/tool helper sleep {"ms": 500}'


def counted(text, count):
    """The streamed answer is there whole. Some clients pass over a piece that comes before they know the turn's id."""
    found = [int(number) for number in re.findall(r"\d+", text or "")]
    if found not in (list(range(count)), list(range(1, count))):
        raise AssertionError(f"{text!r} is not what was streamed")


def equal(found, wanted):
    if found != wanted:
        raise AssertionError(f"{found!r} instead of {wanted!r}")


def pid(text):
    """The helper's answer comes first."""
    if not (text or "-").split()[0].isdigit():
        raise AssertionError(f"{text!r} is not the helper's pid")


def interrupted(home, since):
    """The server says that a turn was interrupted."""
    statuses = lambda: [turn["turn"]["status"] for turn in home.said("turn/completed", since)]
    equal(until("the end of the turn", statuses)[-1], "interrupted")


def asked(home, since, thread, connections=1):
    """The server has asked every connection of the thread once, whether this call may be made."""
    questions = [it for it in home.said("mcpServer/elicitation/request", since) if it["threadId"] == thread]
    equal([(it["serverName"], it["_meta"]["tool_name"]) for it in questions], [("asks", "pid")] * connections)


class Program:
    """A client that a driver runs: each step is one run."""

    def __init__(self, home, driver):
        self.home, self.driver, self.thread = home, driver, None

    def run(self, step, text="-"):
        return self.home.run(self.driver, step, self.thread or "-", text)

    def start(self):
        thread = self.run("start", PROMPT)["thread"]
        if not re.fullmatch(r"[0-9a-f-]{36}", thread):
            raise AssertionError(f"{thread!r} is no thread")

    def prompt(self):
        answer = self.run("prompt", PROMPT)
        counted(answer["text"], 5)
        self.thread = answer["thread"]

    def streamed(self):
        answer = self.run("stream", LONGER)
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
        answer = self.run("resume", PROMPT)
        equal(answer["thread"], self.known())
        counted(answer["text"], 5)

    def kill(self):
        since = len(self.home.entries())
        hangs = self.home.start(self.driver, "resume", self.known(), HANGS)
        calls = lambda: [it for it in self.home.said("item/started", since) if it["item"]["type"] == "mcpToolCall"]
        until("a helper at work", calls)
        self.home.kill_servers()
        try:
            hangs.communicate(timeout=5)
        except subprocess.TimeoutExpired:
            # Some wait for ever for a server that is gone.
            hangs.kill()
            hangs.communicate()
        until("the end of the helpers", lambda: not self.home.helpers())
        if self.home.server:
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
        ways = [self.start, self.prompt, self.streamed, self.tool, self.approval, self.interrupt, self.resume, self.kill, self.listed]
        return dict(zip(NAMES, ways))
