"""Single flight: each question of a pack is answered from the cache, by this process, or by another one."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any

import structlog

from edugraph_analyzer import telemetry
from edugraph_analyzer.cache.store import AnswerStore, Lookup, State
from edugraph_analyzer.findings.schema import as_answer
from edugraph_analyzer.prompting.questions import Question, Resolution
from edugraph_common.contracts.errors import Wait
from edugraph_common.contracts.findings import Kind

log = structlog.get_logger()

_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.02, 0.5  # between two looks
_COME_BACK_SECONDS = 5.0
_PAID = "paid"  # the field beside an answer in the cache that says whom it is billed to, and how many tokens it took


class SingleFlight:
    """The questions of one run of one pack.

    `lease_owner` names this run among all. `billed_to` names, by question key, the record of a pack that a question
    is asked for, and `asked_for` marks that record, so that its answer can be erased. `resolutions` fills up, by
    key. `paid` has the keys that this run asked for, and `paid_before` those
    that an earlier try of the same pack asked for, whose cost is still this pack's to report.
    """

    def __init__(
        self,
        store: AnswerStore,
        kind: Kind,
        lease_owner: str,
        billed_to: Mapping[str, str],
        asked_for: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self._store, self._kind, self._lease_owner, self._billed_to = store, kind, lease_owner, billed_to
        self._asked_for = asked_for
        self.resolutions: dict[str, Resolution] = {}
        self.paid: set[str] = set()
        self.paid_before: set[str] = set()

    def run(
        self, questions: Sequence[Question], sleep: Callable[[float], None], patience_seconds: float
    ) -> Iterator[list[Question]]:
        """Yield the questions that nobody has answered or asks, until all are resolved.

        The caller resolves what it gets within `leased`, and then goes on. Between two looks at what others ask, this
        sleeps, shortly at first and then longer. Raises Wait when they take more than `patience_seconds`.
        """
        by_key = {question.key: question for question in questions}
        pause_seconds, waited_seconds = _FIRST_PAUSE_SECONDS, 0.0
        while missing := [key for key in by_key if key not in self.resolutions]:
            mine = []
            for key, seen in self._store.look(self._kind, missing, self._lease_owner).items():
                if seen.state == State.MINE:
                    mine.append(by_key[key])
                else:
                    self._take(by_key[key], seen)
            if mine:
                yield mine
            elif len(self.resolutions) < len(by_key):
                if waited_seconds >= patience_seconds:
                    raise Wait("another process is asking the same question", _COME_BACK_SECONDS)
                sleep(pause_seconds)
                waited_seconds += pause_seconds
                pause_seconds = min(pause_seconds * 1.5, _LONGEST_PAUSE_SECONDS)
        if waited_seconds:
            telemetry.waited_for_another_process(self._kind, waited_seconds)

    def _take(self, question: Question, seen: Lookup) -> None:
        """Take what another run left: a reason, or an answer, which is checked as an answer of the model is.

        Another version of this program may have kept it; then it is forgotten, and so asked for again.
        """
        key = question.key
        if seen.state == State.FAILED:
            self.resolutions[key] = Resolution(question, None, seen.reason)
        if seen.answer is None:
            return
        paid = seen.answer.pop(_PAID, None)
        answer = as_answer(self._kind, {**seen.answer, "id": ""})
        if isinstance(answer, str):
            log.warning("cached_answer_invalid", key=key, kind=self._kind)
            self._store.forget(self._kind, key)
        elif paid is None or key in self.paid or paid["by"] != self._billed_to[key]:
            self.resolutions[key] = Resolution(question, answer)
        else:
            self.paid_before.add(key)
            used: dict[str, Any] = {
                "input_tokens": paid["input"],
                "output_tokens": paid["output"],
                "cached_tokens": paid.get("cached", 0),  # a receipt of an older release has none
                "batched": paid.get("batched", False),
            }
            self.resolutions[key] = Resolution(question, answer, **used)

    @contextmanager
    def leased(self, questions: Sequence[Question]) -> Iterator[None]:
        """Keep the leases on questions while they are asked, and give them back whatever happens.

        Those who wait are told what cannot be answered.
        """
        keys = [question.key for question in questions]
        try:
            with self._store.renewed(self._kind, keys, self._lease_owner):
                yield
        finally:
            resolved = {key: self.resolutions[key] for key in keys if key in self.resolutions}
            reasons = {key: each.reason for key, each in resolved.items() if each.answer is None}
            self._store.release(self._kind, keys, self._lease_owner, reasons)

    def resolve(self, resolution: Resolution) -> None:
        """Take what became of a question that this run asked, and keep its answer for all."""
        key = resolution.question.key
        self.resolutions[key] = resolution
        if resolution.answer is not None:
            self.paid.add(key)
            self.keep(resolution)

    def keep(self, resolution: Resolution) -> None:
        """Keep an answer for all, with the receipt of what it cost."""
        key = resolution.question.key
        if resolution.answer is not None:
            receipt = {
                "by": self._billed_to[key],
                "of": self._asked_for.get(key),
                "input": resolution.input_tokens,
                "output": resolution.output_tokens,
                "cached": resolution.cached_tokens,
            } | ({"batched": True} if resolution.batched else {})
            self._store.keep(self._kind, key, resolution.answer.model_dump(exclude={"id"}) | {_PAID: receipt})
