"""The cases of the page."""

import json
import os
import re
import signal
import time

from dangers import hostile, hostile_tools
from limits import budget, spent
from links import closed_tab, closed_tab_of_another_thread, gap, lost, offline, unsent
from opened import opened
from page import Model, read, until
from measures import MEASURES
from portrait import portrait
from steps import FORM, STREAM, STREAMED, answers_of, call, equal, has_ended, picture, refusal, streamed, with_provider
from troubles import deleted, disk_full, named, notified, pasted, tools_added
from waiting import held, queued
from views import accessible, accessible_rest, keyboard, zoomed


def first_run(door):
    """The composer has the focus, the echo answers, and the line about it is there. Nothing is fetched from elsewhere."""
    page = door.page()
    equal(page.ask("location.hash"), "")
    until("the focus in the composer", lambda: page.ask("document.activeElement.getAttribute('aria-label')") == "Message")
    until("the line about the echo", lambda: "echo model" in page.ask("document.body.innerText"))
    picture(page, "first-run")
    page.ask("document.activeElement.focus()")
    page.do("keyboard.type", "hello *there*")
    began = time.monotonic()
    page.keys("Enter")
    page.until_answer("hello there")
    seconds = time.monotonic() - began
    page.until_link("connected")
    # The session is where the page promises it.
    equal(len(page.ask("localStorage.getItem('skein.session')")), 43)
    return f"first answer after {seconds:.2f} s"


def conversation(door):
    """A tool call, a question of a tool that is denied, approved once, and a form."""
    page = door.page()
    page.send(call("echo", text="from the tool"))
    page.until_answer("from the tool")
    page.until_there("article", "Tool echo")
    page.send("/tool asks destroy")
    page.until_there("dialog", "Approval: destroy")
    picture(page, "approval")
    page.answer("Deny")
    page.until_gone("dialog", "Approval: destroy")
    page.until_idle()
    page.send("/tool asks destroy")
    page.answer("Approve once")
    page.until_answer("done 1")
    page.send("/tool asks destroy")
    page.answer("Approve for this session")
    page.until_answer("done 2")
    # No question is asked again.
    page.send("/tool asks destroy")
    page.until_answer("done 3")
    page.send(call("ask", request=FORM))
    page.until_there("dialog", "Question: helper")
    page.by("textbox", "Colour (needed)", "fill", "blue")
    page.answer("Send answer")
    until("the answer with the form", lambda: "blue" in page.last())
    picture(page, "conversation")


def reload(door):
    """A reload at random moments of a stream loses and repeats nothing."""
    page, answers = door.page(), []
    for number in range(30 if door.options.thorough else 8):
        # Each answer is longer than the one before it, so that they differ.
        before, whole = page.last(), streamed(60 + number)
        page.send(f"/stream {60 + number} 8 20")
        at = door.options.random.randrange(60)
        until("that piece of the new stream", lambda: (last := page.last()) != before and f"{at} " in last)
        page.do("reload")
        page.ready()
        page.until_answer(whole)
        page.until_idle()
        # The page draws only what is near the window.
        same = f"[...document.querySelectorAll('article[aria-label=Assistant]')].filter((it) => it.innerText.trim() === {json.dumps(whole)}).length"
        until("one answer of this text", lambda: page.ask(same) == 1)
        answers.append(whole)
    until("every answer once at the server", lambda: answers_of(door, page.thread()) == answers)
    return f"{len(answers)} reloads"


def two_tabs(door):
    """Two tabs and one as wide as a phone show the same thread."""
    first = door.page()
    first.send("one")
    first.until_answer("one")
    address = f"http://{door.server.host}/#/t/{first.thread()}"
    second = door.page(context=first.context, address=address)
    phone = door.page(options={"viewport": {"width": 320, "height": 640}, "hasTouch": True})
    phone.go(address)
    phone.ready()
    phone.send("two")
    for page in (first, second, phone):
        page.until_answer("two")
    until("the width of the phone", lambda: phone.ask("document.documentElement.scrollWidth") == 320)
    picture(phone, "phone")
    first.send("three")
    for page in (first, second, phone):
        page.until_answer("three")
        words = lambda: [it for it in page.text().split() if it in ("one", "two", "three")]
        until("each message and answer once", lambda: words() == ["one", "one", "two", "two", "three", "three"])


def sleeping(door):
    """A tab whose process sleeps until the turn has ended catches up."""
    page = door.page()
    page.send(STREAM)
    thread = page.thread()
    until("a piece of the stream", lambda: "3 " in page.last())
    # The driver makes every tab a focused one, so that freezing does nothing; a stopped process does.
    renderers = [pid for pid in door.world.processes() if b"--type=renderer" in read(pid, "cmdline")]
    if not renderers:
        raise AssertionError("the processes of the tabs were not found")
    signals(renderers, signal.SIGSTOP)
    try:
        until("the end of the turn", lambda: has_ended(door, thread))
    finally:
        signals(renderers, signal.SIGCONT)
    page.until_answer(STREAMED)
    page.until_link("connected")


# The processes of all tabs sleep.
sleeping.alone = True


def signals(pids, number):
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            pass  # another case has closed this tab


def killed(door):
    """kill -9 of the server in mid-stream: the page, untouched, shows what was saved and goes on."""
    page = door.page()
    page.cuts = True
    page.send("before")
    page.until_answer("before")
    page.send(STREAM)
    until("a piece of the stream", lambda: "9 " in page.last())
    port = door.server.port
    door.server.kill()
    page.until_link("reconnecting", "offline")
    door.server.serve(port)
    page.until_link("connected")
    page.until_idle()
    until("the saved text", lambda: "before" in page.text() and "0 " in page.text())
    page.send("after")
    page.until_answer("after")


def asked_over_a_kill(door):
    """kill -9 of the server while the user is asked: the dialog stays, another tab answers, and the same call is made."""
    page = door.page()
    page.cuts = True
    page.send("/tool asks destroy")
    page.until_there("dialog", "Approval: destroy")
    port = door.server.port
    door.server.kill()
    page.until_link("reconnecting", "offline")
    door.server.serve(port)
    page.until_link("connected")
    page.until_there("dialog", "Approval: destroy")
    other = door.page(context=page.context, address=f"http://{door.server.host}/#/t/{page.thread()}")
    other.until_there("dialog", "Approval: destroy")
    other.answer("Approve once")
    page.until_gone("dialog", "Approval: destroy")
    page.until_answer("done 1")
    other.until_answer("done 1")


def closed(door):
    """The helper ends after the last tab."""
    page = door.page()
    page.send(call("echo", text="x"))
    page.until_answer("x")
    helpers = lambda: door.server.status()["helpers"]["alive"]
    until("a living helper", lambda: helpers() > 0)
    page.quiet()
    door.pages.remove(page)
    page.close()
    began = time.monotonic()
    # Other cases and a debug build share the processors.
    until("the end of the helper", lambda: helpers() == 0, 30)
    seconds = time.monotonic() - began
    return f"helpers gone after {seconds:.2f} s"


def too_long(door):
    """A message above the limit is refused with a reason, and the page lives."""
    page = door.page()
    page.by("textbox", "Message", "fill", "y" * 999_000)
    page.by("button", "Send", "click")
    until("the long answer", lambda: len(page.last()) > 90_000)
    page.send("short")
    page.until_answer("short")


def switches(door):
    """50 switches between threads leave one loaded, and the page shows the right one each time."""
    threads = [door.server.call("thread/start")["thread"]["id"] for _ in range(2)]
    for number, thread in enumerate(threads):
        door.server_turn(thread, f"thread {number}")
    page = door.page()
    for at in range(50):
        page.ask(f"location.hash = '/t/{threads[at % 2]}'")
        page.until_answer(f"thread {at % 2}")
    until("one loaded thread", lambda: door.server.status()["threads"]["loaded"] == 1)


def read_only(door):
    """A session of the scope `read` shows, and cannot send."""
    thread = door.server.call("thread/start")["thread"]["id"]
    door.server_turn(thread, "written before")
    ticket = door.server.run("url", "--scope", "read").partition("/#ticket=")[2]
    page = door.page(address=f"http://{door.server.host}/#ticket={ticket}")
    until("the thread in the list", lambda: "written before" in page.by("navigation", "Threads", "innerText"))
    page.ask(f"location.hash = '/t/{thread}'")
    page.until_text("written before")
    until("the words about watching", lambda: "may only watch" in page.ask("document.body.innerText"))
    equal(page.count("textbox", "Message"), 0)


def provider_down(door):
    """A provider that goes away in mid-answer: the page names it, and the message can be sent again."""
    page, model = door.page(), Model(door.world)
    with_provider(door, page, "brittle", base_url=f"http://127.0.0.1:{model.port}/v1", request_max_retries=0, stream_max_retries=0)
    page.send("hello")
    until("the first piece", lambda: page.last() == "first")
    model.away()
    until("the failed turn", lambda: "The turn failed." in page.text())
    until("the words about the provider", lambda: "The provider brittle does not answer" in page.body())
    model.back()
    page.press("Try again")
    page.until_answer("first second")
    page.until_idle()
    until("the end of the words about the provider", lambda: "does not answer" not in page.body())


def tried_again(door):
    """A provider that is away is asked again: the page says when, until the answer comes."""
    page, model = door.page(), Model(door.world)
    with_provider(door, page, "brittle", base_url=f"http://127.0.0.1:{model.port}/v1", stream_max_retries=100)
    page.send("hello")
    until("the first piece", lambda: page.last() == "first")
    model.away()
    until("the time of the next try", lambda: re.search(r"the server tries again at \d+:\d\d:\d\d", page.body()))
    model.back()
    page.until_answer("first second")
    until("the end of the words about the provider", lambda: "tries again" not in page.body())


def without_key(door):
    """A model without a key: the turn fails with the name of the variable, and another model works."""
    page = door.page()
    with_provider(door, page, "nokey", base_url="http://127.0.0.1:9/v1", env_key="SKEIN_PAGE_NO_KEY")
    page.send("hello")
    until("the reason", lambda: "SKEIN_PAGE_NO_KEY" in page.ask("document.body.innerText"))
    until("the way out", lambda: "no valid key" in page.ask("document.body.innerText"))
    until("the command", lambda: "skein stop; skein open" in page.body())


def refused(door):
    """Without a session, with a used ticket, and after a revocation, the page says what to run."""
    used = door.server.ticket()
    page = door.page(address=f"http://{door.server.host}/#ticket={used}")
    for address in (f"http://{door.server.host}/", f"http://{door.server.host}/#ticket={used}"):
        other = refusal(door, address)
        other.until_link("refused")
        until("the command", lambda: "skein open" in other.ask("document.body.innerText"))
    [session] = [it["id"] for it in door.server.list("sessions")]
    page.cuts = True
    door.server.run("sessions", "revoke", session)
    page.until_link("refused")
    until("the command", lambda: "skein open" in page.ask("document.body.innerText"))


def shelve(door):
    """Rename, archive, delete and its undo."""
    page = door.page()
    page.send("first words")
    page.until_answer("first words")
    threads = lambda: page.by("navigation", "Threads", "innerText")
    until("the thread in the list", lambda: "first words" in threads())
    page.press_by_key("Rename first words")
    page.by("textbox", "Name of the thread", "fill", "a new name")
    # What is typed stays when the thread changes meanwhile.
    door.server_turn(page.thread(), "more words")
    page.until_answer("more words")
    page.by("textbox", "Name of the thread", "press", "Enter")
    until("the new name", lambda: page.count("button", "Delete a new name") == 1)
    # An undo is possible for 5 s of this clock.
    page.ask("void (window.clock = setTimeout, window.setTimeout = (run, ms) => clock(run, ms * 60))")
    page.press_by_key("Delete a new name")
    page.press("Undo")
    page.ask("void (window.setTimeout = clock)")
    until("the thread again", lambda: page.count("button", "Archive a new name") == 1)
    page.press_by_key("Archive a new name")
    until("the thread to leave the list", lambda: page.count("button", "Archive a new name") == 0)
    page.press("Archived")
    page.press_by_key("Unarchive a new name")
    page.press("Archived")
    until("the thread in the list again", lambda: page.count("button", "Delete a new name") == 1)
    page.press_by_key("Delete a new name")
    ids = lambda: door.server.call("thread/list", {})["data"]
    until("the end of the thread", lambda: ids() == [])


def broken(door):
    """A helper that does not start: the page names it, and the chat goes on."""
    page = door.page()
    page.send("/tool nobody echo")
    page.until_there("article", "Tool echo")
    page.until_idle()
    until("the name of the helper", lambda: "The helper nobody does not start since" in page.body())
    page.send("still")
    page.until_answer("still")


broken.settings = '[mcp_servers.nobody]\ncommand = "/nonexistent/helper"\n'


def smoke(door):
    """A ticket, an answer, a reload, an approval by key."""
    page = door.page()
    box = "textarea[aria-label=Message]"
    last = lambda: page.ask("[...document.querySelectorAll('article[aria-label=Assistant]')].at(-1)?.innerText.trim() ?? ''")
    page.do("type", box, "hello")
    page.keys("Enter")
    until("the answer", lambda: last() == "hello")
    page.thread()
    page.do("reload")
    page.ready()
    until("the answer after the reload", lambda: last() == "hello")
    page.do("type", box, "/tool asks destroy")
    page.keys("Enter")
    button = "[...document.querySelectorAll('[role=dialog] button')].find((it) => it.innerText === 'Approve once')"
    until("an armed button", lambda: page.ask(f"{button}?.getAttribute('aria-disabled') === 'false'"))
    page.ask(f"{button}.click()")
    until("the answer of the tool", lambda: last() == "done 1")


CHROMIUM = {
    "hostile texts": hostile,
    "axe, the rest": accessible_rest,
    "axe": accessible,
    "reload in mid-stream": reload,
    "first run": first_run,
    "skein open": opened,
    "a conversation": conversation,
    "the picture of README.md": portrait,
    "two tabs and a phone": two_tabs,
    "offline and back": offline,
    "a message that waits in a new chat": unsent,
    "a message of a closed tab": closed_tab,
    "a message of a closed tab, from another thread": closed_tab_of_another_thread,
    "a gap in the history": gap,
    "a tab that sleeps": sleeping,
    "a link lost until the end of the turn": lost,
    "kill -9 of the server in mid-stream": killed,
    "kill -9 of the server while the user is asked": asked_over_a_kill,
    "tabs closed": closed,
    "a long text": too_long,
    "50 switches": switches,
    "hostile tools": hostile_tools,
    "a provider that goes away": provider_down,
    "a provider that is asked again": tried_again,
    "a session that may only watch": read_only,
    "a model without a key": without_key,
    "refused": refused,
    "rename, archive, delete, undo": shelve,
    "keyboard only": keyboard,
    "200 %": zoomed,
    "a helper that does not start": broken,
    "a full disk": disk_full,
    "notifications": notified,
    "who needs the user": named,
    "pictures and long texts": pasted,
    "deleted elsewhere": deleted,
    "tools that are added": tools_added,
    "messages that wait": queued,
    "a queue that is held": held,
    "a turn at its limit": budget,
    "a thread without room": spent,
    **MEASURES,
}
FIREFOX = {"ticket, answer, reload, approval": smoke}
