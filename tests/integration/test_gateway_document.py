"""The OpenAPI document and the gateway agree: made-up requests get no 5xx and no answer outside the document.

EDUGRAPH_SCHEMATHESIS_CASES sets how many cases there are at least, half of them with a key; `make api-fuzz` makes 5,000
and shows how many answers there were of each status.
"""

import os
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from documented_answers import CHECKS
from gateway_alone import Gateway, api_key, gateway, virtual_host
from hypothesis import HealthCheck, Phase, given, settings

from edugraph_common.contracts.permissions import SCOPES

pytestmark = pytest.mark.real
CASES = int(os.environ.get("EDUGRAPH_SCHEMATHESIS_CASES", "250"))
LEAST_CASES = 8  # of an operation, so that a short run tries each parameter, too


def _settings(cases: int) -> settings:
    return settings(
        max_examples=cases,
        deadline=None,
        derandomize=True,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )


@schemathesis.serializer("application/x-ndjson", "text/csv", "application/octet-stream")
def as_it_is(_context: Any, value: Any) -> bytes:
    """A made-up file: its bytes, or whatever stands in their place."""
    data = getattr(value, "data", value)
    return data if isinstance(data, bytes) else str(data).encode(errors="replace")


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with (
        virtual_host() as addresses,
        gateway(
            addresses, tmp_path_factory.mktemp("document"), auth="on", max_queue_depth="1000000"
        ) as running,
    ):
        yield running


@pytest.fixture(scope="module")
def key(guarded: Gateway) -> dict[str, str]:
    return api_key(guarded.environment, *SCOPES)


@pytest.fixture(scope="module")
def document(guarded: Gateway, key: dict[str, str]) -> Any:
    return schemathesis.openapi.from_url(f"{guarded.url}/openapi.json", headers=key)


@pytest.mark.timeout(1_800)
@pytest.mark.parametrize("known", [True, False], ids=["with a key", "without"])
def test_made_up_requests_are_answered_as_the_document_says(
    document: Any, key: dict[str, str], known: bool
) -> None:
    headers = key if known else {"Authorization": "Bearer nobody"}
    tried, answers = Counter[str](), Counter[int]()
    refused = set[str]()
    # Of an operation without parameters only a few cases can be made. Those come first, and the others share the rest.
    operations = sorted(
        (found.ok() for found in document.get_all_operations()),
        key=lambda operation: len(list(operation.iter_parameters())) + len(operation.body),
    )
    for number, operation in enumerate(operations):
        wanted = max(CASES // 2 - tried.total(), 1)
        share = max(-(-wanted // (len(operations) - number)), LEAST_CASES)
        found = Counter[int]()
        _try_operation(operation, headers, share, tried, found)
        answers += found
        if 401 in found or 403 in found:
            refused.add(operation.label)
    told = ", ".join(f"{status}: {number:,}" for status, number in sorted(answers.items()))
    print(f"{answers.total():,} cases {'with a key' if known else 'without'}, answers {told}")  # noqa: T201 - pytest -s shows it
    assert tried.total() >= CASES // 2, f"too few cases were made: {tried}"
    assert 10 * answers[503] <= answers.total(), f"the gateway had no time for many: {answers}"
    # The key has every scope, so no operation is left out because of its permission. Actions, drafts and questions
    # need a permit, which only persons who lead the student get, and the key belongs to no person.
    if known:
        assert refused <= {"POST /v1/actions", "POST /v1/drafts", "POST /v1/questions"}
    else:
        assert 401 in answers


def test_the_page_of_the_document_loads_nothing_from_elsewhere(
    guarded: Gateway, key: dict[str, str]
) -> None:
    with guarded.client(headers=key) as client:
        page = client.get("/docs")
        loaded = re.findall(r"""(?:src|href)=["']([^"']+)""", page.text)
        answers = [client.get(address) for address in loaded]
    assert len(loaded) == 3
    assert "//" not in "".join(loaded)
    assert [answer.status_code for answer in answers] == [200] * 3
    assert "default-src 'self'" in page.headers["content-security-policy"]
    assert "SwaggerUIBundle" in next(
        answer.text for answer in answers if answer.url.path.endswith(".js")
    )


def _try_operation(
    operation: Any,
    headers: dict[str, str],
    cases: int,
    tried: Counter[str],
    answers: Counter[int],
) -> None:
    @_settings(cases)
    @given(case=operation.as_strategy())
    def answered(case: Any) -> None:
        tried[operation.label] += 1
        answer = case.call_and_validate(headers=headers, checks=CHECKS, timeout=240)
        answers[answer.status_code] += 1

    answered()
