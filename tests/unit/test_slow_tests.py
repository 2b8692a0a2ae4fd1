"""A test that is skipped as slow is run by some target: else nobody would see it fail."""

import ast
import re
from fnmatch import fnmatch
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_each_file_with_slow_tests_is_named_by_a_target_that_runs_them() -> None:
    recipes = [path.read_text(encoding="utf-8").replace("\\\n", "") for path in sorted((ROOT / "make").glob("*.mk"))]
    lines = [line for text in recipes for line in text.splitlines()]
    run = [name for line in lines if "EDUGRAPH_SLOW=1" in line for name in re.findall(r"tests/[\w*./]+", line)]
    slow = [
        path.relative_to(ROOT).as_posix()
        for path in sorted((ROOT / "tests").rglob("test_*.py"))
        if any(
            isinstance(node, ast.ImportFrom) and {"slow", "both_slow", "SLOW"} & {name.name for name in node.names}
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        )
    ]
    assert slow
    assert [
        path for path in slow if not any(fnmatch(path, name) or path.startswith(f"{name}/") for name in run)
    ] == []
