"""The OpenAPI document of insights and what it answers agree, for who may see everybody, for cells, and for nobody.

EDUGRAPH_SCHEMATHESIS_CASES sets how many cases there are at least; `make api-fuzz` makes 5,000.
"""

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from threading import Thread
from typing import Any

import httpx
import pytest
import schemathesis
import uvicorn
from documented_answers import CHECKS
from engines import given as addresses_of
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from rooms import opened
from waiting import until

from edugraph_cli.processes import free_port
from edugraph_common.contracts.permissions import SCOPES
from edugraph_common.contracts.records import parse_record
from edugraph_common.runtime.shared_state.callers import Caller
from edugraph_importer.graph import RecordBatch
from edugraph_insights.app import make_application
from edugraph_insights.insights import open_insights
from edugraph_insights.settings import InsightsSettings

pytestmark = pytest.mark.real
CASES = int(os.environ.get("EDUGRAPH_SCHEMATHESIS_CASES", "120"))
DAY = "2026-03-02T08:00:00Z"


class Keys:
    """API keys whose tokens name the role; `nobody` has none, and `eraser` only erases."""

    def caller(self, token: str, _now: Any) -> Caller | None:
        name = token.removeprefix("eg_")
        if name == "eraser":
            return Caller("test-document-eraser", ("erase",), (), None)
        roles: Any = () if name == "nobody" else (name,)
        return (
            Caller(f"test-document-{name}", SCOPES if roles else (), roles, "t") if token else None
        )


def school() -> list[Any]:
    """A course with an item, a teacher of its group, and two students."""
    values: list[tuple[str, dict[str, Any]]] = [
        ("membership_record", {"group_id": "g", "teacher_id": "t", "role": "leader"})
    ]
    for who in ("s1", "s2"):
        tried = {
            "student_id": who,
            "item_id": "i",
            "course_id": "C",
            "correct": who == "s1",
            "knowledge_points": ["P"],
        }
        values += [
            ("course_record", {"student_id": who, "course_id": "C"}),
            ("membership_record", {"group_id": "g", "student_id": who}),
            ("attempt_record", tried),
        ]
    return [
        parse_record({"type": kind, "timestamp": DAY, "record_id": f"d{n}", "data": data})
        for n, (kind, data) in enumerate(values)
    ]


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Insights on the school, in a thread of this process."""
    redis_url = addresses_of("EDUGRAPH_REDIS_URL")["EDUGRAPH_REDIS_URL"]
    with opened("neo4j", tmp_path_factory.mktemp("graph")) as room:
        room.empty()
        records = school()
        room.graph.write_batch(
            RecordBatch("document", 0, list(enumerate(records, 1)), (), len(records))
        )
        own = {
            f"neo4j_{name}": getattr(room.settings, name)
            for name in ("uri", "user", "password", "database")
        }
        limits = {"questions_per_minute": 1_000_000, "questions_at_once": 100_000}
        found = open_insights(
            InsightsSettings.model_validate({"redis_url": redis_url, **limits, **own})
        )
        keys: Any = Keys()
        port = free_port()
        application = make_application(replace(found, key_ring=keys))
        server = uvicorn.Server(
            uvicorn.Config(application, port=port, log_config=None, access_log=False)
        )
        thread = Thread(target=server.run, daemon=True)
        thread.start()
        try:
            until(lambda: server.started, 30)
            yield f"http://127.0.0.1:{port}"
        finally:
            server.should_exit = True
            thread.join(10)


@pytest.mark.timeout(1_800)
@pytest.mark.parametrize("role", ["teacher", "analyst", "nobody"])
def test_made_up_questions_are_answered_as_the_document_says(address: str, role: str) -> None:
    """No 5xx but 503, and no status or form that the document does not name."""
    document = schemathesis.openapi.from_url(f"{address}/v1/insights/openapi.json")
    operations = [found.ok() for found in document.get_all_operations()]
    answers = Counter[int]()

    @settings(
        max_examples=CASES // 3 // len(operations) + 1,
        deadline=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(cases=st.tuples(*(operation.as_strategy() for operation in operations)))
    def answered(cases: Any) -> None:
        for case in cases:
            answer = case.call_and_validate(
                headers={"Authorization": f"Bearer eg_{role}"}, checks=CHECKS, timeout=60
            )
            answers[answer.status_code] += 1

    answered()
    told = ", ".join(f"{status}: {number:,}" for status, number in sorted(answers.items()))
    print(f"{answers.total():,} cases as {role}, answers {told}")  # noqa: T201 - pytest -s shows it
    assert answers.total() >= CASES // 3


# A caller who may only erase may ask these. None of the answers is about persons.
OF_ERASERS = {"/healthz", "/readyz", "/v1/insights", "/v1/insights/choices"}
ASKED = {
    "course": "C",
    "student": "s1",
    "label": "Student",
    "node": "Student:s1",
    "other": "Student:s2",
    "point": "P",
}


def test_a_key_that_erases_reads_nobody(address: str) -> None:
    """Out: `rule_for` in access.py, `need_scopes` in graph_api.py, or `widest_rows`."""
    eraser = {"Authorization": "Bearer eg_eraser"}
    with httpx.Client(base_url=address, headers=eraser, timeout=60) as client:
        document = client.get("/v1/insights/openapi.json").json()
        answered = set()
        for path, methods in document["paths"].items():
            asked = {}
            for parameter in methods.get("get", {}).get("parameters", ()):
                if parameter["required"] or parameter["name"] == "course":
                    asked[parameter["name"]] = ASKED.get(parameter["name"], "g")
            if "get" in methods and client.get(path, params=asked).status_code != 403:
                answered.add(path)
        known = client.post("/v1/graph/known", json={"nodes": ["Student:s1"]})
        assert known.status_code == 403
        rows = client.post("/v1/graph/warehouse", json={"students": ["s1"]})
        assert rows.status_code == 403
        choices = client.get("/v1/insights/choices").json()
    assert answered == OF_ERASERS
    # The page shows them nothing to ask about, and the page Privacy.
    assert (choices["sees"], choices["privacy"]) == ("nobody", True)
    assert choices["courses"] == choices["groups"] == choices["terms"] == []
