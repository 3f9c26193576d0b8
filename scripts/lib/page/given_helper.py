"""An MCP server on standard input and output, with tools and answers of its argument: `[{"tool": {...}, "answer": TEXT}]` as JSON."""

import json
import sys

GIVEN = {it["tool"]["name"]: it for it in json.loads(sys.argv[1])}


def result(method, params):
    if method == "initialize":
        return {"protocolVersion": params["protocolVersion"], "capabilities": {"tools": {}}, "serverInfo": {"name": "given", "version": "1"}}
    if method == "tools/list":
        return {"tools": [it["tool"] for it in GIVEN.values()]}
    if method == "tools/call":
        return {"content": [{"type": "text", "text": GIVEN[params["name"]]["answer"]}]}
    return {}


for line in sys.stdin:
    asked = json.loads(line)
    if "id" in asked and "method" in asked:
        answer = {"jsonrpc": "2.0", "id": asked["id"], "result": result(asked["method"], asked.get("params", {}))}
        print(json.dumps(answer), flush=True)
