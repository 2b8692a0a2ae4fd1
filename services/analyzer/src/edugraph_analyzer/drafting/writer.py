"""Write one draft: leave out what must not be read, ask the model within the budget, and check each sentence."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial

import structlog

from edugraph_analyzer.asking import Asker, Errand, NotUsable
from edugraph_analyzer.course_names import CourseNames, MembersUnknown
from edugraph_analyzer.drafting.prompt import MODEL_OF, DraftRequest, request_of
from edugraph_analyzer.drafting.sentences import CheckedSentences, checked, entries_of
from edugraph_analyzer.prompting.questions import Unanswerable
from edugraph_analyzer.sending import Bill
from edugraph_common.contracts.drafts import CitedRecord, Draft, DraftBasis, DraftSentence
from edugraph_common.contracts.errors import BudgetSpent, Rejected
from edugraph_common.contracts.messages import WriteDraft

log = structlog.get_logger()

NO_MODEL = "drafts need a language model, and this installation has none (EDUGRAPH_MODEL)"
WITHHELD = "none of these records may be shown to a model: consent is missing, or their students are restricted"
UNREADABLE = "the model's answer could not be read, twice"
NOTHING_VALID = "no sentence of the model cited the records that it was shown"
_ERRAND = Errand(purpose="draft", budget="drafts", longest_shown=4_000)
_WRONG_FORM = 'it is not one JSON object {"sentences": [...]}'


class NotWritten(Exception):
    """There is no draft, for a `reason` that quotes no record."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True)
class DraftWriter:
    """Writes drafts. The drafts of a day share one budget, that of a job."""

    asker: Asker

    def write(self, message: WriteDraft) -> Draft:
        """Return the draft, or why there is none. A spent budget or a refusal is such a reason.

        Raises MembersUnknown, and Retryable or Wait if the provider does not answer now.
        """
        bill = Bill()
        try:
            draft = self._written(message, bill)
        except (NotWritten, Unanswerable, BudgetSpent, Rejected) as error:
            draft = failed(message, error.reason)
        model = self.asker.settings.model_for(MODEL_OF)
        return draft.model_copy(update=bill.stated(model))

    def _written(self, message: WriteDraft, bill: Bill) -> Draft:
        settings = self.asker.settings
        if not settings.has_provider:
            raise NotWritten(NO_MODEL)
        basis = self._readable(message.basis)
        names = self._names(basis.course_id)
        asked = request_of(basis, settings, names, self.asker.new_id)
        read = partial(_sentences_in, asked=asked)
        try:
            found = self.asker.ask(asked.request, read, _ERRAND, bill)
        except NotUsable:
            raise NotWritten(UNREADABLE) from None
        if not found.sentences:
            draft = failed(message, NOTHING_VALID)
            return draft.model_copy(update={"removed": found.removed})
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
        )

    def _readable(self, basis: DraftBasis) -> DraftBasis:
        """Return the basis without restricted students and those without consent. Raises NotWritten."""
        restricted: frozenset[str] | None = frozenset()
        if self.asker.members is not None:
            restricted = self.asker.members.restricted()
        if restricted is None:
            raise MembersUnknown(())
        settings = self.asker.settings
        hidden = restricted | settings.students_without_consent
        records = tuple(each for each in basis.records if each.student_id not in hidden)
        students = tuple(each for each in basis.students if each.student_id not in hidden)
        if basis.course_id in settings.courses_without_consent or not records:
            raise NotWritten(WITHHELD)
        return basis.model_copy(update={"records": records, "students": students})

    def _names(self, course_id: str) -> list[CourseNames]:
        """Return the names of the people of the course. Raises MembersUnknown."""
        if not self.asker.settings.redaction:
            return []
        return self.asker.names_of([course_id])


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


def _sentences_in(answer: str, asked: DraftRequest) -> CheckedSentences:
    """Return the checked sentences of an answer. Raises NotUsable."""
    entries = entries_of(answer)
    if entries is None:
        raise NotUsable(_WRONG_FORM)
    return checked(entries, asked.shown)
