"""Single flight: the questions of one request, each answered from the cache, by this process, or by another one."""

import logging
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from edugraph_analyzer import counting
from edugraph_analyzer.answers import Answer, as_answer
from edugraph_analyzer.asking import Settled
from edugraph_analyzer.cache import Cache, Seen, State
from edugraph_analyzer.questions import Question
from edugraph_common.contracts.errors import Wait
from edugraph_common.contracts.findings import Kind

log = logging.getLogger(__name__)

_FIRST_PAUSE, _LONGEST_PAUSE = 0.02, 0.5  # seconds between two looks
_COME_BACK = 5.0
_PAID = "paid"  # beside an answer in the cache: by whom, and how many tokens


class Flight:
    """`ask` yields one Settled for each question given to it; `asker` names this flight among all.

    `payer` names the record of a pack that a question is asked for. `paid`: keys that this flight asked for;
    `paid_before`: those that an earlier try of the same pack did, whose cost is still this pack's to report.
    """

    def __init__(
        self,
        cache: Cache,
        kind: Kind,
        ask: Callable[[Sequence[Question]], Iterator[Settled]],
        asker: str,
        payer: Callable[[Question], str],
    ) -> None:
        self._cache, self._kind, self._ask, self._asker, self._payer = cache, kind, ask, asker, payer
        self._questions: dict[str, Question] = {}
        self._outcomes: dict[str, Settled] = {}
        self.paid: set[str] = set()
        self.paid_before: set[str] = set()

    def land(
        self, questions: Sequence[Question], sleep: Callable[[float], None], patience: float
    ) -> dict[str, Settled]:
        """By key. Raises Wait when another process is over the same question for more than `patience` seconds."""
        self._questions = {question.key: question for question in questions}
        pauses, waited = _pauses(patience), 0.0
        while missing := [key for key in self._questions if key not in self._outcomes]:
            mine = self._look(missing)
            if mine:
                self._settle(mine)
            elif len(self._outcomes) < len(self._questions):
                pause = next(pauses)
                waited += pause
                sleep(pause)
        if waited:
            counting.waited_for_another(self._kind, waited)
        return self._outcomes

    def _look(self, missing: Sequence[str]) -> list[Question]:
        """Takes what is there and returns what is now this flight's to ask."""
        seen = self._cache.look(self._kind, missing, self._asker)
        for key, each in seen.items():
            self._take(key, each)
        return [self._questions[key] for key, each in seen.items() if each.state == State.MINE]

    def _take(self, key: str, seen: Seen) -> None:
        if seen.state == State.FAILED:
            self._outcomes[key] = Settled(self._questions[key], None, seen.reason)
        elif seen.answer is not None:
            self._take_answer(key, seen.answer)

    def _take_answer(self, key: str, kept: dict[str, Any]) -> None:
        """Checked as an answer of the model is: another version of this program may have kept it."""
        paid = kept.pop(_PAID, None)
        answer = as_answer(self._kind, {**kept, "id": ""})
        if isinstance(answer, str):
            log.warning("a kept answer does not validate and is asked for again", extra={"key": key})
            self._cache.forget(self._kind, key)
        else:
            self._outcomes[key] = self._known(key, answer, paid)

    def _known(self, key: str, answer: Answer, paid: dict[str, Any] | None) -> Settled:
        question = self._questions[key]
        if paid is None or key in self.paid or paid["by"] != self._payer(question):
            return Settled(question, answer)
        self.paid_before.add(key)
        return Settled(question, answer, input_tokens=paid["input"], output_tokens=paid["output"])

    def _settle(self, questions: Sequence[Question]) -> None:
        """The leases end with this, whatever happens; those who wait are told what cannot be answered."""
        keys = [question.key for question in questions]
        reasons: dict[str, str] = {}
        try:
            with self._cache.renewed(keys, self._asker):
                for settled in self._ask(questions):
                    self._keep(settled, reasons)
        finally:
            self._cache.release(keys, self._asker, reasons)

    def _keep(self, settled: Settled, reasons: dict[str, str]) -> None:
        key = settled.question.key
        self._outcomes[key] = settled
        if settled.answer is None:
            reasons[key] = settled.reason
        else:
            self.paid.add(key)
            self._cache.keep(
                self._kind, key, settled.answer.model_dump(exclude={"id"}) | {_PAID: self._receipt(settled)}
            )

    def _receipt(self, settled: Settled) -> dict[str, Any]:
        by = self._payer(settled.question)
        return {"by": by, "input": settled.input_tokens, "output": settled.output_tokens}


def _pauses(patience: float) -> Iterator[float]:
    """Short at first, longer and longer, `patience` seconds in all; then raises Wait."""
    pause, left = _FIRST_PAUSE, patience
    while left > 0:
        yield pause
        left -= pause
        pause = min(pause * 1.5, _LONGEST_PAUSE)
    raise Wait("another process is asking the same question", _COME_BACK)
