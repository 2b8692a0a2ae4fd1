"""Threads share the driver: a statement that fails in one of them touches no answer of another."""

import sys
from functools import partial
from random import Random
from typing import Any

import pytest
from rooms import Room
from threads import at_once

from edugraph_common.contracts.errors import Retryable
from edugraph_insights.graph import STATEMENTS

from .schools import reading

THREADS = 16
STATEMENTS_OF_A_THREAD = 40
FAILS = "UNWIND range(1, 30) AS n RETURN 1 / (n - $zero) AS n"
COUNTS = "UNWIND range(1, $rows) AS n RETURN n, toString(n) AS text"

pytestmark = [pytest.mark.real, pytest.mark.parametrize("room", ["neo4j"], indirect=True)]


@pytest.mark.timeout(300)
def test_a_statement_that_fails_leaves_the_others_whole(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Out: transactions of their own in `Graph._rows`, in favour of `execute_read`: some wait for ever, or fail."""
    monkeypatch.setitem(STATEMENTS, "fails", FAILS)  # type: ignore[arg-type]
    monkeypatch.setitem(STATEMENTS, "counts", COUNTS)  # type: ignore[arg-type]
    graph = reading(room).graph

    def ask_many(seed: int) -> None:
        random = Random(seed)
        for _ in range(STATEMENTS_OF_A_THREAD):
            if random.random() < 0.3:
                with pytest.raises(Retryable, match="ArithmeticError"):
                    graph.read("fails", zero=15)
            else:
                rows = random.choice([1, 100, 1_100])
                expected: list[dict[str, Any]] = [
                    {"n": n, "text": str(n)} for n in range(1, rows + 1)
                ]
                assert graph.read("counts", rows=rows) == expected

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)  # so that threads meet in the middle of what the driver does
    try:
        at_once(partial(ask_many, seed) for seed in range(THREADS))
    finally:
        sys.setswitchinterval(before)
        graph.close()
