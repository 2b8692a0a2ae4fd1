"""The example school that the page imports is made of the examples, and names nobody of a school."""

import json

import example_school
import pytest

from edugraph_common.contracts.records import ROSTER_TYPES, Record, course_ids_of, parse_row

LANGUAGES = tuple(example_school.EXAMPLE)


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_files_are_those_of_the_examples(language: str) -> None:
    """Run `make example-school` after a change of `examples/`. Out: `PREFIX` at any id."""
    written = (example_school.OUT / f"{language}.ndjson").read_text("utf-8").splitlines()
    assert written == list(example_school.lines(language))


@pytest.mark.parametrize("language", LANGUAGES)
def test_each_record_is_valid_and_of_the_example_alone(language: str) -> None:
    """Out: the ids or the title in `data_of_example`."""
    title = example_school.EXAMPLE[language].title
    for line in example_school.lines(language):
        record = parse_row(json.loads(line))
        assert isinstance(record, Record)
        assert record.type not in ROSTER_TYPES
        assert course_ids_of(record) == ("EXAMPLE",)
        data = record.data.model_dump(exclude_unset=True)
        assert data.get("course_name", title) == title
        ids = [record.record_id, *(data[name] for name in example_school.IDS if name in data)]
        assert all(each.startswith("example-") for each in ids)


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_answers_a_post_names_one_that_is_there(language: str) -> None:
    """Out: `middle`."""
    found = [json.loads(line) for line in example_school.lines(language)]
    posts = {each["record_id"] for each in found if each["type"] == "post_record"}
    answered = {each["data"].get("reply_to") for each in found} - {None}
    assert answered
    assert answered <= posts
