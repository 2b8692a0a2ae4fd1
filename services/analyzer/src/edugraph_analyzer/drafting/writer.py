"""Write one draft: leave out what must not be read, ask the model within the budget, and check each sentence."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime

import structlog

from edugraph_analyzer.costs import Spending
from edugraph_analyzer.course_names import CourseNames, MembersUnknown
from edugraph_analyzer.drafting.prompt import MODEL_OF, DraftRequest, request_of
from edugraph_analyzer.drafting.sentences import CheckedSentences, checked, entries_of
from edugraph_analyzer.prompting.questions import Unanswerable, repair_of
from edugraph_analyzer.sending import Completes, Payer
from edugraph_analyzer.settings import AnalyzerSettings
from edugraph_common.contracts.drafts import CitedRecord, Draft, DraftBasis, DraftSentence
from edugraph_common.contracts.errors import BudgetSpent, Rejected
from edugraph_common.contracts.messages import WriteDraft
from edugraph_common.runtime.shared_state.course_members import CourseMembers

log = structlog.get_logger()

NO_MODEL = "drafts need a language model, and this installation has none (EDUGRAPH_MODEL)"
WITHHELD = "none of these records may be shown to a model: consent is missing, or their students are restricted"
UNREADABLE = "the model's answer could not be read, twice"
NOTHING_VALID = "no sentence of the model cited the records that it was shown"
# The repair turn shows at most this many characters of an answer that cannot be read.
_LONGEST_SHOWN_ANSWER = 4_000
_WRONG_FORM = 'it is not one JSON object {"sentences": [...]}'


class NotWritten(Exception):
    """There is no draft, for a `reason` that quotes no record."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True)
class DraftWriter:
    """Writes drafts. `client` returns the client of the model.

    The drafts of a day share one budget, that of a job. `prepared` prepares the names of the people of a course.
    `members` is None in an evaluation.
    """

    settings: AnalyzerSettings
    client: Callable[[], Completes]
    spending: Spending
    members: CourseMembers | None
    prepared: Callable[[tuple[str, ...]], CourseNames]
    new_id: Callable[[], str]
    now: Callable[[], datetime]

    def write(self, message: WriteDraft) -> Draft:
        """Return the draft, or why there is none. A spent budget or a refusal is such a reason.

        Raises MembersUnknown, and Retryable or Wait if the provider does not answer now.
        """
        try:
            return self._written(message)
        except (NotWritten, Unanswerable, BudgetSpent, Rejected) as error:
            return failed(message, error.reason)

    def _written(self, message: WriteDraft) -> Draft:
        if not self.settings.has_provider:
            raise NotWritten(NO_MODEL)
        basis = self._readable(message.basis)
        asked = request_of(basis, self.settings, self._names(basis.course_id), self.new_id)
        found, cost = self._asked(asked)
        if not found.sentences:
            draft = failed(message, NOTHING_VALID)
            return draft.model_copy(update={"removed": found.removed, "cost": cost})
        sentences = []
        for sentence in found.sentences:
            restored = asked.restored(sentence.text)
            sentences.append(DraftSentence(text=restored, cites=sentence.cites))
        log.info("draft_written", sentences=len(sentences), removed=found.removed, cut=found.cut)
        return Draft(
            job_id=message.job_id,
            state="draft",
            kind=basis.kind,
            course_id=basis.course_id,
            student_ids=message.basis.student_ids,
            language=basis.language,
            sentences=tuple(sentences),
            records=_cited(basis, sentences),
            removed=found.removed,
            cut=found.cut,
            model=self._model,
            cost=cost,
        )

    def _readable(self, basis: DraftBasis) -> DraftBasis:
        """Return the basis without restricted students and those without consent. Raises NotWritten."""
        restricted: frozenset[str] | None = frozenset()
        if self.members is not None:
            restricted = self.members.restricted()
        if restricted is None:
            raise MembersUnknown(())
        hidden = restricted | self.settings.students_without_consent
        records = tuple(each for each in basis.records if each.student_id not in hidden)
        students = tuple(each for each in basis.students if each.student_id not in hidden)
        if basis.course_id in self.settings.courses_without_consent or not records:
            raise NotWritten(WITHHELD)
        return basis.model_copy(update={"records": records, "students": students})

    def _names(self, course_id: str) -> list[CourseNames]:
        """Return the names of the people of the course. Raises MembersUnknown."""
        if self.members is None or not self.settings.redaction:
            return []
        known = self.members.of([course_id])
        if course_id not in known:
            raise MembersUnknown((course_id,))
        return [self.prepared(known[course_id])]

    def _asked(self, asked: DraftRequest) -> tuple[CheckedSentences, float]:
        """Return the checked sentences of the model, and their cost. An unreadable answer is asked for once more.

        Raises NotWritten.
        """
        request = asked.request
        client = self.client()
        payer = self._payer
        cost = 0.0
        for _ in range(2):
            response = payer.send(client, request, _no_check)
            cost += payer.cost_of(response)
            entries = entries_of(response.text)
            if entries is not None:
                client.judge("")
                return checked(entries, asked.shown), cost
            client.judge(
                f"the answers of the model {self._model!r} could not be used: {_WRONG_FORM}"
            )
            shown = response.text[:_LONGEST_SHOWN_ANSWER]
            messages = [*asked.request.messages, *repair_of(shown, _WRONG_FORM)]
            request = replace(asked.request, messages=messages)
        raise NotWritten(UNREADABLE)

    @property
    def _model(self) -> str:
        return self.settings.model_for(MODEL_OF)

    @property
    def _payer(self) -> Payer:
        job_id = f"drafts-{self.now():%Y-%m-%d}"
        price = self.settings.price_of(self._model)
        return Payer(self.spending, job_id, "draft", self._model, price)


def failed(message: WriteDraft, reason: str) -> Draft:
    """Return the result of a draft that could not be written."""
    basis = message.basis
    return Draft(
        job_id=message.job_id,
        state="failed",
        kind=basis.kind,
        course_id=basis.course_id,
        student_ids=basis.student_ids,
        language=basis.language,
        error=reason,
    )


def _cited(basis: DraftBasis, sentences: Iterable[DraftSentence]) -> tuple[CitedRecord, ...]:
    """Return the records that these sentences cite, in the order of their numbers."""
    numbers = set[int]()
    for sentence in sentences:
        numbers.update(sentence.cites)
    cited = []
    for record in basis.records:
        if record.number in numbers:
            cited.append(
                CitedRecord(
                    number=record.number,
                    record_id=record.record_id,
                    student_id=record.student_id,
                )
            )
    return tuple(cited)


def _no_check() -> None:
    """Let every request be sent: a draft cannot be cancelled."""
