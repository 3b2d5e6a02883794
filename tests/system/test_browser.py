"""The dashboard and the report in a real browser: what a person sees, on a phone and at a desk, by day and by night."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.commands.conftest import demo_book, week
from tests.support.rig import command, quick_params
from tests.support.rig_bars import made_bars
from tests.system.browser import DESK, PHONE, chromium, faults, opened

__all__ = ["demo_book", "week"]  # fixtures
# Its pages come from a week of hours, a study and a report: on a busy machine the first test waits minutes for them.
pytestmark = pytest.mark.timeout(1200)
SIZES = {"phone": PHONE, "desk": DESK}
PLANTED = "</script><script>document.title = 'planted'</script><img src=x onerror=document.title='planted'>"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One Chromium for all tests."""
    with chromium() as started:
        yield started


@pytest.fixture(scope="module")
def pages(week: Path, demo_book: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Addresses of files: a dashboard of each state, the page of a book, and a report of made bars with its study."""
    folder = tmp_path_factory.mktemp("pages")
    shutil.copytree(week / "store", folder / "halted-store")
    command("trader", "halt", "--reason", PLANTED, "--store", "halted-store", cwd=folder)
    written = {}
    for name, store, more in (
        ("trading", week / "store", ()),
        ("public", week / "store", ("--public",)),
        ("halted", folder / "halted-store", ()),
        ("not begun", folder / "nothing", ()),
    ):
        where = ("--store", str(store), "--out", str(folder / name), *more)
        command("trader", "dashboard", *where, cwd=folder)
        written[name] = (folder / name / "index.html").as_uri()
    written["book"] = (demo_book / "demo" / "page" / "index.html").as_uri()
    return {**written, "report": report(folder).as_uri()}


def report(folder: Path) -> Path:
    """`backtest report` of a month, chosen by a study of the month before it."""
    bars = str(made_bars(folder, "2020-06-01", "2021-03-10"))
    (folder / "P.json").write_text(json.dumps(quick_params()))
    tuned = ("--from", "2021-01-01", "--to", "2021-02-01", "--trials", "9", "--exact", "--study", "study")
    command("backtest", "tune", "--bars", bars, *tuned, "--params", "P.json", cwd=folder)
    told = ("--from", "2021-02-01", "--to", "2021-03-01", "--study", "study", "--out", "report.html")
    command("backtest", "report", "--bars", bars, *told, "--params", "study/P.json", cwd=folder)
    return folder / "report.html"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", ["trading", "public", "halted", "not begun", "book", "report"])
def test_a_page_is_quiet_fits_and_is_accessible(
    browser: Browser, pages: dict[str, str], name: str, size: str, scheme: str
) -> None:
    """Nothing on the console, nothing asked of a network, nothing wider than the screen, no fault against WCAG A or AA."""
    with opened(browser, pages[name], scheme, viewport=SIZES[size]) as seen:
        assert seen.said == []
        assert {url.split(":")[0] for url in seen.asked} <= {"file", "data"}
        assert seen.page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        assert faults(seen.page) == []
        if name in ("trading", "public", "halted"):
            assert seen.page.evaluate("document.body.dataset.drawn") == "yes"
            assert seen.page.locator(".plot .main-svg").count() >= seen.page.locator(".plot").count() > 5


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
def test_an_hour_is_opened_by_keyboard(
    browser: Browser, pages: dict[str, str], size: str, scheme: str
) -> None:
    """Tab reaches the newest hour, Enter opens it to its features and closes it; opened it is still accessible."""
    with opened(browser, pages["trading"], scheme, viewport=SIZES[size]) as seen:
        page = seen.page
        for _ in range(30):
            page.keyboard.press("Tab")
            if page.evaluate("document.activeElement.matches('.hours summary')"):
                break
        newest = page.locator(".hours details").first
        assert newest.evaluate("details => details.querySelector('summary') === document.activeElement")
        assert not newest.locator(".inside").is_visible()
        page.keyboard.press("Enter")
        assert newest.locator("tbody tr").first.is_visible()
        assert "rsi" in newest.locator(".inside").inner_text()
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        assert faults(page) == []
        page.keyboard.press("Enter")
        assert not newest.locator(".inside").is_visible()
        assert seen.said == []


def test_figures_follow_the_theme_while_the_page_is_open(browser: Browser, pages: dict[str, str]) -> None:
    """Ticks and lines are drawn in the ink of the theme, also after it changed at dusk."""
    ink = """() => [getComputedStyle(document.querySelector('#equity .xtick text')).fill,
                    getComputedStyle(document.body).color]"""
    with opened(browser, pages["trading"], "light") as seen:
        by_day = seen.page.evaluate(ink)
        seen.page.emulate_media(color_scheme="dark")
        seen.page.wait_for_function(f"before => ({ink})()[0] !== before", arg=by_day[0])
        by_night = seen.page.evaluate(ink)
        assert by_day[0] == by_day[1] != by_night[0] == by_night[1]
        assert seen.said == []


def test_what_an_operator_typed_is_text(browser: Browser, pages: dict[str, str]) -> None:
    """A halt's reason with markup in it is read, not run; a halted page says so first, and what to do."""
    with (
        opened(browser, pages["halted"]) as halted,
        opened(browser, pages["trading"]) as trading,
    ):
        page = halted.page
        assert page.title() == "BTCUSDT: halted"
        assert page.locator(".badge").inner_text() == "halted"
        assert PLANTED in page.locator("main > p").first.inner_text()
        assert "trader resume" in page.locator("main").inner_text()
        assert PLANTED in page.locator(".story li").first.inner_text()
        assert page.locator("img").count() == 0
        assert page.locator("script").count() == trading.page.locator("script").count()


def test_the_story_is_told_newest_first_and_drawn(browser: Browser, pages: dict[str, str]) -> None:
    """Every model that served stands in the list, newest first, and as a line in the equity figure, with the orders."""
    with opened(browser, pages["trading"]) as seen:
        times = seen.page.locator(".story .when").all_inner_texts()
        assert times[:3] == sorted(times[:3], reverse=True)
        assert seen.page.locator(".story strong.champion").count() == 3
        assert seen.page.locator("#equity .shapelayer path").count() == 3
        legend = seen.page.locator("#equity .legendtext").all_text_contents()
        assert legend == ["buy and hold, net", "before fees", "equity, net", "bought", "sold"]


def test_without_its_library_a_page_says_what_it_needs(
    browser: Browser, pages: dict[str, str], tmp_path: Path
) -> None:
    """A page that was copied alone still tells everything but its figures."""
    alone = tmp_path / "index.html"
    shutil.copy(pages["trading"].removeprefix("file://"), alone)
    with opened(browser, alone.as_uri()) as seen:
        assert seen.page.locator("#no-figures").is_visible()
        assert "plotly.min.js" in seen.page.locator("#no-figures").inner_text()
        assert seen.page.locator(".hours details").count() == 48


def test_a_report_is_printed_whole(browser: Browser, pages: dict[str, str]) -> None:
    """Paper shows what a screen keeps folded, and the PDF has more than one page and the figures in it."""
    with opened(browser, pages["report"]) as seen:
        folded = seen.page.locator("details tbody tr").first
        assert not folded.is_visible()
        seen.page.emulate_media(media="print")
        assert folded.is_visible()
        shown = [it for it in seen.page.locator("svg[role=img]").all() if it.is_visible()]
        assert len(shown) == 8  # of each pair, wide and narrow, one
        printed = seen.page.pdf(format="A4")
        assert printed.startswith(b"%PDF")
        assert len(re.findall(rb"/Type\s*/Page\b", printed)) >= 3


def test_the_checker_finds_what_is_wrong(browser: Browser, pages: dict[str, str], tmp_path: Path) -> None:
    """A page with pale text, a nameless picture, a foreign address and a raised error is caught on all four."""
    page = tmp_path / "bad.html"
    page.write_text(
        "<html><title>x</title><body><p style='color:#ccc;background:#fff'>pale</p><img src='http://127.0.0.1:9/x.png'>"
        "<div style='width:5000px'>wide</div><script>throw new Error('raised')</script></body></html>"
    )
    with opened(browser, page.as_uri(), viewport=PHONE) as seen:
        assert any("raised" in said for said in seen.said)
        assert "http://127.0.0.1:9/x.png" in seen.asked
        assert seen.page.evaluate("document.documentElement.scrollWidth > window.innerWidth")
        found = " ".join(faults(seen.page))
        assert all(rule in found for rule in ("color-contrast", "image-alt", "html-has-lang"))
