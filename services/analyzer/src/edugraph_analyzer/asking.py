"""Ask the model about one thing that a person waits for, within a day's budget, and once more after a bad answer."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal, TypeVar

from edugraph_analyzer.costs import Spending
from edugraph_analyzer.course_names import CourseNames, MembersUnknown
from edugraph_analyzer.prompting.questions import LLMRequest, repair_of
from edugraph_analyzer.sending import Bill, Completes, Payer
from edugraph_analyzer.settings import AnalyzerSettings
from edugraph_common.runtime.shared_state.course_members import CourseMembers

# A person waits, so a bad answer is repaired once.
MOST_REQUESTS = 2

Read = TypeVar("Read")


class NotUsable(Exception):
    """An answer cannot be used. `problem` says why, and quotes nothing of the answer."""

    def __init__(self, problem: str) -> None:
        super().__init__(problem)
        self.problem = problem


@dataclass(frozen=True)
class Errand:
    """A reason to ask. The requests of a day have one budget, that of the job `{budget}-{day}`.

    The repair turn shows at most `longest_shown` characters of an answer that cannot be used.
    """

    purpose: Literal["draft", "question"]
    budget: str
    longest_shown: int


@dataclass(frozen=True)
class Asker:
    """Asks for drafts and for questions in words, outside of the jobs. `client` returns the client of the model.

    `prepared` prepares the names of the people of a course. `members` is None in an evaluation.
    """

    settings: AnalyzerSettings
    client: Callable[[], Completes]
    spending: Spending
    members: CourseMembers | None
    prepared: Callable[[tuple[str, ...]], CourseNames]
    new_id: Callable[[], str]
    now: Callable[[], datetime]

    def names_of(self, course_ids: Sequence[str]) -> list[CourseNames]:
        """Return the names of the people of each course. Raises MembersUnknown."""
        if self.members is None:
            return []
        known = self.members.of(list(course_ids))
        unknown = tuple(each for each in course_ids if each not in known)
        if unknown:
            raise MembersUnknown(unknown)
        return [self.prepared(known[course_id]) for course_id in course_ids]

    def ask(
        self, first: LLMRequest, read: Callable[[str], Read], errand: Errand, bill: Bill
    ) -> Read:
        """Return what `read` makes of the model's answer. All requests are added to the bill, whatever is raised.

        `read` raises NotUsable for a bad answer. The model is then asked once more with the answer and its problem.
        Raises NotUsable if the second answer is bad as well, and what `Payer.send` raises.
        """
        model = self.settings.model_for(first.kind)
        payer = self._payer(model, errand, bill)
        client = self.client()
        request = first
        problem = ""
        for _ in range(MOST_REQUESTS):
            response = payer.send(client, request, _no_check)
            try:
                found = read(response.text)
            except NotUsable as wrong:
                problem = wrong.problem
                client.judge(f"the answers of the model {model!r} could not be used: {problem}")
                shown = response.text[: errand.longest_shown]
                request = replace(first, messages=[*first.messages, *repair_of(shown, problem)])
            else:
                client.judge("")
                return found
        raise NotUsable(problem)

    def _payer(self, model: str, errand: Errand, bill: Bill) -> Payer:
        job_id = f"{errand.budget}-{self.now():%Y-%m-%d}"
        price = self.settings.price_of(model)
        return Payer(self.spending, job_id, errand.purpose, model, price, bill)


def _no_check() -> None:
    """Let every request be sent: a person cannot cancel it."""
