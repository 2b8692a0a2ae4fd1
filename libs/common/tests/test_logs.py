"""No line holds what it must not, whoever wrote it."""

import io
import json
import logging
import sys
from typing import Any

import amqp.exceptions
import pytest
import structlog

from edugraph_common.contracts.errors import Retryable
from edugraph_common.runtime.service.log_safety import described
from edugraph_common.runtime.service.logs import configure_logs

CANARY = "张三 wrote this"


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Any:
    written = io.StringIO()
    monkeypatch.setattr(sys, "stderr", written)
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    configure_logs("json", "DEBUG")
    yield lambda: [json.loads(line) for line in written.getvalue().splitlines()]
    root.handlers[:] = before
    root.setLevel(level)
    structlog.reset_defaults()


def raised(error: Exception) -> Exception:
    try:
        raise error  # noqa: TRY301
    except Exception as caught:  # noqa: BLE001
        return caught


def test_a_failure_shows_its_type_reason_and_place(lines: Any) -> None:
    structlog.get_logger("edugraph_common.runtime.messaging.task_base").warning(
        "it", exc_info=raised(Retryable("the database is away"))
    )
    (line,) = lines()
    assert line["error"] == "Retryable"
    assert line["reason"] == "Retryable: the database is away"
    assert "raise error" in line["traceback"]


def test_an_exception_of_any_other_kind_shows_no_text(lines: Any) -> None:
    logging.getLogger("somebody").error(
        "it broke: %r", ValueError(CANARY), exc_info=raised(KeyError(CANARY))
    )
    logging.getLogger("uvicorn.error").error(
        "in the application", exc_info=raised(ValueError(CANARY))
    )
    shown = lines()
    assert CANARY not in json.dumps(shown, ensure_ascii=False)
    assert shown[0]["event"] == "it broke: 'ValueError'"
    assert shown[0]["error"] == "KeyError"


def test_what_celery_says_of_whole_messages_is_cut(lines: Any) -> None:
    log = logging.getLogger("celery.worker.consumer.consumer")
    log.error(
        "Received unregistered task of type %s.\nThe full contents of the message body was:\n%s",
        "x",
        CANARY,
    )
    log.critical(
        "Can't decode message body: %r [type:%r encoding:%r headers:%s]\n\nbody: %s", *[CANARY] * 5
    )
    shown = lines()
    assert CANARY not in json.dumps(shown, ensure_ascii=False)
    assert shown[0]["event"] == "Received unregistered task of type …."


def test_results_are_not_logged(lines: Any) -> None:
    log = logging.getLogger("celery.app.trace")
    log.info("Task %(name)s succeeded: %(return_value)s", {"name": "t", "return_value": CANARY})
    log.error("Task raised %(exc)s", {"exc": CANARY}, exc_info=raised(ValueError(CANARY)))
    (line,) = lines()
    assert line["event"] == "task raised ValueError"
    assert CANARY not in json.dumps(line, ensure_ascii=False)


def test_libraries_say_nothing_below_info(lines: Any) -> None:
    logging.getLogger("openai._base_client").debug("Request options: %s", CANARY)
    logging.getLogger("celery.pool").debug("TaskPool: Apply %s (args:%s)", "f", CANARY)
    structlog.get_logger("edugraph_analyzer").debug("ours")
    assert [line["event"] for line in lines()] == ["ours"]


def test_a_broker_that_is_away_is_named(lines: Any) -> None:
    log = logging.getLogger("celery.worker.consumer.consumer")
    log.error(
        "consumer: Cannot connect to %s: %s.\n%s",
        "amqp://u:**@h//",
        ConnectionRefusedError(111, "refused"),
        "x",
    )
    (line,) = lines()
    assert "[Errno 111] refused" in line["event"]


def test_a_line_of_the_main_process_names_its_task(lines: Any) -> None:
    data = {"id": "t-1", "name": "import_batch_task", "args": CANARY}
    log = logging.getLogger("celery.worker.strategy")
    log.info("Task %(name)s[%(id)s] received", data, extra={"data": data})
    (line,) = lines()
    assert (line["task_id"], line["task"]) == ("t-1", "import_batch_task")
    assert CANARY not in json.dumps(line, ensure_ascii=False)


def test_only_texts_that_cannot_quote_are_shown() -> None:
    assert described(amqp.exceptions.NotFound("no queue")).startswith("NotFound: ")
    assert described(ValueError(CANARY)) == "ValueError"
