"""The Cypher statements of the graph. They are in `cypher/*.cypher`.

A statement starts with `// name: …`. A line `// for: A, B` makes one statement for each label, named `name_A` and
`name_B`, with the label in place of {label}. Labels are a closed list and never come from data.
"""

from importlib.resources import files
from typing import Any, LiteralString

from edugraph_common.platform.index_hints import with_index_hint

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
