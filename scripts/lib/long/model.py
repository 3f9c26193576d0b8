"""A model that executes the user's messages, for long conversations: it calls the tools in the message, and then says how many
results it got. It speaks Chat Completions, which LiteLLM converts to Anthropic's interface, and Responses.

A message is `#N {"calls": [[[SERVER, TOOL, ARGUMENTS], ..], ..], "words": COUNT, "pace": SECONDS}`. The calls of one list
run in parallel, the lists in sequence. The request decides everything, so nothing is random here.

Each request is compared with the model's earlier answers: no user message is repeated or out of order, none is missing after
the summary, each complete answer is there once, each call has one result. GET /seen returns the problems and the figures;
GET /page/N is a page to fetch. The argument is the file for the port."""

import asyncio
import json
import pathlib
import re
import sys

SUMMARY = "What was said before this message was replaced by a summary of it:"
TASK = "Write a summary of this conversation"
# Content of the model's own summary: the user's messages, and the number of calls for the last one.
LISTED = re.compile(r"Messages of the user so far: ([\d ]*)\.")
MADE = re.compile(r"Of #(\d+) (\d+) results\.")
MESSAGE = re.compile(r"^#(\d+) (\{.*\})$", re.MULTILINE)


class Conversation:
    """The model's answers in one conversation, by the number of the user's message, and the figures."""

    def __init__(self):
        self.whole, self.wrong = {}, []
        self.figures = {"requests": 0, "tokens": 0, "summaries": 0, "pictures": 0, "longest": 0}

    def check(self, turns, number):
        """Compares a request with the earlier answers: `turns` is (user message, texts of the model after it), in order."""
        numbers = [said for said, _ in turns]
        if numbers != sorted(set(numbers)):
            self.wrong.append(f"#{number}: messages {numbers}")
        if missing := set(range(numbers[0], numbers[-1])) - set(numbers) if numbers else ():
            self.wrong.append(f"#{number}: messages {sorted(missing)} are missing")
        for said, texts in turns[:-1]:
            behind = " ".join(texts)
            if said in self.whole and behind.count(self.whole[said]) != 1:
                self.wrong.append(f"#{number}: the answer to #{said} is there {behind.count(self.whole[said])} times: {behind}")


conversations = {}


def text_of(content):
    parts = content if isinstance(content, list) else [{"type": "text", "text": content or ""}]
    return "\n".join(part.get("text") or "" for part in parts)


def pictures_of(content):
    return sum(part.get("type") in ("image_url", "input_image") for part in content) if isinstance(content, list) else 0


def messages_of(body):
    """The conversation in the form of Chat Completions, for every interface."""
    for item in body.get("messages") or body["input"]:
        kind = item.get("type", "message")
        if kind == "function_call":
            yield {"role": "assistant", "tool_calls": [{"id": item["call_id"]}]}
        elif kind == "function_call_output":
            yield {"role": "tool", "tool_call_id": item["call_id"], "content": item["output"]}
        elif kind == "message":
            yield item


class Request:
    """The content of a request: the turns since the last summary, the last question, and the results of its calls."""

    def __init__(self, body):
        self.turns, self.results, self.open, self.pictures, self.wrong = [], [], [], 0, []
        self.asked, self.summary, self.fresh, self.known = None, False, False, set()
        for message in messages_of(body):
            content = message.get("content")
            self.pictures += pictures_of(content)
            {"user": self.user, "assistant": self.assistant, "tool": self.tool}.get(message["role"], lambda *_: None)(message, text_of(content))
        if self.open:
            self.wrong.append(f"calls without a result: {self.open}")

    def user(self, _, text):
        self.summary = TASK in text
        said = [(int(number), json.loads(plan)) for number, plan in MESSAGE.findall(text)]
        if SUMMARY in text:
            # The summary repeats the last messages word for word. If it is one message with the question, the question
            # is its last part.
            listed = " ".join(LISTED.findall(text))
            self.known = {number for number, _ in said} | {int(number) for number in listed.split()}
            said = said[-1:]
            made = MADE.findall(text)
        if said and (self.fresh or SUMMARY in text):
            self.turns = []
        for number, plan in said:
            self.turns.append((number, []))
            self.asked, self.results = plan, []
        if SUMMARY in text and made and said and int(made[-1][0]) == said[0][0]:
            self.results = ["in the summary"] * int(made[-1][1])
        self.fresh = SUMMARY in text

    def assistant(self, message, text):
        self.fresh = False
        if text and self.turns:
            self.turns[-1][1].append(text)
        self.open += [call["id"] for call in message.get("tool_calls") or []]

    def tool(self, message, text):
        if message["tool_call_id"] not in self.open:
            self.wrong.append(f"a result without a call: {message['tool_call_id']}")
            return
        self.open.remove(message["tool_call_id"])
        self.results.append(text)


def tool_name(body, server, tool):
    """The name of a tool in the request."""
    names = [each.get("function", each)["name"] for each in body.get("tools") or []]
    return next((name for name in names if server in name and name.endswith(tool)), None)


def next_calls(body, request):
    """The next calls, with unique ids, and the problems in them."""
    made = len(request.results)
    for group in request.asked["calls"]:
        if made == 0:
            number = request.turns[-1][0]
            named = [(tool_name(body, server, tool), arguments, f"{server}/{tool}") for server, tool, arguments in group]
            wrong = [f"{what} is not offered" for name, _, what in named if name is None]
            at = len(request.results)
            return [(f"call_{number}_{at + place}", name, arguments) for place, (name, arguments, _) in enumerate(named)], wrong
        made -= len(group)
    return [], []


def chunk(delta, end=None, usage=None):
    choices = [] if usage else [{"index": 0, "delta": delta, "finish_reason": end}]
    body = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": choices}
    return f"data: {json.dumps({**body, 'usage': usage} if usage else body)}\n\n"


def event(kind, **more):
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **more})}\n\n"


class Answer:
    """The pieces of an answer, with the seconds before each."""

    def __init__(self, talk, body):
        self.talk, self.request = talk, Request(body)
        self.text, self.calls, self.pace, self.number = "", [], 0, None
        request = self.request
        self.number = request.turns[-1][0] if request.turns else None
        talk.wrong += [f"#{self.number}: {wrong}" for wrong in request.wrong]
        talk.check(request.turns, self.number)
        if request.summary:
            known = request.known | {number for number, _ in request.turns}
            self.text = f"Messages of the user so far: {' '.join(map(str, sorted(known)))}. Of #{self.number} {len(request.results)} results."
            talk.figures["summaries"] += 1
            lost = set(range(1, max(known, default=0))) - known
            talk.wrong += [f"a summary of #{self.number} lacks {sorted(lost)}"] if lost else []
            return
        self.calls, wrong = next_calls(body, request)
        talk.wrong += [f"#{self.number}: {it}" for it in wrong]
        if not self.calls:
            words = " ".join(f"w{number}" for number in range(request.asked["words"]))
            self.text = f"answer to #{self.number}: {len(request.results)} results, {request.pictures} pictures. {words}"
            self.pace = request.asked["pace"]

    def usage(self, size):
        """Tokens read and written, which are also counted here."""
        read, wrote = size // 4, 1 + len(self.text) // 4
        figures = self.talk.figures
        figures["tokens"] += read + wrote
        figures["longest"] = max(figures["longest"], read)
        figures["pictures"] += self.request.pictures and not self.calls
        return read, wrote

    def chat(self, size):
        for word in re.findall(r"\S+\s*", self.text):
            yield self.pace, chunk({"role": "assistant", "content": word})
        for index, (id, name, arguments) in enumerate(self.calls):
            function = {"name": name, "arguments": json.dumps(arguments)}
            yield 0, chunk({"role": "assistant", "tool_calls": [{"index": index, "id": id, "type": "function", "function": function}]})
        yield 0, chunk({}, "tool_calls" if self.calls else "stop")
        read, wrote = self.usage(size)
        yield 0, chunk({}, usage={"prompt_tokens": read, "completion_tokens": wrote, "total_tokens": read + wrote})
        yield 0, "data: [DONE]\n\n"

    def responses(self, size):
        made = {"id": "r", "object": "response", "created_at": 1, "model": "m", "output": [], "parallel_tool_calls": True, "tool_choice": "auto", "tools": []}
        yield 0, event("response.created", response={**made, "status": "in_progress"})
        message = {"id": "m", "type": "message", "role": "assistant"}
        if self.text:
            yield 0, event("response.output_item.added", output_index=0, item={**message, "status": "in_progress", "content": []})
            for word in re.findall(r"\S+\s*", self.text):
                yield self.pace, event("response.output_text.delta", item_id="m", output_index=0, content_index=0, delta=word)
            content = [{"type": "output_text", "text": self.text, "annotations": []}]
            yield 0, event("response.output_item.done", output_index=0, item={**message, "status": "completed", "content": content})
        for index, (id, name, arguments) in enumerate(self.calls):
            item = {"id": f"f{index}", "type": "function_call", "call_id": id, "name": name, "arguments": json.dumps(arguments), "status": "completed"}
            yield 0, event("response.output_item.done", output_index=index, item=item)
        read, wrote = self.usage(size)
        usage = {"input_tokens": read, "input_tokens_details": {"cached_tokens": 0}, "output_tokens": wrote, "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": read + wrote}
        yield 0, event("response.completed", response={**made, "status": "completed", "usage": usage})

    def done(self):
        """The client read the answer to its end."""
        if not self.calls and not self.request.summary:
            if self.number in self.talk.whole:
                self.talk.wrong.append(f"#{self.number} was asked for twice")
            self.talk.whole[self.number] = self.text


FORMS = {"/chat/completions": Answer.chat, "/responses": Answer.responses}


async def stream(writer, body, size, form):
    talk = conversations.setdefault(body["model"].rsplit("/")[-1], Conversation())
    talk.figures["requests"] += 1
    answer = Answer(talk, body)
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n")
    for wait, piece in form(answer, size):
        await asyncio.sleep(wait)
        writer.write(piece.encode())
        await writer.drain()
    answer.done()


def plain(writer, status, body, kind="application/json"):
    body = body.encode()
    writer.write(f"HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n".encode() + body)


async def serve(reader, writer):
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        path = head.split(" ")[1].split("?")[0].removeprefix("/v1")
        length = next((int(line.split(":")[1]) for line in head.lower().split("\r\n") if line.startswith("content-length:")), 0)
        body = json.loads(await reader.readexactly(length) or b"null")
        if path == "/seen":
            plain(writer, "200 OK", json.dumps({name: {"wrong": it.wrong, "whole": it.whole, **it.figures} for name, it in conversations.items()}))
        elif path.startswith("/page/"):
            plain(writer, "200 OK", f"<html><body><h1>Page {path[6:]}</h1><p>{'some words ' * 20}</p></body></html>", "text/html")
        elif path in FORMS:
            await stream(writer, body, length, FORMS[path])
        else:
            plain(writer, "404 Not Found", json.dumps({"error": {"message": f"no {path} here"}}))
        await writer.drain()
    except (ConnectionError, asyncio.IncompleteReadError):
        pass
    finally:
        writer.close()


async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", 0, limit=1 << 26)
    pathlib.Path(sys.argv[1]).write_text(str(server.sockets[0].getsockname()[1]))
    await server.serve_forever()


asyncio.run(main())
