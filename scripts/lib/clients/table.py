"""Runs clients that others have written for the Codex app-server against Skein, and prints a table: client by step.

usage: table.py SKEIN CODEX HELPER [--quick] [--only WORD] [--json] [--write FILE]

Called by scripts/clients, which says where what was installed lies: CLIENTS_PYTHON and CLIENTS_NPM (folders of packages),
CLIENTS_CARGO (driver of the crate), CLIENTS_TUI (the peer's codex), CLIENTS_SCHEMA (what that wrote), CLIENTS_AJV."""

import argparse
import concurrent.futures
import functools
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time

import steps
import tui
from home import HERE, Home, Programs, until

PYTHON = os.path.join(os.environ["CLIENTS_PYTHON"], "bin", "python")
TUI = [os.environ["CLIENTS_TUI"]]
here = lambda name: os.path.join(HERE, name)
REPLAYS = functools.partial(steps.Program, replays=True)
PASSES_OVER = functools.partial(steps.Program, passes_over=True)


class Row:
    """A client: its name, how it is run, whether it connects to a server, and the reasons why it has no cell for some steps."""

    def __init__(self, name, kind, driver, connects=False, without={}):
        self.name, self.kind, self.driver, self.connects, self.without = name, kind, driver, connects, without


ROWS = [
    Row("codex --remote 0.169.0 (npm, websocket)", tui.Tui, TUI, connects=True),
    Row("codex --remote 0.169.0, two on one thread", tui.Two, TUI, connects=True),
    Row("codex-app-server-sdk 0.5.1 (crate, websocket)", steps.Program, [os.environ["CLIENTS_CARGO"]], connects=True),
    Row("openai-codex 0.163.0 (PyPI)", steps.Program, [PYTHON, here("openai-codex.py")]),
    Row("codex-app-server-client 0.1.0 (PyPI)", steps.Program, [PYTHON, here("codex-app-server-client.py")]),
    Row("codex-sdk-python 0.117.0 (PyPI)", steps.Program, [PYTHON, here("codex-sdk-python.py")]),
    Row("@agentclientprotocol/codex-acp 2.6.0 (npm)", REPLAYS, [PYTHON, here("codex-acp.py")]),
    Row(
        "ai-sdk-provider-codex-app-server 1.1.7 (npm)",
        PASSES_OVER,
        ["node", here("ai-sdk.mjs")],
        without={
            "approval": "ai-sdk-provider-codex-app-server passes over every request of a server",
            "list": "ai-sdk-provider-codex-app-server is a provider of models: it has no list of threads",
        },
    ),
]
# What is judged when the client is done.
LEFT, SCHEMA = "nothing left", "schema"
# What --quick leaves out is like something that it has: a resume is a part of the one after kill -9.
QUICK = [name for name in steps.NAMES if name not in ("streamed answer", "resume", "list")]
# Clients at a time with --quick. They wait for the most part; times are not to be compared then.
AT_A_TIME = 3
SHORT = {"streamed answer": "streamed", "MCP tool call": "tool", "resume after kill -9": "kill -9", LEFT: "left"}
WIDTHS = (46, 12)
WRONG = (AssertionError, OSError, subprocess.SubprocessError, ValueError, KeyError, IndexError, TypeError)


def play(row, programs, names, show):
    """Runs steps of a client. Returns its cells by name: `result` is ok, not offered or failed; `seconds`; `reason`."""
    cells = {}

    def failed(name, error):
        cells[name] = {"result": "failed", "reason": f"{type(error).__name__}: {error}"}
        show(cells[name])

    def cell(name, run):
        began = time.monotonic()
        try:
            cells[name] = {"result": "ok", **(run() or {"seconds": round(time.monotonic() - began, 2)})}
        except WRONG as error:
            return failed(name, error)
        show(cells[name])

    with tempfile.TemporaryDirectory(prefix="skein-clients-") as folder:
        home = Home(folder, programs, row.connects)
        try:
            home.begin()
            client = row.kind(home, row.driver)
            for name, run in client.steps().items():
                if name in names and name in row.without:
                    cells[name] = {"result": "not offered", "reason": row.without[name]}
                    show(cells[name])
                elif name in names:
                    cell(name, run)
            cell(LEFT, lambda: nothing_left(home, client))
            cell(SCHEMA, lambda: held_against_schema(home))
        except WRONG as error:
            # No step has begun: each has its own cell.
            failed(names[0], error)
        finally:
            # Only after a failure there is any; they were started here.
            home.kill_all()
    return cells


def nothing_left(home, client):
    """Ends what still runs as a user does. Then there is no process, and every server has ended well."""
    client.close()
    home.close()
    until("the end of every process", lambda: not home.processes(), 10)
    home.ended_well()


def held_against_schema(home):
    """Every message that the server has said is one that the peer's schema takes."""
    raw = [f"no JSON: {entry['raw']}" for entry in home.entries() if "raw" in entry]
    check = ["node", "scripts/lib/peer-conformance.mjs", os.environ["CLIENTS_AJV"], os.environ["CLIENTS_SCHEMA"]]
    command = [*check, "protocol/generated/openrpc.json", home.transcript, "--part"]
    ran = subprocess.run(command, capture_output=True, text=True)
    said = ran.stdout.strip().splitlines() or [ran.stderr]
    found = re.search(r"(\d+) messages, (\d+) violations", said[-1])
    if ran.returncode != 0 or raw or not found:
        at = next((number for number, line in enumerate(said) if line.startswith("violation")), -1)
        raise AssertionError("\n".join([*raw, *said[at:][:30]]))
    return {"messages": sum(entry["dir"] == "s2c" for entry in home.entries()), "violations": int(found[2])}


def word(cell):
    if cell["result"] != "ok":
        return cell["result"] if cell["result"] == "not offered" else "FAILED"
    return f"ok {cell['seconds']:.2f} s" if "seconds" in cell else f"{cell['violations']} of {cell['messages']}"


def printed(row, cells):
    return f"{row.name:<{WIDTHS[0]}}" + "".join(f"{word(cell):>{WIDTHS[1]}}" for cell in cells)


def one_by_one(rows, programs, names, out):
    """Prints each cell when it is known."""
    table = {}
    for row in rows:
        print(f"{row.name:<{WIDTHS[0]}}", end="", file=out, flush=True)
        show = lambda cell: print(f"{word(cell):>{WIDTHS[1]}}", end="", file=out, flush=True)
        table[row.name] = play(row, programs, names, show)
        print(file=out, flush=True)
    return table


def some_at_a_time(rows, programs, names, out):
    """Prints each row when it is done."""

    def run(row):
        cells = play(row, programs, names, lambda _: None)
        print(printed(row, cells.values()), file=out, flush=True)
        return row.name, cells

    with concurrent.futures.ThreadPoolExecutor(AT_A_TIME) as pool:
        return dict(pool.map(run, rows))


def footnotes(table):
    """The reasons of what is not offered, each once."""
    cells = [cell for cells in table.values() for cell in cells.values() if cell["result"] == "not offered"]
    return list(dict.fromkeys(cell["reason"] for cell in cells))


def write(path, table):
    """Puts the table between the two marks of the document."""
    notes = footnotes(table)

    def shown(cell):
        return f"not offered [{notes.index(cell['reason']) + 1}]" if cell["result"] == "not offered" else word(cell)

    names = [*steps.NAMES, LEFT, "violations, of messages of the server"]
    lines = ["| client | " + " | ".join(names) + " |", "| --- |" + " ---: |" * len(names)]
    for name, cells in table.items():
        lines.append(f"| {name} | " + " | ".join(shown(cell) for cell in cells.values()) + " |")
    lines += ["", *(f"[{number}] {note}.  " for number, note in enumerate(notes, 1))]
    with open(path) as document:
        before, mark, rest = document.read().partition("<!-- table -->\n")
        _, end, after = rest.partition("<!-- end of the table -->\n")
    if not mark or not end:
        sys.exit(f"{path} has no place for the table")
    with open(path, "w") as document:
        document.write(before + mark + "\n".join(lines) + "\n" + end + after)


def main():
    parser = argparse.ArgumentParser(prog="scripts/clients")
    parser.add_argument("--quick", action="store_true", help="fewer steps, some clients at a time")
    parser.add_argument("--only", metavar="WORD", default="", help="clients with this in their name")
    parser.add_argument("--json", action="store_true", help="print the cells for programs")
    parser.add_argument("--write", metavar="FILE", help="put the table into this document")
    parser.add_argument("programs", nargs=3, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.write and (given.quick or given.only):
        parser.error("what is written is the whole table")
    rows = [row for row in ROWS if given.only in row.name]
    names = QUICK if given.quick else steps.NAMES
    out = sys.stderr if given.json else sys.stdout
    headings = [SHORT.get(name, name) for name in [*names, LEFT, SCHEMA]]
    print(f"{'client':<{WIDTHS[0]}}" + "".join(f"{heading:>{WIDTHS[1]}}" for heading in headings), file=out, flush=True)
    began = time.monotonic()
    way = some_at_a_time if given.quick else one_by_one
    table = way(rows, Programs(*given.programs), names, out)
    for note in footnotes(table):
        print(f"not offered: {note}", file=out)
    failures = [(row, name, cell["reason"]) for row, cells in table.items() for name, cell in cells.items() if cell["result"] == "failed"]
    for row, name, reason in failures:
        print(f"\n{row}, {name}: {reason}", file=out)
    if given.json:
        print(json.dumps(table, indent=1))
    if given.write and not failures:
        write(given.write, table)
    verdict = "FAILED" if failures or not table else "ok"
    print(f"clients: {verdict}, {len(table)} clients in {time.monotonic() - began:.0f} s", file=out)
    sys.exit(0 if verdict == "ok" else 1)


main()
