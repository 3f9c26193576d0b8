"""Cases with texts that try to run, to fetch or to mislead."""

import json
import os
import sys

from hostile import NAMES, SHORT, TEXTS
from page import helper, until
from steps import call, equal, picture

# Scrolls upwards for a hundred frames.
UPWARDS = """(async (at) => {
  for (let frame = 0; frame < 100 && at > 0; frame++, at -= 400) {
    document.querySelector('[role=log]').scrollTop = at;
    await new Promise(requestAnimationFrame);
  }
  return at;
})(%d)"""


def hostile(door):
    """Nothing of 40 texts runs or is fetched, as answer, as tool output and argument, and as a name. The page lives."""
    page = door.page()
    page.send("hello")
    page.until_answer("hello")
    thread = page.thread()
    for text in TEXTS:
        if len(text) < 20_000:
            door.server_turn(thread, text)
        else:
            # Too long for a command.
            before = door.newest(thread)["id"]
            page.send(text)
            until("the end of the turn", lambda: (it := door.newest(thread))["id"] != before and it["status"] != "inProgress")
    for text in SHORT:
        door.server_turn(thread, call("echo", text=text))
    for text in SHORT:
        door.server.call("thread/name/set", {"threadId": thread, "name": text})
    page.send("still here")
    page.until_answer("still here")
    page.do("reload")
    page.ready()
    page.until_answer("still here")
    # Everything is drawn once.
    at = page.ask("document.querySelector('[role=log]').scrollHeight")
    while at > 0:
        at = page.ask(UPWARDS % at)
    equal(page.ask("window.ran ?? null"), None)
    bad = "[...document.querySelectorAll('a[href], img, iframe, object, embed, form[action], link, script')].map((it) => it.href || it.src || it.data || it.action || it.tagName)"
    own = ("http://", "https://", "mailto:", "data:image/")
    equal([it for it in page.ask(bad) if not str(it).startswith(own)], [])
    equal([it for it in page.ask("[...document.images].map((it) => it.currentSrc)") if "evil" in it], [])
    page.send("and here")
    page.until_answer("and here")
    return f"{len(TEXTS)} texts"


def hostile_tools(door):
    """Names, titles and descriptions of tools are text, in questions, calls and details. Hidden characters are visible."""
    page = door.page()
    page.keys("Alt+KeyD")
    for number, (name, shown) in enumerate(NAMES.items()):
        page.send(f"/tool odd {name}")
        page.until_there("dialog", f"Approval: {shown}")
        page.ask("document.querySelector('[role=dialog] summary').click()")
        until("what the helper says", lambda: "<b>said</b>" in page.by("dialog", f"Approval: {shown}", "innerText"))
        harmless(page)
        page.answer("Approve once")
        page.until_answer(f"called {number}")
        page.until_there("article", f"Tool {shown}")
    until("the tools in the details", lambda: all(shown in page.by("complementary", "Details", "innerText") for shown in NAMES.values()))
    harmless(page)
    picture(page, "odd-tools")
    return f"{len(NAMES)} tools"


def harmless(page):
    """No element came out of a text, nothing has run, and no character is hidden."""
    made = "document.querySelectorAll('main script, main iframe, main strong, main em, main a, aside a, aside img, [role=dialog] :is(script, img, a, b, strong, em)').length"
    equal(page.ask(made), 0)
    equal(page.ask("window.ran ?? null"), None)
    named = "[...document.querySelectorAll('[aria-label], [title]')].flatMap((it) => [it.getAttribute('aria-label'), it.title])"
    hidden = r"/[\u0007\u001b\u0080-\u009f\u200b\u202a-\u202e\u2066-\u2069]/"
    equal(page.ask(f"[document.title, document.body.textContent, ...{named}].filter((it) => {hidden}.test(it ?? ''))"), [])


def odd_settings(world):
    program = os.path.join(os.path.dirname(os.path.abspath(__file__)), "odd_helper.py")
    return helper("odd", sys.executable, world.mark) + f"args = {json.dumps([program])}\n"


hostile_tools.settings = odd_settings
