"""The OpenAPI document and the gateway agree: made-up requests get no 5xx and no answer outside the document.

EDUGRAPH_SCHEMATHESIS_CASES sets how many cases there are in all, about; 2,000 take some minutes.
"""

import os
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from gateway_alone import Gateway, api_key, gateway, virtual_host
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

pytestmark = pytest.mark.real
CASES = int(os.environ.get("EDUGRAPH_SCHEMATHESIS_CASES", "250"))
OPERATIONS = 46  # 23, with and without a key
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
_settings = settings(
    max_examples=max(CASES // OPERATIONS, 1),
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
        gateway(addresses, tmp_path_factory.mktemp("document"), auth="on", deepest_queue="1000000") as running,
    ):
        yield running


@pytest.fixture(scope="module")
def key(guarded: Gateway) -> dict[str, str]:
    return api_key(guarded.environment, "read", "submit", "operate", "erase")


@pytest.fixture(scope="module")
def document(guarded: Gateway, key: dict[str, str]) -> Any:
    return schemathesis.openapi.from_url(f"{guarded.url}/openapi.json", headers=key)


@pytest.mark.timeout(1_800)
@pytest.mark.parametrize("known", [True, False], ids=["with a key", "without"])
def test_made_up_requests_are_answered_as_the_document_says(document: Any, key: dict[str, str], known: bool) -> None:
    headers = key if known else {"Authorization": "Bearer nobody"}
    tried: Counter[str] = Counter()
    for found in document.get_all_operations():
        _try_operation(found.ok(), headers, tried)
    assert tried.total() >= CASES // 4, "too few cases were made"


def _try_operation(operation: Any, headers: dict[str, str], tried: Counter[str]) -> None:
    @_settings
    @given(case=operation.as_strategy())
    def answered(case: Any) -> None:
        tried[operation.label] += 1
        case.call_and_validate(headers=headers, checks=CHECKS, timeout=30)

    answered()
