"""Cases of a server with too little: a full disk, a helper that does not start, tools that come later."""

import errno
import json
import os
import shlex

from page import Server, until
from steps import equal, picture

# Room for a home, and little more.
DISK_BYTES = 8 << 20
# A disk of its own at the home, with the settings that are there; then the server takes the place of the shell.
MOUNTED = 'home=$1 && shift && mv "$home/config.toml" "$home.toml" && mount -t tmpfs -o size=%d,mode=0700 none "$home" && mv "$home.toml" "$home/config.toml" && exec "$@"'


class SmallDisk(Server):
    """A server whose home is a small disk of its own, which only its processes see."""

    def program(self):
        inside = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", MOUNTED % DISK_BYTES, "sh", self.home]
        return [*inside, self.world.skein]

    def beside(self):
        return ["nsenter", "--target", str(self.process.pid), "--user", "--mount", "--preserve-credentials", self.world.skein]

    def filler(self):
        return f"/proc/{self.process.pid}/root{self.home}/filler"

    def fill(self):
        """Takes the last byte of the disk."""
        with open(self.filler(), "wb", buffering=0) as file:
            for size in (65536, 4096, 1):
                try:
                    while True:
                        file.write(b"x" * size)
                except OSError as error:
                    if error.errno != errno.ENOSPC:
                        raise

    def empty(self):
        os.remove(self.filler())


def disk_full(door):
    """A full disk: the page says that answers are not saved, and since when. With room, the same message is answered."""
    page = door.page()
    page.send("before")
    page.until_answer("before")
    alerts = lambda: page.ask("[...document.querySelectorAll('.troubles [role=alert]')].map((it) => it.innerText)")
    full = lambda: any("answers are not saved since" in it for it in alerts())
    door.server.fill()
    write(page, "while full")
    until("the words about the disk", full)
    equal(len(alerts()), 1)
    since = alerts()
    # The next message is refused at once, and stays in the box.
    write(page, "still full")
    until("the message in the box", lambda: "still full" in page.by("textbox", "Message", "inputValue"))
    equal(alerts(), since)
    picture(page, "disk")
    # A page that loads now learns it, too, and since when.
    page.do("reload")
    page.ready()
    until("the words about the disk after a reload", full)
    door.server.empty()
    # The server tries the disk again by itself, and until then refuses. The button goes with the first answer.
    until("the answer", lambda: "still full" in page.last() or page.press_if_there("Send again"))
    until("the end of the words about the disk", lambda: alerts() == [])
    page.until_idle()
    thread = page.thread()
    page.do("reload")
    page.ready()
    until("the saved answer", lambda: "still full" in page.last())
    equal("still full" in json.dumps(door.server.call("thread/turns/list", {"threadId": thread, "limit": 1})), True)


disk_full.server = SmallDisk


def write(page, text):
    page.by("textbox", "Message", "fill", text)
    page.by("button", "Send", "click")


# A tab that the test brings to the front or not, and notifications that are only noted.
NOTED = """window.noted = [];
window.front = false;
Object.defineProperty(document, 'visibilityState', {get: () => (front ? 'visible' : 'hidden')});
Object.defineProperty(document, 'hidden', {get: () => !front});
window.Notification = class {
  static permission = 'granted';
  constructor(title, options) { noted.push([title, options.body]); }
};"""
FRONT = "window.front = %s, document.dispatchEvent(new Event('visibilitychange')), navigator.locks.query().then(() => 0)"
# A look at the locks takes its turn behind those that the page has asked for.
SETTLED = "(async () => { for (let at = 0; at < 5; at++) await navigator.locks.query(); })()"


def notified(door):
    """Where the user has allowed it, one notification over all tabs, if none of them is in sight."""
    first = door.page().prepared(NOTED)
    first.send("hello")
    first.until_answer("hello")
    thread = first.thread()
    # The end of this turn was news, too, which a reload forgets.
    first.do("reload")
    first.ready()
    others = [door.page(context=first.context, address=f"http://{door.server.host}/#/t/{thread}").prepared(NOTED) for _ in range(2)]
    tabs = [first, *others]
    noted = lambda: [it for tab in tabs for it in tab.ask("noted")]

    def settled(title):
        for tab in tabs:
            until(f"{title!r} as a title", lambda: tab.ask("document.title").startswith(title))
        for tab in tabs:
            tab.ask(SETTLED)

    door.server.call("turn/start", {"threadId": thread, "input": [{"type": "text", "text": "/tool asks destroy"}]})
    settled("(1) needs you")
    equal(noted(), [["Skein needs you", "hello"]])
    first.ask(FRONT % "true")
    first.answer("Approve once")
    settled("hello")
    # The user has seen it.
    equal(len(noted()), 1)
    first.ask(FRONT % "false")
    door.server_turn(thread, "/stream 20 8 50")
    until("a notification of the end", lambda: len(noted()) > 1)
    settled("hello")
    equal(sorted(noted()), [["Skein is done", "hello"], ["Skein needs you", "hello"]])
    return f"{len(tabs)} tabs"


def tools_added(door):
    """“Add tools” shows the command; once it has run, the tools are there, or the helper's stderr."""
    page = door.page()
    page.send("hello")
    page.until_answer("hello")
    page.keys("Alt+KeyD")
    details = lambda: page.by("complementary", "Details", "innerText")
    until("the tools of the settings", lambda: "destroy" in details())
    page.ask("[...document.querySelectorAll('aside summary')].find((it) => it.innerText === 'Add tools').click()")
    command = lambda: page.ask("document.querySelector('aside details[open] .command code').innerText")
    # The home of the test is not the one that commands use by themselves.
    at = f"--home {door.server.home}"
    until("the home", lambda: command() == f"skein mcp add --preset files {at}")
    page.by("textbox", "Folder", "fill", "/srv/my files")
    equal(command(), f"skein mcp add --preset files {at} -- '/srv/my files'")
    for preset in ("git", "fetch", "memory"):
        page.press(preset)
        equal(command(), f"skein mcp add --preset {preset} {at}")
    tools = lambda: page.ask("[...document.querySelectorAll('.tools-of')].map((it) => it.innerText).join('\\n')")
    for name, program, shown in (("mine", door.world.helper, "ask_later"), ("lame", "sh -c 'echo the key is missing >&2; exit 3'", "the key is missing")):
        page.press("own")
        page.by("textbox", "Name", "fill", name)
        page.by("textbox", "Its command", "fill", program)
        equal(command(), f"skein mcp add {name} {at} -- {program}")
        run(door, command())
        until(f"{name} with {shown!r}", lambda: any(it.startswith(name) and shown in it for it in tools().split("\n")))
    page.axe()
    picture(page, "tools")


# A paste of a picture, of a file that is none, and of a text that is too long.
PASTE = """(() => {
  const data = new DataTransfer();
  %s
  const event = new ClipboardEvent('paste', {clipboardData: data, bubbles: true, cancelable: true});
  document.querySelector('textarea').dispatchEvent(event);
})()"""
DOT = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
PICTURE = f"data.items.add(new File([Uint8Array.from(atob('{DOT}'), (it) => it.charCodeAt(0))], 'dot.png', {{type: 'image/png'}}));"
DRAWING = "data.items.add(new File(['<svg/>'], 'dot.svg', {type: 'image/svg+xml'}));"
LONG = "data.setData('text', 'x'.repeat(1_000_001));"


def pasted(door):
    """A picture that is pasted goes with the message; another file and a text that is too long are refused with a reason."""
    page = door.page()
    page.ask(PASTE % PICTURE)
    page.until_there("button", "Remove dot.png")
    page.send("a picture")
    page.until_idle()
    until("the picture in the conversation", lambda: page.ask("document.querySelectorAll('article[aria-label=You] img').length") == 1)
    page.ask(PASTE % DRAWING)
    until("the reason", lambda: "“dot.svg” was not added: only PNG" in page.body())
    page.ask(PASTE % LONG)
    until("the reason", lambda: "A message may have 1000000 characters" in page.body())


def deleted(door):
    """A thread that another client deletes: the page says so, shows the rest, and leads to a new chat."""
    page = door.page()
    page.send("soon gone")
    page.until_answer("soon gone")
    door.server.call("thread/delete", {"threadId": page.thread()})
    until("the words about the thread", lambda: "This thread was deleted in another window" in page.body())
    equal(page.by("textbox", "Message", "isDisabled"), True)
    page.until_text("soon gone")
    page.ask("document.querySelector('.troubles button').click()")
    page.send("and on")
    page.until_answer("and on")


def named(door):
    """The title names the thread that needs the user, while another one is open."""
    page = door.page()
    page.send("/tool asks destroy")
    page.until_there("dialog", "Approval: destroy")
    asking = page.thread()
    page.press("New chat")
    page.send("quiet")
    page.until_answer("quiet")
    until("the title", lambda: page.ask("document.title") == "(1) needs you · /tool asks destroy · Skein")
    until("the other icon", lambda: page.ask("document.getElementById('icon').href").endswith("icon-asks.svg"))
    # The list is read in pages of 50 threads: the one that asks is not on the first any more.
    quiet = page.thread()
    for _ in range(50):
        door.server.call("thread/fork", {"threadId": quiet})
    page.do("reload")
    page.ready()
    equal("tool asks destroy" in page.by("navigation", "Threads", "innerText"), False)
    until("the title", lambda: page.ask("document.title") == "(1) needs you · Skein")
    page.ask(f"location.hash = '/t/{asking}'")
    page.answer("Deny")
    page.until_idle()
    until("a quiet title", lambda: "needs you" not in page.ask("document.title"))


def run(door, line):
    """A line for a shell, which names this home."""
    command = shlex.split(line)
    at = command.index("--home")
    equal(command[at + 1], door.server.home)
    # The harness names it, too.
    door.server.run(*command[1:at], *command[at + 2:])
