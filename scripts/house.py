"""Print figures about the shape of the code, and fail when one misses its goal. Part of `make check`.

How each figure is counted:

- A function is every `def` and `async def` in `src/` of the packages, methods and nested functions included. Its
  length is the number of lines from `def` to its end, decorators left out, docstring included.
- A private helper that is read once is a function whose name begins with one underscore and whose name is read
  exactly once in its package (a call, a reference, an attribute): a jump for the reader that saves no repetition.
- The files of a way are the paths of its numbered list in docs/architecture.md; each must exist.
- The stops of a way are those of the one parameter that needs most of them, among all parameters of all functions in
  the files of the way. `stops.py` says how they are counted.
"""

import argparse
import ast
import json
import re
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from statistics import median, quantiles
from typing import NamedTuple

import stops

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = tuple(
    sorted(path.parent for path in ROOT.glob("*/**/src/edugraph_*/__init__.py") if "flower" not in str(path))
)
LONGEST_FUNCTION, USUAL_FUNCTION, USUAL_SHARE = 80, 40, 0.90
MOST_READ_ONCE_SHARE = 0.12
MOST_FILES_OF_A_WAY, MOST_STOPS = 30, 12


class Function(NamedTuple):
    package: str
    module: Path
    name: str
    line: int
    lines: int
    read_once: bool


def functions(package: Path) -> list[Function]:
    """Return all functions of one package. `read_once` needs the names that the whole package reads."""
    trees = {path: ast.parse(path.read_text(encoding="utf-8")) for path in sorted(package.rglob("*.py"))}
    reads = Counter(
        node.id if isinstance(node, ast.Name) else node.attr
        for tree in trees.values()
        for node in ast.walk(tree)
        if isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Load)
    )
    return [
        Function(
            package=package.name,
            module=path.relative_to(ROOT),
            name=node.name,
            line=node.lineno,
            lines=(node.end_lineno or node.lineno) - node.lineno + 1,
            read_once=node.name.startswith("_") and not node.name.startswith("__") and reads[node.name] == 1,
        )
        for path, tree in trees.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]


def way_files(heading: str) -> list[str]:
    """Return the paths of the numbered list below a heading of docs/architecture.md."""
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    _, found, rest = page.partition(f"\n## {heading}\n")
    if not found:
        return []
    section = rest.partition("\n## ")[0]
    listed = (line for line in section.splitlines() if re.match(r"\d+\. ", line))
    return [path for line in listed for path in re.findall(r"`([\w./-]+\.(?:py|lua|cypher))`", line)]


def longest_walks(files: list[str]) -> list[stops.Walk]:
    """Return what becomes of each parameter in the files of a way, the one with most stops first."""
    # Below src alone: servers that run beside make and delete files in .run.
    return stops.walks(
        found for path in set(files) for package in PACKAGES for found in package.parent.glob(f"**/{path}")
    )


def figures_of(mine: list[Function], module_lines: list[int]) -> dict[str, float]:
    """Return the figures of one row of the table. Lengths are in lines, shares are of the functions."""
    lengths = [function.lines for function in mine]
    return {
        "functions": len(mine),
        "median_lines": median(lengths),
        "p90_lines": quantiles(lengths, n=10)[-1],
        "longest_lines": max(lengths),
        "share_up_to_40_lines": sum(length <= USUAL_FUNCTION for length in lengths) / len(mine),
        "share_read_once": sum(function.read_once for function in mine) / len(mine),
        "modules": len(module_lines),
        "p90_module_lines": quantiles(module_lines, n=10)[-1],
    }


def missed(whole: dict[str, float], ways: dict[str, list[str]], walks: dict[str, list[stops.Walk]]) -> Iterator[str]:
    """Say in a sentence what misses its goal."""
    if whole["longest_lines"] > LONGEST_FUNCTION:
        yield f"a function has {whole['longest_lines']:.0f} lines; the goal is at most {LONGEST_FUNCTION}"
    if whole["share_up_to_40_lines"] < USUAL_SHARE:
        yield f"{whole['share_up_to_40_lines']:.1%} of the functions have at most 40 lines; the goal is 90 %"
    if whole["share_read_once"] > MOST_READ_ONCE_SHARE:
        yield f"{whole['share_read_once']:.1%} of the functions are helpers read once; the goal is at most 12 %"
    for heading, files in ways.items():
        absent = [path for path in files if not any(ROOT.glob(f"*/**/{path}"))]
        if not files or absent or len(set(files)) > MOST_FILES_OF_A_WAY:
            yield f"{heading}: {len(set(files))} files (1 to 30 expected); not there: {', '.join(absent) or '-'}"
        for walk in walks[heading]:
            if len(walk.stops) > MOST_STOPS:
                yield f"{heading}: {walk}; the goal is at most {MOST_STOPS}"


def main() -> int:
    parser = argparse.ArgumentParser(description="Print figures about the shape of the code.")
    parser.add_argument("--list", choices=("read-once", "long", "stops"), help="name the functions behind a figure")
    parser.add_argument("--package", help="one package only, for example edugraph_importer")
    parser.add_argument("--json", type=Path, default=ROOT / ".run" / "house.json", help="where the figures are left")
    options = parser.parse_args()
    packages = [path for path in PACKAGES if options.package in (None, path.name)]
    found = [function for package in packages for function in functions(package)]
    ways = {heading: way_files(heading) for heading in ("The way of a record", "The way of a text")}
    walks = {heading: longest_walks(files) for heading, files in ways.items()}
    if options.list == "stops":
        print("\n".join(f"{heading}: {walk}" for heading in ways for walk in walks[heading][:10]))
        return 0
    if options.list:
        wanted = [f for f in found if (f.read_once if options.list == "read-once" else f.lines > USUAL_FUNCTION)]
        print("\n".join(f"{f.module}:{f.line} {f.name} ({f.lines} lines)" for f in wanted))
        return 0
    sizes = {p.name: [len(file.read_text("utf-8").splitlines()) for file in p.rglob("*.py")] for p in packages}
    table = {name: figures_of([f for f in found if f.package == name], lines) for name, lines in sizes.items()}
    table["all"] = figures_of(found, [size for lines in sizes.values() for size in lines])
    for name, row in table.items():
        print(f"{name:<18}", *(f"{title} {value:.3g}" for title, value in row.items()), sep="  ")
    for heading, files in ways.items():
        print(f"{heading}: {len(set(files))} files; of one parameter {walks[heading][0]}")
    most_stops = {heading: len(walks[heading][0].stops) for heading in ways}
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(
        json.dumps(table | {"ways": ways, "stops": most_stops}, indent=1) + "\n", encoding="utf-8"
    )
    misses = list(missed(table["all"], ways, walks))
    for miss in misses:
        print(f"missed: {miss}", file=sys.stderr)
    return 1 if misses else 0


if __name__ == "__main__":
    sys.exit(main())
