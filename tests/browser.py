"""A real Chromium for the tests, and the window served to it.

The browser is the system's (Debian's package `chromium`); SITREP_TEST_CHROMIUM names another. Where there is none it is
installed in CI, as root (conftest); elsewhere its tests are skipped, loudly. A violation of the content security
policy, an error on the console and an exception in a script fail the test in which they happened.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import uvicorn
from fastapi import FastAPI
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# What CI's machine lacks and a desktop has comes along: fonts for every script that news is written in.
PACKAGES = ("chromium", "fonts-noto-core", "fonts-noto-cjk")


def chromium() -> str:
    """Its path; skips the test where there is none, or fails it in CI."""
    if (found := _found()) is None:
        told = "THE PAGES ARE NOT TESTED IN A BROWSER: there is no Chromium (apt install chromium)."
        if os.environ.get("CI") == "true":
            pytest.fail(told)
        pytest.skip(told)
    return found


def _found() -> str | None:
    return os.environ.get("SITREP_TEST_CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)


def install() -> None:
    """Install Chromium where there is none; for root, in CI, before any test runs. Raises RuntimeError."""
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    commands = (["update", "-qq"], ["install", "-y", "-qq", "--no-install-recommends", *PACKAGES])
    for command in commands if _found() is None else ():
        apt = ["apt-get", "-o", "DPkg::Lock::Timeout=300", *command]
        done = subprocess.run(apt, capture_output=True, text=True, check=False, env=environment, timeout=1800)
        if done.returncode:
            raise RuntimeError(f"Chromium could not be installed: {done.stderr[-2000:]}")


@contextmanager
def launched() -> Iterator[Browser]:
    path = chromium()
    with sync_playwright() as playwright:
        # the sandbox needs what containers do not give; all that is opened here is our own server
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


@contextmanager
def opened(browser: Browser, address: str, **context: object) -> Iterator[Page]:
    """A page of a fresh reader. What went wrong in it is raised at the end; what a test expects to go wrong it takes
    out of `page.faults`."""
    fresh: BrowserContext = browser.new_context(base_url=address, **{"locale": "en-GB", **context})  # type: ignore[arg-type]
    fresh.set_default_timeout(20_000)
    page = fresh.new_page()
    faults: list[str] = []
    page.faults = faults  # type: ignore[attr-defined]
    page.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("dialog", lambda dialog: (faults.append(f"dialog: {dialog.message}"), dialog.dismiss()))
    page.on("request", lambda request: _only(request.url, address, faults))
    yield page
    fresh.close()
    assert not faults, faults


def _only(url: str, address: str, faults: list[str]) -> None:
    if not url.startswith((address, "data:", "blob:")):
        faults.append(f"asked for {url}")


@contextmanager
def served(app: FastAPI) -> Iterator[str]:
    """The application on a free port of loopback, in a thread: its address."""
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", access_log=False, lifespan="on"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.02)
    yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    server.should_exit = True
    thread.join(20)
    listening.close()
