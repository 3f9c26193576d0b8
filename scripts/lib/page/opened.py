"""The browser of a user, started by `skein open`."""

import os
import signal
import subprocess

from page import BOUND, Browser, Tab, until
from steps import equal
from world import read_text


def opened(door):
    """`skein open` serves a home that nobody serves, and its browser comes up with the page. No driver has started it."""
    world, home = door.world, os.path.join(door.world.folder, "home-open")
    program, profile, pid = (os.path.join(world.folder, f"open-{part}") for part in ("browser", "profile", "pid"))
    given = f"--headless --no-sandbox --disable-gpu --no-first-run --remote-debugging-port=0 --user-data-dir={profile}"
    with open(program, "w") as script:
        script.write(f'#!/bin/sh\necho $$ > {pid}\nexec {os.environ["BROWSERS_CHROMIUM"]} {given} "$1"\n')
    os.chmod(program, 0o755)
    run = lambda *words: subprocess.run([world.skein, *words, "--home", home], env={**world.variables(), "BROWSER": program}, capture_output=True, text=True, timeout=BOUND)
    try:
        ran = run("open")
        equal((ran.returncode, ran.stdout), (0, ""))
        if "the browser has the page" not in ran.stderr or "ticket" in ran.stderr:
            raise AssertionError(ran.stderr)
        port = os.path.join(profile, "DevToolsActivePort")
        until("the browser's port", lambda: os.path.exists(port) and "\n" in read_text(port))
        driver = Browser(world, "chromium", f"http://127.0.0.1:{read_text(port).split()[0]}")
        tab = Tab(driver, None)
        until("the first paint with data", lambda: tab.ask("document.documentElement.dataset.skein") == "ready")
        status = "document.querySelector('[role=status][aria-label=Connection]').innerText.trim()"
        until("a connection", lambda: tab.ask(status).startswith("connected"))
        equal((tab.ask("location.hash"), len(tab.ask("localStorage.getItem('skein.session')"))), ("", 43))
        driver.close()
    finally:
        if os.path.exists(pid):
            os.killpg(int(read_text(pid)), signal.SIGTERM)
        equal(run("stop").returncode, 0)
