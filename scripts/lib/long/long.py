"""Three long conversations at the same time, one for each model interface, behind LiteLLM's proxy, with third-party MCP servers.
Prints a table; exit code 1 if a check fails, or a process is left.

usage: python3 long.py SKEIN LITELLM NPM PYTHON [--turns N] [--seed N] [--kills N]
       (programs, the folder of the npm installation, and the Python venv; `websockets` must be importable)"""

import argparse
import ctypes
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

from talk import Client, Refused, Talk

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from ports import free_port

FORMS = ("chat", "responses", "anthropic")
HERE = pathlib.Path(__file__).parent
READY = 120  # limit for the start of a program, seconds
ENDED = 30  # limit for the exit of a program, seconds
KEY = "sk-" + "0123456789abcdef" * 2
PR_SET_CHILD_SUBREAPER = 36
# Long enough that a compaction comes after some turns.
COMPACT_AT = 9000


def get(url):
    return urllib.request.urlopen(url, timeout=5).read()


class Programs:
    """The started programs, which are ended in any case."""

    def __init__(self):
        self.running = []

    def start(self, what, command, **more):
        process = subprocess.Popen(command, **more)
        self.running.append((what, process))
        return process

    def wait_for(self, what, process, ready):
        end = time.monotonic() + READY
        while time.monotonic() < end:
            if process.poll() is not None:
                raise AssertionError(f"{what} has ended with {process.returncode}")
            try:
                if answer := ready():
                    return answer
            except (OSError, ValueError):
                pass
            time.sleep(0.05)
        raise AssertionError(f"{what} was not ready within {READY} s")

    def end(self, what, process):
        """Terminates it. Returns the problem, if there is one."""
        self.running.remove((what, process))
        process.terminate()
        try:
            process.wait(ENDED)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            return [f"{what} did not end within {ENDED} s"]
        return [f"{what} has ended with {process.returncode}"] if what == "the server" and process.returncode else []

    def end_all(self):
        return [wrong for what, process in reversed(self.running[:]) for wrong in self.end(what, process)]


class Place:
    """The provider, the proxy, a home with the helpers, and its server, which can be killed."""

    def __init__(self, given, work, programs):
        self.given, self.work, self.programs = given, work, programs
        self.folder, self.home, self.log, self.kills = work / "folder", work / "home", work / "skein.log", given.kills
        self.killing = threading.Barrier(len(FORMS), self.kill_and_start)
        self.server = self.listening = None
        self.home.mkdir()
        for form in FORMS:
            (self.folder / form).mkdir(parents=True)
            self.git(form, "init", "--quiet")
            self.git(form, "-c", "user.name=long", "-c", "user.email=long@example.org", "commit", "--quiet", "--allow-empty", "-m", "begun")

    def git(self, form, *words):
        subprocess.run(["git", "-C", self.folder / form, *words], check=True)

    def begin(self):
        port = self.work / "port"
        model = self.programs.start("the model", [sys.executable, HERE / "model.py", port])
        self.pages = self.programs.wait_for("the model", model, lambda: int(port.read_text()))
        self.litellm()
        self.settings()
        self.serve()

    def litellm(self):
        self.proxy, file = free_port(), self.work / "litellm.json"
        at = {"api_base": f"http://127.0.0.1:{self.pages}/v1", "api_key": "none"}
        models = [{"model_name": f"long-{form}", "litellm_params": {"model": f"hosted_vllm/long-{form}", **at}} for form in FORMS]
        settings = {"num_retries": 0, "drop_params": True, "telemetry": False}
        routes = {"num_retries": 0, "disable_cooldowns": True}
        file.write_text(json.dumps({"model_list": models, "litellm_settings": settings, "router_settings": routes, "general_settings": {"master_key": KEY}}))
        log = (self.work / "litellm.log").open("w")
        environment = {**os.environ, "LITELLM_LOCAL_MODEL_COST_MAP": "True", "NO_PROXY": "127.0.0.1", "HF_HUB_OFFLINE": "1"}
        # Two workers, which uvicorn restarts when they die: LiteLLM under Python 3.11 sometimes ends with a
        # segmentation fault.
        command = [self.given.litellm, "--config", file, "--host", "127.0.0.1", "--port", str(self.proxy), "--num_workers", "2"]
        process = self.programs.start("LiteLLM's proxy", command, stdout=log, stderr=log, env=environment, cwd=self.work)
        self.programs.wait_for("LiteLLM's proxy", process, lambda: get(f"http://127.0.0.1:{self.proxy}/health/liveliness"))

    def settings(self):
        node = lambda server, *words: ("node", [f"{self.given.npm}/node_modules/@modelcontextprotocol/server-{server}/dist/index.js", *words])
        python = lambda server, *words: (f"{self.given.python}/bin/mcp-server-{server}", list(words))
        # The author of git commits; the settings of this machine's user do not count.
        who = {f"GIT_{role}_{what}": value for role in ("AUTHOR", "COMMITTER") for what, value in (("NAME", "long"), ("EMAIL", "long@example.org"))}
        helpers = {
            "files": (node("filesystem", str(self.folder)), {}, "thread"),
            "git": (python("git"), {**who, "GIT_CONFIG_GLOBAL": "/dev/null"}, "thread"),
            "web": (python("fetch", "--ignore-robots-txt", "--allow-private-ips"), {"NO_PROXY": "127.0.0.1"}, "thread"),
            "pictures": (node("everything"), {}, "thread"),
            "shared": (node("memory"), {"MEMORY_FILE_PATH": str(self.work / "memory.json")}, "shared"),
        }
        lines = ['model = "long-chat"', 'model_provider = "litellm-chat"', f"model_auto_compact_token_limit = {COMPACT_AT}"]
        for form in FORMS:
            lines += [f"[model_providers.litellm-{form}]", f'base_url = "http://127.0.0.1:{self.proxy}/v1"', f'wire_api = "{form}"', 'env_key = "LONG_KEY"']
        for name, ((program, words), variables, isolation) in helpers.items():
            lines += [f"[mcp_servers.{name}]", f"command = {json.dumps(program)}", f"args = {json.dumps(words)}", f'isolation = "{isolation}"']
            lines += ["startup_timeout_sec = 120", 'default_tools_approval_mode = "approve"']
            if variables:
                lines += ["env = { " + ", ".join(f"{key} = {json.dumps(value)}" for key, value in variables.items()) + " }"]
        (self.home / "config.toml").write_text("\n".join(lines) + "\n")

    def serve(self):
        command = [self.given.skein, "serve", "--home", self.home, "--listen", "ws://127.0.0.1:0"]
        with self.log.open("a") as log:
            self.server = self.programs.start("the server", command, stdout=subprocess.PIPE, stderr=log, text=True, env={**os.environ, "LONG_KEY": KEY})
        said = self.server.stdout.readline()
        if not said:
            raise AssertionError(f"the server did not start: {self.log.read_text()[-2000:]}")
        self.listening = json.loads(said)["address"]

    def address(self):
        return self.listening

    def kill_and_start(self):
        self.programs.running.remove(("the server", self.server))
        self.server.kill()
        self.server.wait()
        self.serve()

    def stop(self):
        return self.programs.end("the server", self.server)

    def exported(self, thread):
        """The user's texts in the output of `skein export`."""
        ran = subprocess.run([self.given.skein, "export", thread, "--home", self.home], capture_output=True, text=True, check=True)
        return [text for line in ran.stdout.splitlines() for text in texts_of_the_user(json.loads(line))]


def texts_of_the_user(record):
    """The id and text of a finished item's record in the rollout."""
    item = record.get("item") or {}
    if record.get("type") != "item.completed" or item.get("type") != "userMessage":
        return []
    return [part["text"] for part in item["content"]]


HEADINGS = ("turns", "seconds", "calls", "compactions", "interrupts", "added", "kills", "leaves", "requests", "tokens", "longest", "pictures")


def table(talks, seen):
    print(f"{'':12}" + "".join(f"{heading:>13}" for heading in HEADINGS))
    for talk in talks:
        figures = {**seen.get(f"long-{talk.form}", {}), **talk.figures}
        cells = [f"{figures.get(name, 0):.1f}" if name == "seconds" else str(figures.get(name, 0)) for name in HEADINGS]
        print(f"{talk.form:12}" + "".join(f"{cell:>13}" for cell in cells), flush=True)


def converse(given, place):
    """Runs all conversations in parallel. Returns the problems."""
    talks = [Talk(form, given.turns, given.seed, place) for form in FORMS]
    threads = [threading.Thread(target=talk.run) for talk in talks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seen = json.loads(get(f"http://127.0.0.1:{place.pages}/seen"))
    table(talks, seen)
    problems = [talk.error for talk in talks if talk.error]
    for talk in talks:
        known = seen.get(f"long-{talk.form}", {"wrong": [], "whole": {}})
        problems += [f"what {talk.form} was asked: {wrong}" for wrong in known["wrong"][:5]]
        if lost := [number for number in talk.whole if str(number) not in known["whole"]]:
            problems.append(f"{talk.form} did not finish its answers to {lost}")
    return problems + judge_cold([talk for talk in talks if not talk.error], place)


def judge_cold(talks, place):
    """Stops the server, and compares the disk with both clients' views. Returns the problems."""
    for talk in talks:
        talk.first.close()
        talk.second.close()
    problems = place.stop()
    exports = [place.exported(talk.thread) for talk in talks]
    place.serve()
    client = Client(place.address(), "cold")
    for talk, exported in zip(talks, exports):
        try:
            talk.judge_cold(client, exported)
        except (AssertionError, Refused) as error:
            problems.append(f"{talk.form}, thread {talk.thread}: {error}")
    client.close()
    return problems


def left():
    """Living processes that this script started."""
    children = pathlib.Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    return [child for child in children if pathlib.Path(f"/proc/{child}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"]


def main():
    parser = argparse.ArgumentParser(prog="scripts/conversation --long")
    parser.add_argument("--turns", type=int, default=200)
    parser.add_argument("--seed", default="1")
    parser.add_argument("--kills", type=int, default=2)
    parser.add_argument("--keep", action="store_true", help="leave the home and the logs of a run that failed")
    for name in ("skein", "litellm", "npm", "python"):
        parser.add_argument(name, help=argparse.SUPPRESS)
    given = parser.parse_args()
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)
    programs, problems = Programs(), []
    work = tempfile.TemporaryDirectory(prefix="skein-long-", delete=False) if sys.version_info >= (3, 12) else tempfile.TemporaryDirectory(prefix="skein-long-")
    place = Place(given, pathlib.Path(work.name), programs)
    try:
        place.begin()
        problems += converse(given, place)
    except (AssertionError, OSError, KeyError, ValueError) as error:
        problems.append(f"{type(error).__name__}: {error}")
    finally:
        problems += programs.end_all()
        end = time.monotonic() + ENDED
        while left() and time.monotonic() < end:
            time.sleep(0.1)
        for child in left():
            problems.append(f"process {child} is left: {pathlib.Path(f'/proc/{child}/cmdline').read_text()}")
            os.kill(int(child), signal.SIGKILL)
    for problem in problems:
        print(f"  {problem}", file=sys.stderr)
    if problems and given.keep:
        print(f"kept: {work.name}", file=sys.stderr)
        work._finalizer.detach()
    else:
        work.cleanup()
    return 1 if problems else 0


sys.exit(main())
