"""What is shown of a job never goes backwards, and says why it waits."""

import io
import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from rich.console import Console

from edugraph_cli.progress import Steps, follow_job, one_line
from edugraph_client import Client, Refused, Unreachable
from edugraph_common.contracts.outcomes import AnalysisProgress, JobReport

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def _report(**fields: Any) -> JobReport:
    return JobReport(
        **{
            "job_id": "j",
            "kind": "import",
            "state": "running",
            "source": "f",
            "created": NOW,
            "updated": NOW,
            **fields,
        }
    )


def _client(
    answers: list[Any],
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = lambda _: None,
) -> Client:
    """A gateway whose streams of changes hold one of these answers each; an exception is raised."""
    left = iter(answers)

    def answer(_request: httpx.Request) -> httpx.Response:
        found = next(left)
        if isinstance(found, Exception):
            raise found
        if isinstance(found, httpx.Response):
            return found
        shown = json.dumps({**found.model_dump(mode="json"), "links": {}, "seconds_left": 3.0})
        return httpx.Response(200, text=f": alive\n\nid: 1\nevent: job\ndata: {shown}\n\n")

    return Client("http://gateway", transport=httpx.MockTransport(answer), sleep=sleep, clock=clock)


def test_a_pipe_gets_one_plain_line_for_each_change() -> None:
    reports = [
        _report(state="queued"),
        _report(batches=2, batches_done=1, read=10, written=9, rejected=1),
        _report(batches=2, batches_done=1, read=10, written=9, rejected=1),
        _report(batches=2, batches_done=2, read=20, written=19, rejected=1, state="succeeded"),
    ]
    text = io.StringIO()
    last = follow_job(_client(reports), "j", Console(file=text, force_terminal=False))
    lines = text.getvalue().splitlines()
    assert last.state == "succeeded"
    assert lines[0] == "queued"
    assert (
        lines[1]
        == "running · batch 1 of 2 · 10 read, 9 written, 0 unchanged · 1 rejected, 0 failed"
    )
    assert len(lines) == 3
    assert "\x1b" not in text.getvalue()


def test_bars_end_at_the_total() -> None:
    done = AnalysisProgress(expected=4, done=3, failed=1)
    reports = [
        _report(batches=4, batches_done=1, analysis=AnalysisProgress(expected=1, done=1)),
        _report(batches=4, batches_done=4, analysis=done, state="partly failed"),
    ]
    text = io.StringIO()
    follow_job(_client(reports), "j", Console(file=text, force_terminal=True, width=120))
    assert "4/4" in text.getvalue()
    assert "100%" in text.getvalue()


def test_steps_only_grow() -> None:
    steps, shares = Steps(), []
    analysed = [(1, 5), (5, 5), (6, 40), (40, 40)]
    for batch, (done, expected) in enumerate([*analysed, (2, 9)], start=1):
        steps.update(
            _report(
                batches=4,
                batches_done=min(batch, 4),
                analysis=AnalysisProgress(expected=expected, done=done),
            )
        )
        shares.append((steps.batches, steps.analysed / (steps.analysed_total or 10**9)))
    assert shares == sorted(shares)


def test_a_waiting_job_says_why() -> None:
    report = _report(state="waiting", waiting_for="provider limit, next slot in 12 s")
    assert one_line(report, Steps()) == "waiting: provider limit, next slot in 12 s"


def test_a_gateway_that_is_away_for_a_while_is_waited_for() -> None:
    away = [httpx.ConnectError("gone"), httpx.Response(503, json={"detail": "not now"})]
    client = _client([_report(state="queued"), *away, _report(state="succeeded")])
    assert [report.state for report in client.follow("j")] == ["queued", "succeeded"]


def test_a_gateway_that_stays_away_is_said() -> None:
    times = iter(range(0, 1_000, 50))
    client = _client([httpx.ConnectError("gone")] * 10, clock=lambda: next(times))
    with pytest.raises(Unreachable, match="EDUGRAPH_URL"):
        list(client.follow("j"))


def test_a_task_is_asked_for_again_soon_at_first_and_twice_a_second_then() -> None:
    states, pauses = ["PENDING"] * 5 + ["SUCCESS"], list[float]()
    client = _client(
        [httpx.Response(200, json={"state": state}) for state in states], sleep=pauses.append
    )
    assert client.follow_task("t")["state"] == "SUCCESS"
    assert pauses == [0.1, 0.2, 0.4, 0.5, 0.5]


def test_a_task_is_waited_for_while_nobody_says_who_is_restricted() -> None:
    """As during an erasure: the importer is asked anew, and may be busy."""
    later = httpx.Response(503, json={"detail": "send it again"})
    client = _client(
        [later, httpx.ConnectError("gone"), httpx.Response(200, json={"state": "SUCCESS"})]
    )
    assert client.follow_task("t")["state"] == "SUCCESS"
    times = iter(range(0, 1_000, 50))
    with pytest.raises(Refused, match="send it again"):
        _client([later] * 10, clock=lambda: next(times)).follow_task("t")
    with pytest.raises(Refused, match="no such task"):
        _client([httpx.Response(404, json={"detail": "no such task"})]).follow_task("t")


def test_a_refusal_is_the_gateways_own_sentence() -> None:
    client = _client(
        [httpx.Response(422, json={"detail": "the file is empty: it holds no record"})]
    )
    with pytest.raises(Refused, match="it holds no record"):
        client.job("j")
