"""Write the pictures of README and docs: docs/images/PAGE-LANGUAGE.png, and all widths to .run/screenshots to look at."""

import tempfile
from pathlib import Path

from chromium import chromium_program
from page.school import imported_school, served
from page.tutorial import ROOT, follow, running_demo
from page.visitor import Visitor
from playwright.sync_api import Browser, sync_playwright

IMAGES, ALL = ROOT / "docs" / "images", ROOT / ".run" / "screenshots"
SIZES = ((1280, 800), (1920, 1080), (390, 844))
IN_DOCS = {("today", (1280, 800)), ("overview", (1280, 800)), ("map", (1280, 800))}
TERM = "2026-spring"
COURSES = {"en": "ALG", "zh": "MATH8"}
POINTS, STUDENTS = {"en": "linearequations", "zh": "二次根式"}, {"en": "S017", "zh": "S001"}
ITEMS = {"en": "alg-unit1-q1", "zh": "math8-quiz1-q1"}


def main() -> None:
    program = chromium_program()
    IMAGES.mkdir(parents=True, exist_ok=True)
    ALL.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as folder,
        imported_school(Path(folder)) as environment,
        served(environment) as url,
        sync_playwright() as driver,
        driver.chromium.launch(executable_path=program, args=["--no-sandbox"]) as browser,
        Visitor(browser, url) as visitor,
    ):
        for language, course in COURSES.items():
            pages: dict[str, dict[str, str]] = {
                "today": {"term": TERM},
                "point": {"point": POINTS[language], "term": TERM},
                "school": {"order": "need", "term": TERM},
                "overview": {},
                "students": {},
                "items": {"item": ITEMS[language]},
                "student": {"student": STUDENTS[language]},
                "map": {"point": POINTS[language]},
                "records": {"point": POINTS[language]},
                "review": {"shown": "all"},
                "people": {},
            }
            for width, height in SIZES:
                visitor.page.set_viewport_size({"width": width, "height": height})
                for page, more in pages.items():
                    shown = visitor.open(page, course=course, lang=language, **more)
                    shown.screenshot(path=ALL / f"{page}-{language}-{width}.png", full_page=True)
                    if (page, (width, height)) in IN_DOCS:
                        shown.screenshot(path=IMAGES / f"{page}-{language}.png")
                        print(IMAGES / f"{page}-{language}.png")
        of_tutorial(browser, Path(folder))


def of_tutorial(browser: Browser, folder: Path) -> None:
    """The pictures of the tutorial, and its imports in all sizes."""
    with running_demo(folder / "demo.log") as url, Visitor(browser, url) as visitor:
        for language in COURSES:
            visitor.page.set_viewport_size({"width": SIZES[0][0], "height": SIZES[0][1]})
            shown = visitor.open("overview", lang=language)
            follow(shown, language, lambda path: take(visitor, path))


def take(visitor: Visitor, path: str) -> None:
    """Write one picture for the docs, from the place where something was done last, and one of each size to look at."""
    shown = visitor.page
    last = shown.locator("#rows, #mapping-form, h1").first
    last.evaluate("e => scrollTo(0, e.id ? e.getBoundingClientRect().top + scrollY - 120 : 0)")
    shown.screenshot(path=IMAGES.parent / path)
    print(IMAGES.parent / path)
    for width, height in SIZES:
        shown.set_viewport_size({"width": width, "height": height})
        shown.screenshot(
            path=ALL / Path(path).with_stem(f"{Path(path).stem}-{width}").name, full_page=True
        )
    shown.set_viewport_size({"width": SIZES[0][0], "height": SIZES[0][1]})


if __name__ == "__main__":
    main()
