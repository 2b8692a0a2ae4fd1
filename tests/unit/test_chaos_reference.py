"""Chaos compares each run with one in peace, which must itself have written every record."""

from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def chaos(monkeypatch: pytest.MonkeyPatch) -> Any:
    for folder in ("benchmarks", "tests/chaos"):
        monkeypatch.syspath_prepend(str(ROOT / folder))
    import run

    return run


@pytest.mark.parametrize(
    ("end", "problems"),
    [
        ({"state": "succeeded", "read": 3, "written": 3}, [False, False]),
        ({"state": "failed", "read": 0, "written": 0}, [True, False]),
        ({"state": "succeeded", "read": 3, "written": 2}, [True, False]),
        ({}, [True, False]),
    ],
)
def test_a_run_in_peace_that_did_not_write_all_is_no_reference(
    chaos: Any,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    end: dict[str, Any],
    problems: list[bool],
) -> None:
    """Two runs that wrote nothing are the same. To take the guard out: let `_runs` not ask `missing_in_peace`."""
    food = chaos.Food(tmp_path / "main", tmp_path / "texts", [tmp_path / "small"])
    for path in (food.main, food.texts, *food.small):
        path.write_text("{}\n" * 3)
    reports = {path.name: end for path in (food.main, food.texts, *food.small)} if end else {}
    monkeypatch.setattr(
        chaos, "one_run", lambda seed, _food: chaos.Run(seed, digest="one", reports=reports)
    )
    assert [bool(run.problems) for run in chaos._runs(food, range(1, 2))] == problems
