"""The checks of an answer against the OpenAPI document of its service."""

from typing import Any

from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

_SERVER_ERROR = 500
_UNAVAILABLE = 503


def not_a_server_error(_context: Any, response: Any, _case: Any) -> None:
    """Raise AssertionError for each status from 500 on, except for a service that has no time now and says when."""
    status = response.status_code
    if status == _UNAVAILABLE:
        is_busy = str(response.json().get("type", "")).endswith(":busy")
        assert is_busy, f"{status}: {response.text[:500]}"
        assert "retry-after" in {name.lower() for name in response.headers}
        return
    assert status < _SERVER_ERROR, f"{status}: {response.text[:500]}"


CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
