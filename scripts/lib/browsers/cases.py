"""The cases: pages and programs that get in, and those that do not."""

import hashlib
import json
import os
import subprocess
import time

from world import BOUND, EMPTY, HELPERS, Server, Site, chat, handshake, request, until

# A ticket is good for 30 s.
TOO_LATE = 31
PROMPT = "/stream 20 8 10"
# The user of the second program. 65534 is the overflow user, which is nobody's.
STRANGER = 4242
# A Python that every user may run.
PYTHON = "/usr/bin/python3"


class Skipped(Exception):
    """A case that cannot run here, with the reason."""


def equal(found, wanted):
    if found != wanted:
        raise AssertionError(f"{found!r} instead of {wanted!r}")


class Door:
    """The server that most cases share, with the page of the documents at a listed origin, and the browser."""

    def __init__(self, world, browser, server=None):
        self.world, self.browser = world, browser
        self.server = server or Server(world, f"home-{browser.kind}")
        self.site = Site(world, {"/": chat(self.server)})
        self.server.run("origins", "add", self.site.origin)

    def page(self, site=None, context=None):
        """A tab with the page, which has got in with a ticket."""
        site = site or self.site
        tab = self.browser.tab(f"{site.origin}/#ticket={self.server.ticket()}", context)
        tab.enters()
        return tab

    def trade(self, tab, ticket):
        """What the page sees when it sends a ticket: status and reason."""
        address, body = f"http://{self.server.host}/auth/session", json.dumps({"ticket": ticket})
        options = f"{{method: 'POST', headers: {{'Content-Type': 'application/json'}}, body: {json.dumps(body)}}}"
        return tab.ask(f"fetch('{address}', {options}).then(async (it) => [it.status, (await it.json()).reason ?? null])")

    def stranger(self):
        """A page at another local port, which is not listed."""
        return Site(self.world, {"/": chat(self.server), "/empty": EMPTY})


def streams(tab):
    """Starts a turn with a streamed answer, and waits for its first piece. Returns the ids of thread and turn."""
    thread = tab.ask("ask('thread/start', {})")["thread"]["id"]
    params = {"threadId": thread, "input": [{"type": "text", "text": PROMPT}]}
    turn = tab.ask(f"ask('turn/start', {json.dumps(params)})")["turn"]["id"]
    until("a piece of the answer", lambda: tab.ask("notes.some(({method}) => method === 'item/agentMessage/delta')"))
    return thread, turn


def is_closed(tab, run):
    """What `run` does closes the page's connection. Returns code and reason. Rust tests hold the promised second: here a
    busy browser would be measured."""
    run()
    return tab.ask("ended")


def ends(server, thread, turn):
    """The turn goes on to its end, as another client reads it."""
    turns = lambda: server.call("thread/turns/list", {"threadId": thread})["data"]
    ended = lambda: [it for it in turns() if it["id"] == turn and it["status"] != "inProgress"]
    found = until("the end of the turn", ended)[0]
    equal(found["status"], "completed")
    texts = [item["text"] for item in found["items"] if item["type"] == "agentMessage"]
    equal(texts, ["".join(f"{number} ".ljust(8, ".") for number in range(20))])


def own_page(door):
    """A ticket gets the page in; the address loses it at once; the page's turn is answered, and its access is `chat`."""
    tab = door.page()
    equal(tab.ask("location.href"), f"{door.site.origin}/")
    ends(door.server, *streams(tab))
    equal(tab.ask("ask('config/value/write', {keyPath: 'model', value: 'x'})")["error"]["data"]["reason"], "forbidden")
    equal(door.server.list("sessions")[-1]["scope"], "chat")


def reload(door):
    """The page comes back with the session that it keeps."""
    tab = door.page()
    tab.do("reload")
    tab.enters()


def second_tab(door):
    """Another tab of the same browser needs no ticket. Both receive the turn."""
    first = door.page()
    second = door.browser.tab(f"{door.site.origin}/", first.context)
    second.enters()
    thread, turn = streams(first)
    second.ask(f"ask('thread/resume', {{threadId: '{thread}'}})")
    done = "notes.some(({method}) => method === 'turn/completed')"
    until("the end of the turn in both tabs", lambda: first.ask(done) and second.ask(done))


def used_twice(door):
    """A ticket is good once."""
    tab, ticket = door.page(), door.server.ticket()
    equal(door.trade(tab, ticket), [200, None])
    equal(door.trade(tab, ticket), [401, "used"])


def used_by_two(door):
    """Of two pages that send a ticket at once, exactly one gets a session."""
    first, second = door.page(), door.page()
    address = f"http://{door.server.host}/auth/session"
    for _ in range(5):
        body = json.dumps(json.dumps({"ticket": door.server.ticket()}))
        once = f"status('{address}', {{method: 'POST', headers: {{'Content-Type': 'application/json'}}, body: {body}}})"
        # The request of each page starts when the clock says so.
        at = first.ask("Date.now()") + 300
        later = f"new Promise((done) => setTimeout(() => done({once}), {at} - Date.now()))"
        for tab in (first, second):
            tab.ask(f"(window.later = {later}, null)")
        equal(sorted([first.ask("later"), second.ask("later")]), [200, 401])


def too_late(door):
    """A ticket of 31 s has expired."""
    tab, ticket, began = door.page(), door.server.ticket(), time.monotonic()
    time.sleep(max(0, began + TOO_LATE - time.monotonic()))
    equal(door.trade(tab, ticket), [401, "expired"])


def other_user(door):
    """Another user of the machine cannot use a ticket or a session, even with the page's origin, and uses neither up."""
    if os.geteuid() != 0:
        raise Skipped("a process of a second user needs root")
    if not os.path.exists(PYTHON):
        raise Skipped(f"a second user needs {PYTHON}")
    ticket, tab, session = door.server.ticket(), door.page(), door.server.session(door.site.origin)
    page = {"Origin": door.site.origin}
    bearer = {**page, "Authorization": f"Bearer {session}"}
    equal(as_stranger(door, "POST", page, {"ticket": ticket}), [401, "user"])
    equal(as_stranger(door, "GET", bearer), [401, "user"])
    equal(as_stranger(door, "GET", {}), [401, "missing"])
    equal(door.trade(tab, ticket), [200, None])
    equal(request(door.server.host, "GET", "/auth/session", bearer)[0], 200)


def as_stranger(door, method, headers, body=None):
    """Status and reason of a request to /auth/session that a process of another user sends."""
    code = "import json, sys, http.client as h; at, method, headers, body = json.loads(sys.stdin.read()); c = h.HTTPConnection(at)\n"
    code += "c.request(method, '/auth/session', json.dumps(body) if body else None, headers); a = c.getresponse()\n"
    code += "print(json.dumps([a.status, json.loads(a.read()).get('reason')]))"
    asked = json.dumps([door.server.host, method, {**headers, "Content-Type": "application/json"} if body else headers, body])
    command = [PYTHON, "-I", "-c", code]
    who = {"user": STRANGER, "group": STRANGER, "extra_groups": [], "cwd": "/"}
    ran = subprocess.run(command, input=asked, env=door.world.variables(), capture_output=True, text=True, timeout=BOUND, **who)
    if ran.returncode != 0:
        raise AssertionError(ran.stderr)
    return json.loads(ran.stdout)


WORKER = """addEventListener("install", () => skipWaiting());
addEventListener("activate", (event) => event.waitUntil(clients.claim()));
addEventListener("fetch", (event) => event.respondWith(new Response("the worker's", {headers: {"Content-Type": "text/html"}})));"""


def left_worker(door):
    """Skein takes a port from another program whose service worker is still in the browser: the worker loses the origin."""
    installs = "navigator.serviceWorker.register('/worker.js').then(() => navigator.serviceWorker.ready).then(() => true)"
    site = Site(door.world, {"/": EMPTY, "/worker.js": ("text/javascript", WORKER)})
    tab = door.browser.tab(f"{site.origin}/")
    equal(tab.ask(installs), True)
    tab.ask("localStorage.setItem('left', 'there')")
    tab.do("reload")
    equal(tab.ask("document.body.innerText"), "the worker's")
    site.close()
    server = Server(door.world, "after-worker", site.port)
    # The worker answers once more. Behind that, the browser looks for a newer worker, and Skein takes the origin from the old one.
    tab.do("reload")
    equal(tab.ask("document.body.innerText"), "the worker's")
    workers = "navigator.serviceWorker.getRegistrations().then((all) => all.length)"
    until("the end of the worker", lambda: tab.ask(workers) == 0)
    tab.do("reload")
    until("the page of Skein", lambda: tab.ask("document.querySelector('script[src^=\"/assets/\"]') !== null"))
    equal(tab.ask("localStorage.getItem('left')"), None)
    server.close()


def rebinding(door):
    """A foreign name that leads to this machine: 421, for a page of that name and in the address bar."""
    site = Site(door.world, {"/": EMPTY}, host="evil.example")
    tab = door.browser.tab(f"{site.origin}/")
    site.close()
    server = Server(door.world, "after-rebinding", site.port)
    server.run("origins", "add", site.origin)
    # To the browser this is the page's own server.
    ticket = json.dumps(json.dumps({"ticket": server.ticket()}))
    post = f"{{method: 'POST', headers: {{'Content-Type': 'application/json'}}, body: {ticket}}}"
    for path, options in (("/healthz", "{}"), ("/auth/session", "{}"), ("/auth/session", post), ("/auth/ticket", post)):
        equal(tab.ask(f"status('{path}', {options})"), 421)
    equal(tab.ask(f"connects('ws://evil.example:{site.port}/')"), False)
    bar = door.browser.tab("about:blank")
    equal(bar.go(f"{site.origin}/"), 421)
    equal(server.list("sessions"), [])
    server.close()


def other_port(door):
    """A page on another port gets in only while it is listed; the server keeps running."""
    site = door.stranger()
    tab = door.browser.tab(f"{site.origin}/#ticket={door.server.ticket()}")
    until("the page's failure", lambda: tab.ask("window.failure ?? null"))
    # The page sees neither the status nor the body, but it can tell "not allowed" from "not there".
    healthz = f"http://{door.server.host}/healthz"
    equal(tab.ask(f"status('{healthz}')"), "TypeError")
    equal(tab.ask(f"status('{healthz}', {{mode: 'no-cors'}})"), 0)
    equal(tab.ask("status('http://127.0.0.1:9/healthz', {mode: 'no-cors'})"), "TypeError")
    equal(request(door.server.host, "GET", "/healthz", {"Origin": site.origin})[0], 403)
    session = door.server.session(door.site.origin)
    connects = f"connects('ws://{door.server.host}/', ['skein.v1', 'skein.auth.{session}'])"
    equal(tab.ask(connects), False)
    refused = json.loads(door.server.run("origins", "list", "--json"))["refused"]
    if site.origin not in json.dumps(refused):
        raise AssertionError(f"{site.origin} is not among the refused: {refused}")
    door.server.run("origins", "add", site.origin)
    # A session of another origin is not good here.
    equal(tab.ask(connects), False)
    tab = door.page(site)
    thread, turn = streams(tab)
    equal(is_closed(tab, lambda: door.server.run("origins", "remove", site.origin))["code"], 1008)
    ends(door.server, thread, turn)


def null_origin(door):
    """A frame without an origin does not get in, with the session of the page around it."""
    tab, session = door.page(), door.server.session(door.site.origin)
    healthz, socket = f"http://{door.server.host}/healthz", f"ws://{door.server.host}/"
    tries = f"Promise.all([origin, status('{healthz}'), connects('{socket}', ['skein.v1', 'skein.auth.{session}'])])"
    inner = f"{HELPERS}<script>{tries}.then((all) => parent.postMessage(all, '*'))</script>"

    def framed(sandbox):
        answer = "new Promise((done) => addEventListener('message', ({data}) => done(data), {once: true}))"
        frame = f"document.body.append(Object.assign(document.createElement('iframe'), {{{sandbox}srcdoc: {json.dumps(inner)}}}))"
        return tab.ask(f"[{answer}, {frame.replace('</script>', '<' + chr(92) + '/script>')}][0]")

    equal(framed("sandbox: 'allow-scripts', "), ["null", "TypeError", False])
    # The same code in a frame of the page's origin does.
    equal(framed(""), [door.site.origin, 200, True])
    refused = json.loads(door.server.run("origins", "list", "--json"))["refused"]
    if "null" not in json.dumps(refused):
        raise AssertionError(f"null is not among the refused: {refused}")


def public_page(door, granted):
    """A page that the browser takes for public reaches a server on this machine only if the user grants it."""
    site = door.public[granted]
    door.server.run("origins", "add", site.origin)
    context, ticket = f"public-{granted}", door.server.ticket()
    tab = door.browser.tab(f"{site.origin}/empty", context)
    if granted:
        door.browser.wish(permit=context, **{"with": [["local-network-access"], {"origin": site.origin}]})
    else:
        equal(tab.ask(f"status('http://{door.server.host}/healthz')"), "TypeError")
        equal(tab.ask(f"connects('ws://{door.server.host}/', ['skein.v1', 'skein.auth.{door.server.session(site.origin)}'])"), False)
    tab.go(f"{site.origin}/#ticket={ticket}")
    if granted:
        return ends(door.server, *streams((tab.enters(), tab)[1]))
    until("the page's failure", lambda: tab.ask("window.failure ?? null"))
    # The request has not reached the server: the ticket is still good.
    equal(request(door.server.host, "POST", "/auth/session", {"Origin": site.origin}, {"ticket": ticket})[0], 200)


def not_granted(door):
    """Chromium refuses without a permission."""
    public_page(door, False)


def granted(door):
    """With the permission, a listed page gets in."""
    public_page(door, True)


def state(server):
    """Everything that the server has: the files of its home, its answers and its figures, without those that count refusals and
    times."""
    files = {}
    for folder, _, names in os.walk(server.home):
        for name in names:
            path = os.path.join(folder, name)
            if os.path.isfile(path):
                with open(path, "rb") as file:
                    files[path] = hashlib.sha256(file.read()).hexdigest()
    status = server.status()
    for counter in ("admission", "memory", "uptimeMs"):
        del status[counter]
    lists = [server.call(method) for method in ("thread/list", "thread/loaded/list", "config/read")]
    return {"files": files, "status": status, "answers": lists, "sessions": server.list("sessions"), "tokens": server.list("token")}


FOREIGN = """(async (at, ticket) => {
    const body = JSON.stringify({ticket}), wait = [];
    for (const path of ["/", "/rpc", "/auth/session", "/auth/ticket", "/metrics", "/healthz"]) {
        wait.push(new Promise((done) => {
            const image = Object.assign(new Image(), {src: at + path});
            image.onload = image.onerror = done;
        }));
        for (const type of ["text/plain", "application/x-www-form-urlencoded", "application/json"]) {
            wait.push(status(at + path, {method: "POST", mode: "no-cors", headers: {"Content-Type": type}, body}));
            navigator.sendBeacon(at + path, new Blob([body], {type: "text/plain"}));
        }
        for (const method of ["GET", "DELETE", "PUT"]) wait.push(status(at + path, {method}));
        for (const enctype of ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"]) {
            const frame = Object.assign(document.createElement("iframe"), {name: "f" + wait.length});
            const form = Object.assign(document.createElement("form"), {action: at + path, method: "POST", enctype, target: frame.name});
            form.append(Object.assign(document.createElement("input"), {name: '{"ticket": "' + ticket + '", "a": "', value: '"}'}));
            document.body.append(frame, form);
            wait.push(new Promise((done) => { frame.onload = done; }));
            form.submit();
        }
        wait.push(connects(at.replace("http", "ws") + path, []));
    }
    return (await Promise.all(wait)).length;
})"""


def foreign_requests(door):
    """A form, an image, a request without CORS and others, from a foreign page with a good ticket, change nothing."""
    server = Server(door.world, "quiet")
    server.run("origins", "add", door.site.origin)
    thread = server.call("thread/start")["thread"]["id"]
    server.call("turn/start", {"threadId": thread, "input": [{"type": "text", "text": "words"}]})
    until("the end of the thread", lambda: not server.status()["threads"]["loaded"])
    server.session(door.site.origin)
    tab, ticket = door.browser.tab(f"{door.stranger().origin}/empty"), server.ticket()
    before, count = settled(server), server.status()["admission"]["originsTotal"]
    tried = tab.ask(f"{FOREIGN}('http://{server.host}', '{ticket}')")
    # The rest is preflights, whose refusal the browser hides, and requests that it does not send.
    until("the refusals to be counted", lambda: server.status()["admission"]["originsTotal"] - count >= tried / 2)
    stays(server, before)
    equal(request(server.host, "POST", "/auth/session", {"Origin": door.site.origin}, {"ticket": ticket})[0], 200)
    server.close()


def settled(server):
    """The state, once two looks in a row find the same."""
    last = [state(server)]

    def same():
        last.append(state(server))
        return last[-1] == last[-2] and last[-1]

    return until("a state that stays", same)


def stays(server, before):
    """Waits until the state is the one before: the server may still be busy with what it has refused."""
    last = []

    def same():
        last[:] = [state(server)]
        return last[0] == before

    try:
        until("the state before", same)
    except AssertionError:
        differs(before, last[0])


def differs(before, now):
    raise AssertionError("; ".join(f"{part}: {now[part]!r} instead of {before[part]!r}" for part in now if now[part] != before[part]))


def revoked(door):
    """A revoked session closes the page's connection in the middle of a turn. The turn goes on."""
    site = door.stranger()
    door.server.run("origins", "add", site.origin)
    tab = door.page(site)
    secret = tab.ask("localStorage.getItem('skein')")
    thread, turn = streams(tab)
    [mine] = [it["id"] for it in door.server.list("sessions") if it["origin"] == site.origin]
    equal(is_closed(tab, lambda: door.server.run("sessions", "revoke", mine)), {"code": 1008, "reason": "revoked"})
    bearer = {"Origin": site.origin, "Authorization": f"Bearer {secret}"}
    code, body = request(door.server.host, "GET", "/auth/session", bearer)
    equal((code, body["reason"]), (401, "revoked"))
    ends(door.server, thread, turn)


def desktop(door):
    """A desktop shell of its own scheme: refused until it is listed."""
    shell = "tauri://localhost"
    code, body = handshake(door.server.host, shell)
    equal((code, body["reason"]), (403, "origin"))
    door.server.run("origins", "add", shell)
    code, body = handshake(door.server.host, shell)
    equal((code, body["reason"]), (401, "missing"))
    session = door.server.session(shell)
    code, head = handshake(door.server.host, shell, session)
    equal((code, "sec-websocket-protocol: skein.v1\r\n" in head.lower(), session in head), (101, True, False))
    door.server.run("origins", "remove", shell)
    code, body = handshake(door.server.host, shell, session)
    equal((code, body["reason"]), (403, "origin"))


def smoke(door):
    """A ticket, a reload, a second tab, an origin that is not listed, and a revoked session."""
    own_page(door)
    reload(door)
    second_tab(door)
    stranger = door.stranger()
    tab = door.browser.tab(f"{stranger.origin}/#ticket={door.server.ticket()}")
    until("the page's failure", lambda: tab.ask("window.failure ?? null"))
    equal(tab.ask(f"connects('ws://{door.server.host}/')"), False)
    revoked(door)


# The longest first: some run side by side.
CHROMIUM = {
    "a ticket after 31 s": too_late,
    "the page, with a ticket": own_page,
    "the page again: reload": reload,
    "the page in a second tab": second_tab,
    "a ticket used twice": used_twice,
    "a ticket used by two at once": used_by_two,
    "a ticket and a session of another user": other_user,
    "a worker that another program left": left_worker,
    "another port, without and with origins add": other_port,
    "null, from a sandboxed frame": null_origin,
    "a public page, not granted": not_granted,
    "a public page, granted": granted,
    "DNS rebinding": rebinding,
    "forms, images and requests without CORS": foreign_requests,
    "a session revoked in mid-stream": revoked,
    "a desktop shell": desktop,
}
FIREFOX = {"ticket, reload, tab, stranger, revoke": smoke}
