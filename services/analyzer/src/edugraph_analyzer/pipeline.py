"""One pack of records into findings.

The steps, in the order in which `Pipeline.analyse` takes them, and the object that each is in the hands of:

1. read      `documents.read_document` picks from each record its text, the people whom it names, and its courses.
2. redact    `redaction.Redactor`, in `prompting.questions.question_of`, puts placeholders for private words.
3. cache     `cache.store.AnswerStore` has the answers that were paid for before.
4. batch     `economy.Economy` has a job's packs read by batches of the provider's, if it was asked to (ADR 57).
5. flight    `cache.single_flight.SingleFlight` leaves to other processes what they ask already, and leases the rest.
6. limit     `llm.rate_limiter.RateLimiter` grants a slot to each physical request.
7. call      `llm.client.LLMClient` sends it, in the form that the endpoint accepts (`llm.capabilities`).
8. validate  `findings.schema.parse_answers` accepts an answer or says what is wrong with it.
9. cost      `costs.Spending` stops a job at its budget, and counts each token that was paid for.
10. map      `findings.mapping.to_finding` restores the original words and looks the evidence up in the text.

Steps 6 to 9 are `Resolver.resolve`. Each object is called from here and calls none of those before it.
"""

import hashlib
import os
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, Protocol

import redis
import structlog

from edugraph_analyzer import telemetry
from edugraph_analyzer.cache.single_flight import SingleFlight
from edugraph_analyzer.cache.store import AnswerStore
from edugraph_analyzer.costs import Spending, Usage, cost_of, estimated_tokens, split_in_proportion
from edugraph_analyzer.course_names import CourseNames
from edugraph_analyzer.documents import Document, Textless, Unreadable, read_document
from edugraph_analyzer.economy import Economy
from edugraph_analyzer.estimate import Estimate, estimate
from edugraph_analyzer.findings.evidence import found_in
from edugraph_analyzer.findings.mapping import MappingContext, to_finding
from edugraph_analyzer.findings.schema import parse_answers
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
from edugraph_analyzer.settings import AnalyzerSettings
from edugraph_common.contracts.errors import ProviderBusy, Rejected
from edugraph_common.contracts.findings import KINDS_WITH_CONTEXTS, Kind, Origin, RecordFinding
from edugraph_common.contracts.messages import Analysis, CourseContext
from edugraph_common.contracts.personal_data import record_mark
from edugraph_common.contracts.records import Record, course_ids_of
from edugraph_common.platform.course_members import CourseMembers, names_by_course
from edugraph_common.platform.redis_errors import redis_errors
from edugraph_common.sources.rows import parse_rows

if TYPE_CHECKING:
    from edugraph_analyzer.llm.client import LLMClient

log = structlog.get_logger()

PREPARED_COURSES = 64  # whose names a process keeps ready
MOST_USELESS = 3  # answers in a row; then what is left of a pack has no answer
LARGEST_LIMIT_TOKENS = 65_536  # of one answer, however often it was cut
_LARGER_LIMIT = 4  # times the limit at which an answer was cut
_CHARACTERS_PER_TOKEN = 4  # how much of a wrong answer is shown again in the repair turn


@dataclass(frozen=True)
class Unanswered:
    """A record without a finding; `reason` holds nothing of its content."""

    record_id: str
    reason: str


@dataclass(frozen=True)
class PackResult:
    """Every record of the request is in exactly one of the four.

    A skipped record has no text, which is no fault. A withheld one is not read, since consent is missing or a student
    of it is restricted.
    """

    findings: tuple[RecordFinding, ...]
    failed: tuple[Unanswered, ...]
    skipped: tuple[Unanswered, ...] = ()
    withheld: tuple[Unanswered, ...] = ()


class MembersUnknown(Exception):
    """The importer has not told what must be known of these courses, or whose texts may be read, so none is."""

    def __init__(self, course_ids: tuple[str, ...]) -> None:
        super().__init__()
        self.course_ids = course_ids


class Completes(Protocol):
    """What the resolver needs of `llm.client.LLMClient`.

    `check` is called when the request's slot has come, right before it leaves; what it raises comes out as it was.
    `count_lost` is called with the estimated tokens of each attempt that left and brought no answer. `judge` is told
    why the last response was of no use, or an empty reason; it returns the seconds of a pause.
    """

    def complete(
        self, request: LLMRequest, check: Callable[[], None], count_lost: Callable[[int, int], None]
    ) -> LLMResponse: ...

    def judge(self, reason: str) -> float: ...


class Pipeline:
    """The analysis of packs. There is one in each process.

    Connections open at the first use, so that a pipeline that was made before a fork is safe after it. `with_records`
    gives a pack that refers to its rows its records, or raises Rejected when they are gone. `is_cancelled`
    says whether a job, by its id, was cancelled; nobody can cancel the jobs of an evaluation. `members`
    tells what must be known of each course, and is None in an evaluation. `offline` answers where no provider is
    set. Clock, sleep, ids, `breakers` and `transport` (the HTTP transport of the provider's client) are for tests.
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
        self._settings, self._redis, self._sleep, self._new_id = settings, server, sleep, new_id
        self._store = AnswerStore(
            server, ttl_seconds=settings.cache_ttl_seconds, lease_ttl_seconds=settings.lease_ttl_seconds
        )
        self._spending = Spending(server, budget=settings.budget_per_job, pause_seconds=settings.budget_pause_seconds)
        self._limiter_of = RateLimiter.of_settings(settings, server, breakers=breakers, sleep=sleep, new_id=new_id)
        self._with_records = with_records
        self._is_cancelled, self._offline = is_cancelled, offline or RuleBasedAnalyzer()
        self._members = members
        # To prepare the names of a large course takes longer than to look for them in a text.
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
        """Estimate what `analyse` would cost. Nothing is sent to the provider."""
        message, _ = self._with_contexts(message)
        names, _ = self._names_by_course(message)
        return estimate([message], self._settings, self._store.kept, partial(_members_of, names))

    def is_under_way(self, message: Analysis) -> bool:
        """Say whether the provider has a batch of this pack, which has to be cancelled with its job."""
        economy = self._economy_of(message)
        with redis_errors():
            return economy is not None and economy.is_under_way()

    def _economy_of(self, message: Analysis) -> Economy | None:
        """Return what reads a pack by batches, if that was asked for and there is a provider."""
        if not (message.economy and self._settings.has_provider):
            return None
        return self._economy(job_id=message.job_id, pack=message.pack, kind=message.kind)

    def analyse(self, message: Analysis, *, after_texts: bool = False) -> PackResult:
        """Analyse a pack. What was answered before is in the cache, and not paid again.

        Records that are gone have failed. They are no reason to give the pack up: a job may have many thousand packs,
        and none of their replays would find the rows either.

        `after_texts`: mistakes waited until the graph had the texts of their courses, and are told what it knows now.

        Raises Retryable, Wait, Rejected, Cancelled when the job was cancelled meanwhile, and MembersUnknown.
        """
        economy = self._economy_of(message)
        if economy is not None:
            with redis_errors():
                economy.look()
        failed: list[Unanswered] = []
        count, why = message.count, "is in its rows no more"
        try:
            message = self._with_records(message)
        except Rejected as gone:
            log.warning("pack_not_read", reason=gone.reason)
            why = gone.reason
        failed += [Unanswered(f"(record {number})", why) for number in range(len(message.records) + 1, count + 1)]
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
                questions.append(question_of(document, self._settings, _members_of(names, document)))
            except TooLong as error:
                failed.append(Unanswered(document.record.record_id, error.reason))
        with redis_errors():
            flight = self._resolved(message, questions)
        findings, unanswered = self._mapped(questions, flight)
        failed += unanswered
        cached = sum(found.origin.cached for found in findings)
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
        """Return the documents that may be read, and those that are withheld. Raises MembersUnknown."""
        restricted = frozenset[str]() if self._members is None else self._members.restricted()
        if restricted is None:
            raise MembersUnknown(())
        readable, withheld = list[Document](), list[Unanswered]()
        for document in documents:
            reason = "a student of it is restricted" if not restricted.isdisjoint(document.students) else ""
            reason = reason or (consent_missing(document, self._settings) if self._settings.has_provider else "")
            if reason:
                withheld.append(Unanswered(document.record.record_id, reason))
            else:
                readable.append(document)
        return readable, withheld

    def _with_contexts(self, message: Analysis, after_texts: bool = False) -> tuple[Analysis, tuple[str, ...]]:
        """Return a pack with what is known of its own courses, and those of which nobody has told it.

        A pack of an import brings it along. For one of the API, which knows no graph, the importer has told it; so it
        has for one that waited until the texts of its courses were in the graph, beside what its batch knew.
        """
        if self._members is None or message.kind not in KINDS_WITH_CONTEXTS:
            return message, ()
        rows = parse_rows(enumerate(message.records, start=1))
        own = {course_id for _, row in rows if isinstance(row, Record) for course_id in course_ids_of(row)}
        contexts = {each.course_id: each for each in message.contexts if each.course_id in own}
        told = self._members.contexts(own if after_texts else own - contexts.keys())
        if after_texts and (unknown := own - told.keys()):
            return message, tuple(sorted(unknown))
        contexts = {each: joined(contexts.get(each), told.get(each)) for each in contexts.keys() | told.keys()}
        return message.model_copy(update={"contexts": tuple(contexts.values())}), tuple(sorted(own - contexts.keys()))

    def _names_by_course(self, message: Analysis) -> tuple[dict[str, list[CourseNames]], tuple[str, ...]]:
        """Return the names of the people of each course of these records, and the courses whose list is unknown.

        The records name people whom the graph may not know yet. They are looked up apart: the list may be full.
        """
        if self._members is None or not self._settings.redaction:
            return {}, ()
        rows = parse_rows(enumerate(message.records, start=1))
        here = names_by_course(row for _, row in rows if isinstance(row, Record))
        told = self._members.of(here)
        prepared = {
            course_id: [self._prepared(told.get(course_id, ())), CourseNames(here[course_id])] for course_id in here
        }
        return prepared, tuple(sorted(here.keys() - told.keys()))

    def _resolved(self, message: Analysis, questions: Sequence[Question]) -> SingleFlight:
        """Take the answers that there are, and ask for the rest (steps 3 to 9).

        A question is billed to a record of a pack of a job: to the same one when the pack is tried again, and to
        nobody else's.
        """
        billed_to, asked_for = {}, {}
        for question in questions:
            asked_for[question.key] = record_mark(question.document.record.record_id)
            parts = f"{message.job_id}|{message.pack}|{question.document.record.record_id}"
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
        hits = sum(flight.resolutions[question.key].answer is not None for question in questions) - paid
        usage = Usage(items=len(questions), cached=hits - len(flight.paid_before))
        self._spending.add(message.job_id, message.kind, self._settings.model_for(message.kind), usage)
        self._store.count(hits, paid)
        telemetry.cache_looked_up(message.kind, hits, paid)
        return flight

    def _llm(self) -> "LLMClient":
        """Return the client. It is made when there is something to ask: its SDK takes about a second to load."""
        if self._client is None:
            from edugraph_analyzer.llm.client import LLMClient

            self._client = LLMClient(self._settings, self._redis, self._limiter_of, **self._client_options)
        return self._client

    def _mapped(
        self, questions: Sequence[Question], flight: SingleFlight
    ) -> tuple[list[RecordFinding], list[Unanswered]]:
        """Turn answers into findings (step 10). Of several records with the same text only the first one costs."""
        findings: list[RecordFinding] = []
        unanswered: list[Unanswered] = []
        paid = flight.paid | flight.paid_before
        for question in questions:
            record, resolution = question.document.record, flight.resolutions[question.key]
            if resolution.answer is None:
                unanswered.append(Unanswered(record.record_id, resolution.reason))
                continue
            cached = question.key not in paid
            paid.discard(question.key)
            kind = question.document.kind
            model = self._settings.model_for(kind)
            tokens = (resolution.input_tokens, resolution.output_tokens, resolution.cached_tokens)
            used = (0, 0, 0) if cached else tokens
            origin = Origin(
                analyser="model",
                model=model,
                prompt_version=prompts.version_of(kind),
                input_tokens=used[0],
                output_tokens=used[1],
                cost=cost_of(self._settings.price_of(model), *used, batched=resolution.batched),
                cached=cached,
            )
            cap = self._settings.confidence_without_evidence
            context = MappingContext(question.document, question.redactor, cap)
            finding = to_finding(resolution.answer, context)
            findings.append(RecordFinding(record=record.to_json(), finding=finding, origin=origin))
        return findings, unanswered


def read_documents(message: Analysis) -> tuple[list[Document], list[Unanswered], list[Unanswered]]:
    """Return the documents of a pack, the records that are none, and those that have no text."""
    documents: list[Document] = []
    failed: list[Unanswered] = []
    skipped: list[Unanswered] = []
    for number, record in enumerate(message.records, start=1):
        try:
            documents.append(read_document(record, message.kind, message.contexts))
        except Unreadable as error:
            record_id = record.get("record_id")
            name = record_id if isinstance(record_id, str) else f"(record {number})"
            (skipped if isinstance(error, Textless) else failed).append(Unanswered(name, error.reason))
    return documents, failed, skipped


def joined(brought: CourseContext | None, told: CourseContext | None) -> CourseContext:
    """Return all points that either knows. What a batch brought is of its own rows, what was told may be newer."""
    first, *more = filter(None, (told, brought))
    points = dict.fromkeys(point for each in (first, *more) for point in each.knowledge_points)
    return first.model_copy(update={"knowledge_points": tuple(points)})


def consent_missing(document: Document, settings: AnalyzerSettings) -> str:
    """Say why a text may not be sent to a provider, or nothing where it may."""
    if not document.record.consent:
        return "the record says that there is no consent"
    if not settings.students_without_consent.isdisjoint(document.students):
        return "a student of it is in EDUGRAPH_STUDENTS_WITHOUT_CONSENT"
    if not settings.courses_without_consent.isdisjoint(course.course_id for course in document.courses):
        return "a course of it is in EDUGRAPH_COURSES_WITHOUT_CONSENT"
    return ""


def _members_of(names: Mapping[str, Sequence[CourseNames]], document: Document) -> list[CourseNames]:
    return [each for course in document.courses for each in names.get(course.course_id, ())]


class Resolver:
    """Asks a language model the questions of one kind of one job.

    Questions go in packs; those that a pack left out or got wrong go alone, with one repair turn. After three answers
    in a row that are cut or of no use, what is left of a pack is not asked for. `is_cancelled` is asked once before
    each request, when its slot has come; then Cancelled is raised. `new_id` makes the marks of each request, which
    nobody can know before. All methods raise what `LLMClient.complete` and `Spending.check` raise.
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
        self._settings, self._client, self._spending = settings, client, spending
        self._job_id, self._kind, self._is_cancelled, self._new_id = job_id, kind, is_cancelled, new_id
        self._useless, self._useful, self._given_up = 0, False, ""

    def resolve(self, questions: Sequence[Question]) -> Iterator[Resolution]:
        """Yield a resolution for each question, as soon as it is there."""
        fitting = [question for question in questions if question.tokens <= self._settings.longest_item_tokens]
        for question in questions:
            if question.tokens > self._settings.longest_item_tokens:
                yield Resolution(question, None, "its text is longer than EDUGRAPH_LONGEST_ITEM_TOKENS allows")
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

    def _resolved_together(self, pack: Sequence[Question]) -> Iterator[tuple[Question, Resolution | None]]:
        """Yield each question of a pack with its resolution, or with None if it is to be asked for alone.

        An answer that was cut leaves its whole entries. What it lacks is asked for again, with a larger limit.
        """
        left, headroom = list(pack), 0
        while left and not self._given_up:
            request = replace(request_of(self._kind, left, self._settings, self._new_id), headroom=headroom)
            try:
                response = self._send(request)
            except Unanswerable:  # one of them is at fault, and only asking singly tells which
                break
            resolutions = self._validated(left, response)
            invalid = sum(resolution.answer is None for resolution in resolutions)
            log.debug("pack_answered", kind=self._kind, items=len(left), invalid=invalid)
            missing = []
            for resolution in resolutions:
                own = resolution.question
                if resolution.answer is None:
                    missing.append(own)
                else:
                    yield own, None if is_doubtful(resolution, left) else resolution
            left = missing
            if response.complete:
                break
            headroom = _headroom_after(response, request)
        yield from ((question, None) for question in left)

    def _resolve_alone(self, question: Question) -> Resolution:
        """Ask for one question. An answer that does not validate gets one repair turn, never a second one.

        After an answer that was cut the limit is larger instead.
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
                request = replace(request, messages=[*request.messages, *repair_of(shown, found.reason)])
        except Unanswerable as error:
            return Resolution(question, None, error.reason)
        last = tried[-1]
        return replace(
            last,
            reason="" if last.answer else self._given_up or f"the model's answer does not validate: {last.reason}",
            input_tokens=sum(each.input_tokens for each in tried),
            output_tokens=sum(each.output_tokens for each in tried),
            cached_tokens=sum(each.cached_tokens for each in tried),
        )

    def _send(self, request: LLMRequest) -> LLMResponse:
        """Check the budget, send one request, and count what it cost. The client waits for its slot.

        An answer that the content filter took out was paid for as well, and so was one that did not come in time.
        """
        model = self._settings.model_for(self._kind)
        price = self._settings.price_of(model)
        self._spending.check(self._job_id, model, price)
        telemetry.pack_sent(self._kind, request.items)

        def stop_if_cancelled() -> None:
            if self._is_cancelled(self._job_id):
                raise Cancelled

        def count(input_tokens: int, output_tokens: int, cached_tokens: int, *, estimated: bool) -> None:
            cost = cost_of(price, input_tokens, output_tokens, cached_tokens)
            usage = Usage(
                requests=1,
                input_tokens=input_tokens,
                output_tokens=output_tokens,
                cost=cost,
                cached_tokens=cached_tokens,
                estimated=int(estimated),
            )
            self._spending.add(self._job_id, self._kind, model, usage)
            telemetry.tokens_used(model, self._kind, input_tokens, output_tokens, cost)

        def count_lost(input_tokens: int, output_tokens: int) -> None:
            count(input_tokens, output_tokens, 0, estimated=True)

        response = self._client.complete(request, stop_if_cancelled, count_lost)
        count(response.input_tokens, response.output_tokens, response.cached_tokens, estimated=response.estimated)
        if response.filtered:
            raise Unanswerable("the provider's content filter refused it")
        return response

    def _validated(self, pack: Sequence[Question], response: LLMResponse) -> list[Resolution]:
        """Validate the answers of a response, and split its tokens by the length of each text and of its answer.

        Raises Wait when so many answers in a row were of no use that nobody asks the model for a while.
        """
        resolutions = resolutions_of(pack, response, item_ids(len(pack)))
        useful = any(each.answer for each in resolutions)
        self._count_useless(response, "" if useful else resolutions[0].reason)
        return resolutions

    def _count_useless(self, response: LLMResponse, problem: str) -> None:
        """Count the answers in a row that were cut or of no use, here and for all who ask this model.

        This pack ends after three of its own. After three of which others had some, the model is at fault and not a
        text: the pack waits, as all others do, until the pauses are as long as they get. A text that goes wrong after
        others of its pack went well says nothing of the model. Raises Wait.
        """
        if response.complete and not problem:
            self._useful, self._useless = True, 0
        elif not response.complete or not self._useful:
            self._useless += 1
        what = problem if response.complete else f"it was cut at its limit of {response.limit} tokens"
        model = self._settings.model_for(self._kind)
        sentence = f"the answers of the model {model!r} could not be used {MOST_USELESS} times in a row: {what}"
        paused_seconds = self._client.judge(sentence if problem and not self._useful else "")
        if self._useless >= MOST_USELESS:
            advice = "set another EDUGRAPH_MODEL, or larger thinking_tokens for this one"
            self._given_up = f"{sentence}; {advice}"
        elif 0 < paused_seconds < BREAKERS["useless"].longest_seconds:
            raise ProviderBusy(sentence, paused_seconds)


def resolutions_of(pack: Sequence[Question], response: LLMResponse, ids: Sequence[str]) -> list[Resolution]:
    """Validate the answers to items of a response, and split its tokens by the length of each text and answer."""
    kind = pack[0].document.kind
    parsed = parse_answers(kind, response.text, ids)
    answers = [parsed.valid.get(item_id) for item_id in ids]
    inputs = split_in_proportion(response.input_tokens, [question.tokens for question in pack])
    lengths = [estimated_tokens(answer.model_dump_json()) if answer else 0 for answer in answers]
    outputs = split_in_proportion(response.output_tokens, lengths)
    cached = split_in_proportion(response.cached_tokens, [question.tokens for question in pack])
    cut = "" if response.complete else " (the answer was cut at its limit of tokens)"
    reasons = [parsed.problems[item_id] + cut if item_id in parsed.problems else "" for item_id in ids]
    return [Resolution(*each) for each in zip(pack, answers, reasons, inputs, outputs, cached, strict=True)]


def is_doubtful(resolution: Resolution, pack: Sequence[Question]) -> bool:
    """Say whether an answer may be that of another item of its pack.

    Evidence that stands in a neighbour's text and not in its own shows that two items were exchanged. A sentiment has
    nothing else to be checked by, so it needs a quote from its own text. The neighbours' texts are read last: to read
    each of them for each item takes longer than all else here.
    """
    own, quotes = resolution.question, tuple(resolution.answer.evidence if resolution.answer else ())
    return not found_in(quotes, own.body) and (
        own.document.kind == "interaction" or any(found_in(quotes, other.body) for other in pack if other is not own)
    )


def accepted(pack: Sequence[Question], response: LLMResponse, ids: Sequence[str]) -> list[Resolution]:
    """Return the answers of a response that may be kept. One that was asked alone has no neighbours."""
    found = [each for each in resolutions_of(pack, response, ids) if each.answer is not None]
    return [each for each in found if len(pack) == 1 or not is_doubtful(each, pack)]


def _headroom_after(response: LLMResponse, request: LLMRequest) -> int:
    """Return the headroom of the next try after an answer that was cut."""
    larger = min(_LARGER_LIMIT * response.limit, max(LARGEST_LIMIT_TOKENS, response.limit))
    return max(larger - request.max_answer_tokens, 0)
