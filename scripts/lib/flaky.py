"""Runs the tests of the workspace in rounds beside a limited load. Keeps a log of each round; its name shows whether the round
finished."""

import argparse, collections, contextlib, json, os, pathlib, re, shutil, signal, subprocess, sys, time

FAILED = re.compile(r"^test (\S+) \.\.\. FAILED$", re.M)
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


def play(number, given, folder):
    """One round. An interrupted round leaves a log without its final name, and is repeated."""
    under_way, log = folder / f"round-{number}.part", folder / f"round-{number}.log"
    with open(under_way, "wb") as out:
        process = cargo("--", *given.tests, stdout=out, stderr=subprocess.STDOUT, start_new_session=True)
        try:
            code = process.wait()
        finally:
            # An interrupt of this script must not reach the tests.
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGTERM)
                process.wait()
    if not TRIED.search(under_way.read_text(errors="replace")):
        sys.exit(f"flaky: round {number} ran no test (exit code {code}); see {under_way}")
    under_way.rename(log)
    return log


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("tests", nargs="*")
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument("--load", type=int, default=6)
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
    failed, seconds = collections.Counter(), []
    with load(given.load, folder):
        for number in range(1, given.times + 1):
            log = folder / f"round-{number}.log"
            began = time.monotonic()
            if not log.exists():
                play(number, given, folder)
                seconds.append(round(time.monotonic() - began))
            now = FAILED.findall(log.read_text(errors="replace"))
            failed.update(now)
            print(f"round {number} of {given.times}: {len(now)} failed {' '.join(now)}", file=sys.stderr, flush=True)
    if given.json:
        print(json.dumps({"rounds": given.times, "load": given.load, "seconds": seconds, "failed": failed, "logs": str(folder)}))
    else:
        print(f"{given.times} rounds at a load of {given.load}; logs: {folder}")
        for test, times in failed.most_common():
            print(f"{times:4} of {given.times}  {test}")
        if not failed:
            print("no test failed")
    sys.exit(bool(failed))


main()
