"""The pages in a real Chromium. A violation of the content security policy, an error on the console, a dialog and a
request to anybody else fail a test by themselves (browser.py)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest
from fastapi import FastAPI
from fastapi.responses import HTMLResponse
from playwright.sync_api import Browser, Page, expect

from ingest.settings import Settings
from ingest.web.access import Access
from tests import windows
from tests.browser import opened, served


def until(page: Page, address: str) -> None:
    expect(page).to_have_url(re.compile(re.escape(address)))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_theme_is_the_systems_until_somebody_chooses(browser: Browser, site: str, scheme: str) -> None:
    with opened(browser, site, color_scheme=scheme) as page:
        page.goto("/")
        ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (ground == "rgb(20, 24, 27)") == (scheme == "dark")
        page.get_by_role("button", name="Dark" if scheme == "light" else "Light").click()
        page.goto("/runs")
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") != ground


def test_what_is_dark_on_the_screen_is_printed_dark_on_white(browser: Browser, site: str) -> None:
    ink = "getComputedStyle(document.body).color"
    with opened(browser, site, color_scheme="light") as page:
        page.goto("/")
        dark_on_white = page.evaluate(ink)
        page.get_by_role("button", name="Dark").click()
        assert page.evaluate(ink) != dark_on_white
        page.emulate_media(media="print")
        assert page.evaluate(ink) == dark_on_white


def test_the_keyboard_reaches_the_content_first(browser: Browser, site: str) -> None:
    with opened(browser, site) as page:
        page.goto("/runs")
        page.keyboard.press("Tab")
        expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()


def test_a_search_by_keyboard_alone(browser: Browser, site: str) -> None:
    with opened(browser, site) as page:
        page.goto("/")
        page.keyboard.press("/")
        box = page.get_by_role("searchbox")
        expect(box).to_be_focused()
        page.keyboard.type("troops")
        page.keyboard.press("Enter")
        expect(page).to_have_url(re.compile(r"/\?q=troops$"))  # nothing in it that says nothing
        page.keyboard.press("j")
        page.keyboard.press("j")
        page.keyboard.press("k")
        first = page.locator(".hit h2 a").first
        expect(first).to_be_focused()
        page.keyboard.press("Escape")
        expect(first).not_to_be_focused()
        page.keyboard.press("j")
        title = first.inner_text()
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", level=1)).to_have_text(title)


def test_a_filter_applies_at_once_and_keeps_the_focus(browser: Browser, site: str) -> None:
    with opened(browser, site) as page:
        page.goto("/?q=troops")
        page.get_by_role("checkbox", name="escalation").check()
        expect(page).to_have_url(re.compile(r"\?q=troops&topic=escalation$"))
        expect(page.get_by_role("checkbox", name="escalation")).to_be_checked()
        expect(page.get_by_role("checkbox", name="escalation")).to_be_focused()
        page.get_by_label("that it is").select_option("main")
        until(page, "weight=main")
        page.get_by_label("Sort").select_option("oldest")
        until(page, "sort=oldest")
        page.get_by_role("link", name="escalation: remove this filter").click()
        expect(page).not_to_have_url(re.compile("topic="))


def test_back_shows_the_filters_that_were_asked_for(browser: Browser, site: str) -> None:
    with opened(browser, site) as page:
        page.goto("/")
        page.get_by_role("checkbox", name="aid").check()
        until(page, "?topic=aid")
        page.get_by_label("Sort").select_option("oldest")
        until(page, "sort=oldest")
        page.go_back()
        page.go_back()
        expect(page).to_have_url(re.compile(r"/$"))
        expect(page.get_by_label("Sort")).to_have_value("")
        expect(page.get_by_role("checkbox", name="aid")).not_to_be_checked()


def test_a_date_can_be_typed(browser: Browser, site: str) -> None:
    with opened(browser, site) as page:
        page.goto("/")
        field = page.get_by_label("from")
        field.focus()
        for key in "05032024":  # day, month, year
            page.keyboard.press(key, delay=100)
        expect(page).to_have_url(re.compile(r"since=2024-0[35]-0[35]$"))


def test_dragging_over_the_chart_sets_the_dates(browser: Browser, site: str) -> None:
    with opened(browser, site) as page:
        page.goto("/")
        plot = page.locator(".plots .u-over").first
        frame = plot.bounding_box()
        assert frame
        y = frame["y"] + frame["height"] / 2
        page.mouse.move(frame["x"] + frame["width"] * 0.88, y)
        expect(page.locator(".reading")).to_contain_text(re.compile(r"2025-\d\d-\d\d: \d+ stor"))
        page.mouse.down()
        page.mouse.move(frame["x"] + frame["width"] * 0.97, y, steps=5)
        page.mouse.up()
        expect(page).to_have_url(re.compile(r"since=2025-0[4-7]-\d\d&until=2025-0[7-9]-\d\d$"))
        expect(page.locator(".total")).to_contain_text("stories")
        assert page.locator(".total strong").inner_text() != "40 stories"


def test_without_scripts_it_reads_and_searches(browser: Browser, site: str) -> None:
    with opened(browser, site, java_script_enabled=False) as page:
        page.goto("/")
        page.get_by_role("searchbox").fill("troops")
        page.get_by_role("checkbox", name="escalation").check()
        page.get_by_role("button", name="Apply").click()
        expect(page.locator(".hit")).not_to_have_count(0)
        until(page, "q=troops")
        until(page, "topic=escalation")
        page.get_by_role("link", name="as a table").click()
        expect(page.locator("tbody tr")).not_to_have_count(0)
        page.go_back()
        page.locator(".hit h2 a").first.click()
        expect(page.get_by_role("heading", level=1)).to_be_visible()


@pytest.mark.parametrize("width", [360, 1280, 2560])
def test_no_page_is_wider_than_its_window(browser: Browser, site: str, width: int) -> None:
    with opened(browser, site, viewport={"width": width, "height": 800}) as page:
        for path in ("/", "/?q=troops&topic=aid", "/days", "/runs", "/feeds", "/api", "/login", "/nothing"):
            page.goto(path)
            assert page.evaluate("document.documentElement.scrollWidth") <= width, path
        page.faults.clear()  # type: ignore[attr-defined]  # the browser notes the 404


def test_evidence_tells_its_rule_and_leads_to_its_place(browser: Browser, site: str) -> None:
    with opened(browser, site) as page:
        page.goto("/?q=340%2C000")
        page.locator(".hit h2 a").first.click()
        proof = page.locator(".text .proof").first
        proof.hover()
        assert re.match(r"\w+, \w+: rule [\w-]+", str(proof.get_attribute("title")))
        page.get_by_role("link", name="to its place").first.click()
        until(page, "#at-")
        page.keyboard.press("Escape")
        until(page, "/?q=340%2C000")


def test_a_copy_stands_beside_its_lead(browser: Browser, site: str) -> None:
    with opened(browser, site) as page:
        page.goto("/?q=340%2C000")
        page.locator(".hit h2 a").first.click()
        page.get_by_role("link", name="beside the first").first.click()
        expect(page.get_by_role("heading", name="Side by side")).to_be_visible()
        expect(page.locator("del, ins").first).to_be_visible()
        page.get_by_role("link").filter(has_text="340,000").first.click()
        expect(page.locator(".timeline li").first).to_contain_text("first")


# what Airflow 3.2 allows the frames of its plugins
SANDBOX = "allow-scripts allow-same-origin allow-forms allow-downloads"


@pytest.fixture(scope="module")
def framed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The window as Airflow shows it: mounted below a path, in a frame of its page."""
    home = tmp_path_factory.mktemp("framed")
    settings = Settings(home=home, landing=str(home / "landing"), workers=1)
    windows.filled(settings)
    (report,) = (home / "landing" / "reports").glob("*.json")
    began = home / "landing" / "runs" / report.name  # what Airflow's first task writes
    began.parent.mkdir(exist_ok=True)
    began.write_text(json.dumps({"name": "sitrep_archive/manual__1"}))
    app = FastAPI()
    app.mount("/sitrep", windows.application(settings, Access(framed=True)))

    @app.get("/plugin/{path:path}")
    def around(path: str, q: str = "") -> HTMLResponse:
        head = "<!doctype html><link rel=icon href=data:,><title>Airflow</title>"
        return HTMLResponse(f'{head}<iframe sandbox="{SANDBOX}" src="/{path}?q={q}"></iframe>')

    @app.get("/dags/{_:path}")
    def airflow(_: str) -> HTMLResponse:
        return HTMLResponse("<!doctype html><link rel=icon href=data:,><title>A run in Airflow</title>")

    with served(app) as address:
        yield address


def test_the_original_opens_beside_airflow_not_in_its_frame(browser: Browser, framed: str) -> None:
    with opened(browser, framed) as page:
        page.context.route(re.compile("^https:"), lambda route: route.fulfill(body="<title>Elsewhere</title>"))
        page.goto("/plugin/sitrep/?q=troops")
        frame = page.frame_locator("iframe")
        frame.locator(".hit h2 a").first.click()
        link = frame.locator("a.outside").first
        target = link.get_attribute("href")
        with page.context.expect_page() as tab:
            link.click()
        expect(tab.value).to_have_title("Elsewhere")
        assert tab.value.url == target
        assert tab.value.evaluate("[window.opener, document.referrer]") == [None, ""]
        expect(link).to_be_visible()  # and the story stays where it was


def test_airflows_own_pages_take_the_place_of_the_whole(browser: Browser, framed: str) -> None:
    with opened(browser, framed) as page:
        page.goto("/plugin/sitrep/runs")
        frame = page.frame_locator("iframe")
        frame.locator("tbody a").first.click()
        frame.get_by_role("link", name="its tasks and their logs in Airflow").click()
        expect(page).to_have_title("A run in Airflow")
        expect(page).to_have_url(f"{framed}/dags/sitrep_archive/runs/manual__1")


def test_alone_the_original_opens_in_a_tab_of_its_own(browser: Browser, site: str) -> None:
    with opened(browser, site) as page:
        page.context.route(re.compile("^https:"), lambda route: route.fulfill(body="<title>Elsewhere</title>"))
        page.goto("/?q=troops")
        page.locator(".hit h2 a").first.click()
        with page.context.expect_page() as tab:
            page.locator("a.outside").first.click()
        expect(tab.value).to_have_title("Elsewhere")
        assert tab.value.evaluate("[window.opener, document.referrer]") == [None, ""]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_serious_stands_in_the_way_of_anybody(browser: Browser, site: str, scheme: str) -> None:
    """axe-core, on every page and in both themes."""
    from axe_playwright_python.sync_playwright import Axe

    with opened(browser, site, color_scheme=scheme) as page:
        page.goto("/?q=340%2C000")
        story = str(page.locator(".hit h2 a").first.get_attribute("href"))
        page.goto(story)
        beside = str(page.get_by_role("link", name="beside the first").first.get_attribute("href"))
        paths = (
            "/",
            "/?q=troops&topic=aid&since=2024-01-01",
            "/?q=nothingatall",
            story,
            beside,
            "/days",
            "/login",
            "/api",
        )
        for path in (*paths, "/runs", "/feeds", "/topics"):
            page.goto(path)
            found = Axe().run(page)
            serious = [
                (path, each["id"], each["nodes"][0]["html"][:200])
                for each in found.response["violations"]
                if each["impact"] in ("serious", "critical")
            ]
            assert serious == []


@pytest.fixture(scope="module")
def uneven(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Three outlets that tell a story a day each; on the 15th two are silent. The 1st has many more stories."""
    home = tmp_path_factory.mktemp("uneven")
    titles = {1: "أغلق الميناء القديم أبوابه", 2: "הנמל הישן סגר את שעריו"}
    lines = [
        {"title": titles.get(day, "Quay") if each == "a" else f"{each} {day}", "day": day, "source": f"{each}.example"}
        for day in range(1, 21)
        for each in "abc"
        if day != 15 or each == "c"
    ] + [{"title": f"Crane {n}", "day": 1, "source": "a.example"} for n in range(12)]
    archive = home / "uneven.jsonl"
    with archive.open("w") as file:
        for n, line in enumerate(lines):
            day = f"2024-03-{line.pop('day'):02d}T10:00:00Z"
            file.write(json.dumps({**line, "id": str(n), "text": f"Text {n} of it.", "published": day}) + "\n")
    settings = Settings(home=home, landing=str(home / "landing"), workers=1)
    with served(windows.application(windows.filled(settings, archive))) as address:
        yield address


@pytest.mark.parametrize(("title", "direction"), [("أغلق", "rtl"), ("הנמל", "rtl"), ("crane", "ltr")])
def test_a_title_stands_in_the_direction_of_its_letters(
    browser: Browser, uneven: str, title: str, direction: str
) -> None:
    with opened(browser, uneven) as page:
        page.goto(f"/?q={title}")
        link = page.locator(".hit h2 a").first
        assert link.evaluate("each => getComputedStyle(each).direction") == direction
        link.click()
        heading = page.get_by_role("heading", level=1)
        assert heading.evaluate("each => getComputedStyle(each).direction") == direction
        assert page.evaluate("getComputedStyle(document.body).direction") == "ltr"


INK = """([canvas, day]) => {
  const {width, height} = canvas, over = canvas.parentElement.querySelector(".u-over");
  const scale = width / canvas.getBoundingClientRect().width, days = 20;
  const frame = over.getBoundingClientRect(), left = frame.left - canvas.getBoundingClientRect().left;
  const wide = frame.width / days, at = Math.round((left + (day - 1 + .2) * wide) * scale);
  const seen = canvas.getContext("2d").getImageData(at, Math.round(height * .15), Math.round(wide * .6 * scale),
                                                    Math.round(height * .2)).data;
  return seen.filter((value, n) => n % 4 === 3 && value > 0).length / (seen.length / 4);
}"""


def test_a_day_on_which_half_of_the_outlets_were_silent_is_hatched(browser: Browser, uneven: str) -> None:
    """By the share of pixels with ink above the bars."""
    with opened(browser, uneven) as page:
        page.goto("/")
        expect(page.get_by_text("1 day on which half of the usual outlets were silent")).to_be_visible()
        canvas = page.locator(".plots canvas").first
        expect(canvas).to_be_visible()
        page.wait_for_function("() => document.querySelector('.plots .u-over').getBoundingClientRect().width > 0")
        ink = {day: canvas.evaluate(f"(canvas, day) => ({INK})([canvas, day])", day) for day in (13, 14, 15, 16, 17)}
        quiet = ink.pop(15)
        assert quiet > 0.1, (quiet, ink)
        assert quiet > 2 * max(ink.values()), (quiet, ink)
