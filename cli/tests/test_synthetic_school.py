"""The made-up school: the same for a seed, of records that the contract takes, with what it promises in it."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import datetime
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from edugraph_cli.main import app
from edugraph_cli.synthetic_school import VERBS, WRONG_TAGS, School
from edugraph_common.contracts.records import RECORD_TYPES, parse_record
from edugraph_common.sources.platforms import UNKNOWN_PLATFORMS
from edugraph_common.sources.rows import NotRelevant
from edugraph_common.sources.xapi import read_statement


@pytest.fixture(scope="module")
def school() -> School:
    return School(80, 5, 16_000)


@pytest.fixture(scope="module")
def values(school) -> list[dict]:
    return list(school.records())


def is_judged(value: dict) -> bool:
    """Return whether a record is an attempt that was right or wrong. Nobody has judged homework."""
    return value["type"] == "attempt_record" and "correct" in value["data"]


class WithoutHomework(School):
    """A school that has neither homework nor hints."""

    def homework(self, *_: object) -> Iterator[dict]:
        return iter(())

    def handed_in(self, *_: object) -> Iterator[dict]:
        return iter(())

    def hints(self, *_: object) -> int:
        return 0


def test_homework_and_hints_change_no_other_record_and_no_truth() -> None:
    """Out: `self.random` in place of `self.aside`. The records without both are those of a school that has neither."""
    with_both, without = School(40, 3, 4_000), WithoutHomework(40, 3, 4_000)
    left = []
    for value in with_both.records():
        value["data"].pop("hints", None)
        if "-homework-" not in value["record_id"]:
            left.append(value)
    others = []
    for value in without.records():
        value["data"].pop("hints", None)
        others.append(value)
    assert left == others
    assert list(with_both.truth()) == list(without.truth())


@settings(max_examples=8, deadline=None)
@given(st.integers(2, 40), st.integers(0, 99), st.integers(1, 4_000))
def test_the_same_arguments_give_the_same_school_and_the_contract_takes_it(
    students, seed, records
) -> None:
    first, second = School(students, seed, records), School(students, seed, records)
    values = list(first.records())
    assert values == list(second.records())
    assert list(first.truth()) == list(second.truth())
    for value in values:
        parse_record(value)


def test_another_seed_gives_another_school(values) -> None:
    assert list(School(80, 6, 16_000).records()) != values


def test_it_has_about_as_many_records_as_asked_for_of_every_type_that_it_makes(values) -> None:
    assert 0.9 < len(values) / 16_000 < 1.1
    assert {value["type"] for value in values} <= set(RECORD_TYPES)
    assert len({value["type"] for value in values}) >= 10


def test_records_come_again_with_another_content_and_a_later_time(values) -> None:
    versions = defaultdict(list)
    for value in values:
        versions[value["record_id"]].append(value)
    corrected = [each for each in versions.values() if len(each) > 1]
    assert len(corrected) > 50
    for each in corrected:
        assert all(before["timestamp"] < after["timestamp"] for before, after in pairwise(each))
        assert all(before["data"] != after["data"] for before, after in pairwise(each))


def test_students_join_and_leave_in_many_weeks(values) -> None:
    starts, ends = set(), set()
    for value in values:
        if value["type"] == "membership_record" and "student_id" in value["data"]:
            week = datetime.fromisoformat(value["timestamp"]).isocalendar().week
            (ends if value["timestamp"] == value["data"]["ends"] else starts).add(week)
    assert len(starts) > 5
    assert len(ends) > 5


def test_a_tenth_of_the_items_is_said_to_test_another_point(school) -> None:
    items = [
        item for course in school.courses for at_point in course.items.values() for item in at_point
    ]
    wrong = sum(item.stated != item.point for item in items) / len(items)
    assert abs(wrong - WRONG_TAGS) < 0.03


def test_a_student_tries_again_only_what_was_wrong(values) -> None:
    last: dict[tuple[str, str], dict] = {}
    again, read = 0, set()
    for value in values:
        if is_judged(value) and value["record_id"] not in read:
            read.add(value["record_id"])
            data = value["data"]
            key = data["student_id"], data["item_id"]
            if data["attempt_number"] > 1:
                again += 1
                assert not last[key]["correct"]
            last[key] = data
    assert again > 500


def test_the_truth_is_a_chance_and_who_knows_more_answers_more(school, values) -> None:
    truth = {
        (each["student_id"], each["knowledge_point"]): each["mastery"] for each in school.truth()
    }
    assert all(0 < mastery < 1 for mastery in truth.values())
    by_student = defaultdict(list)
    for (student, _), mastery in truth.items():
        by_student[student].append(mastery)
    best = sorted(
        by_student, key=lambda student: sum(by_student[student]) / len(by_student[student])
    )
    right: Counter[str] = Counter()
    tried: Counter[str] = Counter()
    for value in values:
        if is_judged(value) and value["data"]["attempt_number"] == 1:
            right[value["data"]["student_id"]] += value["data"]["correct"]
            tried[value["data"]["student_id"]] += 1
    low, high = ([each for each in part if tried[each]] for part in (best[:20], best[-20:]))
    shares = [
        sum(right[each] for each in part) / sum(tried[each] for each in part)
        for part in (low, high)
    ]
    assert shares[0] + 0.1 < shares[1]


def test_each_statement_is_read_or_counted_under_its_name() -> None:
    read: Counter[str] = Counter()
    statements = list(School(30, 1).statements(1_200))
    for statement in statements:
        made = read_statement(statement, UNKNOWN_PLATFORMS)
        read[made.name if isinstance(made, NotRelevant) else made.type] += 1
    assert len({statement["id"] for statement in statements}) == 1_200
    assert Counter(each["verb"]["id"].rsplit("/", 1)[1] for each in statements) == dict.fromkeys(
        VERBS, 100
    )
    assert read == {
        "attempt_record": 500,
        "course_record": 200,
        "activity_record": 300,
        "student_interaction": 100,
        "logged-in": 100,
    }


def test_the_command_writes_records_truth_and_statements(tmp_path) -> None:
    names = {name: tmp_path / f"{name}.ndjson" for name in ("output", "truth", "xapi")}
    options = [text for name, path in names.items() for text in (f"--{name}", str(path))]
    done = CliRunner().invoke(
        app, ["synthesize", "--students", "10", "--records", "2500", *options]
    )
    assert done.exit_code == 0, done.output
    lines = {
        name: [json.loads(line) for line in path.open(encoding="utf-8")]
        for name, path in names.items()
    }
    assert lines["output"] == list(School(10, 1, 2_500).records())
    assert len(lines["xapi"]) == 10_000
    assert lines["truth"]


def test_a_folder_that_is_not_there_gets_one_sentence(tmp_path) -> None:
    done = CliRunner().invoke(
        app, ["synthesize", "--students", "2", "--output", str(tmp_path / "no" / "file")]
    )
    assert done.exit_code == 2
    assert "cannot be written" in done.output
