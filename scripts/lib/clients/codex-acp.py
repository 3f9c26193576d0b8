"""npm @agentclientprotocol/codex-acp, which editors start: spoken to as an editor does (Agent Client Protocol, version 1).

Called with STEP CODEX HOME [THREAD] TEXT; prints {"thread", "text"} as JSON."""

import json
import os
import subprocess
import sys

step, codex, home, thread, text = sys.argv[1:6]
program = os.path.join(os.environ["CLIENTS_NPM"], "node_modules/@agentclientprotocol/codex-acp/dist/index.js")
agent = subprocess.Popen(
    ["node", program],
    stdin=subprocess.PIPE,
    stdout=subprocess.PIPE,
    text=True,
    env={**os.environ, "CODEX_PATH": codex, "CODEX_HOME": home},
)
said = []
last = 0


def call(method, params):
    """Calls a method; pieces of the agent's messages that come meanwhile are kept."""
    global last
    last += 1
    agent.stdin.write(json.dumps({"jsonrpc": "2.0", "id": last, "method": method, "params": params}) + "\n")
    agent.stdin.flush()
    for line in agent.stdout:
        message = json.loads(line)
        update = message.get("params", {}).get("update", {})
        if update.get("sessionUpdate") == "agent_message_chunk":
            said.append(update["content"]["text"])
        if message.get("id") == last and "method" not in message:
            if "error" in message:
                sys.exit(f"{method}: {message['error']}")
            return message["result"]
    sys.exit(f"{method}: no answer")


try:
    call("initialize", {"protocolVersion": 1, "clientCapabilities": {}})
    where = {"cwd": os.getcwd(), "mcpServers": []}
    if step == "resume":
        call("session/load", {"sessionId": thread, **where})
    else:
        thread = call("session/new", where)["sessionId"]
    said.clear()
    call("session/prompt", {"sessionId": thread, "prompt": [{"type": "text", "text": text}]})
    print(json.dumps({"thread": thread, "text": "".join(said)}))
finally:
    agent.terminate()
    agent.wait()
