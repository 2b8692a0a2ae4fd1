"""The rules of the xAPI specification for the form of a statement."""

import json
from typing import Any

import pytest

from edugraph_common.sources.xapi_rules import MOST_BROKEN, broken_rules

ANN = {"objectType": "Agent", "account": {"homePage": "https://lms.example", "name": "ann"}}
WHOLE: dict[str, Any] = {
    "id": "6690e6c9-3ef0-4ed3-8b37-7f3964730bee",
    "actor": ANN,
    "verb": {"id": "http://adlnet.gov/expapi/verbs/answered", "display": {"en-US": "answered"}},
    "object": {
        "objectType": "Activity",
        "id": "https://lms.example/q/1",
        "definition": {
            "name": {"en": "Question", "zh-CN": "题目"},
            "type": "http://adlnet.gov/expapi/activities/cmi.interaction",
            "interactionType": "choice",
            "correctResponsesPattern": ["a"],
            "choices": [{"id": "a", "description": {"en": "A"}}, {"id": "b"}],
            "extensions": {"https://lms.example/x": None},
        },
    },
    "result": {
        "score": {"scaled": 0.5, "raw": 1, "min": 0, "max": 2},
        "success": True,
        "duration": "PT1M30.5S",
    },
    "context": {
        "registration": "6690e6c9-3ef0-4ed3-8b37-7f3964730bee",
        "contextActivities": {"parent": [{"id": "https://lms.example/quiz"}]},
        "language": "zh-Hans-CN",
        "platform": "LMS",
        "team": {"objectType": "Group", "member": [ANN]},
        "contextAgents": [{"objectType": "contextAgent", "agent": ANN}],
    },
    "timestamp": "2026-05-01T08:00:00.123456+08:00",
    "version": "1.0.3",
    "attachments": [
        {
            "usageType": "http://id.example/usage",
            "display": {"en": "a file"},
            "contentType": "text/plain; charset=utf-8",
            "length": 3,
            "sha2": "a" * 64,
        }
    ],
}
MAIL = {"mbox": "mailto:ann@school.example"}
APPLICATION = {"account": {"homePage": "https://lms.example", "name": "an application"}}
FORMS: list[dict[str, Any]] = [
    WHOLE,
    {**WHOLE, "result": {"duration": "P4W"}},
    {**WHOLE, "authority": {"objectType": "Group", "member": [APPLICATION, MAIL]}},
    {**WHOLE, "object": {**ANN}},
    {**WHOLE, "object": {"objectType": "StatementRef", "id": WHOLE["id"]}, "context": {}},
    {
        **WHOLE,
        "context": {},
        "object": {
            "objectType": "SubStatement",
            "actor": ANN,
            "verb": {"id": "https://verbs.example/planned"},
            "object": {"id": "https://lms.example/q/2"},
        },
    },
    {**WHOLE, "actor": {"objectType": "Group", "member": [ANN]}},
    {**WHOLE, "actor": {"mbox": "mailto:ann@school.example"}, "timestamp": "2026-05-01T00:00:00Z"},
    {**WHOLE, "actor": {"mbox_sha1sum": "a" * 40}},
    {**WHOLE, "actor": {"openid": "https://ann.example/"}},
    {**WHOLE, "context": {"contextActivities": {"category": {"id": "https://profile.example"}}}},
]  # fmt: skip


def changed(path: str, value: Any) -> dict[str, Any]:
    """Return the whole statement with another value at a path, as in object.definition.type."""
    statement: dict[str, Any] = json.loads(json.dumps(WHOLE))
    place: Any = statement
    *parents, last = path.split(".")
    for name in parents:
        place = place[int(name)] if isinstance(place, list) else place[name]
    place[last] = value
    return statement


@pytest.mark.parametrize("statement", FORMS)
def test_a_statement_of_the_specification_breaks_no_rule(statement: dict[str, Any]) -> None:
    if statement["object"].get("objectType") == "Agent":
        statement = {**statement, "context": {}}
    assert broken_rules(statement) == []


@pytest.mark.parametrize(
    ("path", "value", "rule", "field"),
    [
        ("id", "6690e6c9", "id", "id"),
        ("id", None, "null", "id"),
        ("nothing", 1, "unknown property", ""),
        ("actor", {"name": "Ann"}, "agent", "actor"),
        ("actor.mbox", "mailto:ann@school.example", "agent", "actor"),
        ("actor", {"mbox": "ann@school.example"}, "agent", "actor.mbox"),
        ("actor", {"mbox_sha1sum": "abc"}, "agent", "actor.mbox_sha1sum"),
        ("actor", {"openid": "ann"}, "iri", "actor.openid"),
        ("actor.account", {"name": "ann"}, "missing property", "actor.account.homePage"),
        ("actor", {"objectType": "Group"}, "group", "actor"),
        ("actor", {"objectType": "Group", "member": [{"objectType": "Group", "member": [ANN]}]},
         "type", "actor.member.objectType"),
        ("actor.objectType", "Person", "type", "actor.objectType"),
        ("verb.id", "answered", "iri", "verb.id"),
        ("verb.display", {"en us": "x"}, "language", "verb.display"),
        ("verb.display", {"en": 1}, "type", "verb.display.(language)"),
        ("object", {"objectType": "GroupActivity", "id": "https://a.example"}, "type", "object.objectType"),
        ("object.id", "ab=c://should.fail", "iri", "object.id"),
        ("object.definition.interactionType", "guess", "type", "object.definition.interactionType"),
        ("object.definition.interactionType", "likert", "interaction", "object.definition.choices"),
        ("object.definition.choices", [{"id": "a"}, {"id": "a"}], "interaction", "object.definition.choices"),
        ("object.definition.extensions", {"x": 1}, "iri", "object.definition.extensions"),
        ("object", {"objectType": "SubStatement", "actor": ANN, "verb": {"id": "https://v.example"},
                    "object": {"objectType": "SubStatement"}}, "sub-statement", "object.object"),
        ("object", {"objectType": "SubStatement", "id": WHOLE["id"], "actor": ANN,
                    "verb": {"id": "https://v.example"}, "object": {"id": "https://a.example"}},
         "unknown property", "object"),
        ("result.score.scaled", 1.1, "score", "result.score.scaled"),
        ("result.score.raw", 3, "score", "result.score.raw"),
        ("result.score.min", 2, "score", "result.score.max"),
        ("result.success", "yes", "type", "result.success"),
        ("result.duration", "1 hour", "duration", "result.duration"),
        ("result.duration", "PT", "duration", "result.duration"),
        ("result.duration", "P4W1D", "duration", "result.duration"),
        ("authority", {"objectType": "Group", "mbox": "mailto:g@school.example"}, "group", "authority"),
        ("authority", {"objectType": "Group", "member": [APPLICATION]}, "group", "authority"),
        ("authority", {"objectType": "Group", "member": [APPLICATION, ANN, ANN]}, "group", "authority"),
        ("authority", {"objectType": "Group", "member": [MAIL, MAIL]}, "group", "authority"),
        ("context.language", "e", "language", "context.language"),
        ("context.contextActivities", {"parents": []}, "unknown property", "context.contextActivities"),
        ("context.team", ANN, "group", "context.team"),
        ("context.statement", {"id": WHOLE["id"]}, "missing property", "context.statement.objectType"),
        ("context.contextAgents", [{"agent": ANN}], "missing property", "context.contextAgents.objectType"),
        ("timestamp", "2026-05-01T08:00:00-00:00", "timestamp", "timestamp"),
        ("timestamp", "2026-13-01T08:00:00Z", "timestamp", "timestamp"),
        ("timestamp", "yesterday", "timestamp", "timestamp"),
        ("timestamp", "2026-05-01", "timestamp", "timestamp"),
        ("version", "0.95", "version", "version"),
        ("attachments", {}, "type", "attachments"),
        ("attachments", [{}], "missing property", "attachments.sha2"),
        ("verb.id", "http://adlnet.gov/expapi/verbs/voided", "voiding", "object"),
    ],
)  # fmt: skip
def test_a_broken_rule_is_found(path: str, value: Any, rule: str, field: str) -> None:
    assert (rule, field) in broken_rules(changed(path, value))


@pytest.mark.parametrize("value", [None, 1, "x", [], {}, [[[]]]])
def test_a_value_of_any_form_is_not_a_statement(value: Any) -> None:
    assert broken_rules(value)


def test_a_statement_with_many_faults_is_not_looked_at_to_its_end() -> None:
    """Out: `islice`."""
    statement = WHOLE | {f"x{number}": 1 for number in range(10 * MOST_BROKEN)}
    assert len(broken_rules(statement)) == MOST_BROKEN
