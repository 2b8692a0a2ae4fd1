"""`edugraph sources live` without a name lists the sources as the gateway does."""

import json
from datetime import UTC, date, datetime
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from edugraph_cli.main import app
from edugraph_client import Client
from edugraph_common.contracts.data_sources import DataSource, LiveDay, LiveSource

runner = CliRunner()
DAY = date(2026, 9, 21)
counts = st.integers(min_value=0, max_value=10**6)


@st.composite
def live_sources(draw: st.DrawFn) -> LiveSource:
    name = draw(st.from_regex(r"[a-z0-9]{1,10}", fullmatch=True))
    source = DataSource(name=name, kind="xapi", created=datetime(2026, 9, 1, tzinfo=UTC))
    day = LiveDay(
        source=name,
        day=DAY,
        job_id=f"live-{name}",
        accepted=draw(counts),
        waiting=draw(counts),
        rejected=draw(counts),
        refused=draw(counts),
    )
    latest = draw(st.sampled_from([day, None]))
    return LiveSource(source=source, silent=draw(st.booleans()), latest=latest)


def said(monkeypatch: pytest.MonkeyPatch, listed: list[LiveSource], *more: str) -> Any:
    """Run the command against a gateway that lists these sources."""

    def answer(request: httpx.Request) -> httpx.Response:
        assert request.url.path == "/v1/live-sources"
        sources = [each.model_dump(mode="json") for each in listed]
        return httpx.Response(200, json={"sources": sources, "links": {}})

    def client() -> Client:
        return Client("http://gateway", transport=httpx.MockTransport(answer))

    with monkeypatch.context() as patched:
        patched.setattr("edugraph_cli.commands.sources.Client.from_environment", client)
        return runner.invoke(app, ["sources", "live", *more])


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(listed=st.lists(live_sources(), max_size=4))
def test_each_source_is_a_line_with_its_latest_day(
    monkeypatch: pytest.MonkeyPatch, listed: list[LiveSource]
) -> None:
    done = said(monkeypatch, listed)
    assert done.exit_code == 0, done.output
    lines = [line.split("\t") for line in done.output.splitlines()]
    assert len(lines) == len(listed)
    for line, source in zip(lines, listed, strict=True):
        assert line[:2] == [source.source.name, "yes" if source.silent else "no"]
        day = source.latest
        if day is None:
            assert line[2:] == ["–"] * 5
        else:
            numbers = [day.accepted, day.waiting, day.rejected, day.refused]
            assert line[2:] == ["2026-09-21", *map(str, numbers)]


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(listed=st.lists(live_sources(), max_size=4))
def test_json_has_all_that_the_gateway_answers(
    monkeypatch: pytest.MonkeyPatch, listed: list[LiveSource]
) -> None:
    done = said(monkeypatch, listed, "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.output) == [each.model_dump(mode="json") for each in listed]


def test_a_day_needs_a_source(monkeypatch: pytest.MonkeyPatch) -> None:
    """Out: the condition about `day` in `show_live`."""
    done = said(monkeypatch, [], "--day", "2026-09-21")
    assert done.exit_code == 2
    assert "name it" in done.output
