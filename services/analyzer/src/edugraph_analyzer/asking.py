"""Questions into answers: in packs, singly for what a pack left out, one repair turn; each paid token is counted."""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from edugraph_analyzer import counting
from edugraph_analyzer.answers import Answer, Parsed, parse_answers
from edugraph_analyzer.evidence import found_in
from edugraph_analyzer.prices import cost_of, estimated_tokens, shared_out
from edugraph_analyzer.questions import (
    Ask,
    Cancelled,
    Question,
    Reply,
    Unanswerable,
    ask_of,
    item_ids,
    packs,
    repair_of,
)
from edugraph_analyzer.settings import AnalyzerSettings
from edugraph_analyzer.spending import Spending, Usage
from edugraph_common.contracts.findings import Kind

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Settled:
    """What became of one question: an answer, or why there is none. Tokens are its share of the requests."""

    question: Question
    answer: Answer | None
    reason: str = ""
    input_tokens: int = 0
    output_tokens: int = 0


class Asks(Protocol):
    """What `model.Model` does. Raises Retryable, Wait, Rejected, and Unanswerable for these items alone.

    `check` is called when the request's place has come, right before it leaves; what it raises comes out as it was.
    """

    def ask(self, ask: Ask, check: Callable[[], None]) -> Reply: ...


class Asking:
    """For one kind of one job. Each method raises what `Model.ask` and `Spending.check` raise.

    `is_cancelled` is asked once before each paid request; then Cancelled is raised.
    """

    def __init__(
        self,
        settings: AnalyzerSettings,
        model: Asks,
        spending: Spending,
        job_id: str,
        kind: Kind,
        *,
        is_cancelled: Callable[[str], bool],
    ) -> None:
        self._settings, self._model, self._spending = settings, model, spending
        self._job_id, self._kind, self._is_cancelled = job_id, kind, is_cancelled
        self._name = settings.model_for(kind)

    def settle(self, questions: Sequence[Question]) -> Iterator[Settled]:
        """One Settled for each question, as soon as it is known."""
        fitting = [question for question in questions if question.tokens <= self._settings.longest_item_tokens]
        for question in questions:
            if question.tokens > self._settings.longest_item_tokens:
                yield Settled(question, None, "its text is longer than EDUGRAPH_LONGEST_ITEM_TOKENS allows")
        for pack in packs(fitting, self._settings.pack_size, self._settings.pack_tokens):
            yield from self._pack(pack) if len(pack) > 1 else [self._single(pack[0])]

    def _pack(self, pack: Sequence[Question]) -> Iterator[Settled]:
        """An item that the pack left out or got wrong is asked for alone."""
        try:
            reply = self._ask(ask_of(self._kind, pack, self._settings))
        except Unanswerable:  # one of them is at fault, and only asking singly tells which
            yield from (self._single(question) for question in pack)
            return
        parsed = parse_answers(self._kind, reply.text, item_ids(len(pack)))
        log.debug("pack answered", extra={"kind": self._kind, "items": len(pack), "invalid": len(parsed.problems)})
        for place, settled in enumerate(_shared(pack, parsed, reply)):
            if settled.answer is None or _mixed_up(settled, pack, place):
                counting.asked_again(self._kind, "single")
                yield self._single(settled.question)
            else:
                yield settled

    def _single(self, question: Question) -> Settled:
        ask = ask_of(self._kind, [question], self._settings)
        try:
            first, reply = self._alone(question, ask)
            return first if first.answer is not None else self._repaired(first, ask, reply)
        except Unanswerable as error:
            return Settled(question, None, error.reason)

    def _alone(self, question: Question, ask: Ask) -> tuple[Settled, Reply]:
        reply = self._ask(ask)
        parsed = parse_answers(self._kind, reply.text, item_ids(1))
        (settled,) = _shared([question], parsed, reply)
        return settled, reply

    def _repaired(self, first: Settled, ask: Ask, reply: Reply) -> Settled:
        """One more turn, never a second one."""
        counting.asked_again(self._kind, "repair")
        turn = repair_of(reply.text[: _SHOWN * ask.limit], first.reason)
        second, _ = self._alone(first.question, replace(ask, messages=[*ask.messages, *turn]))
        return replace(
            second,
            reason=f"the model's answer does not validate: {second.reason}" if second.answer is None else "",
            input_tokens=first.input_tokens + second.input_tokens,
            output_tokens=first.output_tokens + second.output_tokens,
        )

    def _ask(self, ask: Ask) -> Reply:
        self._spending.check(self._job_id)
        counting.packed(self._kind, ask.items)
        reply = self._model.ask(ask, self._check)
        used = (reply.input_tokens, reply.output_tokens)
        usage = Usage(
            requests=1,
            input_tokens=used[0],
            output_tokens=used[1],
            cost=cost_of(self._name, *used, self._settings.prices),
        )
        self._spending.add(self._job_id, self._kind, self._name, usage)
        counting.used(self._name, self._kind, used, usage.cost)
        return reply

    def _check(self) -> None:
        if self._is_cancelled(self._job_id):
            raise Cancelled


_SHOWN = 4  # characters for a token: how much of a wrong answer is shown again


def _shared(pack: Sequence[Question], parsed: Parsed, reply: Reply) -> list[Settled]:
    """The tokens of the request are split by the length of each item's text and of its answer."""
    ids = item_ids(len(pack))
    answers = [parsed.valid.get(item_id) for item_id in ids]
    inputs = shared_out(reply.input_tokens, [question.tokens for question in pack])
    lengths = [estimated_tokens(answer.model_dump_json()) if answer else 0 for answer in answers]
    outputs = shared_out(reply.output_tokens, lengths)
    cut = "" if reply.complete else " (the answer was cut at its limit of tokens)"
    reasons = [parsed.problems[item_id] + cut if item_id in parsed.problems else "" for item_id in ids]
    return [Settled(*each) for each in zip(pack, answers, reasons, inputs, outputs, strict=True)]


def _mixed_up(settled: Settled, pack: Sequence[Question], place: int) -> bool:
    """The evidence stands in a neighbour's text and not in its own: the model has exchanged two items."""
    quotes = tuple(settled.answer.evidence) if settled.answer else ()
    if not quotes or found_in(quotes, settled.question.body):
        return False
    return any(found_in(quotes, other.body) for number, other in enumerate(pack) if number != place)
