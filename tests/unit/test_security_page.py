"""SECURITY.md says how to report a weakness, which versions get fixes, and what the threats are."""

import re
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
WORDS_ON_A_PAGE = 700  # with tables and a drawing


def chapter(title: str) -> str:
    """Return the text from a heading to the next one of its level or of a higher one."""
    found = re.search(rf"^(#+) {title}\n(.*?)(?=^#{{1,2}} |\Z)", PAGE, re.DOTALL | re.MULTILINE)
    assert found, f"SECURITY.md has no chapter {title!r}"
    return found[2]


def rows_of(text: str) -> list[list[str]]:
    """Return the cells of the rows of the first table, without its header."""
    table = re.search(r"(?:^\|.*\n)+", text, re.MULTILINE)
    assert table
    lines = table[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_somebody_who_found_a_weakness_knows_where_to_go() -> None:
    """Out: the private way, or the time until an answer."""
    text = chapter("How to report a weakness")
    assert "*Report a vulnerability*" in text
    assert "Please do not open an\nissue" in text
    assert re.search(r"within \w+ working days", text)


def test_the_table_says_which_versions_get_fixes() -> None:
    """Out: a row of the table."""
    fixes = [row[1] for row in rows_of(chapter("Supported versions"))]
    assert [each.split(":")[0] for each in fixes] == ["yes", "no"]


def test_the_threat_model_has_its_parts_on_two_pages() -> None:
    """Out: a row of an asset or an attacker, or what is left."""
    text = chapter("Threat model")
    assert len(rows_of(text.partition("### What is worth protecting")[2])) >= 6
    attackers = rows_of(text.partition("### Who may attack")[2])
    assert len(attackers) >= 7
    assert all(len(row) == 3 and all(row) for row in attackers)
    assert len(re.findall(r"^- ", text.partition("### What is left")[2], re.MULTILINE)) >= 8
    assert len(text.split()) <= 2 * WORDS_ON_A_PAGE


def test_each_trust_boundary_is_drawn_and_described() -> None:
    """Out: a line of the drawing, or a boundary in the list."""
    text = chapter("Threat model").partition("### Trust boundaries")[2]
    drawing = re.search(r"^```\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    assert drawing
    drawn = re.findall(r"\((\d)\)─*>", drawing[1])
    described = re.findall(r"^(\d)\. \*\*", text, re.MULTILINE)
    assert described == ["1", "2", "3", "4", "5"]
    assert Counter(drawn) == Counter({"1": 2, "2": 1, "3": 3, "4": 1, "5": 1})
