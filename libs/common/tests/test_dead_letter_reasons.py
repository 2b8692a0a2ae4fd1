"""What a dead letter says of a message that the broker gave up."""

from datetime import UTC, datetime

from edugraph_common.runtime.messaging.dead_letter_store import made_letter
from edugraph_common.runtime.messaging.dead_letters import WAITED_FOR
from edugraph_common.runtime.messaging.worker.dead_letter_listener import _reason

NOW = datetime(2026, 3, 2, 8, tzinfo=UTC)


def reason(**headers: object) -> str:
    given = {"x-death": [{"queue": "import_splits", "reason": "delivery_limit"}], **headers}
    return _reason(made_letter("import_splits", {}, given, b"", NOW), known=True, readable=True)


def test_it_does_not_claim_that_workers_died() -> None:
    assert "could not store the task's state in Redis" in reason()
    assert "because" not in reason()


def test_it_says_why_the_message_was_put_back() -> None:
    assert reason(**{WAITED_FOR: "Redis refuses the login"}).endswith(
        "because Redis refuses the login"
    )
