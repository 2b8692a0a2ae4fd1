"""The change that a transaction makes: its word, its kind and its courses.

Statements that write records set the parameter `$word` as a property. The transaction passes it to each statement
that names it, so no caller can forget it. A transaction that ran such a statement has changed records.

A batch and a pack of findings keep their change in their row of the ledger. Every other transaction leaves a node
`RecordChange`, which the service deletes when the change is in the stream (`shared_state/graph_changes.py`). So no
change is lost if the process dies between the commit and the stream.
"""

import re
from collections.abc import Collection
from typing import Any, LiteralString, cast

import neo4j

from edugraph_common.runtime.shared_state.graph_changes import (
    ALL_COURSES,
    ChangeKind,
    GraphChange,
)
from edugraph_importer.graph.statements import CYPHER, Row

_WORD = re.compile(r"\$word\b")
# A statement that only locks nodes gives the word to those that it creates. It changes no record.
_WORD_IF_NEW = "$word_if_new"


class ChangingTransaction:
    """A transaction that gives its word to the statements that name it."""

    def __init__(self, tx: neo4j.Transaction, word: str) -> None:
        self._tx = tx
        self.word = word
        self.kind: ChangeKind = "records"
        self.courses: set[str] = set()
        self.has_changed = False
        # The change in the ledger, of this transaction or of an earlier one that wrote the same message.
        self.in_ledger: GraphChange | None = None

    def run(
        self, query: LiteralString, parameters: dict[str, Any] | None = None, **more: Any
    ) -> neo4j.Result:
        given = {**(parameters or {}), **more}
        if _WORD.search(query):
            self.has_changed = True
            given["word"] = self.word
        if _WORD_IF_NEW in query:
            given["word_if_new"] = self.word
        return self._tx.run(query, **given)

    def leave_note(self) -> None:
        """Leave a node for the service if records changed and no row of the ledger has the change."""
        if self.has_changed and self.in_ledger is None:
            note = CYPHER["note_record_change"]
            self._tx.run(note, word_of_change=self.word, kind=self.kind).consume()


def note_kind(tx: neo4j.Transaction, kind: ChangeKind) -> None:
    """Note that this transaction changes more than the records that it writes."""
    changing = cast("ChangingTransaction", tx)
    changing.has_changed = True
    if changing.kind != "whole":
        changing.kind = kind


def note_courses(tx: neo4j.Transaction, courses: Collection[str]) -> None:
    """Note courses that this transaction changes."""
    cast("ChangingTransaction", tx).courses.update(courses)


def change_for_ledger(tx: neo4j.Transaction) -> Row:
    """Return the change of this transaction as properties of its row of the ledger.

    The properties are None if nothing changed.
    """
    changing = cast("ChangingTransaction", tx)
    if not changing.has_changed:
        return {"word_of_change": None, "kind": None, "courses": None}
    courses = frozenset(changing.courses)
    changing.in_ledger = GraphChange(changing.word, changing.kind, courses)
    return {
        "word_of_change": changing.word,
        "kind": changing.kind,
        "courses": sorted(courses),
    }


def change_was_in_ledger(tx: neo4j.Transaction, row: Row | None) -> None:
    """Note the change of an earlier transaction, which wrote the same message, from the row of the ledger."""
    if row is None or row["word"] is None:
        return
    changing = cast("ChangingTransaction", tx)
    changing.in_ledger = GraphChange.read(row["word"], row["kind"], row["courses"] or [ALL_COURSES])
