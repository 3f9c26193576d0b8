"""A provider that answers according to the name of the model, by all three interfaces: /chat/completions, /responses, /messages.

Its argument is the file for its port. Models: hello, tools, split, and those that fail at their first request and succeed
at the next: e429 (Retry-After: 1), e500, cut, stall, garbage. e400 and e401 always fail. GET /seen returns the requests."""

import asyncio, json, pathlib, sys

HELLO = ["Grüß ", "dich, ", "Wörld 🌍!"]
ARGUMENTS = ['{"te', 'xt":"ping', '-pong"}']
USAGE = (75, 32, 12)  # tokens read, of those from a cache, written
asked, seen = {}, {"stalled": 0, "closed": 0, "retry_after": []}


def event(data, name=None):
    return (f"event: {name}\n" if name else "") + f"data: {data if isinstance(data, str) else json.dumps(data, ensure_ascii=False)}\n\n"


def chat(texts, call):
    """The pieces of an answer: the text, then the call, and its end."""
    chunk = lambda delta, end=None: event({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [{"index": 0, "delta": delta, "finish_reason": end}]})
    yield from (chunk({"role": "assistant", "content": text}) for text in texts)
    if call:
        first = {"index": 0, "id": "call_1", "type": "function", "function": {"name": call, "arguments": ""}}
        yield chunk({"role": "assistant", "tool_calls": [first]})
        yield from (chunk({"tool_calls": [{"index": 0, "function": {"arguments": piece}}]}) for piece in ARGUMENTS)
    yield chunk({}, "tool_calls" if call else "stop")
    read, cached, wrote = USAGE
    usage = {"prompt_tokens": read, "completion_tokens": wrote, "total_tokens": read + wrote, "prompt_tokens_details": {"cached_tokens": cached}}
    yield event({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [], "usage": usage})
    yield event("[DONE]")


def responses(texts, call):
    say = lambda kind, **more: event({"type": kind, **more}, kind)
    read, cached, wrote = USAGE
    yield say("response.created", response={"id": "r", "status": "in_progress"})
    for text in texts:
        yield say("response.output_text.delta", item_id="m", output_index=0, content_index=0, delta=text)
    if texts:
        content = [{"type": "output_text", "text": "".join(texts), "annotations": []}]
        yield say("response.output_item.done", output_index=0, item={"id": "m", "type": "message", "role": "assistant", "content": content})
    if call:
        item = {"id": "f", "type": "function_call", "call_id": "call_1", "name": call, "arguments": "".join(ARGUMENTS)}
        yield say("response.output_item.done", output_index=0, item=item)
    usage = {"input_tokens": read, "input_tokens_details": {"cached_tokens": cached}, "output_tokens": wrote}
    yield say("response.completed", response={"id": "r", "status": "completed", "usage": usage})


def messages(texts, call):
    say = lambda kind, **more: event({"type": kind, **more}, kind)
    read, cached, wrote = USAGE
    usage = {"input_tokens": read - cached, "cache_read_input_tokens": cached, "output_tokens": 1}
    yield say("message_start", message={"id": "m", "type": "message", "role": "assistant", "content": [], "usage": usage})
    block = {"type": "tool_use", "id": "toolu_1", "name": call, "input": {}} if call else {"type": "text", "text": ""}
    yield say("content_block_start", index=0, content_block=block)
    yield say("ping")
    for text in texts:
        yield say("content_block_delta", index=0, delta={"type": "text_delta", "text": text})
    for piece in ARGUMENTS if call else []:
        yield say("content_block_delta", index=0, delta={"type": "input_json_delta", "partial_json": piece})
    yield say("content_block_stop", index=0)
    yield say("message_delta", delta={"stop_reason": "tool_use" if call else "end_turn"}, usage={"output_tokens": wrote})
    yield say("message_stop")


FORMS = {"/chat/completions": chat, "/responses": responses, "/messages": messages}
STATUS = {"e400": "400 Bad Request", "e401": "401 Unauthorized", "e429": "429 Too Many Requests", "e500": "500 Internal Server Error"}


def has_result(body):
    """Whether the request has the result of a call."""
    text = json.dumps(body)
    return any(mark in text for mark in ('"role": "tool"', '"function_call_output"', '"tool_result"'))


def tool(body):
    """The name of the first offered tool that echoes."""
    names = [each.get("name") or each.get("function", {}).get("name") for each in body.get("tools", [])]
    return next((name for name in names if name and name.endswith("echo")), None)


async def send(writer, text, how="chunk"):
    data = text.encode()
    pieces = [data] if how == "chunk" else [data[at:at + 1] for at in range(len(data))]
    for piece in pieces:
        writer.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
        await writer.drain()


def plain(writer, status, body, more=""):
    body = json.dumps(body).encode()
    writer.write(f"HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\nconnection: close\r\n{more}\r\n".encode() + body)


async def answer(reader, writer, form, body):
    model = body["model"].rsplit("/")[-1]
    times = asked[form, model] = asked.get((form, model), 0) + 1
    first = times % 2 == 1
    if model in ("e400", "e401") or (first and model in ("e429", "e500")):
        now = asyncio.get_running_loop().time()
        if model == "e429":
            seen["retry_after"].append(now)
        kind = {"e400": "invalid_request_error", "e401": "authentication_error", "e429": "rate_limit_error"}.get(model, "api_error")
        error = {"type": "error", "error": {"type": kind, "message": f"this is {model}"}}
        return plain(writer, STATUS[model], error, "retry-after: 1\r\n" if model == "e429" else "")
    if model == "e429":
        seen["retry_after"].append(asyncio.get_running_loop().time())
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
    call = tool(body) if model == "tools" and not has_result(body) else None
    pieces = list(FORMS[form]([] if call else HELLO, call))
    bad = first and model in ("cut", "stall", "garbage")
    for piece in pieces[:3] if bad else pieces:
        await send(writer, piece, "byte" if model == "split" else "chunk")
    if bad and model == "garbage":
        await send(writer, "data: <html>no JSON</html>\n\n")
    if bad and model == "stall":
        seen["stalled"] += 1
        await reader.read()
        seen["closed"] += 1
    if not bad or model == "garbage":
        writer.write(b"0\r\n\r\n")


async def serve(reader, writer):
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        path = head.split(" ")[1].split("?")[0].removeprefix("/v1")
        length = next((int(line.split(":")[1]) for line in head.lower().split("\r\n") if line.startswith("content-length:")), 0)
        body = json.loads(await reader.readexactly(length) or b"null")
        if path == "/seen":
            plain(writer, "200 OK", seen)
        elif path == "/models":
            plain(writer, "200 OK", {"object": "list", "data": [{"id": "hello", "object": "model"}, {"id": "tools", "object": "model"}]})
        elif path in FORMS:
            await answer(reader, writer, path, body)
        else:
            plain(writer, "404 Not Found", {"error": {"message": f"no {path} here"}})
        await writer.drain()
    except (ConnectionError, asyncio.IncompleteReadError):
        pass
    finally:
        writer.close()


async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    pathlib.Path(sys.argv[1]).write_text(str(server.sockets[0].getsockname()[1]))
    await server.serve_forever()


asyncio.run(main())
