"""Whose texts are read: nobody's who is restricted, and by no provider without consent."""

from datetime import UTC, datetime
from typing import Any

import pytest
from analyzer_bench import Provider, chats

from edugraph_analyzer.course_names import MembersUnknown
from edugraph_analyzer.pipeline import Pipeline
from edugraph_analyzer.rule_based.analyzer import RuleBasedAnalyzer
from edugraph_analyzer.rule_based.fitted import Fit
from edugraph_analyzer.rule_based.fitting import by_course, fit_course
from edugraph_analyzer.rule_based.labels import LabelledItem
from edugraph_analyzer.service import AnalyzerService
from edugraph_analyzer.settings import AnalyzerSettings
from edugraph_common.contracts.errors import Wait
from edugraph_common.contracts.messages import Analysis, CourseContext
from edugraph_common.runtime.shared_state.analysis_window import AnalysisWindows
from edugraph_common.runtime.shared_state.course_members import CourseMembers
from edugraph_common.runtime.shared_state.job_store import Jobs, connect

NOW = datetime(2026, 3, 2, 8, tzinfo=UTC)
OFFLINE, MODEL = "offline", "model"


@pytest.fixture
def members(redis_url: str) -> CourseMembers:
    found = CourseMembers(connect(redis_url))
    found.forget()
    return found


def pipeline(
    server: Any, provider: Provider, name: str, members: CourseMembers, how: str, **more: Any
) -> Pipeline:
    model = {
        "openai_api_key": name,
        "openai_base_url": provider.url,
        "model": name,
        "requests_per_minute": 6_000,
    }
    return Pipeline(
        AnalyzerSettings(**(model if how == MODEL else {}), **more), server, members=members
    )


def in_course(message: Analysis, course: str) -> Analysis:
    records = [
        {**record, "data": record["data"] | {"course_id": course}} for record in message.records
    ]
    return message.model_copy(update={"records": tuple(records)})


@pytest.mark.parametrize("how", [OFFLINE, MODEL])
def test_nothing_is_read_until_it_is_known_who_is_restricted(
    server, provider, name, members, how
) -> None:
    provider.script()
    one = pipeline(server, provider, name, members, how)
    with pytest.raises(MembersUnknown):
        one.analyse(chats(name, 2))
    members.tell_restricted(["stu-0001"], members.epoch())
    result = one.analyse(chats(name, 2))
    assert [found.record["record_id"] for found in result.findings] == ["r0"]
    assert [(each.record_id, each.reason) for each in result.withheld] == [
        ("r1", "a student of it is restricted")
    ]
    members.forget()  # somebody else was restricted
    with pytest.raises(MembersUnknown):
        one.analyse(chats(name, 2))
    assert "message 1 of" not in str(provider.requests())


def test_the_service_asks_the_importer_once_and_waits(
    server, provider, name, members, monkeypatch
) -> None:
    provider.script()
    sent: list[tuple[str, Any]] = []
    monkeypatch.setattr(
        "edugraph_analyzer.service.send",
        lambda _, task, message, **__: sent.append((task, message)),
    )
    nobody: Any = None  # neither a broker nor a blob store is asked
    service = AnalyzerService(
        app=nobody,
        pipeline=pipeline(
            server, provider, name, members, MODEL, students_without_consent=frozenset({"stu-0001"})
        ),
        jobs=Jobs(server),
        windows=AnalysisWindows(server),
        members=members,
        model_permits=None,  # type: ignore[arg-type]
        blobs=nobody,
        now=lambda: NOW,
        pack_size=10,
        packs_in_queue=3,
    )
    message = in_course(chats(name, 2), name).model_copy(update={"acceptance": 7, "again": True})
    members.tell_context(CourseContext(course_id=name), members.epoch())
    for _ in range(2):
        with pytest.raises(Wait, match="importer"):
            service.analyse(message)
    assert [(task, each.course_ids) for task, each in sent] == [("tell_course_members_task", ())]
    members.tell_restricted([], members.epoch())
    with pytest.raises(Wait, match="importer"):
        service.analyse(message)
    assert [each.course_ids for _, each in sent[1:]] == [(name,)]
    members.tell(name, [], members.epoch(), NOW)
    assert service.analyse(message).findings == 1
    task, findings = sent[-1]
    assert (task, len(findings.findings), findings.failed, findings.withheld) == (
        "record_findings_task",
        1,
        0,
        1,
    )
    # A version that comes with its finding first has the number of its import.
    assert findings.acceptance == 7
    # A finding of a second reading writes no record. Out: `again` in `_send_findings`.
    assert findings.again


@pytest.mark.parametrize("how", [OFFLINE, MODEL])
def test_each_record_of_a_pack_is_counted_also_one_without_text(
    server, provider, name, members, how, *, monkeypatch
) -> None:
    """A job waits until all of its records are counted. Out: `textless` in AnalyzerService.analyse."""
    provider.script()
    sent: list[Any] = []
    monkeypatch.setattr(
        "edugraph_analyzer.service.send",
        lambda *given, urgent, **_: sent.append((given[2], urgent)),
    )
    members.tell_restricted(["stu-0001"], members.epoch())
    nobody: Any = None
    service = AnalyzerService(
        app=nobody,
        pipeline=pipeline(server, provider, name, members, how),
        jobs=Jobs(server),
        windows=AnalysisWindows(server),
        members=members,
        model_permits=None,  # type: ignore[arg-type]
        blobs=nobody,
        now=lambda: NOW,
        pack_size=10,
        packs_in_queue=3,
    )
    message = chats(name, 4)
    first, *others = message.records
    blank = {**first, "data": {**first["data"], "text": "  "}}
    service.analyse(
        message.model_copy(update={"records": (blank, *others[:2], {"record_id": "no record"})})
    )
    [(findings, urgent)] = sent
    assert urgent, (
        "the findings of a small job overtake those of large ones. Out: `urgent` in AnalyzerService.analyse"
    )
    assert (len(findings.findings), findings.withheld, findings.textless, findings.failed) == (
        1,
        1,
        1,
        1,
    )
    assert findings.done + findings.failed == 4


def test_no_text_leaves_until_it_is_known_who_is_in_its_course(
    server, provider, name, members
) -> None:
    provider.script()
    one, message = pipeline(server, provider, name, members, MODEL), in_course(chats(name, 1), name)
    members.tell_restricted([], members.epoch())
    members.tell_context(CourseContext(course_id=name), members.epoch())
    with pytest.raises(MembersUnknown) as unknown:
        one.analyse(message)
    assert unknown.value.course_ids == (name,)
    assert provider.requests() == []
    members.tell(name, [], members.epoch(), NOW)
    assert len(one.analyse(message).findings) == 1


TEXTS = {
    "error": ("error_record", {"student_id": "stu-0001", "error_text": "1/2 + 1/3 = 2/5"}),
    "knowledge_points": ("course_content", {"content": "How fractions are added."}),
    "interaction": ("post_record", {"student_id": "stu-0001", "text": "How are they added?"}),
}


@pytest.mark.parametrize("how", [OFFLINE, MODEL])
@pytest.mark.parametrize("kind", list(TEXTS))
def test_a_text_of_the_api_is_read_with_the_known_points_of_its_course(
    server, provider, name, members, kind, *, how
) -> None:
    """Out: `_with_contexts` in Pipeline.analyse."""
    provider.script()
    record_type, data = TEXTS[kind]
    record = {
        "type": record_type,
        "timestamp": "2026-01-05T08:00:00Z",
        "data": data | {"course_id": name},
    }
    message = Analysis(job_id=name, pack="p", kind=kind, records=(record,))
    members.tell_restricted([], members.epoch())
    members.tell(name, [], members.epoch(), NOW)
    one = pipeline(server, provider, name, members, how)
    with pytest.raises(MembersUnknown) as unknown:
        one.analyse(message)
    assert unknown.value.course_ids == (name,)
    points = ("common denominators",)
    members.tell_context(CourseContext(course_id=name, knowledge_points=points), members.epoch())
    (finding,) = one.analyse(message).findings
    if how == MODEL:
        (request,) = provider.requests()
        assert "known knowledge points: k1: common denominators" in request["body"]
    assert finding.record["data"]["course_id"] == name


def test_points_of_like_mistakes_are_told_to_a_provider(server, provider, name) -> None:
    """To take the guard out: leave `points_of_neighbours` out of Pipeline.analyse."""
    provider.script()
    items = []
    for number in range(4):
        data = {"student_id": f"s{number}", "course_id": name, "error_text": "1/2 + 1/3 = 2/5"}
        record = {"type": "error_record", "timestamp": "2026-01-05T08:00:00Z", "data": data}
        items.append(LabelledItem(record, (), ("unlike fractions",)))
    fit = Fit.of(*fit_course(name, by_course(items)[name], NOW))
    settings = AnalyzerSettings(
        openai_api_key=name, openai_base_url=provider.url, model=name, requests_per_minute=6_000
    )
    one = Pipeline(settings, server, offline=RuleBasedAnalyzer(lambda _: fit))
    data = {"student_id": "new", "course_id": name, "error_text": "1/4 + 1/3 = 2/7"}
    record = {"type": "error_record", "timestamp": "2026-01-06T08:00:00Z", "data": data}
    message = Analysis(job_id=name, pack="p", kind="error", records=(record,))
    estimated = one.estimate(message)
    without = Pipeline(settings, server).estimate(message)
    assert len(one.analyse(message).findings) == 1
    (request,) = provider.requests()
    assert "known knowledge points: k1: unlike fractions" in request["body"]
    assert estimated.input_tokens > without.input_tokens


def test_mistakes_that_waited_for_texts_are_read_with_what_the_graph_knows_since(
    server, provider, name, members
) -> None:
    """Out: `joined` in Pipeline._with_contexts, or that an unknown course is asked for there."""
    provider.script()
    record_type, data = TEXTS["error"]
    record = {
        "type": record_type,
        "timestamp": "2026-01-05T08:00:00Z",
        "data": data | {"course_id": name},
    }
    brought = CourseContext(course_id=name, knowledge_points=("adding fractions",))
    message = Analysis(job_id=name, pack="p", kind="error", records=(record,), contexts=(brought,))
    members.tell_restricted([], members.epoch())
    members.tell(name, [], members.epoch(), NOW)
    one = pipeline(server, provider, name, members, MODEL)
    with pytest.raises(MembersUnknown) as unknown:
        one.analyse(message, after_texts=True)
    assert unknown.value.course_ids == (name,)
    members.tell_context(
        CourseContext(course_id=name, knowledge_points=("common denominators",)), members.epoch()
    )
    assert len(one.analyse(message, after_texts=True).findings) == 1
    (request,) = provider.requests()
    assert "common denominators" in request["body"]
    assert "adding fractions" in request["body"]


@pytest.mark.parametrize("how", [OFFLINE, MODEL])
def test_consent_is_for_what_leaves(server, provider, name, members, how) -> None:
    provider.script()
    members.tell_restricted([], members.epoch())
    message = chats(name, 3)
    first = {**message.records[0], "consent": False}
    message = message.model_copy(update={"records": (first, *message.records[1:])})
    one = pipeline(
        server, provider, name, members, how, students_without_consent=frozenset({"stu-0001"})
    )
    result = one.analyse(message)
    assert [each.record_id for each in result.withheld] == ([] if how == OFFLINE else ["r0", "r1"])
    assert len(result.findings) == (3 if how == OFFLINE else 1)


def test_a_course_without_consent_is_not_sent(server, provider, name, members) -> None:
    provider.script()
    members.tell_restricted([], members.epoch())
    members.tell(name, [], members.epoch(), NOW)
    members.tell_context(CourseContext(course_id=name), members.epoch())
    one = pipeline(
        server, provider, name, members, MODEL, courses_without_consent=frozenset({name})
    )
    assert len(one.analyse(in_course(chats(name, 2), name)).withheld) == 2
    assert provider.requests() == []
