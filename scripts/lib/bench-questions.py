"""Times questions, calls and starts of one or more builds of Skein, in turns.

A model on loopback answers with calls of a helper (an MCP server process), and the helper answers each call with the
time at which it came. `question` is the time from the model's call to the question at the client, and `accept` the time
from the client's answer to the helper. `reads` and `changes` are turns of many calls that nobody is asked about, divided
by their number: calls of a tool that only reads, and of one that does not. Each of these turns has a new thread.

Starts come last, beside threads that wait for an answer; a build that cannot park them has as many with an interrupted
turn. `first answer` is the time from the start of the program until the answer to `initialize`, and `list` until the
first page of `skein/questions/list`, or else of `thread/list`. `resident` is the server's memory once its repair is
complete.

Figures are medians, and `ratio` is the median of the ratios to the first build, round by round."""

import argparse, asyncio, json, os, sys, tempfile, time

from served import Client, Server, show_medians

HELPER = """import json, sys, time
tools = [{"name": name, "inputSchema": {"type": "object"}, "annotations": {"readOnlyHint": name == "look"}} for name in ("look", "change", "ask")]
for line in sys.stdin:
    came, message = time.monotonic(), json.loads(line)
    method, result = message.get("method"), {}
    if method == "initialize":
        result = {"protocolVersion": "2025-11-25", "capabilities": {"tools": {}}, "serverInfo": {"name": "bench", "version": "1"}}
    elif method == "tools/list":
        result = {"tools": tools}
    elif method == "tools/call":
        result = {"content": [{"type": "text", "text": repr(came)}]}
    elif method == "server/discover":
        print(json.dumps({"jsonrpc": "2.0", "id": message["id"], "error": {"code": -32601, "message": "unknown"}}), flush=True)
        continue
    if "id" in message:
        print(json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result}), flush=True)
"""

SETTINGS = """model = "m"
model_provider = "bench"
model_context_window = 100000000
[budget]
turn_rounds = 0
[model_providers.bench]
name = "bench"
base_url = "http://127.0.0.1:%d/v1"
wire_api = "chat"
[mcp_servers.bench]
command = %s
args = [%s]
default_tools_approval_mode = "approve"
[mcp_servers.bench.tools.ask]
approval_mode = "prompt"
"""


def chunk(delta, why):
    choice = {"index": 0, "delta": delta, "finish_reason": why}
    return "data: " + json.dumps({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}) + "\n\n"


class Model:
    """Answers with as many calls of a tool as are left, one after the other, then with words."""

    left, tool, called = 0, "", 0.0

    async def serve(self, reader, writer):
        try:
            while head := (await reader.readuntil(b"\r\n\r\n")).decode().lower():
                length = next((int(line.split(":")[1]) for line in head.split("\r\n") if line.startswith("content-length:")), 0)
                request = await reader.readexactly(length)
                if not head.startswith("post"):
                    writer.write(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n")
                    continue
                body = self.call(request) if self.left else chunk({"content": "done"}, "stop")
                body += "data: [DONE]\n\n"
                self.called = time.monotonic()
                writer.write(f"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: {len(body)}\r\n\r\n{body}".encode())
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    def call(self, request):
        self.left -= 1
        if not hasattr(self, "names"):
            offered = [tool["function"]["name"] for tool in json.loads(request)["tools"]]
            self.names = {tool: next(name for name in offered if name.endswith(tool)) for tool in ("look", "change", "ask")}
        function = {"name": self.names[self.tool], "arguments": "{}"}
        return chunk({"tool_calls": [{"index": 0, "id": f"call-{self.left}", "type": "function", "function": function}]}, "tool_calls")


class Asking(Server):
    """A server whose model calls the tools of a helper."""

    async def start(self):
        self.home.mkdir(parents=True)
        (self.home / "helper.py").write_text(HELPER)
        self.model = Model()
        listener = await asyncio.start_server(self.model.serve, "127.0.0.1", 0, limit=1 << 26)
        self.settings = SETTINGS % (listener.sockets[0].getsockname()[1], json.dumps(sys.executable), json.dumps(str(self.home / "helper.py")))
        self.serve(self.settings)
        self.client = await Client().connect(self.url)

    async def new_thread(self):
        return (await self.client.ask("thread/start", {"cwd": "/tmp"}))["thread"]["id"]

    async def begin(self, thread, tool, calls):
        self.model.tool, self.model.left = tool, calls
        await self.client.ask("turn/start", {"threadId": thread, "input": [{"type": "text", "text": "go"}]})

    async def until(self, *methods):
        while (message := json.loads(await self.client.socket.recv())).get("method") not in methods:
            pass
        return message

    async def unload(self, thread):
        await self.client.ask("skein/thread/unload", {"threadId": thread, "force": True})

    async def question(self):
        """Milliseconds from the call to its question, and from the answer to the helper."""
        await self.begin(self.thread, "ask", 1)
        question = await self.until("mcpServer/elicitation/request")
        answered = time.monotonic()
        took = 1000 * (answered - self.model.called)
        await self.client.socket.send(json.dumps({"id": question["id"], "result": {"action": "accept", "content": {}}}))
        while (item := (await self.until("item/completed"))["params"]["item"])["type"] != "mcpToolCall":
            pass
        came = float(item["result"]["content"][0]["text"])
        await self.until("turn/completed")
        return took, 1000 * (came - answered)

    async def calls(self, count):
        """Milliseconds of a call that reads, and of one that changes, in turns of so many calls."""
        took = []
        for tool in ("look", "change"):
            thread = await self.new_thread()
            # The helper has started.
            await self.begin(thread, tool, 1)
            await self.until("turn/completed")
            began = time.monotonic()
            await self.begin(thread, tool, count)
            turn = (await self.until("turn/completed"))["params"]["turn"]
            if turn["status"] != "completed":
                sys.exit(f"the turn {turn['status']}: {turn.get('error')}")
            took.append(1000 * (time.monotonic() - began) / count)
            await self.unload(thread)
        return took

    def resident(self):
        with open(f"/proc/{self.process.pid}/status") as status:
            return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmRSS:"))

    async def park(self, threads):
        """Fills a home with threads that wait. An earlier build interrupts their turns instead."""
        for _ in range(threads):
            thread = await self.new_thread()
            await self.begin(thread, "ask", 1)
            await self.until("mcpServer/elicitation/request")
            await self.unload(thread)
        self.end()
        files = [path.stat().st_size for path in (self.home / "threads").rglob("*.jsonl")]
        return sum(files) / len(files)

    async def restart(self):
        """Milliseconds until the first answer, and until the list of questions; bytes of memory at rest."""
        began = time.monotonic()
        self.serve(self.settings)
        client = await Client().connect(self.url)
        answered = time.monotonic()
        method = "skein/questions/list" if self.has_list else "thread/list"
        page = await client.ask(method, {"limit": 1})
        listed = time.monotonic()
        while (await client.ask("skein/status", {}))["repair"]["state"] != "complete":
            await asyncio.sleep(0.05)
        memory = self.resident()
        await client.socket.close()
        self.end()
        return 1000 * (answered - began), 1000 * (listed - began), memory / 1e6

    async def knows_questions(self):
        await self.client.socket.send(json.dumps({"id": 0, "method": "skein/questions/list", "params": {}}))
        while (message := json.loads(await self.client.socket.recv())).get("id") != 0:
            pass
        self.has_list = "result" in message


async def in_turns(servers, rounds, measure):
    """The figures of each server, one round that does not count left out."""
    results = []
    for number in range(rounds + 1):
        order = servers if number % 2 else servers[::-1]
        found = {server: await measure(server) for server in order}
        results.append([found[server] for server in servers])
    return results[1:]


async def on(place, folder, given):
    with tempfile.TemporaryDirectory(dir=folder) as root:
        servers = [Asking(binary, f"{root}/{number}") for number, binary in enumerate(given.binaries)]
        try:
            for server in servers:
                await server.start()
                await server.knows_questions()
                server.thread = await server.new_thread()
            results = await in_turns(servers, given.rounds, Asking.question)
            show_medians(["question ms", "accept ms"], servers, results, place, 3)
            results = await in_turns(servers, given.rounds, lambda server: server.calls(given.calls))
            show_medians(["reads ms", "changes ms"], servers, results, place, 3)
            if place == "disk" and given.parked:
                for server in servers:
                    await server.unload(server.thread)
                    server.bytes = await server.park(given.parked)
                results = await in_turns(servers, given.starts, Asking.restart)
                show_medians(["first answer ms", "list ms", "resident MB"], servers, results, "start", 3)
                for server in servers:
                    print(f"{'parked':10} {server.bytes:.0f} bytes a thread on disk   {server.binary}")
        finally:
            for server in servers:
                server.end()


async def main():
    parser = argparse.ArgumentParser()
    for name, default in (("rounds", 40), ("calls", 300), ("parked", 1000), ("starts", 15)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("binaries", nargs="+")
    given = parser.parse_args()
    print(f"medians of {given.rounds} questions, {given.rounds} turns of {given.calls} calls, {given.starts} starts beside {given.parked} threads")
    await on("disk", tempfile.gettempdir(), given)
    if os.path.isdir("/dev/shm"):
        await on("tmpfs", "/dev/shm", given)


asyncio.run(main())
