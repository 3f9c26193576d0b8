"""A model on loopback that speaks the Responses interface. Its answer depends only on the user's newest message, so that two
servers with the same conversation get the same answers at any time.

    @say WORDS          a message of these words, each in a delta of its own
    @think WORDS        a summary of reasoning, then the message
    @call TOOL WORD     a call of the helper's tool; after its result, a message
    @twice WORD         two calls of `echo` in one answer; after their results, a message
    @hold NAME          the first word of a message, the rest after `release(NAME)`
    @fail STATUS        an answer of HTTP with this status
    @cut WORDS          half a message, then the end of the connection, each time
"""

import http.server
import json
import threading

# Limit of a held answer, seconds. A walk that forgets to release one must not hang.
HELD = 60
USAGE = {
    "input_tokens": 10,
    "input_tokens_details": {"cached_tokens": 0},
    "output_tokens": 5,
    "output_tokens_details": {"reasoning_tokens": 0},
    "total_tokens": 15,
}


class Model:
    def __init__(self):
        model = self
        self.gates = {}
        self.lock = threading.Lock()

        class Handler(http.server.BaseHTTPRequestHandler):
            def log_message(self, *_):
                pass

            def do_GET(self):
                self.send_error(404)

            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                try:
                    model.answer(self, body)
                except OSError:
                    pass  # the server has hung up

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        with self.lock:
            for gate in self.gates.values():
                gate.set()
        self.server.shutdown()
        self.server.server_close()

    def gate(self, name):
        with self.lock:
            return self.gates.setdefault(name, threading.Event())

    def release(self, name):
        self.gate(name).set()

    def answer(self, handler, body):
        words, results = newest(body.get("input") or [])
        kind, _, rest = words.partition(" ")
        if kind == "@fail":
            handler.send_response(int(rest))
            handler.send_header("content-type", "application/json")
            handler.end_headers()
            handler.wfile.write(json.dumps({"error": {"message": "refused on purpose", "type": "test"}}).encode())
            return
        handler.send_response(200)
        handler.send_header("content-type", "text/event-stream")
        handler.end_headers()
        say = lambda event: (handler.wfile.write(frame(event)), handler.wfile.flush())
        say({"type": "response.created", "response": {"id": "resp"}})
        output = []
        for item in self.output(kind, rest, results, say, body.get("tools") or []):
            if item is None:
                return
            say({"type": "response.output_item.done", "item": item})
            output.append(item)
        say({"type": "response.completed", "response": {"id": "resp", "output": output, "usage": USAGE}})

    def output(self, kind, rest, results, say, tools):
        """The items of the answer in sequence, deltas first. None is the end of the connection."""
        if kind == "@call" and results == 0:
            tool, _, word = rest.partition(" ")
            yield call(1, offered(tools, tool), word)
        elif kind == "@twice" and results == 0:
            yield call(1, offered(tools, "echo"), rest + " one")
            yield call(2, offered(tools, "echo"), rest + " two")
        elif kind == "@think":
            thought = {"type": "reasoning", "id": "rs_1", "summary": []}
            say({"type": "response.output_item.added", "item": thought})
            say({"type": "response.reasoning_summary_part.added", "item_id": "rs_1", "summary_index": 0})
            said = {"item_id": "rs_1", "summary_index": 0, "delta": f"**About** {rest}"}
            say({"type": "response.reasoning_summary_text.delta", **said})
            yield {**thought, "summary": [{"type": "summary_text", "text": f"**About** {rest}"}]}
            yield self.message(f"Thought {rest}", say)
        elif kind == "@hold":
            yield self.message("Held for a while", say, hold=rest)
        elif kind == "@cut":
            self.message(rest, say)
            yield None
        else:
            yield self.message(f"Heard {rest or kind or 'nothing'}", say)

    def message(self, text, say, hold=None):
        item = {"type": "message", "role": "assistant", "id": "msg_1"}
        say({"type": "response.output_item.added", "item": {**item, "content": []}})
        for at, word in enumerate(text.split(" ")):
            if at == 1 and hold:
                self.gate(hold).wait(HELD)
            say({"type": "response.output_text.delta", "item_id": "msg_1", "delta": word if at == 0 else " " + word})
        return {**item, "content": [{"type": "output_text", "text": text}]}


def call(number, name, word):
    arguments = json.dumps({"text": word})
    return {"type": "function_call", "id": f"fc_{number}", "call_id": f"call_{number}", "arguments": arguments, **name}


def offered(tools, wanted):
    """The name of the helper's tool in the request: the peer has namespaces, Skein has one name."""
    for tool in tools:
        if any(inner.get("name") == wanted for inner in tool.get("tools") or []):
            return {"namespace": tool["name"], "name": wanted}
        if str(tool.get("name")).endswith(f"__{wanted}"):
            return {"name": tool["name"]}
    return {"namespace": "mcp__helper", "name": wanted}


def newest(items):
    """The newest message to this model, and the number of call results after it."""
    words, results = "", 0
    for item in items:
        if item.get("type") == "function_call_output":
            results += 1
        if item.get("role") == "user":
            texts = [part.get("text", "") for part in item.get("content") or [] if isinstance(part, dict)]
            asked = [text for text in texts if text.startswith("@")]
            if asked:
                words, results = asked[-1], 0
    return words, results


def frame(event):
    return f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode()
