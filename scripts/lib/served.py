"""A server of Skein under measurement, and its clients."""

import json, pathlib, subprocess, sys

import websockets


class Client:
    """A connection. It reads only on demand."""

    async def connect(self, url, extensions=None, **options):
        self.count = 0
        self.socket = await websockets.connect(url, max_size=None, compression=None, **options)
        capabilities = {"extensions": extensions} if extensions else {}
        await self.ask("initialize", {"clientInfo": {"name": "bench", "version": "1"}, "capabilities": capabilities})
        return self

    async def ask(self, method, params):
        self.count += 1
        await self.socket.send(json.dumps({"id": self.count, "method": method, "params": params}))
        while True:
            message = json.loads(await self.socket.recv())
            if message.get("id") == self.count and "method" not in message:
                if "error" in message:
                    sys.exit(f"{method}: {message['error']}")
                return message["result"]

    async def turn(self, thread, text):
        """One turn, to its end."""
        await self.ask("turn/start", {"threadId": thread, "input": [{"type": "text", "text": text}]})
        while (message := json.loads(await self.socket.recv())).get("method") != "turn/completed":
            pass
        if (status := message["params"]["turn"]["status"]) != "completed":
            sys.exit(f"the turn {status}: {message['params']['turn'].get('error')}")


class Server:
    def __init__(self, binary, folder):
        self.binary, self.home = binary, pathlib.Path(folder)

    def serve(self, settings="", **options):
        self.home.mkdir(exist_ok=True)
        (self.home / "config.toml").write_text(settings)
        command = [self.binary, "serve", "--home", self.home, "--listen", "ws://127.0.0.1:0"]
        self.process = subprocess.Popen(command, **{"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True, **options})
        self.url = json.loads(self.process.stdout.readline())["address"]

    def end(self):
        if hasattr(self, "process"):
            self.process.terminate()
            self.process.wait(30)
