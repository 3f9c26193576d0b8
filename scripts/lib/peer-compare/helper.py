"""An MCP helper on its standard streams: `echo` only reads, `write` declares a change, `ask` asks the user."""

import json
import sys

SCHEMA = {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]}
TOOLS = [
    {"name": "echo", "description": "Says it again", "inputSchema": SCHEMA, "annotations": {"readOnlyHint": True}},
    {
        "name": "write",
        "description": "Changes something",
        "inputSchema": SCHEMA,
        "annotations": {"readOnlyHint": False, "destructiveHint": True},
    },
    {"name": "ask", "description": "Asks the user", "inputSchema": SCHEMA, "annotations": {"readOnlyHint": True}},
    {"name": "broken", "description": "Fails", "inputSchema": SCHEMA, "annotations": {"readOnlyHint": True}},
]
QUESTION = {
    "message": "Your name?",
    "requestedSchema": {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]},
}


def send(message):
    sys.stdout.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
    sys.stdout.flush()


def text(words, failed=False):
    return {"content": [{"type": "text", "text": words}], "isError": failed}


asked = {}
for line in sys.stdin:
    message = json.loads(line)
    number, method, params = message.get("id"), message.get("method"), message.get("params") or {}
    if method is None and number in asked:
        answer = message.get("result") or {}
        send({"id": asked.pop(number), "result": text(f"answered: {json.dumps(answer.get('content'), sort_keys=True)}")})
    elif number is None:
        continue
    elif method == "initialize":
        server = {"name": "compare-helper", "version": "1.0.0"}
        version = params["protocolVersion"]
        send({"id": number, "result": {"protocolVersion": version, "capabilities": {"tools": {}}, "serverInfo": server}})
    elif method == "tools/list":
        send({"id": number, "result": {"tools": TOOLS}})
    elif method == "tools/call" and params["name"] == "ask":
        asked[f"ask-{number}"] = number
        send({"id": f"ask-{number}", "method": "elicitation/create", "params": QUESTION})
    elif method == "tools/call":
        words = str(params.get("arguments", {}).get("text"))
        send({"id": number, "result": text(f"{params['name']}: {words}", params["name"] == "broken")})
    else:
        send({"id": number, "error": {"code": -32601, "message": "no such method"}})
