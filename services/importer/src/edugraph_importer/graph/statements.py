"""The Cypher of the graph room, kept in `cypher/*.cypher`.

A statement starts with `// name: …`; `// for: A, B` makes one statement of each label, named `name_A`, `name_B`,
with {label} filled in: labels are a closed list and never come from data.
"""

from collections.abc import Iterator
from importlib.resources import files
from typing import LiteralString


def _load() -> dict[str, LiteralString]:
    folder = files(__package__) / "cypher"
    texts = [file.read_text("utf-8") for file in folder.iterdir() if file.name.endswith(".cypher")]
    return {name: body for text in texts for name, body in _statements(text)}


def _statements(text: LiteralString) -> Iterator[tuple[str, LiteralString]]:
    for part in text.split("// name: ")[1:]:
        name, _, rest = part.partition("\n")
        lines = rest.splitlines()
        labels = [line.removeprefix("// for: ") for line in lines if line.startswith("// for: ")]
        body = "\n".join(line for line in lines if line.strip() and not line.startswith("//"))
        if not labels:
            yield name.strip(), body
        for label in ", ".join(labels).split(", ") if labels else ():
            yield f"{name.strip()}_{label}", body.replace("{label}", label)


CYPHER = _load()
