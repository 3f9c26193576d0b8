"""npm @agentclientprotocol/codex-acp, which editors start. This driver acts as an editor (Agent Client Protocol, version 1).

Arguments: STEP CODEX HOME THREAD TEXT. CLIENTS_AGENT: another command for it, a list as JSON. Its output: see driver.py."""

import json
import os
import subprocess
import sys

from driver import Heard

step, codex, home, thread, text = sys.argv[1:6]
program = os.path.join(os.environ["CLIENTS_NPM"], "node_modules/@agentclientprotocol/codex-acp/dist/index.js")
agent = subprocess.Popen(
    json.loads(os.environ.get("CLIENTS_AGENT", "null")) or ["node", program],
    stdin=subprocess.PIPE,
    stdout=subprocess.PIPE,
    text=True,
    env={**os.environ, "CODEX_PATH": codex, "CODEX_HOME": home},
)
heard = Heard()
# Earlier messages of the thread.
replayed = []
# Threads whose agent has sent a message since.
named = set()
last = 0


def say(message):
    agent.stdin.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
    agent.stdin.flush()


def answer(message):
    """The user agrees to a tool call."""
    heard.asked.append(message["method"])
    [option] = [option for option in message["params"]["options"] if option["kind"] == "allow_once"]
    say({"id": message["id"], "result": {"outcome": {"outcome": "selected", "optionId": option["optionId"]}}})


def call(method, params):
    """Calls a method. Keeps pieces of the agent's messages meanwhile, and answers questions."""
    global last
    last += 1
    wanted = last
    say({"id": wanted, "method": method, "params": params})
    for line in agent.stdout:
        message = json.loads(line)
        update = message.get("params", {}).get("update", {})
        if method == "session/load" and update.get("sessionUpdate") in ("user_message_chunk", "agent_message_chunk"):
            replayed.append(update["content"]["text"])
        elif update.get("sessionUpdate") == "agent_message_chunk":
            named.add(message["params"]["sessionId"])
            heard.piece(update["content"]["text"])
            if step == "interrupt" and len(heard.pieces) == 1:
                say({"method": "session/cancel", "params": {"sessionId": thread}})
        if "id" in message and "method" in message:
            answer(message)
        if message.get("id") == wanted and "method" not in message:
            if "error" in message:
                sys.exit(f"{method}: {message['error']}")
            return message["result"]
    sys.exit(f"{method}: no answer")


def run():
    global thread
    call("initialize", {"protocolVersion": 1, "clientCapabilities": {}})
    where = {"cwd": os.getcwd(), "mcpServers": []}
    if step == "list":
        return heard.tell(threads=[row["sessionId"] for row in call("session/list", {})["sessions"]])
    if step == "resume":
        call("session/load", {"sessionId": thread, **where})
    else:
        thread = call("session/new", where)["sessionId"]
    status = None
    if step != "start":
        status = call("session/prompt", {"sessionId": thread, "prompt": [{"type": "text", "text": text}]})["stopReason"]
        if len(named) != 1:
            sys.exit(f"the agent has spoken in {named or 'no thread'}")
        [thread] = named
    heard.tell(thread=thread, text="".join(heard.pieces), status=status, replayed=replayed)


try:
    run()
finally:
    agent.terminate()
    agent.wait()
