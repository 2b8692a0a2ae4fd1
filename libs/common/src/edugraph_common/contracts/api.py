"""Answers of the gateway that the client library parses as well."""

from edugraph_common.contracts.contract_model import ContractModel, MessageModel
from edugraph_common.contracts.permissions import Role, Scope

NamedIds = tuple[str, ...]


class Accepted(ContractModel):
    """An accepted job: it is stored, and the broker has confirmed its message."""

    job_id: str
    task_id: str
    links: dict[str, str] = {}


class CallerAnswer(MessageModel):
    """The caller of a request. `person` is the id in the graph of the person whose key, token or session it is."""

    client: str
    scopes: tuple[Scope, ...]
    roles: tuple[Role, ...] = ()
    person: str | None = None


class Erasures(ContractModel):
    """The tombstones of all erased students. A tombstone is a keyed hash of the student's id."""

    tombstones: tuple[str, ...]


class Restricted(ContractModel):
    """The ids of the restricted students. Their data are kept, but neither analysed nor shown."""

    students: tuple[str, ...]


class Mistakes(ContractModel):
    """The number of mistakes that a knowledge point explains, and the number of students who made them."""

    knowledge_point: str
    name: str | None
    mistakes: int
    students: int


class GraphSummary(ContractModel):
    nodes: dict[str, int]
    relationships: dict[str, int]
    frequent_mistakes: tuple[Mistakes, ...]
    links: dict[str, str] = {}


class NamedNodes(ContractModel):
    """Nodes that the rows of a file name, or those of them that the graph has. Each id stands once.

    `points` are ids and names of knowledge points. `item_titles` maps the id of an item to its title.
    """

    students: NamedIds = ()
    teachers: NamedIds = ()
    courses: NamedIds = ()
    points: NamedIds = ()
    item_titles: dict[str, str] = {}


class Check(MessageModel):
    """The result of one check: of a server, of a worker, or of a worker's connection to a server.

    `detail` describes the result in words.
    """

    name: str
    ok: bool
    detail: str = ""
    problems: tuple[str, ...] = ()
    advice: tuple[str, ...] = ()


class Diagnosis(ContractModel):
    ok: bool
    checks: tuple[Check, ...]
    links: dict[str, str] = {}
