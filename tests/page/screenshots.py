"""Write the pictures of README and docs: docs/images/PAGE-LANGUAGE.png, and all widths to .run/screenshots to look at."""

import shutil
import tempfile
from pathlib import Path

from page.school import imported_school, served
from page.visitor import Visitor
from playwright.sync_api import sync_playwright

ROOT = Path(__file__).resolve().parents[2]
IMAGES, ALL = ROOT / "docs" / "images", ROOT / ".run" / "screenshots"
SIZES = ((1280, 800), (1920, 1080), (390, 844))
IN_DOCS = {("overview", (1280, 800)), ("map", (1280, 800))}
COURSES = {"en": "ALG", "zh": "MATH8"}
POINTS, STUDENTS = {"en": "linearequations", "zh": "二次根式"}, {"en": "S017", "zh": "S001"}


def main() -> None:
    program = shutil.which("chromium") or shutil.which("google-chrome")
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
                "overview": {},
                "students": {},
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


if __name__ == "__main__":
    main()
