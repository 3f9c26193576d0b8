"""Measures the cost of one connection, or one thread, at its worst to another client.

Each kind of neighbour gets a server of its own. A well-behaved client repeats the same requests: the first page of the list,
a read of a small thread, a turn of two words, the status. After each request it rests for 3 ms. A round has three spans of
`--seconds`, so that the noise of the machine affects all of them:

alone    there is no other load.
busy     two processes without a connection keep as many processors busy as the server and the neighbour do: one with the usual
         priority, like a thread of the server, and one with the lowest, like the neighbour.
beside   the neighbour is there.

A span has a p50 and a p99 over all its requests. The figures of a kind are the medians of these over its rounds. A p99 beside
the neighbour of more than twice the p99 of the busy span fails. On a machine with idle processors the busy span is as fast as
the span alone. With two processors it is several times slower: each wait for a processor can take a tick of the kernel's
scheduler, whatever keeps the processor busy. The `--json` output has the figures of each kind of request.

The neighbour is another process with the lowest priority. It writes prepared frames and does not look into the answers, so
that it costs the machine little. The figures then show the work of the server."""

import argparse, asyncio, contextlib, json, os, socket, statistics, struct, subprocess, sys, tempfile, threading, time

from served import Client, Server

BOUND = 2.0
REST = 0.003
# Number of concurrent requests if answers are read: below a connection's limit.
PIPELINE = 48


# --- the neighbour, in its own process ---

def frame(text):
    """A text frame, masked with zeros."""
    data = text if isinstance(text, bytes) else json.dumps(text).encode()
    size = len(data)
    head = bytes([0x80 | size]) if size < 126 else struct.pack("!BH", 0x80 | 126, size) if size < 65536 else struct.pack("!BQ", 0x80 | 127, size)
    return b"\x81" + head + bytes(4) + data


PING = b"\x89\x80" + bytes(4)


class Raw:
    """A connection that reads only on demand, and discards everything."""

    def __init__(self, port, narrow=False):
        self.socket = socket.socket()
        if narrow:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.socket.connect(("127.0.0.1", port))
        self.buffer, self.input = bytearray(1 << 20), b""
        self.socket.sendall(
            f"GET / HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
        )
        while not self.input.endswith(b"\r\n\r\n"):
            self.input += self.socket.recv(1)
        self.input = b""
        self.ask("initialize", {"clientInfo": {"name": "neighbour", "version": "1"}})

    def send(self, data):
        self.socket.sendall(data)

    def exactly(self, size):
        while len(self.input) < size:
            self.input += self.socket.recv(1 << 16) or sys.exit("the server has closed the connection")
        data, self.input = self.input[:size], self.input[size:]
        return data

    def skip(self, size):
        taken = min(size, len(self.input))
        self.input, size = self.input[taken:], size - taken
        while size:
            size -= self.socket.recv_into(self.buffer, min(size, len(self.buffer))) or sys.exit("the server has closed the connection")

    def head(self):
        """The opcode and the length of the next frame."""
        opcode, size = self.exactly(2)
        if size == 126:
            size = struct.unpack("!H", self.exactly(2))[0]
        elif size == 127:
            size = struct.unpack("!Q", self.exactly(8))[0]
        return opcode & 15, size

    def pass_over(self, count):
        """Reads this many text frames, and answers pings."""
        while count:
            opcode, size = self.head()
            self.skip(size)
            count -= opcode == 1
            if opcode == 9:
                self.send(b"\x8a\x80" + bytes(4))

    def ask(self, method, params):
        self.send(frame({"id": 1, "method": method, "params": params}))
        while True:
            opcode, size = self.head()
            message = json.loads(self.exactly(size)) if opcode == 1 else {}
            if message.get("id") == 1 and "method" not in message:
                return message.get("result") or sys.exit(f"{method}: {message}")

    def drain(self):
        """Reads continuously in the background."""
        def read():
            with contextlib.suppress(OSError):
                while self.socket.recv_into(self.buffer):
                    pass
        threading.Thread(target=read, daemon=True).start()


def request(method, params):
    return frame({"id": 7, "method": method, "params": params})


def hung_reads(port, at):
    """Reads of a large history whose answers are never read. The connection is dropped after a moment, and the next one begins."""
    asked = request("thread/read", {"threadId": at["large"], "includeTurns": True}) * 16
    while True:
        raw = Raw(port, narrow=True)
        yield raw.send(asked)
        time.sleep(0.2)
        raw.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        raw.socket.close()


def large_reads(port, at):
    """The same reads, with their answers read at once."""
    raw, asked = Raw(port), request("thread/read", {"threadId": at["large"], "includeTurns": True})
    raw.send(asked)
    while True:
        raw.send(asked)
        yield raw.pass_over(1)


def pages(port, at):
    """Pages of lists and of a history, as fast as the server makes them."""
    large = {"threadId": at["large"]}
    kinds = [
        request("thread/list", {"limit": 100}),
        request("thread/list", {"limit": 100, "sortKey": "updated_at", "searchTerm": "no such word"}),
        request("thread/items/list", {**large, "limit": 1000}),
        request("thread/turns/list", {**large, "limit": 100}),
    ]
    raw, asked = Raw(port), b"".join(kinds) * (PIPELINE // len(kinds))
    raw.send(asked)
    while True:
        raw.send(b"".join(kinds))
        yield raw.pass_over(len(kinds))


def names(port, at):
    """Names of the largest length, and threads with long settings."""
    raw = Raw(port)
    thread = raw.ask("thread/start", {})["thread"]["id"]
    raw.ask("turn/start", {"threadId": thread, "input": [{"type": "text", "text": "a word"}]})
    raw.drain()
    long = {"developerInstructions": "i" * (256 << 10), "ephemeral": True}
    renamed = [request("thread/name/set", {"threadId": thread, "name": letter * 4096}) for letter in "ab"]
    while True:
        # A refusal is cheap for the server, so the sizes stay within the limits.
        yield raw.send(b"".join(renamed) * 4 + request("thread/start", long))
        time.sleep(0.01)


def tiny(port, at):
    """Requests of a few bytes, known and unknown, notifications, pings, and invalid messages, without a pause."""
    kinds = [
        request("skein/status", {}),
        request("thread/loaded/list", {}),
        request("no/such", {}),
        frame({"method": "no/such"}),
        frame({"id": 5, "result": {}}),
        frame(b"{"),
        PING,
    ]
    raw, flood = Raw(port), b"".join(kinds) * 100
    raw.drain()
    while True:
        yield raw.send(flood)


def mute(port, at):
    """Messages without an answer: notifications and answers to unknown requests, without a pause."""
    raw, flood = Raw(port), (frame({"method": "no/such"}) + frame({"id": 5, "result": {}})) * 1000
    raw.drain()
    while True:
        yield raw.send(flood)


def stream(port, at):
    """A turn that streams as fast as it can, and the next one after its end."""
    raw = Raw(port)
    thread = raw.ask("thread/start", {})["thread"]["id"]
    said = request("turn/start", {"threadId": thread, "input": [{"type": "text", "text": "/stream 100000 20"}]})
    raw.drain()
    while True:
        yield raw.send(said)
        time.sleep(0.5)


def helper(port, at):
    """A thread whose helper floods its stdout and its stderr."""
    raw = Raw(port)
    command = {"command": sys.executable, "args": [__file__, "--helper"]}
    thread = raw.ask("thread/start", {"config": {"mcp_servers": {"floods": command}}})["thread"]["id"]
    raw.drain()
    raw.send(request("turn/start", {"threadId": thread, "input": [{"type": "text", "text": "/tool floods none {}"}]}))
    time.sleep(1)
    while True:
        yield
        time.sleep(1)


NEIGHBOURS = {
    "hung-reads": hung_reads,
    "large-reads": large_reads,
    "pages": pages,
    "names": names,
    "tiny": tiny,
    "mute": mute,
    "stream": stream,
    "helper": helper,
    # The same as `tiny`; the server logs each request, and its stderr is not read.
    "stderr": tiny,
}


def yield_to_all():
    """Yields the processor to any other process at once. With the lowest `nice` alone, this process would keep it for a whole
    slice."""
    os.nice(19)
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))


def neighbour(kind, port, at):
    yield_to_all()
    for number, _ in enumerate(NEIGHBOURS[kind](int(port), json.loads(at))):
        if number == 0:
            print("begun", flush=True)


def busy(priority):
    """Keeps one processor busy."""
    if priority == "lowest":
        yield_to_all()
    print("begun", flush=True)
    while True:
        pass


def flooding_helper():
    """An MCP server that floods its output, 256 KiB at a time with a pause of 1 ms."""
    yield_to_all()
    noise = json.dumps({"jsonrpc": "2.0", "method": "notifications/message", "params": {"level": "info", "data": "x" * 100}}) + "\n"
    noise, errors = (noise * (1 + (256 << 10) // len(noise))).encode(), b"y" * 999 + b"\n"

    def flood():
        while True:
            os.write(1, noise)
            os.write(2, errors * 16)
            time.sleep(0.001)

    for line in sys.stdin:
        asked = json.loads(line)
        if "id" not in asked:
            continue
        named = {"protocolVersion": asked.get("params", {}).get("protocolVersion"), "capabilities": {"tools": {}}, "serverInfo": {"name": "floods", "version": "1"}}
        result = named if asked["method"] == "initialize" else {"tools": []}
        os.write(1, (json.dumps({"jsonrpc": "2.0", "id": asked["id"], "result": result}) + "\n").encode())
        if asked["method"] == "tools/list":
            threading.Thread(target=flood, daemon=True).start()


# --- the well-behaved client, and its measurements ---

class Behaved:
    """A client with a small thread, and the latencies of its requests in milliseconds."""

    async def connect(self, server):
        self.client = await Client().connect(server.url)
        self.thread = (await self.client.ask("thread/start", {}))["thread"]["id"]
        await self.client.turn(self.thread, "a few words")
        return self

    async def span(self, seconds):
        """The latencies of each kind of request, measured for this many seconds."""
        kinds = {
            "list": lambda: self.client.ask("thread/list", {}),
            "read": lambda: self.client.ask("thread/read", {"threadId": self.small, "includeTurns": True}),
            "turn": lambda: self.client.turn(self.thread, "two words"),
            "status": lambda: self.client.ask("skein/status", {}),
        }
        latencies, end = {kind: [] for kind in kinds}, time.perf_counter() + seconds
        while time.perf_counter() < end:
            for kind, ask in kinds.items():
                began = time.perf_counter()
                await ask()
                latencies[kind].append(1000 * (time.perf_counter() - began))
                await asyncio.sleep(REST)
        return latencies

    async def alone(self):
        """Waits until the neighbour and all its children are gone."""
        for thread in (await self.client.ask("thread/loaded/list", {}))["data"]:
            if thread != self.thread:
                await self.client.ask("skein/thread/unload", {"threadId": thread, "force": True})
        while (await self.client.ask("skein/status", {}))["connections"] > 1:
            await asyncio.sleep(0.05)
        await asyncio.sleep(0.3)


def percentile(values, part):
    values = sorted(values)
    return values[min(len(values) - 1, int(part * len(values)))]


def judged(kind, binary, rounds):
    """The medians over the rounds, of all requests and of each kind."""
    def medians(latencies, part):
        return [statistics.median(percentile(latencies(span), part) for span in column) for column in zip(*rounds)]

    def figures(latencies):
        (p50, busy50, beside50), (p99, busy99, beside99) = medians(latencies, 0.5), medians(latencies, 0.99)
        return {
            "p50": p50, "p99": p99, "p50Busy": busy50, "p99Busy": busy99, "p50Beside": beside50, "p99Beside": beside99,
            "ratioToAlone": beside99 / p99, "ratio": beside99 / busy99,
        }  # fmt: skip

    every = lambda span: [latency for latencies in span.values() for latency in latencies]
    each = {name: figures(lambda span, name=name: span[name]) for name in rounds[0][0]}
    return {"kind": kind, "binary": str(binary), **figures(every), "requests": each, "rounds": len(rounds)}


async def prepare(server):
    """Fifty small threads and one of 14 MB, all unloaded."""
    client = await Client().connect(server.url)
    at = {"threads": []}
    for _ in range(50):
        at["threads"].append((await client.ask("thread/start", {}))["thread"]["id"])
        await client.turn(at["threads"][-1], "a few words")
    at["large"] = (await client.ask("thread/start", {}))["thread"]["id"]
    for _ in range(12):
        await client.turn(at["large"], "/stream 20 60000")
    await client.socket.close()
    return at


@contextlib.contextmanager
def beside(kind, *arguments):
    """Another process of this script, from its start to its end."""
    process = subprocess.Popen([sys.executable, __file__, *arguments], stdout=subprocess.PIPE, text=True)
    try:
        if process.stdout.readline() != "begun\n":
            sys.exit(f"{kind}: the neighbour did not begin")
        yield
        if process.poll() is not None:
            sys.exit(f"{kind}: the neighbour has ended on its own")
    finally:
        process.kill()
        process.wait()


async def measure(binary, kind, given):
    with tempfile.TemporaryDirectory() as folder:
        server = Server(binary, f"{folder}/home")
        # A pipe that is not read.
        unread = {"stderr": subprocess.PIPE, "env": {**os.environ, "SKEIN_LOG": "trace"}}
        try:
            server.serve(**unread if kind == "stderr" else {})
            at, rounds = await prepare(server), []
            behaved = await Behaved().connect(server)
            behaved.small = at["threads"][0]
            await behaved.span(1)
            for _ in range(given.rounds):
                await behaved.alone()
                alone = await behaved.span(given.seconds)
                with beside("busy", "--busy", "usual"), beside("busy", "--busy", "lowest"):
                    busied = await behaved.span(given.seconds)
                with beside(kind, "--neighbour", kind, server.url.rsplit(":", 1)[1], json.dumps(at)):
                    rounds.append((alone, busied, await behaved.span(given.seconds)))
            return judged(kind, binary, rounds)
        finally:
            server.end()


async def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--kinds", default=",".join(NEIGHBOURS))
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("binaries", nargs="+")
    given = parser.parse_args()
    kinds = given.kinds.split(",")
    if unknown := set(kinds) - set(NEIGHBOURS):
        parser.error(f"no such kind: {', '.join(sorted(unknown))}; there are {', '.join(NEIGHBOURS)}")
    if not given.json:
        columns = f"{'p50 ms':>7} {'p99 ms':>8} " * 3
        print(f"{'':12} {'alone':>16} {'busy':>16} {'beside':>16} {'beside/alone':>13} {'beside/busy':>12}")
        print(f"{'neighbour':12} {columns}{'p99':>13} {'p99':>12}  binary (medians of {given.rounds} rounds)")
    beyond = []
    for kind in kinds:
        for binary in given.binaries:
            found = await measure(binary, kind, given)
            if found["ratio"] > BOUND:
                beyond.append(kind)
            if given.json:
                print(json.dumps(found), flush=True)
            else:
                spans = " ".join(f"{found[f'p50{span}']:7.2f} {found[f'p99{span}']:8.2f}" for span in ("", "Busy", "Beside"))
                print(f"{kind:12} {spans} {found['ratioToAlone']:13.2f} {found['ratio']:12.2f}  {binary}", flush=True)
    if beyond:
        sys.exit(f"p99 beside a neighbour is more than {BOUND:g} times that beside busy processors: {', '.join(dict.fromkeys(beyond))}")


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["--neighbour", kind, port, at]:
            neighbour(kind, port, at)
        case ["--busy", priority]:
            busy(priority)
        case ["--helper"]:
            flooding_helper()
        case _:
            asyncio.run(main())
