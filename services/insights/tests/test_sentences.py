"""What answers say in Chinese: nothing of a question is left in English."""

import ast
import json
import re
from pathlib import Path

import edugraph_insights.questions
from edugraph_insights.asking import HIDDEN_COURSES, OTHER_OUTSIDERS, OUTSIDERS, PROTECTION
from edugraph_insights.cells import HIDDEN_ROWS, HIDDEN_TOTALS
from edugraph_insights.questions import QUESTIONS
from edugraph_insights.questions.review_points import NO_ENCODER
from edugraph_insights.sentences import heading, said
from edugraph_insights.usefulness import REASONS

CHINESE = re.compile(r"[\u4e00-\u9fff]")
# Names of counts that are put together or stand under a name in the code.
PUT_TOGETHER = {
    NO_ENCODER,
    OUTSIDERS,
    OTHER_OUTSIDERS,
    "students, since under 60% of them have a tie in this data",
    "items without a correlation, under 30 first attempts",
    "points that are needed from further away than the first 500: at least",
    *HIDDEN_ROWS.values(),
    *HIDDEN_TOTALS.values(),
    HIDDEN_COURSES,
    *REASONS,
}


def counts() -> set[str]:
    """What the questions count: the keys of each dict that says of how many, or what was left out."""
    found = set(PUT_TOGETHER)
    for module in Path(edugraph_insights.questions.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(module.read_text("utf-8"))):
            if isinstance(node, ast.keyword) and node.arg in {"of_how_many", "left_out"}:
                keys = [
                    key
                    for each in ast.walk(node.value)
                    if isinstance(each, ast.Dict)
                    for key in each.keys
                ]
                found |= {str(key.value) for key in keys if isinstance(key, ast.Constant)}
    return found


def test_each_question_has_its_title_and_how_it_is_computed_in_chinese() -> None:
    """To take the guard out: leave one of them out of `words/answers.json`."""
    for question in QUESTIONS.values():
        assert CHINESE.search(said("title", question.name, question.title, "zh")), question.name
        assert CHINESE.search(said("computed", question.name, question.computed_by, "zh")), (
            question.name
        )
        assert said("title", question.name, question.title, "en") == question.title


def test_the_protection_of_cells_is_told_in_chinese() -> None:
    assert CHINESE.search(said("protection", "cells", PROTECTION, "zh"))
    assert said("protection", "cells", PROTECTION, "en") == PROTECTION


def test_the_error_of_numbers_of_records_is_told_in_each_place() -> None:
    """The error is that of students times the records of one student. Out: say ± 1.5 students of each count."""
    words = Path(edugraph_insights.questions.__file__).parents[1] / "web" / "words"
    in_english = "a number of records is ± 1.5 times the records of the student with most"
    in_chinese = "记录数的误差约为 ± 1.5 乘以记录最多的学生的记录数"
    assert in_english in PROTECTION
    assert in_english in json.loads((words / "en.json").read_text("utf-8"))["how.hidden"]
    assert in_chinese in json.loads((words / "zh.json").read_text("utf-8"))["how.hidden"]
    assert in_chinese in said("protection", "cells", PROTECTION, "zh")


def test_the_page_counts_all_hidden_rows() -> None:
    """Out: one of the names in parts.js."""
    parts = Path(edugraph_insights.questions.__file__).parents[1] / "web" / "parts.js"
    text = parts.read_text("utf-8")
    for name in HIDDEN_ROWS.values():
        assert f"'{name}'" in text


def test_the_page_says_why_findings_are_hidden() -> None:
    """Out: one of the names in parts.js."""
    parts = Path(edugraph_insights.questions.__file__).parents[1] / "web" / "parts.js"
    text = parts.read_text("utf-8")
    for name in REASONS:
        assert f"'{name}'" in text


def test_each_column_has_a_chinese_heading_that_no_other_of_its_table_has() -> None:
    for question in QUESTIONS.values():
        columns = list(question.row.model_fields)
        headings = [heading(question.name, column, "zh") for column in columns]
        missing = []
        for column, each in zip(columns, headings, strict=True):
            if not CHINESE.search(each):
                missing.append(f"column.{column}")
        assert missing == [], f"{question.name}: add these to web/words/answers.json or zh.json"
        assert len(set(headings)) == len(headings), (question.name, headings)
        assert [heading(question.name, column, "en") for column in columns] == columns


def test_what_is_counted_has_chinese_names_of_which_no_two_are_the_same() -> None:
    """Else one number of an answer would take the place of another."""
    names = counts()
    assert len(names) > 40
    chinese = {name: said("count", name, name, "zh") for name in names}
    assert {name for name, words in chinese.items() if not CHINESE.search(words)} == set()
    assert len(set(chinese.values())) == len(names)
