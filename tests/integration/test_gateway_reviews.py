"""What the gateway takes as reviews, and hands on to the importer; nobody takes it here."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest
from gateway_alone import Gateway, api_key, gateway, virtual_host

from edugraph_common.runtime.shared_state.audit import Audit
from edugraph_common.runtime.shared_state.job_store import connect

pytestmark = pytest.mark.real
PAIR = {"kind": "pair", "of": "error_type", "pair": ["E1", "sign errors"], "verdict": "same"}
PREREQUISITE = {
    "kind": "prerequisite",
    "point": "fractions",
    "requires": "sums",
    "verdict": "rejected",
}
FINDING = {
    "kind": "finding", "record_id": "r", "text_hash": "0" * 64, "aspect": "severity", "target": "high",
    "verdict": "rejected", "at": "2026-02-01T00:00:00Z", "by": "ann",
}  # fmt: skip


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with (
        virtual_host() as own,
        gateway(own, tmp_path_factory.mktemp("gateway"), auth="on") as started,
    ):
        yield started


@pytest.fixture
def client(running: Gateway) -> Iterator[httpx.Client]:
    with running.client(headers=api_key(running.environment, "review", "personal", "read")) as http:
        yield http


@pytest.fixture
def operator(running: Gateway) -> Iterator[httpx.Client]:
    with running.client(headers=api_key(running.environment, "review", "operate")) as http:
        yield http


def half_a_day_from_now() -> str:
    return (datetime.now(UTC) + timedelta(hours=12)).isoformat()


def _taken(running: Gateway) -> list[Any]:
    return [arguments[0][0]["reviews"] for _, arguments in running.take("data_import")]


def test_reviews_are_handed_on_with_who_said_it_and_when(
    running: Gateway, operator: httpx.Client
) -> None:
    _taken(running)
    answer = operator.post("/v1/reviews", json={"reviews": [PAIR, FINDING, PREREQUISITE]})
    assert answer.status_code == 202, answer.text
    [[pair, finding, prerequisite]] = _taken(running)
    assert finding == FINDING
    assert {name: pair[name] for name in PAIR} == PAIR
    assert {name: prerequisite[name] for name in PREREQUISITE} == PREREQUISITE
    key_id = operator.headers["Authorization"].split("_")[1]
    assert pair["by"] == prerequisite["by"] == key_id
    assert pair["at"].startswith("20")
    audit = Audit(connect(running.environment["EDUGRAPH_REDIS_URL"]), "x" * 16, 1)
    entry = next(audit.newest())
    assert (entry.action, entry.what) == ("graph.review", "3 reviews")


def test_the_same_key_sends_reviews_once(running: Gateway, client: httpx.Client) -> None:
    _taken(running)
    key = {"Idempotency-Key": uuid4().hex}
    answers = [
        client.post("/v1/reviews", json={"reviews": [PAIR]}, headers=key).json() for _ in range(2)
    ]
    assert answers[0] == answers[1]
    assert len(_taken(running)) == 1


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"verdict": "alike"}, "verdict"),
        ({"pair": ["E1", "E1"]}, ""),
        ({"at": "2126-01-01T00:00:00Z"}, "at"),
        ({"at": half_a_day_from_now()}, "at"),
        ({"by": "oidc:head-of-school"}, "by"),
        ({"of": "student"}, "of"),
        (PREREQUISITE | {"requires": "fractions"}, ""),
    ],
)
def test_where_one_is_wrong_none_is_taken(
    running: Gateway, client: httpx.Client, wrong: dict[str, Any], field: str
) -> None:
    _taken(running)
    answer = client.post(
        "/v1/reviews", json={"reviews": [PAIR, wrong if "kind" in wrong else PAIR | wrong]}
    )
    assert answer.status_code == 422
    [named] = answer.json()["errors"]
    assert (named["review"], named["field"]) == (1, field)
    assert _taken(running) == []


def test_the_importer_is_asked_to_have_points_compared(
    running: Gateway, client: httpx.Client
) -> None:
    running.take("data_import")
    answer = client.post("/v1/reviews/proposals")
    assert answer.status_code == 202, answer.text
    [(headers, arguments)] = running.take("data_import")
    assert (headers["task"], sorted(arguments[0][0])) == (
        "propose_same_task",
        ["job_id", "version"],
    )


def test_a_key_for_imports_reviews_nothing(running: Gateway) -> None:
    """Out: let `propose_pairs` take any caller."""
    with running.client(headers=api_key(running.environment, "submit", "operate")) as other:
        assert other.post("/v1/reviews/proposals").status_code == 403
        assert other.post("/v1/reviews", json={"reviews": [PAIR]}).status_code == 403
