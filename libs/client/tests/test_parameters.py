"""What a question is asked with, as it stands in an address."""

from datetime import UTC, date, datetime
from pathlib import Path

import httpx
import pytest

from edugraph_client import Client, Refused
from edugraph_client.parameters import as_query

ANSWER = {
    "question": "q",
    "computed_by": "c",
    "as_of": "2026-01-01T00:00:00Z",
    "parameters": {},
    "exact": True,
    "of_how_many": {},
    "left_out": {},
    "rows": [{"point": "a", "share": 0.5}, {"point": "b", "share": None}],
}


def test_parameters_are_text_and_none_is_left_out() -> None:
    moment = datetime(2026, 2, 1, 8, tzinfo=UTC)
    given = {
        "from_": "2026-02-01",
        "to": moment,
        "limit": 5,
        "type": ["A", "B"],
        "group": None,
        "all": True,
    }
    assert as_query(given) == {
        "from": "2026-02-01",
        "to": "2026-02-01T08:00:00+00:00",
        "limit": "5",
        "type": ["A", "B"],
        "all": "true",
    }


def test_a_day_and_a_moment_without_a_time_zone_are_text() -> None:
    naive = datetime(2026, 2, 1, 8)  # noqa: DTZ001 - as an analyst writes it
    assert as_query({"from_": date(2026, 2, 1), "to": naive}) == {
        "from": "2026-02-01",
        "to": "2026-02-01T08:00:00",
    }


@pytest.mark.parametrize(
    ("name", "media_type"),
    [("a.parquet", "application/vnd.apache.parquet"), ("a.CSV", "text/csv"), ("a.json", "json")],
)
def test_a_file_is_written_as_its_name_says(tmp_path: Path, name: str, media_type: str) -> None:
    """Out: the media type of the ending."""

    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, content=request.headers["accept"])

    with Client("http://g", transport=httpx.MockTransport(answer)) as client:
        client.save_answer(tmp_path / name, "weak-points", course="C")
        with pytest.raises(ValueError, match=r"ends in \.parquet, \.csv, \.json"):
            client.save_answer(tmp_path / "a.xlsx", "weak-points", course="C")
    assert media_type in (tmp_path / name).read_text()
    assert not (tmp_path / "a.xlsx").exists()


def test_a_question_that_is_not_there_is_refused_with_those_that_are() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path != "/v1/insights":
            return httpx.Response(404, json={"detail": "Not Found"})
        question = {"title": "t", "computed_by": "c", "parameters": [], "columns": []}
        more = {"roles": [], "links": {}}
        names = ("weak-points", "needs-help")
        listed = [{"name": name, **question, **more} for name in names]
        return httpx.Response(200, json={"questions": listed})

    with Client("http://g", transport=httpx.MockTransport(answer)) as client:
        with pytest.raises(Refused, match="there is weak-points"):
            client.ask("weakpoints", course="C")
        with pytest.raises(Refused, match="Not Found"):
            client.ask("weak-points", course="of nobody")


def test_a_purpose_in_chinese_is_a_header_that_the_audit_log_can_read() -> None:
    seen = list[httpx.Request]()

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, json=ANSWER)

    with Client(
        "http://g", insights_url="http://i/", transport=httpx.MockTransport(answer)
    ) as client:
        client.ask("weak-points", purpose="用", course="C")
    assert str(seen[0].url) == "http://i/v1/insights/weak-points?course=C"
    assert seen[0].headers["x-purpose"] == "%E7%94%A8"
