"""Prints the table of packages, from a line of JSON for each.

usage: table.py RESULTS [--json] [--write DOCUMENT]"""

import argparse
import json
import pathlib
import re
import sys

BEGIN, END = "<!-- packages: written by scripts/package -->", "<!-- packages: end -->"
SECONDS = {"build": "build", "install": "install", "firstAnswer": "first answer", "upgrade": "upgrade", "remove": "remove", "all": "in all"}


def seconds(row, name):
    return f"{row[name] / 1000:.2f}" if name in row else "–"


def lines(rows):
    yield "| kind | " + " | ".join(f"{name}, s" for name in SECONDS.values()) + " | bytes | result |"
    yield "| --- |" + " ---: |" * (len(SECONDS) + 1) + " --- |"
    for row in rows:
        size = f"{row['bytes']:,}" if "bytes" in row else "–"
        yield f"| {row['kind']} | " + " | ".join(seconds(row, name) for name in SECONDS) + f" | {size} | {row['result']} |"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("results", type=pathlib.Path)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--write", type=pathlib.Path)
    given = parser.parse_args()
    rows = [json.loads(line) for line in given.results.read_text().splitlines()]
    table = "\n".join(lines(rows))
    print(json.dumps({"packages": rows}) if given.json else table)
    if given.write:
        text = given.write.read_text()
        pattern = re.compile(re.escape(BEGIN) + ".*?" + re.escape(END), re.S)
        if not pattern.search(text):
            sys.exit(f"{given.write} has no lines {BEGIN} and {END}")
        given.write.write_text(pattern.sub(lambda _: f"{BEGIN}\n\n{table}\n\n{END}", text))


main()
