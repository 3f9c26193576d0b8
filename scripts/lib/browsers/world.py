"""The surroundings of the cases: servers of Skein, programs that serve a page, browsers, and the processes of all of them."""

import http.server
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import uuid

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "clients"))
from home import BOUND, MARK, helper, read, until

HERE = os.path.dirname(os.path.abspath(__file__))
DOCUMENT = os.path.join(HERE, "..", "..", "..", "docs", "browsers.md")
with open(os.path.join(HERE, "page.js")) as file:
    HELPERS = f"<!doctype html><meta charset=utf-8><link rel=icon href='data:,'><script>{file.read()}</script>"


# All worlds of this program.
WORLDS = []


def end(*_):
    """An end by SIGTERM leaves nothing either. Cases that run would wait for what is killed here."""
    for world in WORLDS:
        world.kill()
    sys.exit(143)


# A world may be made in any thread, a handler only in the first one.
signal.signal(signal.SIGTERM, end)


class World:
    """A folder, and every process that has the tag or the folder in its variables or arguments."""

    def __init__(self, folder, skein, mcp_helper):
        self.folder, self.mark = folder, uuid.uuid4().hex
        self.skein, self.helper = os.path.abspath(skein), os.path.abspath(mcp_helper)
        self.opened = []
        WORLDS.append(self)

    def variables(self):
        # The browsers put their profiles into the folder for temporary files.
        return {**os.environ, MARK: self.mark, "TMPDIR": self.folder, "NO_COLOR": "1"}

    def popen(self, command, **options):
        return subprocess.Popen(command, text=True, **{"env": self.variables(), **options})

    def keep(self, part):
        """Closes the part at the end."""
        self.opened.append(part)
        return part

    def processes(self):
        """Ids of all processes of this world that live, whatever their parent is."""
        pids = [int(name) for name in os.listdir("/proc") if name.isdigit() and int(name) != os.getpid()]
        tag, folder = f"{MARK}={self.mark}".encode(), self.folder.encode()
        living = lambda pid: b"\nState:\tZ" not in read(pid, "status")
        return [pid for pid in pids if (tag in read(pid, "environ") or folder in read(pid, "cmdline")) and living(pid)]

    def close(self):
        """Ends all parts in order. Afterwards none of their processes is left."""
        # At least a server, a driver and a browser.
        if self.opened and len(self.processes()) < 3:
            raise AssertionError("the processes of this world were not found")
        for part in reversed(self.opened):
            part.close()
        self.opened.clear()
        try:
            until("the end of every process", lambda: not self.processes())
        except AssertionError as error:
            left = {pid: read(pid, "cmdline").replace(b"\0", b" ").decode()[:200] for pid in self.processes()}
            raise AssertionError(f"{error}: {left}") from None

    def kill(self):
        for pid in self.processes():
            try:
                os.kill(pid, 9)
            except ProcessLookupError:
                pass  # it has just ended


class Server:
    """A server of Skein with a home of its own, at a port."""

    def __init__(self, world, name, port=0, settings=""):
        self.world, self.home, self.log = world, os.path.join(world.folder, name), os.path.join(world.folder, f"{name}.log")
        os.mkdir(self.home, 0o700)
        with open(os.path.join(self.home, "config.toml"), "w") as config:
            config.write(settings + helper("helper", world.helper, world.mark) + 'default_tools_approval_mode = "approve"\n')
        world.keep(self).serve(port)

    def program(self):
        """The words that start the server's program."""
        return [self.world.skein]

    def beside(self):
        """The words that start a command beside the server."""
        return [self.world.skein]

    def serve(self, port):
        """Starts the program, again after `kill`."""
        command = [*self.program(), "serve", "--home", self.home, "--listen", f"ws://127.0.0.1:{port}"]
        with open(self.log, "a") as log:
            self.process = self.world.popen(command, stdout=subprocess.PIPE, stderr=log)
        line = self.process.stdout.readline()
        if not line:
            raise AssertionError(f"the server did not start: {read_text(self.log)[-2000:]}")
        self.host = json.loads(line)["address"].removeprefix("ws://")
        self.port = int(self.host.rsplit(":", 1)[1])

    def run(self, *words):
        """A command of Skein for this home: its output."""
        # What follows `--` is not for Skein.
        end = words.index("--") if "--" in words else len(words)
        command = [*self.beside(), *words[:end], "--home", self.home, *words[end:]]
        ran = subprocess.run(command, env=self.world.variables(), capture_output=True, text=True, timeout=BOUND)
        if ran.returncode != 0:
            raise AssertionError(f"skein {' '.join(words)}: exit code {ran.returncode}: {ran.stderr.strip()}")
        return ran.stdout.strip()

    def call(self, method, params=None):
        """A method as a local program, over the control socket."""
        return json.loads(self.run("call", "--json", method, json.dumps(params or {})))

    def list(self, what):
        return json.loads(self.run(what, "list", "--json"))["data"]

    def ticket(self):
        """The ticket in the address that `skein url` prints."""
        address, _, secret = self.run("url").partition("/#ticket=")
        if address != f"http://{self.host}" or len(secret) != 43:
            raise AssertionError(f"skein url printed {address!r} and {len(secret)} characters")
        return secret

    def session(self, origin):
        """The session that an origin gets for a ticket, by a request as a browser sends it."""
        code, body = request(self.host, "POST", "/auth/session", {"Origin": origin}, {"ticket": self.ticket()})
        if code != 200:
            raise AssertionError(f"{code} instead of a session: {body}")
        return body["session"]

    def status(self):
        return json.loads(self.run("status", "--json"))

    def kill(self):
        """kill -9"""
        self.process.kill()
        self.process.wait(BOUND)

    def close(self):
        if self.process.poll() is None:
            self.process.terminate()
        if (code := self.process.wait(BOUND)) != 0:
            raise AssertionError(f"the server has ended with {code}: {read_text(self.log)[-2000:]}")


class Site:
    """Another program on this machine that serves pages: `{path: (type, text)}`."""

    def __init__(self, world, pages, port=0, host="127.0.0.1"):
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                kind, text = pages.get(self.path.split("?")[0], (None, ""))
                self.send_response(200 if kind else 404)
                self.send_header("Content-Type", kind or "text/plain")
                self.end_headers()
                self.wfile.write(text.encode())

            def setup(handler):
                self.links.append(handler.request)
                super().setup()

            def log_message(self, *_):
                pass

        self.links = []
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_port
        self.origin = f"http://{host}:{self.port}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True)
        self.thread.start()
        world.keep(self)

    def close(self):
        """Ends like a process: a browser may hold connections on which it has sent nothing yet."""
        self.server.shutdown()
        self.server.server_close()
        for link in self.links:
            try:
                link.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # it has ended before


def chat(server):
    """A page with the code that docs/browsers.md shows, for this server."""
    with open(DOCUMENT) as document:
        code = re.search(r"```js\n(.*?)```", document.read(), re.DOTALL)[1]
    if code.count('"127.0.0.1:4500"') != 1:
        raise AssertionError("the code of docs/browsers.md has no address to replace")
    return "text/html", f"{HELPERS}<script type=module>{code.replace('127.0.0.1:4500', server.host)}\nuse(socket);</script>"


EMPTY = ("text/html", HELPERS)


class Browser:
    """A real browser; commands from several threads go side by side."""

    def __init__(self, world, kind, program, *arguments):
        self.world, self.number, self.waiting = world, 0, {}
        self.lock, self.kind = threading.Lock(), kind
        command = ["node", os.path.join(HERE, "browser.mjs"), kind, program, *arguments]
        self.log = open(os.path.join(world.folder, f"{kind}.log"), "w")
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": self.log}
        self.process = world.keep(self) and world.popen(command, **pipes)
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        for line in self.process.stdout:
            answer = json.loads(line)
            self.waiting.pop(answer["id"]).put(answer)
        for answers in list(self.waiting.values()):
            answers.put({"error": "the browser has ended: " + read_text(self.log.name)[-2000:]})

    def wish(self, **wish):
        answers = Answers()
        with self.lock:
            self.number += 1
            self.waiting[self.number] = answers
            self.process.stdin.write(json.dumps({"id": self.number, **wish}) + "\n")
            self.process.stdin.flush()
        answer = answers.get()
        if "error" in answer:
            raise AssertionError(answer["error"])
        return answer["value"]

    def tab(self, url, context=None):
        """A tab at an address, in a context of its own if none is given."""
        tab = Tab(self, context or uuid.uuid4().hex)
        tab.go(url)
        return tab

    def close(self):
        self.process.stdin.close()
        self.process.wait(BOUND)
        self.log.close()


class Answers:
    """One answer, for which a thread waits."""

    def __init__(self):
        self.event, self.answer = threading.Event(), None

    def put(self, answer):
        self.answer = answer
        self.event.set()

    def get(self):
        if not self.event.wait(BOUND):
            raise AssertionError(f"not within {BOUND} s: an answer of the browser")
        return self.answer


class Tab:
    """A tab: methods of the driver's page."""

    def __init__(self, browser, context):
        self.browser, self.context, self.name = browser, context, uuid.uuid4().hex
        browser.wish(open=self.name, context=context)

    def do(self, method, *given):
        return self.browser.wish(tab=self.name, do=method, **{"with": given})

    def go(self, url):
        return self.do("goto", url)

    def ask(self, expression):
        """The value of an expression, or of its promise, in the page."""
        return self.do("evaluate", expression)

    def enters(self):
        """The page's code has connected with a session, and its requests are answered. Returns its access."""
        until("the page's websocket", lambda: self.ask("Boolean(window.opened || window.failure)"))
        if failure := self.ask("window.failure ?? null"):
            raise AssertionError(f"the page's code failed: {failure}")
        if not self.ask("opened"):
            raise AssertionError("the page's websocket did not open")
        info = '{clientInfo: {name: "page", version: "1"}}'
        return self.ask(f'ask("initialize", {info})')


def read_text(path):
    with open(path) as file:
        return file.read()


def request(host, method, path, headers, body=None):
    """One HTTP request over a socket of its own: status and body. What a desktop shell or another program sends."""
    name, port = host.rsplit(":", 1)
    data = json.dumps(body).encode() if body is not None else b""
    lines = {"Host": host, "Connection": "close", **headers}
    if body is not None:
        lines |= {"Content-Type": "application/json", "Content-Length": len(data)}
    head = "".join(f"{key}: {value}\r\n" for key, value in lines.items())
    with socket.create_connection((name, int(port)), timeout=BOUND) as link:
        link.sendall(f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + data)
        answer = b""
        while b"\r\n\r\n" not in answer or b" 101 " not in answer[:13]:
            if not (piece := link.recv(65536)):
                break
            answer += piece
    head, _, rest = answer.partition(b"\r\n\r\n")
    code = int(head.split()[1])
    return code, json.loads(rest) if rest[:1] == b"{" else head.decode()


def handshake(host, origin, secret=None):
    """A websocket handshake of an origin: status, and the head of the answer or the refusal."""
    upgrade = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13"}
    key = {"Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", "Origin": origin}
    protocols = {"Sec-WebSocket-Protocol": f"skein.v1, skein.auth.{secret}"} if secret else {}
    return request(host, "GET", "/", {**upgrade, **key, **protocols})
