"""The request for a draft: the shown records without names, and the form of the answer."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from edugraph_analyzer.course_names import CourseNames
from edugraph_analyzer.documents import Person
from edugraph_analyzer.drafting.sentences import Shown
from edugraph_analyzer.name_model import FindNames, no_names, whole_names
from edugraph_analyzer.prompting import prompts
from edugraph_analyzer.prompting.injection import new_fence, speaks_to_model
from edugraph_analyzer.prompting.questions import AnswerForm, LLMRequest
from edugraph_analyzer.redaction import Redactor
from edugraph_analyzer.settings import AnalyzerSettings
from edugraph_common.contracts.drafts import DraftBasis, DraftKind, DraftRecord
from edugraph_common.contracts.findings import Kind

PROMPT = "draft.1"
# Drafts are about mistakes, so the model that reads mistakes writes them.
MODEL_OF: Kind = "error"
ANSWER_TOKENS = 1_024
FORM = AnswerForm(
    "draft",
    {
        "type": "object",
        "properties": {"sentences": {"type": "array", "items": {"type": "string"}}},
        "required": ["sentences"],
        "additionalProperties": False,
    },
)
_ASKED: dict[tuple[DraftKind, str], str] = {
    ("feedback", "en"): "Write feedback to {student} in English, and address {student} as you.",
    ("feedback", "zh"): "请用中文给 {student} 写反馈，称呼对方为“你”。",
    ("summary", "en"): "Summarise for the teacher in English what these records show of the class.",
    ("summary", "zh"): "请用中文为教师总结这些记录反映出的班级情况。",
}
# A student may write the mark of a student or of a record. The first prefix that no text has is used.
_PREFIXES = ("S", "P", "L", "Pupil")
_BRACKETED_NUMBER = re.compile(r"[\[【［]\s*(\d+)\s*[\]】］]")
_THOUSANDTHS = 1_000


@dataclass(frozen=True)
class DraftRequest:
    """A request for a draft. `redactor` and `names` put the original words and the names back into an answer.

    `names` has a student's name, or id without a name, by the student's number.
    """

    request: LLMRequest
    shown: Shown
    redactor: Redactor
    names: dict[int, str]

    def restored(self, text: str) -> str:
        """Return a sentence with the names of its students and the private words of the shown texts."""

        def name(mark: re.Match[str]) -> str:
            return self.names.get(int(mark[1]), mark[0])

        return self.redactor.restore(self.shown.mark.sub(name, text))


def request_of(
    basis: DraftBasis,
    settings: AnalyzerSettings,
    members: Sequence[CourseNames],
    new_id: Callable[[], str],
) -> DraftRequest:
    """Return the request for a draft. `members` are the names of the people of the course, which are redacted."""
    redactor = _redactor_of(basis, settings, members)
    redact: Callable[[str], str] = redactor.redact
    if not settings.redaction:
        redact = str
    numbers = {student.student_id: number for number, student in enumerate(basis.students, 1)}
    lines_of = {record.number: _lines(record, redact) for record in basis.records}
    every_text = "\n".join(lines_of.values())
    prefix = _unused_prefix(every_text)
    fence = new_fence(new_id, [every_text])
    shown = []
    for record in basis.records:
        student = f"{prefix}{numbers[record.student_id]}"
        head = f'<record-{fence} n="{record.number}" student="{student}">'
        shown.append(f"{head}\n{lines_of[record.number]}\n</record-{fence}>")
    wanted = _ASKED[basis.kind, basis.language].format(student=f"{prefix}1")
    course = ""
    if basis.course_name:
        course = f"Course: {redact(_plain(basis.course_name))}\n"
    asked = "\n".join(
        [f"{course}Records, each between <record-{fence}> marks:\n", *shown, "", wanted]
    )
    thinking = settings.parameters_for(MODEL_OF).thinking_tokens or 0
    request = LLMRequest(
        kind=MODEL_OF,
        messages=[
            {"role": "system", "content": prompts.instructions(PROMPT)},
            {"role": "user", "content": asked},
        ],
        max_answer_tokens=ANSWER_TOKENS + thinking,
        items=1,
        form=FORM,
    )
    student_of = {record.number: numbers[record.student_id] for record in basis.records}
    names = {
        number: student.name or student.student_id
        for number, student in enumerate(basis.students, 1)
    }
    return DraftRequest(request, Shown(student_of, prefix), redactor, names)


def _unused_prefix(text: str) -> str:
    """Return the first prefix of marks that the text does not have before a digit."""
    for prefix in _PREFIXES:
        if not re.search(rf"{prefix}\d", text, re.IGNORECASE):
            return prefix
    return _PREFIXES[-1]


def _redactor_of(
    basis: DraftBasis, settings: AnalyzerSettings, members: Sequence[CourseNames]
) -> Redactor:
    find_names: FindNames = no_names
    if settings.name_model:
        find_names = whole_names
    people = []
    for student in basis.students:
        people.append(Person("STUDENT", student.student_id, is_name=False))
        if student.name:
            people.append(Person("STUDENT", student.name, is_name=True))
    return Redactor(tuple(people), members, find_names)


def _lines(record: DraftRecord, redact: Callable[[str], str]) -> str:
    """Return a record as it is shown, with a label on each line. A text that speaks to the model is left out."""
    given = [
        ("item", record.item),
        ("outcome", _outcome(record.outcome)),
        ("kinds of mistakes", ", ".join(record.error_types)),
        ("knowledge points", ", ".join(record.knowledge_points)),
        ("question", record.question),
        ("answer", record.text),
    ]
    lines = []
    for label, text in given:
        if text and not speaks_to_model(text):
            lines.append(f"{label}: {redact(_plain(text))}")
    return "\n".join(lines)


def _plain(text: str) -> str:
    """Return a text without what a model could take for a citation."""
    return _BRACKETED_NUMBER.sub(r"(\1)", text)


def _outcome(outcome: int | None) -> str:
    if outcome is None:
        return "wrong"
    if outcome == _THOUSANDTHS:
        return "right"
    if outcome == 0:
        return "wrong"
    return f"{outcome} of {_THOUSANDTHS}"
