"""Checks of a page in any state: the page fits the screen, and axe finds nothing serious."""

from typing import Any, Literal

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

WIDTHS = (390, 820, 1440)  # px: a telephone, a tablet and a laptop
HEIGHT = 900
SERIOUS = {"serious", "critical"}
THEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")


def serious(page: Page) -> list[tuple[str, list[Any]]]:
    """Return the serious findings of axe: each rule with the elements that break it."""
    found = []
    for each in Axe().run(page).response["violations"]:
        if each["impact"] in SERIOUS:
            found.append((each["id"], [node["target"] for node in each["nodes"]]))
    return found


def check_themes(page: Page) -> None:
    """Check the page with axe in light and dark colours. The page stays dark."""
    for theme in THEMES:
        page.emulate_media(color_scheme=theme)
        assert serious(page) == [], theme


def check_width(page: Page) -> None:
    """Check that the page is not wider than its screen."""
    assert page.viewport_size is not None
    assert page.evaluate("document.documentElement.scrollWidth") <= page.viewport_size["width"]


def check_sizes(page: Page) -> None:
    """Check width and themes in each size. The page stays in the last one."""
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": HEIGHT})
        check_width(page)
        check_themes(page)
