"""Third-party web pages in a real browser: the server of each page starts a `codex app-server`, which is Skein."""

import json
import os
import subprocess
import sys
import urllib.request

import steps
from home import BOUND, HERE, until
from tui import numbers, started

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from ports import free_port

QUESTION = "a helper's question"
KILL = "kill -9 of the backend"
NAMES = ["open", "new chat", "streamed answer", "second prompt", "stop", "reload in mid-stream", "second tab", "list and reopen", KILL, QUESTION]
# Originators in the transcript of a page: the user, or the agent.
USER, AGENT = "user", "agent"


class Browser:
    """Debian's chromium, with its own profile."""

    def __init__(self, home):
        command = ["node", os.path.join(HERE, "browser.mjs"), os.environ["CLIENTS_CHROMIUM"], home.profile]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        self.process = subprocess.Popen(command, env=home.variables(), **pipes)

    def wish(self, **wish):
        self.process.stdin.write(json.dumps(wish) + "\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline() or '{"error": "the browser has ended"}')
        if "error" in answer:
            raise AssertionError(answer["error"])
        return answer["value"]

    def close(self):
        self.process.stdin.close()
        self.process.wait(BOUND)


class Tab:
    """A tab of the browser: methods of playwright's page, by name."""

    def __init__(self, browser, name, url):
        self.browser, self.name = browser, name
        browser.wish(open=name, url=url)

    def do(self, method, *given):
        return self.browser.wish(tab=self.name, do=method, **{"with": given})

    def click(self, selector):
        self.do("click", selector)

    def ask(self, expression):
        """The value of an expression in the page's own language."""
        return self.do("evaluate", expression)

    def shot(self, path):
        self.do("screenshot", {"path": path})


class Page:
    """A page's server, and a browser at it. The class describes the page: how it is started, where its fields are, and in which
    order it shows `[who, text]`."""

    # Connections of the page's server to the codex of a chat.
    CONNECTIONS = 1

    def __init__(self, home, driver):
        self.home, self.driver = home, driver
        self.browser = self.server = self.tab = None
        self.thread, self.port = None, free_port()
        self.own = os.path.join(os.path.dirname(home.path), "own")
        self.folder = os.path.join(self.own, "work")
        os.makedirs(self.folder)
        # Most pages start the `codex` of their PATH; one starts the codex of a package.
        path = os.path.dirname(home.codex) + os.pathsep + os.environ["PATH"]
        codex = {"HOME": self.own, "CODEX_HOME": home.path, "PATH": path, "CLIENTS_CODEX": home.codex}
        # Some pages look for updates; no request leaves this machine.
        nowhere = {name: "http://127.0.0.1:9" for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy")}
        self.variables = {**home.variables(), **codex, **nowhere, "NO_PROXY": "127.0.0.1,localhost"}

    def serve(self, *words, **variables):
        with open(self.home.log, "a") as log:
            pipes = {"stdout": log, "stderr": log, "env": {**self.variables, **variables}, "cwd": self.folder}
            self.server = subprocess.Popen([*self.driver, *words], **pipes)
        until("the page's server", lambda: self.answers(self.url()))

    def answers(self, url):
        try:
            return urllib.request.urlopen(url, timeout=5).status == 200
        except OSError:
            return False

    def url(self):
        return f"http://127.0.0.1:{self.port}/"

    # The messages on the page.

    def said(self, tab):
        """The page's view of the conversation: author and text, in order."""
        return [(who, text.strip()) for who, text in tab.ask(self.SHOWN)]

    def answer(self, prompt, tab):
        """The numbers below a prompt, which must be there once; nothing while it is not."""
        said = self.said(tab)
        at = [number for number, (who, text) in enumerate(said) if who == USER and text == prompt]
        if len(at) > 1:
            raise AssertionError(f"{prompt!r} is there {len(at)} times: {said}")
        below = said[at[0] + 1 :] if at else []
        end = next((number for number, (who, _) in enumerate(below) if who == USER), len(below))
        return numbers(" ".join(text for _, text in below[:end]))

    def shows(self, tab, what, true):
        """Waits until it is true. An error has the page's content, and a screenshot if a folder for it is set."""
        try:
            return until(what, true)
        except AssertionError as error:
            self.picture("failed", tab)
            said = "\n  | ".join(f"{who}: {text[:200]}" for who, text in self.said(tab))
            raise AssertionError(f"{error}; the page:\n  | {said}") from None

    def picture(self, name, tab=None):
        if folder := os.environ.get("CLIENTS_PICTURES"):
            (tab or self.tab).shot(os.path.join(folder, f"{type(self).__name__}-{name}.png"))

    def streams(self, prompt, tab=None):
        tab = tab or self.tab
        self.shows(tab, "a part of the answer", lambda: 2 in self.answer(prompt, tab))

    def counted(self, prompt, count, tab=None):
        """The answer is complete and shown once, and the page waits for the next prompt."""
        tab = tab or self.tab
        self.shows(tab, "the whole answer", lambda: count - 1 in self.answer(prompt, tab) and not tab.ask(self.BUSY))
        steps.equal(self.answer(prompt, tab), list(range(count)))
        self.last = (prompt, list(range(count)))

    # The steps.

    def open(self):
        self.start()
        self.browser = Browser(self.home)
        self.tab = Tab(self.browser, "first", self.url())
        self.prepare(self.tab)
        self.picture("open")

    def new_chat(self):
        self.chat(self.tab)
        self.send(self.tab, "::stream 5 8 10")
        self.counted("::stream 5 8 10", 5)
        self.thread = started(self.home)[-1]
        self.picture("new-chat")

    def streamed(self):
        self.send(self.tab, "::stream 30 8 20")
        self.streams("::stream 30 8 20")
        if 29 in self.answer("::stream 30 8 20", self.tab):
            raise AssertionError("the answer was there in one piece")
        self.picture("streamed")
        self.counted("::stream 30 8 20", 30)

    def second(self):
        """A prompt during an answer: the page keeps it until the answer is finished."""
        self.send(self.tab, "::stream 20 8 10")
        self.streams("::stream 20 8 10")
        self.send(self.tab, "::stream 6 8 10")
        self.picture("second")
        self.counted("::stream 6 8 10", 6)
        self.counted("::stream 20 8 10", 20)

    def stop(self):
        since, prompt = len(self.home.entries()), "::stream 100000 8 10"
        self.send(self.tab, prompt)
        self.streams(prompt)
        self.halt(self.tab)
        steps.interrupted(self.home, since)
        self.shows(self.tab, "the end of the turn", lambda: not self.tab.ask(self.BUSY))
        self.picture("stopped")

    def reload(self):
        prompt = "::stream 100 8 10"
        self.send(self.tab, prompt)
        self.streams(prompt)
        self.again(self.tab)
        # A page may show only new text until the answer is complete.
        self.shows(self.tab, "a part of the answer", lambda: self.answer(prompt, self.tab))
        if 99 in self.answer(prompt, self.tab):
            raise AssertionError("the answer was over before the page was back")
        self.picture("reloaded")
        self.counted(prompt, 100)

    def two(self):
        other = Tab(self.browser, "second", self.url())
        self.prepare(other)
        self.select(other, self.thread)
        self.counted("::stream 100 8 10", 100, other)
        self.send(other, "::stream 7 8 10")
        for tab in (self.tab, other):
            self.counted("::stream 7 8 10", 7, tab)
        self.picture("second-tab", other)
        other.do("close")

    def listed(self):
        before, numbers_before = self.last
        self.chat(self.tab)
        self.send(self.tab, "::stream 3 8 10")
        self.counted("::stream 3 8 10", 3)
        steps.equal([text for who, text in self.said(self.tab) if who == USER], ["::stream 3 8 10"])
        self.select(self.tab, self.thread)
        self.counted(before, len(numbers_before))
        self.picture("reopened")

    def kill(self):
        since = len(self.home.entries())
        self.send(self.tab, "::tool helper hang")
        calls = lambda: [it for it in self.home.said("item/started", since) if it["item"]["type"] == "mcpToolCall"]
        until("a helper at work", calls)
        before, numbers_before = self.last
        self.home.kill_servers()
        until("the end of the helpers", lambda: not self.home.helpers())
        self.back()
        self.send(self.tab, "::stream 8 8 10")
        self.counted("::stream 8 8 10", 8)
        steps.equal(self.answer(before, self.tab), numbers_before)
        self.picture("killed")

    def again(self, tab):
        """Reloads the page. Some pages return to the thread by themselves."""
        tab.do("reload")

    def back(self):
        """The user's reaction to a dead backend: none, if the page starts another one."""

    def question(self):
        since = len(self.home.entries())
        self.send(self.tab, "::tool asks pid")
        self.allow(self.tab)
        steps.asked(self.home, since, self.thread, self.CONNECTIONS)
        self.picture("question")

    def close(self):
        if self.browser:
            self.browser.close()
        if self.server:
            self.server.terminate()
            self.server.wait(BOUND)

    def steps(self):
        ways = [self.open, self.new_chat, self.streamed, self.second, self.stop, self.reload, self.two, self.listed, self.kill, self.question]
        return dict(zip(NAMES, ways))


class OpenCodexUi(Page):
    """PyPI open-codex-ui. It starts the codex that the package `codex_cli_bin` names; our package replaces it."""

    SHOWN = """[...document.querySelectorAll("[data-codex-user-message] [data-codex-bubble], [data-codex-assistant-message]")]
        .map((it) => [it.closest("[data-codex-user-message]") ? "user" : "agent", it.innerText])"""
    BUSY = """document.querySelector("[data-codex-primary-submit]").ariaLabel === "Stop" """

    def start(self):
        package = os.path.join(self.own, "package", "codex_cli_bin")
        os.makedirs(package)
        with open(os.path.join(package, "__init__.py"), "w") as module:
            module.write("import os, pathlib\n")
            module.write("bundled_codex_path = lambda: pathlib.Path(os.environ['CLIENTS_CODEX'])\n")
            module.write("bundled_path_dir = lambda: None\n")
        settings = os.path.join(self.own, ".yier", "web")
        os.makedirs(settings)
        with open(os.path.join(settings, "settings.json"), "w") as file:
            json.dump({"codex": {"projects": [{"id": "work", "name": "work", "root_paths": [self.folder]}]}}, file)
        self.launch()

    def launch(self):
        package = os.path.join(self.own, "package")
        self.serve("serve", "--host", "127.0.0.1", "--port", str(self.port), PYTHONPATH=package)

    def prepare(self, tab):
        tab.do("hover", "[data-codex-project-toggle]")
        tab.do("waitForSelector", "text=Codex open")

    def chat(self, tab):
        tab.do("hover", "[data-codex-project-toggle]")
        tab.click("[data-codex-project-start-thread]")
        until("an empty chat", lambda: not self.said(tab))

    def send(self, tab, text):
        tab.do("fill", "[data-codex-composer-textarea]", text)
        tab.click("[data-codex-primary-submit]")

    def halt(self, tab):
        tab.click("[data-codex-primary-submit]")

    def select(self, tab, thread):
        # The thread is named after its first prompt.
        tab.click("[data-codex-sidebar-scroll] >> text=::stream 5 8 10")

    def again(self, tab):
        super().again(tab)
        self.select(tab, self.thread)

    def back(self):
        """The page shows a broken pipe, whatever its server is used for: its user restarts the server."""
        self.server.terminate()
        self.server.wait(BOUND)
        self.launch()
        self.again(self.tab)


class CodexPartner(Page):
    """PyPI codex-partner."""

    SHOWN = """[...document.querySelectorAll("#chat-log article.message")]
        .map((it) => [it.classList.contains("user") ? "user" : "agent", it.querySelector(".message-content")?.innerText ?? ""])"""
    BUSY = """document.querySelector("#send-codex-label").innerText !== "Send" """

    def start(self):
        data = os.path.join(self.own, "partner")
        variables = {"CODEX_DASHBOARD_DATA": data, "CODEX_DASHBOARD_AUTH": "none"}
        self.serve("--host", "127.0.0.1", "--port", str(self.port), **variables)

    def prepare(self, tab):
        tab.do("selectOption", "#language-select", "en")
        tab.do("waitForSelector", "text=Live")

    def chat(self, tab):
        tab.click("#new-task")
        until("an empty chat", lambda: not self.said(tab))

    def send(self, tab, text):
        tab.do("fill", "#message-input", text)
        tab.do("press", "#message-input", "Enter")

    def halt(self, tab):
        tab.click("#send-codex")

    def select(self, tab, thread):
        # While a turn runs the card moves, and playwright would wait until it stops.
        card = f'[data-session-id="{thread}"]'
        tab.do("waitForSelector", card)
        tab.do("dispatchEvent", card, "click")
