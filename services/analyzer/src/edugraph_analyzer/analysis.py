"""One pack of records into findings: redact → cache → single flight → limiter → call → validate → cost → cache."""

import hashlib
import logging
import os
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import redis

from edugraph_analyzer import counting, prompts
from edugraph_analyzer.answers import Reading, to_finding
from edugraph_analyzer.asking import Asking, Settled
from edugraph_analyzer.cache import Cache
from edugraph_analyzer.estimate import Estimate, estimate
from edugraph_analyzer.flight import Flight
from edugraph_analyzer.items import Item, Textless, Unreadable, read_item
from edugraph_analyzer.limiter import Limiter, Limits, provider_name
from edugraph_analyzer.offline import Offline
from edugraph_analyzer.prices import cost_of
from edugraph_analyzer.questions import Question, question_of
from edugraph_analyzer.settings import AnalyzerSettings
from edugraph_analyzer.spending import Spending, Usage
from edugraph_common.contracts.errors import Retryable, what
from edugraph_common.contracts.findings import Kind, Origin, RecordFinding
from edugraph_common.contracts.messages import Analysis

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Unanswered:
    """A record without a finding; `reason` holds nothing of its content."""

    record_id: str
    reason: str


@dataclass(frozen=True)
class PackResult:
    """Every record of the request is in exactly one of the three. `skipped`: no text to read, and no fault."""

    findings: tuple[RecordFinding, ...]
    failed: tuple[Unanswered, ...]
    skipped: tuple[Unanswered, ...] = ()


class Analyst:
    """One for each process; connections open at the first use, so that one made before a fork is safe after it.

    `is_cancelled` tells it of a job id; an evaluation's jobs are known to nobody. Clock, sleep, ids and `transport`
    are for tests.
    """

    def __init__(
        self,
        settings: AnalyzerSettings,
        server: "redis.Redis",
        *,
        is_cancelled: Callable[[str], bool] = lambda _: False,
        sleep: Callable[[float], None] = time.sleep,
        now: Callable[[], float] = time.time,
        new_id: Callable[[], str] = lambda: uuid.uuid4().hex,
        process_id: Callable[[], int] = os.getpid,
        transport: Any = None,
    ) -> None:
        self._settings, self._sleep, self._new_id = settings, sleep, new_id
        self._cache = Cache(server, ttl=settings.cache_ttl, lease_ttl=settings.lease_ttl)
        self._spending = Spending(server, budget=settings.budget_per_job, pause=settings.budget_pause)
        self._is_cancelled, self._offline = is_cancelled, Offline()
        limiter = limiter_of(settings, server, sleep=sleep, new_id=new_id)
        outside = {"process_id": process_id, "now": now, "transport": transport}
        self._open_model = partial(_model, settings, server, limiter, outside=outside)
        self._model: Any = None

    def estimate(self, request: Analysis) -> Estimate:
        """Nothing is sent to the provider."""
        return estimate([request], self._settings, self._cache.kept)

    def analyse(self, request: Analysis) -> PackResult:
        """Raises Retryable, Wait, Rejected, and Cancelled when the job was cancelled meanwhile.

        What was answered before is in the cache, and not paid again.
        """
        items, failed, skipped = _read(request)
        if not self._settings.has_provider:
            counting.analysed(
                request.kind, {"offline": len(items), "unanswered": len(failed), "skipped": len(skipped)}
            )
            return PackResult(tuple(map(self._offline.finding, items)), failed, skipped)
        try:
            findings, unanswered = self._by_model(request, items)
        except redis.RedisError as error:
            raise Retryable(f"Redis does not answer ({what(error)})") from None
        cached = sum(found.origin.cached for found in findings)
        lost = len(failed) + len(unanswered)
        counting.analysed(
            request.kind,
            {"asked": len(findings) - cached, "cached": cached, "unanswered": lost, "skipped": len(skipped)},
        )
        return PackResult(findings, failed + unanswered, skipped)

    def _by_model(
        self, request: Analysis, items: Sequence[Item]
    ) -> tuple[tuple[RecordFinding, ...], tuple[Unanswered, ...]]:
        questions = [question_of(item, self._settings) for item in items]
        flight = Flight(
            self._cache, request.kind, partial(self._settle, request), self._new_id(), partial(_payer, request)
        )
        patience = self._settings.longest_wait + self._settings.call_timeout
        outcomes = flight.land(questions, self._sleep, patience)
        self._count(request, [outcomes[question.key] for question in questions], flight)
        findings, unanswered, paid = [], [], flight.paid | flight.paid_before
        for question in questions:
            outcome = outcomes[question.key]
            if outcome.answer is None:
                unanswered.append(Unanswered(question.item.record.record_id, outcome.reason))
            else:
                findings.append(self._finding(question, outcome, cached=question.key not in paid))
                paid.discard(question.key)  # a second record with the same text costs nothing
        return tuple(findings), tuple(unanswered)

    def _finding(self, question: Question, outcome: Settled, *, cached: bool) -> RecordFinding:
        assert outcome.answer is not None  # noqa: S101 - the caller has looked
        kind = question.item.kind
        reading = Reading(question.item, question.redactor, self._settings.confidence_without_evidence)
        finding = to_finding(outcome.answer, reading)
        origin = self._origin(kind, outcome, cached=cached)
        return RecordFinding(record=question.item.record.to_json(), finding=finding, origin=origin)

    def _origin(self, kind: Kind, outcome: Settled, *, cached: bool) -> Origin:
        name = self._settings.model_for(kind)
        used = (0, 0) if cached else (outcome.input_tokens, outcome.output_tokens)
        return Origin(
            analyser="model",
            model=name,
            prompt_version=prompts.version_of(kind),
            input_tokens=used[0],
            output_tokens=used[1],
            cost=cost_of(name, *used, self._settings.prices),
            cached=cached,
        )

    def _count(self, request: Analysis, outcomes: Sequence[Settled], flight: Flight) -> None:
        paid = len(flight.paid)
        hits = sum(outcome.answer is not None for outcome in outcomes) - paid
        usage = Usage(items=len(outcomes), cached=hits - len(flight.paid_before))
        self._spending.add(request.job_id, request.kind, self._settings.model_for(request.kind), usage)
        self._cache.count(hits, paid)
        counting.looked_up(request.kind, hits, paid)

    def _settle(self, request: Analysis, questions: Sequence[Question]) -> Iterator[Settled]:
        """The client of the SDK, which is slow to make, is made when there is something to ask."""
        if self._model is None:
            self._model = self._open_model()
        job_id, kind, is_cancelled = request.job_id, request.kind, self._is_cancelled
        asking = Asking(self._settings, self._model, self._spending, job_id, kind, is_cancelled=is_cancelled)
        return asking.settle(questions)


def _payer(request: Analysis, question: Question) -> str:
    """A record of a pack of a job: the same when the pack is tried again, and nobody else's."""
    parts = f"{request.job_id}|{request.pack}|{question.item.record.record_id}"
    return hashlib.sha256(parts.encode()).hexdigest()[:16]


def _read(request: Analysis) -> tuple[list[Item], tuple[Unanswered, ...], tuple[Unanswered, ...]]:
    items: list[Item] = []
    failed: list[Unanswered] = []
    skipped: list[Unanswered] = []
    for place, value in enumerate(request.records):
        try:
            items.append(read_item(value, request.kind, request.contexts))
        except Unreadable as error:
            name = value.get("record_id")
            unanswered = Unanswered(name if isinstance(name, str) else f"(record {place + 1})", error.reason)
            (skipped if isinstance(error, Textless) else failed).append(unanswered)
    return items, tuple(failed), tuple(skipped)


def limiter_of(
    settings: AnalyzerSettings,
    server: "redis.Redis",
    *,
    sleep: Callable[[float], None] = time.sleep,
    new_id: Callable[[], str] = lambda: uuid.uuid4().hex,
) -> Limiter:
    limits = Limits(settings.requests_per_minute, settings.tokens_per_minute, settings.longest_wait)
    name = provider_name(settings.secret or settings.openai_base_url or "")
    return Limiter(server, name, limits, sleep=sleep, new_id=new_id)


def _model(settings: AnalyzerSettings, server: "redis.Redis", limiter: Limiter, *, outside: dict[str, Any]) -> Any:
    """Loads the SDK (a second or so) only where there is a provider to ask."""
    from edugraph_analyzer.model import Model

    return Model(settings, server, limiter, **outside)
