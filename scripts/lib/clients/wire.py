"""Runs between a client and Skein, and records every message for scripts/lib/peer-conformance.mjs.

usage: wire.py streams TRANSCRIPT ENDS CODEX ARGUMENT...    in the place of `codex`; records the messages of its
                                                            `app-server`, also of one with `--listen unix://PATH`, and
                                                            writes its id and its exit code to ENDS
       wire.py websocket TRANSCRIPT SERVER LISTEN HOLD      in front of a server, both ws://HOST:PORT or unix://PATH;
                                                            prints {"address"}. While the file HOLD exists, the end of
                                                            a turn and everything after it wait until the client has
                                                            added a message to that turn

A client's messages may have any shape ("free"); the answers may not."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading

LISTEN = "--listen"
SOCKET = "unix://"
WAY = {"c2s": {"dir": "c2s", "free": True}, "s2c": {"dir": "s2c"}}


class Transcript:
    """A file with several writers: each line is one write."""

    def __init__(self, path):
        self.file = os.open(path, os.O_WRONLY | os.O_APPEND)

    def write(self, connection, way, text):
        try:
            said = {"msg": json.loads(text)}
        except ValueError:
            said = {"raw": str(text)}
        os.write(self.file, json.dumps({"conn": connection, **WAY[way], **said}).encode() + b"\n")


def streams(transcript, ends, command):
    if "app-server" not in command:
        os.execvp(command[0], command)
    at = command.index(LISTEN) + 1 if LISTEN in command else 0
    if at and command[at].startswith(SOCKET):
        return asyncio.run(socket(transcript, ends, command, at))
    server = started(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def carry(source, sink, way):
        for line in source:
            transcript.write(f"streams-{os.getpid()}", way, line.decode())
            try:
                sink.write(line)
                sink.flush()
            except OSError:
                break
        try:
            sink.close()
        except OSError:
            pass  # the other end is gone, and the data in transit is lost

    threading.Thread(target=carry, args=(sys.stdin.buffer, server.stdin, "c2s"), daemon=True).start()
    outward = threading.Thread(target=carry, args=(server.stdout, sys.stdout.buffer, "s2c"), daemon=True)
    outward.start()
    server.wait()
    outward.join(1)
    ended(server, ends)


def started(command, **pipes):
    """A server. A client that ends this program also ends the server."""
    server = subprocess.Popen(command, **pipes)
    signal.signal(signal.SIGTERM, lambda *_: server.terminate())
    signal.signal(signal.SIGINT, lambda *_: server.terminate())
    return server


def ended(server, ends):
    """Ends this program as its server has ended."""
    code = server.returncode
    with open(ends, "a") as file:
        file.write(f"{server.pid} {code}\n")
    # Python would wait for the thread that reads from a silent client.
    os._exit(code if code >= 0 else 128 - code)


async def socket(transcript, ends, command, at):
    """A server that listens on a socket beside the one that its client has chosen, with this program between the two."""
    near = command[at].removeprefix(SOCKET)
    far = f"{near}.server"
    server = started([*command[:at], SOCKET + far, *command[at + 1 :]])
    link = Link(transcript, SOCKET + far, EndOfTurn(), f"socket-{os.getpid()}")
    listening = None
    while server.poll() is None:
        if listening is None and os.path.exists(far):
            listening = await listener(link.handle, SOCKET + near)
        await asyncio.sleep(0.02)
    if listening:
        os.unlink(near)
    ended(server, ends)


class EndOfTurn:
    """Holds messages of the server from the end of a turn on, once, until a message of the client has crossed that end: while the
    file exists, if there is one."""

    def __init__(self, file=None):
        self.file, self.crossed = file, asyncio.Event()

    async def sent(self, text):
        if '"turn/steer"' in text:
            self.crossed.set()

    async def received(self, text):
        if '"turn/completed"' in text and self.file and os.path.exists(self.file):
            await self.crossed.wait()


def connection(server, request):
    """A connection to the server with the path and the credential of a client's request."""
    from websockets.asyncio.client import connect, unix_connect

    given = {name: request.headers[name] for name in ("Authorization",) if name in request.headers}
    options = {"max_size": None, "compression": None, "user_agent_header": None, "additional_headers": given}
    if server.startswith(SOCKET):
        return unix_connect(server.removeprefix(SOCKET), uri=f"ws://localhost{request.path}", **options)
    return connect(server + request.path, **options)


def listener(handle, listen):
    from websockets.asyncio.server import serve, unix_serve

    options = {"max_size": None, "compression": None}
    if listen.startswith(SOCKET):
        return unix_serve(handle, listen.removeprefix(SOCKET), **options)
    return serve(handle, "127.0.0.1", 0, **options)


class Link:
    """Carries the messages between the clients of a listener and the server."""

    def __init__(self, transcript, server, end, name):
        self.transcript, self.server, self.end, self.name, self.count = transcript, server, end, name, 0

    async def carry(self, source, sink, name, way, passes):
        async for text in source:
            await passes(text)
            self.transcript.write(name, way, text)
            await sink.send(text)

    async def handle(self, client):
        from websockets.exceptions import WebSocketException

        self.count += 1
        name = f"{self.name}-{self.count}"
        try:
            async with connection(self.server, client.request) as far:
                ways = [self.carry(client, far, name, "c2s", self.end.sent), self.carry(far, client, name, "s2c", self.end.received)]
                tasks = [asyncio.ensure_future(way) for way in ways]
                await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
                # A killed server leaves a connection without a close frame.
                if far.close_code == 1006:
                    client.transport.abort()
        except (OSError, WebSocketException):
            client.transport.abort()


async def websocket(transcript, server, listen, hold):
    async with listener(Link(transcript, server, EndOfTurn(hold), "websocket").handle, listen) as listening:
        at = listening.sockets[0].getsockname()
        address = listen if listen.startswith(SOCKET) else f"ws://127.0.0.1:{at[1]}"
        print(json.dumps({"address": address}), flush=True)
        await asyncio.get_running_loop().create_future()


if __name__ == "__main__":
    kind, path, *rest = sys.argv[1:]
    if kind == "streams":
        streams(Transcript(path), rest[0], rest[1:])
    else:
        asyncio.run(websocket(Transcript(path), *rest))
