"""Watches the memory of one or more builds of Skein over two bursts, side by side.

`read`: eight clients read a thread of 14 MB three times each, and leave. `deaf`: clients subscribe to a thread, do not read
its turn's notifications, and leave. The figures are resident megabytes: before, at the peak, and 30 s after. Each burst has
a new server, which was idle before it. `--idle` loads so many threads instead, with a turn each, and prints what one of
them holds: medians of several rounds, and their ratio to the first build. The environment is passed on, so that LD_PRELOAD measures another allocator."""

import argparse, asyncio, resource, statistics, tempfile, time

from served import Client, RawClient, Server


async def at_rest(server):
    """A new server, with everything open that it always has open."""
    server.end()
    server.serve()
    client = await Client().connect(server.url)
    await client.ask("thread/list", {})
    await client.socket.close()
    return server.resident()


async def watch(server, burst):
    """The peak memory during the burst."""
    most, task = 0, asyncio.create_task(burst)
    while not task.done():
        most = max(most, server.resident())
        await asyncio.wait([task], timeout=0.05)
    await task
    return most


async def reads(server, thread):
    clients = [await Client().connect(server.url) for _ in range(8)]
    for _ in range(3):
        await asyncio.gather(*(client.ask("thread/read", {"threadId": thread, "includeTurns": True}) for client in clients))
    for client in clients:
        await client.socket.close()


async def deaf(server, thread, count):
    speaker = await Client().connect(server.url)
    await speaker.ask("thread/resume", {"threadId": thread})
    clients = [await Client().connect(server.url, max_queue=1, ping_interval=None) for _ in range(count)]
    for client in clients:
        await client.ask("thread/resume", {"threadId": thread, "excludeTurns": True})
        client.socket.transport.pause_reading()
    await speaker.turn(thread, "/stream 100 8000 100")
    for client in clients:
        client.socket.transport.abort()
    await speaker.ask("skein/thread/unload", {"threadId": thread, "force": True})
    await speaker.socket.close()


async def measure(server, given):
    server.serve()
    client = await Client().connect(server.url)
    large, small = [(await client.ask("thread/start", {}))["thread"]["id"] for _ in range(2)]
    for _ in range(12):
        await client.turn(large, "/stream 20 60000")
    await client.turn(small, "a few words")
    for name, burst in (("read", lambda: reads(server, large)), ("deaf", lambda: deaf(server, small, given.clients))):
        before = await at_rest(server)
        most = await watch(server, burst())
        await asyncio.sleep(30)
        after = server.resident()
        print(f"{name:5} {before:8.1f} {most:8.1f} {after:8.1f} {after / before:6.2f}  {server.binary}", flush=True)


def idle(binary, count):
    """Resident kilobytes for each of `count` idle threads of a new server."""
    with tempfile.TemporaryDirectory() as folder:
        server = Server(binary, f"{folder}/home")
        try:
            server.serve()
            client = RawClient(server.url)
            for number in range(10 + count):
                if number == 10:
                    before = server.resident()
                client.turn(client.new_thread(), "a few words")
            time.sleep(2)
            return 1024 * (server.resident() - before) / count
        finally:
            server.end()


def compare_idle(given):
    rounds = [[idle(binary, given.idle) for binary in given.binaries] for _ in range(given.rounds)]
    print(f"kB for each of {given.idle} idle threads (medians of {given.rounds})")
    for at, binary in enumerate(given.binaries):
        ratio = statistics.median(found[at] / found[0] for found in rounds)
        print(f"{statistics.median(found[at] for found in rounds):8.1f}   ratio {ratio:5.3f}   {binary}")


async def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--clients", type=int, default=1500)
    parser.add_argument("--idle", type=int)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("binaries", nargs="+")
    given = parser.parse_args()
    if given.idle:
        return compare_idle(given)
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    print(f"{'burst':5} {'before':>8} {'most':>8} {'after':>8} {'ratio':>6}  binary (MB)")
    for binary in given.binaries:
        with tempfile.TemporaryDirectory() as folder:
            server = Server(binary, f"{folder}/home")
            try:
                await measure(server, given)
            finally:
                server.end()


asyncio.run(main())
