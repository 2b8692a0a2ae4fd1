"""The client's models are those of the two OpenAPI documents: a field that is another there is a wrong answer here."""

from typing import Any

import pytest
from openapi_documents import gateway_document, insights_document
from pydantic import BaseModel

from edugraph_client import answers
from edugraph_common.contracts.api import (
    Accepted,
    Check,
    Diagnosis,
    Erasures,
    GraphSummary,
    Persons,
    Restricted,
)
from edugraph_common.contracts.drafts import DraftBasis
from edugraph_common.contracts.outcomes import JobReport
from edugraph_common.contracts.public_paths import is_of_insights
from edugraph_common.contracts.wordings import UnderstoodQuestion, WordsBasis

# What is asked, and what the client reads the answer as.
READ_AS: dict[tuple[str, str], type[BaseModel]] = {
    ("get", "/v1/graph/nodes"): answers.GraphAnswer,
    ("get", "/v1/graph/node"): answers.Details,
    ("get", "/v1/graph/neighbours"): answers.GraphAnswer,
    ("get", "/v1/graph/subgraph"): answers.GraphAnswer,
    ("get", "/v1/graph/path"): answers.PathAnswer,
    ("get", "/v1/graph/summary"): GraphSummary,
    ("get", "/v1/graph/persons"): Persons,
    ("get", "/v1/graph/check"): Check,
    ("post", "/v1/imports"): Accepted,
    ("post", "/v1/reviews"): Accepted,
    ("post", "/v1/reviews/proposals"): Accepted,
    ("post", "/v1/actions"): Accepted,
    ("post", "/v1/drafts"): Accepted,
    ("post", "/v1/insights/draft-permits"): DraftBasis,
    ("post", "/v1/questions"): Accepted,
    ("post", "/v1/insights/words"): WordsBasis,
    ("post", "/v1/insights/words/choices"): UnderstoodQuestion,
    ("get", "/v1/jobs/{job_id}"): JobReport,
    ("get", "/v1/erasures"): Erasures,
    ("get", "/v1/restrictions"): Restricted,
    ("get", "/v1/diagnosis"): Diagnosis,
}


@pytest.fixture(scope="module")
def documents() -> dict[bool, dict[str, Any]]:
    """What insights answers, and what the gateway does."""
    return {False: gateway_document(), True: insights_document()}


def answer_of(document: dict[str, Any], method: str, path: str) -> dict[str, Any]:
    responses = document["paths"][path][method]["responses"]
    schema = next(each for status, each in sorted(responses.items()) if status.startswith("2"))
    found: dict[str, Any] = schema["content"]["application/json"]["schema"]
    return found


def differences(
    own: dict[str, Any],
    theirs: dict[str, Any],
    definitions: tuple[dict[str, Any], dict[str, Any]],
    at: str = "",
) -> list[str]:
    """Return where the client would miss a field, or read another type. What only this client leaves out is named too."""
    own, theirs = (
        _resolved(each, there) for each, there in zip((own, theirs), definitions, strict=True)
    )
    if theirs.get("type") == "object" and own.get("properties"):
        names = own["properties"].keys() | (theirs["properties"].keys() - {"links", "seconds_left"})
        found = [
            f"{at}.{name}"
            for name in names
            if (name in own["properties"]) != (name in theirs["properties"])
        ]
        optional = set(own.get("required", ())) - set(theirs.get("required", theirs["properties"]))
        both = names & own["properties"].keys() & theirs["properties"].keys()
        deeper = (
            differences(
                own["properties"][name], theirs["properties"][name], definitions, f"{at}.{name}"
            )
            for name in both
        )
        return [
            *found,
            *(f"{at}.{name} may be missing" for name in optional),
            *(each for part in deeper for each in part),
        ]
    if own.get("type") == "array" and theirs.get("type") == "array":
        return differences(own.get("items", {}), theirs.get("items", {}), definitions, f"{at}[]")
    if "anyOf" in theirs and "anyOf" in own:
        kinds = [
            {_resolved(each, there).get("type") for each in one["anyOf"]}
            for one, there in zip((own, theirs), definitions, strict=True)
        ]
        return [] if kinds[0] == kinds[1] else [f"{at} is {kinds[1]}"]
    return [] if own.get("type") == theirs.get("type") else [f"{at} is {theirs}"]


def _resolved(schema: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    name = schema.get("$ref", "").rpartition("/")[2]
    found: dict[str, Any] = definitions[name] if name else schema
    return found


@pytest.mark.parametrize(("method", "path"), READ_AS)
def test_an_answer_is_read_as_what_it_is(
    documents: dict[bool, dict[str, Any]], method: str, path: str
) -> None:
    """Out: a field of a model of the client, or its type."""
    document = documents[is_of_insights(path)]
    own = READ_AS[method, path].model_json_schema(mode="serialization")
    theirs = answer_of(document, method, path)
    definitions = (own.get("$defs", {}), document["components"]["schemas"])
    assert differences(own, theirs, definitions) == []


def test_each_question_is_answered_as_an_answer(documents: dict[bool, dict[str, Any]]) -> None:
    document = documents[True]
    own = answers.Answer.model_json_schema(mode="serialization")
    definitions = (own.get("$defs", {}), document["components"]["schemas"])
    name = answer_of(document, "get", "/v1/insights")["$ref"].rpartition("/")[2]
    catalogue = definitions[1][name]
    described = catalogue["properties"]["questions"]["items"]
    assert differences(answers.Question.model_json_schema(), described, ({}, definitions[1])) == []
    asked = []
    for path, methods in document["paths"].items():
        is_of_insights = path.startswith("/v1/insights/")
        if is_of_insights and "{" not in path and "get" in methods:
            asked.append(path)
    answered = {path: answer_of(document, "get", path) for path in asked}
    of_questions = {
        path: schema for path, schema in answered.items() if "Answer" in schema.get("$ref", "")
    }
    assert len(of_questions) > 10
    for path, schema in of_questions.items():
        # Rows are of the question's own kind there, and plain objects here.
        assert [
            each for each in differences(own, schema, definitions) if not each.startswith(".rows[]")
        ] == [], path
