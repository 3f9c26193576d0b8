"""The steps of scripts/editors. Arguments: SKEIN FOLDER."""

import json
import os
import subprocess
import sys
import time
import uuid

from home import BOUND, read, until
from tui import CONNECTED, DONE, EMPTY, ENDED, Terminal, answer_to, numbers

skein, folder = sys.argv[1:3]
MARK = f"SKEIN_EDITORS_MARK={uuid.uuid4().hex}"
home = os.path.join(folder, "the home's \"own\" folder", "home")
own = os.path.join(folder, "codex")
clients = os.environ["CLIENTS_NPM"]
variables = {
    **{name: value for name, value in os.environ.items() if name not in ("SKEIN_HOME", "CODEX_HOME")},
    MARK.split("=")[0]: MARK.split("=")[1],
    "HOME": folder,
    "XDG_DATA_HOME": os.path.join(folder, "data"),
    "XDG_RUNTIME_DIR": folder,
    "PATH": os.environ["EDITORS_PEER"] + os.pathsep + os.environ["PATH"],
    "NO_COLOR": "1",
    # npx finds the agent in the folder where it is installed, and asks no registry.
    "npm_config_offline": "true",
}
PROMPT = "::stream 5 8 10"


def run(*words, **more):
    ran = subprocess.run(words, capture_output=True, text=True, env=variables, timeout=BOUND, **more)
    if ran.returncode != 0:
        raise AssertionError(f"{words}: exit code {ran.returncode}: {ran.stderr.strip()[-2000:]}")
    return ran.stdout


def printed(editor):
    return json.loads(run(skein, "editor", editor, "--json", "--home", home))


def threads():
    return [thread["id"] for thread in json.loads(run(skein, "threads", "--json", "--home", home))["data"]]


def processes():
    """All living processes of this run, whatever their parent is."""
    pids = [pid for pid in os.listdir("/proc") if pid.isdigit() and int(pid) != os.getpid()]
    return [pid for pid in pids if MARK.encode() in read(pid, "environ").split(b"\0")]


def terminal(start):
    """The terminal client connects, and shows the whole answer to a prompt."""
    client = Terminal(start["command"], folder, {**variables, "CODEX_HOME": own, **start["env"]})
    try:
        client.shows("the client to be connected", CONNECTED)
        client.type(PROMPT)
        client.shows("the prompt", PROMPT)
        client.press("Enter", EMPTY)
        client.shows("the end of the answer", lambda screen: DONE in answer_to(screen, PROMPT))
        if numbers(answer_to(client.screen(), PROMPT)) != list(range(5)):
            raise AssertionError(client.screen())
        client.type("/quit")
        client.shows("the command", "› /quit")
        client.press("Enter", f"{ENDED} 0")
    finally:
        client.end()


def tui():
    """Yields the name of each step, and the step."""
    server = subprocess.Popen(
        [skein, "serve", "--home", home, "--listen", "ws://127.0.0.1:0"],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=variables,
    )
    try:
        server.stdout.readline()
        starts = printed("tui")["start"]
        if [start["command"][2].split(":")[0] for start in starts] != ["unix", "ws"]:
            raise AssertionError(starts)
        for start in starts:
            yield "tui, " + start["command"][2].split(":")[0], lambda: terminal(start)
    finally:
        server.terminate()
        server.wait(BOUND)


def agent(editor):
    """The agent answers a prompt, and its thread is in this home."""
    outcome = printed(editor)
    run(*outcome["prepare"])
    [start] = outcome["start"]
    pasted = outcome["paste"]["agent_servers"]["Skein"]
    if [pasted["command"], *pasted["args"]] != start["command"] or pasted["env"] != start["env"]:
        raise AssertionError(outcome)
    # The driver is the editor: it starts the command.
    driver = os.path.join(os.path.dirname(os.path.abspath(__file__)), "clients", "codex-acp.py")
    words = ["prompt", pasted["env"]["CODEX_PATH"], pasted["env"]["CODEX_HOME"], "-", PROMPT]
    ran = subprocess.run(
        [sys.executable, driver, *words], capture_output=True, text=True, timeout=3 * BOUND, cwd=clients,
        env={**variables, **pasted["env"], "CLIENTS_AGENT": json.dumps(start["command"])},
    )
    if ran.returncode != 0:
        raise AssertionError(f"exit code {ran.returncode}: {ran.stderr.strip()[-2000:]}")
    told = json.loads(ran.stdout.strip().splitlines()[-1])
    if numbers(told["text"]) != list(range(5)) or told["status"] != "end_turn" or told["thread"] not in threads():
        raise AssertionError(told)


def unit():
    """systemd finds nothing to complain about in the unit, also with a path that it has to quote."""
    file = os.path.join(folder, "skein.service")
    with open(file, "w") as text:
        text.write(run(skein, "service", "install", "--print", "--home", home))
    verify(file)


def socket():
    """Nor in the socket of docs/operators.md, with a service that takes it over."""
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "docs", "operators.md")) as text:
        document = text.read()
    shown = document.split("`skein.socket`:", 1)[1].split("\nIn the service", 1)[0]
    with open(os.path.join(folder, "skein.socket"), "w") as text:
        text.write("\n".join(line.removeprefix("    ") for line in shown.splitlines()) + "\n")
    service = os.path.join(folder, "skein.service")
    with open(service, "w") as text:
        text.write(f"[Service]\nType=notify\nExecStart={skein} serve --listen systemd://\n")
    verify(os.path.join(folder, "skein.socket"))


def verify(file):
    # A complaint is no failure for systemd-analyze.
    said = subprocess.run(["systemd-analyze", "--user", "verify", file], capture_output=True, text=True, env=variables)
    if said.returncode != 0 or "skein." in said.stderr:
        raise AssertionError(said.stderr)


def steps():
    yield from tui()
    yield "zed, the agent", lambda: agent("zed")
    yield "jetbrains, the agent", lambda: agent("jetbrains")
    yield "service, the unit", unit
    yield "service, the socket", socket


os.makedirs(home, 0o700)
os.mkdir(own)
with open(os.path.join(own, "config.toml"), "w") as config:
    config.write(f'[projects."{folder}"]\ntrust_level = "trusted"\n')
for name, step in steps():
    began = time.monotonic()
    step()
    print(f"{name:22}ok {time.monotonic() - began:.2f} s", flush=True)
until("the end of all processes", lambda: not processes())
print("left: no process")
