#!/usr/bin/env python3
"""Makes a build of Skein leave a small home behind, for the test that opens homes of earlier versions.

    scripts/lib/earlier-home.py SKEIN ARCHIVE

SKEIN is the program `skein` of that version, ARCHIVE the .tar.gz to write. The archive gets the folder `home` and
`answers.json`: each whole thread, by a name, as that version returns it from a copy of the home. The home has turns, a name,
a goal, a text in blobs/, an archived and a deleted thread, a fork, a failed turn, and a turn that ran when the server was
killed. One rollout is damaged afterwards. The kill also leaves open markers, the lock and server.json.
"""

import contextlib
import json
import pathlib
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile

def main():
    skein, archive = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        home = pathlib.Path(folder, "home")
        home.mkdir(mode=0o700)
        # Each call opens a connection of its own and closes it at once.
        home.joinpath("config.toml").write_text('[unload]\ngrace = "10min"\n')
        with served(skein, home) as ask:
            threads = fill(ask)
        damage(home, threads["damaged"])
        copy = pathlib.Path(folder, "copy")
        shutil.copytree(home, copy, symlinks=True, ignore=shutil.ignore_patterns("*.sock"))
        with served(skein, copy) as ask:
            text = json.dumps({name: read(ask, thread) for name, thread in threads.items()}, indent=1)
        answers = pathlib.Path(folder, "answers.json")
        answers.write_text(text.replace(str(copy), "HOME") + "\n")
        with tarfile.open(archive, "w:gz") as out:
            for path in sorted(home.rglob("*")):
                if not path.is_socket() and path.name != "config.toml":
                    out.add(path, path.relative_to(folder), recursive=False, filter=of_nobody)
            out.add(answers, answers.name, filter=of_nobody)


@contextlib.contextmanager
def served(skein, home):
    serve = [skein, "serve", "--home", home, "--listen", "ws://127.0.0.1:0"]
    server = subprocess.Popen(serve, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        server.stdout.readline()
        yield lambda method, params: call(skein, home, method, params)
    finally:
        server.send_signal(signal.SIGKILL)
        server.wait()


def read(ask, thread):
    """The thread as any client reads it. None if it was deleted, and for times of this very read."""
    found = ask("thread/read", {"threadId": thread, "includeTurns": True})
    return found and found["thread"]


def call(skein, home, method, params):
    asking = [skein, "call", "--home", home, method, json.dumps(params)]
    done = subprocess.run(asking, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if "thread not loaded" in done.stderr or "not found" in done.stderr:
        return None
    done.check_returncode()
    return json.loads(done.stdout)


def fill(ask):
    def start(*texts):
        thread = ask("thread/start", {"cwd": "/srv/project"})["thread"]["id"]
        for text in texts:
            say(thread, text)
        return thread

    def say(thread, text):
        ask("turn/start", {"threadId": thread, "input": [{"type": "text", "text": text}]})
        while ask("thread/read", {"threadId": thread, "includeTurns": True})["thread"]["turns"][-1]["status"] == "inProgress":
            pass

    threads = {"named": start("first words", "second words")}
    ask("thread/name/set", {"threadId": threads["named"], "name": "a name"})
    ask("thread/goal/set", {"threadId": threads["named"], "objective": "an aim"})
    threads["large"] = start("/stream 6 65536")
    threads["failed"] = start("before", "/fail no reason")
    threads["archived"] = start("kept away")
    ask("thread/archive", {"threadId": threads["archived"]})
    threads["deleted"] = start("thrown away")
    ask("thread/delete", {"threadId": threads["deleted"]})
    threads["fork"] = ask("thread/fork", {"threadId": threads["named"]})["thread"]["id"]
    say(threads["fork"], "words of the fork")
    threads["damaged"] = start("one", "two", "three")
    threads["open"] = start("said")
    ask("turn/start", {"threadId": threads["open"], "input": [{"type": "text", "text": "/hang"}]})
    return threads


def damage(home, thread):
    """Damages the line with the user's second message."""
    (path,) = home.glob(f"threads/**/{thread}.jsonl")
    lines = path.read_text().splitlines()
    at = next(at for at, line in enumerate(lines) if '"two"' in line)
    lines[at] = lines[at][: len(lines[at]) // 2]
    path.write_text("\n".join(lines) + "\n")


def of_nobody(entry):
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    return entry


main()
