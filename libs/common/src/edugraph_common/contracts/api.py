"""Answers of the gateway that the client library parses as well."""

from pydantic import Field

from edugraph_common.contracts.contract_model import ContractModel, MessageModel
from edugraph_common.contracts.permissions import Role, Scope
from edugraph_common.contracts.record_fields import Id

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


class WarehouseStudents(ContractModel):
    """Students whose rows a warehouse asks for."""

    students: tuple[Id, ...] = Field(max_length=100)


class WarehouseRecords(ContractModel):
    """Rows of records. `tables` maps the names of tables to their rows, which have a value for each column.

    `students` are the first of those in the request, whose rows these are. The request may be made for the others.
    """

    students: tuple[str, ...]
    tables: dict[str, list[dict[str, str | int | float | bool | list[str] | None]]]


class ContestedId(ContractModel):
    """An id that several persons claim. `persons` is their number, and `claimed_by` has some of their ids."""

    id: str
    persons: int
    claimed_by: tuple[str, ...]


class PersonIds(ContractModel):
    """The ids that mean one person by the claims of all person_records.

    `owner` stands for all of them. `contested` has the ids that this person and others claim, so they belong to none.
    """

    owner: str
    ids: tuple[str, ...]
    contested: tuple[str, ...] = ()


class Persons(ContractModel):
    """The claims of all person_records.

    `claims` is the number of claims, and `joined` the number of ids whose owner has another id. `contested` has some
    of the `contested_in_all` ids that several persons claim. `person` is the one with the id that was asked for, if
    a claim names it.
    """

    claims: int
    joined: int
    contested_in_all: int
    contested: tuple[ContestedId, ...]
    person: PersonIds | None = None
    links: dict[str, str] = {}


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
