"""The Cypher statements of the graph, which stand in `cypher/*.cypher`.

A statement starts with `// name: …`. A line `// for: A, B` makes one statement of each label, named `name_A` and
`name_B`, with {label} filled in: labels are a closed list and never come from data.

A MATCH that begins with a node's id gets a hint to seek it in the index. While an index grows faster than Neo4j
samples it, the planner believes that all ids are one, and would scan the whole index for each row until it plans
anew.
"""

import re
from importlib.resources import files
from typing import Any, LiteralString

Row = dict[str, Any]  # one row of a statement's parameter `rows`

_MATCH_BY_ID = re.compile(r"(?:OPTIONAL )?MATCH \((\w+):(\w+|\{label\}) \{id: ")
_AFTER_PATTERN = re.compile(r" (?=WHERE |RETURN )")


def _load() -> dict[str, LiteralString]:
    statements: dict[str, LiteralString] = {}
    for file in (files(__package__) / "cypher").iterdir():
        text: LiteralString = file.read_text("utf-8") if file.name.endswith(".cypher") else ""
        for part in text.split("// name: ")[1:]:
            first, _, rest = part.partition("\n")
            name, lines = first.strip(), rest.splitlines()
            labels = ", ".join(line.removeprefix("// for: ") for line in lines if line.startswith("// for: "))
            code = [line for line in lines if line.strip() and not line.startswith("//")]
            body = "\n".join(_with_index_hint(line) for line in code)
            if labels:
                statements |= {f"{name}_{label}": body.replace("{label}", label) for label in labels.split(", ")}
            else:
                statements[name] = body
    return statements


def _with_index_hint(line: LiteralString) -> LiteralString:
    match = _MATCH_BY_ID.match(line)
    if not match:
        return line
    hint = " USING INDEX SEEK {}:{}(id)".format(*match.groups())
    pattern, *after = _AFTER_PATTERN.split(line, maxsplit=1)
    return " ".join([pattern + hint, *after])


CYPHER = _load()
