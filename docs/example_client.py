#!/usr/bin/env python3
"""A client of Skein that loses nothing when its link does. docs/events.md has the rules that it follows.

    pip install websockets
    docs/example_client.py ws://127.0.0.1:4500 state.json "tell me a story"

The file remembers the thread, how far it was seen, and the view: what the user has read. Run again with the same file,
the client goes on from there. It ends with the turn that its prompt begins; without a prompt it watches until Ctrl-C.
Exit code 1: the turn failed, or the server refused something for good.
"""
import json, pathlib, sys, time, uuid

import websockets.sync.client

url, file, prompt = sys.argv[1], pathlib.Path(sys.argv[2]), " ".join(sys.argv[3:])
new = {"thread": None, "seq": 0, "epoch": 0, "view": {}}  # the view: the text of each item, by the item's id
state = json.loads(file.read_text()) if file.exists() else new
message_id = str(uuid.uuid4())  # the same at every try: the server takes the prompt once
answers = {}  # what the user said to questions, by their ids, which never repeat
turn, ended, pause = None, {}, 0.1  # the turn of the prompt, turns that are over, seconds until the next try


class Refused(Exception):
    """An error of the server that comes again at every try."""


def show(item_id, text):
    """Puts an item in the view, in place of what is there of it, and prints what is new."""
    before = state["view"].get(item_id, "")  # longer than `text` only after a crash, which may cost the last second
    print(text.removeprefix(before) if text.startswith(before) else f"\n{text}", end="", flush=True)
    state["view"][item_id] = text


def remember(**news):
    """Keeps the view together with the number that it has reached: both, or neither."""
    state.update(news)
    file.with_suffix(".new").write_text(json.dumps(state))
    file.with_suffix(".new").replace(file)


def take(ws):
    """The next message: an answer, a notification, or a question of the server."""
    message = json.loads(ws.recv(timeout=60))  # three heartbeats, unless set otherwise: longer silence is a dead link
    method, params = message.get("method"), message.get("params", {})
    if params.get("threadId") != state["thread"]:
        return message  # some notifications are about every thread
    if method in ("item/started", "item/completed"):
        show(params["item"]["id"], params["item"].get("text", ""))  # only messages of the agent have a text
    elif method == "item/agentMessage/delta":
        show(params["itemId"], state["view"][params["itemId"]] + params["delta"])
    elif method == "turn/completed":
        ended[params["turn"]["id"]] = params["turn"]
    elif method == "thread/reverted":  # turns are gone: what is stored is void, and the next resume shows the whole
        remember(epoch=0)
        raise ConnectionError("turns were taken back")
    elif method == "item/tool/requestUserInput":
        if message["id"] not in answers:  # else the answer was lost on its way, and is given again
            answers[message["id"]] = {q["id"]: {"answers": [input(q["question"] + "\n")]} for q in params["questions"]}
        ws.send(json.dumps({"id": message["id"], "result": {"answers": answers[message["id"]]}}))
    if "seq" in message:
        remember(seq=message["seq"], epoch=message["epoch"])
    return message


def call(ws, method, params):
    """Makes a request. What comes before its answer is taken as it comes."""
    ws.send(json.dumps({"id": method, "method": method, "params": params}))
    while (message := take(ws)).get("id") != method:
        pass
    if "error" not in message:
        return message["result"]
    error, reason = message["error"], message["error"].get("data", {}).get("reason")
    later = reason == "serverStops" or error["code"] == -32001  # then all of it is tried again
    raise ConnectionError(error["message"]) if later else Refused(f"{method}: {error['message']}", reason)


def resume_or_start(ws):
    """The thread of the file; a new one where there is none, or where the server does not have it (any more)."""
    try:
        if state["thread"]:
            seen = {"afterSeq": state["seq"], "epoch": state["epoch"]}
            return call(ws, "thread/resume", {"threadId": state["thread"], "skein": seen})
    except Refused as refused:
        if refused.args[1] != "threadNotFound":
            raise
    return call(ws, "thread/start", {})


def begin(ws):
    """Every connection begins like this: the first one, and each after a cut. Returns the turn of the prompt."""
    capabilities = {"extensions": {"skein/events": {"version": 1}}}
    call(ws, "initialize", {"clientInfo": {"name": "example", "version": "1"}, "capabilities": capabilities})
    ws.send(json.dumps({"method": "initialized"}))
    answer = resume_or_start(ws)
    skein, thread = answer["skein"], answer["thread"]
    if "replayTo" not in skein:  # this is the whole; otherwise the view is continued by what follows
        state["view"].clear()
        ended.update({past["id"]: past for past in thread["turns"] if past["status"] != "inProgress"})
        for item in [item for past in thread["turns"] for item in past["items"]]:
            show(item["id"], item.get("text", ""))
    remember(thread=thread["id"], seq=skein["seq"], epoch=skein["epoch"])
    message = {"input": [{"type": "text", "text": prompt}], "clientUserMessageId": message_id}
    return call(ws, "turn/start", {"threadId": thread["id"], **message})["turn"]["id"] if prompt else None


while turn not in ended:
    try:
        with websockets.sync.client.connect(url, max_size=None) as ws:
            turn, pause = begin(ws), 0.1
            while turn not in ended:
                take(ws)
    except (OSError, websockets.WebSocketException) as lost:
        print(f"\n[link lost: {lost or type(lost).__name__}]", file=sys.stderr)
        time.sleep(pause)
        pause = min(2 * pause, 10)
    except Refused as refused:
        sys.exit(f"\n{refused.args[0]}")
print()
if ended[turn]["status"] == "failed":
    sys.exit(ended[turn]["error"]["message"])
