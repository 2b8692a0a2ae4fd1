"""Signing in by the real form: roles and rows, both services, signing out, an ended session, forged requests, frames."""

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
import redis
from login.realm import PASSWORD, form_action
from login.school import COURSE, School, sign_in
from waiting import until

from edugraph_common.runtime.shared_state.sessions import COOKIE, CSRF_HEADER

pytestmark = pytest.mark.embedded
RECORD = {
    "type": "course_content",
    "timestamp": "2026-01-05T08:00:00Z",
    "data": {"course_id": COURSE, "content": "Fractions are parts of a whole."},
}


def session(visitor: httpx.Client) -> dict[str, Any]:
    told: dict[str, Any] = visitor.get("/ui/session").raise_for_status().json()
    return told


def asked(visitor: httpx.Client, question: str, **parameters: str) -> tuple[int, Any]:
    answer = visitor.get(f"/v1/insights/{question}", params={"course": COURSE, **parameters})
    return answer.status_code, answer.json()


def problem(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["type"].rpartition(":")[2]


@pytest.fixture
def teacher(school: School) -> Iterator[httpx.Client]:
    with school.signed_in("teacher") as visitor:
        yield visitor


def test_a_teacher_is_known_by_name_and_role_and_sees_own_students(teacher: httpx.Client) -> None:
    told = session(teacher)
    assert (told["state"], told["name"], told["roles"]) == ("in", "Tessa Berg", ["teacher"])
    status, answer = asked(teacher, "roster")
    assert (status, [row["student"] for row in answer["rows"]]) == (200, ["S1"])
    assert asked(teacher, "student", student="S1")[0] == 200
    assert asked(teacher, "student", student="S2")[0] == 404


def test_a_student_sees_themselves_alone(school: School) -> None:
    with school.signed_in("student") as visitor:
        assert session(visitor)["roles"] == ["student"]
        assert [row["student"] for row in asked(visitor, "roster")[1]["rows"]] == ["S1"]
        assert asked(visitor, "student", student="S2")[0] == 404
        assert asked(visitor, "needs-help")[0] == 403


def test_a_head_sees_the_persons_of_every_course(school: School) -> None:
    """The default of EDUGRAPH_HEAD_SEES is persons; each read is in the audit log."""
    with school.signed_in("head") as visitor:
        assert asked(visitor, "weak-points", student="S1")[0] == 200
        status, roster = asked(visitor, "roster")
        assert status == 200
        assert {"S1", "S2"} <= {row["student"] for row in roster["rows"]}


def test_a_stranger_signs_in_and_sees_nothing(school: School, teacher: httpx.Client) -> None:
    """Of every operation of both services that reads. Out: let a caller without roles have those of a student."""
    with school.signed_in("stranger") as visitor:
        told = session(visitor)
        assert (told["state"], told["roles"]) == ("in", [])
        assert visitor.get("/v1/insights").json() == {"questions": []}
        documents = ("/v1/insights/openapi.json", "/openapi.json")
        paths = {
            re.sub(r"\{[^}]*\}", "x", path)
            for document in documents
            for path, operations in teacher.get(document).raise_for_status().json()["paths"].items()
            if "get" in operations
        }
        open_to_all = {"/healthz", "/readyz", "/v1/insights", "/xapi/about"}
        needed = {
            "course": COURSE,
            "id": "x",
            "kind": "x",
            "root": "x",
            "from": "x",
            "to": "x",
            "student": "S1",
        }
        answers = {
            path: visitor.get(path, params=needed).status_code for path in paths - open_to_all
        }
        assert len(answers) > 25
        # The receiver of statements takes keys and tokens of programs, and no session.
        of_programs = [path for path in answers if path.startswith("/xapi/")]
        assert {answers.pop(path) for path in of_programs} == {401}
        # 422: what has to be given is looked at first, in the same way for everybody.
        assert set(answers.values()) <= {403, 404, 422}, answers


def test_nobody_without_a_session_sees_anything(school: School) -> None:
    with school.visitor() as visitor:
        assert session(visitor) == {**session(visitor), "state": "out", "csrf": "", "name": ""}
        assert problem(visitor.get("/v1/insights/choices")) == (401, "key")
        assert problem(visitor.get("/v1/jobs")) == (401, "key")
        wrong = sign_in(visitor, "teacher", PASSWORD[::-1])
        assert form_action(wrong)  # asked again, at the issuer
        assert session(visitor)["state"] == "out"


def test_the_session_is_good_at_both_doors_and_changes_nothing_without_its_token(
    teacher: httpx.Client,
) -> None:
    """Out: let `token_sent` return the session's id whatever the method."""
    assert teacher.get("/v1/jobs").status_code == 200
    assert problem(teacher.get("/v1/dead-letters")) == (403, "scope")
    body = {"records": [RECORD]}
    assert problem(teacher.post("/v1/imports", json=body)) == (403, "csrf")
    assert problem(teacher.post("/v1/imports", json=body, headers={CSRF_HEADER: "x"})) == (
        403,
        "csrf",
    )
    assert problem(teacher.post("/v1/jobs/none/cancel")) == (403, "csrf")
    csrf = {CSRF_HEADER: session(teacher)["csrf"]}
    assert teacher.post("/v1/imports", json=body, headers=csrf).status_code == 202
    assert problem(teacher.post("/v1/jobs/none/cancel", headers=csrf)) == (404, "not-found")


def test_the_token_of_another_session_is_of_no_use(school: School, teacher: httpx.Client) -> None:
    with school.signed_in("teacher") as other:
        token = session(other)["csrf"]
    answer = teacher.post("/v1/imports", json={"records": [RECORD]}, headers={CSRF_HEADER: token})
    assert problem(answer) == (403, "csrf")


def test_signing_out_ends_the_session_at_both_doors_and_at_the_issuer(school: School) -> None:
    with school.signed_in("teacher") as visitor:
        kept = visitor.cookies[COOKIE]
        visitor.cookies.delete(COOKIE)
        # The issuer still knows the visitor.
        assert str(visitor.get("/ui/login").url) == f"{school.url}/ui/"
        csrf = {CSRF_HEADER: session(visitor)["csrf"]}
        last = visitor.cookies[COOKIE]
        assert last != kept
        assert (
            str(visitor.get(visitor.post("/ui/logout", headers=csrf).json()["next"]).url)
            == f"{school.url}/ui/"
        )
        assert form_action(visitor.get("/ui/login"))  # the issuer asks for the password again
        for path in ("/v1/insights/choices", "/v1/jobs"):
            answer = httpx.get(f"{school.url}{path}", headers={"Cookie": f"{COOKIE}={last}"})
            assert problem(answer) == (401, "session"), path


def test_an_ended_session_is_told_and_begun_anew_without_a_password(school: School) -> None:
    with school.signed_in("teacher") as visitor, redis.Redis.from_url(school.redis) as client:
        for key in client.scan_iter("edugraph:session:*"):
            assert 0 < client.ttl(key) <= 7_200
            client.pexpire(key, 1)
        until(lambda: not list(client.scan_iter("edugraph:session:*")))
        assert session(visitor)["state"] == "ended"
        assert problem(visitor.get("/v1/insights/choices")) == (401, "session")
        assert problem(visitor.get("/v1/jobs")) == (401, "session")
        assert str(visitor.get("/ui/login").url) == f"{school.url}/ui/"
        assert session(visitor)["state"] == "in"


def test_a_code_that_another_browser_fetched_signs_nobody_in(school: School) -> None:
    """Out: drop the comparison of `state`, or the verifier."""
    with school.visitor() as one, school.visitor() as other:
        form = one.get("/ui/login")
        one.follow_redirects = False
        back = one.post(
            form_action(form), data={"username": "teacher", "password": PASSWORD}
        ).headers["location"]
        assert str(other.get(back).url) == f"{school.url}/ui/#overview?login=stale"
        # The code alone, with the other's own state: Keycloak asks for the verifier that the code was made for.
        begun = other.get("/ui/login")
        [asking] = [
            step for step in begun.history if "code_challenge" in step.headers.get("location", "")
        ]
        state = parse_qs(urlsplit(asking.headers["location"]).query)["state"][0]
        code = parse_qs(urlsplit(back).query)["code"][0]
        injected = other.get("/ui/callback", params={"code": code, "state": state})
        assert str(injected.url) == f"{school.url}/ui/#overview?login=refused"
        assert COOKIE not in other.cookies


@pytest.mark.parametrize("path", ["/", "/ui/", "/ui/login", "/ui/callback", "/ui/session", "/docs"])
def test_no_page_can_be_framed(school: School, teacher: httpx.Client, path: str) -> None:
    answer = httpx.get(
        f"{school.url}{path}", headers={"Cookie": f"{COOKIE}={teacher.cookies[COOKIE]}"}
    )
    assert answer.headers["x-frame-options"] == "DENY"
    assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]


def test_no_log_has_a_name_a_code_or_a_session(school: School, teacher: httpx.Client) -> None:
    logs = "".join(path.read_text() for path in school.logs.glob("*.log"))
    assert "/ui/callback" in logs
    for secret in ("Tessa", "code=", teacher.cookies[COOKIE], session(teacher)["csrf"]):
        assert secret not in logs
