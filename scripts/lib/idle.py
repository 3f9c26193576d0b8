"""Counts the wake-ups of an idle server: how often its threads have waited, by the kernel's count."""

import argparse, asyncio, collections, json, os, pathlib, sys, tempfile

from served import Client, Server

# Above this a laptop's processor hardly sleeps. Pings and heartbeats need less than one.
MOST = 2.0
# Seconds until the background work after a start and a turn is over.
SETTLES = 10


def waits(server):
    """How often each thread has waited so far."""
    counts = {}
    for task in pathlib.Path(f"/proc/{server.process.pid}/task").iterdir():
        fields = dict(line.split(":", 1) for line in (task / "status").read_text().splitlines() if ":" in line)
        counts[task.name] = (fields["Name"].strip(), int(fields["voluntary_ctxt_switches"]))
    return counts


async def count(server, seconds):
    """Wake-ups per second, over all threads of a name."""
    await asyncio.sleep(SETTLES)
    before = waits(server)
    await asyncio.sleep(seconds)
    rates = collections.Counter()
    for task, (name, now) in waits(server).items():
        rates[name.rstrip("0123456789")] += (now - before.get(task, (name, 0))[1]) / seconds
    return rates


async def client_with_thread(server):
    # It gets heartbeats, and sends no pings of its own.
    client = await Client().connect(server.url, extensions={"skein/events": {"version": 1}}, ping_interval=None)
    thread = (await client.ask("thread/start", {}))["thread"]["id"]
    await client.turn(thread, "a few words")
    # It reads everything: pings are answered and heartbeats received.
    client.reads = asyncio.create_task(drain(client.socket))
    return client


async def drain(socket):
    async for _ in socket:
        pass


async def measure(binary, given):
    with tempfile.TemporaryDirectory() as folder:
        server = Server(binary, f"{folder}/home")
        try:
            server.serve()
            nobody = await count(server, given.seconds)
            clients = [await client_with_thread(server) for _ in range(given.clients)]
            beside = await count(server, given.seconds)
            for client in clients:
                await client.socket.close()
            return [(0, nobody), (given.clients, beside)]
        finally:
            server.end()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--clients", type=int, default=20)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("binaries", nargs="*", default=[os.environ["SKEIN_BINARY"]])
    given = parser.parse_args()
    busy = False
    for binary in given.binaries:
        for clients, rates in asyncio.run(measure(binary, given)):
            total = sum(rates.values())
            busy |= total > MOST
            shown = {name: round(rate, 2) for name, rate in rates.most_common() if rate >= 0.01}
            if given.json:
                print(json.dumps({"binary": binary, "clients": clients, "wakeUpsPerSecond": round(total, 2), "threads": shown}), flush=True)
            else:
                told = ", ".join(f"{name} {rate}" for name, rate in shown.items())
                print(f"{clients:4} clients: {total:6.2f} wake-ups/s ({told})  {binary}", flush=True)
    if busy:
        sys.exit(f"idle: more than {MOST} wake-ups a second")
    print("idle: ok", file=sys.stderr)


main()
