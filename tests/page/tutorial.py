"""docs/tutorial.md, followed to its last line: what its numbered steps say is done in the browser, in their order."""

import os
import re
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import waiting
from playwright.sync_api import Page, expect

ROOT = Path(__file__).resolve().parents[2]
TUTORIALS = {"en": ROOT / "docs" / "tutorial.md", "zh": ROOT / "docs" / "tutorial.zh-CN.md"}
_STEPS = re.compile(r"^\d\. .*?(?=^\S|\Z)", re.MULTILINE | re.DOTALL)
_DONE = re.compile(
    r"\*\*(?P<press>[^*]+)\*\*|`(?P<file>examples/[^`]+)`|!\[[^]]*\]\((?P<image>[^)]+)\)"
    r"|(?:Enter|填入) `(?P<day>[^`]+)`"
    r"|(?:Replace|把) `(?P<old>[^`]+)` (?:with|换成)\s+`(?P<new>[^`]+)`|\*(?P<see>[^*]+)\*"
)
_COURSE = re.compile(r"\((\w+)\)$")
_ADDRESS = re.compile(r"^page: (\S+?)/ui/", re.MULTILINE)


@contextmanager
def running_demo(log: Path, settings: Mapping[str, str] | None = None) -> Iterator[str]:
    """Run the last command of the tutorial's first block, as its reader does, and yield the address that it prints."""
    text = TUTORIALS["en"].read_text("utf-8")
    command = text.split("```")[1].strip().splitlines()[-1].split()
    with log.open("wb") as written:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            stdout=written,
            stderr=subprocess.STDOUT,
            env={**os.environ, "COLUMNS": "200", **(settings or {})},
            start_new_session=True,
        )
    try:
        yield _address(process, log)
    finally:
        process.send_signal(signal.SIGINT)
        code = process.wait(60)
    if code:
        raise RuntimeError(
            f"the demo ended with {code}: {log.read_text(errors='replace')[-2_000:]}"
        )


def _address(process: "subprocess.Popen[bytes]", log: Path) -> str:
    waiting.until(
        lambda: process.poll() is not None or _ADDRESS.search(log.read_text(errors="replace")), 120
    )
    found = _ADDRESS.search(log.read_text(errors="replace"))
    if found is None:
        raise RuntimeError(f"the demo did not start: {log.read_text(errors='replace')[-2_000:]}")
    return found[1]


def follow(page: Page, language: str, picture: Callable[[str], None]) -> int:
    """Do what the steps say, and return how much that was. `picture` is called where the tutorial shows an image."""
    done = 0
    for step in _STEPS.findall(TUTORIALS[language].read_text("utf-8")):
        for each in _DONE.finditer(step):
            said = {
                name: re.sub(r"\s+", " ", text) for name, text in each.groupdict().items() if text
            }
            match said:
                case {"press": words}:
                    _press(page, words)
                case {"file": path}:
                    page.set_input_files("#file", ROOT / path)
                    expect(page.locator(".start")).to_be_visible()
                case {"day": day}:
                    page.locator("#constant-timestamp").fill(day)
                case {"old": old, "new": new}:
                    box = page.locator("#rows")
                    before = box.input_value()
                    assert old in before, (step, before)
                    box.fill(before.replace(old, new))
                case {"see": words}:
                    expect(page.locator("main")).to_contain_text(words)
                case {"image": path}:
                    picture(path)
            done += 1
    return done


def _press(page: Page, words: str) -> None:
    """Click the link or button of this name, or choose the course, which ends with its id."""
    if course := _COURSE.search(words):
        page.locator("header select[name=course]").select_option(label=words)
        page.locator(
            f"nav a[href*='course={course[1]}']"
        ).first.wait_for()  # the next click is about this course
    else:
        page.get_by_role("link", name=words, exact=True).or_(
            page.get_by_role("button", name=words, exact=True)
        ).click()
