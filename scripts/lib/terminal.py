"""The commands for people at a real terminal: scripts/terminal tells more."""

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor

PATIENCE = 60
POLL = 0.05
# A title, the clipboard, a link, an erased screen, a moved cursor, colours, C1, bidi marks.
EVIL = (
    "x\x1b]0;TITLE\x07\x1b]2;TITLE\x07\x1b]52;c;RVZJTA==\x07\x1b]8;;http://evil.example\x1b\\link\x1b]8;;\x1b\\"
    "\x1b[2J\x1b[1;1H\x1b[31mred\x1b[0m\x9b31mc1\x9b2J\x9d0;TITLE\x9c\u202eabc\u2066def"
)
STREAM = "/stream 100000 4 20"
PROMPT = re.compile(r".*\[(\d+):(\d+)\] ?(.*)$")


class Failed(Exception):
    pass


class Terminal:
    """A shell in a tmux server of its own."""

    def __init__(self, folder, skein, columns, colours):
        self.socket = os.path.join(folder, f"tmux-{columns}-{colours}")
        self.folder = folder
        self.columns = columns
        self.colours = colours
        env = {
            "HOME": folder, "PATH": os.path.dirname(skein) + ":" + os.environ["PATH"], "SKEIN_HOME": os.path.join(folder, "home"),
            "TERM": "xterm-256color", "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8", "PS1": r"[\#:$?] ", "EVIL": EVIL,
        }
        if not colours:
            env["NO_COLOR"] = "1"
        shell = ["env", "-i", *[f"{name}={value}" for name, value in env.items()], "bash", "--norc", "--noprofile"]
        self.tmux("-f", "/dev/null", "new-session", "-d", "-c", folder, "-x", str(columns), "-y", "60", *shell)
        for option in (["-g", "set-clipboard", "on"], ["-g", "allow-rename", "on"], ["-g", "set-titles", "on"]):
            self.tmux("set-option", *option)
        self.number = self.prompt()[0]
        self.title = self.tmux("display-message", "-p", "#{pane_title}")

    def tmux(self, *words, check=True):
        done = subprocess.run(["tmux", "-S", self.socket, *words], capture_output=True, text=True, errors="replace")
        if check and done.returncode:
            raise Failed(f"tmux {words}: {done.stderr}")
        return done.stdout

    def screen(self, *more):
        return self.tmux("capture-pane", "-p", "-S", "-2000", *more).rstrip("\n")

    def prompt(self, above=0):
        """Waits for a prompt with a higher number and nothing behind it; its number and the exit code."""
        def found():
            lines = self.screen().splitlines()
            match = PROMPT.match(lines[-1]) if lines else None
            if match and int(match[1]) > above and not match[3]:
                return int(match[1]), int(match[2])
            return None
        return self.wait(found, f"a prompt above {above}")

    def wait(self, found, what):
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            result = found()
            if result:
                return result
            time.sleep(POLL)
        raise Failed(f"no {what} within {PATIENCE} s:\n{self.screen()}")

    def shows(self, text):
        """Waits until the screen has the text, whatever line breaks the terminal puts in."""
        flat = text.replace(" ", "").replace("\n", "")
        return self.wait(lambda: flat in self.screen().replace(" ", "").replace("\n", ""), f"{text!r} on the screen")

    def type(self, line):
        self.tmux("send-keys", "-l", line)
        self.tmux("send-keys", "Enter")

    def key(self, key):
        self.tmux("send-keys", key)

    def begin(self, line):
        self.tmux("send-keys", "-R")
        self.tmux("clear-history")
        self.type(line)

    def ends(self, code, what):
        self.number, ended = self.prompt(-1)
        if ended != code:
            raise Failed(f"{what} has ended with {ended}, not {code}:\n{self.screen()}")
        return self.screen()

    def run(self, line, code=0):
        self.begin(line)
        return self.ends(code, line)

    def unharmed(self, what):
        """Nothing that a text can do to a terminal was done."""
        if (title := self.tmux("display-message", "-p", "#{pane_title}")) != self.title:
            raise Failed(f"{what} has changed the title to {title!r}")
        if buffers := self.tmux("list-buffers", check=False):
            raise Failed(f"{what} has written to the clipboard: {buffers!r}")
        raw = self.screen("-e")
        if "\x1b]8" in raw or "evil.example\x1b" in raw:
            raise Failed(f"{what} has made a link:\n{raw!r}")
        if re.search(r"\x1b\[[0-9;]*31[;m]", raw):
            raise Failed(f"{what} has made text red:\n{raw!r}")
        if re.search("[\x80-\x9f\u202a-\u202e\u2066-\u2069]", raw):
            raise Failed(f"{what} has left C1 or bidi characters:\n{raw!r}")

    def close(self):
        self.tmux("kill-server", check=False)


def plain_commands(terminal):
    terminal.run("skein")
    terminal.shows("skein --help")
    help_text = terminal.run("skein --help")
    if any(len(line) > terminal.columns for line in help_text.splitlines()):
        raise Failed(f"the help is too wide:\n{help_text}")
    terminal.run("skein run hello")
    terminal.shows("hello")
    terminal.run("skein threads")
    terminal.shows("@1")
    terminal.run("skein run '/fail no luck'", 1)
    terminal.run("skein start", 2)


def interrupted(terminal):
    terminal.begin("skein run /hang")
    # A shell that has not started the program yet would keep the signal for itself.
    terminal.wait(lambda: terminal.tmux("display-message", "-p", "#{pane_current_command}").strip() == "skein", "a running program")
    # Before, during or after the start of the turn: each ends with 130.
    terminal.key("C-c")
    terminal.ends(130, "an interrupted run")
    terminal.begin("skein chat")
    terminal.shows("Ctrl-D leaves")
    terminal.type("first words")
    terminal.wait(lambda: terminal.screen().count("first words") > 1, "an answer")
    # The terminal drops typed lines at Ctrl-C, so the turn must run before.
    before = len(terminal.screen())
    terminal.type(STREAM)
    terminal.wait(lambda: len(terminal.screen()) > before + len(STREAM) + 8, "a running turn")
    terminal.key("C-c")
    terminal.shows("interrupted")
    terminal.type("still here")
    terminal.wait(lambda: terminal.screen().count("still here") > 1, "an answer after an interrupt")
    terminal.key("C-c")
    terminal.shows("skein: Ctrl-C again leaves")
    terminal.key("C-c")
    terminal.ends(130, "a chat that was left by Ctrl-C")
    terminal.begin("skein chat --last")
    terminal.shows("Ctrl-D leaves")
    terminal.key("C-d")
    terminal.ends(0, "a chat that was left by Ctrl-D")
    terminal.begin("skein threads tail @1")
    terminal.shows("still here")
    terminal.key("C-c")
    terminal.ends(0, "a tail")


def waits(terminal):
    """A wait above a second shows one line, which is gone at the end."""
    for line, what, code in (("skein run /hang", "waiting for the model", 130), ("skein mcp test -- sleep 600", "starting sleep", 1)):
        terminal.begin(line)
        terminal.shows(what)
        if len(terminal.screen().splitlines()) != 2:
            raise Failed(f"{line} shows more than one line:\n{terminal.screen()}")
        terminal.key("C-c")
        terminal.ends(code, line)
        if what in terminal.screen():
            raise Failed(f"{line} leaves its progress:\n{terminal.screen()}")


def questions(terminal):
    terminal.begin("skein run '/ask which colour?'")
    terminal.shows("which colour?")
    terminal.type("blue")
    terminal.ends(0, "a question with an answer")
    terminal.shows("blue")
    terminal.begin("skein run '/ask again?'")
    terminal.shows("again?:")
    terminal.key("C-c")
    terminal.ends(130, "an interrupted question")


def hostile(terminal):
    terminal.run('skein run "$EVIL"')
    terminal.shows("\\u001b]52;c;RVZJTA==\\u0007")
    terminal.unharmed("an answer")
    terminal.run('skein threads rename @1 "$EVIL"')
    for line in ("skein threads", "skein threads show @1", "skein threads search TITLE", "skein status"):
        terminal.run(line)
        terminal.shows("\\u001b]0;TITLE" if "status" not in line else "Process")
        terminal.unharmed(line)
    terminal.run("skein threads --json | cat -v | grep -c '\\^\\[' | grep -x 0")


def served(terminal):
    terminal.run("skein open --print")
    terminal.shows("/#ticket=")
    terminal.run("skein")
    terminal.shows("skein stop")


def greeted(terminal):
    """The four lines of a server at a terminal are on stderr; stdout has the line for programs alone."""
    terminal.begin("skein serve --listen ws://127.0.0.1:0 > ready.json")
    terminal.shows("Ctrl-C stops it")
    # The terminal cuts long lines: compare without breaks.
    flat = terminal.screen().replace(" ", "").replace("\n", "")
    if not re.search(r"addressws://127\.0\.0\.1:(\d+)pagehttp://127\.0\.0\.1:\1/\(skeinopenletsabrowserin\)home/\S*/homeCtrl-Cstopsit", flat):
        raise Failed(f"the four lines of a server are not there:\n{terminal.screen()}")
    coloured = "\x1b[" in terminal.screen("-e")
    if coloured != terminal.colours:
        raise Failed(f"the log has {'colours' if coloured else 'no colours'}:\n{terminal.screen('-e')!r}")
    terminal.key("C-c")
    terminal.ends(0, "a server that Ctrl-C has stopped")
    with open(os.path.join(terminal.folder, "ready.json")) as ready:
        lines = ready.read().splitlines()
    if len(lines) != 1 or not json.loads(lines[0])["address"].startswith("ws://127.0.0.1:"):
        raise Failed(f"stdout of a server is not its one line: {lines}")


def stopped(terminal):
    terminal.run("skein stop")
    terminal.shows("has ended after")
    terminal.run("skein stop", 1)


def left_over(folder):
    """Processes that have this folder in their environment."""
    left = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/environ", "rb") as environ, open(f"/proc/{pid}/comm") as comm:
                if f"SKEIN_HOME={folder}".encode() in environ.read():
                    left.append((pid, comm.read().strip()))
        except OSError:
            pass
    return [one for one in left if one[1] in ("skein", "guard")]


def play(skein, columns, colours):
    with tempfile.TemporaryDirectory(prefix="skein-terminal-", ignore_cleanup_errors=True) as folder:
        terminal = Terminal(folder, skein, columns, colours)
        try:
            steps = [plain_commands, interrupted, waits, questions, greeted, served, hostile, stopped]
            for step in steps if (columns, colours) in ((80, True), (40, False)) else [plain_commands, greeted, served, stopped]:
                began = time.monotonic()
                step(terminal)
                print(f"{columns} columns, {'colours' if colours else 'NO_COLOR'}, {step.__name__}: {time.monotonic() - began:.1f} s", flush=True)
            if not colours and "\x1b[3" in terminal.screen("-e"):
                raise Failed("NO_COLOR is set, and the screen has colours")
        except Failed:
            subprocess.run([skein, "stop"], env={**os.environ, "SKEIN_HOME": os.path.join(folder, "home")}, capture_output=True)
            raise
        finally:
            terminal.close()
        end = time.monotonic() + PATIENCE
        while (left := left_over(folder)) and time.monotonic() < end:
            time.sleep(POLL)
        if left:
            raise Failed(f"processes are left: {left}")


def tried(skein, columns, colours):
    """Plays at one terminal; returns whether it went well."""
    try:
        play(skein, columns, colours)
    except Failed as failure:
        print(f"terminal: FAILED at {columns} columns, {'colours' if colours else 'NO_COLOR'}: {failure}", file=sys.stderr)
        return False
    return True


def main():
    skein = os.path.abspath(sys.argv[1])
    terminals = ((80, True), (40, False), (80, False), (40, True))
    # They wait most of the time, each at a home and a tmux of its own.
    with ThreadPoolExecutor(len(terminals)) as pool:
        well = list(pool.map(lambda terminal: tried(skein, *terminal), terminals))
    if not all(well):
        return 1
    print("terminal: ok")
    return 0


sys.exit(main())
