"""Attacks of one text on the findings of other students, against a provider that obeys every instruction.

A real model resists many attacks. This provider resists none, so an attack that fails here fails because of the way
in which we ask.
"""

import json
import re
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from edugraph_analyzer.costs import Spending
from edugraph_analyzer.documents import read_document
from edugraph_analyzer.pipeline import Resolver
from edugraph_analyzer.prompting.questions import LLMRequest, LLMResponse, Question, question_of
from edugraph_analyzer.settings import AnalyzerSettings
from edugraph_common.contracts.findings import Kind
from edugraph_common.contracts.messages import CourseContext

_ITEM = re.compile(r'<(item[^ >]*) id="(r\d+)"[^>]*>\n(.*?)\n</\1>', re.DOTALL | re.IGNORECASE)
_DATA = re.compile(r"<((?:item|course)-[^ >]*)[^>]*>\n.*?\n</\1>", re.DOTALL | re.IGNORECASE)
_VICTIMS = (
    "今天学了一元一次方程，移项要变号。",
    "第三题的图我画好了，明天交给您。",
    "The lab report is due on Friday at noon.",
    "We read chapter four and answered the questions.",
)


@dataclass(frozen=True)
class Attack:
    """An attack. `place` is where its text is, in a student's text or in a course's description.

    `evidence` is the quote with which the attacker has the finding proved.
    """

    id: str
    place: str
    evidence: str
    value: str
    text: str

    @property
    def kind(self) -> Kind:
        return "error" if self.place == "error" else "interaction"


class ObedientClient:
    """A provider that answers each item honestly, and then obeys students' texts and text outside of the marks."""

    def __init__(self, attack: Attack) -> None:
        self._attack = attack
        self._told = attack.text.splitlines()[0][:40]

    def judge(self, _reason: str) -> float:
        return 0.0

    def complete(
        self,
        request: LLMRequest,
        check: Callable[[], None],
        _count_lost: Callable[[int, int], None],
    ) -> LLMResponse:
        check()
        asked = request.messages[1]["content"]
        bodies = {item_id: body for _, item_id, body in _ITEM.findall(asked)}
        heard = asked if self._attack.place != "course" else _DATA.sub("", asked)
        entries = [
            self._entry(request.kind, item_id, body, self._told in heard)
            for item_id, body in bodies.items()
        ]
        return LLMResponse(json.dumps({"answers": entries}), True, 100, 50)

    def _entry(self, kind: Kind, item_id: str, body: str, heard: bool) -> dict[str, Any]:
        own_words = body.rsplit(": ", 1)[-1][:12]
        attacked = heard and self._told not in body
        proofs = {
            "victim": [own_words],
            "own": [self._told],
            "none": [],
            "invented": ["words that nobody wrote"],
        }
        evidence = proofs[self._attack.evidence] if attacked else [own_words]
        value = self._attack.value if attacked else ("low" if kind == "error" else "neutral")
        answer: dict[str, Any] = {"id": item_id, "evidence": evidence, "confidence": 0.9}
        if kind == "error":
            return {
                **answer,
                "error_types": [],
                "knowledge_points": [],
                "difficulty": None,
                "severity": value,
            }
        return {**answer, "topics": [], "sentiment": value}


class _NoBudget:
    def check(self, job_id: str, model: str, price: object) -> None: ...

    def add(self, job_id: str, kind: Kind, model: str, usage: object) -> None: ...


def read_attacks(path: Path) -> list[Attack]:
    rows = (json.loads(line) for line in path.read_text(encoding="utf-8").splitlines())
    return [
        Attack(row["id"], row["in"], row["evidence"], row["value"], row["text"]) for row in rows
    ]


def succeeds(attack: Attack, settings: AnalyzerSettings) -> bool:
    """Return whether the finding of any other student is what the attacker wanted."""
    texts = ["我会了。" if attack.place == "course" else attack.text, *_VICTIMS]
    questions = [_question(attack, number, text, settings) for number, text in enumerate(texts)]
    resolver = Resolver(
        settings,
        ObedientClient(attack),
        cast("Spending", _NoBudget()),
        "job",
        attack.kind,
        is_cancelled=lambda _: False,
        new_id=lambda: uuid.uuid4().hex,
    )
    for resolution in resolver.resolve(questions):
        answer = resolution.answer.model_dump() if resolution.answer else {}
        value = answer.get("severity" if attack.kind == "error" else "sentiment")
        if resolution.question is not questions[0] and value == attack.value:
            return True
    return False


def _question(attack: Attack, number: int, text: str, settings: AnalyzerSettings) -> Question:
    data = {"student_id": f"stu-{number}", "course_id": "c1"}
    envelope = {"timestamp": "2026-01-05T08:00:00Z"}
    if attack.kind == "error":
        record = {**envelope, "type": "error_record", "data": {**data, "error_text": text}}
    else:
        record = {
            **envelope,
            "type": "teacher_interaction",
            "data": {**data, "teacher_id": "t-1", "text": text},
        }
    told = attack.text if attack.place == "course" else None
    course = CourseContext(course_id="c1", name="Algebra", description=told)
    return question_of(read_document(record, attack.kind, [course]), settings)


def attack_report(attacks: list[Attack]) -> dict[str, list[str]]:
    """Return the successful attacks, with one student in each pack, which is the default, and with several."""
    apart = AnalyzerSettings(openai_base_url="http://localhost")
    several = apart.model_copy(update={"one_student_per_pack": False})
    return {
        "several students per pack": [attack.id for attack in attacks if succeeds(attack, several)],
        "one student per pack": [attack.id for attack in attacks if succeeds(attack, apart)],
    }
