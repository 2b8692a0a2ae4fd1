"""Chaos with live load notices each row that is lost, doubled or wrong, and each false count of a job."""

from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import httpx
import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def parts_of_chaos(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "tests/chaos"))


def sent_by(source: str, number: int = 40, *, answered: bool = True) -> list[Any]:
    """Return requests of a client that were accepted, or that had no answer."""
    from live_clients import Sent
    from live_load import requests_of

    sent = []
    for request in islice(requests_of(1, 0, source), number):
        ids = []
        for place, fact in enumerate(request.facts):
            ids.append(fact.sent_id or f"id-of-{fact.text}-{place}")
        sent.append(Sent(request, tuple(ids) if answered else None))
    return sent


def graph_of(sent: list[Any]) -> list[Any]:
    """Return the records that the graph has when each of these requests was written once."""
    from live_graph import Found

    found = []
    for each in sent:
        for place, fact in enumerate(each.request.facts):
            if fact.label:
                sent_id = each.answer[place] if each.answer else fact.sent_id
                key = f"@{each.request.source}/{sent_id}"
                found.append(Found(fact.label, key, fact.student, fact.text))
    return found


def report_of(sent: list[Any], **changed: int) -> dict[str, Any]:
    """Return the report of a day in which each row came once."""
    from live_load import TYPE_OF

    facts = [fact for each in sent for fact in each.request.facts]
    by_type: dict[str, int] = {}
    for fact in facts:
        kind = TYPE_OF.get(fact.label, "activity_record")
        by_type[kind] = by_type.get(kind, 0) + 1
    report: dict[str, Any] = {"by_type": by_type, "not_relevant": {}, "unchanged": 0, "failed": 0}
    report |= {"replaced": 0, "older": 0, "taken_back": 0, "rejected": 0}
    report |= {"read": len(facts), "written": len(facts)}
    return report | changed


@pytest.mark.parametrize("source", ["lms", "desk"])
def test_a_graph_with_each_row_once_has_no_problem(source: str) -> None:
    from live_graph import count_problems, judge

    sent = sent_by(source)
    judged = judge(sent, graph_of(sent))
    assert judged.problems == []
    assert judged.there == sent
    assert count_problems(source, sent, [report_of(sent)]) == []


def lost(found: list[Any]) -> list[Any]:
    return found[1:]


def doubled(found: list[Any]) -> list[Any]:
    return [*found, found[0]._replace(key="@lms/another")]


def with_another_id(found: list[Any]) -> list[Any]:
    return [found[0]._replace(key="@lms/another"), *found[1:]]


def of_another_source(found: list[Any]) -> list[Any]:
    return [found[0]._replace(key=found[0].key.replace("lms", "player")), *found[1:]]


def of_another_student(found: list[Any]) -> list[Any]:
    return [found[0]._replace(student="somebody"), *found[1:]]


def invented(found: list[Any]) -> list[Any]:
    return [*found, found[0]._replace(text="never sent")]


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lost, "missing"),
        (doubled, "twice"),
        (with_another_id, "another id"),
        (of_another_source, "another id"),
        (of_another_student, "student"),
        (invented, "nobody"),
    ],
)
def test_each_difference_is_a_problem(change: Callable[[list[Any]], list[Any]], word: str) -> None:
    """To take the guard out: the line of `judge` about it."""
    from live_graph import judge

    sent = sent_by("lms")
    [problem] = judge(sent, change(graph_of(sent))).problems
    assert word in problem


def test_a_request_without_an_answer_is_there_once_or_not_at_all() -> None:
    from live_graph import judge

    sent = [each for each in sent_by("desk", answered=False) if len(each.request.rows) > 1]
    everything = graph_of(sent)
    assert judge(sent, []) == ([], [])
    assert judge(sent, everything) == (sent, [])
    first = graph_of(sent[:1])
    assert judge(sent, first) == (sent[:1], [])
    [partly] = judge(sent, first[1:]).problems
    assert "in part" in partly
    [twice] = judge(sent, [*first, first[0]]).problems
    assert "twice" in twice


@pytest.mark.parametrize(
    ("more", "word"),
    [
        ({"read": 1}, "outcomes"),
        ({"read": 1, "failed": 1}, "as failed"),
        ({"read": 2, "rejected": 2}, "as rejected"),
        ({"read": 1, "older": 1}, "as older"),
        ({"read": -1, "written": -1}, "read"),
    ],
)
def test_a_false_count_is_a_problem(more: dict[str, int], word: str) -> None:
    from live_graph import count_problems

    sent = sent_by("lab")
    report = report_of(sent)
    for name, number in more.items():
        report[name] += number
    [problem] = count_problems("lab", sent, [report])
    assert word in problem


def test_a_record_that_was_written_twice_is_a_problem() -> None:
    from live_graph import count_problems

    sent = sent_by("lab")
    report = report_of(sent)
    report["by_type"]["error_record"] += 1
    [problem] = count_problems("lab", sent, [report])
    assert "as written" in problem


def test_a_source_without_a_job_is_a_problem() -> None:
    from live_graph import count_problems

    assert count_problems("lab", sent_by("lab"), [])


def test_rows_that_came_twice_are_counted_as_unchanged() -> None:
    from live_graph import count_problems

    sent = sent_by("lab")
    report = report_of(sent)
    report |= {"read": report["read"] + 3, "unchanged": 3}
    assert count_problems("lab", sent, [report]) == []


def clients_that_are_answered(*answers: httpx.Response | httpx.TransportError) -> tuple[Any, Any]:
    """Return clients without threads, and a connection that gives these answers."""
    from live_clients import LiveClients

    left = list(answers)

    def answer(_: httpx.Request) -> httpx.Response:
        following = left.pop(0)
        if isinstance(following, httpx.Response):
            return following
        raise following

    http = httpx.Client(base_url="http://lms.example", transport=httpx.MockTransport(answer))
    headers: dict[str, dict[str, str]] = {"desk": {}}
    return LiveClients("", headers, 1, 1.0), http


def test_a_client_sends_again_until_it_is_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    import live_clients

    monkeypatch.setattr(live_clients, "SENDS_AGAIN_AFTER", 0)
    patient = next(each.request for each in sent_by("desk") if each.request.is_patient)
    ids = tuple(row["record_id"] for row in patient.rows)
    away = httpx.Response(503, headers={"Retry-After": "1"})
    clients, http = clients_that_are_answered(
        httpx.ReadTimeout("late"), away, httpx.ConnectError("away"), httpx.Response(202)
    )
    assert clients._send(http, patient) == ids
    assert (clients.sent_again, clients.without_answer, clients.wrong) == (3, 2, {})


def test_a_client_drops_what_is_refused_and_it_is_a_problem() -> None:
    patient = next(each.request for each in sent_by("desk") if each.request.is_patient)
    clients, http = clients_that_are_answered(httpx.Response(401, text="no key"))
    assert clients._send(http, patient) is None
    assert clients.wrong == {"answered 401 no key": 1}


def test_an_impatient_client_tries_once() -> None:
    impatient = next(each.request for each in sent_by("desk") if not each.request.is_patient)
    clients, http = clients_that_are_answered(httpx.ReadTimeout("late"))
    assert clients._send(http, impatient) is None
    assert clients.wrong == {}


def test_an_id_is_that_of_one_record_in_a_source_and_of_others_in_another_one() -> None:
    from live_clients import CLIENTS
    from live_load import RECORD_SOURCES, requests_of

    ids: dict[str, list[str]] = {source: [] for source in RECORD_SOURCES}
    for client, source in enumerate(CLIENTS):
        if source in RECORD_SOURCES:
            for request in islice(requests_of(1, client, source), 40):
                ids[source] += [row["record_id"] for row in request.rows]
    lab, desk = ids.values()
    assert len(lab) == len(set(lab))
    assert len(desk) == len(set(desk))
    assert len({*lab} & {*desk}) > 100


def test_requests_of_a_seed_are_the_same_each_time_and_no_text_comes_twice() -> None:
    from live_load import requests_of

    texts = set()
    for client in range(3):
        made = list(islice(requests_of(7, client, "lms"), 50))
        assert made == list(islice(requests_of(7, client, "lms"), 50))
        for request in made:
            for fact in request.facts:
                assert fact.text not in texts
                texts.add(fact.text)
        assert {request.is_patient for request in made} == {True, False}
        assert any(len(request.rows) == 1 for request in made)
        assert any(len(request.rows) > 5 for request in made)
