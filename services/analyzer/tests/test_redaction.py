"""redaction_cases.ndjson: one hundred hard cases written for this project (every name and number is made up): who the
record names, its text, the words of it that must not leave, and words that must stay. redaction_kept.ndjson: what looks
like private words and is not.
"""

import json
from pathlib import Path

import pytest

from edugraph_analyzer.documents import Person
from edugraph_analyzer.redaction import Redactor, holds_placeholder


def cases(name: str) -> list[dict]:
    lines = Path(__file__).with_name(name).read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def people_of(case: dict) -> tuple[Person, ...]:
    return tuple(Person(role, value, what == "name") for role, value, what in case["people"])


def student(name: str) -> Person:
    return Person("STUDENT", name, is_name=True)


HARD = cases("redaction_cases.ndjson")


def test_there_are_a_hundred_hard_cases() -> None:
    assert len({json.dumps(case) for case in HARD}) == 100


@pytest.mark.parametrize("case", HARD, ids=[str(number) for number in range(1, len(HARD) + 1)])
def test_private_words_do_not_leave_and_come_back(case: dict) -> None:
    redactor = Redactor(people_of(case))
    redacted = redactor.redact(case["text"])
    assert not [words for words in case["private"] if words in redacted], redacted
    assert not [words for words in case["kept"] if words not in redacted], redacted
    assert redactor.restore(redacted) == case["text"]


@pytest.mark.parametrize("case", cases("redaction_kept.ndjson"))
def test_what_is_not_private_stays(case: dict) -> None:
    assert Redactor(people_of(case)).redact(case["text"]) == case["text"]


def test_the_same_text_of_two_students_is_one_text() -> None:
    texts = [Redactor((student(name),)).redact(f"{name} 不会通分") for name in ("王小明", "赵一诺")]
    assert texts[0] == texts[1] == "[STUDENT_1] 不会通分"


def test_a_placeholder_that_the_text_writes_itself_is_not_taken_for_ours() -> None:
    redactor = Redactor((student("Alice"),))
    redacted = redactor.redact("[STUDENT_1] said hi to Alice")
    assert redacted == "[STUDENT_1] said hi to [STUDENT_2]"
    assert redactor.restore(redacted) == "[STUDENT_1] said hi to Alice"


@pytest.mark.parametrize("written", ["[student_1]", "【STUDENT_1】", "STUDENT_1", "(Student 1)"])
def test_placeholders_are_known_however_a_model_writes_them(written: str) -> None:
    redactor = Redactor((student("Alice"),))
    redactor.redact("Alice")
    assert redactor.restore(f"{written} is stuck") == "Alice is stuck"
    assert holds_placeholder(written)


def test_the_same_words_get_the_same_placeholder_in_all_sections() -> None:
    redactor = Redactor((student("Alice"),))
    assert redactor.redact("Alice?") + redactor.redact("Yes, Alice") == "[STUDENT_1]?Yes, [STUDENT_1]"
