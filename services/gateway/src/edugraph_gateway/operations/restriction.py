"""Who is restricted, and what is shown of answers without them: what is kept of them is shown to nobody.

The importer, which knows the graph, says who is restricted. Their rows, records and findings are left out of what
is shown, and with them each value that may be theirs. An export of a person's own data is made by the importer, and
shows it all.
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
from edugraph_common.platform.course_members import CourseMembers
from edugraph_common.sources import ReadPlan
from edugraph_common.sources.person import RestrictedPeople, Scrubbed

ANSWER_LIFETIME_SECONDS = 5.0
TELL_WITHIN_SECONDS, LOOK_AGAIN_SECONDS = 2.0, 0.1
HIDDEN = "not shown: a student in it is restricted"


class Restrictions:
    """`read` returns the ids of all students who are restricted, and raises Retryable when nobody can say.

    What it answered, or that it did not, is taken for the truth for some seconds, so that an importer which is away
    holds up one request in these seconds.
    """

    def __init__(self, read: Callable[[], frozenset[str]], clock: Callable[[], float] = time.monotonic) -> None:
        self._read, self._clock = read, clock
        self._asked_at = -ANSWER_LIFETIME_SECONDS
        self._answer: RestrictedPeople | Retryable | None = None
        self._asking = threading.Lock()

    def ids(self) -> frozenset[str]:
        """Return the ids of all of them as they are now. Raises Retryable."""
        return self._read()

    def people(self) -> RestrictedPeople | None:
        """Return None where nobody is restricted. Raises Retryable."""
        with self._asking:
            if self._clock() - self._asked_at >= ANSWER_LIFETIME_SECONDS:
                try:
                    ids = self._read()
                    self._answer = RestrictedPeople(ids) if ids else None
                except Retryable as away:
                    self._answer = away
                self._asked_at = self._clock()
            answer = self._answer
        if isinstance(answer, Retryable):
            raise answer
        return answer

    def are_unknown(self) -> bool:
        """Whether nobody can say now who is restricted."""
        try:
            self.people()
        except Retryable:
            return True
        return False


def told_by_importer(
    members: CourseMembers, ask: Callable[[], None], sleep: Callable[[float], None] = time.sleep
) -> frozenset[str]:
    """Return the ids of all students who are restricted, as the importer told them in Redis.

    Where it has told none, since an erasure or a Redis that lost everything, it is asked, and has a moment to answer.
    Raises Retryable.
    """
    ids = members.restricted()
    # An empty id, which no course has, stands for this list (see the analyzer, which asks for it too).
    if ids is None and members.to_ask([""]):
        ask()
    for _ in range(round(TELL_WITHIN_SECONDS / LOOK_AGAIN_SECONDS)):
        if ids is not None:
            return ids
        sleep(LOOK_AGAIN_SECONDS)
        ids = members.restricted()
    raise Retryable("the importer does not say who is restricted, so nothing of any student is shown")


def json_without(value: Any, who: RestrictedPeople | None) -> Any:
    """Return the result of a task or the arguments of a message without what names one of these people."""
    return value if who is None or value is None else json.loads(Scrubbed(who, json.dumps(value)).text)


def report_without(report: JobReport, who: RestrictedPeople | None) -> JobReport:
    """Leave out the values at fault, which say nothing of whose row they are of, and names with an id of them."""
    if who is None:
        return report

    def name(text: str) -> str:
        return HIDDEN if who.is_named_in(text) else text

    return report.model_copy(
        update={
            "source": name(report.source),
            "error": report.error and name(report.error),
            "errors": tuple(error.model_copy(update={"found": ""}) for error in report.errors),
            "not_relevant": {name(each): number for each, number in report.not_relevant.items()},
        }
    )


def rejects_without(lines: Iterable[bytes], plan: ReadPlan, who: RestrictedPeople | None) -> Iterator[bytes]:
    """Yield the rejects of a job, of a row that names one of these people only that it was set aside.

    `plan` is how the job's rows are read. A row that cannot be read counts as theirs if it has an id as a word.
    """
    if who is None:
        yield from lines
        return
    source = plan.source
    for line in lines:
        try:
            reject = Reject.model_validate_json(line)
        except ValidationError:
            continue  # it is none that this release can show
        raw = reject.raw
        hidden = raw is None or who.is_named_in(raw)
        if raw is not None and not hidden:
            try:
                hidden = who.is_among(source.people(raw.encode(errors="replace")).ids)
            except InvalidRecord:
                hidden = False
        shown = reject.model_copy(update={"found": "", "raw": None}) if hidden else reject
        yield f"{shown.model_dump_json()}\n".encode()
