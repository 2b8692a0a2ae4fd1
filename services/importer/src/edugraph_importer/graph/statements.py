"""The Cypher statements of the graph. They are in `cypher/*.cypher`.

A statement starts with `// name: …`. A line `// for: A, B` makes one statement for each label, named `name_A` and
`name_B`, with the label in place of {label}. Labels are a closed list and never come from data.
"""

from collections.abc import Iterable
from importlib.resources import files
from typing import Any, LiteralString

import neo4j

from edugraph_common.runtime.service.index_hints import with_index_hint

Row = dict[str, Any]  # one row of a statement's parameter `rows`


def _load() -> dict[str, LiteralString]:
    statements: dict[str, LiteralString] = {}
    for file in (files(__package__) / "cypher").iterdir():
        text: LiteralString = file.read_text("utf-8") if file.name.endswith(".cypher") else ""
        for part in text.split("// name: ")[1:]:
            first, _, rest = part.partition("\n")
            name, lines = first.strip(), rest.splitlines()
            labels = ", ".join(
                line.removeprefix("// for: ") for line in lines if line.startswith("// for: ")
            )
            code = [line for line in lines if line.strip() and not line.startswith("//")]
            body = "\n".join(with_index_hint(line) for line in code)
            if labels:
                statements |= {
                    f"{name}_{label}": body.replace("{label}", label)
                    for label in labels.split(", ")
                }
            else:
                statements[name] = body
    return statements


CYPHER = _load()


def run_rows(tx: neo4j.Transaction, name: str, rows: list[Row]) -> None:
    """Run the named statement over the rows, if there are any."""
    if rows:
        tx.run(CYPHER[name], rows=rows).consume()


def rows_of(tx: neo4j.Transaction, name: str, ids: list[str]) -> Iterable[neo4j.Record]:
    """Run the named statement over the ids, if there are any."""
    return tx.run(CYPHER[name], ids=ids) if ids else ()
