"""Single flight: answer each question of a pack from the cache, by this process, or by another process."""

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

# The first and the longest pause between two looks at the questions that other processes ask.
_FIRST_PAUSE_SECONDS = 0.02
_LONGEST_PAUSE_SECONDS = 0.5
_COME_BACK_SECONDS = 5.0
# The receipt: a field beside an answer in the cache with the record that it is billed to, and its tokens.
_PAID = "paid"


class SingleFlight:
    """The questions of one run of one pack.

    `lease_owner` is the unique name of this run. `billed_to` and `asked_for` name, by question key, the record for
    which a question is asked: `billed_to` within its pack, for the receipt, and `asked_for` by its mark, so that the
    answer can be erased. `run` fills `resolutions`, by question key. `paid` has the keys of the questions that this
    run asked. `paid_before` has the keys that an earlier try of the same pack asked, whose cost this pack must
    report.
    """

    def __init__(
        self,
        store: AnswerStore,
        kind: Kind,
        lease_owner: str,
        billed_to: Mapping[str, str],
        asked_for: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self._store = store
        self._kind = kind
        self._lease_owner = lease_owner
        self._billed_to = billed_to
        self._asked_for = asked_for
        self.resolutions: dict[str, Resolution] = {}
        self.paid: set[str] = set()
        self.paid_before: set[str] = set()

    def run(
        self, questions: Sequence[Question], sleep: Callable[[float], None], patience_seconds: float
    ) -> Iterator[list[Question]]:
        """Yield the questions that nobody has answered and nobody is asking, until all are resolved.

        The caller must resolve the yielded questions within `leased`. While other processes ask the rest, this method
        sleeps between two looks, shortly at first and then longer. Raises Wait if the others take longer than
        `patience_seconds`.
        """
        by_key = {question.key: question for question in questions}
        pause_seconds = _FIRST_PAUSE_SECONDS
        waited_seconds = 0.0
        while True:
            missing = [key for key in by_key if key not in self.resolutions]
            if not missing:
                break
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
        """Take the result of another run: a reason, or an answer, which is validated as an answer of the model is.

        Another version of this program may have stored an answer that is invalid now. Such an answer is deleted, so
        that the question is asked again.
        """
        key = question.key
        if seen.state == State.FAILED:
            self.resolutions[key] = Resolution(question, None, seen.reason)
        if seen.answer is None:
            return
        paid = seen.answer.pop(_PAID, None)
        answer = as_answer(self._kind, {**seen.answer, "id": ""})
        if paid is None or isinstance(answer, str):
            log.warning("cached_answer_invalid", key=key, kind=self._kind)
            self._store.forget(self._kind, key)
        elif key in self.paid or paid["by"] != self._billed_to[key]:
            self.resolutions[key] = Resolution(question, answer)
        else:
            self.paid_before.add(key)
            used: dict[str, Any] = {
                "input_tokens": paid["input"],
                "output_tokens": paid["output"],
                "cached_tokens": paid["cached"],
                "batched": paid.get("batched", False),
            }
            self.resolutions[key] = Resolution(question, answer, **used)

    @contextmanager
    def leased(self, questions: Sequence[Question]) -> Iterator[None]:
        """Renew the leases on questions while they are asked, and give them back in any case.

        The processes that wait for these questions receive the reasons of those that cannot be answered.
        """
        keys = [question.key for question in questions]
        try:
            with self._store.renewed(self._kind, keys, self._lease_owner):
                yield
        finally:
            reasons = {}
            for key in keys:
                resolution = self.resolutions.get(key)
                if resolution is not None and resolution.answer is None:
                    reasons[key] = resolution.reason
            self._store.release(self._kind, keys, self._lease_owner, reasons)

    def resolve(self, resolution: Resolution) -> None:
        """Take the resolution of a question that this run asked, and store its answer for all processes."""
        key = resolution.question.key
        self.resolutions[key] = resolution
        if resolution.answer is not None:
            self.paid.add(key)
            self.keep(resolution)

    def keep(self, resolution: Resolution) -> None:
        """Store an answer for all processes, with its receipt."""
        if resolution.answer is None:
            return
        key = resolution.question.key
        receipt = {
            "by": self._billed_to[key],
            "of": self._asked_for.get(key),
            "input": resolution.input_tokens,
            "output": resolution.output_tokens,
            "cached": resolution.cached_tokens,
        }
        if resolution.batched:
            receipt["batched"] = True
        answer = resolution.answer.model_dump(exclude={"id"})
        self._store.keep(self._kind, key, answer | {_PAID: receipt})
