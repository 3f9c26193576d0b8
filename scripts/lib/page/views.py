"""Cases of the eye and the keyboard: axe on every view, magnified, without a mouse."""

from page import until
from steps import FORM, call, equal, picture, refusal, with_provider


LOOKS = [{"colorScheme": "light"}, {"colorScheme": "dark"}, {"forcedColors": "active"}, {"viewport": {"width": 320, "height": 640}}]


def accessible(door):
    """axe finds nothing on any view: dark, light, forced colours, as narrow as a phone."""
    passes, views = 0, 0
    for look in LOOKS:
        page = door.page(options=look)
        states = [lambda: None]
        passes += page.axe()
        page.send("# A title\n\n- a [link](https://example.org) and `code`\n\n```js\nlet x = 1;\n```\n\n| a | b |\n|---|---|\n| 1 | 2 |")
        until("the title", lambda: "A title" in page.last())
        page.until_idle()
        passes += page.axe()
        page.send("/tool asks destroy")
        page.until_there("dialog", "Approval: destroy")
        passes += page.axe()
        page.answer("Approve once")
        until("the answer", lambda: page.last().startswith("done"))
        page.until_idle()
        page.keys("Alt+KeyD")
        page.until_there("complementary", "Details")
        passes += page.axe()
        views += 4
        picture(page, next(iter(look.values())) if "colorScheme" in look else "details")
    return f"{views} views, {passes} rules passed, 0 violations"


def accessible_rest(door):
    """axe finds nothing on what opens on demand or after a failure, in the same looks."""
    passes, views = 0, 0
    for look in LOOKS:
        page = door.page(options=look)
        page.press("Model: echo")
        page.until_there("dialog", "Model")
        passes += page.axe()
        page.leave("Model")
        page.send(call("ask", request=FORM))
        page.until_there("dialog", "Question: helper")
        passes += page.axe()
        page.answer("Send answer")
        until("what is wrong with the form", lambda: page.count("alert") > 0)
        passes += page.axe()
        page.answer("Decline")
        page.until_idle()
        until("the list of keys", lambda: opens_keys(page))
        passes += page.axe()
        page.leave("Keys")
        page.send("/stream 2000 8 20")
        page.by("textbox", "Message", "fill", "later")
        page.keys("Alt+Enter")
        page.until_there("region", "Queue")
        passes += page.axe()
        page.press("Edit: later")
        passes += page.axe()
        page.press("Cancel")
        page.press("Stop")
        page.until_there("button", "Start the queue")
        passes += page.axe()
        with_provider(door, page, "nokey", base_url="http://127.0.0.1:9/v1", env_key="SKEIN_PAGE_NO_KEY")
        page.send("hello")
        until("the way out", lambda: "no valid key" in page.body())
        passes += page.axe()
        other = refusal(door, f"http://{door.server.host}/", look)
        other.until_link("refused")
        until("the command", lambda: "skein open" in other.body())
        passes += other.axe()
        views += 9
    return f"{views} views, {passes} rules passed, 0 violations"


def opens_keys(page):
    """Presses `?` outside of the composer. The focus may be on its way back from a question."""
    if page.count("dialog", "Keys") == 0:
        page.by("button", "Model: echo", "focus")
        page.keys("?")
    return page.count("dialog", "Keys") == 1


def zoomed(door):
    """At 200 % nothing is cut off at the side."""
    page = door.page(options={"viewport": {"width": 640, "height": 400}, "deviceScaleFactor": 2})
    page.send("a long word " + "x" * 500)
    until("the answer", lambda: "xxx" in page.last())
    until("a page as wide as its window", lambda: page.ask("document.documentElement.scrollWidth <= innerWidth"))


def keyboard(door):
    """From the ticket to an approval without a mouse. An Enter meant for the composer approves nothing."""
    page = door.page()
    until("the focus in the composer", lambda: page.ask("document.activeElement.getAttribute('aria-label')") == "Message")
    page.do("keyboard.type", "/tool asks destroy")
    page.keys("Enter")
    page.until_there("dialog", "Approval: destroy")
    focused = page.ask("document.activeElement.closest('button')?.innerText ?? ''")
    if "Approve" in focused:
        raise AssertionError("the focus is on an agreeing button")
    page.keys("Enter", "Space")
    equal(page.count("dialog", "Approval: destroy"), 1)
    until("armed buttons", lambda: page.by("button", "Approve once", "getAttribute", "aria-disabled") != "true")
    page.keys("Alt+KeyY")
    page.until_answer("done 1")
    until("the focus back", lambda: page.ask("document.activeElement.getAttribute('aria-label')") == "Message")
