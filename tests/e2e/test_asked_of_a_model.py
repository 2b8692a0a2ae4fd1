"""A draft and a question in words on the real way: insights, gateway, the analyzer's worker and a provider over HTTP."""

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from beside import scripted_provider
from engines import Engine, System, embedded_engine, real_engine

from edugraph_cli.serving import Pools
from edugraph_client import Client, Refused
from edugraph_common.contracts.drafts import Draft
from edugraph_common.contracts.wordings import ChosenQuestion

STUDENTS = {"stu-1": "Anna Keller", "stu-2": "Ben Adeyemi"}
COURSE = "MATH8"
COURSE_NAME = "Mathematics 8"
# A student of the course whom T01 does not lead.
STRANGER = "Lena Fischer"
# A text that each mistake has, and that the draft may quote.
TEXT = "added the denominators of 1/2 and 1/3"
DRAFTS = "You write a draft"
QUESTIONS = "You are given one question"
KINDS = [
    pytest.param(real_engine, marks=pytest.mark.real),
    pytest.param(embedded_engine, marks=[pytest.mark.embedded, pytest.mark.twin]),
]


@dataclass(frozen=True)
class School:
    """The running services, with the client of the teacher T01 and the address of the provider."""

    system: System
    teacher: Client
    provider: str

    def says(self, instructions: str, *texts: str) -> None:
        """Let the provider answer requests with these instructions by these texts. Its log is emptied."""
        script = {"says": {instructions: texts}}
        httpx.post(f"{self.provider}/script", json=script, timeout=20).raise_for_status()

    @property
    def sent(self) -> list[str]:
        """The bodies of the requests that the provider got."""
        log = httpx.get(f"{self.provider}/log?bodies=1", timeout=20).json()
        bodies = []
        for request in log["requests"]:
            bodies.append(json.dumps(json.loads(request["body"]), ensure_ascii=False))
        return bodies


def records() -> list[dict[str, Any]]:
    """Return the records of a class that T01 leads. Each student made two mistakes."""
    found: list[dict[str, Any]] = []

    def add(record_type: str, **data: Any) -> None:
        head = {"type": record_type, "record_id": f"r{len(found)}"}
        found.append({**head, "timestamp": "2026-09-05T08:00:00Z", "data": data})

    add("membership_record", group_id="8A", course_id=COURSE, teacher_id="T01", role="leader")
    for student, name in STUDENTS.items():
        of_student = {"student_id": student, "student_name": name, "course_id": COURSE}
        add("course_record", **of_student, course_name=COURSE_NAME)
        add("membership_record", group_id="8A", course_id=COURSE, student_id=student)
        for number in range(2):
            text = f"{name} {TEXT}, try {number}"
            add("error_record", **of_student, error_text=text, error_type="denominators")
    add("course_record", student_id="stu-9", student_name=STRANGER, course_id=COURSE)
    return found


def key(system: System, *options: str) -> str:
    made = system.edugraph("keys", "create", "test", *options, "--json")
    assert made.returncode == 0, made.stderr
    token: str = json.loads(made.stdout)["key"]
    return token


@pytest.fixture(scope="module", params=KINDS)
def school(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[School]:
    start: Callable[[Path], AbstractContextManager[Engine]] = request.param
    folder = tmp_path_factory.mktemp("asked")
    with ExitStack() as stack:
        provider = stack.enter_context(scripted_provider())
        servers = stack.enter_context(start(folder))
        own = {
            "EDUGRAPH_AUTH": "on",
            "EDUGRAPH_OPENAI_API_KEY": f"asked-{uuid4().hex[:8]}",
            "EDUGRAPH_OPENAI_BASE_URL": provider,
        }
        engine = replace(servers, environment=servers.environment | own)
        system = stack.enter_context(engine.serve(Pools(1, 1, 1)))

        def client(token: str) -> Client:
            made = Client(system.url, token, insights_url=system.insights)
            return stack.enter_context(made)

        scopes = [f"--scope={scope}" for scope in ("submit", "roster", "read", "personal")]
        office = client(key(system, *scopes))
        rights = ("--role=teacher", "--person=T01", "--scope=read", "--scope=personal")
        teacher = client(key(system, *rights))
        file = folder / "records.ndjson"
        file.write_text("".join(json.dumps(record) + "\n" for record in records()))
        job = office.import_file(file, analyze=True).job_id
        *_, report = office.follow(job)
        assert (report.state, report.analysis.done) == ("succeeded", 4)
        yield School(system, teacher, provider.removesuffix("/v1"))


def check_without_names(school: School, requests: int) -> None:
    """Check the number of requests to the provider, and that none of them names a student."""
    sent = school.sent
    assert len(sent) == requests
    for name in (*STUDENTS, *STUDENTS.values(), "Anna", "Adeyemi"):
        assert name not in "".join(sent)


def test_a_draft_cites_records_and_names_nobody_to_the_provider(school: School) -> None:
    """The first answer is not JSON, so the model is asked once more. Out: the repair, the marks, or a check."""
    basis = school.teacher.permit_draft(COURSE)
    assert len(basis.records) == 4
    numbers = [each.number for each in basis.records if each.student_id == "stu-2"]
    other = next(each.number for each in basis.records if each.student_id == "stu-1")
    answer = {
        "sentences": [
            f"S2 adds the denominators [{numbers[0]}][{numbers[1]}].",
            f"S2 does not listen [{other}].",
            "The class is lazy.",
            "All of them will fail [99].",
        ]
    }
    school.says(DRAFTS, "Here is your draft.", json.dumps(answer))
    task = school.teacher.follow_task(school.teacher.write_draft(basis).task_id)
    draft = Draft.model_validate(task["result"])
    assert (draft.state, draft.removed, draft.cut) == ("draft", 3, 0)
    [sentence] = draft.sentences
    assert sentence.text == "Ben Adeyemi adds the denominators."
    assert sentence.cites == tuple(numbers)
    assert {each.student_id for each in draft.records} == {"stu-2"}
    check_without_names(school, 2)
    assert TEXT in school.sent[0]


def test_a_question_in_words_is_answered_by_a_typed_question(school: School) -> None:
    """Out: the names that insights replaces, the repair, or the resolution of marks."""
    text = "Which points are weak for Ben Adeyemi?"
    basis = school.teacher.prepare_words(text, course_id=COURSE)
    [student] = [each for each in basis.named if each.mark.startswith("s")]
    assert student.mark in basis.text
    assert "Adeyemi" not in basis.model_dump_json()
    choice = {"question": "student", "parameters": {"student": student.mark}}
    school.says(QUESTIONS, '{"question": "everything", "parameters": {}}', json.dumps(choice))
    task = school.teacher.follow_task(school.teacher.choose_question(basis).task_id)
    chosen = ChosenQuestion.model_validate(task["result"])
    assert (chosen.state, chosen.question) == ("chosen", "student")
    check_without_names(school, 2)

    understood = school.teacher.resolve_choice(text, chosen, course_id=COURSE)
    parameters = {each.parameter: each.id for each in understood.parameters}
    assert (understood.question, parameters) == (
        "student",
        {"course": COURSE, "student": "stu-2"},
    )
    answer = school.teacher.ask(understood.question, **parameters)
    assert answer.parameters["student"] == "stu-2"


def test_a_text_about_a_student_of_somebody_else_never_leaves(school: School) -> None:
    """Out: the look for persons in `choose`."""
    school.says(QUESTIONS)
    text = f"Is {STRANGER} better than Anna Keller?"
    basis = school.teacher.prepare_words(text, course_id=COURSE)
    assert STRANGER in basis.text
    task = school.teacher.follow_task(school.teacher.choose_question(basis).task_id)
    assert ChosenQuestion.model_validate(task["result"]).reason == "person"
    assert school.sent == []


def test_nothing_is_asked_without_the_permit_of_insights(school: School) -> None:
    """Out: `_permit` of the gateway, for drafts or for questions."""
    school.says(DRAFTS, '{"sentences": []}')
    basis = school.teacher.permit_draft(COURSE)
    [first, *others] = basis.records
    changed = first.model_copy(update={"text": "Is this my record?"})
    with pytest.raises(Refused) as refused:
        school.teacher.write_draft(basis.model_copy(update={"records": (changed, *others)}))
    assert refused.value.status == 403
    words = school.teacher.prepare_words("Who needs help?", course_id=COURSE)
    with pytest.raises(Refused) as refused:
        school.teacher.choose_question(words.model_copy(update={"text": "Who is Anna Keller?"}))
    assert refused.value.status == 403
    assert school.sent == []
