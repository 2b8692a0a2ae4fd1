"""Saved views over HTTP and in Redis: each caller has their own, with the state as it was saved; an erasure drops those
that name the person.
"""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edugraph_common.contracts.personal_data import patterns_of
from edugraph_common.contracts.record_fields import normal_id
from edugraph_common.runtime.shared_state.callers import Caller
from edugraph_common.runtime.shared_state.job_store import connect
from edugraph_common.runtime.shared_state.redis_texts import RedisTexts
from edugraph_common.runtime.shared_state.saved_views import (
    MOST_VIEWS,
    SavedView,
    SavedViews,
    ViewState,
)
from edugraph_common.sources.person import ErasedPeople, Person
from edugraph_common.sources.students import plain_hash
from edugraph_importer.erasure import _view_without, written_by_others
from edugraph_insights.app import make_application
from edugraph_insights.insights import open_insights
from edugraph_insights.settings import InsightsSettings

YEAR = timedelta(days=365)
CALLERS = ("one", "other", "third")
ROLES = {"analyst", "head", "teacher", "student", "counsellor"}


class Keys:
    """API keys that name a client and a role, so that the same Redis can be asked as anybody."""

    def caller(self, token: str, _now: datetime) -> Caller | None:
        client_id, _, role = token.removeprefix("eg_").partition(".")
        roles: Any = (role,) if role else ()
        return Caller(client_id, (), roles, "s-own") if token else None


@pytest.fixture
def client(redis_url: str, name: str) -> Iterator[TestClient]:
    """`name` is a part of each caller's, so that the keys of a test are its own."""
    given_settings = InsightsSettings.model_validate(
        {"redis_url": redis_url, "neo4j_uri": "bolt://127.0.0.1:1"}
    )
    keys: Any = Keys()
    audit: Any = type("NoAudit", (), {"record": lambda *_args, **_more: None})()
    insights = replace(open_insights(given_settings), key_ring=keys, audit=audit, rate_limiter=None)
    with TestClient(
        make_application(insights), headers={"Authorization": f"Bearer eg_{name}.teacher"}
    ) as client:
        yield client


def as_caller(name: str, who: str, role: str = "teacher") -> dict[str, str]:
    return {"Authorization": f"Bearer eg_{name}-{who}.{role}"}


text = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20)
ids = text.map(normal_id).filter(bool)
states = st.one_of(
    st.builds(
        lambda values: {"kind": "page", "name": "map", "values": values},
        st.dictionaries(
            st.sampled_from(["course", "point", "student", "find", "sort", "lang"]),
            text,
            max_size=4,
        ),
    ),
    st.builds(
        lambda course, low: {
            "kind": "question",
            "name": "needs-help",
            "values": {"course": course, "low_estimate": low},
        },
        ids,
        st.floats(0, 1).map(str),
    ),
    st.builds(
        lambda node, types: {
            "kind": "query",
            "name": "neighbours",
            "values": {"node": f"Student:{node}", "type": types},
        },
        text,
        st.lists(st.sampled_from(["TRIED", "MADE", "LEARNS"]), max_size=3),
    ),
)
steps = st.lists(
    st.tuples(
        st.sampled_from(["add", "replace", "delete"]),
        st.sampled_from(CALLERS),
        st.integers(0, 5),
        text,
        states,
    ),
    max_size=12,
)


@settings(max_examples=25, deadline=None, suppress_health_check=[*HealthCheck])
@given(steps=steps)
def test_a_view_keeps_its_state_and_touches_no_other(
    client: TestClient, name: str, server: Any, steps: list[Any]
) -> None:
    """What is expected is kept in a dict beside. To take the guard out: leave the caller out of `_key`."""
    for who in CALLERS:
        server.delete(f"edugraph:views:{name}-{who}")
    mine: dict[str, dict[str, Any]] = {who: {} for who in CALLERS}
    for action, who, number, words, state in steps:
        view, headers = {"name": f"x{words}", "state": state}, as_caller(name, who)
        # An id of whichever caller: nobody can replace or delete what is another's.
        ids = [each for views in mine.values() for each in views] or ["0" * 32]
        view_id = ids[number % len(ids)]
        path = f"/v1/insights/views/{view_id}"
        if action == "add":
            added = client.post("/v1/insights/views", json=view, headers=headers)
            assert added.status_code == 201, added.text
            mine[who][added.json()["id"]] = view
        elif action == "replace":
            status = client.put(path, json=view, headers=headers).status_code
            assert status == (200 if view_id in mine[who] else 404)
            mine[who] |= {view_id: view} if view_id in mine[who] else {}
        else:
            status = client.delete(path, headers=headers).status_code
            assert status == (204 if view_id in mine[who] else 404)
            mine[who].pop(view_id, None)
        for each in CALLERS:
            listed = client.get("/v1/insights/views", headers=as_caller(name, each)).json()["views"]
            assert {
                view["id"]: {"name": view["name"], "state": view["state"]} for view in listed
            } == mine[each]
            assert [view["name"] for view in listed] == sorted(view["name"] for view in listed)


@pytest.mark.parametrize(
    ("state", "told"),
    [
        ({"kind": "question", "name": "weak-points", "values": {}}, "course: Field required"),
        (
            {"kind": "question", "name": "weak-points", "values": {"course": "C", "x": "1"}},
            "x: Extra inputs",
        ),
        ({"kind": "question", "name": "nothing", "values": {}}, "there is no question nothing"),
        (
            {"kind": "query", "name": "path", "values": {"node": "Student:s"}},
            "other: Field required",
        ),
        (
            {"kind": "query", "name": "nodes", "values": {"label": "Nothing"}},
            "label: Input should be",
        ),
        ({"kind": "page", "name": "map", "values": {"find": "x" * 5_000}}, "at most 4,096 bytes"),
        (
            {"kind": "page", "name": "map", "values": {f"k{'x' * n}": "" for n in range(31)}},
            "at most 30 items",
        ),
        ({"kind": "page", "name": "../x", "values": {}}, "should match pattern"),
        ({"kind": "page", "name": "map", "values": {"<b>": "1"}}, "should match pattern"),
        ({"kind": "cypher", "name": "map", "values": {}}, "'page', 'question', 'query' or 'list'"),
    ],
)
def test_what_no_question_or_query_would_take_is_not_saved(
    client: TestClient, state: Any, told: str
) -> None:
    answer = client.post("/v1/insights/views", json={"name": "x", "state": state})
    assert answer.status_code == 422
    assert told in answer.json()["detail"]
    assert client.get("/v1/insights/views").json()["views"] == []


def _state_of(bytes_of_json: int, letter: str) -> dict[str, Any]:
    """Return a state whose JSON has `bytes_of_json` bytes, most of them in this letter."""
    state: dict[str, Any] = {"kind": "page", "name": "map", "values": {"find": ""}}
    empty = len(json.dumps(state, separators=(",", ":")))
    letters, rest = divmod(bytes_of_json - empty, len(letter.encode()))
    state["values"]["find"] = letter * letters + "x" * rest
    return state


@pytest.mark.parametrize("method", ["POST", "PUT"])
@pytest.mark.parametrize("letter", ["x", "数"])
def test_a_state_has_4096_bytes_at_most(client: TestClient, method: str, letter: str) -> None:
    """Out: the comparison with MAX_STATE_BYTES, or `encode` in it."""
    view = {"name": "x", "state": _state_of(4_096, letter)}
    kept = client.post("/v1/insights/views", json=view)
    assert kept.status_code == 201
    path = kept.json()["links"]["self"] if method == "PUT" else "/v1/insights/views"
    larger = {"name": "x", "state": _state_of(4_097, letter)}
    refused = client.request(method, path, json=larger)
    assert (refused.status_code, refused.json()["type"]) == (422, "urn:edugraph:problem:too-large")
    [listed] = client.get("/v1/insights/views").json()["views"]
    assert listed["state"] == view["state"]


@pytest.mark.parametrize(
    ("words", "status"),
    [
        ("x" * 80, 201),
        ("数" * 80, 201),
        (" x ", 201),
        ("x" * 81, 422),
        ("", 422),
        ("   ", 422),
        *((f"x{letter}y", 422) for letter in "\x00\t\n\r\x1b\x7f"),
        (7, 422),
        (None, 422),
    ],
)
def test_a_name_is_a_line_of_80_characters_at_most(
    client: TestClient, words: Any, status: int
) -> None:
    """Out: any bound of `View.name`."""
    view = {"name": words, "state": {"kind": "page", "name": "map"}}
    assert client.post("/v1/insights/views", json=view).status_code == status


def test_a_view_is_kept_with_the_person_of_its_owner(
    client: TestClient, redis_url: str, name: str
) -> None:
    """An erasure of the owner finds the view by it. Out: `person` in `_to_keep`."""
    view = {"name": "x", "state": {"kind": "page", "name": "map"}}
    kept = client.post("/v1/insights/views", json=view).json()
    client.put(kept["links"]["self"], json={**view, "name": "y"}).raise_for_status()
    client.post("/v1/insights/views", json=view).raise_for_status()
    views = SavedViews(connect(redis_url), YEAR)
    assert [each.person for each in views.of(name).values()] == ["s-own", "s-own"]


def test_there_is_room_for_so_many_and_a_full_list_can_be_changed(client: TestClient) -> None:
    """To take the guard out: leave HLEN out of save_view.lua."""
    assert MOST_VIEWS == 50
    view = {"name": "x", "state": {"kind": "page", "name": "map"}}
    ids = [client.post("/v1/insights/views", json=view).json()["id"] for _ in range(MOST_VIEWS)]
    refused = client.post("/v1/insights/views", json=view)
    assert (refused.status_code, refused.json()["type"]) == (422, "urn:edugraph:problem:too-many")
    assert client.put(f"/v1/insights/views/{ids[0]}", json=view).status_code == 200
    assert client.delete(f"/v1/insights/views/{ids[0]}").status_code == 204
    assert client.post("/v1/insights/views", json=view).status_code == 201


@pytest.mark.parametrize(
    "role", ["analyst", "head", "teacher", "student", "counsellor", "officer", ""]
)
def test_who_may_ask_nothing_saves_nothing(client: TestClient, name: str, role: str) -> None:
    """Every operation with every role. To take the guard out: leave `widest_rows` out of one of the routes."""
    view, headers = (
        {"name": "x", "state": {"kind": "page", "name": "map"}},
        as_caller(name, "any", role),
    )
    path = f"/v1/insights/views/{'0' * 32}"
    statuses = [
        client.get("/v1/insights/views", headers=headers).status_code,
        client.post("/v1/insights/views", json=view, headers=headers).status_code,
        client.put(path, json=view, headers=headers).status_code,
        client.delete(path, headers=headers).status_code,
    ]
    assert statuses == ([200, 201, 404, 404] if role in ROLES else [403] * 4)


def test_views_go_a_year_after_they_were_looked_at(redis_url: str, name: str) -> None:
    """To take the guard out: leave PEXPIRE out of the script or `of`."""
    server = connect(redis_url)
    views, key = SavedViews(server, YEAR), f"edugraph:views:{name}"
    views.add(name, "a", SavedView(name="x", state=ViewState(kind="page", name="map")))
    assert YEAR - timedelta(minutes=1) < timedelta(milliseconds=server.pttl(key)) <= YEAR
    server.expire(key, 5)
    assert list(views.of(name)) == ["a"]
    assert timedelta(milliseconds=server.pttl(key)) > timedelta(days=364)


THEIRS = {
    "value": {"values": {"student": "s-1"}},
    "node": {"values": {"node": "Student:s-1"}},
    "record": {"values": {"at": "r-1|hash|type"}},
    "list": {"values": {"who": ("x", "s-1")}},
    "searched": {"values": {"find": "how is s-1 doing"}},
    "owner": {"person": "s-1"},
    "name of the view": {"name": "Look after Ana Quetzal!"},
    "searched name": {"values": {"find": "ana quetzal"}},
}
OTHERS = {
    "longer": {"values": {"student": "s-10"}, "person": "s-11", "name": "s-12, and Anabel"},
    "nobody": {},
}


def view_of(given: dict[str, Any]) -> SavedView:
    state = ViewState(kind="page", name="map", values=given.get("values", {}))
    return SavedView(name=given.get("name", "x"), state=state, person=given.get("person"))


def test_an_erasure_drops_what_names_the_person_and_nothing_else(redis_url: str, name: str) -> None:
    """To take the guard out: leave `person`, the parts of a value, or the names out."""
    views, texts = SavedViews(connect(redis_url), YEAR), RedisTexts(connect(redis_url))
    for key, given_view in {**THEIRS, **OTHERS}.items():
        views.add(name, key, view_of(given_view))
    person = Person(frozenset({"s-1"}), frozenset({"r-1"}), frozenset({"Ana Quetzal"}))
    change = _view_without(person, written_by_others(person))
    [pattern] = patterns_of("views")
    only_ours = pattern.replace("*", name)
    assert texts.rewrite([only_ours], change, dry_run=True) == len(THEIRS)
    assert len(views.of(name)) == len({**THEIRS, **OTHERS})
    assert texts.rewrite([only_ours], change) == len(THEIRS)
    assert views.of(name).keys() == OTHERS.keys()
    assert texts.rewrite([only_ours], change) == 0


def test_an_erasure_takes_the_person_off_a_list_and_keeps_the_others(
    redis_url: str, name: str
) -> None:
    """The last one takes the list along. Out: `_list_without`, or the second look after it."""
    views, texts = SavedViews(connect(redis_url), YEAR), RedisTexts(connect(redis_url))

    def a_list(list_name: str, *students: str, person: str = "t1") -> SavedView:
        state = ViewState(
            kind="list", name="students", values={"course": "C", "students": students}
        )
        return SavedView(name=list_name, state=state, person=person)

    views.add(name, "both", a_list("Mine", "s-1", "s-2"))
    views.add(name, "alone", a_list("Mine", "s-1"))
    views.add(name, "named", a_list("Help Ana Quetzal", "s-1", "s-2"))
    views.add(name, "owner", a_list("Mine", "s-2", person="s-1"))
    views.add(name, "others", a_list("Mine", "s-10"))
    person = Person(frozenset({"s-1"}), frozenset(), frozenset({"Ana Quetzal"}))
    texts.rewrite([f"edugraph:views:{name}"], _view_without(person, written_by_others(person)))
    found = views.of(name)
    assert {key: view.state.values["students"] for key, view in found.items()} == {
        "both": ("s-2",),
        "others": ("s-10",),
    }


def test_a_replay_of_erasures_drops_what_an_id_names(redis_url: str, name: str) -> None:
    """The ids are not known then, so names and searches stay."""
    views, texts = SavedViews(connect(redis_url), YEAR), RedisTexts(connect(redis_url))
    for key, given_view in {**THEIRS, **OTHERS}.items():
        views.add(name, key, view_of(given_view))
    change = _view_without(ErasedPeople(plain_hash("s-1").__eq__), None)
    texts.rewrite([f"edugraph:views:{name}"], change)
    assert views.of(name).keys() == {*OTHERS, "record", "name of the view", "searched name"}


def test_a_view_that_cannot_be_read_goes_with_the_next_erasure() -> None:
    assert _view_without(Person(frozenset({"s-1"})), None)("no JSON") == ""
