"""A classmate's name, and a text without consent, never reach the provider: the real processes, scripted provider."""

import json
import zipfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from beside import scripted_provider
from engines import Engine, System, embedded_engine, real_engine
from waiting import until

from edugraph_cli.serving import Pools
from edugraph_common.runtime.shared_state.course_members import CourseMembers
from edugraph_common.runtime.shared_state.job_store import connect

CLASSMATE, AUTHOR = "诸葛亦凡", "赵一诺"
KINDS = [
    pytest.param(real_engine, marks=pytest.mark.real),
    pytest.param(embedded_engine, marks=[pytest.mark.embedded, pytest.mark.twin]),
]


@pytest.fixture
def provider() -> Iterator[str]:
    with scripted_provider() as url:
        yield url


@pytest.fixture(params=KINDS)
def system(request: pytest.FixtureRequest, provider: str, tmp_path: Path) -> Iterator[System]:
    start: Callable[[Path], AbstractContextManager[Engine]] = request.param
    own = {
        "EDUGRAPH_OPENAI_API_KEY": f"names-{uuid4().hex[:8]}",
        "EDUGRAPH_OPENAI_BASE_URL": provider,
        "EDUGRAPH_STUDENTS_WITHOUT_CONSENT": '["stu-unasked"]',
        "EDUGRAPH_COURSES_WITHOUT_CONSENT": '["COURSE-UNASKED"]',
    }
    with (
        start(tmp_path) as servers,
        replace(servers, environment=servers.environment | own).serve(Pools(1, 1, 1)) as system,
    ):
        yield system


def mistake(
    number: int, text: str, course: str, student: str = "stu-1", **envelope: Any
) -> dict[str, Any]:
    data = {"student_id": student, "student_name": AUTHOR, "course_id": course, "error_text": text}
    head = {"type": "error_record", "timestamp": "2026-01-05T08:00:00Z", "record_id": f"e{number}"}
    return {**head, **envelope, "data": data}


def test_a_name_of_the_course_and_a_text_without_consent_never_leave(
    system: System, provider: str, tmp_path: Path
) -> None:
    def sent() -> str:
        answer = httpx.get(f"{provider.removesuffix('/v1')}/log?bodies=1", timeout=20)
        return json.dumps(answer.json(), ensure_ascii=False)

    course = f"C-{uuid4().hex[:8]}"
    joined = {"student_id": "stu-2", "student_name": CLASSMATE, "course_id": course, "progress": 5}
    told = f"我和{CLASSMATE}一起算，还是把 1/2 + 1/3 算成了 2/5"
    records = [
        {
            "type": "course_record",
            "timestamp": "2026-01-05T08:00:00Z",
            "record_id": "c1",
            "data": joined,
        },
        mistake(1, told, course),
        mistake(2, "UNASKED-RECORD 2/5", course, consent=False),
        mistake(3, "UNASKED-STUDENT 2/5", course, "stu-unasked"),
        mistake(4, "UNASKED-COURSE 2/5", "COURSE-UNASKED"),
    ]
    file = tmp_path / "records.ndjson"
    file.write_text("".join(json.dumps(record) + "\n" for record in records))
    report = system.import_and_report(file, "--analyze")
    analysis = report["analysis"]
    assert isinstance(analysis, dict)
    assert report["state"] == "succeeded", report
    assert (analysis["expected"], analysis["done"], analysis["withheld"], analysis["failed"]) == (
        4,
        4,
        3,
        0,
    )
    assert "一起算，还是把" in sent()

    # An analysis that is asked for by the API, when nobody has told who is in the course: the analyzer asks.
    with connect(system.engine.environment["EDUGRAPH_REDIS_URL"]) as client:
        CourseMembers(client).forget()
    job = system.client.analyze(
        "errors", [mistake(5, f"{CLASSMATE}说这道题应该先通分", course)]
    ).job_id
    until(lambda: system.client.job(job).state == "succeeded", 60)
    assert "说这道题应该先通分" in sent()

    # Whoever is restricted is read no more, and is when the restriction is lifted.
    for option, state in ((), 1), (("--lift",), 0):
        done = system.edugraph("restrict", "stu-1", *option)
        assert done.returncode == 0, done.stderr
        text = "RESTRICTED-TEXT 2/5" if state else "LIFTED-TEXT 2/5"
        job = system.client.analyze("errors", [mistake(6 + state, text, course)]).job_id
        until(lambda job=job: system.client.job(job).state == "succeeded", 60)  # type: ignore[misc]
        assert system.client.job(job).analysis.withheld == state
    assert system.edugraph("restrict", "nobody").returncode == 2
    assert "LIFTED-TEXT" in sent()

    exported = tmp_path / "person.zip"
    done = system.edugraph("export-person", "stu-1", "-o", str(exported))
    assert done.returncode == 0, done.stderr
    assert exported.stat().st_mode & 0o777 == 0o600
    with zipfile.ZipFile(exported) as archive:
        parts = {name: archive.read(name).decode() for name in archive.namelist()}
    assert "UNASKED-RECORD" in parts["files/rows.ndjson"]
    assert "UNASKED-RECORD" in parts["graph/records.ndjson"]
    assert "UNASKED-STUDENT" not in "".join(parts.values())
    assert "NOT READ" in parts["index.txt"]  # the dead letters

    for private in (CLASSMATE, AUTHOR, "UNASKED", "RESTRICTED-TEXT"):
        assert private not in sent()
