"""See scripts/import-proof: `import-proof.py CODEX SKEIN WORK [--fixtures DIR]`. The last line has the result."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
LONG = 300  # letters of a text in a fixture


def main():
    codex, skein, work = sys.argv[1:4]
    made = os.path.join(work, "made")
    told = run(sys.executable, os.path.join(HERE, "peer-rollouts.py"), codex, made)
    threads = [json.loads(line) for line in told.splitlines()]
    source, home = os.path.join(made, "codex-home"), os.path.join(work, "home")
    if sys.argv[4:5] == ["--fixtures"]:
        keep(source, sys.argv[5], made)
    before = digest(source)
    first = json.loads(run(skein, "import", source, "--home", home, "--json").splitlines()[-1])
    expect(first["complete"] and not first["problems"] and first["imported"] >= len(threads), f"an import: {first}")
    expect(not first["passedOver"], f"lines that nobody reads: {first['passedOver']}")
    second = json.loads(run(skein, "import", source, "--home", home, "--json").splitlines()[-1])
    expect(second["imported"] == 0 and second["unchanged"] == first["imported"], f"a second import: {second}")
    expect(digest(source) == before, "the source as it was")
    serve(skein, source, home, threads)
    print(f"import-proof: ok, {first['imported']} threads of the peer were imported, listed, read and resumed")


def serve(skein, source, home, threads):
    command = [skein, "serve", "--home", home, "--listen", "ws://127.0.0.1:0"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        server.stdout.readline()

        def call(method, **params):
            return json.loads(run(skein, "call", method, json.dumps(params), "--home", home, "--json"))

        for thread in threads:
            check(call, thread)
            text = run(skein, "export", thread["id"], "--home", home, "--format", "markdown")
            expect(thread["says"] in text, f"an export of {thread}")
        refused = subprocess.run([skein, "import", source, "--home", home], capture_output=True, text=True, check=False)
        expect(refused.returncode == 3 and str(server.pid) in refused.stderr, f"a refusal: {refused}")
    finally:
        server.send_signal(signal.SIGTERM)
        expect(server.wait(30) == 0, "an orderly end")


def check(call, thread):
    listed = call("thread/list", archived=thread["archived"], limit=100)["data"]
    row = next((row for row in listed if row["id"] == thread["id"]), None)
    expect(row is not None, f"{thread} in the list")
    expect(row.get("name") == thread["name"] and row["modelProvider"] == "fake", f"the row of {thread}: {row}")
    read = call("thread/read", threadId=thread["id"], includeTurns=True)["thread"]
    expect(len(read["turns"]) == thread["turns"], f"{thread['turns']} turns of {thread}: {read['turns']}")
    last = [item for item in read["turns"][-1]["items"] if item["type"] == "agentMessage"][-1]
    expect(last["text"] == thread["says"], f"what {thread} said: {last}")
    if not thread["archived"]:
        resumed = call("thread/resume", threadId=thread["id"])["thread"]
        expect(resumed["turns"][-1]["items"][-1]["id"] == last["id"], f"a resume of {thread}: {resumed}")
    print(f"import-proof: {thread['id']}, {thread['turns']} turns, {row['preview']!r}")


def keep(source, into, root):
    """The rollouts without machine paths, and with long texts cut."""

    def scrub(value):
        if isinstance(value, str):
            value = value.replace(root, "/home/user")
            return value if len(value) <= LONG else value[:LONG] + "…"
        if isinstance(value, list):
            return [scrub(one) for one in value]
        if isinstance(value, dict):
            return {scrub(name): scrub(one) for name, one in value.items()}
        return value

    shutil.rmtree(into, ignore_errors=True)
    for path in rollouts(source) + [os.path.join(source, "session_index.jsonl")]:
        to = os.path.join(into, os.path.relpath(path, source))
        os.makedirs(os.path.dirname(to), exist_ok=True)
        with open(path, encoding="utf-8") as lines, open(to, "w", encoding="utf-8") as out:
            for line in lines:
                out.write(json.dumps(scrub(json.loads(line)), ensure_ascii=False, separators=(",", ":")) + "\n")


def rollouts(source):
    found = []
    for folder in ("sessions", "archived_sessions"):
        for place, _, names in os.walk(os.path.join(source, folder)):
            found += [os.path.join(place, name) for name in names if name.endswith(".jsonl")]
    return sorted(found)


def digest(source):
    sums = {}
    for path in rollouts(source):
        with open(path, "rb") as file:
            sums[path] = hashlib.sha256(file.read()).hexdigest()
    return sums


def run(*command):
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout


def expect(fact, what):
    if not fact:
        raise SystemExit(f"import-proof: FAILED, expected {what}")


main()
