"""An MCP server on standard input and output. Names, titles and descriptions of its tools try to run, to fetch or to mislead."""

import json
import sys

from hostile import NAMES, SAID


def result(method, params):
    if method == "initialize":
        return {"protocolVersion": params["protocolVersion"], "capabilities": {"tools": {}}, "serverInfo": {"name": SAID, "version": "1"}}
    if method == "tools/list":
        tool = {"title": SAID, "description": SAID, "inputSchema": {"type": "object", "properties": {}}, "annotations": {"title": SAID, "destructiveHint": True}}
        return {"tools": [{"name": name, **tool} for name in NAMES]}
    if method == "tools/call":
        return {"content": [{"type": "text", "text": f"called {list(NAMES).index(params['name'])}"}]}
    return {}


for line in sys.stdin:
    asked = json.loads(line)
    if "id" in asked and "method" in asked:
        answer = {"jsonrpc": "2.0", "id": asked["id"], "result": result(asked["method"], asked.get("params", {}))}
        print(json.dumps(answer), flush=True)
