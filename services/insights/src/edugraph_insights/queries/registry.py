"""The general queries by name, and the way of each: who asks, what they see, whether the node is theirs to see."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from edugraph_common.contracts.contract_model import ContractModel
from edugraph_common.platform.callers import Caller
from edugraph_common.platform.problems import Refusal
from edugraph_insights.insights import Insights
from edugraph_insights.queries import walks
from edugraph_insights.queries.answers import (
    Details,
    GraphAnswer,
    Narrowed,
    OfNode,
    OfPath,
    OfRoot,
    OfSight,
    OneNode,
    PathAnswer,
    Search,
    Statistics,
)
from edugraph_insights.queries.links import RECORDS
from edugraph_insights.queries.permission import sight_of
from edugraph_insights.queries.sight import Sight

PERSONAL = frozenset({"Student", "Teacher", *RECORDS})


@dataclass(frozen=True)
class GraphQuery:
    """`run` returns the answer from what the caller sees; the nodes that the parameters name were seen before."""

    name: str
    title: str
    parameters: type[Narrowed]
    answer: type[ContractModel]
    run: Callable[[Sight, Any], ContractModel]


QUERIES: Mapping[str, GraphQuery] = {
    query.name: query
    for query in (
        GraphQuery("nodes", "Which nodes of a label are there?", Search, GraphAnswer, walks.search),
        GraphQuery("node", "What is known of a node, and how much is beside it?", OneNode, Details, walks.details),
        GraphQuery("neighbours", "What is beside a node?", OfNode, GraphAnswer, walks.neighbours),
        GraphQuery("subgraph", "What is around a node?", OfRoot, GraphAnswer, walks.subgraph),
        GraphQuery("statistics", "How much is there?", OfSight, Statistics, walks.statistics),
        GraphQuery("path", "How do two nodes hang together?", OfPath, PathAnswer, walks.path),
    )
}


def run_query(
    insights: Insights, caller: Caller, query: GraphQuery, asked: Narrowed, purpose: str = ""
) -> ContractModel:
    """Answer a general query. That something of persons is shown is written into the audit log before.

    Raises Refusal 403 and 404, TooLarge, Busy, and Retryable.
    """
    sight = sight_of(insights.graph, caller, asked, insights.now())
    named = [walks.key_of(name) for name in (getattr(asked, "node", None), getattr(asked, "other", None)) if name]
    for key in named:
        if not sight.shows(key):
            words = f"There is no such {key.label}, or none that this caller may see; check the id."
            raise Refusal(404, "not-found", words, caller.client_id)
    answer = query.run(sight, asked)
    shown = answer.nodes if isinstance(answer, GraphAnswer) else ()
    if PERSONAL & {*(each.label for each in shown), *(key.label for key in named)}:
        student = next((key.id for key in named if key.label == "Student"), None)
        about = ("student", student) if student else ("node", ", ".join(map(str, named)))
        insights.note_shown(caller, f"graph {query.name}", about, purpose)
    return answer
