"""`edugraph pull canvas` and `edugraph pull oneroster`, against servers that answer as these platforms do."""

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from gateway_alone import Gateway, gateway, virtual_host
from platforms_pulled import TOKEN, Platform, running
from pulls import Pulled, Target, pull, target
from typer.testing import CliRunner
from waiting import until

from edugraph_cli.main import app
from edugraph_cli.pulling.rest import retry_after_seconds
from edugraph_common.contracts.records import parse_row
from edugraph_common.runtime.shared_state.object_store import Blobs

pytestmark = pytest.mark.real
COURSE = "/api/v1/courses/7"
SUBMISSIONS = f"{COURSE}/students/submissions"
Row = dict[str, Any]


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    folder = tmp_path_factory.mktemp("platforms")
    with virtual_host() as addresses, gateway(addresses, folder, auth="on") as own:
        yield own


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Set the token, and note the pauses in place of waiting."""
    pauses: list[float] = []
    monkeypatch.setenv("EDUGRAPH_PULL_TOKEN", TOKEN)
    monkeypatch.setattr("edugraph_cli.pulling.rest.wait", pauses.append)
    return pauses


def submission(number: int, at: str, **more: Any) -> Row:
    user = {"id": number, "name": f"Ann {number}", "sis_user_id": f"S{number}", "login_id": "a"}
    row = {
        "id": 100 + number, "assignment_id": 1, "user_id": number, "user": user, "score": 7.0,
        "attempt": 1, "submitted_at": at, "graded_at": at, "late": False, "excused": None,
    }  # fmt: skip
    return {**row, **more}


class School:
    """The courses of a Canvas. Tests change its rows between rounds."""

    def __init__(self) -> None:
        self.assignments: list[Row] = [
            {"id": 1, "name": "Quiz 1", "points_possible": 10, "due_at": "2026-05-03T22:00:00Z",
             "unlock_at": None, "created_at": "2026-04-01T08:00:00Z",
             "updated_at": "2026-04-02T08:00:00Z", "published": True},
            {"id": 2, "name": "Not yet", "points_possible": 5, "due_at": None, "unlock_at": None,
             "published": False},
            {"id": 3, "name": "Without points", "points_possible": None, "due_at": None,
             "unlock_at": None, "created_at": "2026-04-01T08:00:00Z"},
        ]  # fmt: skip
        days = range(1, 6)
        self.submissions = [submission(day, f"2026-05-{day:02}T08:00:00Z") for day in days]

    def platform(self) -> Platform:
        answers = {
            "/api/v1/courses": lambda _: [{"id": 7, "name": "Algebra"}],
            f"{COURSE}/assignments": lambda _: self.assignments,
            SUBMISSIONS: self._since,
        }
        return Platform(answers)

    def _since(self, query: dict[str, list[str]]) -> list[Row]:
        """Return the rows after the time in the query, as Canvas does. All times of this test have one form."""
        found = self.submissions
        for parameter, name in (("submitted_since", "submitted_at"), ("graded_since", "graded_at")):
            if parameter in query:
                since = query[parameter][0].replace("+00:00", "Z")
                found = [row for row in found if row[name] and row[name] > since]
        return found


@pytest.fixture
def school() -> School:
    return School()


@pytest.fixture
def canvas(school: School) -> Iterator[Platform]:
    with running(school.platform()) as platform:
        yield platform


@pytest.fixture
def lms(guarded: Gateway) -> Iterator[Target]:
    with target(guarded, kind="records") as own:
        yield own


def sent(own: Target, name: str) -> list[Row]:
    """Return the records of the newest job of this name."""
    jobs = own.get("/v1/jobs?limit=100")["jobs"]
    job_id = next(job["job_id"] for job in jobs if job["source"] == name)
    blobs = Blobs(own.gateway.environment["EDUGRAPH_BLOB_URL"])
    [key] = [key for key in blobs.keys(f"jobs/{job_id}") if "source" in key]
    with blobs.open(key) as file:
        return [json.loads(line) for line in file.read().splitlines()]


def test_assignments_and_graded_submissions_become_records(
    lms: Target, canvas: Platform, school: School
) -> None:
    """Out: any line of `_attempt` or `_item_lines`; or the next page."""
    school.submissions += [
        submission(6, "2026-05-06T08:00:00Z", score=None),
        submission(7, "2026-05-06T08:00:00Z", excused=True),
        submission(8, "2026-05-06T08:00:00Z", score=12.0, late=True, attempt=2),
        submission(9, "2026-05-06T08:00:00Z", submitted_at=None, attempt=None, score=0.0),
        submission(10, "2026-05-06T08:00:00Z", assignment_id=3),
        submission(11, "2026-05-06T08:00:00Z", user={"id": 11, "name": "Test Student"}),
    ]
    done = pull("canvas", lms.name, "--url", canvas.url)
    assert done == Pulled(0, ["course 7, assignments", "course 7, submissions"], [])
    [quiz, without_points] = sent(lms, "course 7, assignments")
    assert quiz == {
        "type": "item_record",
        "record_id": "assignment-1",
        "timestamp": "2026-04-01T08:00:00Z",
        "changed_at": "2026-04-02T08:00:00Z",
        "data": {
            "item_id": "7/1", "course_id": "7", "assigned_to": "course", "title": "Quiz 1",
            "max_score": 10.0, "due_at": "2026-05-03T22:00:00Z",
        },
    }  # fmt: skip
    assert without_points["data"]["title"] == "Without points"
    attempts = {row["record_id"]: row for row in sent(lms, "course 7, submissions")}
    assert set(attempts) == {*(f"submission-{100 + n}-1" for n in range(1, 6)),
                             "submission-108-2", "submission-109-0"}  # fmt: skip
    assert attempts["submission-101-1"] == {
        "type": "attempt_record",
        "record_id": "submission-101-1",
        "timestamp": "2026-05-01T08:00:00Z",
        "changed_at": "2026-05-01T08:00:00Z",
        "data": {
            "student_id": "S1", "student_name": "Ann 1", "item_id": "7/1", "item_title": "Quiz 1",
            "course_id": "7", "score": 0.7, "max_score": 10, "attempt_number": 1,
        },
    }  # fmt: skip
    assert attempts["submission-108-2"]["data"]["score"] == 1.0
    assert attempts["submission-108-2"]["data"]["late"] is True
    assert attempts["submission-109-0"]["data"]["score"] == 0.0
    for row in (quiz, without_points, *attempts.values()):
        parse_row(row)


def test_a_round_pulls_only_what_is_new(lms: Target, canvas: Platform, school: School) -> None:
    """Out: `graded_since`, the overlap in the version, or the place of the assignments."""
    pull("canvas", lms.name, "--url", canvas.url)
    assert pull("canvas", lms.name, "--url", canvas.url).names == []
    queries = [query for path, query in canvas.asked if path == SUBMISSIONS and "page" not in query]
    assert "submitted_since" not in queries[0]
    assert [query.get("graded_since", query.get("submitted_since")) for query in queries[1:]] == [
        ["2026-05-05T07:50:00+00:00"]
    ] * 2
    # A teacher grades an early submission later, and corrects an assignment.
    school.submissions[0] = submission(
        1, "2026-05-01T08:00:00Z", graded_at="2026-05-09T08:00:00Z", score=9.0
    )
    school.assignments[0]["updated_at"] = "2026-05-09T08:00:00Z"
    done = pull("canvas", lms.name, "--url", canvas.url)
    assert done.names == ["course 7, assignments", "course 7, submissions"]
    rows = sent(lms, "course 7, submissions")
    assert {row["record_id"]: row["data"]["score"] for row in rows} == {
        "submission-101-1": 0.9,
        "submission-105-1": 0.7,
    }
    assert pull("canvas", lms.name, "--url", canvas.url).names == []


def test_limits_of_canvas_are_waited_for(lms: Target, canvas: Platform, quick: list[float]) -> None:
    """Out: a status of `_FOR_NOW`, the limit of Canvas, or Retry-After."""
    canvas.faults = [
        (429, {"Retry-After": "17"}, ""),
        (503, {}, ""),
        (403, {}, "403 Forbidden (Rate Limit Exceeded)"),
    ]
    assert len(pull("canvas", lms.name, "--url", canvas.url).names) == 2
    assert quick == [17.0, 2.0, 4.0]
    assert retry_after_seconds("Wed, 21 Oct 2026 07:28:00 GMT", 1792567660.0) == 20.0
    assert retry_after_seconds("soon", 0.0) is None


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ((401, {}, ""), "refuses the token (401)"),
        ((200, {}, "<html>"), "did not answer with JSON"),
        ((200, {}, '{"errors": []}'), "does not answer with a list of assignments"),
        (
            (200, {}, '[{"id": 1, "name": "x"}]'),
            "sends assignments without points_possible, due_at",
        ),
        ((200, {"Link": '<http://127.0.0.2:1/x>; rel="next"'}, "[]"), "links to another server"),
        ((302, {"Location": "http://127.0.0.2:1/"}, ""), "answers 302"),
    ],
)
def test_a_platform_that_answers_otherwise_is_one_sentence(
    lms: Target, canvas: Platform, fault: Any, words: str
) -> None:
    """Out: the rule of an answer. The token is never sent to another server."""
    canvas.faults = [fault]
    done = pull("canvas", lms.name, "--url", canvas.url, "--course", "7", "--course", "7")
    assert done.code == 1
    [sentence] = done.problems
    assert words in sentence
    assert TOKEN not in sentence
    assert done.names == ["course 7, assignments", "course 7, submissions"], "the second try"


def test_a_killed_round_goes_on_and_makes_no_job_twice(lms: Target, canvas: Platform) -> None:
    """Out: the idempotency key of the content."""
    canvas.stop_at = "/students/submissions"
    command = [sys.executable, "-m", "edugraph_cli", "pull", "canvas", lms.name,
               "--url", canvas.url]  # fmt: skip
    environment = {**os.environ, **lms.environment, "EDUGRAPH_PULL_TOKEN": TOKEN}
    process = subprocess.Popen(command, env=environment)
    assert canvas.waits.wait(120)
    until(lambda: lms.imported().total() == 1)
    process.kill()
    process.wait()
    canvas.stop_at = ""
    canvas.go_on.set()
    assert len(pull("canvas", lms.name, "--url", canvas.url).names) == 2
    assert lms.imported() == Counter({"course 7, assignments": 1, "course 7, submissions": 1})


def test_a_token_is_read_from_a_file_or_asked_for(
    lms: Target, canvas: Platform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("EDUGRAPH_PULL_TOKEN")
    done = CliRunner().invoke(app, ["pull", "canvas", lms.name, "--url", canvas.url])
    assert (done.exit_code, "EDUGRAPH_PULL_TOKEN" in done.output) == (2, True)
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    monkeypatch.setenv("EDUGRAPH_PULL_TOKEN_FILE", str(tmp_path / "token"))
    assert len(pull("canvas", lms.name, "--url", canvas.url).names) == 2


CHANGED = {"status": "active", "dateLastModified": "2026-08-01T00:00:00Z"}


class Roster:
    """The lists of a OneRoster system."""

    def __init__(self) -> None:
        self.rows: dict[str, list[Row]] = {
            "academicSessions": [
                {"sourcedId": "T1", **CHANGED, "title": "Term 1", "type": "term",
                 "startDate": "2026-08-01", "endDate": "2026-12-20"},
            ],
            "users": [
                {"sourcedId": f"U{n}", **CHANGED, "givenName": "Ann", "familyName": f"Lee {n}",
                 "username": f"ann{n}", "userIds": [{"type": "x", "identifier": "y"}]}
                for n in range(5)
            ],
            "classes": [
                {"sourcedId": "K1", **CHANGED, "title": "Algebra A", "classType": "scheduled",
                 "course": {"sourcedId": "C1", "href": "x", "type": "course"},
                 "terms": [{"sourcedId": "T1", "href": "x", "type": "academicSession"}]},
            ],
            "enrollments": [
                {"sourcedId": f"E{n}", **CHANGED, "role": "teacher" if n == 0 else "student",
                 "user": {"sourcedId": f"U{n}"}, "class": {"sourcedId": "K1"}}
                for n in range(5)
            ],
        }  # fmt: skip

    def platform(self) -> Platform:
        answers = {}
        for name in self.rows:
            answers[f"/v1p2/{name}"] = lambda _, name=name: self.rows[name]
        return Platform(answers, wrap=True)


@pytest.fixture
def roster_target(guarded: Gateway) -> Iterator[Target]:
    with target(guarded, kind="roster") as own:
        yield own


def test_a_roster_is_pulled_once_until_something_changes(roster_target: Target) -> None:
    """Out: the offset of a page, a link of `_LINKS`, or the version."""
    roster = Roster()
    with running(roster.platform()) as platform:
        command = ("oneroster", roster_target.name, "--url", f"{platform.url}/v1p2")
        assert pull(*command) == Pulled(0, ["roster"], [])
        rows = sent(roster_target, "roster")
        members = [row["data"] for row in rows if row["type"] == "membership_record"]
        assert sorted(member.get("student_id", "") for member in members) == [
            "",
            "U1",
            "U2",
            "U3",
            "U4",
        ]
        assert {member.get("teacher_id") for member in members} == {None, "U0"}
        assert {
            (member["group_id"], member["course_id"], member["term"]) for member in members
        } == {("K1", "C1", "T1")}
        assert {row["data"]["term"] for row in rows} == {"T1"}
        for row in rows:
            parse_row(row)
        assert pull(*command).names == []
        roster.rows["enrollments"][4]["status"] = "tobedeleted"
        roster.rows["enrollments"][4]["dateLastModified"] = "2026-09-01T00:00:00Z"
        assert pull(*command).names == ["roster"]
        withdrawn = [row for row in sent(roster_target, "roster") if row.get("withdrawn")]
        assert [row["timestamp"] for row in withdrawn] == ["2026-09-01T00:00:00Z"]
        del roster.rows["enrollments"][0]["role"]
        refused = CliRunner().invoke(app, ["pull", *command])
        assert refused.exit_code == 2
        sentence = "The platform sends enrollments without role; its API has changed."
        assert refused.stderr.strip() == sentence


def test_a_roster_with_the_credentials_of_a_client(
    roster_target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("EDUGRAPH_PULL_TOKEN")
    monkeypatch.setenv("EDUGRAPH_PULL_CLIENT_ID", "client")
    monkeypatch.setenv("EDUGRAPH_PULL_CLIENT_SECRET", "its secret")
    with running(Roster().platform()) as platform:
        done = pull(
            "oneroster", roster_target.name, "--url", f"{platform.url}/v1p2",
            "--token-url", f"{platform.url}/token",
        )  # fmt: skip
    assert done.names == ["roster"]
    [(_, form)] = [asked for asked in platform.asked if asked[0] == "/token"]
    assert form["grant_type"] == ["client_credentials"]
