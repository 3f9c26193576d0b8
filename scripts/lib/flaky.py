"""Runs the tests of the workspace in rounds beside a limited load. Keeps a log of each round; its name shows whether the round
finished."""

import argparse, collections, contextlib, json, os, pathlib, re, shutil, signal, statistics, subprocess, sys, time

FAILED = re.compile(r"^test (\S+) \.\.\. FAILED$", re.M)
# A test program that crashed names no test.
CRASHED = re.compile(r"^error: test failed, to rerun pass `(.+)`\n\nCaused by:\n.*\(signal: ", re.M)
TRIED = re.compile(r"^test (\S+) \.\.\. (?:ok|FAILED)$", re.M)
# Each line is one kind of load: a busy processor, and a file that is written and synced.
BUSY = "while True: pass"
WRITES = "import os, sys\nwhile True:\n with open(sys.argv[1], 'wb') as file:\n  file.write(bytes(1 << 26)); file.flush(); os.fsync(file.fileno())"


@contextlib.contextmanager
def load(count, folder):
    """Keeps the machine busy. Its processes end with this one, by their ids."""
    scratch = folder / "load"
    commands = [["-c", BUSY]] * count + ([["-c", WRITES, str(scratch)]] if count else [])
    running = [subprocess.Popen([sys.executable, *command]) for command in commands]
    try:
        yield
    finally:
        for process in running:
            process.kill()
        for process in running:
            process.wait()
        scratch.unlink(missing_ok=True)


def cargo(*arguments, **options):
    return subprocess.Popen(["cargo", "test", "--workspace", "--locked", "--no-fail-fast", *arguments], **options)


class Round:
    """One round under way. An interrupted round leaves a log without its final name, and is repeated."""

    def __init__(self, number, given, folder):
        self.number, self.began = number, time.monotonic()
        self.under_way, self.log = folder / f"round-{number}.part", folder / f"round-{number}.log"
        with open(self.under_way, "wb") as out:
            self.process = cargo("--", *given.tests, stdout=out, stderr=subprocess.STDOUT, start_new_session=True)

    def stop(self):
        """Ends the tests, which an interrupt of this script does not reach."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGTERM)
            self.process.wait()

    def finish(self):
        """Gives the log its name. Gives back the seconds of the round."""
        # 101 is cargo's code for tests that failed. A round that somebody else has ended is repeated.
        if self.process.returncode not in (0, 101):
            sys.exit(f"flaky: round {self.number} was ended with code {self.process.returncode}; see {self.under_way}")
        if not TRIED.search(self.under_way.read_text(errors="replace")):
            sys.exit(f"flaky: round {self.number} ran no test (exit code {self.process.returncode}); see {self.under_way}")
        self.under_way.rename(self.log)
        return round(time.monotonic() - self.began)


def failures(log):
    text = log.read_text(errors="replace")
    return FAILED.findall(text) + CRASHED.findall(text)


def report(log, given):
    failed = failures(log)
    print(f"{log.stem} of {given.times}: {len(failed)} failed {', '.join(failed)}", file=sys.stderr, flush=True)


def play(waiting, given, folder):
    """Plays these rounds, `given.at_once` at a time. Gives back their seconds and the load average of each second."""
    running, seconds, averages = [], [], []
    try:
        while waiting or running:
            while waiting and len(running) < given.at_once:
                running.append(Round(waiting.pop(0), given, folder))
            time.sleep(1)
            averages.append(os.getloadavg()[0])
            for ended in [one for one in running if one.process.poll() is not None]:
                running.remove(ended)
                seconds.append(ended.finish())
                report(ended.log, given)
    finally:
        for one in running:
            one.stop()
    return seconds, averages


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("tests", nargs="*")
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument("--load", type=int, default=6)
    parser.add_argument("--at-once", type=int, default=1)
    parser.add_argument("--keep", type=pathlib.Path)
    parser.add_argument("--anew", action="store_true")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    # Ctrl-C and an external stop end the round and the load.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    folder = given.keep or pathlib.Path(os.environ.get("CARGO_TARGET_DIR", "target")) / "flaky"
    if given.anew:
        shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    if code := cargo("--no-run", "--quiet").wait():
        sys.exit(code)
    logs = {number: folder / f"round-{number}.log" for number in range(1, given.times + 1)}
    failed = collections.Counter()
    for log in filter(pathlib.Path.exists, logs.values()):
        report(log, given)
    with load(given.load, folder):
        seconds, averages = play([number for number, log in logs.items() if not log.exists()], given, folder)
    for log in logs.values():
        failed.update(failures(log))
    # The average of the first minute is mostly from before.
    average = round(statistics.median(averages[60:]), 1) if averages[60:] else None
    if given.json:
        print(json.dumps({"rounds": given.times, "load": given.load, "at_once": given.at_once, "load_average": average, "seconds": seconds, "failed": failed, "logs": str(folder)}))
    else:
        print(f"{given.times} rounds, {given.at_once} at once, beside {given.load} busy processes; logs: {folder}")
        print(f"median load average: {average or 'not known'}")
        for test, times in failed.most_common():
            print(f"{times:4} of {given.times}  {test}")
        if not failed:
            print("no test failed")
    sys.exit(bool(failed))


main()
