"""Runs the cases of the page in real browsers, and prints a line for each.

usage: table.py SKEIN HELPER [--only WORD] [--seed N] [--thorough] [--release] [--pictures FOLDER] [--write DOCUMENT] [--json]

scripts/page calls it with the locations of the installed parts: BROWSERS_DRIVERS (a folder of packages), BROWSERS_CHROMIUM,
BROWSERS_FIREFOX, PAGE_AXE."""

import argparse
import concurrent.futures
import gzip
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import time
from types import SimpleNamespace

from cases import CHROMIUM, FIREFOX
from page import Browser, Door, World

# Cases that run at the same time.
AT_A_TIME = 3
WIDTH = 56
WRONG = (AssertionError, OSError, subprocess.SubprocessError, ValueError, KeyError, IndexError, TypeError)
BEGIN, END = "<!-- page: written by scripts/page -->", "<!-- page: end -->"


def cell(run, *given):
    """Runs a case. Its cell: `result` is ok or failed; `seconds`; `reason`, or `said`, which the case returns."""
    began = time.monotonic()
    found = {}
    try:
        if (said := run(*given)) is not None:
            found["said"] = said
        found["result"] = "ok"
    except WRONG as error:
        found |= {"result": "failed", "reason": f"{type(error).__name__}: {error}"}
    return found | {"seconds": round(time.monotonic() - began, 2)}


def case(world, browser, number, name, run, given):
    """A case with a server of its own."""
    settings = getattr(run, "settings", "")
    servers = {"server": run.server} if hasattr(run, "server") else {}
    door = Door(world, browser, f"home-{browser.kind}-{number}", settings(world) if callable(settings) else settings, **servers)
    door.options = SimpleNamespace(**vars(given), random=random.Random(f"{given.seed} {name}"))
    said = run(door)
    door.finish()
    return said


def play(kind, cases, given, show):
    cells = {}

    def done(name, found):
        cells[f"{kind}: {name}"] = found
        show(f"{kind}: {name}", found)

    with tempfile.TemporaryDirectory(prefix="skein-page-") as folder:
        world = World(folder, *given.programs)
        try:
            rules = "MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"
            # A tab in the background is not slowed down: the tests drive several.
            awake = ["--disable-background-timer-throttling", "--disable-renderer-backgrounding", "--disable-backgrounding-occluded-windows"]
            arguments = [f"--host-resolver-rules={rules}", *awake] if kind == "chromium" else []
            browser = Browser(world, kind, os.environ[f"BROWSERS_{kind.upper()}"], *arguments)
            run = lambda number, name: cell(case, world, browser, number, name, cases[name], given)
            alone = {name: number for number, name in enumerate(cases) if hasattr(cases[name], "alone")}
            with concurrent.futures.ThreadPoolExecutor(AT_A_TIME) as pool:
                running = {name: pool.submit(run, number, name) for number, name in enumerate(cases) if name not in alone}
                for name, future in running.items():
                    done(name, future.result())
            for name, number in alone.items():
                done(name, run(number, name))
            done("no process is left", cell(world.close))
        finally:
            # Processes are left only after a failure; this script started them.
            world.kill()
    return cells


def sizes():
    """Bytes of the page, compressed, by kind. The limits are those of http/page.rs, which reads what the program has."""
    folder = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..", "app-server", "page")
    found = {"modules": 0, "libraries": 0, "styles, document and pictures": 0}
    for path, _, names in os.walk(folder):
        for name in names:
            if name.endswith((".d.ts", "tsconfig.json", ".test.js")) or path.endswith("tests"):
                continue
            with open(os.path.join(path, name), "rb") as file:
                packed = len(gzip.compress(file.read(), 9))
            kind = "libraries" if path.endswith("vendor") else "modules" if name.endswith(".js") else "styles, document and pictures"
            found[kind] += packed
    return found


def write(document, cells):
    """Replaces the generated section of a document."""
    rows = [f"| {name} | {found['seconds']} | {found.get('said', '')} |" for name, found in cells.items()]
    parts = "; ".join(f"{name} {size:,}" for name, size in sizes().items())
    text = "\n".join([BEGIN, "", f"Bytes of the page's sources, compressed: {parts}. The program has the modules without comments and spaces, in at most 35,000.", "", "| case | seconds | measured |", "| --- | --- | --- |", *rows, "", END])
    with open(document) as file:
        before = file.read()
    after, count = re.subn(f"{re.escape(BEGIN)}.*?{re.escape(END)}", lambda _: text, before, flags=re.DOTALL)
    if count != 1:
        raise SystemExit(f"{document} has no place for the page: {BEGIN}")
    with open(document, "w") as file:
        file.write(after)


def main():
    parser = argparse.ArgumentParser(prog="scripts/page")
    parser.add_argument("--only", metavar="WORD", default="", help="cases with this in their name")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32), help="of the random moments")
    parser.add_argument("--thorough", action="store_true", help="30 reloads, 10,000 items and a minute offline")
    parser.add_argument("--release", action="store_true", help="the programs are a release build, which keeps to the limits of time")
    parser.add_argument("--pictures", metavar="FOLDER", help="write pictures into this folder")
    parser.add_argument("--write", metavar="DOCUMENT", help="write the figures into this document")
    parser.add_argument("--json", action="store_true", help="print the cells for programs")
    parser.add_argument("programs", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    out = sys.stderr if given.json else sys.stdout
    began, cells = time.monotonic(), {}
    print(f"seed {given.seed}", file=out, flush=True)

    def show(name, found):
        print(f"{name:<{WIDTH}}{found['result']:>8}{found['seconds']:>10.2f} s  {found.get('said', '')}", file=out, flush=True)

    for kind, cases in {"chromium": CHROMIUM, "firefox": FIREFOX}.items():
        if chosen := {name: run for name, run in cases.items() if given.only in f"{kind}: {name}"}:
            cells |= play(kind, chosen, given, show)
    wrong = [(name, found) for name, found in cells.items() if found["result"] != "ok"]
    for name, found in wrong:
        print(f"\n{name}: failed: {found['reason']}", file=out)
    print("bytes, compressed: " + ", ".join(f"{name} {size}" for name, size in sizes().items()), file=out)
    if given.json:
        print(json.dumps(cells, indent=1))
    failed = not cells or bool(wrong)
    if given.write and not failed:
        write(given.write, cells)
    print(f"page: {'FAILED' if failed else 'ok'}, {len(cells)} cases in {time.monotonic() - began:.0f} s", file=out)
    sys.exit(1 if failed else 0)


main()
