"""Answers of the gateway that its clients read too. Each has its ids and links."""

from edugraph_common.contracts.contract_model import Frozen


class Accepted(Frozen):
    """The job is stored and its message confirmed by the broker."""

    job_id: str
    task_id: str
    links: dict[str, str] = {}


class Mistakes(Frozen):
    """How often a knowledge point was behind a mistake, and of how many students."""

    knowledge_point: str
    name: str | None
    mistakes: int
    students: int


class GraphSummary(Frozen):
    nodes: dict[str, int]
    relationships: dict[str, int]
    frequent_mistakes: tuple[Mistakes, ...]
    links: dict[str, str] = {}


class Node(Frozen):
    id: str
    label: str
    name: str


class Edge(Frozen):
    source: str
    target: str
    type: str


class GraphPicture(Frozen):
    """Nodes are named `Label:id`."""

    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    links: dict[str, str] = {}


class Check(Frozen):
    """One server behind the gateway."""

    name: str
    ok: bool
    problems: tuple[str, ...] = ()
    advice: tuple[str, ...] = ()


class Diagnosis(Frozen):
    ok: bool
    checks: tuple[Check, ...]
    links: dict[str, str] = {}
