"""Runs clients that others have written for the Codex app-server against `skein` by the name of `codex`, and prints a table.

Called by scripts/clients with the folders of the packages in CLIENTS_PYTHON and CLIENTS_NPM. Every step is a program of its
own, as its user would run it, so a server starts and ends with each."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import uuid

HERE = os.path.dirname(os.path.abspath(__file__))
PYTHON = os.path.join(os.environ["CLIENTS_PYTHON"], "bin", "python")
# The most that any step may take, seconds. Some start an interpreter and load hundreds of types.
BOUND = 60
CLIENTS = {
    "openai-codex 0.163.0 (PyPI)": [PYTHON, os.path.join(HERE, "openai-codex.py")],
    "codex-app-server-client 0.1.0 (PyPI)": [PYTHON, os.path.join(HERE, "codex-app-server-client.py")],
    "codex-sdk-python 0.117.0 (PyPI)": [PYTHON, os.path.join(HERE, "codex-sdk-python.py")],
    "@agentclientprotocol/codex-acp 2.6.0 (npm)": [PYTHON, os.path.join(HERE, "codex-acp.py")],
    "ai-sdk-provider-codex-app-server 1.1.7 (npm)": ["node", os.path.join(HERE, "ai-sdk.mjs")],
}
STEPS = ["prompt", "MCP tool", "list", "resume", "kill -9", "left"]
# The model without a network streams five numbered pieces, 10 a second. A turn that is over within milliseconds is lost on
# some clients, which wait for the end of a turn whose id they do not know yet, with Codex as well.
PROMPT = "/stream 5 8 10"
# Two calls at once, of which one takes a while for the same reason.
CALLS = '/tool helper pid\n/tool helper sleep {"ms": 500}'
# What a client does not offer, or is not asked for here.
WITHOUT = {
    ("codex-app-server-client 0.1.0 (PyPI)", "list"),
    ("@agentclientprotocol/codex-acp 2.6.0 (npm)", "list"),
    ("ai-sdk-provider-codex-app-server 1.1.7 (npm)", "list"),
}


class Home:
    """A home with one helper, whose processes carry a mark of ours."""

    def __init__(self, folder, codex, helper):
        self.path, self.codex, self.mark = os.path.join(folder, "home"), codex, uuid.uuid4().hex
        os.mkdir(self.path, 0o700)
        with open(os.path.join(self.path, "config.toml"), "w") as config:
            config.write(f"[mcp_servers.helper]\ncommand = {json.dumps(helper)}\n")
            config.write(f'env = {{ CLIENTS_MARK = "{self.mark}" }}\n')

    def start(self, client, step, thread="-", text="-"):
        command = [*client, step, self.codex, self.path, thread, text]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def run(self, *arguments):
        ran = self.start(*arguments)
        try:
            said, errors = ran.communicate(timeout=BOUND)
        except subprocess.TimeoutExpired:
            ran.kill()
            ran.communicate()
            raise
        if ran.returncode != 0:
            raise AssertionError(f"exit code {ran.returncode}: {errors.strip()[-2000:]}")
        return json.loads(said.strip().splitlines()[-1])

    def helpers(self):
        """Processes of helpers that live."""
        return [pid for pid in processes() if f"CLIENTS_MARK={self.mark}".encode() in read(pid, "environ").split(b"\0")]

    def servers(self):
        """The servers of this home that clients have started."""
        mine = lambda pid: f"CODEX_HOME={self.path}".encode() in read(pid, "environ").split(b"\0")
        return [pid for pid in processes() if mine(pid) and b"app-server" in read(pid, "cmdline").split(b"\0")]


def processes():
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def read(pid, file):
    try:
        with open(f"/proc/{pid}/{file}", "rb") as found:
            return found.read()
    except OSError:
        return b""


def until(what, true):
    end = time.monotonic() + BOUND
    while not (found := true()):
        if time.monotonic() > end:
            raise AssertionError(f"not within {BOUND} s: {what}")
        time.sleep(0.02)
    return found


def streamed(text):
    found = "".join(letter for letter in text or "" if letter.isdigit())
    # Some pass over a piece that comes before they know the turn's id. What was streamed later has to be there.
    if found not in ("01234", "1234"):
        raise AssertionError(f"{text!r} is not what was streamed")


def equal(found, wanted):
    if found != wanted:
        raise AssertionError(f"{found!r} instead of {wanted!r}")


def steps(home, client):
    """Each step by its name, in order; each builds on those before it."""
    thread = None

    def known():
        if thread is None:
            raise AssertionError("there is no thread: the first step has failed")
        return thread

    def prompt():
        nonlocal thread
        answer = home.run(client, "prompt", "-", PROMPT)
        streamed(answer["text"])
        thread = answer["thread"]

    def tool():
        answer = home.run(client, "prompt", "-", CALLS)
        if not (answer["text"] or "-").split()[0].isdigit():
            raise AssertionError(f"{answer['text']!r} is not the helper's pid")

    def listed():
        if known() not in home.run(client, "list")["threads"]:
            raise AssertionError(f"{thread} is not in the list")

    def resume():
        answer = home.run(client, "resume", known(), PROMPT)
        equal(answer["thread"], thread)
        streamed(answer["text"])

    def kill():
        hangs = home.start(client, "resume", known(), "/tool helper hang")
        until("a helper at work", home.helpers)
        for server in until("a server", home.servers):
            os.kill(server, signal.SIGKILL)
        try:
            hangs.communicate(timeout=5)
        except subprocess.TimeoutExpired:
            # Some wait for ever for a server that is gone.
            hangs.kill()
            hangs.communicate()
        until("the end of the helpers", lambda: not home.helpers())
        streamed(home.run(client, "resume", thread, PROMPT)["text"])

    def left():
        until("the end of the servers", lambda: not home.servers())
        equal(home.helpers(), [])

    return dict(zip(STEPS, [prompt, tool, listed, resume, kill, left]))


def main():
    codex, helper = sys.argv[1:3]
    failures = []
    print(f"{'client':<46}" + "".join(f"{step:>10}" for step in STEPS), flush=True)
    for name, client in CLIENTS.items():
        print(f"{name:<46}", end="", flush=True)
        with tempfile.TemporaryDirectory(prefix="skein-clients-") as folder:
            home = Home(folder, codex, helper)
            for step, run in steps(home, client).items():
                word = "-" if (name, step) in WITHOUT else "ok"
                try:
                    if word == "ok":
                        run()
                except (AssertionError, OSError, subprocess.SubprocessError, ValueError, KeyError) as error:
                    failures.append(f"{name}, {step}: {error}")
                    word = "FAILED"
                print(f"{word:>10}", end="", flush=True)
            # Only after a failure there is any; they were started here.
            for server in home.servers():
                os.kill(server, signal.SIGKILL)
        print(flush=True)
    print("- the client does not offer it, or is not asked for it")
    for failure in failures:
        print(f"\n{failure}")
    print(f"clients: {'FAILED' if failures else 'ok'}")
    sys.exit(1 if failures else 0)


main()
