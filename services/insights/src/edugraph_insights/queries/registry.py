"""The general queries by name, and how each is run: find what the caller may see, check the named nodes, answer."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from edugraph_common.contracts.contract_model import ContractModel
from edugraph_common.runtime.service.problems import Refusal
from edugraph_common.runtime.shared_state.callers import Caller
from edugraph_insights.insights import Insights
from edugraph_insights.queries import walks
from edugraph_insights.queries.answers import (
    Details,
    GraphAnswer,
    Narrowed,
    OfNode,
    OfPath,
    OfRoot,
    OfStatistics,
    OneNode,
    PathAnswer,
    Search,
    Statistics,
)
from edugraph_insights.queries.links import RECORDS
from edugraph_insights.queries.permission import visible_graph_of
from edugraph_insights.queries.visible_graph import VisibleGraph

PERSONAL = frozenset({"Student", "Teacher", *RECORDS})


@dataclass(frozen=True)
class GraphQuery:
    """A general query. `run` computes the answer after `run_query` has checked that the named nodes are visible."""

    name: str
    title: str
    parameters: type[Narrowed]
    answer: type[ContractModel]
    run: Callable[[VisibleGraph, Any], ContractModel]


QUERIES: Mapping[str, GraphQuery] = {
    query.name: query
    for query in (
        GraphQuery("nodes", "Which nodes of a label are there?", Search, GraphAnswer, walks.search),
        GraphQuery(
            "node",
            "What is known of a node, and how much is beside it?",
            OneNode,
            Details,
            walks.details,
        ),
        GraphQuery("neighbours", "What is beside a node?", OfNode, GraphAnswer, walks.neighbours),
        GraphQuery("subgraph", "What is around a node?", OfRoot, GraphAnswer, walks.subgraph),
        GraphQuery("statistics", "How much is there?", OfStatistics, Statistics, walks.statistics),
        GraphQuery("path", "How do two nodes hang together?", OfPath, PathAnswer, walks.path),
    )
}


def run_query(
    insights: Insights, caller: Caller, query: GraphQuery, asked: Narrowed, purpose: str = ""
) -> ContractModel:
    """Return the answer of a general query. An answer that shows persons is written into the audit log first.

    Raises Refusal 403 and 404, TooLarge, Busy, and Retryable.
    """
    asked = asked.in_zone(insights.zone)
    visible = visible_graph_of(insights.graph, caller, asked, insights.now())
    named = []
    for parameter in ("node", "other"):
        name = getattr(asked, parameter, None)
        if name:
            named.append(walks.key_of(name))
    for key in named:
        if not visible.shows(key):
            words = f"There is no such {key.label}, or none that this caller may see; check the id."
            raise Refusal(404, "not-found", words, caller.client_id)
    answer = query.run(visible, asked)
    labels = {key.label for key in named}
    if isinstance(answer, GraphAnswer):
        labels |= {node.label for node in answer.nodes}
    if labels & PERSONAL:
        students = [key.id for key in named if key.label == "Student"]
        if students:
            about = ("student", students[0])
        else:
            about = ("node", ", ".join(map(str, named)))
        insights.note_shown(caller, f"graph {query.name}", about, purpose)
    return answer
