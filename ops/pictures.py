"""`make pictures`: the pages of the window over the bundled archive, as docs/pictures/*.png, taken by Chromium."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(CHECKOUT))

from playwright.sync_api import Page  # noqa: E402

from ingest.settings import Settings  # noqa: E402
from tests import browser, windows  # noqa: E402

FOLDER = CHECKOUT / "docs" / "pictures"
WINDOW = {"width": 1280, "height": 860}
# name → address, theme
PICTURES = {
    "search": ("/?q=troops", "light"),
    "search-dark": ("/?topic=aid&topic=deployments", "dark"),
    "feeds": ("/feeds", "light"),
    "runs": ("/runs", "light"),
    "topics": ("/topics", "light"),
}


def main() -> int:
    FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="sitrep-pictures-") as home:
        settings = windows.filled(Settings(home=Path(home), landing=f"{home}/landing", workers=1))
        with browser.served(windows.application(settings)) as address, browser.launched() as chromium:
            for name, (path, theme) in PICTURES.items():
                with browser.opened(chromium, address, viewport=WINDOW, color_scheme=theme) as page:
                    page.goto(path)
                    _take(page, name)
            with browser.opened(chromium, address, viewport=WINDOW) as page:
                page.goto("/?q=340%2C000")
                page.locator(".hit h2 a").first.click()
                _take(page, "story")
                page.get_by_role("link", name="beside the first").nth(1).click()
                _take(page, "beside")
    return 0


def _take(page: Page, name: str) -> None:
    page.wait_for_load_state("load")
    page.wait_for_timeout(300)  # the chart is drawn
    page.screenshot(path=FOLDER / f"{name}.png")
    print(f"docs/pictures/{name}.png")


if __name__ == "__main__":
    sys.exit(main())
