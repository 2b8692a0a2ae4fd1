"""Made-up live requests: xAPI statements and records, each with the fact that it states.

A fact is known here before anything is sent, so that the graph can be judged without the code that reads statements.
"""

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

LMS = "https://lms.example"
XAPI_SOURCES = ("lms", "player")
RECORD_SOURCES = ("lab", "desk")
ACTIVITY = "activity_record"
# Label of a record in the graph -> its type.
TYPE_OF = {"Attempt": "attempt_record", "ErrorRecord": "error_record", "Interaction": "post_record"}
LARGEST_LIST = 10
STUDENTS, COURSES, ITEMS = 30, 3, 20
SHARE_WITH_IDS = 0.5
SHARE_SINGLE = 0.4
# Clients that do not try again, as a page that somebody closes.
SHARE_IMPATIENT = 0.25
# Requests whose first try waits for so short a time that it misses many answers, also those to accepted requests.
SHARE_HASTY = 0.2
HASTY_SECONDS, USUAL_SECONDS = 0.3, 20.0
RECORDS_BEGIN = datetime(2026, 1, 5, 8, tzinfo=UTC)
ACTIVITY_BEGINS = datetime(2026, 3, 2, 8, tzinfo=UTC)


class Fact(NamedTuple):
    """The content of a row about a student. `text` is in no other row.

    `label` is that of the record in the graph, and empty for an activity, which is not a record there. `sent_id` is the id
    that the sender gave, or None. An attempt is `right` or wrong.
    """

    label: str
    student: str
    text: str
    sent_id: str | None
    right: bool | None = None


@dataclass(frozen=True)
class LiveRequest:
    """A request of a source, its body as it is sent each time, and the rows and facts in it.

    With `is_patient` the client sends it again until it is accepted. `timeout` is that of the first try.
    """

    source: str
    path: str
    body: bytes
    rows: tuple[dict[str, Any], ...]
    facts: tuple[Fact, ...]
    is_patient: bool
    timeout: float

    @property
    def is_xapi(self) -> bool:
        return self.source in XAPI_SOURCES


def requests_of(seed: int, client: int, source: str) -> Iterator[LiveRequest]:
    """Yield the requests of one client, without an end. Other clients and seeds have other texts."""
    rng = random.Random(f"{seed} {client}")
    # Clients 2n and 2n + 1 belong to two sources, and give their records the same ids.
    prefix = f"r{client // 2}"
    is_xapi = source in XAPI_SOURCES
    number = 0
    while True:
        is_patient = rng.random() >= SHARE_IMPATIENT
        is_single = rng.random() < SHARE_SINGLE
        size = 1 if is_single else rng.randrange(1, LARGEST_LIST + 1)
        rows = []
        facts = []
        for _ in range(size):
            number += 1
            text = f"{seed}-{client}-{number}"
            if is_xapi:
                row, fact = _statement(rng, text, number, may_be_activity=is_patient)
            else:
                row, fact = _record(rng, text, number, f"{prefix}-{number}")
            rows.append(row)
            facts.append(fact)
        content: Any = {"records": rows}
        if is_xapi:
            content = rows[0] if is_single else rows
        yield LiveRequest(
            source=source,
            path="/xapi/statements" if is_xapi else f"/v1/sources/{source}/records",
            body=json.dumps(content).encode(),
            rows=tuple(rows),
            facts=tuple(facts),
            is_patient=is_patient,
            timeout=HASTY_SECONDS if rng.random() < SHARE_HASTY else USUAL_SECONDS,
        )


def _statement(
    rng: random.Random, text: str, number: int, *, may_be_activity: bool
) -> tuple[dict[str, Any], Fact]:
    """Return a statement and its fact. The graph cannot tell whether a single activity arrived."""
    student = f"student-{rng.randrange(STUDENTS)}"
    verbs = ["answered", "answered", "commented"]
    if may_be_activity:
        verbs.append("experienced")
    verb = rng.choice(verbs)
    right = rng.random() < 0.6
    begin = ACTIVITY_BEGINS if verb == "experienced" else RECORDS_BEGIN
    statement: dict[str, Any] = {
        "actor": {"account": {"homePage": LMS, "name": student}},
        "verb": {"id": f"http://adlnet.gov/expapi/verbs/{verb}"},
        "object": _object(verb, rng.randrange(ITEMS)),
        "context": {"contextActivities": {"parent": [_course(rng)]}},
        "timestamp": _moment(begin, number),
    }
    if verb == "answered":
        statement["result"] = {"success": right, "response": text}
    if verb == "commented":
        statement["result"] = {"response": text}
    if verb == "experienced":
        # Two pages that one student reads at one moment would otherwise be one statement without an id.
        statement["object"]["id"] += f"/{text}"
    sent_id = None
    if rng.random() < SHARE_WITH_IDS:
        sent_id = str(UUID(int=rng.getrandbits(128), version=4))
        statement["id"] = sent_id
    label = {"answered": "Attempt", "commented": "Interaction", "experienced": ""}[verb]
    outcome = right if verb == "answered" else None
    return statement, Fact(label, f"{LMS}|{student}", text, sent_id, outcome)


def _object(verb: str, number: int) -> dict[str, Any]:
    if verb == "answered":
        kind, path = "http://adlnet.gov/expapi/activities/question", "q"
    elif verb == "commented":
        kind, path = "http://id.tincanapi.com/activitytype/discussion", "talk"
    else:
        kind, path = "http://activitystrea.ms/schema/1.0/page", "page"
    return {"id": f"{LMS}/{path}/{number}", "definition": {"type": kind}}


def _course(rng: random.Random) -> dict[str, Any]:
    kind = "http://adlnet.gov/expapi/activities/course"
    return {"id": f"{LMS}/course/{rng.randrange(COURSES)}", "definition": {"type": kind}}


def _record(
    rng: random.Random, text: str, number: int, sent_id: str
) -> tuple[dict[str, Any], Fact]:
    """Return a record with this id, and its fact."""
    student = f"pupil-{rng.randrange(STUDENTS)}"
    data: dict[str, Any] = {"student_id": student, "course_id": f"course-{rng.randrange(COURSES)}"}
    kind = rng.choice(("error_record", "attempt_record"))
    if kind == "error_record":
        data |= {"error_text": text, "error_type": f"slip {rng.randrange(5)}"}
        fact = Fact("ErrorRecord", student, text, sent_id)
    else:
        right = rng.random() < 0.6
        data |= {"item_id": f"item-{rng.randrange(ITEMS)}", "correct": right, "response": text}
        fact = Fact("Attempt", student, text, sent_id, right)
    row = {
        "type": kind,
        "record_id": sent_id,
        "timestamp": _moment(RECORDS_BEGIN, number),
        "data": data,
    }
    return row, fact


def _moment(begin: datetime, number: int) -> str:
    moment = begin + timedelta(minutes=number)
    return moment.isoformat().replace("+00:00", "Z")
