"""Makes rollouts with the real peer: `peer-rollouts.py CODEX DIR`. Its app-server runs over stdio in DIR/codex-home, with a
helper, and with a model provider of this script on loopback that plays each scenario. No other network is used. Prints a
line of JSON for each thread: {"id", "name", "archived", "turns", "says"}."""

import http.server
import json
import os
import queue
import subprocess
import sys
import threading

PATIENCE = 60  # seconds until a missing message is a failure

HELPER = r"""
import json, sys
for line in sys.stdin:
    m = json.loads(line); i, k = m.get("id"), m.get("method")
    if i is None: continue
    r = {}
    if k == "initialize":
        r = {"protocolVersion": m["params"]["protocolVersion"], "capabilities": {"tools": {}},
             "serverInfo": {"name": "echo-helper", "version": "1.0.0"}}
    elif k == "tools/list":
        s = {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]}
        r = {"tools": [{"name": "echo", "description": "echo", "inputSchema": s, "annotations": {"readOnlyHint": True}}]}
    elif k == "tools/call":
        r = {"content": [{"type": "text", "text": "echo: " + m["params"]["arguments"]["text"]}], "isError": False}
    print(json.dumps({"jsonrpc": "2.0", "id": i, "result": r}), flush=True)
"""


class Provider:
    """Answers the responses API from the script, one answer for each request."""

    def __init__(self):
        self.script, self.made = [], 0
        provider = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.0"

            def log_message(self, *_):
                pass

            def do_GET(self):
                self.send_response(404)
                self.end_headers()

            def do_POST(self):
                self.rfile.read(int(self.headers.get("content-length", 0)))
                step = provider.script.pop(0) if provider.script else provider.text("ok")
                if step == "broken":
                    self.send_response(500)
                    self.end_headers()
                    self.wfile.write(b'{"error":{"message":"the provider is broken"}}')
                    return
                self.send_response(200)
                self.send_header("content-type", "text/event-stream")
                self.end_headers()
                for event in step:
                    if isinstance(event, threading.Event):
                        event.wait(PATIENCE)
                        continue
                    try:
                        self.wfile.write(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode())
                        self.wfile.flush()
                    except OSError:
                        return

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def answer(self, items, between=()):
        self.made += 1
        usage = {"input_tokens": 10, "input_tokens_details": None, "output_tokens": 5,
                 "output_tokens_details": None, "total_tokens": 15}
        done = [{"type": "response.output_item.done", "item": item} for item in items]
        return [{"type": "response.created", "response": {"id": f"resp_{self.made}"}}, *between, *done,
                {"type": "response.completed", "response": {"id": f"resp_{self.made}", "usage": usage}}]

    def text(self, *parts, hold=None, reasoning=None, search=None):
        item = {"type": "message", "role": "assistant", "id": f"msg_{self.made + 1}",
                "content": [{"type": "output_text", "text": "".join(parts)}]}
        between = [{"type": "response.output_item.added", "item": {**item, "content": []}}]
        for part in parts:
            between.append({"type": "response.output_text.delta", "item_id": item["id"], "delta": part})
            if hold:
                between.append(hold)
        items = [item]
        if reasoning:
            summary = [{"type": "summary_text", "text": reasoning}]
            items.insert(0, {"type": "reasoning", "id": f"rs_{self.made + 1}", "summary": summary})
        if search:
            action = {"type": "search", "query": search}
            items.insert(0, {"type": "web_search_call", "id": f"ws_{self.made + 1}", "status": "completed", "action": action})
        return self.answer(items, between)

    def call(self, name, arguments, namespace=None):
        item = {"type": "function_call", "id": f"fc_{self.made + 1}", "call_id": f"call_{self.made + 1}",
                "name": name, "arguments": json.dumps(arguments)}
        return self.answer([{**item, "namespace": namespace} if namespace else item])


class Peer:
    def __init__(self, codex, home, folder, errors):
        command = [codex, "app-server"]
        env = {**os.environ, "CODEX_HOME": home, "RUST_LOG": "error"}
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors,
                                        env=env, cwd=folder, text=True)
        self.number, self.heard = 0, queue.Queue()
        threading.Thread(target=self.listen, daemon=True).start()
        info = {"name": "peer-rollouts", "title": None, "version": "1.0.0"}
        self.call("initialize", clientInfo=info, capabilities={"experimentalApi": True})
        self.send({"method": "initialized"})

    def listen(self):
        for line in self.process.stdout:
            self.heard.put(json.loads(line))
        self.heard.put(None)

    def send(self, message):
        self.process.stdin.write(json.dumps(message) + "\n")
        self.process.stdin.flush()

    def until(self, wanted):
        while True:
            message = self.heard.get(timeout=PATIENCE)
            if message is None:
                raise RuntimeError("the peer ended")
            if "id" in message and "method" in message:
                self.send({"id": message["id"], "result": {"decision": "accept"}})
            if wanted(message):
                return message

    def call(self, method, **params):
        self.number += 1
        mine = self.number
        self.send({"id": mine, "method": method, "params": params})
        answer = self.until(lambda m: m.get("id") == mine and "method" not in m)
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']}")
        return answer["result"]

    def start(self, folder, **more):
        thread = self.call("thread/start", cwd=folder, sandbox="danger-full-access", approvalPolicy="never", **more)
        return thread["thread"]["id"]

    def turn(self, thread, says):
        self.call("turn/start", threadId=thread, input=[{"type": "text", "text": says, "text_elements": []}])
        return self.until(lambda m: m.get("method") == "turn/completed")["params"]["turn"]

    def stop(self):
        # The peer handles earlier input before the end of its input.
        self.process.stdin.close()
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise


def talk(peer, provider, folder):
    """One thread with a message, reasoning, and a name."""
    thread = peer.start(folder)
    provider.script += [provider.text("Hello", ", ", "world", reasoning="**Thinking** about it")]
    peer.turn(thread, "say hello")
    provider.script += [provider.text("Hello again")]
    peer.turn(thread, "once more")
    peer.call("thread/name/set", threadId=thread, name="A friendly talk")
    return {"id": thread, "name": "A friendly talk", "turns": 2, "says": "Hello again"}


def tools(peer, provider, folder, **more):
    """Commands that succeed and fail, a patch, the tool of a helper, a search, a plan."""
    thread = peer.start(folder, **more)
    command = "echo one; echo two; exit 3"
    patch = "apply_patch <<'EOF'\n*** Begin Patch\n*** Add File: a.txt\n+hello\n*** End Patch\nEOF"
    provider.script += [provider.call("exec_command", {"cmd": command, "yield_time_ms": 5000}),
                        provider.call("exec_command", {"cmd": patch}),
                        provider.call("echo", {"text": "hi"}, "mcp__helper"),
                        provider.call("update_plan", {"plan": [{"step": "first", "status": "completed"}]}),
                        provider.call("no_such_tool", {"x": 1}),
                        provider.text("All done", search="weather")]
    peer.turn(thread, "use your tools")
    return {"id": thread, "turns": 1, "says": "All done"}


def troubles(peer, provider, folder):
    """A failed turn, an interrupted turn, a compaction, and a turn after them."""
    thread = peer.start(folder)
    provider.script += ["broken"] * 12
    peer.turn(thread, "fail please")
    provider.script.clear()
    hold = threading.Event()
    provider.script += [provider.text("slow ", "answer", hold=hold)]
    begun = peer.call("turn/start", threadId=thread, input=[{"type": "text", "text": "slow please"}])
    peer.until(lambda m: m.get("method") == "item/agentMessage/delta")
    peer.call("turn/interrupt", threadId=thread, turnId=begun["turn"]["id"])
    peer.until(lambda m: m.get("method") == "turn/completed")
    hold.set()
    provider.script += [provider.text("The summary of everything")]
    peer.call("thread/compact/start", threadId=thread)
    peer.until(lambda m: m.get("method") == "turn/completed")
    provider.script += [provider.text("Well again")]
    peer.turn(thread, "and now?")
    return {"id": thread, "turns": 4, "says": "Well again"}


def older_form(peer, provider, folder):
    """The same in the peers' rollout format from before pages."""
    return tools(peer, provider, folder, historyMode="legacy")


def archived(peer, provider, folder):
    thread = peer.start(folder)
    provider.script += [provider.text("Put me away")]
    peer.turn(thread, "an old matter")
    peer.call("thread/archive", threadId=thread)
    return {"id": thread, "archived": True, "turns": 1, "says": "Put me away"}


def taken_back(peer, provider, folder):
    """A thread whose last turn was reverted."""
    thread = peer.start(folder)
    for number in (1, 2):
        provider.script += [provider.text(f"answer {number}")]
        last = peer.turn(thread, f"question {number}")
    peer.call("thread/revert", threadId=thread, beforeTurnId=last["id"])
    provider.script += [provider.text("answer 3")]
    peer.turn(thread, "question 3")
    return {"id": thread, "turns": 2, "says": "answer 3"}


def forked(peer, provider, folder):
    """A thread that continues from a place in another thread."""
    thread = peer.start(folder)
    provider.script += [provider.text("the trunk")]
    peer.turn(thread, "grow")
    fork = peer.call("thread/fork", threadId=thread)["thread"]["id"]
    provider.script += [provider.text("the branch")]
    peer.turn(fork, "branch off")
    return {"id": fork, "turns": 2, "says": "the branch"}


def main():
    codex, root = sys.argv[1], os.path.realpath(sys.argv[2])
    home, folder = os.path.join(root, "codex-home"), os.path.join(root, "project")
    os.makedirs(home)
    os.makedirs(folder)
    subprocess.run(["git", "init", "-q", "-b", "main", folder], check=False)
    helper = os.path.join(root, "helper.py")
    with open(helper, "w", encoding="utf-8") as file:
        file.write(HELPER)
    provider = Provider()
    with open(os.path.join(home, "config.toml"), "w", encoding="utf-8") as file:
        file.write(f'''model = "fake-model"
model_provider = "fake"
[model_providers.fake]
name = "fake"
base_url = "http://127.0.0.1:{provider.port}/v1"
wire_api = "responses"
request_max_retries = 0
stream_max_retries = 0
supports_websockets = false
[projects."{folder}"]
trust_level = "trusted"
[mcp_servers.helper]
command = "{sys.executable}"
args = ["{helper}"]
''')
    with open(os.path.join(root, "peer-errors"), "w", encoding="utf-8") as errors:
        peer = Peer(codex, home, folder, errors)
        for scenario in (talk, tools, older_form, troubles, archived, taken_back, forked):
            told = scenario(peer, provider, folder)
            print(json.dumps({"name": None, "archived": False, **told}), flush=True)
        peer.stop()


if __name__ == "__main__":
    main()
