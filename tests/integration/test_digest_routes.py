"""Subscriptions to a weekly mail: the callers who may have one, its address, and its end."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from digest_process import GROUP, MadeGraph
from fastapi.testclient import TestClient

from edugraph_common.runtime.shared_state.callers import Caller
from edugraph_common.runtime.shared_state.digests import MOST_DIGESTS
from edugraph_common.runtime.shared_state.saved_views import SavedView, ViewState
from edugraph_insights.app import make_application
from edugraph_insights.choices import choices
from edugraph_insights.digest.ending import end_link
from edugraph_insights.insights import Insights, open_insights
from edugraph_insights.settings import InsightsSettings

DIGESTS = "/v1/insights/digests"
PAGE = "https://school.example/ui/"


class Keys:
    """API keys that name client, role, person and address, so that a test is anybody."""

    def caller(self, token: str, _now: Any) -> Caller | None:
        client_id, role, person, address = token.removeprefix("eg_").split("|")
        roles: Any = tuple(role.split())
        return Caller(client_id, (), roles, person or None, address or None)


@pytest.fixture
def insights(redis_url: str) -> Insights:
    settings = InsightsSettings.model_validate(
        {
            "redis_url": redis_url,
            "neo4j_uri": "bolt://127.0.0.1:1",
            "privacy_secret": "a secret of these tests",
            "digest_page_url": PAGE,
            "smtp_from": "no-reply@school.example",
        }
    )
    graph: Any = MadeGraph(None)
    keys: Any = Keys()
    audit: Any = type("NoAudit", (), {"record": lambda *_args, **_more: None})()
    return replace(
        open_insights(settings), graph=graph, key_ring=keys, audit=audit, rate_limiter=None
    )


@pytest.fixture
def client(insights: Insights) -> Iterator[TestClient]:
    graph: Any = insights.graph
    with TestClient(make_application(insights)) as client:
        yield client
    graph.close()


def who(
    name: str, role: str = "teacher", person: str = "t1", address: str = "t1@school.example"
) -> dict[str, str]:
    return {"Authorization": f"Bearer eg_{name}|{role}|{person}|{address}"}


def test_a_teacher_subscribes_changes_the_language_and_ends_it(
    client: TestClient, name: str
) -> None:
    teacher = who(name)
    nothing = {"offered": True, "address": "t1@school.example", "digests": []}
    assert client.get(DIGESTS, headers=teacher).json() == nothing
    made = client.post(DIGESTS, headers=teacher, json={"course_id": "C"})
    assert made.status_code == 201
    first = made.json()
    assert first["language"] == "en"
    again = client.post(DIGESTS, headers=teacher, json={"course_id": "C", "language": "zh"})
    assert again.json() == {**first, "language": "zh"}
    assert client.get(DIGESTS, headers=teacher).json()["digests"] == [again.json()]
    assert client.delete(first["links"]["self"], headers=teacher).status_code == 204
    assert client.delete(first["links"]["self"], headers=teacher).status_code == 404
    assert client.get(DIGESTS, headers=teacher).json() == nothing


def test_a_mail_goes_to_the_address_that_is_shown(
    insights: Insights, client: TestClient, name: str
) -> None:
    """The issuer may know another address of the same person by now. Out: `moved`."""
    made = client.post(DIGESTS, headers=who(name), json={"course_id": "C"}).json()
    later = client.get(DIGESTS, headers=who(name, address="new@school.example")).json()
    assert later["address"] == "new@school.example"
    client.get(DIGESTS, headers=who(name, address=""))
    assert insights.digests is not None
    found = insights.digests.find(made["id"])
    assert found is not None
    assert found.digest.address == "new@school.example"


def test_nobody_sees_or_ends_the_mails_of_another(client: TestClient, name: str) -> None:
    made = client.post(DIGESTS, headers=who(name), json={"course_id": "C"}).json()
    other = who(f"{name}-other")
    assert client.get(DIGESTS, headers=other).json()["digests"] == []
    assert client.delete(made["links"]["self"], headers=other).status_code == 404
    assert len(client.get(DIGESTS, headers=who(name)).json()["digests"]) == 1


@pytest.fixture
def as_anybody(insights: Insights, name: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function that makes every key that of a caller, whatever stands in its address."""

    def be(role: str = "teacher", person: str = "t1", address: str = "t1@school.example") -> None:
        roles: Any = tuple(role.split())
        caller = Caller(name, (), roles, person or None, address or None)
        monkeypatch.setattr(insights.key_ring, "caller", lambda *_: caller)
        monkeypatch.setattr(insights.graph, "_lost", ["t2"])

    return be


@pytest.mark.parametrize(
    ("caller", "status", "words"),
    [
        ({"role": "head"}, 403, "Only a teacher"),
        ({"role": "student"}, 403, "Only a teacher"),
        ({"role": ""}, 403, "Only a teacher"),
        ({"person": ""}, 403, "You lead no student"),
        ({"person": "t2"}, 403, "You lead no student"),
        ({"address": ""}, 422, "No mail address"),
        ({"address": "a@b.example\nBcc: c"}, 422, "No mail address"),
        ({"address": "a@b.example,c@d.example"}, 422, "No mail address"),
        ({"address": "<a@b.example>"}, 422, "No mail address"),
        ({"address": "中@b.example"}, 422, "No mail address"),
        ({"address": f"a@{'b' * 250}.example"}, 422, "No mail address"),
    ],
    ids=["head", "student", "no-role", "no-person", "no-course", "none", "line", "two", "form",
         "signs", "long"],
)  # fmt: skip
def test_who_gets_no_mail(
    client: TestClient, as_anybody: Any, caller: dict[str, str], status: int, words: str
) -> None:
    """Out: `need_teacher`, `leads_in`, or the form of an address."""
    as_anybody(**caller)
    headers = {"Authorization": "Bearer eg_a"}
    refused = client.post(DIGESTS, headers=headers, json={"course_id": "C"})
    assert refused.status_code == status
    assert words in refused.json()["detail"]
    as_anybody()
    assert client.get(DIGESTS, headers=headers).json()["digests"] == []


def test_a_caller_has_at_most_some(client: TestClient, name: str) -> None:
    teacher = who(name)
    for number in range(MOST_DIGESTS):
        made = client.post(DIGESTS, headers=teacher, json={"course_id": f"C{number}"})
        assert made.status_code == 201
    refused = client.post(DIGESTS, headers=teacher, json={"course_id": "one more"})
    assert refused.status_code == 422
    assert client.post(DIGESTS, headers=teacher, json={"course_id": "C0"}).status_code == 201


def test_the_link_of_a_mail_ends_it_by_a_button_and_by_one_click(
    insights: Insights, client: TestClient, name: str
) -> None:
    """A program that looks at the link ends nothing. Out: the signature, or the form before the end."""
    teacher = who(name)
    made = client.post(DIGESTS, headers=teacher, json={"course_id": "C"}).json()
    link = end_link(insights.settings, made["id"])
    assert link.startswith("https://school.example/ui/digest/end?token=")
    path = link.removeprefix("https://school.example")
    for forged in (f"{path[:-1]}x", path[:-64] + "0" * 64, "/ui/digest/end?token=", path[:-70]):
        assert client.post(forged).status_code == 404
    page = client.get(path)
    assert page.status_code == 200
    assert "form-action 'self'" in page.headers["Content-Security-Policy"]
    assert page.headers["Cache-Control"] == "no-store"
    assert path in page.text
    assert len(client.get(DIGESTS, headers=teacher).json()["digests"]) == 1

    # RFC 8058: without a cookie or a key, and with this body.
    ended = client.post(path, data={"List-Unsubscribe": "One-Click"})
    assert ended.status_code == 200
    assert client.get(DIGESTS, headers=teacher).json()["digests"] == []
    assert client.post(path).status_code == 200  # a second click says the same
    assert '"><script>' not in client.get('/ui/digest/end?token="><script>').text


@pytest.mark.parametrize("without", ["the address of the page", "a sender"])
def test_without_the_settings_nothing_is_offered(
    insights: Insights, name: str, without: str
) -> None:
    """A school that sends to chats alone has no sender. Out: the first line of `_digests_if_offered`."""
    if without == "a sender":
        settings = insights.settings.model_copy(update={"smtp_from": ""})
        changed = replace(insights, settings=settings)
    else:
        changed = replace(insights, digests=None)
    with TestClient(make_application(changed)) as client:
        assert client.get(DIGESTS, headers=who(name)).json()["offered"] is False
        refused = client.post(DIGESTS, headers=who(name), json={"course_id": "C"})
        assert refused.status_code == 404
        assert refused.json()["type"].endswith(":not-set-up")
        assert client.post("/ui/digest/end?token=x").status_code == 404


def view_of(client: TestClient, headers: dict[str, str], **values: str) -> str:
    """Save a view of these values, and return its id."""
    state = {"kind": "page", "name": "today", "values": values}
    made = client.post("/v1/insights/views", headers=headers, json={"name": "Mine", "state": state})
    assert made.status_code == 201, made.text
    return str(made.json()["id"])


def test_a_saved_view_has_a_mail_of_its_own(client: TestClient, name: str) -> None:
    """Out: the view in the comparison of `add_digest`."""
    teacher = who(name)
    view = view_of(client, teacher, course="C", group=GROUP)
    wanted = {"course_id": "C", "view_id": view}
    of_view = client.post(DIGESTS, headers=teacher, json=wanted).json()
    assert of_view["view_id"] == view
    of_course = client.post(DIGESTS, headers=teacher, json={"course_id": "C"}).json()
    assert of_course["view_id"] is None
    again = client.post(DIGESTS, headers=teacher, json={**wanted, "language": "zh"}).json()
    assert again == {**of_view, "language": "zh"}
    listed = client.get(DIGESTS, headers=teacher).json()["digests"]
    assert sorted(each["id"] for each in listed) == sorted([of_view["id"], of_course["id"]])


@pytest.mark.parametrize(
    ("values", "status", "words"),
    [
        ({"course": "C"}, 422, "shows no group"),
        ({"course": "D", "group": GROUP}, 422, "shows no group"),
        ({"group": GROUP}, 422, "shows no group"),
        ({"course": "C", "group": "of-others"}, 403, "You lead no student"),
    ],
    ids=["no-group", "other-course", "no-course", "not-led"],
)
def test_which_views_have_no_mail(
    client: TestClient, name: str, values: dict[str, str], status: int, words: str
) -> None:
    """Out: `group` in `leads_in` of the routes, or a condition of `group_of_view`."""
    teacher = who(name)
    wanted = {"course_id": "C", "view_id": view_of(client, teacher, **values)}
    refused = client.post(DIGESTS, headers=teacher, json=wanted)
    assert refused.status_code == status
    assert words in refused.json()["detail"]


def test_nobody_gets_a_mail_of_the_view_of_another(client: TestClient, name: str) -> None:
    view = view_of(client, who(f"{name}-other"), course="C", group=GROUP)
    wanted = {"course_id": "C", "view_id": view}
    assert client.post(DIGESTS, headers=who(name), json=wanted).status_code == 404


def list_of(client: TestClient, headers: dict[str, str], *students: str, course: str = "C") -> Any:
    """Send a list of students, and return the answer."""
    values = {"course": course, "students": students}
    state = {"kind": "list", "name": "students", "values": values}
    return client.post("/v1/insights/views", headers=headers, json={"name": "Mine", "state": state})


def test_a_list_has_a_mail_of_its_own(client: TestClient, name: str) -> None:
    """Out: the list in `part_of_view`."""
    teacher = who(name)
    made = list_of(client, teacher, "s1").json()
    wanted = {"course_id": "C", "view_id": made["id"]}
    answer = client.post(DIGESTS, headers=teacher, json=wanted)
    assert answer.status_code == 201
    assert answer.json()["view_id"] == made["id"]
    other_course = client.post(DIGESTS, headers=teacher, json={**wanted, "course_id": "D"})
    assert other_course.status_code == 422
    of_other = client.post(DIGESTS, headers=who(f"{name}-other"), json=wanted)
    assert of_other.status_code == 404


@pytest.mark.parametrize(
    ("role", "students", "status"),
    [
        ("teacher", ("s1", "s2"), 403),  # leads s1 alone
        ("teacher", ("nobody",), 403),
        ("teacher", (), 422),
        ("analyst", ("s1",), 403),
        ("head", ("s1", "s2"), 201),
        ("head", ("s1", "restricted"), 403),
    ],
)
def test_a_list_has_students_whom_its_owner_may_see(
    client: TestClient, name: str, role: str, students: tuple[str, ...], status: int
) -> None:
    """Out: the number of students in `need_list`, or the look at the graph in `_not_restricted`."""
    assert list_of(client, who(name, role), *students).status_code == status


def test_who_leads_nobody_of_a_list_gets_no_mail_about_it(client: TestClient, name: str) -> None:
    """A head who also teaches may list anybody. Out: `listed` in `leads_in` of the route."""
    both = who(name, "head teacher")
    of_others = list_of(client, both, "s2").json()
    wanted = {"course_id": "C", "view_id": of_others["id"]}
    assert client.post(DIGESTS, headers=both, json=wanted).status_code == 403


def test_the_lists_of_a_caller_are_among_the_choices(
    insights: Insights, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A caller who sees no persons has none. Out: the look at `sees` in `lists_of`."""
    caller = Caller(name, (), ("teacher",), "t1")
    state = ViewState(kind="list", name="students", values={"course": "C", "students": ("s1",)})
    page = ViewState(kind="page", name="today", values={"course": "C"})
    insights.views.add(name, "a" * 32, SavedView(name="Mine", state=state))
    insights.views.add(name, "b" * 32, SavedView(name="A page", state=page))
    monkeypatch.setattr(insights.graph, "read", lambda *_args, **_more: [])
    [found] = choices(insights, caller).lists
    assert (found.id, found.name, found.course) == ("a" * 32, "Mine", "C")
    assert choices(insights, replace(caller, roles=("analyst",))).lists == ()
