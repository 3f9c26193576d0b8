"""Does the same with the real peer and with Skein, and compares the messages to every client. Known differences are in
known.toml, each with its reason.

usage: compare.py PEER SKEIN [--seed N] [--steps N] [--quick] [--story NAME] [--json] [--keep]

PEER and SKEIN are programs that are started as `PROGRAM app-server --listen ws://..`."""

import argparse
import concurrent.futures
import difflib
import fnmatch
import json
import os
import random
import shutil
import sys
import time
import tomllib

import stories
from plain import ABSENT, differences
from runner import Runner
from side import QUIET, Side
from walk import Walk

HERE = os.path.dirname(os.path.abspath(__file__))
STEPS = 120
QUICK_STEPS = 25


class Known:
    """The committed list."""

    def __init__(self):
        with open(os.path.join(HERE, "known.toml"), "rb") as file:
            self.entries = tomllib.load(file)["difference"]
        for entry in self.entries:
            unknown = entry.keys() - {"at", "peer", "skein", "why", "step", "rare"}
            if unknown or not entry.get("why") or not entry.get("at"):
                raise SystemExit(f"known.toml: an entry needs at and why, and has {unknown or 'not both'}: {entry}")
        self.used = set()

    def knows(self, found):
        """Whether an entry covers this difference. Every matching entry counts as used."""
        fits = [number for number, entry in enumerate(self.entries) if matches(entry, found)]
        self.used.update(fits)
        return bool(fits)

    def unused(self):
        return [entry for number, entry in enumerate(self.entries) if number not in self.used and not entry.get("rare")]


def matches(entry, found):
    places = entry["at"] if isinstance(entry["at"], list) else [entry["at"]]
    if not any(glob(found["at"], place) for place in places):
        return False
    for side in ("peer", "skein", "step"):
        values = entry.get(side, "*")
        text = json.dumps(found[side])
        if not any(glob(text, value) for value in ([values] if isinstance(values, str) else values)):
            return False
    return True


def glob(text, pattern):
    # A bracket in a path is literal.
    return fnmatch.fnmatchcase(text, pattern.replace("[", "[[]"))


def compare(step, peer, skein):
    """Differences of one step: kind, place, and the two values."""
    (one, lost_one), (other, lost_other) = peer, skein
    if lost_one != lost_other:
        yield {"at": "step", "peer": lost_one, "skein": lost_other}
    for client in sorted(one.keys() | other.keys()):
        yield from compare_heard(one.get(client, []), other.get(client, []))


def label(message):
    """The kind of a message, for its place in the order."""
    kind, method, params = message
    item = params.get("item") if isinstance(params, dict) else None
    words = [kind if kind in ("says", "asks") else "answer", method]
    if isinstance(item, dict):
        words.append(str(item.get("type")))
    if method == "thread/status/changed":
        status = params.get("status") or {}
        words.append("+".join([str(status.get("type")), *status.get("activeFlags", [])]))
    if method == "mcpServer/startupStatus/updated":
        words.append(str(params.get("status")))
    return " ".join(words)


def compare_heard(one, other):
    """Differences in one client's messages. Helpers start in parallel, so their messages have no place in the order."""
    beside = lambda message: message[1] == "mcpServer/startupStatus/updated"
    yield from compare_order([m for m in one if not beside(m)], [m for m in other if not beside(m)])
    yield from compare_order(sorted(filter(beside, one), key=label), sorted(filter(beside, other), key=label))


def compare_order(one, other):
    """Messages that only one side sends, another order, other members."""
    labels, others = [label(message) for message in one], [label(message) for message in other]
    pairs, left, right = [], [], []
    for kind, at, to, its, until in difflib.SequenceMatcher(None, labels, others, autojunk=False).get_opcodes():
        if kind == "equal":
            pairs += list(zip(range(at, to), range(its, until)))
        else:
            left += range(at, to)
            right += range(its, until)
    for place in left:
        twin = next((its for its in right if others[its] == labels[place]), None)
        if twin is None:
            yield {"at": f"only peer {labels[place]}", "peer": one[place][2], "skein": None}
            continue
        right.remove(twin)
        pairs.append((place, twin))
        yield {"at": f"order {labels[place]}", "peer": labels, "skein": others}
    for place in right:
        yield {"at": f"only skein {others[place]}", "peer": None, "skein": other[place][2]}
    for place, its in sorted(pairs):
        (kind, method, params), (answered, _, values) = one[place], other[its]
        if kind != answered:
            yield {"at": f"{method} answer", "peer": {kind: params}, "skein": {answered: values}}
            continue
        for path, mine, its_own in differences(params, values):
            yield {"at": f"{method} {kind} {path}", "peer": mine, "skein": its_own}


def play(side, steps, sayings):
    runner = Runner(side)
    heard = []
    for step in steps:
        began = time.monotonic()
        heard.append(runner.step(step))
        if sayings:
            print(f"{side.name} {time.monotonic() - began:.2f} {json.dumps(step)[:150]}", file=sys.stderr)
    return heard


def run(programs, steps, quiet, sayings=False):
    """Runs both sides at once. Returns the messages, and every difference with its step."""
    sides = [Side(name, program, quiet) for name, program in programs]
    try:
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            played = [pool.submit(play, side, steps, sayings) for side in sides]
            peer, skein = (one.result() for one in played)
    finally:
        for side in sides:
            side.close()
            shutil.rmtree(side.folder, ignore_errors=True)
    for number, step in enumerate(steps):
        for found in compare(step, peer[number], skein[number]):
            yield {**found, "number": number, "step": step}


def key(found):
    """The identity of a difference that must occur again. Values do not count, because ids and times always differ."""
    return found["number"], found["at"]


def surely(programs, steps, known, sayings, once):
    """Unknown differences. They must occur again when the servers get more time."""
    new = [found for found in run(programs, steps, QUIET, sayings) if not known.knows(found)]
    if not new or once:
        return new
    again = [found for found in run(programs, steps, QUIET * 5, sayings) if not known.knows(found)]
    seen = {key(found) for found in again}
    return [found for found in new if key(found) in seen]


def show(name, found):
    step = found["step"]
    what = {"ask": step.get("method"), "pages": step.get("method")}.get(step["do"], step["do"])
    print(f"{name}, step {found['number']} ({what} {json.dumps(step.get('params', {}))[:160]})")
    print(f"  at     {found['at']}")
    for side in ("peer", "skein"):
        value = found[side] if found[side] == ABSENT else json.dumps(found[side])
        print(f"  {side:6} {value[:600]}")


def main():
    words = argparse.ArgumentParser()
    words.add_argument("peer")
    words.add_argument("skein")
    words.add_argument("--seed", type=int, default=None)
    words.add_argument("--steps", type=int, default=None)
    words.add_argument("--quick", action="store_true")
    words.add_argument("--story", default=None)
    words.add_argument("--json", action="store_true")
    words.add_argument("--verbose", action="store_true")
    words.add_argument("--once", action="store_true")
    asked = words.parse_args()
    seed = asked.seed if asked.seed is not None else random.randrange(10**6)
    steps = asked.steps if asked.steps is not None else (QUICK_STEPS if asked.quick else STEPS)
    plays = [(story.__name__, list(story())) for story in stories.STORIES if asked.story in (None, story.__name__)]
    if asked.story in (None, "walk") and steps:
        plays.append((f"walk --seed {seed} --steps {steps}", Walk(seed).plan(steps)))
    programs = [("peer", asked.peer), ("skein", asked.skein)]
    known, count, failed = Known(), 0, 0
    began = time.monotonic()
    print(f"seed {seed}", file=sys.stderr if asked.json else sys.stdout, flush=True)
    for name, steps in plays:
        count += len(steps)
        for found in surely(programs, steps, known, asked.verbose, asked.once):
            failed += 1
            print(json.dumps({"play": name, **found})) if asked.json else show(name, found)
        sys.stdout.flush()
    stale = [] if asked.story else known.unused()
    for entry in stale:
        print(f"known.toml: no longer seen: {entry['at']} ({entry['why']})", file=sys.stderr)
    took = time.monotonic() - began
    print(f"{count} steps in {took:.0f} s, {failed} differences that are not known, {len(stale)} entries not seen", file=sys.stderr)
    sys.exit(1 if failed or (stale and not asked.quick) else 0)


if __name__ == "__main__":
    main()
