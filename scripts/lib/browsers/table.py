"""Runs the cases in real browsers against real servers, and prints a line for each.

usage: table.py SKEIN HELPER [--only WORD] [--json]

scripts/browsers calls it with the locations of the installed parts: BROWSERS_DRIVERS (a folder of packages),
BROWSERS_CHROMIUM, BROWSERS_FIREFOX."""

import argparse
import concurrent.futures
import json
import os
import subprocess
import sys
import tempfile
import time

from cases import CHROMIUM, FIREFOX, Door, Skipped
from world import EMPTY, Browser, Server, Site, World, chat

# Cases that run at the same time. They mostly wait.
AT_A_TIME = 4
WIDTH = 56
# Chromium 148 rarely loses the process of a tab.
CRASHED = "Target crashed"
WRONG = (AssertionError, OSError, subprocess.SubprocessError, ValueError, KeyError, IndexError, TypeError)


def chromium(world):
    """A door with Chromium, for which two sites are public, and one foreign name leads to this machine."""
    server = Server(world, "home-chromium")
    public = [Site(world, {"/": chat(server), "/empty": EMPTY}) for _ in range(2)]
    spaces = ",".join(f"127.0.0.1:{site.port}=public" for site in public)
    rules = "MAP evil.example 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"
    arguments = [f"--ip-address-space-overrides={spaces}", f"--host-resolver-rules={rules}"]
    door = Door(world, Browser(world, "chromium", os.environ["BROWSERS_CHROMIUM"], *arguments), server)
    door.public = dict(zip((False, True), public))
    return door


def firefox(world):
    return Door(world, Browser(world, "firefox", os.environ["BROWSERS_FIREFOX"]))


def cell(run, *given):
    """Runs a case, and once more if its tab has crashed. Its cell: `result` is ok, skipped or failed; `seconds`; `reason`; `again`, the
    reason of the first run, if there were two."""
    found = run_once(run, *given)
    if CRASHED not in found.get("reason", ""):
        return found
    return run_once(run, *given) | {"again": found["reason"]}


def run_once(run, *given):
    began = time.monotonic()
    try:
        run(*given)
        return {"result": "ok", "seconds": round(time.monotonic() - began, 2)}
    except Skipped as reason:
        return {"result": "skipped", "reason": str(reason)}
    except WRONG as error:
        return {"result": "failed", "seconds": round(time.monotonic() - began, 2), "reason": f"{type(error).__name__}: {error}"}


def play(name, make, cases, programs, show):
    """Runs the cases of a browser. Returns their cells by name."""
    cells = {}

    def done(case, found):
        cells[f"{name}: {case}"] = found
        show(f"{name}: {case}", found)

    with tempfile.TemporaryDirectory(prefix="skein-browsers-") as folder:
        world = World(folder, *programs)
        try:
            doors = []
            started = cell(lambda: doors.append(make(world)))
            done("start", started)
            if doors:
                with concurrent.futures.ThreadPoolExecutor(AT_A_TIME) as pool:
                    running = {case: pool.submit(cell, run, doors[0]) for case, run in cases.items()}
                    for case, future in running.items():
                        done(case, future.result())
            done("no process is left", cell(world.close))
        finally:
            # Processes are left only after a failure; this script started them.
            world.kill()
    return cells


def main():
    parser = argparse.ArgumentParser(prog="scripts/browsers")
    parser.add_argument("--only", metavar="WORD", default="", help="cases with this in their name")
    parser.add_argument("--json", action="store_true", help="print the cells for programs")
    parser.add_argument("programs", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    out = sys.stderr if given.json else sys.stdout
    began, cells = time.monotonic(), {}
    all_cases = {"chromium": (chromium, CHROMIUM), "firefox": (firefox, FIREFOX)}

    def show(name, found):
        seconds = f"{found['seconds']:.2f} s" if "seconds" in found else ""
        print(f"{name:<{WIDTH}}{found['result']:>8}{seconds:>10}", file=out, flush=True)

    # Both browsers at once: most of the time is a wait for the end of a ticket.
    with concurrent.futures.ThreadPoolExecutor(len(all_cases)) as pool:
        running = []
        for name, (make, of_browser) in all_cases.items():
            if cases := {case: run for case, run in of_browser.items() if given.only in f"{name}: {case}"}:
                running.append(pool.submit(play, name, make, cases, given.programs, show))
        for future in running:
            cells |= future.result()
    for name, found in cells.items():
        if "again" in found:
            print(f"\n{name}: it ran twice: {found['again']}", file=out)
    reasons = [(name, found) for name, found in cells.items() if found["result"] != "ok"]
    for name, found in reasons:
        print(f"\n{name}: {found['result']}: {found['reason']}", file=out)
    if given.json:
        print(json.dumps(cells, indent=1))
    failed = not cells or any(found["result"] == "failed" for _, found in reasons)
    print(f"browsers: {'FAILED' if failed else 'ok'}, {len(cells)} cases in {time.monotonic() - began:.0f} s", file=out)
    sys.exit(1 if failed else 0)


main()
