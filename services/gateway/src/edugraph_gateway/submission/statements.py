"""xAPI statements of a running system: their ids, their rules, and what is done with one that is known.

This is a receiver and not a learning record store: statements become records of the graph, and the gateway remembers
those of the last ten minutes only (docs/adr/0121-statements-are-received-live.md).
"""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from functools import partial
from typing import Any, NamedTuple, TypeVar

import structlog
from anyio import CapacityLimiter
from pydantic_core import from_json

from edugraph_common.contracts.data_sources import DataSource
from edugraph_common.contracts.errors import Retryable
from edugraph_common.contracts.live_days import day_of_live_job
from edugraph_common.contracts.messages import INLINE_RECORDS
from edugraph_common.contracts.record_keys import DEFAULT_SOURCE
from edugraph_common.contracts.records import InvalidRecord
from edugraph_common.runtime.service.problems import Problem
from edugraph_common.runtime.shared_state.callers import Caller
from edugraph_common.runtime.shared_state.live_counts import LiveCounts
from edugraph_common.runtime.shared_state.recent_statements import (
    Moment,
    Recent,
    RecentStatements,
    packed_statement,
)
from edugraph_common.sources import Platforms
from edugraph_common.sources.live_statements import statement_row
from edugraph_common.sources.moodle import mark_summaries_of_request
from edugraph_common.sources.statements import (
    VOIDED,
    attachments_of,
    content_key,
    statement_id,
    verb_iri,
    with_lists_of_activities,
)
from edugraph_common.sources.xapi import read_statement
from edugraph_common.sources.xapi_rules import broken_rules
from edugraph_gateway.deadlines import in_time
from edugraph_gateway.submission.live_records import LiveGatherer, LiveRecords
from edugraph_gateway.submission.live_sources import is_too_old, observed, texts_to_analyse
from edugraph_gateway.submission.submit import WRITE_TIMEOUT_SECONDS

MOST_STATEMENTS = INLINE_RECORDS
MOST_SHOWN = 20
# The prefix of the counts of broken rules, by the name of the rule.
RULE = "rule: "

T = TypeVar("T")
log = structlog.get_logger()


class Attachments(NamedTuple):
    """The files that came with a request. They are counted and not kept.

    `hashes` has the hash that the header of each file states. `are_binary`: each part with a file says that its
    encoding is binary.
    """

    number: int = 0
    bytes: int = 0
    hashes: frozenset[str] = frozenset()
    are_binary: bool = True


@dataclass(frozen=True)
class Request:
    """The statements of one request. `is_single`: it has one statement, and not a list."""

    caller: Caller
    source: DataSource | None
    statements: Sequence[dict[str, Any]]
    is_single: bool
    attachments: Attachments

    @property
    def source_name(self) -> str:
        if self.source is None:
            return DEFAULT_SOURCE
        return self.source.name


@dataclass
class _Sorted:
    """The statements of a request by what is done with them. `new` maps the id of a statement to it."""

    new: dict[str, dict[str, Any]] = field(default_factory=dict)
    known: int = 0
    conflicts: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class StatementReceiver:
    """`new_id` returns the id of a statement that came without id and time."""

    live: LiveGatherer
    recent: RecentStatements
    counts: LiveCounts
    platforms: Platforms
    now: Callable[[], datetime]
    new_id: Callable[[], str]
    threads: CapacityLimiter

    async def receive(self, request: Request) -> list[str]:
        """Return the ids of the statements once the broker has those that are new.

        Raises Problem 400 for a request of a wrong form and 409 for a single statement whose id another one has, and
        Retryable, QueueFull, Rejected.
        """
        try:
            rules = _checked(request)
        except _Wrong as wrong:
            now = self.now()
            await self._try(lambda: self.counts.add_refusal(request.source_name, "statement", now))
            words = f"{wrong.field}: {wrong.reason}. Nothing of the request was taken."
            raise Problem(400, "statement", words) from None
        if request.source is not None and request.source.live == "observe":
            return await self._observe(request, rules)
        with_ids = await self._with_ids(request)
        named: dict[str, dict[str, Any]] = {}
        for statement in with_ids:
            # Two statements without ids and with equal contents are one.
            named.setdefault(statement["id"], statement)
        contents = {name: content_key(statement) for name, statement in named.items()}
        marked = _marked(named)
        now = self.now()
        known = await self._in_time(lambda: self.recent.find(request.source_name, list(named), now))
        found = _sorted(named, contents, known)
        older = _without_older(found.new, request.source)
        if found.conflicts and request.is_single:
            await self._count(request, Counter(conflicts=1))
            words = f"Another statement with the id {found.conflicts[0][:64]} was accepted before."
            raise Problem(409, "statement", words)
        # The day of a request that lasts over midnight is that of its job.
        day = now.astimezone(UTC).date()
        if found.new:
            job_id = await self._send(request, [marked[name] for name in found.new])
            day = day_of_live_job(job_id)
            recent = {}
            for name, statement in found.new.items():
                shown = _as_stored(statement, request.caller, name, now)
                voids = verb_iri(statement) == VOIDED
                packed = packed_statement(shown)
                recent[name] = Recent(contents[name], now, packed, is_voiding=voids)
            await self._try(lambda: self.recent.remember(request.source_name, recent, now))
            voided = _voided_by(found.new.values())
            await self._try(lambda: self.recent.hide(request.source_name, voided, now))
        counts = Counter(
            accepted=len(found.new),
            known=found.known,
            conflicts=len(found.conflicts),
            older=older,
            attachments=request.attachments.number,
            attachment_bytes=request.attachments.bytes,
        )
        counts.update(_named_rules(rules))
        await self._count(request, counts, day, accepted_at=now if found.new else None)
        return [statement["id"] for statement in with_ids]

    async def _observe(self, request: Request, rules: Mapping[str, int]) -> list[str]:
        """Count what would become of the statements. Return ids for them. Nothing is sent on or remembered."""
        now = self.now()
        name = request.source_name
        with_ids = await self._with_ids(request)
        stored = await self._in_time(lambda: self.counts.of(name, now.date()))
        read = partial(read_statement, platforms=self.platforms)
        marked = mark_summaries_of_request(with_ids)
        younger = [each for each in marked if not is_too_old(request.source, _moment(each))]
        counts = observed(younger, read, stored, now)
        counts["older"] = len(with_ids) - len(younger)
        counts.update(_named_rules(rules))
        await self._count(request, counts)
        return [statement["id"] for statement in with_ids]

    async def find(self, source_name: str, wanted_id: str) -> dict[str, Any] | None:
        """Return a statement that the source sent within the last ten minutes. Raises Retryable."""
        wanted = wanted_id.strip().lower()
        now = self.now()
        found = await self._in_time(lambda: self.recent.find(source_name, [wanted], now))
        recent = found.get(wanted)
        if recent is None:
            return None
        return recent.statement

    async def _with_ids(self, request: Request) -> list[dict[str, Any]]:
        """Return the statements with an id and a moment each. Raises Retryable."""
        without_both: dict[str, dict[str, Any]] = {}  # key of the content -> statement
        for statement in request.statements:
            if needs_both(statement):
                without_both[statement_id(statement)] = statement
        moments = await self._moments(request, without_both)
        with_ids = []
        for statement in request.statements:
            name = statement_id(statement)
            at = self.now()
            if needs_both(statement):
                moment = moments[name]
                name = moment.statement_id
                at = moment.at
            added = {"id": name}
            if _moment(statement) is None:
                added["stored"] = at.isoformat()
            with_ids.append({**statement, **added})
        return with_ids

    async def _moments(
        self, request: Request, statements: Mapping[str, dict[str, Any]]
    ) -> dict[str, Moment]:
        """Return the id and the moment of each content that came without both. Raises Retryable."""
        if not statements:
            return {}
        now = self.now()
        given = {content: Moment(self.new_id(), now) for content in statements}
        name = request.source_name
        return await self._in_time(lambda: self.recent.moments(name, given, now))

    async def _send(self, request: Request, statements: Sequence[dict[str, Any]]) -> str:
        """Return the job of these statements when the broker has them. Raises Retryable, QueueFull, Rejected."""
        rows = []
        for statement in statements:
            rows.append(statement_row(statement, self.platforms))
        records = LiveRecords(
            request.caller,
            request.source_name,
            rows,
            are_statements=True,
            texts=texts_to_analyse(request.source, self.now()),
        )
        return await self.live.send(records)

    async def _count(
        self,
        request: Request,
        counts: Mapping[str, int],
        day: date | None = None,
        *,
        accepted_at: datetime | None = None,
    ) -> None:
        """Add to the counts of a day, or of the present one."""
        name = request.source_name
        of_day = day or self.now().astimezone(UTC).date()
        await self._try(lambda: self.counts.add(name, counts, of_day, accepted_at=accepted_at))

    async def _try(self, work: Callable[[], None]) -> None:
        """Do what an accepted request does not depend on: the broker has its statements already."""
        try:
            await self._in_time(work)
        except Retryable as away:
            log.warning("statements_not_remembered", reason=away.reason)

    async def _in_time(self, work: Callable[[], T]) -> T:
        return await in_time(work, WRITE_TIMEOUT_SECONDS, self.threads)


class _Wrong(Exception):
    """The request has a wrong form. The texts have no value of the request."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(reason)
        self.field = field
        self.reason = reason


def _checked(request: Request) -> Counter[str]:
    """Return how often each rule of the specification is broken.

    Raises _Wrong for statements that cannot be read, for two to which the sender gave one id, and in a strict source
    for each broken rule.
    """
    if len(request.statements) > MOST_STATEMENTS:
        raise _Wrong("(body)", f"has more than {MOST_STATEMENTS:,} statements")
    rules: Counter[str] = Counter()
    is_strict = request.source is not None and request.source.strict
    _check_ids(request.statements)
    wrong_files = _wrong_files(request)
    if wrong_files:
        rules["attachment"] += 1
    if wrong_files and is_strict:
        raise _Wrong("attachments", wrong_files)
    for statement in request.statements:
        broken = broken_rules(statement)
        if broken and is_strict:
            shown = ", ".join(
                f"{each.field or '(statement)'} ({each.rule})" for each in broken[:MOST_SHOWN]
            )
            raise _Wrong(shown, "this breaks a rule of the xAPI specification")
        # A statement that breaks a rule in several fields counts once.
        rules.update({each.rule for each in broken})
    return rules


def _check_ids(statements: Sequence[dict[str, Any]]) -> None:
    """Raise _Wrong for a statement that cannot be read, and for two to which the sender gave one id."""
    given = set()
    for statement in statements:
        if verb_iri(statement) is None:
            raise _Wrong("verb.id", "the IRI of a verb is missing")
        for name in ("actor", "object"):
            if not isinstance(statement.get(name), dict):
                raise _Wrong(name, "an object is missing")
        try:
            name = statement_id(statement)
        except InvalidRecord as wrong:
            raise _Wrong(wrong.field, wrong.reason) from None
        if statement.get("id") is None:
            continue
        if name in given:
            raise _Wrong("id", "two statements of the request have one id")
        given.add(name)


def _wrong_files(request: Request) -> str:
    """Return what is wrong with the files of a request as a whole, or "". The files themselves are not looked at."""
    described = set()
    without_address = set()
    for statement in request.statements:
        for attachment in attachments_of(statement):
            sha2 = attachment.get("sha2")
            if not isinstance(sha2, str):
                continue
            described.add(sha2.lower())
            if attachment.get("fileUrl") is None:
                without_address.add(sha2.lower())
    files = request.attachments
    if not files.are_binary:
        return "a file does not say that its transfer encoding is binary"
    if files.hashes - described:
        return "a file has a hash that no statement names"
    if without_address - files.hashes:
        return "a statement names a file that did not come"
    return ""


def needs_both(statement: Mapping[str, Any]) -> bool:
    """Return whether a statement came without id and time."""
    return statement.get("id") is None and _moment(statement) is None


def _moment(statement: Mapping[str, Any]) -> Any:
    return statement.get("timestamp") or statement.get("stored")


def _marked(named: Mapping[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return id -> statement, where the summaries of a quiz are marked if its questions are in the request.

    The questions may be known already and the summary be new, so that all statements of the request are looked at.
    """
    return dict(zip(named, mark_summaries_of_request(list(named.values())), strict=True))


def _sorted(
    named: Mapping[str, dict[str, Any]],
    contents: Mapping[str, str],
    known: Mapping[str, Recent],
) -> _Sorted:
    found = _Sorted()
    for name, statement in named.items():
        recent = known.get(name)
        if recent is None:
            found.new[name] = statement
        elif recent.content == contents[name]:
            found.known += 1
        else:
            found.conflicts.append(name)
    return found


def _without_older(statements: dict[str, dict[str, Any]], source: DataSource | None) -> int:
    """Take the statements out that are too old for the source. Return their number."""
    older = [name for name, each in statements.items() if is_too_old(source, _moment(each))]
    for name in older:
        del statements[name]
    return len(older)


def _named_rules(rules: Mapping[str, int]) -> dict[str, int]:
    return {RULE + rule: number for rule, number in rules.items()}


def _voided_by(statements: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the ids of the statements that these void."""
    found = []
    for statement in statements:
        target = statement["object"]
        if verb_iri(statement) == VOIDED and target.get("objectType") == "StatementRef":
            found.append(str(target.get("id")).strip().lower())
    return found


def _as_stored(
    statement: Mapping[str, Any], caller: Caller, name: str, now: datetime
) -> dict[str, Any]:
    """Return a statement as a GET shows it, with the fields that a receiver sets."""
    stored = now.isoformat()
    authority = {
        "objectType": "Agent",
        "account": {"homePage": "urn:edugraph:clients", "name": caller.client_id},
    }
    return {
        "version": "1.0.3",
        "timestamp": _moment(statement) or stored,
        **with_lists_of_activities(statement),
        "id": name,
        "stored": stored,
        "authority": authority,
    }


def decoded_body(body: bytes) -> Any:
    """Return the JSON value of a body. Raises Problem 400, also for a number that is too large."""
    try:
        value = from_json(body, allow_inf_nan=False)
        json.dumps(value, allow_nan=False)  # 1e999 is JSON, and no number here
    except ValueError:
        raise Problem(400, "statement", "The body is not JSON in UTF-8.") from None
    return value


def parsed_statements(body: bytes) -> tuple[list[dict[str, Any]], bool]:
    """Return the statements of a body, and whether it is one statement and not a list. Raises Problem 400."""
    value = decoded_body(body)
    is_single = isinstance(value, dict)
    statements = [value] if is_single else value
    if not isinstance(statements, list) or not all(isinstance(each, dict) for each in statements):
        raise Problem(400, "statement", "Send a statement, or a list of statements.")
    return statements, is_single
