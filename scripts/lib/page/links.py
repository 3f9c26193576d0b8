"""Cases of links that are cut: what the page keeps, sends later, and reads again."""

import re
import time

from page import Proxy, until
from steps import STREAM, STREAMED, answers_of, equal, has_ended


def offline(door):
    """A cut link: the page says so, keeps what is sent meanwhile, and catches up."""
    proxy = Proxy(door.world, door.server.port)
    page = door.through(proxy)
    page.cuts = True
    page.send(STREAM)
    until("a piece of the stream", lambda: "3 " in page.last())
    proxy.cut()
    page.until_link("reconnecting", "offline")
    page.send("while away", away=True)
    # The time without a link is the point of this case.
    mended = time.monotonic() + (60 if door.options.thorough else 5)
    until("the end of the time offline", lambda: time.monotonic() > mended, 120)
    proxy.mend()
    page.until_link("connected")
    page.until_text("while away")
    page.until_idle()
    until("the whole answer", lambda: page.text().count("59 ") == 1)
    until("the message that waited", lambda: page.text().count("while away") >= 1)


def unsent(door):
    """A message of a new chat that waits for a link is in the box again after the tab was elsewhere."""
    proxy = Proxy(door.world, door.server.port)
    page = door.through(proxy)
    page.cuts = True
    proxy.cut()
    page.until_link("reconnecting", "offline")
    page.send("not yet sent", away=True)
    page.go("about:blank")
    proxy.mend()
    page.go(f"http://127.0.0.1:{proxy.port}/")
    page.ready()
    until("the message in the box", lambda: page.by("textbox", "Message", "inputValue") == "not yet sent")
    page.send("sent at last")
    page.until_answer("sent at last")
    page.do("reload")
    page.ready()
    page.until_answer("sent at last")
    page.press("New chat")
    until("an empty box", lambda: page.by("textbox", "Message", "inputValue") == "")


def closed_tab(door):
    """A message that waits in a tab that is closed goes out from another tab of the thread, once."""
    proxy = Proxy(door.world, door.server.port)
    lives = door.through(proxy)
    lives.send("one")
    lives.until_answer("one")
    write_and_close(door, proxy, lives, lives.thread())
    until("the message in the other tab", lambda: "of a closed tab" in lives.text())
    proxy.mend()
    lives.until_answer("of a closed tab")
    until("one answer at the server", lambda: answers_of(door, lives.thread()) == ["one", "of a closed tab"])


def closed_tab_of_another_thread(door):
    """A message that waits in a tab that is closed goes out from a tab that shows another thread, which then leaves it again."""
    proxy = Proxy(door.world, door.server.port)
    lives = door.through(proxy)
    lives.send("one")
    lives.until_answer("one")
    thread = lives.thread()
    lives.press("New chat")
    lives.send("elsewhere")
    lives.until_answer("elsewhere")
    write_and_close(door, proxy, lives, thread)
    proxy.mend()
    lives.until_link("connected")
    until("one answer at the server", lambda: answers_of(door, thread) == ["one", "of a closed tab"])
    until("one loaded thread", lambda: door.server.status()["threads"]["loaded"] == 1)
    equal((lives.last(), lives.thread() == thread), ("elsewhere", False))
    equal(lives.ask("Object.keys(localStorage).filter((it) => it.startsWith('skein.unsent'))"), [])


def write_and_close(door, proxy, lives, thread):
    """Without a link, writes a message in another tab, and closes that tab."""
    closes = door.page(context=lives.context, address=f"http://127.0.0.1:{proxy.port}/#/t/{thread}")
    closes.until_answer("one")
    proxy.cut()
    for page in (lives, closes):
        page.cuts = True
        page.until_link("reconnecting", "offline")
    closes.send("of a closed tab", away=True)
    closes.quiet()
    closes.close()
    door.pages.remove(closes)


def lost(door):
    """A link that comes back after the end of the turn: the page has the whole answer."""
    proxy = Proxy(door.world, door.server.port)
    page = door.through(proxy)
    page.cuts = True
    page.send(STREAM)
    thread = page.thread()
    until("a piece of the stream", lambda: "3 " in page.last())
    proxy.cut()
    until("the end of the turn", lambda: has_ended(door, thread))
    proxy.mend()
    page.until_answer(STREAMED)


def gap(door):
    """A part of the history that cannot be repeated: the page reads all of it again, and says since when it had not followed."""
    proxy = Proxy(door.world, door.server.port)
    page = door.through(proxy)
    page.cuts = True
    page.send("stays")
    page.until_answer("stays")
    page.send("goes")
    page.until_answer("goes")
    page.until_idle()
    thread, cut = page.thread(), time.time()
    proxy.cut()
    page.until_link("reconnecting", "offline")
    door.server.call("thread/revert", {"threadId": thread, "beforeTurnId": door.newest(thread)["id"]})
    # The time of the loss and that of the return differ.
    until("some seconds without a link", lambda: time.time() > cut + 3)
    proxy.mend()
    page.until_link("connected")
    page.until_answer("stays")
    found = lambda: re.search(r"Events since (\S+\s\S+) could not be repeated", page.body())
    until("the words about the gap", found)
    since = time.mktime(time.strptime(f"{time.strftime('%Y-%m-%d')} {found()[1]}", "%Y-%m-%d %I:%M:%S\u202f%p"))
    # The page knows the time of the last message, and shows whole seconds.
    if not cut - 31 < since <= cut:
        raise AssertionError(f"since {since - cut:.1f} s from the loss")
