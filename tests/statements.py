"""A transaction that answers the graph's statements by their names, for what the importer decides between two of them."""

from typing import Any

from edugraph_importer.graph.statements import CYPHER


class Rows(list[Any]):
    """What a statement returns."""

    def single(self, *, strict: bool = False) -> Any:
        if not self and not strict:
            return None
        [row] = self
        return row

    def consume(self) -> None:
        return


class Transaction:
    """Answers come as rows, or as a function of the parameters that makes them; a statement without one has none.

    `asked` has the statements in their order, with their parameters.
    """

    def __init__(self, **answers: Any) -> None:
        self._names = {text: name for name, text in CYPHER.items()}
        self.answers: dict[str, Any] = answers
        self.asked: list[tuple[str, dict[str, Any]]] = []
        # Notes as in a `ChangingTransaction`.
        self.has_changed = False
        self.kind = "records"
        self.courses: set[str] = set()

    def run(self, statement: str, **parameters: Any) -> Rows:
        name = self._names[statement]
        self.asked.append((name, parameters))
        answer = self.answers.get(name, [])
        return Rows(answer(**parameters) if callable(answer) else answer)

    def names(self) -> list[str]:
        return [name for name, _ in self.asked]

    def rows(self, name: str) -> list[Any]:
        """All rows that were given to a statement."""
        return [
            row for asked, parameters in self.asked if asked == name for row in parameters["rows"]
        ]
