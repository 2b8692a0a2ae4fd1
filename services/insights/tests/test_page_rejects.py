"""Each sentence with which a record can be set aside has a Chinese one on the page."""

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import edugraph_common
from edugraph_common.contracts.records import DATA_OF_TYPE, InvalidRecord, parse_row
from edugraph_insights.page import WEB

COMMON = Path(edugraph_common.__file__).parent
# Modules whose ValueErrors become the reason or the form of a reject.
SAY_WHY = (
    "contracts/record_fields.py",
    "contracts/records.py",
    "contracts/school_records.py",
    "sources/cells.py",
)
PAIRS: list[list[str]] = json.loads((WEB / "words" / "rejects.json").read_text("utf-8"))
WRONG: tuple[Any, ...] = (
    None, "", " ", "x" * 200_000, "x" * 9_000, "\0", "\ud800", "\x07", -1, 10**12, 1.5, 1e300, True, [], ["x"] * 200, [""], [[]], {},
    "2026-02-30", "0000-01-01T00:00:00Z", "9999-12-31T23:59:59-12:00", "2026-10-08/2026-10-01", ["2026-10-08/2026-10-01"], ["soon"],
)  # fmt: skip


def pattern(english: str) -> re.Pattern[str]:
    """As `patternOf` of the page has it: `{w…}` is one word, any other `{name}` is any text."""
    parts = re.split(r"\{(\w+)\}", english)
    source = [
        (r"\S+" if part.startswith("w") else ".*") if place % 2 else re.escape(part)
        for place, part in enumerate(parts)
    ]
    return re.compile("".join(source), re.IGNORECASE | re.DOTALL)


PATTERNS = [pattern(english) for english, _ in PAIRS]
NAMES = re.compile(r"[\w.-]*(, [\w.-]+)*")  # of fields, which are in no language


def untold(sentences: set[str]) -> set[str]:
    return {
        each
        for each in sentences
        if not NAMES.fullmatch(each) and not any(p.fullmatch(each) for p in PATTERNS)
    }


def test_a_chinese_sentence_has_no_value_that_the_english_one_has_not() -> None:
    for english, chinese in PAIRS:
        assert set(re.findall(r"\{\w+\}", chinese)) <= set(re.findall(r"\{\w+\}", english)), english
        assert re.search(r"[\u4e00-\u9fff]", re.sub(r"\{\w+\}", "", chinese)) or " or " in english


def wrong_rows() -> Iterator[Any]:
    """Rows of each type in which one field after another has each wrong value; in some, all others are missing."""
    yield from (None, [], "x", {"type": "none"}, {"type": "course_record"}, {"more": 1})
    for kind, data in DATA_OF_TYPE.items():
        row = {"type": kind, "timestamp": "2026-03-02T08:00:00Z", "data": {}}
        yield row
        for wrong in WRONG:
            yield from (
                {**row, name: wrong}
                for name in ("timestamp", "record_id", "withdrawn", "reading", "consent", "data")
            )
            yield from (
                {**row, "data": {**filled(data), name: wrong}}
                for name in (*data.model_fields, "unknown")
            )


def filled(data: Any) -> dict[str, Any]:
    """What a record needs, so that nothing but the wrong value is wrong."""
    return {name: "chat" if name == "interaction_type" else "2026-03-02" if name == "date" else "x" for name, field in data.model_fields.items() if field.is_required()}  # fmt: skip


def test_what_the_contract_of_records_says_is_told_in_chinese() -> None:
    """Out: any line of rejects.json."""
    said = set()
    for row in wrong_rows():
        try:
            parse_row(row)
        except InvalidRecord as problem:
            said |= {problem.reason, problem.expected}
    assert len(said) > 30
    assert untold(said) == set()


def test_what_the_readers_of_files_say_is_told_in_chinese() -> None:
    """The sentences stand in the source: of an InvalidRecord the form and the reason, of a ValueError its text."""
    said: set[str] = set()
    for path in [*(COMMON / "sources").rglob("*.py"), *(COMMON / each for each in SAY_WHY)]:
        says_why = path.relative_to(COMMON).as_posix() in SAY_WHY
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            called = (
                node.func.id
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
                else None
            )
            if called in {"InvalidRecord", "UnusableId"} or (called == "ValueError" and says_why):
                arguments = node.args[1:] if called == "InvalidRecord" else node.args  # type: ignore[attr-defined]
                said |= {text for each in arguments if (text := sentence(each))}
    assert len(said) > 30
    assert untold(said) == set()


def sentence(node: ast.expr) -> str | None:
    """A text as it may be: each value of an f-string is a word. None for what is computed elsewhere."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        words = []
        for part in node.values:
            words.append(str(part.value) if isinstance(part, ast.Constant) else "x")
        return "".join(words)
    return None


@pytest.mark.parametrize("english", ["no sentence of any reader", "is missing or not"])
def test_another_sentence_is_told_by_none(english: str) -> None:
    assert untold({english}) == {english}
