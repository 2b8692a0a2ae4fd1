"""Choose one typed question for a text: refuse persons who cannot be asked about, and ask the model in the budget."""

from dataclasses import dataclass
from functools import partial

import structlog

from edugraph_analyzer.asking import Asker, Errand, NotUsable
from edugraph_analyzer.prompting.questions import Unanswerable
from edugraph_analyzer.sending import Bill
from edugraph_analyzer.wording.offline import offline_choice
from edugraph_analyzer.wording.prompt import MODEL_OF, redacted, request_of
from edugraph_analyzer.wording.reading import Choice, choice_of
from edugraph_analyzer.wording.usual_words import has_word_near_a_name, only_usual_words
from edugraph_common.contracts.errors import BudgetSpent, Rejected
from edugraph_common.contracts.messages import ChooseQuestion
from edugraph_common.contracts.wordings import ChosenQuestion, Failure, Refusal

log = structlog.get_logger()

WORDS_OF_REFUSAL: dict[Refusal, str] = {
    "unanswerable": "none of the questions that you may ask answers this",
    "person": "the text names a person about whom you may not ask, or whom the course does not have",
    "near": "a word of the text is almost the name of a person of the course; write names as the list of students "
    "has them, or leave them out; nothing was sent",
}
WORDS_OF_FAILURE: dict[Failure, str] = {
    "ended": "the permit of this question has ended; ask again",
    "budget": "the budget of today's questions in words is spent",
    "provider": "the language model does not answer; ask again later, or choose the question",
    "unreadable": "the model chose no question of the list, twice",
}
_ERRAND = Errand(purpose="question", budget="questions", longest_shown=2_000)


@dataclass(frozen=True)
class QuestionChooser:
    """Chooses questions. The questions of a day share one budget, that of a job.

    Without a model the phrases of the questions choose.
    """

    asker: Asker

    def choose(self, message: ChooseQuestion) -> ChosenQuestion:
        """Return the chosen question, or why there is none.

        A text that names an unknown person is never sent. Only the usual words of any other text are sent.

        Raises MembersUnknown, and Retryable or Wait if the provider does not answer now.
        """
        basis = message.basis
        settings = self.asker.settings
        members = self.asker.names_of(basis.course_ids)
        text = redacted(basis, settings, members)
        if text.names_person:
            return refused(message, "person")
        if not settings.has_provider:
            return _as_result(message, offline_choice(text.text, basis))
        if has_word_near_a_name(text.text, members):
            return refused(message, "near")
        usual = only_usual_words(text.text)
        request = request_of(basis, usual, settings, members, self.asker.new_id)
        read = partial(choice_of, basis=basis)
        bill = Bill()
        try:
            result = _as_result(message, self.asker.ask(request, read, _ERRAND, bill))
        except BudgetSpent:
            result = failed(message, "budget")
        except NotUsable:
            result = failed(message, "unreadable")
        except (Unanswerable, Rejected):
            result = failed(message, "provider")
        log.info("question_chosen", state=result.state, question=result.question)
        return result.model_copy(update=bill.stated(settings.model_for(MODEL_OF)))


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
