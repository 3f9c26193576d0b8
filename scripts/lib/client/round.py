"""A conversation of skein-client for Python with a real server, and the failures that it must survive. Also runs the example of
protocol/python/README.md. Argument: skein. Exit code 0 if all stories succeed, no process is left, and nothing is written to the
log of the client."""

import asyncio, json, logging, os, pathlib, re, signal, subprocess, sys, tempfile, time

from skein_client import FileStore, SkeinError, connect, dial

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from ports import free_port

SKEIN = sys.argv[1]
README = pathlib.Path(__file__).parents[3] / "protocol/python/README.md"
LIMIT = 60  # of every wait, in seconds


class Server:
    """`skein serve` on a new home, always at the same port."""

    def __init__(self, folder, settings=""):
        self.home = folder
        os.mkdir(folder, 0o700)
        pathlib.Path(folder, "config.toml").write_text(settings)
        self.url = f"ws://127.0.0.1:{free_port()}"
        self.start()

    def start(self):
        command = [SKEIN, "serve", "--home", self.home, "--listen", self.url, "--log", "error"]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        json.loads(self.process.stdout.readline())

    def end(self, how=signal.SIGTERM):
        self.process.send_signal(how)
        self.process.wait(LIMIT)
        self.process.stdout.close()

    def skein(self, *words):
        return subprocess.run([SKEIN, *words, "--home", self.home], capture_output=True, text=True, check=True, timeout=LIMIT).stdout


def check(found, wanted, what):
    if found != wanted:
        sys.exit(f"python-client: FAILED, {what}: {found!r}, not {wanted!r}")


async def ended(chat, turn):
    """The turn, when it has ended."""
    over = lambda view: [one for one in view.turns if one["id"] == turn and one["status"] != "inProgress"]
    return over(await chat.until(over))[0]


def text_of(turn):
    return "".join(item["text"] for item in turn["items"] if item["type"] == "agentMessage")


def shown(chat, turn):
    """The length of the text of a turn, as far as it has come."""
    return sum(len(text_of(one)) for one in chat.view.turns if one["id"] == turn)


async def conversation(server):
    """A turn, a question, an interrupt, the list, a revert, an error, a deleted thread."""
    async with connect(server.url) as skein:
        rows, chat, asked = skein.threads(), skein.thread(), []

        @chat.on_question
        async def answer(question):
            asked.append(question["id"])
            return {"answers": {question["params"]["questions"][0]["id"]: {"answers": ["blue"]}}}

        first = await ended(chat, await chat.send("hello"))
        check([item["type"] for item in first["items"]], ["userMessage", "agentMessage"], "items")
        check(text_of(first), "hello", "the answer of echo")
        check(text_of(await ended(chat, await chat.send("/ask Which colour?"))), "blue", "the answer of the user")
        check(len(asked), 1, "questions")
        long = await chat.send("/stream 100000 8 20")
        await chat.until(lambda _: shown(chat, long) > 50)
        await chat.interrupt()
        await ended(chat, long)
        check([turn["status"] for turn in chat.view.turns], ["completed", "completed", "interrupted"], "turns")
        await rows.until(lambda view: any(row["id"] == chat.id and row["preview"] == "hello" for row in view.rows))
        await skein.call("thread/revert", {"threadId": chat.id, "beforeTurnId": long})
        await chat.until(lambda view: len(view.turns) == 2)
        found = skein.threads(search="colour")
        await found.until(lambda view: [row["id"] for row in view.rows] == [chat.id])
        try:
            sys.exit(await skein.call("thread/read", {"threadId": "none"}))
        except SkeinError as error:
            check((error.reason, error.code), ("invalidParams", -32602), "the error")
        await skein.call("thread/delete", {"threadId": chat.id})
        await chat.until(lambda view: view.deleted)
        await rows.until(lambda view: all(row["id"] != chat.id for row in view.rows))
    check(skein.link.state, "closed", "the link")
    return "a turn, a question, an interrupt, the list, a search, a revert, an error, a deleted thread"


async def killed(server):
    """The server is killed in the middle of a turn, and a message is sent while it is away."""
    states = []
    async with connect(server.url) as skein:
        skein.watch(lambda link: states.append(link.state))
        chat = skein.thread()
        turn = await chat.send("/stream 100000 20 200")
        await chat.until(lambda _: shown(chat, turn) > 4000)
        server.end(signal.SIGKILL)
        await skein.until(lambda link: link.state == "reconnecting")
        sent = chat.send("sent while nobody was there")
        server.start()
        cut = await ended(chat, turn)
        check(cut["status"], "interrupted", "the turn of the killed server")
        check(text_of(await ended(chat, await sent)), "sent while nobody was there", "the answer")
        read = await skein.call("thread/read", {"threadId": chat.id, "includeTurns": True})
        check(read["thread"]["turns"], list(chat.view.turns), "the thread")
    check(states[-1], "closed", "the last state")
    return f"kill -9 of the server in mid-turn: {len(text_of(cut))} bytes kept, the message taken once"


async def cut(server):
    """The link breaks between two messages, again and again, and the program ends and goes on from its file."""

    class Cut:
        def __init__(self, inner, left):
            self.inner, self.left, self.send, self.close = inner, left, inner.send, inner.close

        async def recv(self):
            self.left -= 1
            if self.left < 0:
                raise ConnectionError("cut by the test")
            return await self.inner.recv()

    links = []

    async def breaking(url, token):
        links.append(url)
        return Cut(await dial(url, token), 7 * len(links) if len(links) < 12 else 1 << 30)

    path = f"{server.home}.views"
    store = FileStore(path)
    async with connect(server.url, store=store, dial=breaking, chance=lambda: 0) as skein:
        chat = skein.thread()
        turn = await chat.send("/stream 3000 20 500")
        await chat.until(lambda _: shown(chat, turn) > 20_000)
    store.close()
    store = FileStore(path)
    async with connect(server.url, store=store) as skein:
        again = skein.thread(chat.id)
        before = shown(again, turn)
        check(before >= 20_000, True, "what the file remembers")
        done = await ended(again, turn)
        check((again.view.gaps, len(text_of(done)), len(again.view.turns)), (False, 60_000, 1), "the turn")
        read = await skein.call("thread/read", {"threadId": chat.id, "includeTurns": True})
        check(read["thread"]["turns"], list(again.view.turns), "the thread")
    store.close()
    return f"cut {len(links) - 1} times, ended at {before} bytes and gone on: the text is complete, and there once"


async def refused(server):
    """No token, a wrong one, the right one, and its end."""
    token = server.skein("token", "create", "python").strip()
    other = token[:-6] + token[-6:].swapcase()
    for given, reason in [(None, "missing"), ("wrong", "malformed"), (other, "unknown")]:
        async with connect(server.url, given) as skein:
            link = await skein.until(lambda link: link.state == "refused")
            check(link.reason, reason, "the reason of a refusal")
            try:
                sys.exit(await skein.call("thread/list", {}))
            except SkeinError as error:
                check(error.reason, "refused", "the error of a call")
            before = link.since
            skein.retry(token)
            await skein.until(lambda link: link.state == "live")
            check(isinstance((await skein.call("thread/list", {}))["data"], list), True, "the list")
    async with connect(server.url, token) as skein:
        await skein.until(lambda link: link.state == "live")
        server.skein("token", "revoke", "python")
        link = await skein.until(lambda link: link.state == "refused")
        check(link.reason, "revoked", "the reason of the end")
        check(link.since >= before, True, "the time of the end")
    return f"refused without a token, with a wrong one, and after its end ({link.message})"


async def example(server):
    """The example of the README, as it stands there."""
    code = re.search(r"```python\n(.*?)```", README.read_text(), re.S).group(1)
    check(code.count("ws://127.0.0.1:4500"), 1, "addresses in the example")
    code = code.replace("ws://127.0.0.1:4500", server.url)
    command = [sys.executable, "-W", "error", "-c", code]
    ran = await asyncio.to_thread(subprocess.run, command, cwd=server.home, capture_output=True, text=True, timeout=LIMIT)
    check((ran.returncode, ran.stderr), (0, ""), "the example of the README")
    check(ran.stdout.splitlines()[-2:], ["userMessage ", "agentMessage hello"], "what the example prints")
    return "the example of the README"


async def main(folder):
    server = Server(f"{folder}/home")
    closed = Server(f"{folder}/closed", 'auth.local = "token"\n')
    try:
        for story, at in [(example, server), (conversation, server), (killed, server), (cut, server), (refused, closed)]:
            began = time.monotonic()
            async with asyncio.timeout(LIMIT):
                print(f"{await story(at)} ({time.monotonic() - began:.1f} s)", flush=True)
    finally:
        for each in (server, closed):
            each.end()
            check(each.process.returncode, 0, "the exit of the server")


class Strict(logging.Handler):
    """Fails at the first line of the client's log: nothing unexpected happens here."""

    def emit(self, record):
        print(f"python-client: the client has logged {self.format(record)}", file=sys.stderr)
        os._exit(1)


logging.getLogger("skein_client").addHandler(Strict())
with tempfile.TemporaryDirectory() as folder:
    asyncio.run(main(folder))
check(pathlib.Path(f"/proc/self/task/{os.getpid()}/children").read_text().split(), [], "processes that are left")
