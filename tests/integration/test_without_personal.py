"""Without the scope `personal` no operation of gateway and insights shows a mark that a person left.

Every operation is called, also those that delete: so no other test looks at this system.
"""

import pytest
from marked_data import MARKS, WITHOUT_PERSONAL, Marked, addresses_of, hits_of, operations_of

from edugraph_common.contracts.permissions import SCOPES
from edugraph_insights.access import IN_CELLS

pytestmark = pytest.mark.real


def test_without_personal_no_operation_shows_a_mark(marked: Marked) -> None:
    """Out: each of `job_answer`'s hidden fields, `without_personal_data`, `personal=True` of rejects, letter, export,
    and SMALLEST_GROUP_STUDENTS.
    """
    with marked.client(*SCOPES) as everything:
        for path in (
            "/v1/jobs",
            "/v1/graph/summary",
            "/v1/graph/export",
            "/v1/dead-letters/data_import/buried",
        ):
            assert any(mark in everything.get(path).text for mark in MARKS), path
        for path in ("/v1/jobs/{job_id}", "/v1/jobs/{job_id}/rejects", "/v1/tasks/{task_id}"):
            assert any(
                mark in everything.get(a).text for a in addresses_of(marked, path) for mark in MARKS
            ), path
    with marked.client(*WITHOUT_PERSONAL, roles=("analyst",)) as analyst:
        asked = [
            a
            for _, path in operations_of(analyst)
            if "/insights/" in path
            for a in addresses_of(marked, path)
        ]
        answered = {
            a.partition("?")[0].rpartition("/")[2]
            for a in asked
            if analyst.get(a).status_code == 200
        }
        assert answered >= IN_CELLS
        assert len(operations_of(analyst)) > 20
        assert hits_of(marked, analyst) == {}
