"""Choose one typed question for a text: refuse persons who cannot be asked about, and ask the model in the budget."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

import structlog

from edugraph_analyzer.costs import Spending
from edugraph_analyzer.course_names import CourseNames, MembersUnknown
from edugraph_analyzer.prompting.questions import Unanswerable, repair_of
from edugraph_analyzer.sending import Completes, Payer
from edugraph_analyzer.settings import AnalyzerSettings
from edugraph_analyzer.wording.offline import offline_choice
from edugraph_analyzer.wording.prompt import MODEL_OF, redacted, request_of
from edugraph_analyzer.wording.reading import Choice, NotAChoice, choice_of
from edugraph_common.contracts.errors import BudgetSpent, Rejected
from edugraph_common.contracts.messages import ChooseQuestion
from edugraph_common.contracts.wordings import ChosenQuestion, Failure, Refusal, WordsBasis
from edugraph_common.runtime.shared_state.course_members import CourseMembers

log = structlog.get_logger()

WORDS_OF_REFUSAL: dict[Refusal, str] = {
    "unanswerable": "none of the questions that you may ask answers this",
    "person": "the text names a person about whom you may not ask, or whom the course does not have",
}
WORDS_OF_FAILURE: dict[Failure, str] = {
    "ended": "the permit of this question has ended; ask again",
    "budget": "the budget of today's questions in words is spent",
    "provider": "the language model does not answer; ask again later, or choose the question",
    "unreadable": "the model chose no question of the list, twice",
}
# The repair turn shows at most this many characters of an answer that cannot be read.
_LONGEST_SHOWN_ANSWER = 2_000


@dataclass(frozen=True)
class QuestionChooser:
    """Chooses questions. `client` returns the client of the model.

    The questions of a day share one budget, that of a job. `prepared` prepares the names of the people of a course.
    `members` is None in an evaluation. Without a model the phrases of the questions choose.
    """

    settings: AnalyzerSettings
    client: Callable[[], Completes]
    spending: Spending
    members: CourseMembers | None
    prepared: Callable[[tuple[str, ...]], CourseNames]
    new_id: Callable[[], str]
    now: Callable[[], datetime]

    def choose(self, message: ChooseQuestion) -> ChosenQuestion:
        """Return the chosen question, or why there is none. A text that names an unknown person is never sent.

        Raises MembersUnknown, and Retryable or Wait if the provider does not answer now.
        """
        basis = message.basis
        members = self._names(basis.course_ids)
        text = redacted(basis, self.settings, members)
        if text.names_person:
            return refused(message, "person")
        if not self.settings.has_provider:
            return _as_result(message, offline_choice(text.text, basis))
        try:
            choice, cost = self._asked(basis, text.text, members)
        except BudgetSpent:
            return failed(message, "budget")
        except NotAChoice:
            return failed(message, "unreadable")
        except (Unanswerable, Rejected):
            return failed(message, "provider")
        result = _as_result(message, choice)
        log.info("question_chosen", state=result.state, question=result.question)
        return result.model_copy(update={"model": self._model, "cost": cost})

    def _names(self, course_ids: tuple[str, ...]) -> list[CourseNames]:
        """Return the names of the people of the courses. Raises MembersUnknown."""
        if self.members is None:
            return []
        known = self.members.of(list(course_ids))
        unknown = tuple(each for each in course_ids if each not in known)
        if unknown:
            raise MembersUnknown(unknown)
        return [self.prepared(known[course_id]) for course_id in course_ids]

    def _asked(
        self, basis: WordsBasis, text: str, members: list[CourseNames]
    ) -> tuple[Choice, float]:
        """Return the choice of the model and its cost. An answer that is not a choice is asked for once more.

        Raises NotAChoice.
        """
        first = request_of(basis, text, self.settings, members, self.new_id)
        request = first
        client = self.client()
        payer = self._payer
        cost = 0.0
        problem = ""
        for _ in range(2):
            response = payer.send(client, request, _no_check)
            cost += payer.cost_of(response)
            try:
                choice = choice_of(response.text, basis)
            except NotAChoice as wrong:
                problem = wrong.problem
                client.judge(
                    f"the answers of the model {self._model!r} could not be used: {problem}"
                )
                shown = response.text[:_LONGEST_SHOWN_ANSWER]
                request = replace(first, messages=[*first.messages, *repair_of(shown, problem)])
            else:
                client.judge("")
                return choice, cost
        raise NotAChoice(problem)

    @property
    def _model(self) -> str:
        return self.settings.model_for(MODEL_OF)

    @property
    def _payer(self) -> Payer:
        job_id = f"questions-{self.now():%Y-%m-%d}"
        price = self.settings.price_of(self._model)
        return Payer(self.spending, job_id, "question", self._model, price)


def refused(message: ChooseQuestion, reason: Refusal) -> ChosenQuestion:
    """Return the result of a text that no permitted question answers."""
    words = WORDS_OF_REFUSAL[reason]
    return ChosenQuestion(job_id=message.job_id, state="refused", reason=reason, error=words)


def failed(message: ChooseQuestion, reason: Failure) -> ChosenQuestion:
    """Return the result of a question that could not be chosen."""
    words = WORDS_OF_FAILURE[reason]
    return ChosenQuestion(job_id=message.job_id, state="failed", reason=reason, error=words)


def _as_result(message: ChooseQuestion, choice: Choice) -> ChosenQuestion:
    if choice.question is None:
        return refused(message, "unanswerable")
    return ChosenQuestion(
        job_id=message.job_id,
        state="chosen",
        question=choice.question,
        parameters=dict(choice.parameters),
    )


def _no_check() -> None:
    """Let every request be sent: a question cannot be cancelled."""
