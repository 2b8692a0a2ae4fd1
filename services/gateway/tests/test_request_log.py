"""The line of a request is as any other line of ours."""

import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from edugraph_common.platform.logs import configure_logs
from edugraph_common.platform.settings import Settings
from edugraph_gateway.request_log import request_log


@pytest.fixture
def _log_left_as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    yield
    root.handlers[:] = before
    root.setLevel(level)
    structlog.reset_defaults()


def _settings(folder: Path, level: str) -> Settings:
    fields = {"broker_url": "amqp://127.0.0.1:1//", "redis_url": "redis://127.0.0.1:1/0", "blob_url": str(folder)}
    return Settings.model_validate({**fields, "log_format": "json", "log_level": level})


@pytest.mark.usefixtures("_log_left_as_it_was")
def test_it_has_what_the_others_have(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("json", "INFO")
    name = "edugraph_gateway.telemetry"
    with structlog.contextvars.bound_contextvars(trace_id="abc"):
        request_log(_settings(tmp_path, "INFO"), name).info("request", status=202)
        structlog.get_logger(name).info("request", status=202)
    own, other = (json.loads(line) for line in capsys.readouterr().err.splitlines())
    assert own.pop("timestamp")[:16] == other.pop("timestamp")[:16]
    assert own == other
    assert own["trace_id"] == "abc"


def test_it_keeps_to_the_level(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    request_log(_settings(tmp_path, "WARNING"), "x").info("request")
    assert capsys.readouterr().err == ""
