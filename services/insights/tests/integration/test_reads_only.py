"""Insights reads the graph in sessions in which Neo4j refuses to write."""

from collections.abc import Iterator

import pytest
from rooms import Room, opened

from edugraph_common.contracts.errors import Retryable
from edugraph_insights.graph import STATEMENTS

from .schools import reading

pytestmark = pytest.mark.real

WRITING = (
    "CREATE (n:Written) RETURN 1 AS one",
    "MERGE (n:Written {id: 'x'}) RETURN 1 AS one",
    "MATCH (n) SET n.written = true RETURN 1 AS one",
    "MATCH (n) DETACH DELETE n RETURN 1 AS one",
)


@pytest.fixture
def room(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Room]:
    with opened("neo4j", tmp_path_factory.mktemp("graph")) as room:
        yield room


def test_no_statement_of_insights_can_write(room: Room) -> None:
    """Out: `default_access_mode` in `_session`."""
    insights = reading(room)
    try:
        for statement in WRITING:
            with pytest.raises(Retryable, match=r"Statement\.AccessMode"):
                list(insights.graph.scan(statement))
    finally:
        insights.graph.close()


def test_the_statements_of_insights_have_no_clause_that_writes() -> None:
    for name, statement in STATEMENTS.items():
        words = set(statement.upper().replace("(", " ").replace("{", " ").split())
        writing = words & {"CREATE", "MERGE", "SET", "DELETE", "REMOVE", "FOREACH", "LOAD", "DROP"}
        assert not writing, name
