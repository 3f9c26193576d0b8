"""Cases that measure: size, speed and memory. They run alone. Limits of time hold for a release build (`--release`)."""

import os
import re
import urllib.request

from page import BOUND, until
from steps import call, equal

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..", "app-server", "page")
EMBEDDED_BYTES = 200_000
OPEN_MS, FRAME_MS, INPUT_MS = 1000, 50, 100
# The best round counts: what the page itself makes slow is slow in each, and what other programs do is not.
ROUNDS = 3
# Notes when the newest answer is on the screen, milliseconds after the start of the navigation.
OPENED = """const look = () => {
  const last = [...document.querySelectorAll('article[aria-label=Assistant]')].at(-1)?.innerText.trim();
  if (document.documentElement.dataset.skein === 'ready' && last === 'the end') window.opened = performance.now();
  else requestAnimationFrame(look);
};
requestAnimationFrame(look);"""
# Scrolls upwards as a wheel does; the times between frames.
SCROLL = """(async () => {
  const log = document.querySelector('[role=log]'), frames = [];
  let before = await new Promise(requestAnimationFrame);
  for (let frame = 0; frame < 600 && log.scrollTop > 0; frame++) {
    log.dispatchEvent(new WheelEvent('wheel'));
    log.scrollTop -= 300;
    const now = await new Promise(requestAnimationFrame);
    frames.push(now - before);
    before = now;
  }
  return frames;
})()"""
# Notes the time from each key to the frame that shows it.
WATCHED = """window.inputs = [];
new PerformanceObserver((list) => list.getEntries().forEach((it) => inputs.push(it.duration))).observe({type: 'event', durationThreshold: 16});"""


def measured(door, what, found, limit):
    """A release build keeps to the limit."""
    if door.options.release and found > limit:
        raise AssertionError(f"{what}: {found:.0f} ms instead of at most {limit} ms")


def embedded(door):
    """What the server sends of the page, as far as the program's file has it: the bytes by which the page makes it larger."""
    with open(door.world.skein, "rb") as file:
        program = file.read()
    version = re.search(rb"/assets/\w+/", get(door, "/", "identity"))[0].decode()
    names = [os.path.relpath(os.path.join(path, name), FOLDER) for path, _, files in os.walk(FOLDER) for name in files]
    names = [name for name in names if not name.endswith((".d.ts", "tsconfig.json", ".html"))]
    total = 0
    for path in ["/", *(version + name for name in names)]:
        forms = [get(door, path, coding) for coding in ("gzip", "identity")]
        equal(forms[0] in program, True)
        total += sum(len(form) for form in forms if form in program)
    if total >= EMBEDDED_BYTES:
        raise AssertionError(f"the page makes the program {total} bytes larger")
    return f"{len(names) + 1} files, {total:,} bytes"


def get(door, path, coding):
    headers = {"Accept": "text/html", "Accept-Encoding": coding}
    with urllib.request.urlopen(urllib.request.Request(f"http://{door.server.host}{path}", headers=headers), timeout=BOUND) as answer:
        return answer.read()


def long_thread(door):
    """A thread of 10,000 items, or of 2,000 in a quick run, opens at its end and scrolls."""
    page = door.page()
    page.send("begin")
    page.until_answer("begin")
    # The page keeps it loaded.
    thread = page.thread()
    lines = "\n".join(call("echo", text="a") for _ in range(100))
    turns = 100 if door.options.thorough else 20
    for _ in range(turns):
        door.server_turn(thread, lines)
    page.send("the end")
    page.until_answer("the end")
    page.do("addInitScript", {"content": OPENED})
    opened, frames = zip(*(open_and_scroll(door, page, thread) for _ in range(ROUNDS)))
    measured(door, "the thread is open after", min(opened), OPEN_MS)
    measured(door, "the slowest frame", min(frames), FRAME_MS)
    return f"{turns * 100:,} items open after {min(opened) / 1000:.2f} s; the slowest frame of scrolling takes {min(frames):.0f} ms"


def open_and_scroll(door, page, thread):
    """Opens the thread anew: the milliseconds until its newest answer is there, and those of the slowest frame of scrolling."""
    page.do("goto", "about:blank")
    page.go(f"http://{door.server.host}/#/t/{thread}")
    page.ready()
    page.until_answer("the end")
    until("the time of the newest answer", lambda: page.ask("window.opened ?? 0") > 0)
    return page.ask("opened"), max(page.ask(SCROLL))


def typing(door):
    """While 200 pieces a second come, with the browser on one core, a key is on the screen soon."""
    page = door.page()
    page.send("begin")
    page.until_answer("begin")
    page.ask(WATCHED)
    core = {min(os.sched_getaffinity(0))}
    browsers = [pid for pid in door.world.processes() if b"chromium" in os.readlink(f"/proc/{pid}/exe").encode()]
    for pid in browsers:
        for task in os.listdir(f"/proc/{pid}/task"):
            os.sched_setaffinity(int(task), core)
    page.send("/stream 20000 8 200")
    until("a piece of the stream", lambda: "9 " in page.last())
    for letter in "the words of somebody who goes on writing " * 15:
        page.keys(letter if letter != " " else "Space")
    equal(page.count("button", "Stop"), 1)
    inputs = page.ask("inputs")
    slowest = max(inputs, default=16)
    measured(door, "a key is on the screen after", slowest, INPUT_MS)
    page.press("Stop")
    page.until_idle()
    page.by("textbox", "Message", "fill", "")
    return f"{len(inputs)} inputs above 16 ms, the slowest {slowest:.0f} ms"


def memory(door):
    """After 50 switches the page holds as much as before them, within 10 %."""
    page, threads = door.page(), []
    for number in range(2):
        page.press("New chat")
        page.send("begin")
        page.until_answer("begin")
        # The page keeps it loaded.
        threads.append(page.thread())
        for _ in range(5):
            door.server_turn(threads[-1], f"{number} long words " * 1000)
        door.server_turn(threads[-1], f"thread {number}")
        page.until_answer(f"thread {number}")

    def switch(times):
        for at in range(times):
            page.ask(f"location.hash = '/t/{threads[at % 2]}'")
            page.until_answer(f"thread {at % 2}")

    # The list of the newest events is full.
    switch(50)
    before = page.heap()
    switch(50)
    found = {}

    def is_back():
        found.update(page.heap())
        return all(found[what] <= before[what] * 1.1 for what in before)

    until(f"as little as before, {before}, not {found}", is_back)
    return f"{before['bytes'] / 1e6:.2f} MB before, {found['bytes'] / 1e6:.2f} MB after; {before['nodes']:.0f} nodes before, {found['nodes']:.0f} after"


long_thread.alone = typing.alone = memory.alone = True
MEASURES = {
    "the page in the program": embedded,
    "a long thread": long_thread,
    "200 pieces a second": typing,
    "memory after 50 switches": memory,
}
