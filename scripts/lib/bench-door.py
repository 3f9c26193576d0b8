"""Measures what it costs to come in, alternately on one or more builds of Skein.

Each round starts a server of each build, and measures it: the start, the processor time of requests and handshakes, the time of
a decision, and the memory of open connections. Every request has a connection of its own. `decision` is the time of a refused
request that makes the server ask the kernel whose the connection is, above that of `/healthz`, for which it asks nothing. Builds
without such a route have none. With `--helper N` a thread with N helpers is loaded, so that the server also looks whether one of
them asks. Figures are medians, and `ratio` is the median of the ratios to the first build, round by round."""

import argparse, json, pathlib, re, socket, statistics, sys, tempfile, time, urllib.parse

from served import RawClient, Server

HELPER = """
import json, sys
for line in sys.stdin:
    asked = json.loads(line)
    if "id" in asked:
        version = asked.get("params", {}).get("protocolVersion", "2025-06-18")
        info = {"protocolVersion": version, "capabilities": {"tools": {}}, "serverInfo": {"name": "idle", "version": "1"}}
        result = info if asked["method"] == "initialize" else {"tools": []}
        print(json.dumps({"jsonrpc": "2.0", "id": asked["id"], "result": result}), flush=True)
"""
HANDSHAKE = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
# Name and unit of each figure, in the order of the table.
FIGURES = [
    ("`GET /healthz`: processor time", "µs"),
    ("`GET /metrics`: processor time", "µs"),
    ("a handshake: processor time", "µs"),
    ("a handshake, from connect to 101", "µs"),
    ("a decision with the kernel's question", "µs"),
    ("memory of a connection", "KiB"),
    ("start to first answer", "ms"),
]
SECTION = "## The cost of coming in"


class Door(Server):
    """A server that starts again in each round."""

    def start(self, helpers):
        """Milliseconds until the first answer. Then starts the helpers."""
        script = self.home.parent / "helper.py"
        script.write_text(HELPER)
        tables = "".join(f'[mcp_servers.h{number}]\ncommand = "python3"\nargs = ["{script}"]\n' for number in range(helpers))
        began = time.perf_counter()
        self.serve(tables)
        client = RawClient(self.url)
        answered = 1000 * (time.perf_counter() - began)
        at = urllib.parse.urlsplit(self.url)
        self.host, self.address = at.netloc, (at.hostname, at.port)
        if helpers:
            client.request("thread/start", {})
            until(f"{helpers} helpers", lambda: alive(client) == helpers)
        self.client = client
        return answered

    def ask(self, path, headers="Connection: close\r\n"):
        """One request over a connection of its own: its status. Returns the socket too."""
        link = socket.create_connection(self.address, timeout=60)
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        link.sendall(f"GET {path} HTTP/1.1\r\nHost: {self.host}\r\n{headers}\r\n".encode())
        answer = b""
        while b"\r\n\r\n" not in answer:
            if not (piece := link.recv(65536)):
                sys.exit(f"{path}: no answer: {answer!r}")
            answer += piece
        return answer[9:12], link

    def processor(self):
        """Seconds of processor time so far."""
        # Linux's number of another process's clock; /proc has the same in hundredths of a second.
        return time.clock_gettime((~self.process.pid << 3) | 2)

    def cost(self, path, requests, headers="Connection: close\r\n"):
        """Microseconds of a request: processor time of the server, and the median until the head of the answer. And its status."""
        self.ask(path, headers)[1].close()
        before, times = self.processor(), []
        for _ in range(requests):
            began = time.perf_counter()
            status, link = self.ask(path, headers)
            times.append(time.perf_counter() - began)
            link.close()
        return 1e6 * (self.processor() - before) / requests, 1e6 * statistics.median(times), status

    def resident(self):
        """Kilobytes."""
        with open(f"/proc/{self.process.pid}/status") as status:
            return next(int(line.split()[1]) for line in status if line.startswith("VmRSS:"))

    def memory(self, connections):
        """Kilobytes of a connection that has introduced itself."""
        before = self.resident()
        clients = [RawClient(self.url) for _ in range(connections)]
        grown = self.resident() - before
        for client in clients:
            client.socket.close()
        return grown / connections

    def measure(self, given):
        """The figures of one round, in the order of `FIGURES`."""
        first = self.start(given.helper)
        try:
            health, at_once, _ = self.cost("/healthz", given.requests)
            metrics, _, _ = self.cost("/metrics", given.requests)
            handshake, opened, _ = self.cost("/", given.requests, HANDSHAKE)
            _, refused, status = self.cost("/auth/session", given.requests)
            decision = refused - at_once if status == b"401" else None
            return [health, metrics, handshake, opened, decision, self.memory(given.connections), first]
        finally:
            self.client.socket.close()
            self.end()


def until(what, true):
    end = time.monotonic() + 120
    while not true():
        if time.monotonic() > end:
            sys.exit(f"not within 120 s: {what}")
        time.sleep(0.05)


def alive(client):
    """The number of living helpers; `None` while the answer's end is still on its way. Notifications may follow the answer."""
    data = client.request("skein/status", {})
    text = data[data.rindex(b'{"id":1,') :].decode(errors="replace")
    try:
        return json.JSONDecoder().raw_decode(text)[0]["result"]["helpers"]["alive"]
    except json.JSONDecodeError:
        return None


def rows(names, results):
    """The lines of the table: a figure of each build, and its ratio to the first one with the middle half of the ratios."""
    yield "| figure | " + " | ".join(names[:1] + [f"{name}, ratio" for name in names[1:]]) + " |"
    yield "| --- " * (len(names) + 1) + "|"
    for at, (figure, unit) in enumerate(FIGURES):
        cells = []
        for build in range(len(names)):
            found = [(of_round[0][at], of_round[build][at]) for of_round in results]
            mine = [value for _, value in found if value is not None]
            cell = f"{statistics.median(mine):.1f} {unit}" if mine else "–"
            ratios = sorted(value / first for first, value in found if first and value is not None)
            if build and len(ratios) > 1:
                low, middle, high = statistics.quantiles(ratios, n=4)
                cell += f", {middle:.3f} ({low:.3f} to {high:.3f})"
            cells.append(cell)
        yield f"| {figure} | " + " | ".join(cells) + " |"


def write(path, given, table):
    """Puts the section with the table into the document, in the place of the one that is there."""
    document = pathlib.Path(path)
    helpers = f" --helper {given.helper}" if given.helper else ""
    lead = f"`scripts/bench-door --rounds {given.rounds}{helpers} OLD NEW`, with release builds. Each request has a connection of its own. The decision\n"
    lead += "is what a request costs above `/healthz`, if the server asks the kernel whose its connection is. Ratios are medians of ratios round by\n"
    lead += f"round, with the middle half of them; {given.helper or 'no'} helpers (MCP server processes) live meanwhile."
    section = f"{SECTION}\n\n{lead}\n\n" + "\n".join(table) + "\n\n"
    text = document.read_text()
    there = re.compile(rf"^{re.escape(SECTION)}\n.*?(?=^## |^Beside helpers|^`skein-fixture|\Z)", re.DOTALL | re.MULTILINE)
    if there.search(text):
        text = there.sub(lambda _: section, text)
    else:
        text = re.sub(r"^(?=`skein-fixture)", lambda _: section, text, count=1, flags=re.MULTILINE)
    if section not in text:
        sys.exit(f"{path} has no place for the section")
    document.write_text(text)


def main():
    parser = argparse.ArgumentParser(prog="scripts/bench-door")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--requests", type=int, default=400)
    parser.add_argument("--connections", type=int, default=500)
    parser.add_argument("--helper", type=int, default=0)
    parser.add_argument("--write")
    parser.add_argument("binaries", nargs="+")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        servers = [Door(binary, f"{folder}/{number}") for number, binary in enumerate(given.binaries)]
        results = []
        # The first round warms the caches of the machine and does not count.
        for number in range(given.rounds + 1):
            # Whoever comes first in a round gains or loses nothing over all rounds.
            order = list(enumerate(servers))[:: -1 if number % 2 else 1]
            found = {at: server.measure(given) for at, server in order}
            results.append([found[at] for at in range(len(servers))])
            print(f"round {number}: " + "; ".join(" ".join("–" if value is None else f"{value:.1f}" for value in of) for of in results[-1]), file=sys.stderr)
    names = ["before", "now"] if len(servers) == 2 else [f"build {number + 1}" for number in range(len(servers))]
    table = list(rows(names, results[1:]))
    for name, server in zip(names, servers):
        print(f"{name}: {server.binary}")
    print("\n".join(table))
    if given.write:
        write(given.write, given, table)


main()
