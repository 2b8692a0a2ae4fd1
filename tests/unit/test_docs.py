"""The pages name files that are there: whoever moves a file learns which page sends its readers to it."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDERS_OF_PAGES = ("docs", "research")
PAGES = [page for page in ROOT.glob("*.md") if page.name != "CHANGELOG.md"]
PAGES += [page for folder in FOLDERS_OF_PAGES for page in ROOT.glob(f"{folder}/**/*.md")]
FOLDERS = (
    "benchmarks",
    "cli",
    "deploy",
    "dev",
    "libs",
    "research",
    "scripts",
    "services",
    "tests",
    "tools",
)


@pytest.fixture(scope="module")
def code() -> list[str]:
    """Each with a slash before it, so that a page may leave out the first folders."""
    suffixes = (".cypher", ".lua", ".py")
    files = (
        path for folder in FOLDERS for path in (ROOT / folder).rglob("*") if path.suffix in suffixes
    )
    return [f"/{path.relative_to(ROOT).as_posix()}" for path in files]


def test_every_file_of_code_that_a_page_names_is_there(code: list[str]) -> None:
    named = {
        (page.name, path)
        for page in PAGES
        for path in re.findall(r"`([\w./-]+\.(?:py|lua|cypher))`", page.read_text(encoding="utf-8"))
    }
    assert len(named) > 100
    assert [
        each for each in sorted(named) if not any(path.endswith(f"/{each[1]}") for path in code)
    ] == []


def test_every_link_between_pages_leads_somewhere() -> None:
    links = [
        (page, link)
        for page in PAGES
        for link in re.findall(r"\]\(([^)#\s]+)", page.read_text(encoding="utf-8"))
        if "://" not in link
    ]
    assert len(links) > 20
    assert [(page.name, link) for page, link in links if not (page.parent / link).exists()] == []


def test_the_index_of_decisions_names_each_page_and_its_status() -> None:
    folder = ROOT / "docs" / "adr"
    index = (folder / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| \[(\d+)\]\((.+?)\) \| .+ \| (.+) \|$", index, re.MULTILINE)
    statuses = {}
    for page in folder.glob("0*.md"):
        status_line = page.read_text(encoding="utf-8").splitlines()[2]
        successor = re.search(r"(?:Superseded|Replaced) by \[ADR (\d+)\]", status_line)
        statuses[page.name] = f"replaced by {successor[1]}" if successor else "accepted"
    assert {(name, status) for _, name, status in rows} == set(statuses.items())
    numbers = [int(number) for number, _, _ in rows]
    assert numbers == sorted(set(numbers))
