"""The surroundings of the clients: a home of Skein with two helpers, a server for clients that connect to one, and its
processes."""

import json
import os
import signal
import subprocess
import sys
import time
import uuid

HERE = os.path.dirname(os.path.abspath(__file__))
# Limit of every wait, seconds. Some clients start an interpreter and load hundreds of types.
BOUND = 60
# Limit for the end of a killed process, seconds.
KILLED = 5
MARK = "SKEIN_CLIENTS_MARK"
# How a client connects to a server, and the variable with the token of one that sends it.
WEBSOCKET, UNIX, TOKEN = "websocket", "unix", "token"
TOKEN_VARIABLE = "SKEIN_CLIENTS_TOKEN"


class Programs:
    """Our programs: Skein, Skein under the name codex, and a helper."""

    def __init__(self, skein, codex, helper):
        self.skein, self.codex, self.helper = skein, codex, helper


class Home:
    """A home with one running client. Every process of it has the same tag, whatever its parent is. Every message between client
    and server is in `transcript`, which scripts/lib/peer-conformance.mjs reads. Nothing runs before `begin`."""

    def __init__(self, folder, programs, connects):
        self.path, self.mark, self.programs = os.path.join(folder, "home"), uuid.uuid4().hex, programs
        self.connects, self.codex = connects, os.path.join(folder, "codex")
        self.transcript = os.path.join(folder, "transcript")
        self.log = os.path.join(folder, "server.log")
        # While this file exists, the end of a turn waits: see wire.py.
        self.hold = os.path.join(folder, "hold")
        # The browser's profile.
        self.profile = os.path.join(folder, "profile")
        # Exit codes of servers that clients started: wire.py writes a line for each.
        self.codes = os.path.join(folder, "ends")
        for empty in (self.transcript, self.codes):
            open(empty, "w").close()
        os.mkdir(self.path, 0o700)
        with open(os.path.join(self.path, "config.toml"), "w") as config:
            config.write(helper("helper", programs.helper, self.mark) + 'default_tools_approval_mode = "approve"\n')
            config.write(helper("asks", programs.helper, self.mark) + 'default_tools_approval_mode = "prompt"\n')
            if connects == TOKEN:
                # A token has the access `chat`, whose paths lie in these folders.
                config.write(f'[auth]\nlocal = "token"\n[browser]\nroots = [{json.dumps(folder)}]\n')
        self.server = self.between = None
        self.port = 0
        self.killed = []

    def begin(self):
        """Starts the server for the client to connect to, or prepares the program that the client starts."""
        if self.connects:
            self.serve()
            listen = f"unix://{self.path}-between.sock" if self.connects == UNIX else "ws://127.0.0.1:0"
            words = ["wire.py", "websocket", self.transcript, self.door(), listen, self.hold]
            self.between = self.python(words, stdout=subprocess.PIPE)
            self.codex = self.address_of("wire.py", self.between)
        else:
            with open(self.codex, "w") as script:
                words = [sys.executable, os.path.join(HERE, "wire.py"), "streams", self.transcript, self.codes, self.programs.codex]
                script.write("#!/bin/sh\nexec " + " ".join(f"'{word}'" for word in words) + ' "$@"\n')
            os.chmod(self.codex, 0o755)

    def door(self):
        """The address of the server for this client."""
        return f"unix://{self.path}/control.sock" if self.connects == UNIX else self.address

    def token(self):
        """A new token of the server, whose local programs need one."""
        command = [self.programs.skein, "token", "create", "client", "--home", self.path]
        ran = subprocess.run(command, env=self.variables(), capture_output=True, text=True, timeout=BOUND)
        if ran.returncode != 0:
            raise AssertionError(f"no token: {ran.stderr.strip()}")
        return ran.stdout.strip()

    def address_of(self, what, process):
        """The address that a program prints once it listens."""
        said = process.stdout.readline()
        if not said:
            log = self.logged() if process is self.server else ""
            raise AssertionError(f"{what} did not start: exit code {process.wait(BOUND)}{log}")
        return json.loads(said)["address"]

    def logged(self):
        """The end of the server's log, for a failure."""
        with open(self.log) as log:
            return "\n  | ".join(["; its log:", *log.read().splitlines()[-20:]])

    def python(self, arguments, **pipes):
        command = [sys.executable, os.path.join(HERE, arguments[0]), *arguments[1:]]
        return subprocess.Popen(command, text=True, env=self.variables(), **pipes)

    def variables(self):
        return {**os.environ, MARK: self.mark, "NO_COLOR": "1"}

    def serve(self):
        """Starts the server, on its earlier port if it had one."""
        listen = f"ws://127.0.0.1:{self.port}"
        command = [self.programs.skein, "serve", "--home", self.path, "--listen", listen]
        with open(self.log, "a") as log:
            pipes = {"stdout": subprocess.PIPE, "stderr": log, "text": True, "env": self.variables()}
            self.server = subprocess.Popen(command, **pipes)
        self.address = self.address_of("the server", self.server)
        self.port = int(self.address.rsplit(":", 1)[1])

    def kill_servers(self):
        """kill -9, also of servers that clients started."""
        for server in until("a server", self.servers):
            self.killed.append(server)
            os.kill(server, signal.SIGKILL)
        if self.server:
            self.server.wait(BOUND)
            self.server = None

    def close(self):
        """Stops all programs of this home in order, and kills those that do not stop."""
        for process in (self.server, self.between):
            if process:
                process.terminate()
                try:
                    process.wait(BOUND)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()

    def kill_all(self):
        """Kills all living processes of this home."""
        for process in self.processes():
            try:
                os.kill(process, signal.SIGKILL)
            except ProcessLookupError:
                pass  # it has just ended
        self.close()

    def ended_well(self):
        """Checks that each server exited with 0, except for those killed here."""
        if self.server and self.server.returncode != 0:
            raise AssertionError(f"the server has ended with {self.server.returncode}{self.logged()}")
        with open(self.codes) as lines:
            codes = [map(int, line.split()) for line in lines]
        if wrong := [code for server, code in codes if code != 0 and server not in self.killed]:
            raise AssertionError(f"servers have ended with {wrong}")

    def start(self, client, step, thread="-", text="-"):
        command = [*client, step, self.codex, self.path, thread, text]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        return subprocess.Popen(command, env=self.variables(), start_new_session=True, **pipes)

    def stop(self, client):
        """Kills a client with its children, which also hold its pipes."""
        os.killpg(client.pid, signal.SIGKILL)
        try:
            client.communicate(timeout=KILLED)
        except subprocess.TimeoutExpired:
            client.wait(KILLED)  # a process that left its session still holds the pipes; its tag identifies it

    def run(self, *arguments):
        """Runs a client to its end. Returns its last line."""
        ran = self.start(*arguments)
        try:
            said, errors = ran.communicate(timeout=BOUND)
        except subprocess.TimeoutExpired:
            self.stop(ran)
            raise
        if ran.returncode != 0:
            raise AssertionError(f"exit code {ran.returncode}: {errors.strip()[-2000:]}")
        return json.loads(said.strip().splitlines()[-1])

    def processes(self):
        """All living processes of this home, whatever their parent is. A browser overwrites its variables."""
        pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]
        mark, profile = f"{MARK}={self.mark}".encode(), self.profile.encode()
        ours = lambda pid: mark in read(pid, "environ").split(b"\0") or profile in read(pid, "cmdline")
        return [pid for pid in pids if ours(pid)]

    def helpers(self):
        """Processes of helpers. They have only the configured variables, and a few that every program has."""
        return [pid for pid in self.processes() if self.programs.helper.encode() in read(pid, "cmdline").split(b"\0")[:1]]

    def servers(self):
        words = {pid: read(pid, "cmdline").split(b"\0") for pid in self.processes()}
        ours = [os.path.basename(program).encode() for program in (self.programs.codex, self.programs.skein)]
        serves = lambda line: os.path.basename(line[0]) in ours and line[1:2] in ([b"app-server"], [b"serve"])
        return [pid for pid, line in words.items() if serves(line)]

    def requested(self, method, since=0):
        """Params of clients' requests with this method, from this line of the transcript on."""
        entries = [entry for entry in self.entries(since) if entry["dir"] == "c2s"]
        return [entry["msg"]["params"] for entry in entries if entry.get("msg", {}).get("method") == method]

    def said(self, method, since=0):
        """Params of the server's messages with this method, from this line of the transcript on."""
        entries = [entry for entry in self.entries(since) if entry["dir"] == "s2c"]
        return [entry["msg"]["params"] for entry in entries if entry.get("msg", {}).get("method") == method]

    def answers(self, thread, since):
        """The server's answers about a thread before a prompt, from this line of the transcript on."""
        asked, results = set(), []
        for entry in self.entries(since):
            message = entry.get("msg", {})
            key = (entry["conn"], message.get("id"))
            if entry["dir"] == "c2s" and message.get("method") == "turn/start":
                break
            if entry["dir"] == "c2s" and (message.get("params") or {}).get("threadId") == thread:
                asked.add(key)
            elif entry["dir"] == "s2c" and "method" not in message and key in asked:
                results.append(message.get("result") or {})
        return results

    def ends(self, thread, turn):
        """The status with which a turn has ended, as the thread's history has it; nothing while it runs."""
        command = [self.programs.skein, "export", "--home", self.path, thread]
        records = [json.loads(line) for line in subprocess.check_output(command, env=self.variables()).splitlines()]
        return [it["status"] for it in records if it["type"] == "turn.completed" and it["turnId"] == turn]

    def entries(self, since=0):
        with open(self.transcript) as lines:
            return [json.loads(line) for line in lines.readlines()[since:] if line.endswith("\n")]


def helper(name, program, mark):
    table = f"[mcp_servers.{name}]\ncommand = {json.dumps(program)}\n"
    return table + f'env = {{ {MARK} = "{mark}" }}\n'


def read(pid, file):
    try:
        with open(f"/proc/{pid}/{file}", "rb") as found:
            return found.read()
    except OSError:
        return b""


def until(what, true, bound=BOUND):
    """Polls until it is true. Raises an error that names `what` after the limit, seconds."""
    end = time.monotonic() + bound
    while not (found := true()):
        if time.monotonic() > end:
            raise AssertionError(f"not within {bound} s: {what}")
        time.sleep(0.02)
    return found
