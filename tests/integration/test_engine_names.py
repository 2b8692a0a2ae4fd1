"""The last lines of a run may call an engine real only if it is."""

import pytest
from engine_names import redis_server


def test_the_embedded_valkey_is_not_called_a_real_redis(
    redis_url: str, request: pytest.FixtureRequest
) -> None:
    """Out: the question for `valkey_version`: Valkey tells the version of Redis that it was made from."""
    real = "[redis]" in request.node.name
    assert redis_server({"EDUGRAPH_REDIS_URL": redis_url}).endswith("(real)") is real
