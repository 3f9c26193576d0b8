"""A tab with Skein's page, its server, and a proxy between them that can be cut."""

import http.server
import json
import os
import selectors
import socket
import sys
import threading
import uuid

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "browsers"))
from world import BOUND, Browser, Server, Tab, World, helper, read, request, until  # noqa: F401

with open(os.environ["PAGE_AXE"]) as file:
    AXE = file.read()
# The animations that end: a question fades in. A pulse never ends, and has no text.
RESTED = """Promise.allSettled(document.getAnimations()
  .filter(it => it.effect.getComputedTiming().endTime !== Infinity).map(it => it.finished)).then(all => all.length)"""
# The console's words for a link that the test has cut.
CUT = ("WebSocket connection to", "ERR_CONNECTION", "ERR_EMPTY_RESPONSE", "ERR_INCOMPLETE", "ERR_SOCKET", "Failed to load resource")


class Proxy:
    """Passes bytes between a port of its own and the server, until it is cut."""

    def __init__(self, world, port):
        self.target, self.links, self.open = port, set(), True
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.thread = threading.Thread(target=self.accept, daemon=True)
        self.thread.start()
        world.keep(self)

    def accept(self):
        while True:
            try:
                link, _ = self.listener.accept()
            except OSError:
                return
            if not self.open:
                link.close()
                continue
            threading.Thread(target=self.carry, args=(link,), daemon=True).start()

    def carry(self, link):
        try:
            other = socket.create_connection(("127.0.0.1", self.target))
        except OSError:
            return link.close()
        self.links |= {link, other}
        if not self.open:
            self.cut()
        with selectors.DefaultSelector() as ready:
            ready.register(link, selectors.EVENT_READ, other)
            ready.register(other, selectors.EVENT_READ, link)
            try:
                while True:
                    for key, _ in ready.select():
                        if not (data := key.fileobj.recv(65536)):
                            return
                        key.data.sendall(data)
            except OSError:
                pass  # cut
            finally:
                self.links -= {link, other}
                link.close()
                other.close()

    def cut(self):
        """Ends all connections, and accepts none until `mend`."""
        self.open = False
        for link in list(self.links):
            try:
                link.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # it has just ended

    def mend(self):
        self.open = True

    def close(self):
        self.listener.close()
        self.cut()


class Model:
    """A provider whose answers have two pieces. It sends the second once `whole` is set, and can go away and come back."""

    def __init__(self, world):
        self.links, self.whole = set(), threading.Event()
        self.open(0)
        world.keep(self)

    def open(self, port):
        model = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def setup(self):
                model.links.add(self.request)
                super().setup()

            def do_GET(self):
                self.send_error(404)

            def do_POST(self):
                self.asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                self.send_response(200)
                self.send_header("Content-Type", "text/event-stream")
                self.end_headers()
                try:
                    model.speak(self)
                    self.wfile.write(b"data: [DONE]\n\n")
                except OSError:
                    pass  # the provider went away

            def piece(self, delta, end=None, **more):
                choice = {"index": 0, "delta": delta, "finish_reason": end}
                chunk = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice], **more}
                self.wfile.write(f"data: {json.dumps(chunk)}\n\n".encode())

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_port
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def speak(self, handler):
        handler.piece({"role": "assistant", "content": "first "})
        self.whole.wait(BOUND)
        handler.piece({"content": "second"})
        handler.piece({}, "stop")

    def away(self):
        """Refuses connections and ends those that are open, in the middle of what they send."""
        self.server.shutdown()
        self.server.socket.close()
        for link in list(self.links):
            try:
                link.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # it has ended before
        self.links.clear()

    def back(self):
        self.whole.set()
        self.open(self.port)

    def close(self):
        self.whole.set()
        self.away()


class Page(Tab):
    """A tab with the page. Elements have the roles and names that the page promises."""

    def __init__(self, door, context=None, address=None, options=None):
        context = context or uuid.uuid4().hex
        if options:
            door.browser.wish(make=context, **{"with": [options]})
        super().__init__(door.browser, context)
        self.door, self.cuts = door, False
        door.pages.append(self)
        host = door.server.host
        self.go(address or f"http://{host}/#ticket={door.server.ticket()}")

    def by(self, role, name, method, *given, **options):
        where = [role, {**({"name": name, "exact": True} if name is not None else {}), **options}]
        return self.browser.wish(tab=self.name, role=where, do=method, **{"with": given})

    def count(self, role, name=None):
        return self.by(role, name, "count")

    def ready(self):
        until("the first paint with data", lambda: self.ask("document.documentElement.dataset.skein") == "ready")
        return self

    def until_there(self, role, name, most=BOUND):
        until(f"{role} {name!r}", lambda: self.count(role, name) > 0, most)

    def until_gone(self, role, name):
        until(f"the end of {role} {name!r}", lambda: self.count(role, name) == 0)

    def press(self, name):
        """Clicks a button once it does something."""
        self.until_there("button", name)
        self.by("button", name, "click", nth=0)

    def press_if_there(self, name):
        """Clicks a button in the step that finds it, for one that may go at any time: `press` would wait for it to come back."""
        self.ask(f"[...document.querySelectorAll('button')].find((it) => it.innerText.trim() === {json.dumps(name)})?.click()")

    def press_by_key(self, name):
        """Presses a button by the keyboard. Some are hidden until the pointer or the focus is near."""
        self.until_there("button", name)
        self.by("button", name, "press", "Enter", nth=0)

    def keys(self, *keys):
        for key in keys:
            self.do("keyboard.press", key)

    def leave(self, dialog):
        """Closes a dialog by the keyboard, once the keys go to it."""
        until(f"the end of {dialog!r}", lambda: self.keys("Escape") or self.count("dialog", dialog) == 0)

    def send(self, text, away=False):
        """Sends a message, and waits until the server has it. Without a link (`away`) the composer only gives it away."""
        self.by("textbox", "Message", "fill", text)
        self.by("button", "Send", "click")
        until("an empty composer", lambda: self.by("textbox", "Message", "inputValue") == "")
        if not away:
            self.thread()
            until("the message at the server", lambda: self.ask("document.querySelector('article.waiting') === null"))

    def link(self):
        """The first word of the connection's status."""
        return self.by("status", "Connection", "innerText").strip()

    def until_link(self, *words):
        until(f"the connection to be {words}", lambda: self.link().startswith(words))

    def text(self):
        """The conversation, as it is read."""
        return self.by("log", "Conversation", "innerText")

    def until_text(self, text):
        until(f"{text!r} in the conversation", lambda: text in self.text())

    def last(self):
        """The text of the newest answer."""
        # One look: pieces that are far from the window come and go.
        return self.ask("[...document.querySelectorAll('article[aria-label=Assistant]')].at(-1)?.innerText.trim() ?? ''")

    def until_answer(self, text):
        until(f"the answer {text!r}", lambda: self.last() == text)

    def until_idle(self):
        until("the end of the turn", lambda: self.count("button", "Stop") == 0)

    def thread(self):
        """The id in the address."""
        until("a thread in the address", lambda: "#/t/" in self.ask("location.hash"))
        return self.ask("location.hash").split("#/t/")[1]

    def answer(self, name):
        """Answers the open question: its buttons do nothing at first."""
        self.until_there("button", name)
        until(f"{name!r} to be armed", lambda: self.by("button", name, "getAttribute", "aria-disabled", nth=0) != "true")
        self.by("button", name, "click", nth=0)

    def axe(self):
        """What axe finds against WCAG 2.2 AA once the page rests: half faded in, a text has too little contrast."""
        self.do("evaluate", AXE)
        rules = '{runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]}'
        # A page that changed while axe looked is looked at again.
        for _ in range(4):
            self.ask(RESTED)
            found = self.ask(f"axe.run(document, {rules})")
            wrong = [f"{rule['id']}: {node['html'][:200]}" for rule in found["violations"] for node in rule["nodes"]]
            if not wrong:
                return len(found["passes"])
        raise AssertionError("axe: " + "; ".join(wrong[:5]))

    def prepared(self, script):
        """Loads the page again, with a script that runs before it."""
        self.do("addInitScript", {"content": script})
        self.do("reload")
        return self.ready()

    def heap(self):
        """Bytes and nodes that the page holds."""
        return self.browser.wish(heap=self.name)

    def body(self):
        return self.ask("document.body.innerText")

    def quiet(self):
        """No error was reported but those of links that the test has cut, and nothing was fetched from elsewhere."""
        noted = self.browser.wish(noted=self.name)
        errors = [it for it in noted["errors"] if not (self.cuts and any(word in it for word in CUT))]
        own = ("http://127.0.0.1:", "ws://127.0.0.1:", "data:", "blob:", "about:")
        foreign = [it for it in noted["requests"] if not it.startswith(own)]
        if errors or foreign or noted["dialogs"]:
            raise AssertionError(f"errors {errors[:5]}, requests {foreign[:5]}, dialogs {noted['dialogs'][:5]}")

    def close(self):
        self.browser.wish(drop=self.name)


class Door:
    """A server and the tabs at it."""

    def __init__(self, world, browser, name, settings="", server=Server):
        self.world, self.browser, self.pages, self.axe = world, browser, [], 0
        self.server = server(world, name, settings=settings + helper("asks", world.helper, world.mark))

    def page(self, **given):
        return Page(self, **given).ready()

    def through(self, proxy):
        """A page behind a proxy: its own origin is the proxy's port."""
        return Page(self, address=f"http://127.0.0.1:{proxy.port}/#ticket={self.server.ticket()}").ready()

    def server_turn(self, thread, text):
        """A turn of another client, to its end."""
        params = {"threadId": thread, "input": [{"type": "text", "text": text}]}
        # A command's arguments are shorter than the longest texts.
        turn = self.server.call("turn/start", params)["turn"]["id"]
        until("the end of the turn", lambda: (it := self.newest(thread))["id"] == turn and it["status"] != "inProgress")

    def newest(self, thread):
        """The newest turn, as the server has it."""
        return next(iter(self.server.call("thread/turns/list", {"threadId": thread, "limit": 1})["data"]), {"id": None, "status": "inProgress"})

    def finish(self):
        """The tabs were quiet; after their end no thread is loaded and no helper lives."""
        for page in self.pages:
            page.quiet()
        for page in self.pages:
            page.close()
        self.pages.clear()
        loaded = lambda: (it := self.server.status())["threads"]["loaded"] == 0 and it["helpers"]["alive"] == 0
        until("0 loaded threads and 0 helpers", loaded)
        self.server.close()
