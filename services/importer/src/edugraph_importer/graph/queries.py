"""The Cypher of the graph room, kept in `cypher/*.cypher`.

A statement starts with `// name: …`; `// for: A, B` makes one statement of each label, named `name_A`, `name_B`,
with {label} filled in: labels are a closed list and never come from data.

A MATCH that begins with a node's id gets a hint to seek it. While an index grows faster than Neo4j samples it, the
planner takes all ids for one, and would scan the whole index for each row, until it plans anew.
"""

import re
from collections.abc import Iterator
from importlib.resources import files
from typing import LiteralString

_BY_ID = re.compile(r"(?:OPTIONAL )?MATCH \((\w+):(\w+|\{label\}) \{id: ")
_AFTER_PATTERN = re.compile(r" (?=WHERE |RETURN )")


def _load() -> dict[str, LiteralString]:
    folder = files(__package__) / "cypher"
    texts = [file.read_text("utf-8") for file in folder.iterdir() if file.name.endswith(".cypher")]
    return {name: body for text in texts for name, body in _statements(text)}


def _statements(text: LiteralString) -> Iterator[tuple[str, LiteralString]]:
    for part in text.split("// name: ")[1:]:
        name, _, rest = part.partition("\n")
        lines = rest.splitlines()
        labels = [line.removeprefix("// for: ") for line in lines if line.startswith("// for: ")]
        body = "\n".join(_seeking(line) for line in lines if line.strip() and not line.startswith("//"))
        if not labels:
            yield name.strip(), body
        for label in ", ".join(labels).split(", ") if labels else ():
            yield f"{name.strip()}_{label}", body.replace("{label}", label)


def _seeking(line: LiteralString) -> LiteralString:
    begins = _BY_ID.match(line)
    if not begins:
        return line
    hint = " USING INDEX SEEK {}:{}(id)".format(*begins.groups())
    pattern, *after = _AFTER_PATTERN.split(line, maxsplit=1)
    return " ".join([pattern + hint, *after])


CYPHER = _load()
