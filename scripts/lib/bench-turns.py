"""Times turns of threads of several lengths, alternately on one or more builds of Skein.

A model on loopback answers each request with a few words. A turn has two parts. The first goes from `turn/start` until the
model has the whole request: Skein finds the conversation, encodes it and sends it. The second goes to `turn/completed`.
`read` is the time until the first byte of the request arrives, `send` the time until the last one.

Two options measure something else. `--deltas` streams turns of the echo model to a client that parses nothing, as fast
as the server can. With `--rate` the model sends so many deltas per second; then none are merged, and the processor time
of builds compares. `--starts` starts servers on homes with so many threads. `first answer` is the time from the start
of the program until the answer to `initialize`, and `first page` until the first page of `thread/list` behind it.
Figures are medians, and `ratio` is the median of the ratios to the first build, round by round."""

import argparse, asyncio, json, statistics, tempfile, time

from served import Client, RawClient, Server, show_medians

CHUNK = "data: " + json.dumps({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [{"index": 0, "delta": {"content": "some words "}}]}) + "\n\n"
END = "data: " + json.dumps({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}) + "\n\ndata: [DONE]\n\n"
ANSWER = f"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: {len(CHUNK) * 20 + len(END)}\r\n\r\n{CHUNK * 20}{END}".encode()


class Model:
    """Answers each request. Keeps the size of the last one, and the times of its first and last byte."""

    async def serve(self, reader, writer):
        try:
            while first := await reader.read(1):
                self.first = time.perf_counter()
                head = (first + await reader.readuntil(b"\r\n\r\n")).decode().lower()
                length = next((int(line.split(":")[1]) for line in head.split("\r\n") if line.startswith("content-length:")), 0)
                await reader.readexactly(length)
                self.last, self.bytes = time.perf_counter(), length
                writer.write(ANSWER if head.startswith("post") else b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n")
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.close()


class Measured(Server):
    """A server with one thread that uses this script's model."""

    async def start(self):
        self.model, self.turns = Model(), 0
        listener = await asyncio.start_server(self.model.serve, "127.0.0.1", 0, limit=1 << 26)
        port = listener.sockets[0].getsockname()[1]
        self.serve(
            f'model = "m"\nmodel_provider = "bench"\nmodel_context_window = 100000000\n[model_providers.bench]\nname = "bench"\n'
            f'base_url = "http://127.0.0.1:{port}/v1"\nwire_api = "chat"\n'
        )
        self.client = await Client().connect(self.url)
        self.thread = (await self.client.ask("thread/start", {"cwd": "/tmp"}))["thread"]["id"]

    async def turn(self):
        """One turn: milliseconds until the first byte of the request, until its last byte, and until the end."""
        self.turns += 1
        began = time.perf_counter()
        await self.client.turn(self.thread, f"message {self.turns}: " + "words " * 20)
        ended = time.perf_counter()
        return [1000 * (to - of) for of, to in ((began, self.model.first), (self.model.first, self.model.last), (began, ended))]


class Streaming(Server):
    """A server whose threads use the echo model."""

    def start(self):
        self.serve()
        self.raw = RawClient(self.url)

    def stream(self, count, rate):
        """One turn of a new thread: deltas of the model per second, and per second of the server's processor time. The
        outbox merges deltas while the client is behind; the third figure is the share that arrived on its own."""
        thread = self.raw.new_thread()
        began, before = time.perf_counter(), self.processor()
        received = self.raw.turn(thread, f"/stream {count} 20 {rate}")
        seconds, used = time.perf_counter() - began, self.processor() - before
        return count / seconds, count / used, 100 * received.count(b'"item/agentMessage/delta"') / count


class Starting(Server):
    """A server that starts again and again on one home."""

    def fill(self, threads):
        self.serve()
        for number in range(threads):
            if number % 200 == 0:
                client = RawClient(self.url)
            client.turn(client.new_thread(), f"message {number}")
        self.end()

    def start(self):
        """Milliseconds from the start of the program until its first answer, and until its first page of threads."""
        began = time.perf_counter()
        self.serve()
        client = RawClient(self.url)
        answered = time.perf_counter()
        client.request("thread/list", {})
        listed = time.perf_counter()
        self.end()
        return 1000 * (answered - began), 1000 * (listed - began)


def compare(names, rounds, servers, measure):
    """Measures each server once a round, after one round that does not count, and prints medians and ratios."""
    results = [[measure(server) for server in servers] for _ in range(rounds + 1)][1:]
    show_medians(names, servers, results)


def deltas(given, folder):
    servers = [Streaming(binary, f"{folder}/{number}") for number, binary in enumerate(given.binaries)]
    try:
        for server in servers:
            server.start()
        print(f"turns of {given.deltas} deltas (medians of {given.rounds})")
        compare(["per second", "per processor second", "unmerged %"], given.rounds, servers, lambda server: server.stream(given.deltas, given.rate))
    finally:
        for server in servers:
            server.end()


def starts(given, folder):
    for threads in map(int, given.starts.split(",")):
        servers = [Starting(binary, f"{folder}/{threads}-{number}") for number, binary in enumerate(given.binaries)]
        try:
            for server in servers:
                server.fill(threads)
            print(f"starts with {threads} threads (medians of {given.rounds})")
            compare(["first answer ms", "first page ms"], given.rounds, servers, Starting.start)
        finally:
            for server in servers:
                server.end()


async def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--turns", default="1,100,1000")
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--deltas", type=int)
    parser.add_argument("--rate", default="")
    parser.add_argument("--starts")
    parser.add_argument("binaries", nargs="+")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if given.starts:
            starts(given, folder)
        if given.deltas:
            deltas(given, folder)
        if given.starts or given.deltas:
            return
        servers = [Measured(binary, f"{folder}/{number}") for number, binary in enumerate(given.binaries)]
        try:
            for server in servers:
                await server.start()
            print(f"{'turns':>6} {'request':>9}  {'read ms':>8} {'send ms':>8} {'turn ms':>8}  binary (medians of {given.rounds} turns)")
            for length in map(int, given.turns.split(",")):
                for server in servers:
                    while server.turns < length:
                        await server.turn()
                times = {server: [] for server in servers}
                for _ in range(given.rounds):
                    for server in servers:
                        times[server].append(await server.turn())
                for server in servers:
                    read, send, turn = (statistics.median(column) for column in zip(*times[server]))
                    print(f"{length:6} {server.model.bytes:9}  {read:8.2f} {send:8.2f} {turn:8.2f}  {server.binary}")
        finally:
            for server in servers:
                server.end()


asyncio.run(main())
