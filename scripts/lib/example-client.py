"""Runs docs/example_client.py against a real server, through all the failures that a client must survive.

usage: python3 example-client.py SKEIN      (the program; `websockets` and `skein_client` must be importable)

Each story ends with the same checks: the client has printed the whole thread once, and has kept the same. Exit code: 0 if
all stories succeed and no process is left, else 1.
"""

import ctypes, json, os, pathlib, signal, socket, subprocess, sys, tempfile, threading, time

from skein_client import FileStore

SKEIN = sys.argv[1]
CLIENT = pathlib.Path(__file__).parents[2] / "docs" / "example_client.py"
UNKNOWN = "01a1f8d1-0000-7000-8000-000000000000"  # an unknown thread
LIMIT = 60  # limit of every wait, seconds
PR_SET_CHILD_SUBREAPER = 36


class Server:
    """`skein serve` on a new home."""

    def __init__(self, home):
        self.home, self.log, self.port = home, pathlib.Path(f"{home}.log"), 0

    def start(self):
        """Starts on the earlier port, if there was one."""
        listen = f"ws://127.0.0.1:{self.port}"
        command = [SKEIN, "serve", "--home", self.home, "--listen", listen]
        with self.log.open("a") as log:
            self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
        self.url = json.loads(self.process.stdout.readline())["address"]
        self.port = int(self.url.rsplit(":", 1)[1])

    def end(self, how):
        self.process.send_signal(how)
        return self.process.wait(LIMIT)

    def turns(self, thread):
        params = json.dumps({"threadId": thread, "includeTurns": True})
        command = [SKEIN, "call", "--home", self.home, "--json", "thread/read", params]
        said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=LIMIT).stdout
        return json.loads(said)["thread"]["turns"]


class Link:
    """A link to the server that can be cut without a close frame, as networks do."""

    def __init__(self, port):
        self.to, self.cuts, self.open = port, 0, []
        self.cut_after = []  # bytes from the server after which the next connections are cut
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.url = "ws://127.0.0.1:%d" % self.socket.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            near = self.socket.accept()[0]
            far = socket.create_connection(("127.0.0.1", self.to))
            self.open = [near, far]
            threading.Thread(target=self.carry, args=(near, far, None), daemon=True).start()
            left = self.cut_after.pop(0) if self.cut_after else None
            threading.Thread(target=self.carry, args=(far, near, left), daemon=True).start()

    def carry(self, source, sink, left):
        try:
            while data := source.recv(1 << 16 if left is None else min(left, 1 << 16)):
                sink.sendall(data)
                if left is not None:
                    left -= len(data)
                if left == 0:
                    self.cuts += 1
                    break
        except OSError:
            pass  # the other direction has closed the connection
        self.shut(source, sink)

    def cut(self):
        self.cuts += 1
        self.shut(*self.open)

    def shut(self, *ends):
        for end in ends:
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # the other direction was faster


class Client:
    """The example client, with its output."""

    def __init__(self, url, state, prompt):
        self.state, self.printed, self.more = state, "", threading.Condition()
        command = [sys.executable, CLIENT, url, state, prompt]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        with open(f"{state}.log", "a") as log:
            self.process = subprocess.Popen(command, text=True, bufsize=1, stderr=log, **pipes)
        self.listening = threading.Thread(target=self.listen, daemon=True)
        self.listening.start()

    def listen(self):
        while text := os.read(self.process.stdout.fileno(), 1 << 16).decode():
            with self.more:
                self.printed += text
                self.more.notify()

    def prints(self, what):
        with self.more:
            found = self.more.wait_for(lambda: what in self.printed, LIMIT)
        check(found, f"the client has not printed {what!r}, but {self.printed[-200:]!r}")

    def answer(self, text):
        self.process.stdin.write(f"{text}\n")

    def end(self, expected=0):
        """Waits for its exit. Returns its saved state."""
        try:
            code = self.process.wait(LIMIT)
        except subprocess.TimeoutExpired:
            code = "none"
        check(code == expected, f"the client's exit code is {code}, after {self.printed[-200:]!r}")
        self.listening.join(LIMIT)
        return stored(self.state)


def check(holds, otherwise):
    if not holds:
        sys.exit(f"example-client: FAILED, {otherwise}")


def texts(turns):
    """The agent's messages, by item id."""
    items = [item for turn in turns for item in turn["items"]]
    return {item["id"]: item["text"] for item in items if item["type"] == "agentMessage"}


def stored(path, **given):
    """What a client has stored, after the changes `given`: its thread, and the turns that it has shown."""
    store = FileStore(path)
    for key, value in given.items():
        store.set(key, value)
    thread = store.get("last")
    view = store.get(f"thread.{thread}")
    store.close()
    return {"thread": thread, "turns": view["state"]["turns"] if view else []}


def kept(state):
    return {item: text for item, text in texts(state["turns"]).items() if text}


def cut_off(server, link, state):
    """The link is cut repeatedly while a text streams: the text is printed completely, and once."""
    link.cut_after = [3_000, 100, 20_000, 9_000, 60_000, 30_000, 1_000, 50_000]
    client = Client(link.url, state, "/stream 3000 20 1000")
    state = client.end()
    link.cut_after = []
    turns = server.turns(state["thread"])
    [text] = texts(turns).values()
    check(link.cuts > 4, f"the link was cut only {link.cuts} times")
    log = server.log.read_text()
    check(" WARN " not in log and "ERROR" not in log, "the server has something to complain about")
    check(len(turns) == 1 and turns[0]["status"] == "completed", "the prompt did not become one turn that completed")
    check(len(text) == 3000 * 20, f"the thread's text has {len(text)} bytes")
    check(client.printed == f"{text}\n", "what was printed is not the thread's text")
    check(kept(state) == texts(turns), "what was kept is not the thread's text")
    return f"cut {link.cuts} times: {len(text)} bytes printed, complete and once"


def question(server, link, state):
    """The link is cut while the user thinks: the client answers when the server asks again, and the answer counts once."""
    before = "\n".join(text for text in kept(stored(state)).values())
    client = Client(link.url, state, "/ask Which colour?")
    client.prints("Which colour?\n")
    link.cut()
    client.answer("blue")
    state = client.end()
    turns = server.turns(state["thread"])
    check(client.printed == "Which colour?\nblue\n", f"what was printed is {client.printed!r}")
    check(turns[-1]["status"] == "completed" and list(texts(turns[-1:]).values()) == ["blue"], "the answer is not blue")
    check(kept(state) == texts(turns) and before in kept(state).values(), "what was kept is not the thread's text")
    return "cut under a question: answered once"


def killed(server, state):
    """The server is killed in the middle: the client shows the kept text, which equals the text before."""
    client = Client(server.url, state, "/stream 100000 20 500")
    client.prints("1000 ")  # after two seconds
    server.end(signal.SIGKILL)
    server.start()
    state = client.end()
    turns = server.turns(state["thread"])
    [text] = texts(turns).values()
    check(turns[-1]["status"] == "interrupted", "the turn is not interrupted")
    check(len(text) > 0 and client.printed.startswith(text), "what the thread has is not what was printed first")
    shown_again = client.printed.endswith(f"\n{text}\n")
    check(shown_again or client.printed == f"{text}\n", "what was printed last is not the thread's text")
    check(kept(state) == texts(turns), "what was kept is not the thread's text")
    return f"kill -9 of the server: {len(text)} of {len(client.printed.split(chr(10))[0])} printed bytes kept"


def gone(server, state):
    """The server does not have the remembered thread: a new thread gets the prompt."""
    stored(state, last=UNKNOWN)
    client = Client(server.url, state, "one two")
    state = client.end()
    check(state["thread"] != UNKNOWN and client.printed == "one two\n", f"what was printed is {client.printed!r}")
    check(kept(state) == texts(server.turns(state["thread"])), "what was kept is not the thread's text")
    return "a thread that is gone: begun anew"


def refused(server, state):
    """The server refuses for good: the client prints the reason and exits."""
    stored(state, last="nowhere")
    Client(server.url, state, "one two").end(expected=1)
    log = pathlib.Path(f"{state}.log").read_text()
    check("invalid thread id" in log, f"the client does not say why, but {log!r}")
    return "refused: told, exit code 1"


def failed(server, state):
    """The turn fails: the client prints the reason."""
    client = Client(server.url, state, "/fail the model is ill")
    state = client.end(expected=1)
    [turn] = server.turns(state["thread"])
    log = pathlib.Path(f"{client.state}.log").read_text()
    check(turn["status"] == "failed" and turn["error"]["message"] in log, f"the client does not say why, but {log!r}")
    return "a turn that failed: told, exit code 1"


def stories(folder):
    server = Server(f"{folder}/home")
    os.mkdir(server.home, 0o700)
    server.start()
    link = Link(server.port)
    again = [(cut_off, link, f"{folder}/a"), (question, link, f"{folder}/a"), (killed, f"{folder}/b")]
    for story, *args in [*again, (gone, f"{folder}/c"), (refused, f"{folder}/d"), (failed, f"{folder}/e")]:
        began = time.monotonic()
        print(f"{story(server, *args)} ({time.monotonic() - began:.1f} s)", flush=True)
    check(server.end(signal.SIGTERM) == 0, "the server did not end well")


def show_logs(folder):
    for log in pathlib.Path(folder).glob("*.log"):
        print(f"---- {log.name}\n{log.read_text()[-4000:]}", file=sys.stderr)


def main():
    # Become the parent of all orphans, so that no process escapes the check.
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    for ending in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(ending, lambda number, _: sys.exit(128 + number))
    try:
        with tempfile.TemporaryDirectory() as folder:
            try:
                stories(folder)
            except BaseException:
                show_logs(folder)
                raise
        check(not children(), f"processes are left: {children()}")
        print("no process left")
    finally:
        while left := children():
            for process in left:
                os.kill(process, signal.SIGKILL)
                os.waitpid(process, 0)


def children():
    """All living processes that this script started, directly or not."""
    lists = [path.read_text() for path in pathlib.Path("/proc/self/task").glob("*/children")]
    return [int(process) for text in lists for process in text.split()]


main()
