"""Turn one pack of records into findings.

`Pipeline.analyse` takes these steps in this order:

1. read      `documents.read_document` picks from each record its text, the people that it names, and its courses.
2. redact    `redaction.Redactor`, called by `prompting.questions.question_of`, hides private words.
3. cache     `cache.store.AnswerStore` returns the answers that were paid for before.
4. batch     `economy.Economy` sends the packs of an economy job to the provider's Batch API (ADR 57).
5. flight    `cache.single_flight.SingleFlight` leases questions, so that two processes never ask the same one.
6. limit     `llm.rate_limiter.RateLimiter` grants a slot to each physical request.
7. call      `llm.client.LLMClient` sends the request in the form that the endpoint accepts (`llm.capabilities`).
8. validate  `findings.schema.parse_answers` accepts an answer or says what is wrong with it.
9. cost      `costs.Spending` stops a job at its budget, and counts each token that was paid for.
10. map      `findings.mapping.to_finding` restores the original words and looks the evidence up in the text.

`Resolver.resolve` does steps 6 to 9. Each object is called from this module and calls none of the objects before it.
"""

import hashlib
import os
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

import redis
import structlog

from edugraph_analyzer import telemetry
from edugraph_analyzer.asking import Asker
from edugraph_analyzer.cache.single_flight import SingleFlight
from edugraph_analyzer.cache.store import AnswerStore
from edugraph_analyzer.costs import Spending, Usage, cost_of, estimated_tokens, split_in_proportion
from edugraph_analyzer.course_names import CourseNames, MembersUnknown
from edugraph_analyzer.documents import Document, Textless, Unreadable, read_document
from edugraph_analyzer.drafting.writer import DraftWriter
from edugraph_analyzer.economy import Economy
from edugraph_analyzer.estimate import Estimate, estimate
from edugraph_analyzer.findings.evidence import found_in
from edugraph_analyzer.findings.mapping import MappingContext, to_finding
from edugraph_analyzer.findings.point_ids import names_in, with_names
from edugraph_analyzer.findings.schema import Answer, parse_answers
from edugraph_analyzer.llm.rate_limiter import BREAKERS, Breaker, Failing, RateLimiter
from edugraph_analyzer.prompting import prompts
from edugraph_analyzer.prompting.questions import (
    Cancelled,
    LLMRequest,
    LLMResponse,
    Question,
    Resolution,
    TooLong,
    Unanswerable,
    item_ids,
    packs,
    question_of,
    repair_of,
    request_of,
)
from edugraph_analyzer.rule_based.analyzer import RuleBasedAnalyzer
from edugraph_analyzer.sending import Completes, Payer
from edugraph_analyzer.settings import AnalyzerSettings
from edugraph_analyzer.wording.chooser import QuestionChooser
from edugraph_common.contracts.errors import ProviderBusy, Rejected
from edugraph_common.contracts.findings import Kind, Origin, RecordFinding
from edugraph_common.contracts.messages import Analysis, CourseContext
from edugraph_common.contracts.personal_data import record_mark
from edugraph_common.contracts.records import Record, course_ids_of
from edugraph_common.runtime.service.redis_errors import redis_errors
from edugraph_common.runtime.shared_state.course_members import CourseMembers, names_by_course
from edugraph_common.sources.rows import parse_rows

if TYPE_CHECKING:
    from edugraph_analyzer.llm.client import LLMClient

log = structlog.get_logger()

# A process keeps the prepared names of this many courses.
PREPARED_COURSES = 64
# After this many useless answers in a row, the rest of a pack stays unanswered.
MOST_USELESS = 3
# The limit of one answer never grows beyond this number of tokens.
LARGEST_LIMIT_TOKENS = 65_536
# The limit is multiplied by this number after an answer was cut.
_LARGER_LIMIT = 4
# The repair turn shows this many characters of a wrong answer for each token that it was allowed.
_CHARACTERS_PER_TOKEN = 4


@dataclass(frozen=True)
class Unanswered:
    """A record without a finding. `reason` never quotes the record."""

    record_id: str
    reason: str


@dataclass(frozen=True)
class PackResult:
    """The result of a pack. Every record of the request is in exactly one of the four tuples.

    A skipped record has no text. A withheld record is not read, because consent is missing or one of its students is
    restricted.
    """

    findings: tuple[RecordFinding, ...]
    failed: tuple[Unanswered, ...]
    skipped: tuple[Unanswered, ...] = ()
    withheld: tuple[Unanswered, ...] = ()


class Pipeline:
    """Analyses packs. Each process has one pipeline.

    Connections open at the first use, so a pipeline that was made before a fork is safe after it. `with_records`
    returns a pack with the records of its rows, and raises Rejected if the rows are gone. `is_cancelled` returns
    whether the job with this id was cancelled; jobs of an evaluation never are. `members` returns the members and the
    context of each course, and is None in an evaluation. `offline` answers if the settings have no provider. Clock,
    sleep, ids, `breakers` and `transport` (the HTTP transport of the provider's client) are for tests.
    """

    def __init__(
        self,
        settings: AnalyzerSettings,
        server: "redis.Redis",
        *,
        with_records: Callable[[Analysis], Analysis] = lambda pack: pack,
        is_cancelled: Callable[[str], bool] = lambda _: False,
        members: CourseMembers | None = None,
        offline: RuleBasedAnalyzer | None = None,
        sleep: Callable[[float], None] = time.sleep,
        now: Callable[[], float] = time.time,
        new_id: Callable[[], str] = lambda: uuid.uuid4().hex,
        breakers: Mapping[Failing, Breaker] = BREAKERS,
        process_id: Callable[[], int] = os.getpid,
        transport: Any = None,
    ) -> None:
        self._settings = settings
        self._redis = server
        self._sleep = sleep
        self._new_id = new_id
        self._store = AnswerStore(
            server,
            ttl_seconds=settings.cache_ttl_seconds,
            lease_ttl_seconds=settings.lease_ttl_seconds,
        )
        self._spending = Spending(
            server, budget=settings.budget_per_job, pause_seconds=settings.budget_pause_seconds
        )
        self._limiter_of = RateLimiter.of_settings(
            settings, server, breakers=breakers, sleep=sleep, new_id=new_id
        )
        self._with_records = with_records
        self._is_cancelled = is_cancelled
        self._offline = offline or RuleBasedAnalyzer()
        self._members = members
        # Preparing the names of a large course takes longer than looking for them in a text.
        self._prepared = lru_cache(maxsize=PREPARED_COURSES)(CourseNames)
        self._client_options = {"process_id": process_id, "now": now, "transport": transport}
        self._client: LLMClient | None = None
        self._economy = partial(
            Economy,
            settings,
            server,
            self._store,
            self._spending,
            client=self._llm,
            accepted=accepted,
            is_cancelled=is_cancelled,
            now=now,
            new_id=new_id,
        )

    def estimate(self, message: Analysis) -> Estimate:
        """Return what `analyse` would cost. Nothing is sent to the provider."""
        message, _ = self._with_contexts(message)
        names, _ = self._names_by_course(message)
        return estimate(
            [message],
            self._settings,
            self._store.kept,
            partial(_members_of, names),
            self._offline.points_of_neighbours,
        )

    def is_under_way(self, message: Analysis) -> bool:
        """Return whether the provider has a batch of this pack. Such a batch must be cancelled with its job."""
        economy = self._economy_of(message)
        with redis_errors():
            return economy is not None and economy.is_under_way()

    def _economy_of(self, message: Analysis) -> Economy | None:
        """Return the reader of a pack by batches, or None if the job is not an economy job or has no provider."""
        if not (message.economy and self._settings.has_provider):
            return None
        return self._economy(job_id=message.job_id, pack=message.pack, kind=message.kind)

    def analyse(self, message: Analysis, *, after_texts: bool = False) -> PackResult:
        """Analyse a pack. Answers in the cache are not paid for again.

        A record whose row is gone has failed, and the rest of the pack is analysed: a job may have many thousand
        packs, and no replay of them would find the rows either. `after_texts` says that the pack waited until the
        graph had the texts of its courses, so that the contexts which the importer sends now are used as well.

        Raises Retryable, Wait, Rejected, MembersUnknown, and Cancelled if the job was cancelled meanwhile.
        """
        economy = self._economy_of(message)
        if economy is not None:
            with redis_errors():
                economy.look()
        count = message.count
        why_missing = "is in its rows no more"
        try:
            message = self._with_records(message)
        except Rejected as gone:
            log.warning("pack_not_read", reason=gone.reason)
            why_missing = gone.reason
        missing = range(len(message.records) + 1, count + 1)
        failed = [Unanswered(f"(record {number})", why_missing) for number in missing]
        message, unknown = self._with_contexts(message, after_texts)
        if unknown:
            raise MembersUnknown(unknown)
        documents, unreadable, skipped = read_documents(message)
        failed += unreadable
        documents, withheld = self._readable(documents)

        if not self._settings.has_provider:
            telemetry.pack_analysed(
                message.kind,
                {
                    "offline": len(documents),
                    "unanswered": len(failed),
                    "skipped": len(skipped),
                    "withheld": len(withheld),
                },
            )
            found = tuple(map(self._offline.finding, documents))
            return PackResult(found, tuple(failed), tuple(skipped), tuple(withheld))

        names, unknown = self._names_by_course(message)
        if unknown:
            raise MembersUnknown(unknown)
        questions: list[Question] = []
        for document in documents:
            try:
                questions.append(
                    question_of(
                        document,
                        self._settings,
                        _members_of(names, document),
                        self._offline.points_of_neighbours(document),
                    )
                )
            except TooLong as error:
                failed.append(Unanswered(document.record.record_id, error.reason))
        with redis_errors():
            flight = self._resolved(message, questions)
        findings, unanswered = self._mapped(questions, flight)
        failed += unanswered
        cached = sum(finding.origin.cached for finding in findings)
        telemetry.pack_analysed(
            message.kind,
            {
                "asked": len(findings) - cached,
                "cached": cached,
                "unanswered": len(failed),
                "skipped": len(skipped),
                "withheld": len(withheld),
            },
        )
        return PackResult(tuple(findings), tuple(failed), tuple(skipped), tuple(withheld))

    def _readable(self, documents: Sequence[Document]) -> tuple[list[Document], list[Unanswered]]:
        """Return the documents that may be read, and the records that are withheld. Raises MembersUnknown."""
        restricted: frozenset[str] | None = frozenset()
        if self._members is not None:
            restricted = self._members.restricted()
        if restricted is None:
            raise MembersUnknown(())
        readable = list[Document]()
        withheld = list[Unanswered]()
        for document in documents:
            reason = ""
            if not restricted.isdisjoint(document.students):
                reason = "a student of it is restricted"
            elif self._settings.has_provider:
                reason = consent_missing(document, self._settings)
            if reason:
                withheld.append(Unanswered(document.record.record_id, reason))
            else:
                readable.append(document)
        return readable, withheld

    def _with_contexts(
        self, message: Analysis, after_texts: bool = False
    ) -> tuple[Analysis, tuple[str, ...]]:
        """Return a pack with the contexts of its courses, and the ids of the courses that have no context yet.

        A pack of an import brings contexts. The importer sends them for a pack of the API, which brings none. With
        `after_texts` the importer sends them for every pack, and they are joined with those that the pack brought.
        """
        if self._members is None:
            return message, ()
        own_ids = set[str]()
        for _, row in parse_rows(enumerate(message.records, start=1)):
            if isinstance(row, Record):
                own_ids.update(course_ids_of(row))
        brought = {each.course_id: each for each in message.contexts if each.course_id in own_ids}
        needed_ids = own_ids
        if not after_texts:
            needed_ids = own_ids - brought.keys()
        sent = self._members.contexts(needed_ids)
        unknown_ids = needed_ids - sent.keys()
        if after_texts and unknown_ids:
            return message, tuple(sorted(unknown_ids))
        contexts = list[CourseContext]()
        for course_id in brought.keys() | sent.keys():
            contexts.append(joined(brought.get(course_id), sent.get(course_id)))
        return message.model_copy(update={"contexts": tuple(contexts)}), tuple(sorted(unknown_ids))

    def _names_by_course(
        self, message: Analysis
    ) -> tuple[dict[str, list[CourseNames]], tuple[str, ...]]:
        """Return the names of the people by course id, and the ids of the courses whose member list is unknown.

        The records may name people who are not in the graph yet, and a full member list may lack people. So each
        course has two entries: the names of its member list, and the names in these records.
        """
        if self._members is None or not self._settings.redaction:
            return {}, ()
        rows = parse_rows(enumerate(message.records, start=1))
        in_records = names_by_course(row for _, row in rows if isinstance(row, Record))
        in_lists = self._members.of(in_records)
        prepared = {}
        for course_id, names in in_records.items():
            prepared[course_id] = [self._prepared(in_lists.get(course_id, ())), CourseNames(names)]
        return prepared, tuple(sorted(in_records.keys() - in_lists.keys()))

    def _resolved(self, message: Analysis, questions: Sequence[Question]) -> SingleFlight:
        """Take the answers that exist, and ask for the rest (steps 3 to 9).

        A question is billed to one record of one pack of one job. A second try of the pack has the same bill.
        """
        billed_to = {}
        asked_for = {}
        for question in questions:
            record_id = question.document.record.record_id
            asked_for[question.key] = record_mark(record_id)
            parts = f"{message.job_id}|{message.pack}|{record_id}"
            billed_to[question.key] = hashlib.sha256(parts.encode()).hexdigest()[:16]
        flight = SingleFlight(self._store, message.kind, self._new_id(), billed_to, asked_for)
        economy = self._economy_of(message)
        if economy is not None:
            economy.read(questions, flight)
        patience_seconds = self._settings.longest_wait_seconds + self._settings.call_timeout_seconds
        for mine in flight.run(questions, self._sleep, patience_seconds):
            with flight.leased(mine):
                resolver = Resolver(
                    self._settings,
                    self._llm(),
                    self._spending,
                    message.job_id,
                    message.kind,
                    is_cancelled=self._is_cancelled,
                    new_id=self._new_id,
                )
                for resolution in resolver.resolve(mine):
                    flight.resolve(resolution)

        paid = len(flight.paid)
        answered = sum(
            flight.resolutions[question.key].answer is not None for question in questions
        )
        hits = answered - paid
        usage = Usage(items=len(questions), cached=hits - len(flight.paid_before))
        self._spending.add(
            message.job_id, message.kind, self._settings.model_for(message.kind), usage
        )
        self._store.count(hits, paid)
        telemetry.cache_looked_up(message.kind, hits, paid)
        return flight

    def draft_writer(self, now: Callable[[], datetime]) -> DraftWriter:
        """Return the writer of drafts. It asks through the same client, limits and prices."""
        return DraftWriter(self._asker(now))

    def question_chooser(self, now: Callable[[], datetime]) -> QuestionChooser:
        """Return the chooser of questions. It asks through the same client, limits and prices."""
        return QuestionChooser(self._asker(now))

    def _asker(self, now: Callable[[], datetime]) -> Asker:
        return Asker(
            self._settings,
            self._llm,
            self._spending,
            self._members,
            self._prepared,
            self._new_id,
            now,
        )

    def _llm(self) -> "LLMClient":
        """Return the client. The first call makes it, since its SDK takes about a second to load."""
        if self._client is None:
            from edugraph_analyzer.llm.client import LLMClient

            self._client = LLMClient(
                self._settings, self._redis, self._limiter_of, **self._client_options
            )
        return self._client

    def _mapped(
        self, questions: Sequence[Question], flight: SingleFlight
    ) -> tuple[list[RecordFinding], list[Unanswered]]:
        """Turn answers into findings (step 10). If several records have the same text, only the first one costs."""
        findings: list[RecordFinding] = []
        unanswered: list[Unanswered] = []
        paid = flight.paid | flight.paid_before
        for question in questions:
            record = question.document.record
            resolution = flight.resolutions[question.key]
            if resolution.answer is None:
                unanswered.append(Unanswered(record.record_id, resolution.reason))
                continue
            cached = question.key not in paid
            paid.discard(question.key)
            input_tokens = 0
            output_tokens = 0
            cached_tokens = 0
            if not cached:
                input_tokens = resolution.input_tokens
                output_tokens = resolution.output_tokens
                cached_tokens = resolution.cached_tokens
            kind = question.document.kind
            model = self._settings.model_for(kind)
            price = self._settings.price_of(model)
            cost = cost_of(
                price, input_tokens, output_tokens, cached_tokens, batched=resolution.batched
            )
            origin = Origin(
                analyser="model",
                model=model,
                prompt_version=prompts.version_of(kind),
                input_tokens=input_tokens,
                output_tokens=output_tokens,
                cost=cost,
                cached=cached,
            )
            cap = self._settings.confidence_without_evidence
            context = MappingContext(
                question.document, question.redactor, cap, question.error_types.language
            )
            finding = to_finding(resolution.answer, context)
            findings.append(RecordFinding(record=record.to_json(), finding=finding, origin=origin))
        return findings, unanswered


def read_documents(message: Analysis) -> tuple[list[Document], list[Unanswered], list[Unanswered]]:
    """Return the documents of a pack, the records that cannot be read, and the records without a text."""
    documents: list[Document] = []
    failed: list[Unanswered] = []
    skipped: list[Unanswered] = []
    for number, record in enumerate(message.records, start=1):
        try:
            documents.append(read_document(record, message.kind, message.contexts))
        except Unreadable as error:
            name = record.get("record_id")
            if not isinstance(name, str):
                name = f"(record {number})"
            unanswered = Unanswered(name, error.reason)
            if isinstance(error, Textless):
                skipped.append(unanswered)
            else:
                failed.append(unanswered)
    return documents, failed, skipped


def joined(brought: CourseContext | None, sent: CourseContext | None) -> CourseContext:
    """Return one context with the knowledge points of both. At least one must be given.

    Other fields are those of `sent`, which may be newer than what the batch `brought` from its own rows.
    """
    given = [each for each in (sent, brought) if each is not None]
    points: dict[str, None] = {}
    for context in given:
        points.update(dict.fromkeys(context.knowledge_points))
    return given[0].model_copy(update={"knowledge_points": tuple(points)})


def consent_missing(document: Document, settings: AnalyzerSettings) -> str:
    """Return the reason why a text must not be sent to a provider, or "" if it may be sent."""
    if not document.record.consent:
        return "the record says that there is no consent"
    if not settings.students_without_consent.isdisjoint(document.students):
        return "a student of it is in EDUGRAPH_STUDENTS_WITHOUT_CONSENT"
    if not settings.courses_without_consent.isdisjoint(
        course.course_id for course in document.courses
    ):
        return "a course of it is in EDUGRAPH_COURSES_WITHOUT_CONSENT"
    return ""


def _members_of(
    names: Mapping[str, Sequence[CourseNames]], document: Document
) -> list[CourseNames]:
    members = list[CourseNames]()
    for course in document.courses:
        members += names.get(course.course_id, ())
    return members


class Resolver:
    """Asks a language model the questions of one kind of one job.

    Questions are sent in packs. A question that its pack left out or answered wrongly is sent alone, with one repair
    turn. After three answers in a row that are cut or useless, the rest of a pack is not sent. Right before each
    request is sent, `is_cancelled` is called, and Cancelled is raised if it returns True. `new_id` makes the random
    marks of each request, so that nobody can know them before. All methods raise what `LLMClient.complete` and
    `Spending.check` raise.
    """

    def __init__(
        self,
        settings: AnalyzerSettings,
        client: Completes,
        spending: Spending,
        job_id: str,
        kind: Kind,
        *,
        is_cancelled: Callable[[str], bool],
        new_id: Callable[[], str],
    ) -> None:
        self._settings = settings
        self._client = client
        model = settings.model_for(kind)
        self._payer = Payer(spending, job_id, kind, model, settings.price_of(model))
        self._job_id = job_id
        self._kind = kind
        self._is_cancelled = is_cancelled
        self._new_id = new_id
        # The number of useless answers in a row.
        self._useless = 0
        # Whether any answer was useful.
        self._useful = False
        # The reason why no more is asked, or "".
        self._given_up = ""

    def resolve(self, questions: Sequence[Question]) -> Iterator[Resolution]:
        """Yield a resolution for each question, as soon as it is known."""
        fitting = [
            question
            for question in questions
            if question.tokens <= self._settings.longest_item_tokens
        ]
        for question in questions:
            if question.tokens > self._settings.longest_item_tokens:
                yield Resolution(
                    question, None, "its text is longer than EDUGRAPH_LONGEST_ITEM_TOKENS allows"
                )
        for pack in packs(fitting, self._settings):
            alone: Sequence[Question] = pack
            if len(pack) > 1:
                alone = []
                for question, resolution in self._resolved_together(pack):
                    if resolution is None:
                        alone.append(question)
                    else:
                        yield resolution
            for question in alone:
                if len(pack) > 1 and not self._given_up:
                    telemetry.asked_again(self._kind, "single")
                yield self._resolve_alone(question)

    def _resolved_together(
        self, pack: Sequence[Question]
    ) -> Iterator[tuple[Question, Resolution | None]]:
        """Yield each question of a pack with its resolution, or with None if it is to be asked for alone.

        The complete entries of a cut answer are used. The missing ones are asked for again, with a larger limit.
        """
        left = list(pack)
        headroom = 0
        while left and not self._given_up:
            request = replace(
                request_of(self._kind, left, self._settings, self._new_id), headroom=headroom
            )
            try:
                response = self._send(request)
            except Unanswerable:
                # One question is at fault. Each is asked alone to find out which.
                break
            resolutions = self._validated(left, response)
            invalid = sum(resolution.answer is None for resolution in resolutions)
            log.debug("pack_answered", kind=self._kind, items=len(left), invalid=invalid)
            missing = []
            for resolution in resolutions:
                if resolution.answer is None:
                    missing.append(resolution.question)
                elif is_doubtful(resolution, left):
                    yield resolution.question, None
                else:
                    yield resolution.question, resolution
            left = missing
            if response.complete:
                break
            headroom = _headroom_after(response, request)
        for question in left:
            yield question, None

    def _resolve_alone(self, question: Question) -> Resolution:
        """Ask one question. An invalid answer gets one repair turn, and never a second one.

        A cut answer gets no repair turn: the question is asked again with a larger limit.
        """
        if self._given_up:
            return Resolution(question, None, self._given_up)
        request = request_of(self._kind, [question], self._settings, self._new_id)
        tried: list[Resolution] = []
        try:
            while not self._given_up:
                response = self._send(request)
                (found,) = self._validated([question], response)
                tried.append(found)
                if found.answer is not None or (response.complete and len(tried) > 1):
                    break
                if not response.complete:
                    request = replace(request, headroom=_headroom_after(response, request))
                    continue
                telemetry.asked_again(self._kind, "repair")
                shown = response.text[: _CHARACTERS_PER_TOKEN * request.max_answer_tokens]
                request = replace(
                    request, messages=[*request.messages, *repair_of(shown, found.reason)]
                )
        except Unanswerable as error:
            return Resolution(question, None, error.reason)
        last = tried[-1]
        reason = ""
        if last.answer is None:
            reason = self._given_up or f"the model's answer does not validate: {last.reason}"
        return replace(
            last,
            reason=reason,
            input_tokens=sum(each.input_tokens for each in tried),
            output_tokens=sum(each.output_tokens for each in tried),
            cached_tokens=sum(each.cached_tokens for each in tried),
        )

    def _send(self, request: LLMRequest) -> LLMResponse:
        """Send one request within the budget. Raises what `Payer.send` raises, and Cancelled."""
        telemetry.pack_sent(self._kind, request.items)

        def stop_if_cancelled() -> None:
            if self._is_cancelled(self._job_id):
                raise Cancelled

        return self._payer.send(self._client, request, stop_if_cancelled)

    def _validated(self, pack: Sequence[Question], response: LLMResponse) -> list[Resolution]:
        """Return the resolutions of a response, and count whether it was useful.

        Raises Wait if the model gave too many useless answers in a row, so that nobody may ask it for a while.
        """
        resolutions = resolutions_of(pack, response, item_ids(len(pack)))
        problem = ""
        if not any(each.answer for each in resolutions):
            problem = resolutions[0].reason
        self._count_useless(response, problem)
        return resolutions

    def _count_useless(self, response: LLMResponse, problem: str) -> None:
        """Count the answers in a row that were cut or useless, for this pack and for all packs of this model.

        `problem` is the reason why the response is useless, or "". This pack gives up after three such answers of its
        own. If the answers of other packs are among the three, the model is at fault and not a text. Then this pack
        waits as the others do, until the pauses have reached their greatest length. A text whose answer is useless
        after others of its pack had useful answers says nothing about the model. Raises Wait while the model is
        paused.
        """
        if response.complete and not problem:
            self._useful = True
            self._useless = 0
        elif not response.complete or not self._useful:
            self._useless += 1
        what = problem
        if not response.complete:
            what = f"it was cut at its limit of {response.limit} tokens"
        model = self._settings.model_for(self._kind)
        sentence = f"the answers of the model {model!r} could not be used {MOST_USELESS} times in a row: {what}"
        fault_of_model = ""
        if problem and not self._useful:
            fault_of_model = sentence
        paused_seconds = self._client.judge(fault_of_model)
        if self._useless >= MOST_USELESS:
            advice = "set another EDUGRAPH_MODEL, or larger thinking_tokens for this one"
            self._given_up = f"{sentence}; {advice}"
        elif 0 < paused_seconds < BREAKERS["useless"].longest_seconds:
            raise ProviderBusy(sentence, paused_seconds)


def resolutions_of(
    pack: Sequence[Question], response: LLMResponse, ids: Sequence[str]
) -> list[Resolution]:
    """Return a resolution for each item of a response. Ids of points and of kinds have become names in it.

    The input tokens are split in proportion to the texts, and the output tokens in proportion to the answers.
    """
    kind = pack[0].document.kind
    parsed = parse_answers(kind, response.text, ids)
    answers = list[Answer | None]()
    for question, item_id in zip(pack, ids, strict=True):
        answer = parsed.valid.get(item_id)
        if answer is not None:
            named = with_names(answer, question.points, question.error_types)
            telemetry.names_dropped(kind, names_in(answer) - names_in(named))
            answer = named
        answers.append(answer)
    text_tokens = [question.tokens for question in pack]
    answer_tokens = [
        estimated_tokens(answer.model_dump_json()) if answer else 0 for answer in answers
    ]
    inputs = split_in_proportion(response.input_tokens, text_tokens)
    outputs = split_in_proportion(response.output_tokens, answer_tokens)
    cached = split_in_proportion(response.cached_tokens, text_tokens)
    reasons = []
    for item_id in ids:
        problem = parsed.problems.get(item_id, "")
        if problem and not response.complete:
            problem += " (the answer was cut at its limit of tokens)"
        reasons.append(problem)
    return [
        Resolution(*each)
        for each in zip(pack, answers, reasons, inputs, outputs, cached, strict=True)
    ]


def is_doubtful(resolution: Resolution, pack: Sequence[Question]) -> bool:
    """Return whether an answer may belong to another item of its pack.

    Evidence that stands in a neighbour's text and not in its own shows that two items were exchanged. A sentiment can
    be checked by its evidence only, so it needs a quote from its own text. The texts of the neighbours are searched
    last, since this takes longest.
    """
    own = resolution.question
    quotes: tuple[str, ...] = ()
    if resolution.answer is not None:
        quotes = tuple(resolution.answer.evidence)
    if found_in(quotes, own.body):
        return False
    if own.document.kind == "interaction":
        return True
    neighbours = [other for other in pack if other is not own]
    return any(found_in(quotes, neighbour.body) for neighbour in neighbours)


def accepted(
    pack: Sequence[Question], response: LLMResponse, ids: Sequence[str]
) -> list[Resolution]:
    """Return the answers of a response that may be stored. An item that was asked alone has no neighbours."""
    answered = [each for each in resolutions_of(pack, response, ids) if each.answer is not None]
    if len(pack) == 1:
        return answered
    return [each for each in answered if not is_doubtful(each, pack)]


def _headroom_after(response: LLMResponse, request: LLMRequest) -> int:
    """Return the headroom of the next try after an answer that was cut, in tokens."""
    larger_limit = min(_LARGER_LIMIT * response.limit, max(LARGEST_LIMIT_TOKENS, response.limit))
    return max(larger_limit - request.max_answer_tokens, 0)
