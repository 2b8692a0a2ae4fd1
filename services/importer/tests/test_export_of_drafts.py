"""The export of a student has the part of a draft that is about the student, and nothing about others."""

from typing import Any

import pytest

from edugraph_common.contracts.drafts import Draft
from edugraph_importer.person_export import own_part


def entry() -> dict[str, Any]:
    draft = Draft.model_validate(
        {
            "job_id": "j",
            "state": "draft",
            "kind": "summary",
            "course_id": "MATH8",
            "student_ids": ["S05", "S06"],
            "sentences": [
                {"text": "Anna adds denominators.", "cites": [1]},
                {"text": "Anna and Ben forget units.", "cites": [1, 2]},
                {"text": "Ben checks.", "cites": [2]},
            ],
            "records": [
                {"number": 1, "record_id": "r1", "student_id": "S05"},
                {"number": 2, "record_id": "r2", "student_id": "S06"},
            ],
        }
    )
    return {"status": "SUCCESS", "result": draft.model_dump(mode="json")}


def test_sentences_and_records_of_others_are_left_out() -> None:
    """Out, each alone: the filter of records, of sentences, or of ids."""
    found = own_part(entry(), {"S05"})
    assert found["status"] == "SUCCESS"
    draft = Draft.model_validate(found["result"])
    assert [each.text for each in draft.sentences] == ["Anna adds denominators."]
    assert [each.record_id for each in draft.records] == ["r1"]
    assert draft.student_ids == ("S05",)


@pytest.mark.parametrize(
    "value",
    ["S05", ["S05"], {"result": None}, {"result": {"ids": ["S05"]}}, {"ids": ["S05"]}],
    ids=["text", "list", "none", "another result", "no result"],
)
def test_other_entries_are_exported_whole(value: Any) -> None:
    assert own_part(value, {"S05"}) == value
