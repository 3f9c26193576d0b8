"""Loads servers on loopback, and measures the answers to one client without and with the load.

The client asks for two things in turns: the loaded threads, which are answered from memory, and a page of threads, from the disk.
Every two seconds it asks for a new thread, which every connection hears of. Each phase of a build takes `--seconds`,
and the pings alone are measured for 40 s:

- `quiet`: the client alone.
- `control`: beside processes that keep every processor busy and never talk to the server, as the load does: each wait for a
  processor may take a tick of the kernel.
- `idle`: beside connections that only answer pings. Memory of a connection, and processor time of the server, come from here.
- `loaded`: beside new connections, a client that asks and never reads, and a client that floods.

The table has the 99th percentile of `idle` in proportion to `quiet`, and that of `loaded` to `control`.

The load comes from processes of its own. Everything ends with the script, and talks to 127.0.0.1 only."""

import argparse, json, math, multiprocessing, os, resource, select, socket, statistics, subprocess, sys, tempfile, time

from served import RawClient, Server

# Two intervals of `connections.ping`: clients that came together are pinged together, so a part of an interval has too few or too
# many pings.
PINGS_SECONDS = 40
# Seconds from one new thread to the next. Its announcements to 10,000 connections take a processor half a second.
NEW_THREADS = 2
PHASES = ["quiet", "control", "idle", "loaded"]
# The phase that another one is compared with.
COMPARED = {"quiet": "quiet", "control": "quiet", "idle": "quiet", "loaded": "control"}
ASKED = [("loaded threads", "thread/loaded/list", {}), ("page of threads", "thread/list", {}), ("new thread", "thread/start", {})]
PONG = b"\x8a\x80" + bytes(4)


def idle(url, number, opened, stop):
    """Opens connections, and answers their pings until `stop`."""
    poll, sockets = select.epoll(), {}
    while not stop.is_set():
        if len(sockets) < number:
            link = RawClient(url).socket
            link.setblocking(False)
            sockets[link.fileno()] = link
            poll.register(link, select.EPOLLIN)
            opened.value = len(sockets)
        for descriptor, _ in poll.poll(0 if len(sockets) < number else 0.2):
            link = sockets[descriptor]
            try:
                received = link.recv(1 << 16)
                # Nothing but pings and notifications comes; a pong too many does no harm.
                link.send(PONG) if received else poll.unregister(link)
            except (BlockingIOError, ConnectionError):
                pass


def connects(url, rate, done, stop):
    """Opens and closes so many connections a second, or as many as it can."""
    due = time.perf_counter()
    while not stop.is_set():
        RawClient(url).socket.close()
        done.value += 1
        due += 1 / rate
        time.sleep(max(0, due - time.perf_counter()))


def mute(url, asked, stop):
    """Asks for pages, and reads no answer."""
    link = RawClient(url)
    link.socket.settimeout(0.2)
    while not stop.is_set():
        try:
            link.send("thread/list", {"limit": 100})
            asked.value += 1
        except TimeoutError:
            pass
        except ConnectionError:
            # 1013: the server has closed it, as it should.
            link = RawClient(url)
            link.socket.settimeout(0.2)


def flood(url, answered, stop):
    """Asks without a pause, with 32 requests on their way."""
    link = RawClient(url)
    for _ in range(32):
        link.send("thread/loaded/list", {})
    while not stop.is_set():
        answers = link.socket.recv(1 << 20).count(b'"id":1,')
        answered.value += answers
        for _ in range(answers):
            link.send("thread/loaded/list", {})


def busy(_, stop):
    """Keeps a processor busy until `stop`."""
    while not stop.is_set():
        for _ in range(100_000):
            pass


class Load:
    """Processes that load a server, with a counter each."""

    def __init__(self):
        self.stop, self.parts = multiprocessing.Event(), []

    def add(self, work, *arguments):
        counter = multiprocessing.Value("q", 0)
        process = multiprocessing.Process(target=work, args=(*arguments, counter, self.stop), daemon=True)
        process.start()
        self.parts.append((work.__name__, process, counter))

    def count(self, name):
        return sum(counter.value for part, _, counter in self.parts if part == name)

    def end(self):
        self.stop.set()
        for _, process, _ in self.parts:
            process.join(5)
            process.kill()


class Probe:
    """The client whose answers count."""

    def __init__(self, server, times):
        self.server, self.client, self.times = server, RawClient(server.url), times

    def ask(self, phase, seconds, load):
        """Asks for so many seconds, with a pause of a few milliseconds behind each answer."""
        end, shown, thread_due = time.perf_counter() + seconds, 0, time.perf_counter()
        began = self.server.processor(), time.perf_counter()
        while time.perf_counter() < end:
            for name, method, params in ASKED:
                if method == "thread/start":
                    if time.perf_counter() < thread_due:
                        continue
                    thread_due += NEW_THREADS
                asked = time.perf_counter()
                answer = self.client.request(method, params)
                self.times.append((phase, name, time.time(), 1000 * (time.perf_counter() - asked)))
                if method == "thread/start":
                    thread = answer.split(b'"thread":{', 1)[1].split(b'"id":"', 1)[1][:36].decode()
                    self.client.request("thread/unsubscribe", {"threadId": thread})
                time.sleep(0.005)
            if time.perf_counter() > shown + 1:
                shown = time.perf_counter()
                self.show(phase, load)
        return (self.server.processor() - began[0]) / (time.perf_counter() - began[1])

    def show(self, phase, load):
        """A live line."""
        last = [took for now, _, _, took in self.times[-300:] if now == phase]
        counts = "  ".join(f"{name} {load.count(name)}" for name in ("idle", "connects", "mute", "flood"))
        print(f"\r{phase:6}  median {statistics.median(last):7.2f} ms  {counts}  {self.server.resident():6.0f} MB ", end="", file=sys.stderr)


def measure(binary, given):
    """All figures of one build."""
    with tempfile.TemporaryDirectory() as folder:
        server, load, times, figures = Server(binary, f"{folder}/home"), Load(), [], {"binary": str(binary)}
        try:
            server.serve(f"[limits]\nconnections = {given.idle + 1000}\n[unload]\nunmaterialised_grace = \"0ms\"\n")
            doctor = subprocess.run([binary, "doctor", "--json", "--home", server.home], capture_output=True, text=True)
            figures["bound"] = json.loads(doctor.stdout).get("clientMemory")
            probe = Probe(server, times)
            processor = {"quiet": probe.ask("quiet", given.seconds, load)}
            control = Load()
            try:
                for _ in range(os.cpu_count()):
                    control.add(busy)
                processor["control"] = probe.ask("control", given.seconds, load)
            finally:
                control.end()
            before = server.resident()
            for part in range(4):
                load.add(idle, server.url, given.idle // 4)
            while load.count("idle") < given.idle // 4 * 4:
                if any(not process.is_alive() for _, process, _ in load.parts):
                    sys.exit("load: an idle connection was refused; are there descriptors enough (ulimit -n)?")
                time.sleep(0.1)
                probe.show("control", load)
            figures["connection_kib"] = 1024 * (server.resident() - before) / max(given.idle, 1)
            processor["idle"] = probe.ask("idle", given.seconds, load)
            # Without the client: what the pings alone take.
            began, since = server.processor(), time.perf_counter()
            time.sleep(PINGS_SECONDS)
            figures["pings_ms_per_second"] = 1000 * (server.processor() - began) / (time.perf_counter() - since)
            if given.connects:
                load.add(connects, server.url, given.connects)
            for _ in range(given.mute):
                load.add(mute, server.url)
            for _ in range(given.flood):
                load.add(flood, server.url)
            processor["loaded"] = probe.ask("loaded", given.seconds, load)
            figures["resident_mb"] = server.resident()
            figures["connects"], figures["floods"] = load.count("connects") / given.seconds, load.count("flood") / given.seconds
            figures["processor"] = processor
        finally:
            load.end()
            server.end()
        print(file=sys.stderr)
    figures["times"] = times
    return figures


def of(figures, phase, name):
    return [took for now, asked, _, took in figures["times"] if (now, asked) == (phase, name)]


def ninety_ninth(times):
    """The 99th percentile; of fewer than a hundred the largest."""
    return statistics.quantiles(times, n=100)[98] if len(times) >= 100 else max(times)


def table(figures):
    """Prints the medians and the 99th percentiles of the phases, and the ratio of the latter to that of the phase compared with."""
    print(f"\n{figures['binary']}\n{'answer':16}" + "".join(f"{phase + ' p50':>13}{'p99':>9}{'ratio':>7}" for phase in PHASES) + "   (ms)")
    for name, _, _ in ASKED:
        ninety_nine = {phase: ninety_ninth(of(figures, phase, name)) for phase in PHASES}
        cells = ""
        for phase in PHASES:
            median, ratio = statistics.median(of(figures, phase, name)), ninety_nine[phase] / ninety_nine[COMPARED[phase]]
            cells += f"{median:13.2f}{ninety_nine[phase]:9.2f}{ratio:7.1f}"
        print(f"{name:16}{cells}")
    bound = figures["bound"] or {}
    print(
        f"a connection {figures['connection_kib']:.1f} KiB; pings {figures['pings_ms_per_second']:.1f} ms of processor a second; "
        f"{figures['connects']:.0f} connects a second; {figures['floods']:.0f} flood answers a second; "
        f"resident {figures['resident_mb']:.0f} MB of {bound.get('totalBytes', 0) / 1e6:.0f} MB that the limits allow"
    )


def picture(all_figures):
    """An SVG: a dot for each answer, its time upwards, logarithmic from 0.1 ms to 10 s."""
    width, height, rows = 1000, 220, []
    for at, figures in enumerate(all_figures):
        times = figures["times"]
        first, last = times[0][2], times[-1][2]
        top = at * (height + 40) + 30
        rows.append(f'<text x="5" y="{top - 8}">{figures["binary"]}: answers in ms</text>')
        for power in range(-1, 5):
            y = top + height - height * (power + 1) / 5
            rows.append(f'<path d="M40 {y}H{width}" stroke="#ccc"/><text x="2" y="{y + 4}">{10.0**power:g}</text>')
        for phase, name, when, took in times:
            x = 40 + (width - 40) * (when - first) / max(last - first, 1e-9)
            y = top + height - height * (math.log10(min(max(took, 0.1), 1e4)) + 1) / 5
            colour = {"quiet": "#2a7", "control": "#888", "idle": "#27a", "loaded": "#c43"}[phase]
            rows.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="1.5" fill="{colour}"/>')
    full = len(all_figures) * (height + 40) + 10
    return f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {full}" font-family="sans-serif" font-size="11">' + "\n".join(rows) + "</svg>\n"


def main():
    parser = argparse.ArgumentParser(usage="scripts/load [OPTION...] [BINARY...]")
    for name, usual in [("idle", 10000), ("connects", 1000), ("mute", 1), ("flood", 1), ("seconds", 20)]:
        parser.add_argument(f"--{name}", type=int, default=usual)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--svg")
    parser.add_argument("binaries", nargs="+")
    given = parser.parse_args()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    if most < given.idle + 1000:
        sys.exit(f"load: {given.idle} connections need ulimit -n {given.idle + 1000}, and this shell has {most}")
    all_figures = [measure(os.path.abspath(binary), given) for binary in given.binaries]
    if given.json:
        print(json.dumps(all_figures))
    else:
        for figures in all_figures:
            table(figures)
    if given.svg:
        with open(given.svg, "w") as file:
            file.write(picture(all_figures))


main()
