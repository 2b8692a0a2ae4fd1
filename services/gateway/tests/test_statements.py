"""Statements of a request: their ids and moments, their rules, and what is done with one that is known."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from time import process_time
from typing import Any

import pytest
from anyio import CapacityLimiter

from edugraph_common.contracts.data_sources import DataSource
from edugraph_common.contracts.errors import Retryable
from edugraph_common.runtime.service.problems import Problem
from edugraph_common.runtime.shared_state.callers import Caller
from edugraph_common.runtime.shared_state.recent_statements import Moment, Recent
from edugraph_common.sources import Platforms
from edugraph_common.sources.statements import statement_id
from edugraph_gateway.submission.attachments import split_files
from edugraph_gateway.submission.live_records import LiveRecords
from edugraph_gateway.submission.statements import (
    MOST_STATEMENTS,
    Attachments,
    Request,
    StatementReceiver,
    parsed_statements,
)

NOW = datetime(2026, 9, 21, 10, tzinfo=UTC)
CALLER = Caller("k1", ("submit",))
FIRST_ID = "6690e6c9-3ef0-4ed3-8b37-7f3964730bee"
OTHER_ID = "7690e6c9-3ef0-4ed3-8b37-7f3964730bee"


def statement(student: str = "ann", **more: Any) -> dict[str, Any]:
    return {
        "actor": {"account": {"homePage": "https://lms.example", "name": student}},
        "verb": {"id": "http://adlnet.gov/expapi/verbs/answered"},
        "object": {"id": "https://lms.example/q/1"},
        "result": {"success": True},
        "timestamp": "2026-09-21T09:00:00Z",
        **more,
    }


def without_time(**more: Any) -> dict[str, Any]:
    found = statement(**more)
    del found["timestamp"]
    return found


class Memory:
    """The memory of the gateway and its counts, without Redis."""

    def __init__(self) -> None:
        self.recent: dict[str, Recent] = {}
        self.given: dict[str, Moment] = {}
        self.counts: dict[str, int] = {}
        self.days: list[date] = []
        self.refusals: list[str] = []
        self.is_away = False

    def find(self, _source: str, ids: Sequence[str], now: datetime) -> dict[str, Recent]:
        assert now >= NOW
        return {each: self.recent[each] for each in ids if each in self.recent}

    def remember(self, _source: str, statements: Mapping[str, Recent], now: datetime) -> None:
        assert now >= NOW
        if self.is_away:
            raise Retryable("Redis is away")
        self.recent.update(statements)

    def hide(self, source: str, ids: Sequence[str], now: datetime) -> None:
        found = self.find(source, ids, now)
        hidden = {each: recent._replace(packed="") for each, recent in found.items()}
        self.remember(source, hidden, now)

    def moments(
        self, _source: str, given: Mapping[str, Moment], now: datetime
    ) -> dict[str, Moment]:
        assert now >= NOW
        return {content: self.given.setdefault(content, each) for content, each in given.items()}

    def of(self, _source: str, _day: date) -> dict[str, str]:
        return {name: str(number) for name, number in self.counts.items()}

    def add(
        self,
        _source: str,
        counts: Mapping[str, int],
        day: date,
        *,
        accepted_at: datetime | None = None,
    ) -> None:
        if self.is_away:
            raise Retryable("Redis is away")
        self.days.append(day)
        for name, number in {**counts, "times": accepted_at is not None}.items():
            if number:
                self.counts[name] = self.counts.get(name, 0) + number

    def add_refusal(self, _source: str, name: str, at: datetime) -> None:
        self.days.append(at.date())
        self.counts["refused"] = self.counts.get("refused", 0) + 1
        self.refusals.append(name)


class Gathering:
    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []
        self.fails = False

    async def send(self, request: LiveRecords) -> str:
        if self.fails:
            raise Retryable("the broker is away")
        assert request.are_statements
        self.sent += request.records
        return "live-lms-2026-09-21"


class Room:
    def __init__(self, *, strict: bool = False, **settings: Any) -> None:
        self.memory: Any = Memory()
        self.live: Any = Gathering()
        self.now = NOW
        self.ids = iter(f"new-{number}" for number in range(100))
        self.source = DataSource(name="lms", kind="xapi", created=NOW, strict=strict, **settings)
        self.receiver = StatementReceiver(
            live=self.live,
            recent=self.memory,
            counts=self.memory,
            platforms=Platforms({"lms.example": "lms:"}),
            now=lambda: self.now,
            new_id=lambda: next(self.ids),
            threads=CapacityLimiter(1),
        )

    def send(self, *statements: dict[str, Any], single: bool = False) -> list[str]:
        request = Request(CALLER, self.source, statements, single, Attachments(1, 5))
        return asyncio.run(self.receiver.receive(request))

    def refused(self, *statements: dict[str, Any], single: bool = False) -> Problem:
        with pytest.raises(Problem) as refused:
            self.send(*statements, single=single)
        return refused.value

    @property
    def sent_ids(self) -> list[str]:
        return [row["data"]["id"] for row in self.live.sent]


def test_a_row_names_its_students_like_a_record_and_has_the_statement() -> None:
    """Out: `students` in `statement_row`: an erasure would find nobody."""
    room = Room()
    assert room.send(statement(id=FIRST_ID.upper())) == [FIRST_ID]
    [row] = room.live.sent
    assert row["students"] == [{"student_id": "lms:ann"}]
    assert row["data"] == statement(id=FIRST_ID)


def test_the_id_of_a_statement_with_a_time_is_that_of_a_file() -> None:
    room = Room()
    expected = statement_id(statement())
    assert room.send(statement(), statement()) == [expected, expected]
    assert room.sent_ids == [expected]


def test_a_statement_without_id_and_time_keeps_those_of_its_first_sending() -> None:
    """Out: `moments`, or its value in place of a new one."""
    room = Room()
    assert room.send(without_time()) == ["new-0"]
    room.now += timedelta(minutes=5)
    assert room.send(without_time(), without_time(student="ben")) == ["new-0", "new-2"]
    ann, ben = room.live.sent
    assert ann["data"]["stored"] == NOW.isoformat()
    assert ben["data"]["stored"] == room.now.isoformat()
    assert room.memory.counts["known"] == 1


def test_a_statement_whose_message_failed_keeps_its_id_and_moment() -> None:
    room = Room()
    room.live.fails = True
    with pytest.raises(Retryable):
        room.send(without_time())
    room.live.fails = False
    room.now += timedelta(minutes=1)
    assert room.send(without_time()) == ["new-0"]
    assert room.live.sent[0]["data"]["stored"] == NOW.isoformat()


def test_statements_keep_their_order() -> None:
    """Out: `setdefault` in place of another order. The position decides between statements of one request."""
    room = Room()
    names = [f"student-{number}" for number in range(5)]
    room.send(*(statement(name) for name in names), statement("student-0"))
    sent = [row["data"]["actor"]["account"]["name"] for row in room.live.sent]
    assert sent == names


def test_a_request_that_lasts_over_midnight_is_counted_on_the_day_of_its_job() -> None:
    """Out: the day of the job. Then rows would wait for ever on one day, and the alert would fire."""
    room = Room()
    room.now = datetime(2026, 9, 22, 0, 0, 0, 100, tzinfo=UTC)
    room.send(statement())
    assert room.memory.days == [date(2026, 9, 21)]
    room.send(statement())
    # Nothing is sent on, so there is no job.
    assert room.memory.days == [date(2026, 9, 21), date(2026, 9, 22)]


def test_a_moment_that_the_sender_gave_as_stored_is_kept() -> None:
    room = Room()
    given = without_time(stored="2026-09-20T00:00:00Z")
    assert room.send(given) == [statement_id(given)]
    assert room.live.sent[0]["data"]["stored"] == "2026-09-20T00:00:00Z"


def test_a_known_statement_is_not_sent_again_and_another_content_is_refused() -> None:
    """Out: the comparison in `_sorted`; `is_single` in `receive`."""
    room = Room()
    room.send(statement(id=FIRST_ID), single=True)
    same = statement(
        id=FIRST_ID,
        stored="2026-09-21T11:00:00Z",
        timestamp="2026-09-21T17:00:00+08:00",
        verb={"id": "http://adlnet.gov/expapi/verbs/answered", "display": {"en": "answered"}},
    )
    assert room.send(same, single=True) == [FIRST_ID]
    other = statement(id=FIRST_ID, result={"success": False})
    assert room.refused(other, single=True).status == 409
    # A list is taken without the statement that another one has been.
    assert room.send(other, statement(id=OTHER_ID)) == [FIRST_ID, OTHER_ID]
    assert room.sent_ids == [FIRST_ID, OTHER_ID]
    counted = room.memory.counts
    assert (counted["accepted"], counted["known"], counted["conflicts"]) == (2, 1, 2)
    assert (counted["attachments"], counted["attachment_bytes"], counted["times"]) == (3, 15, 2)


def test_two_statements_with_one_given_id_refuse_the_request() -> None:
    """Out: `given`. Equal ids in other letters are equal, too."""
    room = Room()
    refused = room.refused(statement(id=FIRST_ID), statement("ben", id=FIRST_ID.upper()))
    assert refused.status == 400
    assert room.live.sent == []
    assert room.memory.counts == {"refused": 1}
    assert room.memory.refusals == ["statement"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"actor": None},
        {"actor": "ann"},
        {"verb": {}},
        {"verb": {"id": 7}},
        {"object": []},
        {"id": 7},
    ],
)
def test_a_statement_that_cannot_be_read_refuses_the_request(wrong: dict[str, Any]) -> None:
    room = Room()
    assert room.refused(statement(), statement(**wrong)).status == 400
    assert room.live.sent == []


def test_a_broken_rule_is_counted_and_refuses_in_a_strict_source_alone() -> None:
    """Out: `is_strict`, or the counts of rules. The answer has the field and not its value."""
    wrong = statement("ann@secret", id="not-a-uuid", stored=None, result={"success": "yes", "x": 1})
    room = Room()
    assert room.send(wrong) == ["not-a-uuid"]
    counted = {name for name in room.memory.counts if name.startswith("rule: ")}
    assert counted == {"rule: id", "rule: null", "rule: type", "rule: unknown property"}
    refused = Room(strict=True).refused(statement(), wrong)
    assert refused.status == 400
    assert "result.success (type)" in refused.detail
    assert "secret" not in refused.detail
    assert Room(strict=True).send(statement(id=FIRST_ID)) == [FIRST_ID]


def test_a_request_has_at_most_a_thousand_statements() -> None:
    room = Room()
    assert len(room.send(*(statement(str(n)) for n in range(MOST_STATEMENTS)))) == MOST_STATEMENTS
    assert room.refused(*(statement(str(n)) for n in range(MOST_STATEMENTS + 1))).status == 400


def test_an_accepted_request_does_not_depend_on_the_memory() -> None:
    """Out: `_try`: the sender would send again what the broker has."""
    room = Room()
    room.memory.is_away = True
    assert room.send(statement(id=FIRST_ID)) == [FIRST_ID]
    assert room.sent_ids == [FIRST_ID]


def test_a_statement_is_shown_with_the_fields_of_a_receiver() -> None:
    room = Room()
    room.send(without_time(id=FIRST_ID))
    shown = asyncio.run(room.receiver.find("lms", FIRST_ID.upper()))
    assert shown is not None
    assert (shown["id"], shown["version"]) == (FIRST_ID, "1.0.3")
    assert shown["timestamp"] == shown["stored"] == NOW.isoformat()
    assert shown["authority"]["account"]["name"] == "k1"


@pytest.mark.parametrize(
    "body",
    [
        b"", b"x", b"7", b'"x"', b"[7]", b"[[]]", b"null", b'{"a": NaN}', b'{"a": 1e999}',
        b'"\\ud800"', b'{"a": "\\ud800"}', b"[" * 5_000 + b"]" * 5_000, b'{"a": "\xff"}',
    ],
)  # fmt: skip
def test_a_body_that_is_not_a_statement_is_refused(body: bytes) -> None:
    with pytest.raises(Problem) as refused:
        parsed_statements(body)
    assert refused.value.status == 400


def test_files_of_a_request_are_counted_and_dropped() -> None:
    body = (
        b"--b\r\nContent-Type: application/json\r\n\r\n[1]\r\n"
        b"--b\r\nContent-Type: text/plain\r\nContent-Transfer-Encoding: binary\r\n"
        b"X-Experience-API-Hash: 00\r\n\r\nsecret\r\n--b--\r\n"
    )
    found = Attachments(1, 6, hashes=frozenset({"00"}))
    assert split_files("multipart/mixed; boundary=b", body) == (b"[1]", found)


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("multipart/mixed", b"--b\r\n\r\n--b--"),
        ("multipart/mixed; boundary=b", b""),
        ("multipart/mixed; boundary=b", b"--b\r\nContent-Type: text/plain\r\n\r\n[]\r\n--b--"),
        (
            "multipart/mixed; boundary=b",
            b"--b\r\nContent-Type: application/json\r\n\r\n[]\r\n--b\r\n\r\nx\r\n--b--",
        ),
        (
            "multipart/mixed; boundary=b",
            b"--b\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\n--c\r\n\r\n--c--\r\n--b--",
        ),
    ],
)
def test_a_wrong_multipart_body_is_refused(content_type: str, body: bytes) -> None:
    with pytest.raises(Problem) as refused:
        split_files(content_type, body)
    assert refused.value.status == 400


@pytest.mark.parametrize(
    "head",
    [
        b"application/json; a*",
        b"application/json; " + b"a=b; " * 20_000,
        b"application/json " + b"(" * 5_000,
    ],
)
def test_no_header_of_a_part_takes_long_or_ends_the_reading(head: bytes) -> None:
    """Out: a parser of mail in place of the split at the boundary."""
    body = b"--b\r\nContent-Type: " + head + b"\r\n\r\n[1]\r\n--b--"
    began = process_time()
    with suppress(Problem):
        split_files("multipart/mixed; boundary=b", body)
    assert process_time() - began < 1.0


def test_parts_of_parts_are_not_read() -> None:
    nested = b"x"
    for number in range(1_200):
        mark = b"%d" % number
        nested = b"Content-Type: multipart/mixed; boundary=%s\r\n\r\n--%s\r\n%s\r\n--%s--" % (
            mark,
            mark,
            nested,
            mark,
        )
    with pytest.raises(Problem):
        split_files("multipart/mixed; boundary=b", b"--b\r\n" + nested + b"\r\n--b--")


def test_an_observed_source_is_answered_and_nothing_is_sent_or_remembered() -> None:
    """Out: `_observe`."""
    room = Room(live="observe")
    given = [
        statement(id=FIRST_ID),
        statement(actor={"name": "Nobody"}),
        statement(verb={"id": "https://verbs.example/secret"}),
        without_time(),
    ]
    ids = room.send(*given)
    assert (ids[0], ids[3], len(set(ids))) == (FIRST_ID, "new-0", 4)
    assert room.live.sent == []
    assert room.memory.recent == {}
    counted = room.memory.counts
    assert counted["observed"] == 4
    assert (counted["outcome: attempt_record"], counted["outcome: not relevant"]) == (2, 1)
    assert "secret" not in str(counted)
    assert "accepted" not in counted


def test_older_statements_are_left_out_and_answered() -> None:
    """Out: `_without_older`. A backfill brings them."""
    room = Room(live_from=NOW)
    old = statement(id=FIRST_ID)
    new = statement(id=OTHER_ID, timestamp="2026-09-21T10:00:00Z")
    assert room.send(old, new) == [FIRST_ID, OTHER_ID]
    assert room.sent_ids == [OTHER_ID]
    assert (room.memory.counts["older"], room.memory.counts["accepted"]) == (1, 1)
    assert room.send(without_time()) == ["new-0"]
    assert len(room.live.sent) == 2
