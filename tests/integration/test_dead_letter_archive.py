"""Dead letters kept in a file: export leaves them, restore brings them back as they were, a replay does each once."""

from pathlib import Path

import pytest
from command_line import edugraph
from traps import Bench
from waiting import until

from edugraph_cli.dead_letter_archive import export, restore
from edugraph_common.contracts.errors import Rejected
from edugraph_common.messaging.dead_letters import LetterHolds
from edugraph_common.platform.job_store import connect
from edugraph_gateway.operations.dead_letter_operator import DeadLetterOperator
from edugraph_gateway.operations.task_results import TaskResults

pytestmark = pytest.mark.real


def dead(bench: Bench, number: int) -> list[str]:
    bench.start()
    tasks = [bench.send("reject", times=1) for _ in range(number)]
    until(lambda: bench.depth("data_import.dead") == number)
    return tasks


def test_dead_letters_are_kept_put_back_and_done(bench: Bench) -> None:
    tasks = dead(bench, 5)
    holds = LetterHolds(connect(bench.settings.redis_url.get_secret_value()))
    operator = DeadLetterOperator(bench.settings, holds, TaskResults(bench.settings, 5).is_done)
    before, lines = operator.oldest("data_import", 10), list(export(bench.settings, "data_import"))
    until(lambda: bench.depth("data_import.dead") == 5)
    assert operator.drop_all("data_import") == 5
    assert restore(bench.settings, lines) == {"data_import": 5}
    assert operator.oldest("data_import", 10) == before
    # The broker puts back what was looked at, and has not ended that yet.
    until(lambda: bench.depth("data_import.dead") == 5)
    assert operator.replay_all("data_import", 10, 100).replayed == 5
    until(lambda: all(len(bench.noted("done", task)) == 1 for task in tasks))


def test_the_commands(bench: Bench, tmp_path: Path) -> None:
    dead(bench, 2)
    until(lambda: bench.depth("data_import.notices") == 0)
    made = edugraph(bench.environment(), "dead", "export", "data_import")
    (tmp_path / "letters.ndjson").write_text(made.stdout)
    assert len(made.stdout.splitlines()) == 2, made.stderr
    assert (
        "data_import 2" in edugraph(bench.environment(), "dead", "restore", str(tmp_path / "letters.ndjson")).stdout
    )
    assert bench.depth("data_import.dead") == 4
    assert bench.depth("data_import.notices") == 0, "a task would be told of a second death"


def test_a_line_of_another_form_is_named(bench: Bench) -> None:
    with pytest.raises(Rejected, match="Line 1 is not a dead letter"):
        restore(bench.settings, ['{"some": "thing"}'])
