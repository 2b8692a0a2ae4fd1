"""The questions over HTTP: forms of an answer, refusals and errors in one form, and the OpenAPI document."""

import csv
import io
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from arro3.io import read_parquet
from fastapi.testclient import TestClient
from rooms import Room

from edugraph_common.contracts.errors import Retryable
from edugraph_common.contracts.records import parse_record
from edugraph_common.runtime.shared_state.callers import Caller
from edugraph_insights.app import make_application
from edugraph_insights.insights import Insights
from edugraph_insights.questions import QUESTIONS
from edugraph_insights.settings import HelpThresholds

from .schools import NotedAudit, School, at, reading, written


class Keys:
    """API keys without a Redis: the token names the role."""

    def caller(self, token: str, _now: Any) -> Caller | None:
        return (
            Caller("key", (), () if token == "eg_none" else (token.removeprefix("eg_"),), "s1")
            if token
            else None
        )


@pytest.fixture
def client(room: Room) -> Iterator[TestClient]:
    tried = {
        "student_id": "s1",
        "item_id": "i",
        "course_id": "C",
        "correct": False,
        "response": "=cmd()",
    }
    values = [
        {"type": "course_record", "data": {"student_id": "s1", "course_id": "C"}},
        {"type": "attempt_record", "data": {**tried, "knowledge_points": ["Fractions"]}},
    ]
    records = [
        parse_record({**each, "timestamp": at(1), "record_id": f"r{n}"})
        for n, each in enumerate(values)
    ]
    written(room, School(records, []))
    found = reading(room, audit=NotedAudit())
    settings = found.settings.model_copy(update={"auth": "on"})
    with TestClient(
        make_application(replace(found, settings=settings, key_ring=Keys())),
        base_url="http://127.0.0.1",
    ) as client:
        yield client


def get(client: TestClient, path: str, role: str = "student", **headers: str) -> Any:
    return client.get(
        f"/v1/insights{path}", headers={"Authorization": f"Bearer eg_{role}", **headers}
    )


def test_an_answer_says_how_of_how_many_and_what_it_left_out(client: TestClient) -> None:
    answer = get(client, "/weak-points?course=C")
    assert answer.status_code == 200
    body = answer.json()
    assert body["rows"][0]["name"] == "Fractions"
    assert body["rows"][0]["wrong"] == 1.0
    assert body["of_how_many"] == {"students": 1, "students with attempts": 1, "first attempts": 1}
    assert "Wilson" in body["computed_by"]
    assert body["exact"]
    behind = client.get(
        body["rows"][0]["evidence"], headers={"Authorization": "Bearer eg_student"}
    ).json()
    assert [row["record"] for row in behind["rows"]] == ["r1"]


def test_who_answered_is_in_a_course_in_which_nobody_stands(client: TestClient, room: Room) -> None:
    """Out: students_with_answers: whoever imports answers alone asks about nobody. Out: `or`: s3 is in it, too."""
    tried = {"item_id": "i", "correct": True}
    values = [
        {"type": "attempt_record", "data": {**tried, "student_id": "s2", "course_id": "A"}},
        {
            "type": "error_record",
            "data": {"student_id": "s4", "course_id": "A", "error_text": "wrong sign"},
        },
        {"type": "course_record", "data": {"student_id": "s2", "course_id": "B"}},
        {"type": "attempt_record", "data": {**tried, "student_id": "s3", "course_id": "B"}},
    ]
    records = [
        parse_record({**each, "timestamp": at(2), "record_id": f"a{n}"})
        for n, each in enumerate(values)
    ]
    written(room, School(records, []))
    room.graph.restrict_student("s4", restricted=True)
    app: Any = client.app
    app.state.insights = replace(
        app.state.insights, settings=app.state.insights.settings.model_copy(update={"auth": "off"})
    )
    for course, students in (("A", {"s2"}), ("B", {"s2"})):
        rows = client.get(f"/v1/insights/roster?course={course}").json()["rows"]
        assert {row["student"] for row in rows} == students
        weak = client.get(f"/v1/insights/weak-points?course={course}").json()
        assert weak["of_how_many"]["students"] == len(students)


def test_a_row_has_the_source_and_the_id_of_its_record_apart(
    client: TestClient, room: Room
) -> None:
    """Out: `as_sent` in `records.py`, `point.py` or `review_queue.py`."""
    data = {"student_id": "s9", "course_id": "D", "knowledge_points": ["P"], "item_id": "i9"}
    answered = {"type": "attempt_record", "timestamp": at(2), "record_id": "@canvas/a/5"}
    wrong = {**data, "correct": False, "response": "1/2"}
    written(room, School([parse_record({**answered, "data": wrong})], []))
    app: Any = client.app
    app.state.insights = replace(
        app.state.insights, settings=app.state.insights.settings.model_copy(update={"auth": "off"})
    )
    [row] = client.get("/v1/insights/records?course=D").json()["rows"]
    assert (row["record"], row["source_name"], row["sent_id"]) == ("@canvas/a/5", "canvas", "a/5")
    [row] = client.get("/v1/insights/point?course=D&point=P").json()["rows"]
    assert (row["quote_record"], row["sent_id"]) == ("@canvas/a/5", "a/5")
    table = client.get("/v1/insights/records?course=D", headers={"Accept": "text/csv"})
    [cells] = csv.DictReader(io.StringIO(table.text))
    assert (cells["source_name"], cells["sent_id"]) == ("canvas", "a/5")


def test_csv_has_the_columns_of_the_rows_and_no_formula(client: TestClient) -> None:
    """To take the guard out: let `_cell` return what it is given."""
    answer = get(client, "/records?course=C", Accept="text/csv")
    assert answer.headers["content-type"].startswith("text/csv")
    [header, row] = csv.reader(io.StringIO(answer.text))
    assert header == list(QUESTIONS["records"].row.model_fields)
    assert dict(zip(header, row, strict=True))["text"] == "'=cmd()"


def test_progress_that_no_record_gives_is_unknown_in_every_form(client: TestClient) -> None:
    """Out: the default None of `CourseRecord.progress`; a progress of 0 for a new LEARNS; `left_out` of the roster."""
    app: Any = client.app
    settings = app.state.insights.settings.model_copy(update={"auth": "off"})
    app.state.insights = replace(app.state.insights, settings=settings)
    for path in (
        "/roster?course=C",
        "/roster?course=C&student=s1",
        "/roster?course=C&as_of=2026-05-01",
    ):
        answer = get(client, path).json()
        assert answer["rows"][0]["progress"] is None
        assert answer["left_out"] == {"students whose progress no record gives": 1}
        header, row = csv.reader(io.StringIO(get(client, path, Accept="text/csv").text))
        assert dict(zip(header, row, strict=True))["progress"] == ""
        [batch] = read_parquet(
            io.BytesIO(get(client, path, Accept="application/vnd.apache.parquet").content)
        )
        assert batch.columns[batch.schema.names.index("progress")].to_pylist() == [None]
    answer = get(client, "/difficulty?course=C").json()
    assert answer["of_how_many"] == {"students": 1, "students with known progress": 0}
    [hard] = answer["rows"]
    assert (hard["median_progress"], hard["students_with_progress"]) == (None, 0)
    [record] = get(client, "/records?course=C&kind=progress").json()["rows"]
    assert record["progress"] is None


@pytest.mark.parametrize("name", [*QUESTIONS])
def test_parquet_has_the_rows_of_json(client: TestClient, name: str) -> None:
    """Out: the whole microseconds of a moment; the ends of a list."""
    app: Any = client.app
    settings = app.state.insights.settings.model_copy(update={"auth": "off"})
    app.state.insights = replace(app.state.insights, settings=settings)
    more = {
        "student": "&student=s1",
        "next": "&student=s1&goal=fractions",
        "point": "&point=fractions",
        "ready": "&point=fractions",
        "practice": "&student=s1",
        "travelling-weaknesses": "&next_course=C",
    }
    path = f"/{name}?course=C{more.get(name, '')}{'&group=g&other_group=g' if name == 'groups' else ''}"
    answer, table = get(client, path), get(client, path, Accept="application/vnd.apache.parquet")
    assert answer.status_code == table.status_code == 200
    assert table.headers["content-type"] == "application/vnd.apache.parquet"
    batches = read_parquet(io.BytesIO(table.content))
    assert batches.schema.names == list(QUESTIONS[name].row.model_fields)
    rows = [
        dict(zip(batches.schema.names, cells, strict=True))
        for batch in batches
        for cells in zip(*(column.to_pylist() for column in batch.columns), strict=True)
    ]
    shown = [QUESTIONS[name].row(**row).model_dump(mode="json") for row in rows]
    assert shown == answer.json()["rows"]


def test_thresholds_come_from_the_question_else_from_the_settings_of_the_course(
    client: TestClient,
) -> None:
    """Out: `completed` of the question, or the order in which it takes them."""
    app: Any = client.app
    more = {
        "auth": "off",
        "help_thresholds": {"C": HelpThresholds(stuck_tries=9, recent_school_days=4)},
    }
    settings = app.state.insights.settings.model_copy(update=more)
    app.state.insights = replace(app.state.insights, settings=settings)
    counted = get(client, "/needs-help?course=C&recent_school_days=3").json()["parameters"]
    assert (counted["stuck_tries"], counted["recent_school_days"], counted["same_mistakes"]) == (
        "9",
        "3",
        "3",
    )


@pytest.mark.parametrize(
    ("path", "role", "headers", "status", "name"),
    [
        ("/weak-points?course=C", "", {}, 401, "key"),
        ("/weak-points?course=C", "none", {}, 403, "role"),
        ("/difficulty?course=C", "student", {}, 403, "role"),
        ("/weak-points?course=none", "student", {}, 404, "not-found"),
        ("/student?course=C&student=s2", "student", {}, 404, "not-found"),
        ("/weak-points", "student", {}, 422, "invalid"),
        ("/weak-points?course=C&from=yesterday", "student", {}, 422, "invalid"),
        ("/weak-points?course=C&unknown=1", "student", {}, 422, "invalid"),
        ("/weak-points?course=C&term=none", "student", {}, 404, "not-found"),
        ("/next?course=C&student=s1&goal=none", "student", {}, 404, "not-found"),
        ("/ties?course=C&student=s1", "counsellor", {}, 422, "invalid"),
        ("/needs-help?course=C&low_estimate=2", "teacher", {}, 422, "invalid"),
        ("/weak-points?course=C", "student", {"Accept": "image/png"}, 406, "form"),
        ("/no-such-question?course=C", "student", {}, 404, "not-found"),
    ],
)
def test_every_no_has_one_form(  # noqa: PLR0917
    client: TestClient, path: str, role: str, headers: dict[str, str], status: int, name: str
) -> None:
    answer = get(client, path, role, **headers) if role else client.get(f"/v1/insights{path}")
    assert (answer.status_code, answer.json()["type"]) == (status, f"urn:edugraph:problem:{name}")
    assert answer.headers["content-type"] == "application/problem+json"
    app: Any = client.app
    noted = app.state.insights.audit.entries
    refused = status in {401, 403} or "s2" in path
    assert [entry[1] for entry in noted] == (["refused"] if refused else [])


def test_what_cannot_be_written_into_the_audit_log_is_not_shown(client: TestClient) -> None:
    """To take the guard out: let `ask` record after it has answered, or pass the failure over."""

    class Away:
        def record(self, *_: Any, **__: Any) -> None:
            raise Retryable("Redis does not answer")

    app: Any = client.app
    app.state.insights = replace(app.state.insights, audit=Away())
    assert get(client, "/records?course=C").status_code == 503
    assert get(client, "/weak-points?course=C").status_code == 200


def test_the_catalogue_names_what_the_caller_may_ask(client: TestClient) -> None:
    names = {
        role: {each["name"] for each in get(client, "", role).json()["questions"]}
        for role in ("student", "analyst")
    }
    course = {
        "weak-points",
        "earlier-gaps",
        "returning-mistakes",
        "records",
        "roster",
        "course-map",
    }
    assert names["student"] == {"student", "next", "help-used", "grid", "point", "due", *course}
    assert "records" not in names["analyst"]


def test_the_document_describes_each_question(client: TestClient) -> None:
    document = client.get("/v1/insights/openapi.json").json()
    for name in QUESTIONS:
        operation = document["paths"][f"/v1/insights/{name}"]["get"]
        assert {"course", "from", "to"} <= {each["name"] for each in operation["parameters"]}
        content = operation["responses"]["200"]["content"]
        assert {"text/csv", "application/vnd.apache.parquet"} <= content.keys()


def test_who_asks_too_often_is_told_when_to_ask_again(client: TestClient) -> None:
    """To take the guard out: let `admit` not ask the limiter."""

    class Spent:
        asked: list[str] = []

        def spend(self, _client_id: str) -> bool:
            return False

        def take(self, client_id: str) -> float:
            self.asked.append(client_id)
            return 0.4

    app: Any = client.app
    app.state.insights = replace(app.state.insights, rate_limiter=Spent())
    answer = get(client, "/weak-points?course=C")
    assert (answer.status_code, answer.json()["type"]) == (429, "urn:edugraph:problem:rate")
    assert answer.headers["retry-after"] == "1"
    assert Spent.asked == ["key"]
    assert not app.state.insights.audit.entries
    assert client.get("/v1/insights/weak-points?course=C").status_code == 401, (
        "who is nobody takes no turn"
    )


def test_a_graph_that_is_away_is_503_and_names_no_record(room: Room) -> None:
    found = reading(room)
    away = found.settings.model_copy(update={"neo4j_uri": "bolt://127.0.0.1:1"})
    insights = replace(found, graph=type(found.graph)(away))
    with TestClient(make_application(insights), base_url="http://127.0.0.1") as client:
        assert client.get("/healthz").status_code == 200
        answer = client.get("/readyz")
        assert (answer.status_code, answer.json()["missing"]) == (503, ["graph"])


def test_the_insights_of_a_room_are_ready(insights: Insights) -> None:
    assert insights.missing() == []
