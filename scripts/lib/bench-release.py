"""Measures builds of Skein that differ in their release profile, in turns.

`first answer`: from the start of the program to the answer to `initialize`. `deltas/s`: a streamed turn as fast as the server
can, to one subscriber and to fifty that parse nothing. `us/delta`: processor time of the server for a delta that reaches one
of fifty subscribers, at 500 deltas a second. `connection` and `thread`: resident memory of each of 1,000 idle connections and of
each of 200 idle threads. Figures are medians of the rounds, and `ratio` is the median of the ratios to the first build, round
by round. `bytes`: the program without symbols. A build is NAME=PATH, or NAME=PATH=SECONDS with the processor time of its build."""

import argparse, json, os, resource, selectors, statistics, subprocess, tempfile, time

from served import RawClient, Server

SUBSCRIBERS, CONNECTIONS, THREADS, RATE = 50, 1000, 200, 500
NAMES = ["first answer ms", "deltas/s to 1", "deltas/s to 50", "us/delta to 50", "kB/connection", "kB/thread"]
MARK = b'"status":"completed"'


def stream(server, speaker, others, count, rate=""):
    """One turn of a new thread that all subscribe: seconds until the last of them has its end, and processor seconds."""
    thread = speaker.new_thread()
    speaker.turn(thread, "hello")
    for other in others:
        other.request("thread/resume", {"threadId": thread, "excludeTurns": True})
    began, before = time.perf_counter(), server.processor()
    speaker.send("turn/start", {"threadId": thread, "input": [{"type": "text", "text": f"/stream {count} 20 {rate}"}]})
    with selectors.DefaultSelector() as ready:
        tails = {client.socket: b"" for client in [speaker, *others]}
        for socket in tails:
            ready.register(socket, selectors.EVENT_READ)
        while tails:
            for key, _ in ready.select(60) or exit("a stream has no end"):
                piece = key.fileobj.recv(1 << 20) or exit("the server closed a connection")
                tails[key.fileobj] = tails[key.fileobj][-len(MARK) :] + piece
                if MARK in tails[key.fileobj]:
                    ready.unregister(key.fileobj)
                    del tails[key.fileobj]
    found = time.perf_counter() - began, server.processor() - before
    for other in others:
        other.request("thread/unsubscribe", {"threadId": thread})
    return found


def measure(binary, deltas):
    """The figures of one build, in the order of NAMES."""
    with tempfile.TemporaryDirectory() as folder:
        server = Server(binary, f"{folder}/home")
        try:
            began = time.perf_counter()
            server.serve()
            speaker = RawClient(server.url)
            answered = 1000 * (time.perf_counter() - began)
            alone = deltas / stream(server, speaker, [], deltas)[0]
            others = [RawClient(server.url) for _ in range(SUBSCRIBERS - 1)]
            shared = deltas / stream(server, speaker, others, deltas)[0]
            paced = 1e6 * stream(server, speaker, others, 2 * RATE, RATE)[1] / (2 * RATE * SUBSCRIBERS)
            before = server.resident()
            idle = [RawClient(server.url) for _ in range(CONNECTIONS)]
            connection = 1024 * (server.resident() - before) / len(idle)
            before = server.resident()
            for _ in range(THREADS):
                speaker.turn(speaker.new_thread(), "a few words")
            thread = 1024 * (server.resident() - before) / THREADS
            return answered, alone, shared, paced, connection, thread
        finally:
            server.end()


def stripped(binary):
    """Bytes of the program without symbols."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["strip", "-o", f"{folder}/skein", binary], check=True)
        return os.path.getsize(f"{folder}/skein")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--deltas", type=int, default=20000)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("builds", nargs="+")
    given = parser.parse_args()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    builds = [build.split("=") for build in given.builds]
    # The first round does not count.
    rounds = [[measure(binary, given.deltas) for _, binary, *_ in builds] for _ in range(given.rounds + 1)][1:]
    rows = []
    for at, (name, binary, *seconds) in enumerate(builds):
        row = {"build": name, "build seconds": float(seconds[0]) if seconds else None, "bytes": stripped(binary)}
        for number, figure in enumerate(NAMES):
            ratio = statistics.median(found[at][number] / found[0][number] for found in rounds)
            row[figure] = {"median": statistics.median(found[at][number] for found in rounds), "ratio": ratio}
        rows.append(row)
    if given.json:
        return print(json.dumps({"rounds": given.rounds, "builds": rows}))
    print("| build | seconds of a processor | MB | " + " | ".join(NAMES) + " |")
    print("| --- " * (3 + len(NAMES)) + "|")
    for row in rows:
        seconds = "" if row["build seconds"] is None else f"{row['build seconds']:.0f}"
        cells = [f"{row[name]['median']:,.1f} ({row[name]['ratio']:.2f})" for name in NAMES]
        print(f"| {row['build']} | {seconds} | {row['bytes'] / 1e6:.1f} | " + " | ".join(cells) + " |", flush=True)


main()
