"""A server of Skein under measurement, and its clients."""

import base64, json, os, pathlib, re, signal, socket, statistics, subprocess, sys, time, urllib.parse

import websockets

# An end by SIGTERM is one like any other: the servers end first.
signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))


def processor(process):
    """Seconds of processor time of a process so far, those of its threads that have ended included."""
    # Linux's number of another process's clock, in nanoseconds; /proc has the same in hundredths of a second.
    return time.clock_gettime((~process << 3) | 2)


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


class RawClient:
    """A connection that parses only the answers whose results are wanted, so that its own work does not bound what it measures."""

    def __init__(self, url):
        at, self.method = urllib.parse.urlsplit(url), "GET /"
        self.socket = socket.create_connection((at.hostname, at.port), timeout=60)
        key = base64.b64encode(os.urandom(16)).decode()
        self.socket.sendall(
            f"GET / HTTP/1.1\r\nHost: {at.netloc}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: {key}\r\n"
            f"Sec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        self.receive(b"\r\n\r\n")
        self.request("initialize", {"clientInfo": {"name": "bench", "version": "1"}})

    def request(self, method, params):
        """Sends one request, and returns all bytes until its answer."""
        self.send(method, params)
        return self.receive(b'"id":1,')

    def answer(self, received):
        """The result of the answer that begins in these bytes, and all bytes until its end."""
        begin = received.index(b'{"id":1,')
        while True:
            try:
                # The next frame may begin behind the answer, with bytes that are no text.
                answer, _ = json.JSONDecoder().raw_decode(received[begin:].decode(errors="replace"))
            except ValueError:
                received += self.piece()
                continue
            if "error" in answer:
                sys.exit(f"{self.method}: {answer['error']}")
            return answer["result"], received

    def result(self, method, params):
        """Sends one request, and returns its result."""
        return self.answer(self.request(method, params))[0]

    def new_thread(self):
        return self.result("thread/start", {})["thread"]["id"]

    def turn(self, thread, text):
        """Sends one turn, and returns all bytes until its end. A turn that does not complete ends in a timeout."""
        self.send("turn/start", {"threadId": thread, "input": [{"type": "text", "text": text}]})
        return self.receive(b'"status":"completed"')

    def send(self, method, params):
        self.method = method
        payload = json.dumps({"id": 1, "method": method, "params": params}).encode()
        # A frame of text whose mask is zero.
        self.socket.sendall(b"\x81\xfe" + len(payload).to_bytes(2, "big") + bytes(4) + payload)

    def receive(self, mark):
        """All bytes until `mark` is among them."""
        pieces, tail = [], b""
        while mark not in tail:
            pieces.append(self.piece())
            tail = tail[-len(mark) :] + pieces[-1]
        return b"".join(pieces)

    def until(self, words, received):
        """Receives until a message has these words in this order, in these bytes or behind them."""
        # A frame of text begins with 0x81, which is in no ASCII text.
        pattern = rb"[^\x81]*".join(re.escape(word.encode()) for word in words)
        while not re.search(pattern, received):
            received += self.piece()

    def piece(self):
        """The next bytes."""
        if not (piece := self.socket.recv(1 << 20)):
            sys.exit(f"{self.method}: the server closed the connection")
        return piece

    def live(self):
        """Sends a sign of life. The server closes a connection that is silent for a minute."""
        # A pong whose mask is zero.
        self.socket.sendall(b"\x8a\x80" + bytes(4))


class Server:
    def __init__(self, binary, folder):
        self.binary, self.home = binary, pathlib.Path(folder)

    def serve(self, settings="", **options):
        self.home.mkdir(exist_ok=True)
        (self.home / "config.toml").write_text(settings)
        command = [self.binary, "serve", "--home", self.home, "--listen", "ws://127.0.0.1:0"]
        log = self.home.with_name(f"{self.home.name}.log")
        with log.open("w") as stderr:
            self.process = subprocess.Popen(command, **{"stdout": subprocess.PIPE, "stderr": stderr, "text": True, **options})
        if not (line := self.process.stdout.readline()):
            last = "\n".join(log.read_text(errors="replace").splitlines()[-10:])
            sys.exit(f"the server of {self.home} does not start:\n{last}")
        self.url = json.loads(line)["address"]

    def processor(self):
        """Seconds of processor time so far."""
        return processor(self.process.pid)

    def switches(self):
        """How often each of its threads has given up a processor so far, of its own accord or not."""
        counts = {}
        for task in pathlib.Path(f"/proc/{self.process.pid}/task").iterdir():
            try:
                fields = dict(line.split(":", 1) for line in (task / "status").read_text().splitlines() if ":" in line)
            except (FileNotFoundError, ProcessLookupError):
                continue
            counts[task.name] = int(fields["voluntary_ctxt_switches"]) + int(fields["nonvoluntary_ctxt_switches"])
        return counts

    def resident(self):
        """Resident memory in MB."""
        with open(f"/proc/{self.process.pid}/status") as status:
            return next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmRSS:"))

    def end(self):
        if hasattr(self, "process"):
            self.process.terminate()
            self.process.wait(30)


def show_medians(names, servers, results, lead="", digits=1):
    """Prints a line for each server: its medians of `results`, which has for each round the figures of each server, and
    the medians of their ratios to the first server."""
    for at, server in enumerate(servers):
        cells = [lead] if lead else []
        for number, name in enumerate(names):
            figure = statistics.median(found[at][number] for found in results)
            ratio = statistics.median(found[at][number] / found[0][number] for found in results)
            cells.append(f"{name} {figure:10.{digits}f}, ratio {ratio:5.3f}")
        print("   ".join([*cells, str(server.binary)]), flush=True)
