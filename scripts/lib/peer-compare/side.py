"""One of the two compared servers: its home, its model, its processes, and its clients."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from model import Model

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from ports import free_port

HERE = os.path.dirname(os.path.abspath(__file__))
# Limit of one answer, seconds.
BOUND = 30
# A step is complete once the server has answered a later request and stays silent for this long.
QUIET = 0.1

CONFIG = """model = "fake-model"
model_provider = "fake"
approval_policy = "on-request"
sandbox_mode = "read-only"
thread_unload_delay_secs = 0

[model_providers.fake]
name = "fake"
base_url = "http://127.0.0.1:{port}/v1"
wire_api = "responses"
request_max_retries = 0
stream_max_retries = 1
supports_websockets = false

[projects."{cwd}"]
trust_level = "trusted"

[mcp_servers.helper]
command = "{python}"
args = ["{helper}"]
"""


class Lost(Exception):
    """An expected message did not come."""


class Client:
    """A connection. It keeps every received message, in order."""

    def __init__(self, side, address):
        self.side, self.heard, self.taken, self.last = side, [], 0, 0
        # The method of each request whose answer is compared.
        self.asked = {}
        self.changed = threading.Condition()
        self.socket = connect(address, max_size=None, compression=None, open_timeout=BOUND)
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        try:
            for text in self.socket:
                with self.changed:
                    self.heard.append(json.loads(text))
                    self.side.spoke = time.monotonic()
                    self.changed.notify_all()
        except ConnectionClosed:
            pass
        with self.changed:
            self.heard.append(None)
            self.changed.notify_all()

    def send(self, message):
        self.socket.send(json.dumps(message))

    def ask(self, method, params, compared=True):
        self.last += 1
        if compared:
            self.asked[self.last] = method
        self.send({"id": self.last, "method": method, **({} if params is None else {"params": params})})
        return self.last

    def call(self, method, params, compared=True):
        """Sends a request, and waits for the answer."""
        number = self.ask(method, params, compared)
        return self.wait(method, lambda said: said.get("id") == number and "method" not in said)

    def wait(self, what, fits, since=0, bound=BOUND):
        """The first matching message from index `since` on."""
        end = time.monotonic() + bound
        with self.changed:
            while True:
                for said in self.heard[since:]:
                    if said is None:
                        raise Lost(f"{self.side.name} has ended the connection before {what}")
                    if fits(said):
                        return said
                since = len(self.heard)
                if not self.changed.wait(end - time.monotonic()) and time.monotonic() > end:
                    raise Lost(f"{self.side.name} does not say within {bound} s: {what}")

    def take(self):
        """The messages since the last call."""
        with self.changed:
            heard, self.taken = self.heard[self.taken :], len(self.heard)
        return [said for said in heard if said is not None]

    def close(self):
        self.socket.close()


class Side:
    """A server that is called `name`. `program` is started as `app-server --listen URL`."""

    def __init__(self, name, program, quiet):
        self.name, self.program, self.quiet = name, program, quiet
        self.folder = tempfile.mkdtemp(prefix=f"compare-{name}-")
        self.home, self.cwd = os.path.join(self.folder, "home"), os.path.join(self.folder, "cwd")
        os.mkdir(self.home, 0o700)
        os.mkdir(self.cwd)
        self.model = Model()
        helper = os.path.join(HERE, "helper.py")
        with open(os.path.join(self.home, "config.toml"), "w") as config:
            config.write(CONFIG.format(port=self.model.port, cwd=self.cwd, python=sys.executable, helper=helper))
        self.clients, self.process, self.spoke = {}, None, 0.0
        self.serve()

    def serve(self):
        variables = {name: value for name, value in os.environ.items() if not name.startswith(("CODEX_", "SKEIN_"))}
        variables |= {"CODEX_HOME": self.home, "RUST_LOG": "warn", "HOME": self.folder}
        self.log = os.path.join(self.folder, "log")
        self.address = f"ws://127.0.0.1:{free_port()}"
        with open(self.log, "a") as log:
            self.process = subprocess.Popen(
                [self.program, "app-server", "--listen", self.address],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=variables, cwd=self.cwd, start_new_session=True,
            )

    def restart(self):
        for client in self.clients.values():
            client.close()
        names, self.clients = list(self.clients), {}
        self.stop()
        self.serve()
        for name in names:
            self.connect(name)

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(BOUND)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass  # no process is left

    def connect(self, name):
        end = time.monotonic() + BOUND
        while True:
            try:
                client = Client(self, self.address)
                break
            except OSError as error:
                if time.monotonic() > end or self.process.poll() is not None:
                    raise Lost(f"{self.name} does not listen: {error}; its log is {self.log}") from error
                time.sleep(0.02)
        self.clients[name] = client
        info = {"name": f"compare-{name}", "title": None, "version": "1.0.0"}
        answer = client.call("initialize", {"clientInfo": info, "capabilities": {"experimentalApi": True}})
        client.send({"method": "initialized"})
        return answer

    def settle(self):
        """Waits until all messages of the current step have come."""
        for client in self.clients.values():
            client.call("thread/loaded/list", {}, compared=False)
        while (since := time.monotonic() - self.spoke) < self.quiet:
            time.sleep(self.quiet - since)

    def close(self):
        for client in self.clients.values():
            client.close()
        self.stop()
        self.model.close()
