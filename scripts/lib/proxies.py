"""Proxies of Debian in front of a real server, and a real browser behind them: scripts/proxies tells more."""

import argparse
import json
import os
import pty
import re
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import uuid

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.append(os.path.join(HERE, "page"))
from ports import free_port
from page import BOUND, Browser, Page, Server, World, request, until

HOST = "box.example.org"
PHONE = {"viewport": {"width": 390, "height": 844}, "isMobile": True, "hasTouch": True}
PHONE["userAgent"] = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Mobile/15E148 Safari/604.1"


def configuration(name):
    """The block of docs/operators.md behind the mark of this proxy."""
    with open(os.path.join(HERE, "..", "..", "docs", "operators.md")) as file:
        text = file.read().split(f"<!-- proxy: {name} -->", 1)[1]
    lines = text.strip("\n").splitlines()
    end = next(number for number, line in enumerate(lines) if line and not line.startswith("    "))
    return "\n".join(line[4:] for line in lines[:end]) + "\n"


def replaced(text, old, new):
    """The text with all of these replaced; there must be some."""
    if old not in text:
        raise AssertionError(f"the configuration has no {old!r}")
    return text.replace(old, new)


class Certificate:
    """A certificate for the host, its own authority."""

    def __init__(self, folder):
        self.cert, self.key = os.path.join(folder, "cert.pem"), os.path.join(folder, "key.pem")
        words = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30"]
        words += ["-subj", f"/CN={HOST}", "-addext", f"subjectAltName=DNS:{HOST}", "-keyout", self.key, "-out", self.cert]
        subprocess.run(words, check=True, capture_output=True)


class Running:
    """A program that ends with this script."""

    def __init__(self, world, words):
        self.log = open(os.path.join(world.folder, f"{os.path.basename(words[0])}.log"), "w")
        self.process = world.keep(self) and world.popen(words, stdout=self.log, stderr=self.log)

    def close(self):
        self.process.terminate()
        self.process.wait(BOUND)
        self.log.close()


def caddy(world, certificate, port, server):
    text = replaced(configuration("caddy"), "127.0.0.1:4500", server)
    text = replaced(text, f"{HOST} {{", f"https://{HOST}:{port} {{\n    bind 127.0.0.1\n    tls {certificate.cert} {certificate.key}")
    path = os.path.join(world.folder, "Caddyfile")
    with open(path, "w") as file:
        file.write("{\n    admin off\n    auto_https disable_redirects\n}\n" + text)
    return Running(world, ["caddy", "run", "--config", path, "--adapter", "caddyfile"])


def nginx(world, certificate, port, server):
    text = replaced(configuration("nginx"), "127.0.0.1:4500", server)
    text = replaced(text, "listen 443 ssl", f"listen 127.0.0.1:{port} ssl")
    text = replaced(replaced(text, "/etc/ssl/box/cert.pem", certificate.cert), "/etc/ssl/box/key.pem", certificate.key)
    places = "".join(f"{kind}_temp_path {world.folder}/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    path = os.path.join(world.folder, "nginx.conf")
    with open(path, "w") as file:
        file.write(f"daemon off;\npid {world.folder}/nginx.pid;\nerror_log stderr;\nevents {{}}\nhttp {{\naccess_log off;\n{places}{text}}}\n")
    return Running(world, ["nginx", "-c", path, "-p", world.folder])


class BoxServer(Server):
    """A server behind an address of its own."""

    arguments = ()

    def program(self):
        return [self.world.skein]

    def serve(self, port):
        command = [self.world.skein, "serve", "--home", self.home, "--listen", "ws://127.0.0.1:0", *self.arguments]
        with open(self.log, "a") as log:
            self.process = self.world.popen(command, stdout=subprocess.PIPE, stderr=log)
        line = self.process.stdout.readline()
        if not line:
            raise AssertionError(f"the server did not start: {open(self.log).read()[-2000:]}")
        self.host = json.loads(line)["addresses"][0].removeprefix("ws://")
        self.port = int(self.host.rsplit(":", 1)[1])


class Door:
    """What a page needs: its server and its browser."""

    def __init__(self, server, browser):
        self.server, self.browser, self.pages = server, browser, []


class Pairing:
    """`skein pair` at a terminal."""

    def __init__(self, server):
        self.ours, theirs = pty.openpty()
        words = [server.world.skein, "pair", "--home", server.home]
        self.process = server.world.popen(words, stdin=theirs, stdout=theirs, stderr=theirs)
        os.close(theirs)
        self.heard, self.said = b"", ""

    def until(self, pattern):
        while not (found := re.search(pattern, self.said)):
            try:
                more = os.read(self.ours, 65536)
            except OSError:
                more = b""
            if not more:
                raise AssertionError(f"no {pattern}: {self.said[-2000:]}")
            self.heard += more
            # A read may end within a character.
            self.said = self.heard.decode(errors="ignore")
        return found

    def say(self, text):
        os.write(self.ours, text.encode())

    def ends(self, code):
        found = self.process.wait(BOUND)
        os.close(self.ours)
        if found != code:
            raise AssertionError(f"skein pair ended with {found}: {self.said[-2000:]}")


def ask(port, head):
    """The answer to a request over TLS, whose certificate nobody checks."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with context.wrap_socket(socket.create_connection(("127.0.0.1", port), BOUND), server_hostname=HOST) as link:
        link.sendall(f"{head}\r\nHost: {HOST}:{port}\r\nConnection: close\r\n\r\n".encode())
        answer = b""
        while more := link.recv(65536):
            answer += more
    return answer.decode(errors="replace")


def answers(port):
    try:
        return ask(port, "GET /healthz HTTP/1.1").startswith("HTTP/1.1 200")
    except OSError:
        return False


def page_and_turn(door, port):
    link = door.server.run("url")
    if not link.startswith(f"https://{HOST}:{port}/#ticket="):
        raise AssertionError(f"skein url says {link.split('#')[0]}")
    page = Page(door, address=link).ready()
    page.send("hello")
    page.until_answer("hello")
    page.until_link("connected")
    page.close()


def strict(door, port):
    head = ask(port, "GET / HTTP/1.1\r\nAccept: text/html").split("\r\n\r\n")[0].lower()
    if "strict-transport-security: max-age=31536000" not in head:
        raise AssertionError(head)
    refused = ask(port, "GET /metrics HTTP/1.1")
    if not refused.startswith("HTTP/1.1 401"):
        raise AssertionError(refused)


def wrong_credentials(door, port):
    """The limit counts for the client that the proxy names, not for the proxy."""
    code = lambda: ask(port, "GET /metrics HTTP/1.1\r\nAuthorization: Bearer " + "x" * 43).split(" ")[1]
    codes = [code() for _ in range(11)]
    if codes != ["401"] * 10 + ["429"]:
        raise AssertionError(codes)
    token = door.server.run("token", "create", "scraper", "--scope", "read").strip()
    right = ask(port, f"GET /metrics HTTP/1.1\r\nAuthorization: Bearer {token}")
    if not right.startswith("HTTP/1.1 200"):
        raise AssertionError(right[:300])


def interrupted(door, port):
    """The code has lines, as a camera needs them; with Ctrl-C its ticket ends, also before a page has come."""
    pair = Pairing(door.server)
    link = pair.until(rf"https://{HOST}:{port}/#ticket=([A-Za-z0-9_-]{{43}})")
    lines = [line for line in pair.said.split(link.group())[0].splitlines() if line.strip()]
    if len(lines) < 10 or len({len(line) for line in lines}) != 1 or "\\u" in pair.said:
        raise AssertionError(pair.said)
    pair.until("this terminal asks")
    pair.process.send_signal(signal.SIGINT)
    pair.ends(1)
    origin = {"Origin": f"https://{HOST}:{port}", "Host": f"{HOST}:{port}"}
    code, body = request(door.server.host, "POST", "/auth/session", origin, {"ticket": link.group(1)})
    if (code, body["reason"]) != (401, "used"):
        raise AssertionError((code, body))


def ahead(door, port):
    """An answer before the question lets nobody in."""
    pair = Pairing(door.server)
    link = pair.until(rf"https://{HOST}:{port}/#ticket=[A-Za-z0-9_-]{{43}}").group()
    pair.until("this terminal asks")
    pair.say("y\n")
    phone = Page(door, context=uuid.uuid4().hex, address=link, options={**PHONE, "ignoreHTTPSErrors": True})
    pair.until(r"let it in\? \[y/N\] ")
    phone.until_text_on_page("Answer at the terminal")
    pair.say("n\n")
    pair.ends(1)
    phone.until_link("refused")
    phone.close()


def pairing(door, port):
    for answer, code in (("n\n", 1), ("y\n", 0)):
        pair = Pairing(door.server)
        link = pair.until(rf"https://{HOST}:{port}/#ticket=[A-Za-z0-9_-]{{43}}").group()
        phone = Page(door, context=uuid.uuid4().hex, address=link, options={**PHONE, "ignoreHTTPSErrors": True})
        phone.until_text_on_page("Answer at the terminal")
        pair.until(r"Safari on iPhone, [^\n]*: let it in\? \[y/N\] ")
        pair.say(answer)
        pair.ends(code)
        if code:
            phone.until_link("refused")
        else:
            phone.ready()
            phone.send("from the phone")
            phone.until_answer("from the phone")
        phone.close()


def until_text_on_page(page, text):
    until(f"{text!r} on the page", lambda: text in page.ask("document.body.innerText"))


Page.until_text_on_page = until_text_on_page


def only_here(door, port):
    """A server on loopback has no page for a phone, and says what makes one."""
    words = [door.server.world.skein, "pair", "--home", door.server.home]
    ran = subprocess.run(words, capture_output=True, text=True, env=door.server.world.variables(), stdin=subprocess.DEVNULL)
    if ran.returncode != 1 or "public_url" not in ran.stderr or "--listen wss://" not in ran.stderr:
        raise AssertionError(ran)


STEPS = {
    "the page, and a turn": page_and_turn,
    "TLS only, and a credential": strict,
    "wrong credentials of one client": wrong_credentials,
    "a phone, refused and accepted": pairing,
    "a pairing that is interrupted": interrupted,
    "an answer ahead of its question": ahead,
}


def play(kind, folder, programs):
    world = World(folder, *programs)
    failed = 0
    try:
        certificate, port = Certificate(folder), free_port()
        settings = f'public_url = "https://{HOST}:{port}"\ntrusted_proxies = ["127.0.0.1"]\n'
        if kind == "tls":
            listen = ["--listen", f"wss://127.0.0.1:{port}", "--tls-cert", certificate.cert, "--tls-key", certificate.key]
            BoxServer.arguments = tuple(listen)
        server = BoxServer(world, f"home-{kind}", settings=settings)
        if kind != "tls":
            {"caddy": caddy, "nginx": nginx}[kind](world, certificate, port, server.host)
        until(f"an answer through {kind}", lambda: answers(port))
        rules = f"--host-resolver-rules=MAP {HOST} 127.0.0.1"
        browser = Browser(world, "chromium", os.environ["BROWSERS_CHROMIUM"], rules, "--ignore-certificate-errors")
        door = Door(server, browser)
        steps = dict(STEPS)
        if kind == "tls":
            # Both directions of this port are the machine's own, whose user the kernel names.
            del steps["wrong credentials of one client"]
        for name, step in steps.items():
            failed += shown(f"{kind}: {name}", step, door, port)
        if kind == "tls":
            BoxServer.arguments = ()
            alone = Door(BoxServer(world, "home-alone"), browser)
            failed += shown("a server of this machine alone", only_here, alone, port)
        failed += shown(f"{kind}: no process is left", lambda *_: world.close(), door, port)
    finally:
        # Processes are left only after a failure; this script started them.
        world.kill()
    return failed


def shown(name, step, *given):
    began = time.monotonic()
    try:
        step(*given)
        print(f"{name:48} ok      {time.monotonic() - began:6.2f} s", flush=True)
        return 0
    except (AssertionError, OSError, subprocess.SubprocessError, ValueError, KeyError, IndexError) as error:
        print(f"{name:48} FAILED  {type(error).__name__}: {error}", flush=True)
        return 1


def main():
    given = argparse.ArgumentParser(prog="scripts/proxies")
    given.add_argument("programs", nargs=2)
    given.add_argument("--only", choices=("caddy", "nginx", "tls"))
    given = given.parse_args()
    failed = 0
    for kind in ("caddy", "nginx", "tls"):
        if given.only in (None, kind):
            with tempfile.TemporaryDirectory(prefix="skein-proxies-") as folder:
                failed += play(kind, folder, given.programs)
    print("proxies: ok" if failed == 0 else f"proxies: {failed} FAILED")
    sys.exit(1 if failed else 0)


main()
