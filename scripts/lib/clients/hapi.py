"""npm @twsxtd/hapi: a hub with the page, and a runner that starts a program for each chat, which starts a
`codex app-server --listen unix://PATH`. It sends every message by `thread/queue/add`."""

import contextlib
import json
import os
import subprocess

import steps
from home import BOUND, until
from web import AGENT, USER, Page

TOKEN = "a-token-of-this-test-only"
ITEM = ".session-list-item"


class Hapi(Page):
    """The page shows an answer once it is whole. A chat is named after its folder."""

    SHOWN = f"""[...document.querySelectorAll("[data-hapi-message-role]")].map((it) =>
        [it.dataset.hapiMessageRole === "user" ? "{USER}" : "{AGENT}", [...it.querySelectorAll(".aui-md")].map((part) => part.innerText).join(" ")])"""
    CONNECTIONS = 2
    # The button is off while it works, too; then it turns.
    BUSY = """(() => {
        const stop = document.querySelector('button[aria-label="Abort"]');
        return !stop?.disabled || stop.querySelector(".animate-spin") !== null;
    })()"""

    def __init__(self, home, driver):
        super().__init__(home, driver)
        temporary = os.path.join(self.own, "tmp")
        os.mkdir(temporary)
        hub = f"http://127.0.0.1:{self.port}"
        self.variables |= {"TMPDIR": temporary, "CLI_API_TOKEN": TOKEN, "HAPI_LISTEN_PORT": str(self.port), "HAPI_API_URL": hub}
        self.chats, self.since, self.runner = [], 0, None

    def url(self):
        return f"{super().url()}?token={TOKEN}"

    def start(self):
        self.serve("hub", "--no-relay")
        with open(self.home.log, "a") as log:
            self.runner = subprocess.Popen([*self.driver, "runner", "start-sync"], stdout=log, stderr=log, env=self.variables, cwd=self.folder)

    def prepare(self, tab):
        self.wait(tab, f"{ITEM}, button:has-text('Start a session')")
        # The user has declined the offer to install the page, which would lie over the composer.
        tab.ask("localStorage.setItem('pwa_install_dismissed', 'true')")

    def wait(self, tab, selector):
        """Waits for an element, also on a machine that is busy."""
        tab.do("waitForSelector", selector, {"state": "attached", "timeout": BOUND * 1000})

    def chat(self, tab):
        folder = os.path.join(self.folder, f"chat-{len(self.chats)}")
        os.mkdir(folder)
        self.chats.append(folder)
        tab.do("goto", f"{super().url()}sessions/new")
        # The runner has told the hub about this machine.
        self.wait(tab, "select option:has-text('CLI')")
        tab.do("fill", "input[placeholder='/path/to/project']", folder)
        with self.following():
            tab.click("button:text-is('Create')")
        until("an empty chat", lambda: tab.ask("document.querySelector('[contenteditable]') !== null") and not self.said(tab))

    @contextlib.contextmanager
    def following(self):
        """Waits until the page of a chat has a stream of its events, as the log of the hub says. The page has what was said before from
        elsewhere, and never shows an answer that came in between."""

        def streams():
            with open(self.home.log) as log:
                return sum(line.startswith("--> GET /api/events?") and "&sessionId=" in line for line in log)

        before = streams()
        yield
        until("the events of the chat", lambda: streams() > before)

    def send(self, tab, text):
        self.since = len(self.home.entries())
        tab.do("fill", "[contenteditable]", text)
        tab.click("button[aria-label='Send']")
        # The box keeps the text until the hub has it.
        until("an empty box", lambda: tab.ask("document.querySelector('[contenteditable]')?.innerText.trim() === ''"))

    def streams(self, prompt, tab=None):
        """The page shows that the turn runs, and the server has sent a part of the answer."""
        tab = tab or self.tab
        self.shows(tab, "the running turn", lambda: [USER, prompt] in [list(it) for it in self.said(tab)] and tab.ask(self.BUSY))
        until("a part of the answer", lambda: any("2 " in it["delta"] for it in self.home.said("item/agentMessage/delta", self.since)))

    def second(self):
        super().second()
        steps.equal(self.home.requested("turn/start"), [])

    def reload(self):
        prompt = "::stream 100 8 10"
        self.send(self.tab, prompt)
        self.streams(prompt)
        with self.following():
            self.again(self.tab)
        self.streams(prompt)
        if self.answer(prompt, self.tab):
            raise AssertionError("the answer was over before the page was back")
        self.picture("reloaded")
        self.counted(prompt, 100)

    def halt(self, tab):
        tab.click("button[aria-label='Abort']")

    def select(self, tab, thread):
        # The thread of the steps is that of the first chat.
        with self.following():
            tab.click(f"{ITEM}:has-text('{os.path.basename(self.chats[0])}')")

    def back(self):
        """The program of the chat ends with its backend; the next message starts both again."""
        self.wait(self.tab, "text=This session is inactive. Send a message to resume.")

    def allow(self, tab):
        tab.click("button:has(:text-is('Yes'))")
        self.shows(tab, "the end of the call", lambda: not tab.ask(self.BUSY))
        steps.pid(self.said(tab)[-1][1])

    def command(self, *words):
        """A command of the user, to its end: its output."""
        ran = subprocess.run([*self.driver, *words], env=self.variables, cwd=self.folder, capture_output=True, text=True, timeout=BOUND)
        if ran.returncode != 0:
            raise AssertionError(f"hapi {' '.join(words)}: exit code {ran.returncode}: {ran.stderr}")
        return ran.stdout

    def close(self):
        """The chats live on without their runner, so their user stops them."""
        if self.runner:
            _, found, chats = self.command("runner", "list").partition("[")
            for chat in json.loads(found + chats or "[]"):
                self.command("runner", "stop-session", chat["happySessionId"])
            self.command("runner", "stop")
            self.runner.wait(BOUND)
        super().close()
