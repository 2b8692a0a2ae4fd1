"""Restricted students: their list, and answers without their data, which are kept and not shown to anybody.

The importer, which reads the graph, provides the list. Rows, records and findings of restricted students are left out
of answers, and so is each value that may be theirs. The importer makes exports of a person's own data, which are
complete.
"""

import json
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from pydantic import ValidationError

from edugraph_common.contracts.errors import Retryable
from edugraph_common.contracts.outcomes import JobReport, Reject
from edugraph_common.contracts.records import InvalidRecord
from edugraph_common.runtime.shared_state.course_members import CourseMembers
from edugraph_common.sources import ReadPlan
from edugraph_common.sources.person import RestrictedPeople, Scrubbed

ANSWER_LIFETIME_SECONDS = 5.0
# The importer has this long to provide the list, and the gateway looks for it at this interval.
TELL_WITHIN_SECONDS = 2.0
LOOK_AGAIN_SECONDS = 0.1
HIDDEN = "not shown: a student in it is restricted"


class Restrictions:
    """The restricted students. `read` returns their ids, and raises Retryable if the list is unknown.

    The result of `read`, also a failure, is used for some seconds, so that an importer that does not answer holds up
    only one request in this time.
    """

    def __init__(
        self, read: Callable[[], frozenset[str]], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._read = read
        self._clock = clock
        self._asked_at = -ANSWER_LIFETIME_SECONDS
        self._answer: RestrictedPeople | Retryable | None = None
        self._asking = threading.Lock()

    def ids(self) -> frozenset[str]:
        """Return the ids of all restricted students at this moment. Raises Retryable."""
        return self._read()

    def people(self) -> RestrictedPeople | None:
        """Return the restricted students, or None if there are none. Raises Retryable."""
        with self._asking:
            if self._clock() - self._asked_at >= ANSWER_LIFETIME_SECONDS:
                try:
                    ids = self._read()
                    self._answer = None
                    if ids:
                        self._answer = RestrictedPeople(ids)
                except Retryable as away:
                    self._answer = away
                self._asked_at = self._clock()
            answer = self._answer
        if isinstance(answer, Retryable):
            raise answer
        return answer

    def are_unknown(self) -> bool:
        """Return whether the list of restricted students is unknown now."""
        try:
            self.people()
        except Retryable:
            return True
        return False


def restricted_from_importer(
    members: CourseMembers, ask: Callable[[], None], sleep: Callable[[float], None] = time.sleep
) -> frozenset[str]:
    """Return the ids of all restricted students, from the list that the importer wrote into Redis.

    After an erasure, or if Redis has lost its data, the list is missing. Then the importer is asked, and has a moment
    to answer. Raises Retryable.
    """
    ids = members.restricted()
    # The empty id, which no course has, stands for this list. The analyzer asks for it in the same way.
    if ids is None and members.to_ask([""]):
        ask()
    for _ in range(round(TELL_WITHIN_SECONDS / LOOK_AGAIN_SECONDS)):
        if ids is not None:
            return ids
        sleep(LOOK_AGAIN_SECONDS)
        ids = members.restricted()
    raise Retryable(
        "the importer does not say who is restricted, so nothing of any student is shown"
    )


def json_without(value: Any, who: RestrictedPeople | None) -> Any:
    """Return the result of a task or the arguments of a message without the parts that name one of these people."""
    if who is None or value is None:
        return value
    return json.loads(Scrubbed(who, json.dumps(value)).text)


def report_without(report: JobReport, who: RestrictedPeople | None) -> JobReport:
    """Return a report without wrong values, which may be from anybody's row, and without names that contain an id."""
    if who is None:
        return report

    def shown(text: str) -> str:
        if who.is_named_in(text):
            return HIDDEN
        return text

    errors = [error.model_copy(update={"found": ""}) for error in report.errors]
    update = {
        "source": shown(report.source),
        "error": report.error and shown(report.error),
        "errors": tuple(errors),
        "not_relevant": {shown(name): number for name, number in report.not_relevant.items()},
    }
    return report.model_copy(update=update)


def rejects_without(
    lines: Iterable[bytes], plan: ReadPlan, who: RestrictedPeople | None
) -> Iterator[bytes]:
    """Yield the rejects of a job. A row that names one of these people shows only that it was rejected.

    `plan` says how the rows of the job are read. A row that cannot be read names a person if it has the id as a word.
    """
    if who is None:
        yield from lines
        return
    source = plan.source
    for line in lines:
        try:
            reject = Reject.model_validate_json(line)
        except ValidationError:
            # This release cannot show a reject of another release.
            continue
        raw = reject.raw
        hidden = raw is None or who.is_named_in(raw)
        if raw is not None and not hidden:
            try:
                hidden = who.is_among(source.people(raw.encode(errors="replace")).ids)
            except InvalidRecord:
                hidden = False
        if hidden:
            reject = reject.model_copy(update={"found": "", "raw": None})
        yield f"{reject.model_dump_json()}\n".encode()
