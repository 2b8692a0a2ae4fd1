"""The figures of open code count what they say, and a module may not become denser."""

import ast
import json
from collections import Counter
from pathlib import Path

import open_code
import pytest

DENSE = """
def dense(rows):
    a, b = 1, 2
    return [x for row in rows for x in row] if rows else [x + a * b - (a + b) * (a - b) / (a * b + 1) - 7 for x in rows]
"""
OPEN = """
def total(rows):
    '''Return the sum.'''
    found = 0
    for row in rows:
        found += row
    return found
"""


def counts_of(text: str, folder: Path) -> Counter[str]:
    path = folder / "module.py"
    path.write_text(text, encoding="utf-8")
    return open_code.count(path)


def test_each_figure_counts_its_form(tmp_path: Path) -> None:
    counts = counts_of(DENSE, tmp_path)
    assert counts["statements"] == 2
    assert counts["several assignments in one"] == 1
    assert counts["conditional expressions"] == 1
    assert counts["nested comprehensions"] == 1
    assert counts["long comprehensions"] == 1
    assert counts["large statements"] == 1


def test_open_code_has_none_of_them(tmp_path: Path) -> None:
    counts = counts_of(OPEN, tmp_path)
    assert counts["statements"] == 4
    assert set(counts) == {"statements", "nodes per statement"}


def test_a_docstring_and_inner_definitions_do_not_count() -> None:
    tree = ast.parse("def f():\n    '''Text.'''\n    def g():\n        return 1\n    return g\n")
    assert len(list(open_code.statements_in_functions(tree))) == 2


def test_a_module_may_not_become_denser(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    counts = Counter({"statements": 100, "nodes per statement": 1_601})
    monkeypatch.setattr(open_code, "BASELINE", tmp_path / "baseline.json")
    open_code.BASELINE.write_text(json.dumps({"a.py": 16.1}), encoding="utf-8")
    assert open_code.check({"a.py": counts}) == 0
    assert open_code.check({"new.py": counts}) == 1
    assert (
        "new.py: 16.1 syntax nodes per statement, at most 15.0 are allowed"
        in capsys.readouterr().out
    )
    counts["nodes per statement"] += 10
    assert open_code.check({"a.py": counts}) == 1


def test_a_figure_is_written_only_if_none_is_higher(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(open_code, "BASELINE", tmp_path / "baseline.json")
    open_code.BASELINE.write_text(json.dumps({"a.py": 16.0, "b.py": 16.0}), encoding="utf-8")
    lower = Counter({"statements": 100, "nodes per statement": 1_400})
    higher = Counter({"statements": 100, "nodes per statement": 1_610})
    assert open_code.write_lower({"a.py": higher, "b.py": lower}) == 1
    assert json.loads(open_code.BASELINE.read_text()) == {"a.py": 16.0, "b.py": 16.0}
    assert open_code.write_lower({"a.py": lower, "b.py": lower}) == 0
    assert json.loads(open_code.BASELINE.read_text()) == {"a.py": 14.0, "b.py": 14.0}
