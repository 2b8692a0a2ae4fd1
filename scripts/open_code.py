"""Measure how much one statement holds. A reader understands code at once if each statement holds one idea.

`make open-code` prints the figures of the product with their goals, and exits with 1 if one is missed. `--check`, a
part of `make check`, compares each module with scripts/open_code.json: the syntax nodes of its statements may only
fall, and a module that is not in that file may have at most 15 a statement. `--write` writes the lower figures, and
refuses higher ones.

Only statements inside functions count, without signatures and docstrings. So neither the width of a line nor the
number of parameters changes a figure.
"""

import argparse
import ast
import json
import math
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BASELINE = Path(__file__).with_suffix(".json")
PRODUCT = ("libs/client/src", "libs/common/src", "services/*/src", "cli/src")
MADE = "_sync"  # the client that is made from another one
MOST_NODES = 15.0  # of a module
SMALL_MODULE = 30  # a module with fewer statements has no figure of its own
LARGE_STATEMENT_NODES = 30
LONG_COMPREHENSION_NODES = 20
# The first figure is a mean of nodes, the others are per 1,000 statements.
GOALS = {
    "nodes per statement": 12.7,
    "large statements": 30.0,
    "nested comprehensions": 1.0,
    "long comprehensions": 20.0,
    "conditional expressions": 16.0,
    "several assignments in one": 3.0,
}
COMPREHENSIONS = (ast.ListComp, ast.DictComp, ast.SetComp, ast.GeneratorExp)
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Measure how much one statement holds.")
    parser.add_argument(
        "--check", action="store_true", help="compare each module with scripts/open_code.json"
    )
    parser.add_argument("--write", action="store_true", help="write scripts/open_code.json")
    chosen = parser.parse_args(arguments)
    modules = {file: count(ROOT / file) for file in product_files()}
    if chosen.write:
        return write_lower(modules)
    if chosen.check:
        return check(modules)
    return show_figures(modules)


def product_files() -> list[str]:
    """Return the paths of the product's modules from the root."""
    files = []
    for folder in PRODUCT:
        for path in ROOT.glob(f"{folder}/**/*.py"):
            if MADE not in path.parts:
                files.append(path.relative_to(ROOT).as_posix())
    return sorted(files)


def count(path: Path) -> Counter[str]:
    """Return the counts of a module: its statements, and for each figure how many there are."""
    counts: Counter[str] = Counter()
    for statement in statements_in_functions(ast.parse(path.read_text(encoding="utf-8"))):
        nodes = own_nodes(statement)
        counts["statements"] += 1
        counts["nodes per statement"] += len(nodes) + 1
        if len(nodes) + 1 > LARGE_STATEMENT_NODES:
            counts["large statements"] += 1
        if assigns_several(statement):
            counts["several assignments in one"] += 1
        for node in nodes:
            if isinstance(node, ast.IfExp):
                counts["conditional expressions"] += 1
            if isinstance(node, COMPREHENSIONS):
                if is_nested(node):
                    counts["nested comprehensions"] += 1
                if len(list(ast.walk(node))) > LONG_COMPREHENSION_NODES:
                    counts["long comprehensions"] += 1
    return counts


def statements_in_functions(tree: ast.Module) -> Iterator[ast.stmt]:
    """Yield each statement inside a function once. Definitions and docstrings are left out."""
    seen: set[ast.stmt] = set()
    for function in ast.walk(tree):
        if not isinstance(function, FUNCTIONS):
            continue
        for node in ast.walk(function):
            is_definition = isinstance(node, (*FUNCTIONS, ast.ClassDef))
            is_docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
            if (
                isinstance(node, ast.stmt)
                and not is_definition
                and not is_docstring
                and node not in seen
            ):
                seen.add(node)
                yield node


def own_nodes(statement: ast.stmt) -> list[ast.AST]:
    """Return the nodes of a statement, without those of the statements inside it."""
    nodes: list[ast.AST] = []
    waiting: list[ast.AST] = [statement]
    while waiting:
        for child in ast.iter_child_nodes(waiting.pop()):
            if isinstance(child, ast.stmt | ast.excepthandler | ast.match_case):
                continue
            nodes.append(child)
            waiting.append(child)
    return nodes


def assigns_several(statement: ast.stmt) -> bool:
    """Return whether a statement is like `a, b = c, d`."""
    if not isinstance(statement, ast.Assign):
        return False
    return isinstance(statement.targets[0], ast.Tuple) and isinstance(statement.value, ast.Tuple)


def is_nested(comprehension: ast.ListComp | ast.DictComp | ast.SetComp | ast.GeneratorExp) -> bool:
    """Return whether a comprehension has two `for`, two `if`, or another comprehension inside."""
    conditions = sum(len(generator.ifs) for generator in comprehension.generators)
    if len(comprehension.generators) > 1 or conditions > 1:
        return True
    return any(
        isinstance(node, COMPREHENSIONS)
        for node in ast.walk(comprehension)
        if node is not comprehension
    )


def nodes_per_statement(counts: Counter[str]) -> float:
    """Return the mean, rounded up to a tenth."""
    return math.ceil(10 * counts["nodes per statement"] / counts["statements"]) / 10


def dense_modules(modules: dict[str, Counter[str]]) -> dict[str, float]:
    """Return the nodes per statement of the modules that have more than the goal of the product."""
    dense = {}
    for file, counts in modules.items():
        if counts["statements"] < SMALL_MODULE:
            continue
        nodes = nodes_per_statement(counts)
        if nodes > GOALS["nodes per statement"]:
            dense[file] = nodes
    return dense


def check(modules: dict[str, Counter[str]]) -> int:
    """Print the modules that became denser, and return the exit code."""
    allowed: dict[str, float] = json.loads(BASELINE.read_text(encoding="utf-8"))
    denser = 0
    for file, nodes in dense_modules(modules).items():
        most = allowed.get(file, MOST_NODES)
        if nodes > most:
            print(f"{file}: {nodes} syntax nodes per statement, at most {most} are allowed")
            denser += 1
    return int(denser > 0)


def write_lower(modules: dict[str, Counter[str]]) -> int:
    """Write the figures of today, unless a module became denser. Return the exit code."""
    if check(modules) != 0:
        return 1
    text = json.dumps(dense_modules(modules), indent=0, sort_keys=True)
    BASELINE.write_text(f"{text}\n", encoding="utf-8")
    return 0


def show_figures(modules: dict[str, Counter[str]]) -> int:
    """Print one table, and return 1 if a figure misses its goal."""
    total: Counter[str] = Counter()
    for counts in modules.values():
        total.update(counts)
    missed = 0
    print(f"{'figure':<30}{'value':>8}{'goal':>8}")
    for figure, goal in GOALS.items():
        value = total[figure] / total["statements"]
        if figure != "nodes per statement":
            value *= 1_000
        verdict = ""
        if value > goal:
            missed += 1
            verdict = "  MISSED"
        print(f"{figure:<30}{value:>8.1f}{goal:>8}{verdict}")
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main())
