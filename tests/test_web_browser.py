"""The pages in a real Chromium. A violation of the content security policy fails a test by itself (browser.py)."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, expect

from tests.browser import opened


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_theme_is_the_systems_until_somebody_chooses(browser: Browser, site: str, scheme: str) -> None:
    with opened(browser, site, color_scheme=scheme) as page:
        page.goto("/")
        ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (ground == "rgb(20, 24, 27)") == (scheme == "dark")
        page.get_by_role("button", name="Dark" if scheme == "light" else "Light").click()
        page.goto("/runs")
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") != ground


def test_the_keyboard_reaches_the_content_first(browser: Browser, site: str) -> None:
    with opened(browser, site) as page:
        page.goto("/runs")
        page.keyboard.press("Tab")
        expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
