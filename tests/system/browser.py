"""Debian's Chromium, driven by Playwright: what a page shows, asks for and complains of."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright

CHROMIUM = "/usr/bin/chromium"
# No sandbox: containers run as root. The rest keeps the browser from calling home.
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
PHONE = {"width": 390, "height": 844}
DESK = {"width": 1280, "height": 900}
WCAG = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]


@dataclass
class Seen:
    """A page, and what it said and asked for while it was open."""

    page: Page
    said: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser for as long as the context lasts."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def opened(browser: Browser, url: str, scheme: str = "light", **context: Any) -> Iterator[Seen]:
    """A page at an address, until it has drawn what it has to draw."""
    with browser.new_context(color_scheme=scheme, **{"viewport": DESK, **context}) as made:
        seen = Seen(made.new_page())
        seen.page.on("console", lambda told: seen.said.append(f"{told.type}: {told.text}"))
        seen.page.on("pageerror", lambda error: seen.said.append(f"error: {error}"))
        seen.page.on("request", lambda request: seen.asked.append(request.url))
        seen.page.goto(url)
        seen.page.wait_for_load_state("networkidle")
        yield seen


def faults(page: Page) -> list[str]:
    """What axe-core finds against WCAG A and AA: the rule, what it asks, and where."""
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(page, options={"runOnly": {"type": "tag", "values": WCAG}}).response
    return [
        f"{fault['id']}: {fault['help']}: {' | '.join(str(node['target']) for node in fault['nodes'][:5])}"
        for fault in found["violations"]
    ]
