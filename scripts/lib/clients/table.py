"""Runs third-party clients of the Codex app-server against Skein, and prints a table: client by step.

usage: table.py SKEIN CODEX HELPER [--quick] [--only WORD] [--json] [--write FILE]

scripts/clients calls it with the locations of the installed parts: CLIENTS_PYTHON and CLIENTS_NPM (folders of packages),
CLIENTS_CARGO (driver of the crate), CLIENTS_TUI (the peer's codex), CLIENTS_SCHEMA (the schema that it wrote), CLIENTS_AJV,
CLIENTS_PAGES (a venv of pages), CLIENTS_BROWSER (playwright-core), CLIENTS_CHROMIUM. CLIENTS_PICTURES: a folder for
screenshots of the pages."""

import argparse
import concurrent.futures
import functools
import glob
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time

import hapi
import steps
import tui
import web
from home import HERE, TOKEN, UNIX, WEBSOCKET, Home, Programs, until

PYTHON = os.path.join(os.environ["CLIENTS_PYTHON"], "bin", "python")
TUI = [os.environ["CLIENTS_TUI"]]
page = lambda name: [os.path.join(os.environ["CLIENTS_PAGES"], "bin", name)]
# The program of the package for this machine, which its launcher in node starts.
HAPI = glob.glob(os.path.join(os.environ["CLIENTS_NPM"], "node_modules", "@twsxtd", "hapi-*", "bin", "hapi"))
here = lambda name: os.path.join(HERE, name)
REPLAYS = functools.partial(steps.Program, replays=True)
PASSES_OVER = functools.partial(steps.Program, passes_over=True)


# Only the terminal client has a user who types while a turn runs.
WAITS = {
    steps.LATE: "a program waits for the end of a turn before it sends the next message",
    steps.QUESTION: "the run of a program ends with its server; who resumes the thread later gets the question",
}


class Row:
    """A client: its name, its runner, how it connects to a server, the reasons for its missing steps, and whether --quick
    has it."""

    def __init__(self, name, kind, driver, connects=None, without=WAITS, quick=True):
        self.name, self.kind, self.driver, self.connects, self.without = name, kind, driver, connects, without
        self.quick = quick


ROWS = [
    Row("codex --remote 0.169.0 (npm, unix socket)", tui.Tui, TUI, connects=UNIX, without={}),
    Row("codex --remote 0.169.0 (npm, websocket)", tui.Tui, TUI, connects=WEBSOCKET, without={}),
    Row("codex --remote 0.169.0, with a token", tui.Tui, TUI, connects=TOKEN, without={}),
    Row("codex --remote 0.169.0, two on one thread", tui.Two, TUI, connects=WEBSOCKET, without={}),
    Row("codex-app-server-sdk 0.5.1 (crate, websocket)", steps.Program, [os.environ["CLIENTS_CARGO"]], connects=WEBSOCKET),
    Row("openai-codex 0.163.0 (PyPI)", steps.Program, [PYTHON, here("openai-codex.py")]),
    Row("codex-app-server-client 0.1.0 (PyPI)", steps.Program, [PYTHON, here("codex-app-server-client.py")]),
    Row("codex-sdk-python 0.117.0 (PyPI)", steps.Program, [PYTHON, here("codex-sdk-python.py")]),
    Row("@agentclientprotocol/codex-acp 2.6.0 (npm)", REPLAYS, [PYTHON, here("codex-acp.py")]),
    Row(
        "ai-sdk-provider-codex-app-server 1.1.7 (npm)",
        PASSES_OVER,
        ["node", here("ai-sdk.mjs")],
        without={
            **WAITS,
            "approval": "ai-sdk-provider-codex-app-server passes over every request of a server",
            "list": "ai-sdk-provider-codex-app-server is a provider of models: it has no list of threads",
        },
    ),
]
# These clients answer unknown server requests with `{}`, and so also the question whether to call a tool.
NEVER_ASKS = {web.QUESTION: "open-codex-ui and codex-partner show no question of a helper, with Codex as well"}
HAPI_LACKS = {
    "streamed answer": "@twsxtd/hapi shows an answer once it is whole",
    "second tab": "with two tabs, one of @twsxtd/hapi now and then misses an answer that the other shows",
}
PAGES = [
    Row("open-codex-ui 0.1.20 (PyPI)", web.OpenCodexUi, page("open-codex-ui"), without=NEVER_ASKS),
    Row("codex-partner 0.0.19 (PyPI)", web.CodexPartner, page("codex-partner"), without=NEVER_ASKS),
    Row("@twsxtd/hapi 0.30.7 (npm)", hapi.Hapi, HAPI, without=HAPI_LACKS, quick=False),
]
# The checks after the client has ended.
LEFT, SCHEMA = "nothing left", "schema"
# Each step that --quick leaves out resembles one that it runs: a resume is part of the resume after kill -9.
LEFT_OUT = ("streamed answer", "resume", "list", "second prompt", "second tab", "list and reopen")


class Table:
    """Clients with the same steps."""

    def __init__(self, heading, names, rows, quick):
        self.heading, self.rows = heading, rows
        self.names = [name for name in names if name not in LEFT_OUT] if quick else names


def tables(quick, word):
    """The tables that have clients with this word in their name."""
    # The hub of hapi needs most of a minute to start beside other work, so only the whole run has it.
    rows = lambda all_rows: [row for row in all_rows if word in row.name and (row.quick or not quick)]
    both = [Table("client", steps.NAMES, rows(ROWS), quick), Table("page", web.NAMES, rows(PAGES), quick)]
    return [table for table in both if table.rows]


# Number of concurrent clients with --quick. They mostly wait; their times are not comparable then.
AT_A_TIME = 3
SHORT = {
    "streamed answer": "streamed",
    "MCP tool call": "tool",
    steps.LATE: "at the end",
    "resume after kill -9": "kill -9",
    steps.QUESTION: "question",
    "second prompt": "2nd prompt",
    "reload in mid-stream": "reload",
    "list and reopen": "reopen",
    web.KILL: "kill -9",
    web.QUESTION: "question",
    LEFT: "left",
}
WIDTHS = (46, 12)
WRONG = (AssertionError, OSError, subprocess.SubprocessError, ValueError, KeyError, IndexError, TypeError, AttributeError)


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
            # The failure came before the first step: each step gets its own cell.
            failed(names[0], error)
        finally:
            # Processes are left only after a failure; this script started them.
            home.kill_all()
    return cells


def nothing_left(home, client):
    """Stops the remaining programs like a user. Afterwards no process is left, and every server exited with 0."""
    client.close()
    home.close()
    until("the end of every process", lambda: not home.processes(), 10)
    home.ended_well()


def held_against_schema(home):
    """The peer's schema accepts every message of the server."""
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


def begin(table, out):
    headings = [SHORT.get(name, name) for name in [*table.names, LEFT, SCHEMA]]
    print(f"{table.heading:<{WIDTHS[0]}}" + "".join(f"{heading:>{WIDTHS[1]}}" for heading in headings), file=out, flush=True)


def one_by_one(asked, programs, out):
    """Prints each cell when it is known. Returns the cells of each client by name."""
    played = {}
    for table in asked:
        begin(table, out)
        for row in table.rows:
            print(f"{row.name:<{WIDTHS[0]}}", end="", file=out, flush=True)
            show = lambda cell: print(f"{word(cell):>{WIDTHS[1]}}", end="", file=out, flush=True)
            played[row.name] = play(row, programs, table.names, show)
            print(file=out, flush=True)
    return played


def some_at_a_time(asked, programs, out):
    """Prints each row when it and those before it are done."""
    played = {}
    with concurrent.futures.ThreadPoolExecutor(AT_A_TIME) as pool:
        run = lambda row, table: pool.submit(play, row, programs, table.names, lambda _: None)
        # Pages take longest, so they begin first.
        running = {row.name: run(row, table) for table in reversed(asked) for row in table.rows}
        for table in asked:
            begin(table, out)
            for row in table.rows:
                played[row.name] = running[row.name].result()
                print(printed(row, played[row.name].values()), file=out, flush=True)
    return played


def footnotes(table):
    """The reasons of the steps that are not offered, each once."""
    cells = [cell for cells in table.values() for cell in cells.values() if cell["result"] == "not offered"]
    return list(dict.fromkeys(cell["reason"] for cell in cells))


def write(path, asked, played):
    """Puts the tables between the two markers of the document."""
    notes = footnotes(played)

    def shown(cell):
        return f"not offered [{notes.index(cell['reason']) + 1}]" if cell["result"] == "not offered" else word(cell)

    lines = []
    for table in asked:
        names = [*table.names, LEFT, "violations, of messages of the server"]
        lines += [f"| {table.heading} | " + " | ".join(names) + " |", "| --- |" + " ---: |" * len(names)]
        for row in table.rows:
            lines.append(f"| {row.name} | " + " | ".join(shown(cell) for cell in played[row.name].values()) + " |")
        lines.append("")
    lines += [f"[{number}] {note}.  " for number, note in enumerate(notes, 1)]
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
    asked = tables(given.quick, given.only)
    out = sys.stderr if given.json else sys.stdout
    began = time.monotonic()
    way = some_at_a_time if given.quick else one_by_one
    table = way(asked, Programs(*given.programs), out)
    for note in footnotes(table):
        print(f"not offered: {note}", file=out)
    failures = [(row, name, cell["reason"]) for row, cells in table.items() for name, cell in cells.items() if cell["result"] == "failed"]
    for row, name, reason in failures:
        print(f"\n{row}, {name}: {reason}", file=out)
    if given.json:
        print(json.dumps(table, indent=1))
    if given.write and not failures:
        write(given.write, asked, table)
    verdict = "FAILED" if failures or not table else "ok"
    print(f"clients: {verdict}, {len(table)} clients in {time.monotonic() - began:.0f} s", file=out)
    sys.exit(0 if verdict == "ok" else 1)


main()
