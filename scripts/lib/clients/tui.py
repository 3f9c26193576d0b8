"""The peer's terminal client (`codex --remote`), driven under tmux; one client, or two on one thread."""

import os
import re
import subprocess
import time
import uuid

import steps
from home import BOUND, TOKEN, TOKEN_VARIABLE, until

# Texts on the screen: once the client has the server's model; in its empty input field; below a finished answer; while
# its server is gone.
CONNECTED = "echo default"
EMPTY = "Ask Codex to do anything"
DONE = "Worked for"
GONE = "Reconnecting to server"
# Text below the last screen.
ENDED = "ended with"


class Terminal:
    """A program in an invisible terminal, on its own tmux socket."""

    def __init__(self, command, folder, variables):
        self.socket = f"skein-clients-{uuid.uuid4().hex}"
        size = ["-x", "100", "-y", "150"]
        # The program's last screen stays, with its exit code. tmux itself does not always notice an exit.
        shell = ["sh", "-c", f'"$@"; echo "{ENDED} $?"; exec cat', "sh", *command]
        self.tmux("-f", "/dev/null", "new-session", "-d", *size, "-c", folder, "--", *shell, env=variables)

    def tmux(self, *words, env=None):
        ran = subprocess.run(["tmux", "-u", "-L", self.socket, *words], capture_output=True, text=True, env=env)
        if ran.returncode != 0:
            raise AssertionError(f"tmux {words[0]}: {ran.stderr.strip()}")
        return ran.stdout

    def screen(self):
        return self.tmux("capture-pane", "-p", "-J")

    def shows(self, what, holds, bound=BOUND):
        """Waits until the screen matches; `holds` is a text or a function of the screen. An error shows the screen."""
        there = (lambda screen: holds in screen) if isinstance(holds, str) else holds
        try:
            return until(what, lambda: there(self.screen()), bound)
        except AssertionError as error:
            lines = [line for line in self.screen().splitlines() if line.strip()]
            raise AssertionError("\n  | ".join([f"{error}; the screen:", *lines])) from None

    def type(self, text):
        self.tmux("send-keys", "-l", "--", text)

    def press(self, key, until_holds, bound=BOUND):
        """Presses a key until it takes effect: a program may take a key right after a text as part of the text."""
        end = time.monotonic() + bound
        while True:
            self.tmux("send-keys", key)
            try:
                return self.shows(f"the effect of {key}", until_holds, 0.5)
            except AssertionError:
                if time.monotonic() > end:
                    raise

    def end(self):
        self.tmux("kill-server")


def answer_to(screen, prompt):
    """The text below the last prompt with this text, up to the next prompt or the input field; nothing without the prompt."""
    _, found, rest = screen.rpartition(f"› {prompt}")
    return rest.split("\n› ")[0] if found else ""


def dialog(screen, question):
    """The lines of an open question."""
    lines = [line.rstrip() for line in screen.split("\n")]
    first = next((at for at, line in enumerate(lines) if question in line), len(lines))
    return [line for line in lines[first:] if line]


def numbers(answer):
    """The numbers of a streamed answer: each is followed by dots, across line breaks."""
    return [int(number) for number in re.findall(r"(\d+)\.{3,}", re.sub(r"[^\d.]", "", answer))]


class Tui:
    """A terminal client in a folder that it trusts. Its screen and the server's messages decide each step."""

    count = 1

    def __init__(self, home, driver):
        self.home, self.driver, self.thread = home, driver, None
        # The terminals that show the thread, and all terminals.
        self.terminals, self.opened = [], []
        beside = os.path.dirname(home.path)
        self.folder, own = os.path.join(beside, "folder"), os.path.join(beside, "tui")
        os.mkdir(self.folder)
        os.mkdir(own)
        with open(os.path.join(own, "config.toml"), "w") as config:
            config.write(f'[projects."{self.folder}"]\ntrust_level = "trusted"\n')
        self.variables = {**home.variables(), "CODEX_HOME": own}
        self.sends = []
        if home.connects == TOKEN:
            self.variables[TOKEN_VARIABLE] = home.token()
            self.sends = ["--remote-auth-token-env", TOKEN_VARIABLE]

    def open(self, *words, address=None):
        command = [*self.driver, *words, "--remote", address or self.home.codex, *self.sends]
        terminal = Terminal(command, self.folder, self.variables)
        self.terminals.append(terminal)
        self.opened.append(terminal)
        return terminal

    def ask(self, text, terminal=None, taken=EMPTY):
        terminal = terminal or self.terminals[0]
        terminal.type(text)
        terminal.shows("the prompt", text)
        terminal.press("Enter", taken)

    def all_show(self, prompt, what, holds):
        """Waits until every terminal shows the answer to a prompt like this."""
        for terminal in self.terminals:
            terminal.shows(what, lambda screen: holds(answer_to(screen, prompt)))

    def counted(self, prompt, count):
        """The answer is finished, complete and shown once."""
        self.all_show(prompt, "the end of the answer", lambda answer: DONE in answer)
        for terminal in self.terminals:
            steps.equal(numbers(answer_to(terminal.screen(), prompt)), list(range(count)))

    def ask_and_count(self, prompt, count, terminal=None):
        self.ask(prompt, terminal)
        self.counted(prompt, count)

    def start(self):
        self.straight()
        self.open().shows("the client to be connected", CONNECTED)
        self.thread = until("a thread", lambda: started(self.home))[0]
        for _ in range(1, self.count):
            self.open("resume", self.thread).shows("the client to be connected", CONNECTED)

    def straight(self):
        """The client also connects with nothing in between."""
        terminal = self.open(address=self.home.door())
        terminal.shows("the client to be connected to the server itself", CONNECTED)
        self.terminals.remove(terminal)
        self.quit(terminal)

    def quit(self, terminal):
        terminal.type("/quit")
        terminal.shows("the command", "› /quit")
        terminal.press("Enter", f"{ENDED} 0")

    def prompt(self):
        since = len(self.home.entries())
        self.ask_and_count("::stream 5 8 10", 5)
        # The client may have begun another thread, and may make a title in a separate one afterwards.
        self.thread = self.home.requested("turn/start", since)[0]["threadId"]

    def streamed(self):
        self.ask("::stream 60 8 20")
        growing = lambda answer: 5 in numbers(answer) and 59 not in numbers(answer)
        self.all_show("::stream 60 8 20", "a part of the answer", growing)
        self.counted("::stream 60 8 20", 60)

    def tool(self):
        self.ask("::tool helper pid")
        self.all_show("::tool helper pid", "the end of the answer", lambda answer: DONE in answer)
        self.all_show("::tool helper pid", "the call", lambda answer: answer.count("Called helper.pid") == 1)

    def approval(self):
        since, text, question = len(self.home.entries()), "::tool asks pid", "Allow"
        self.ask(text, taken=question)
        for terminal in self.terminals:
            terminal.shows("the question", question)
        # The terminal that did not send the prompt, if there are two. The preselected choice is to allow the call.
        self.terminals[-1].press("Enter", lambda screen: question not in screen)
        self.all_show(text, "the call", lambda answer: DONE in answer and "Called asks.pid" in answer)
        steps.asked(self.home, since, self.thread, self.count)

    def interrupt(self):
        since, prompt = len(self.home.entries()), "::stream 100000 8 10"
        self.ask(prompt)
        self.all_show(prompt, "a part of the answer", lambda answer: 3 in numbers(answer))
        # One press is enough; a second press would have another effect.
        self.terminals[-1].press("Escape", "Conversation interrupted")
        self.all_show(prompt, "the end of the turn", lambda answer: "Conversation interrupted" in answer)
        steps.interrupted(self.home, since)

    def late(self):
        """The terminal still shows a running turn while its end is on the way: input sent then is answered once."""
        since, first, second = len(self.home.entries()), "::stream 4 8 10", "::stream 9 8 10"
        open(self.home.hold, "w").close()
        self.ask(first)
        self.all_show(first, "the whole answer", lambda answer: numbers(answer) == list(range(4)))
        steers = lambda: self.home.requested("turn/steer", since)
        self.ask(second, taken=lambda screen: steers())
        os.remove(self.home.hold)
        self.counted(second, 9)
        # The client may make a title in a separate thread.
        items = [message["item"] for message in self.home.said("item/completed", since) if message["threadId"] == self.thread]
        heard = [item["content"][0]["text"] for item in items if item["type"] == "userMessage"]
        steps.equal(sorted(heard), sorted([first, second] * self.count))

    def resume(self):
        self.quit(self.terminals.pop())
        again = self.open("resume", self.thread)
        again.shows("the history", lambda screen: numbers(answer_to(screen, "::stream 60 8 20")) == list(range(60)))
        self.ask_and_count("::stream 6 8 10", 6, again)

    def kill(self):
        self.ask("::tool helper hang")
        self.all_show("::tool helper hang", "a helper at work", lambda answer: "Calling helper.hang" in answer)
        self.home.kill_servers()
        for terminal in self.terminals:
            terminal.shows("the loss to be noticed", GONE)
        until("the end of the helpers", lambda: not self.home.helpers())
        self.home.serve()
        for terminal in self.terminals:
            terminal.shows("the client to be back", lambda screen: GONE not in screen and EMPTY in screen)
        self.ask_and_count("::stream 7 8 10", 7)

    def question(self):
        """The dialog comes back as it was, and its answer goes on with the same turn."""
        since, text, question = len(self.home.entries()), "::tool asks pid", "Allow"
        self.ask(text, taken=question)
        before = []
        for terminal in self.terminals:
            terminal.shows("the question", question)
            before.append(dialog(terminal.screen(), question))
        self.home.kill_servers()
        until("the end of the helpers", lambda: not self.home.helpers())
        self.home.serve()
        asks = lambda: self.home.said("mcpServer/elicitation/request", since)
        until("the question to be put again", lambda: len(asks()) == 2 * self.count)
        for terminal, dialog_before in zip(self.terminals, before):
            terminal.shows("the same question", lambda screen: GONE not in screen and dialog(screen, question) == dialog_before)
        self.terminals[-1].press("Enter", lambda screen: question not in screen)
        self.all_show(text, "the call", lambda answer: DONE in answer and "Called asks.pid" in answer)
        steps.equal(len(asks()), 2 * self.count)

    def listed(self):
        picker = self.open("resume")
        picker.shows("the list", lambda screen: "Resume a previous session" in screen and "::stream 5 8 10" in screen)
        picker.press("Enter", lambda screen: numbers(answer_to(screen, "::stream 7 8 10")) == list(range(7)))

    def close(self):
        for terminal in self.opened:
            terminal.end()

    def steps(self):
        ways = [self.start, self.prompt, self.streamed, self.tool, self.approval, self.interrupt, self.late, self.resume, self.kill, self.question, self.listed]
        return dict(zip(steps.NAMES, ways))


class Two(Tui):
    """Two clients on one thread: each sees the other's questions, answers and interrupts."""

    count = 2


def started(home):
    """Threads that were started and kept."""
    results = [entry.get("msg", {}).get("result") for entry in home.entries() if entry["dir"] == "s2c"]
    threads = [result["thread"] for result in results if isinstance(result, dict) and isinstance(result.get("thread"), dict)]
    return [thread["id"] for thread in threads if not thread["ephemeral"]]
