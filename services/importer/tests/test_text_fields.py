"""The texts of records that the retention of texts removes from the graph."""

from typing import get_type_hints

import pytest
from pydantic import TypeAdapter

from edugraph_common.contracts.record_fields import LONGEST_TEXT
from edugraph_common.contracts.records import DATA_OF_TYPE
from edugraph_importer.graph.model import LABEL_OF_TYPE
from edugraph_importer.graph.statements import CYPHER
from edugraph_importer.graph.versions import AGEING_LABELS

# The description of a course describes no student, and the graph keeps it at the record of a student's progress.
KEPT = {"course_description"}


def texts_of(record_type: str) -> set[str]:
    """Return the fields of a type of record that take the longest texts."""
    data = DATA_OF_TYPE[record_type]
    found = set()
    for name, hint in get_type_hints(data, include_extras=True).items():
        form = str(TypeAdapter(hint).json_schema())
        if name in data.model_fields and f"'maxLength': {LONGEST_TEXT}" in form:
            found.add(name)
    return found - KEPT


@pytest.mark.parametrize(
    "record_type", [each for each, label in LABEL_OF_TYPE.items() if label in AGEING_LABELS]
)
def test_the_retention_of_texts_knows_each_text(record_type: str) -> None:
    """Out: a field of `blank`, or of `has_text` in `records_after` (retention.cypher)."""
    label = LABEL_OF_TYPE[record_type]
    for name in texts_of(record_type):
        assert f"n.{name} = null" in CYPHER[f"blank_{label}"]
        assert f"n.{name}" in CYPHER[f"records_after_{label}"]


def test_texts_are_found() -> None:
    assert texts_of("attempt_record") == {"question", "response"}
