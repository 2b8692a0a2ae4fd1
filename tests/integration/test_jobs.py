"""What people see of a job: each batch and pack counted once, whatever arrives twice and in whatever order."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from engines import real_servers
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from edugraph_common.contracts.errors import Wait
from edugraph_common.contracts.messages import JOB_DEADLINE_SECONDS
from edugraph_common.contracts.outcomes import (
    ENDED,
    AnalysisProgress,
    BatchOutcome,
    JobReport,
    JobState,
    Reject,
)
from edugraph_common.runtime.service.settings import JOB_RETENTION_DAYS
from edugraph_common.runtime.shared_state import job_store
from edugraph_common.runtime.shared_state.job_store import (
    CLAIM_SECONDS,
    JOB_SCHEMA_VERSION,
    JOBS,
    Jobs,
    NewJob,
    Place,
    connect,
)
from edugraph_common.sources.person import Person

pytestmark = pytest.mark.real
NOW = datetime(2026, 3, 2, 8, tzinfo=UTC)


@pytest.fixture(scope="module")
def jobs() -> Iterator[Jobs]:
    client = connect(real_servers()["EDUGRAPH_REDIS_URL"])
    yield Jobs(client)
    client.close()


def started(jobs: Jobs, batches: int) -> str:
    job_id = uuid4().hex
    assert jobs.create(job_id, "import", "a.ndjson", NOW)
    jobs.begin(job_id, batches, NOW)
    return job_id


def outcome(job_id: str, batch: int, state: str = "written") -> BatchOutcome:
    reject = Reject(line=batch, field="data", expected="x", found="y", reason="is wrong")
    counts = {
        "written": 3,
        "unchanged": 1,
        "rejected": 1,
        "reasons": {"is wrong": 1},
        "errors": (reject,),
    }
    numbers = counts if state == "written" else {"failed": 5, "error": "the graph is away"}
    return BatchOutcome.model_validate(
        {"job_id": job_id, "batch": batch, "state": state, "read": 5, **numbers}
    )


def report(jobs: Jobs, job_id: str) -> JobReport:
    found = jobs.report(job_id, NOW)
    assert found is not None
    return found


def test_a_job_is_created_once(jobs: Jobs) -> None:
    job_id = started(jobs, 1)
    assert not jobs.create(job_id, "import", "other", NOW)
    assert report(jobs, job_id).source == "a.ndjson"


def test_a_job_of_a_later_release_waits_for_it(jobs: Jobs) -> None:
    """To take the guard out: let `message_state` read no version."""
    job_id = started(jobs, 1)
    assert jobs.message_state(job_id, 0) == "open"
    client = connect(real_servers()["EDUGRAPH_REDIS_URL"])
    assert client.hget(f"edugraph:job:{{{job_id}}}", "schema") == str(JOB_SCHEMA_VERSION)
    client.hset(f"edugraph:job:{{{job_id}}}", "schema", str(JOB_SCHEMA_VERSION + 1))
    with pytest.raises(Wait, match="the job's state in Redis has schema version"):
        jobs.message_state(job_id, 0)
    client.hdel(f"edugraph:job:{{{job_id}}}", "schema")
    assert jobs.message_state(job_id, 0) == "open"
    client.close()


def test_a_created_job_has_its_tasks_and_what_is_to_be_analysed(jobs: Jobs) -> None:
    ids, late = [uuid4().hex for _ in range(3)], NOW.replace(year=2100)
    analysis = NewJob(ids[2], "analysis", "error inline", late, to_analyse=7, tasks="[2]")
    new = [
        NewJob(ids[0], "import", "a", late, tasks="[0]"),
        NewJob(ids[1], "import", "b", late),
        analysis,
    ]
    assert all(jobs.create_job(job) for job in new)
    assert not jobs.create_job(new[0]._replace(source="another", tasks="[3]"))
    assert [report(jobs, job_id).source for job_id in ids] == ["a", "b", "error inline"]
    assert [jobs.tasks(job_id) for job_id in ids] == ["[0]", None, "[2]"]
    assert [report(jobs, job_id).analysis.expected for job_id in ids] == [0, 0, 7]
    assert {job.job_id for job in jobs.newest(3, NOW)[0]} == set(ids)
    for job_id in ids:
        jobs.withdraw(job_id, NOW)


@given(deliveries=st.lists(st.sampled_from(range(4)), min_size=1, max_size=12))
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_batches_are_counted_once_in_any_order(jobs: Jobs, deliveries: list[int]) -> None:
    job_id = started(jobs, 4)
    for batch in deliveries:
        jobs.settle_batch(outcome(job_id, batch), NOW)
    seen = report(jobs, job_id)
    different = len(set(deliveries))
    assert (seen.batches_done, seen.read, seen.written) == (different, 5 * different, 3 * different)
    assert seen.reasons == {"is wrong": different}


def test_a_replayed_batch_replaces_its_failure_and_never_the_other_way_round(jobs: Jobs) -> None:
    job_id = started(jobs, 2)
    jobs.settle_batch(outcome(job_id, 0, "failed"), NOW)
    jobs.settle_batch(outcome(job_id, 1), NOW)
    jobs.imported(job_id, NOW)
    assert jobs.finish_if_complete(job_id, NOW) == "partly failed"
    assert report(jobs, job_id).failed_batches == (0,)
    jobs.settle_batch(outcome(job_id, 0), NOW)
    jobs.settle_batch(outcome(job_id, 0, "failed"), NOW)
    assert jobs.finish_if_complete(job_id, NOW) == "succeeded"
    seen = report(jobs, job_id)
    assert (seen.failed, seen.written, seen.failed_batches, seen.error) == (0, 6, (), None)


def test_a_job_ends_only_when_its_analysis_has(jobs: Jobs) -> None:
    job_id = started(jobs, 1)
    jobs.settle_batch(outcome(job_id, 0).model_copy(update={"analysis_expected": 2}), NOW)
    jobs.imported(job_id, NOW)
    assert jobs.finish_if_complete(job_id, NOW) is None
    for _ in range(2):
        jobs.settle_pack(job_id, "error-0-0", AnalysisProgress(done=2, cost=0.5), NOW)
    assert jobs.finish_if_complete(job_id, NOW) == "succeeded"
    assert jobs.finish_if_complete(job_id, NOW) is None
    assert report(jobs, job_id).analysis.cost == 0.5


def test_a_job_ends_when_the_prerequisites_that_it_changed_are_derived(jobs: Jobs) -> None:
    """To take the guard out: let derived.lua not compare the number."""
    job_id = started(jobs, 1)
    changed = outcome(job_id, 0).model_copy(update={"analysis_expected": 2, "claims_changed": True})
    for _ in range(2):  # it is delivered twice and counts once
        jobs.settle_batch(changed, NOW)
    jobs.imported(job_id, NOW)
    assert jobs.finish_if_complete(job_id, NOW) is None
    read_before = jobs.deriving([job_id, "another"])
    assert read_before == {job_id: "1"}
    jobs.settle_pack(
        job_id, "knowledge_points-0-0", AnalysisProgress(done=2), NOW, claims_changed=True
    )
    jobs.derived(job_id, read_before[job_id])  # by a settler that began before the pack
    assert (jobs.finish_if_complete(job_id, NOW), report(jobs, job_id).deriving) == (
        "deriving",
        True,
    )
    jobs.waits(job_id, "it waits", NOW.timestamp() + 60, NOW)
    assert (report(jobs, job_id).state, report(jobs, job_id).waiting_for) == ("waiting", "it waits")
    jobs.derived(job_id, jobs.deriving([job_id])[job_id])
    assert jobs.finish_if_complete(job_id, NOW) == "succeeded"
    seen = report(jobs, job_id)
    assert (seen.state, seen.deriving, seen.waiting_for) == ("succeeded", False, None)


def test_a_job_that_was_cancelled_has_what_it_changed_derived(jobs: Jobs) -> None:
    job_id = started(jobs, 2)
    jobs.cancel(job_id, NOW)
    jobs.settle_batch(outcome(job_id, 0).model_copy(update={"claims_changed": True}), NOW)
    assert jobs.finish_if_complete(job_id, NOW) == "deriving"
    jobs.derived(job_id, jobs.deriving([job_id])[job_id])
    assert (jobs.finish_if_complete(job_id, NOW), report(jobs, job_id).state) == (None, "cancelled")


def test_a_file_without_a_valid_record_has_failed(jobs: Jobs) -> None:
    job_id = started(jobs, 1)
    nothing = outcome(job_id, 0).model_copy(update={"written": 0, "unchanged": 0, "rejected": 5})
    jobs.settle_batch(nothing, NOW)
    jobs.imported(job_id, NOW)
    assert jobs.finish_if_complete(job_id, NOW) == "failed"
    assert report(jobs, job_id).error == "no record of it is valid"


@pytest.mark.parametrize(("written", "state"), [(1, "partly failed"), (0, "failed")])
def test_a_batch_that_failed_without_a_row_to_count_is_a_failure(
    jobs: Jobs, written: int, state: str
) -> None:
    job_id = started(jobs, 2)
    gone = BatchOutcome(job_id=job_id, batch=0, state="failed", error="the blob is gone")
    jobs.settle_batch(gone, NOW)
    jobs.settle_batch(outcome(job_id, 1) if written else gone.model_copy(update={"batch": 1}), NOW)
    jobs.imported(job_id, NOW)
    assert jobs.finish_if_complete(job_id, NOW) == state
    assert report(jobs, job_id).error == "the blob is gone"


def test_why_a_job_waits_is_shown_until_it_does_not(jobs: Jobs) -> None:
    job_id = started(jobs, 1)
    jobs.waits(job_id, "provider limit", NOW.timestamp() + 10, NOW)
    assert report(jobs, job_id).state == "waiting"
    later = jobs.report(job_id, datetime(2026, 3, 2, 9, tzinfo=UTC))
    assert later is not None
    assert (later.state, later.waiting_for) == ("running", None)


def test_a_job_is_resumed_where_the_first_batch_is_not_yet_written_or_read(jobs: Jobs) -> None:
    job_id = started(jobs, 3)
    for batch in range(3):
        jobs.settle_batch(outcome(job_id, batch).model_copy(update={"analysis_expected": 4}), NOW)
    assert jobs.first_open_batch(job_id) == 0
    for kind, read in (("error", 1), ("knowledge_points", 3)):
        for batch in (0, 2):
            jobs.settle_pack(job_id, f"{kind}-{batch}-0", AnalysisProgress(done=read), NOW)
    assert jobs.first_open_batch(job_id) == 1
    jobs.settle_pack(job_id, "interaction-1-0", AnalysisProgress(failed=4), NOW)
    assert jobs.first_open_batch(job_id) == 1
    jobs.settle_pack(job_id, "interaction-1-0", AnalysisProgress(done=4), NOW)
    assert jobs.first_open_batch(job_id) == 3


def batch_outcomes() -> st.SearchStrategy[BatchOutcome]:
    """Any outcome of a batch that was read, or of one that failed with as many rows as the split saw."""
    count = st.integers(0, 50)
    names = st.dictionaries(st.sampled_from(["play_video", "(page request)", "hint"]), count)
    counts = st.fixed_dictionaries(
        {"written": count, "unchanged": count, "rejected": count, "not_relevant": names}
    )

    def written(numbers: dict[str, Any]) -> dict[str, Any]:
        rows = numbers["written"] + numbers["unchanged"] + numbers["rejected"]
        return {"state": "written", "read": rows + sum(numbers["not_relevant"].values()), **numbers}

    failed = count.map(
        lambda rows: {"state": "failed", "read": rows, "failed": rows, "error": "the blob is gone"}
    )
    return (counts.map(written) | failed).map(
        lambda fields: BatchOutcome(job_id="j", batch=0, **fields)
    )


@given(st.lists(st.tuples(st.integers(0, 3), batch_outcomes()), max_size=12))
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_what_became_of_the_rows_adds_up_whatever_becomes_of_the_batches(
    jobs: Jobs, deliveries: list[tuple[int, BatchOutcome]]
) -> None:
    """Each of the four batches may end, fail, be delivered again and be replayed, or never end."""
    job_id = started(jobs, 4)
    expected: dict[int, BatchOutcome] = {}
    for batch, given_outcome in deliveries:
        jobs.settle_batch(given_outcome.model_copy(update={"job_id": job_id, "batch": batch}), NOW)
        before = expected.get(batch)
        if before is None or (before.state == "failed" and given_outcome.state == "written"):
            expected[batch] = given_outcome
        seen = report(jobs, job_id)
        assert (
            sum(seen.outcomes.values()) == seen.read == sum(each.read for each in expected.values())
        )
    jobs.imported(job_id, NOW)
    state = jobs.finish_if_complete(job_id, NOW)
    failures = any(each.state == "failed" for each in expected.values())
    assert state in (
        (None,) if len(expected) < 4 else ("failed", "partly failed") if failures else ENDED
    )


def test_a_window_is_sent_once_by_whoever_claims_it_first(jobs: Jobs) -> None:
    job_id = uuid4().hex
    assert jobs.begin(job_id, 3, NOW) == "unknown"
    jobs.create(job_id, "import", "a.ndjson", NOW)
    assert jobs.begin(job_id, 3, NOW) == "begun"
    assert jobs.begin(job_id, 3, NOW) == "busy"
    assert jobs.begin(job_id, 3, NOW, first_batch=2) == "begun"
    jobs.unclaim(job_id, 0)
    assert jobs.begin(job_id, 3, NOW) == "begun"
    after_its_death = NOW + timedelta(seconds=CLAIM_SECONDS + 1)
    assert jobs.begin(job_id, 3, after_its_death) == "begun"
    jobs.sent(job_id, 0)
    assert jobs.begin(job_id, 3, after_its_death + timedelta(days=1)) == "sent"
    jobs.cancel(job_id, NOW)
    assert jobs.begin(job_id, 3, NOW) == "cancelled"
    assert jobs.resume(job_id, NOW) == 1
    assert [jobs.message_state(job_id, generation) for generation in (0, 1)] == ["stale", "open"]
    assert [jobs.begin(job_id, 3, NOW, generation=generation) for generation in (0, 1)] == [
        "stale",
        "begun",
    ]


def test_a_job_that_redis_has_lost_and_that_is_known_again_is_not_ended_by_what_came_before(
    jobs: Jobs,
) -> None:
    """Out: HEXISTS of the batches in finish_job.lua; the look at the claim in `unsettled_of_window`."""
    job_id = started(jobs, 2)
    assert jobs.unsettled_of_window(job_id, range(2)) == {0, 1}
    jobs.settle_batch(outcome(job_id, 0), NOW)
    assert jobs.unsettled_of_window(job_id, range(2)) == {1}
    jobs._redis.delete(*jobs.keys_of(job_id))
    jobs.create(job_id, "import", "a.ndjson", NOW)
    jobs.sent(job_id, 0)
    assert jobs.unsettled_of_window(job_id, range(2)) is None
    jobs.imported(job_id, NOW)
    assert jobs.finish_if_complete(job_id, NOW) is None


def test_a_resumed_job_does_not_end_before_what_failed_was_tried_again(jobs: Jobs) -> None:
    job_id = started(jobs, 3)
    for batch, state in enumerate(("written", "failed", "failed")):
        settled = outcome(job_id, batch, state)
        expected = 4 if state == "written" else 0
        jobs.settle_batch(settled.model_copy(update={"analysis_expected": expected}), NOW)
    jobs.settle_pack(
        job_id,
        "knowledge_points-0-0",
        AnalysisProgress(done=3, failed=1, cost=0.5),
        NOW,
        "no answer",
    )
    jobs.imported(job_id, NOW)
    assert jobs.finish_if_complete(job_id, NOW) == "partly failed"
    assert jobs.resume(job_id, NOW) == 1
    seen = report(jobs, job_id)
    assert (seen.state, seen.error, seen.batches_done, seen.failed_batches) == (
        "running",
        None,
        1,
        (),
    )
    assert (
        seen.read,
        seen.failed,
        seen.analysis.done,
        seen.analysis.failed,
        seen.analysis.cost,
    ) == (5, 0, 0, 0, 0)
    assert jobs.open_batches(job_id, range(3)) == {0, 1, 2}
    jobs.settle_batch(outcome(job_id, 1), NOW)
    assert jobs.finish_if_complete(job_id, NOW) is None
    jobs.imported(job_id, NOW)  # an aggregate of before
    assert jobs.finish_if_complete(job_id, NOW) is None
    jobs.settle_batch(outcome(job_id, 2), NOW)
    assert jobs.finish_if_complete(job_id, NOW) is None
    jobs.settle_pack(job_id, "knowledge_points-0-0", AnalysisProgress(done=4, cost=0.75), NOW)
    assert jobs.finish_if_complete(job_id, NOW) == "succeeded"
    seen = report(jobs, job_id)
    assert (seen.read, seen.analysis.done, seen.analysis.cost) == (15, 4, 0.75)
    assert jobs.resume(job_id, NOW) == 0


def test_a_failure_never_takes_the_place_of_a_cancellation(jobs: Jobs) -> None:
    job_id = started(jobs, 1)
    jobs.cancel(job_id, NOW)
    assert not jobs.fail(job_id, "the file is broken", NOW)
    assert (report(jobs, job_id).state, report(jobs, job_id).error) == ("cancelled", None)
    assert not jobs.fail(uuid4().hex, "nobody knows it", NOW)


_STEPS = st.sampled_from(
    [
        "begin",
        "sent",
        "settle_batch",
        "fail_batch",
        "settle_pack",
        "imported",
        "waits",
        "restart",
        "deliver",
        "finish",
        "fail",
        "stop",
        "cancel",
        "resume",
        "withdraw",
    ]
)


def step(jobs: Jobs, job_id: str, name: str, number: int) -> None:
    """Do one thing that a gateway or worker may do to a job, whether or not it makes sense now."""
    failed = AnalysisProgress(done=number, failed=number)
    steps: dict[str, Any] = {
        "begin": lambda: jobs.begin(job_id, 2, NOW, first_batch=number, generation=number),
        "sent": lambda: jobs.sent(job_id, number),
        "settle_batch": lambda: jobs.settle_batch(outcome(job_id, number), NOW),
        "fail_batch": lambda: jobs.settle_batch(outcome(job_id, number, "failed"), NOW),
        "settle_pack": lambda: jobs.settle_pack(
            job_id, f"error-{number}-0", failed, NOW, "no answer"
        ),
        "imported": lambda: jobs.imported(job_id, NOW),
        "waits": lambda: jobs.waits(job_id, "the limit", NOW.timestamp(), NOW),
        "restart": lambda: jobs.count_restart(job_id, NOW),
        "deliver": lambda: jobs.note_delivery(job_id, number, "data_import", NOW.timestamp(), NOW),
        "finish": lambda: jobs.finish_if_complete(job_id, NOW),
        "fail": lambda: jobs.fail(job_id, "the file is broken", NOW),
        "stop": lambda: jobs.fail(job_id, "the file is broken", NOW, stop=True),
        "cancel": lambda: jobs.cancel(job_id, NOW),
        "resume": lambda: jobs.resume(job_id, NOW),
        "withdraw": lambda: jobs.withdraw(job_id, NOW),
    }
    steps[name]()


@example(created=True, inline=False, steps=[("fail", 0), ("begin", 0)])
@example(created=True, inline=False, steps=[("fail", 0), ("settle_pack", 0)])
@example(created=True, inline=False, steps=[("begin", 0), ("cancel", 0), ("resume", 0)])
@given(
    created=st.booleans(),
    inline=st.booleans(),
    steps=st.lists(st.tuples(_STEPS, st.integers(0, 1)), max_size=15),
)
@settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_each_key_of_a_job_expires_when_it_has_ended_and_not_before(
    jobs: Jobs, created: bool, inline: bool, steps: list[tuple[str, int]]
) -> None:
    """Out: a call of `ended`, `opened` or `written` in a script, what `withdraw` deletes, EXISTS in if_known.lua; the line
    of the tasks in `ended`. Records are kept as long as a message of an open job may wait, and a week after its end.
    """
    server, job_id = jobs._redis, uuid4().hex
    if created:
        jobs.create(job_id, "import", "a.ndjson", NOW, tasks="[]", tasks_hold_records=inline)
    for name, number in steps:
        step(jobs, job_id, name, number)
    left = {
        str(key): int(server.ttl(key))
        for key in server.scan_iter(f"edugraph:job:{{{job_id}}}*", count=1_000)
    }
    if jobs.is_open(job_id):
        assert set(left.values()) == {-1}
    else:
        if inline:
            assert 0 < left.pop(f"edugraph:job:{{{job_id}}}:tasks", 1) <= JOB_DEADLINE_SECONDS
        assert all(0 < seconds <= JOB_RETENTION_DAYS * 86_400 for seconds in left.values())
        assert max(left.values(), default=0) - min(left.values(), default=0) <= 1
        assert bool(left) == (created or any(name == "withdraw" for name, _ in steps))
    server.zrem(JOBS, job_id)


def test_records_leave_redis_when_their_job_has_succeeded(jobs: Jobs) -> None:
    """Out: DEL in finish_job.lua."""
    kept = {}
    for inline in (True, False):
        job_id = uuid4().hex
        jobs.create(job_id, "import", "inline", NOW, tasks="[]", tasks_hold_records=inline)
        jobs.begin(job_id, 1, NOW)
        jobs.settle_batch(outcome(job_id, 0), NOW)
        assert jobs.tasks(job_id) == "[]"
        jobs.imported(job_id, NOW)
        assert jobs.finish_if_complete(job_id, NOW) == "succeeded"
        kept[inline] = jobs.tasks(job_id)
    assert kept == {True: None, False: "[]"}


def test_a_job_that_has_expired_leaves_the_list(jobs: Jobs) -> None:
    """Out: ZREM in forget_expired. A job that runs is never forgotten, however old it is."""
    for_a_moment = Jobs(jobs._redis, retention_seconds=1)
    long_ago = NOW.replace(year=1990)
    ended, running = uuid4().hex, uuid4().hex
    for job_id in (ended, running):
        for_a_moment.create(job_id, "import", "a.ndjson", long_ago)
    for_a_moment.cancel(ended, NOW)
    time.sleep(1.1)
    assert for_a_moment.forget_expired(long_ago + timedelta(seconds=2)) == 1
    assert jobs._redis.zscore(JOBS, ended) is None
    assert jobs._redis.zscore(JOBS, running) is not None
    for_a_moment.withdraw(running, NOW)


@given(
    seconds=st.lists(st.integers(0, 2), min_size=1, max_size=9),
    limit=st.integers(1, 4),
    added=st.integers(0, 3),
    gone=st.sets(st.integers(0, 8), max_size=3),
    state=st.sampled_from(["queued", None]),
)
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_pages_show_each_job_once_while_jobs_are_added_and_expire(
    *,
    jobs: Jobs,
    seconds: list[int],
    limit: int,
    added: int,
    gone: set[int],
    state: JobState | None,
) -> None:
    """Out: the comparison with `after` in _older (jobs of one moment, and those that were added, are shown twice), or
    the report that is looked for (a page is short by what has expired).
    """
    ahead, ids = NOW.replace(year=2100), [uuid4().hex for _ in seconds]
    for job_id, second in zip(ids, seconds, strict=True):
        jobs.create(job_id, "import", "a.ndjson", ahead + timedelta(seconds=second))
    for number in gone & set(range(len(ids))):
        jobs._redis.delete(f"edugraph:job:{{{ids[number]}}}")
    expected = sorted((second, ids[n]) for n, second in enumerate(seconds) if n not in gone)[::-1]
    new, seen, place = list[str](), list[str](), None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(job_store, "LOOKED_AT", 2)
        while len(seen) < len(expected):
            page, place = jobs.newest(limit, NOW, state, place)
            seen += [job.job_id for job in page if job.job_id in ids]
            assert len(page) == limit or place is None
            for _ in range(added):
                new.append(uuid4().hex)
                jobs.create(new[-1], "import", "a.ndjson", ahead + timedelta(days=1))
            if place is None or Place.of(str(place)).created < ahead.timestamp():
                break
    assert seen == [job_id for _, job_id in expected]
    for job_id in (*ids, *new):
        jobs.withdraw(job_id, NOW)


@pytest.mark.parametrize("dry_run", [False, True])
def test_a_file_name_that_names_a_person_is_hidden_and_no_other(jobs: Jobs, dry_run: bool) -> None:
    """Guard: without the kinds of characters, the first three names stay."""
    person = Person(frozenset({"ZQ0104"}), names=frozenset({"欧阳思齐", "Quillon Zephyr"}))
    named = ["ZQ0104_作业.csv", "欧阳思齐的错题.csv", "昨天Quillon Zephyr.csv", "essay ZQ0104.csv"]
    others = ["ZQ01041.csv", "欧阳.csv", "Quillon Zephyrs.csv", "class 8A.csv"]
    created = dict[str, str]()
    for name in (*named, *others):
        job_id = uuid4().hex
        assert jobs.create(job_id, "import", name, NOW)
        created[name] = job_id
    assert jobs.hide_file_names(person.is_named_in, dry_run=dry_run) == len(named)
    for name, job_id in created.items():
        is_hidden = name in named and not dry_run
        assert report(jobs, job_id).source == ("(erased)" if is_hidden else name)
        jobs.cancel(job_id, NOW)
        assert jobs.delete(job_id, NOW)
