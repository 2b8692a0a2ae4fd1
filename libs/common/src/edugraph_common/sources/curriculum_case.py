"""CASE: a framework of standards in the JSON of 1EdTech CASE 1.0 and 1.1, one package or a list of packages.

Each item becomes a point. The association `isChildOf` is the hierarchy, `precedes` is a prerequisite, and
`exactMatchOf` names the same point in another framework. Others are counted as not relevant (docs/adr/0104).
"""

from collections.abc import Iterable
from typing import Any

from edugraph_common.contracts.records import InvalidRecord, shorten
from edugraph_common.sources.curriculum import Outline, Point, decoded_file, name_of, raw_of
from edugraph_common.sources.ndjson import MalformedFile

_ITEMS = "CFItems"
_ASSOCIATIONS = "CFAssociations"


def read_case(blocks: Iterable[bytes]) -> Outline:
    """Return the outline of a file with CASE packages. Raises MalformedFile."""
    value = decoded_file(blocks)
    packages = value if isinstance(value, list) else [value]
    outline = Outline("case")
    documents: set[str] = set()
    for number, given in enumerate(packages, start=1):
        package = given
        if isinstance(given, dict) and isinstance(given.get("CFPackage"), dict):
            package = given["CFPackage"]
        is_package = isinstance(package, dict) and isinstance(package.get(_ITEMS), list)
        if not is_package and len(packages) == 1:
            raise MalformedFile("it is not a CASE package: it has no list CFItems")
        if not is_package:
            problem = InvalidRecord(
                "CFPackage",
                "a CASE package with a list CFItems",
                shorten(given),
                "is not a package",
            )
            outline.set_aside("CFPackage", number, raw_of(given), problem)
            continue
        document = package.get("CFDocument")
        document_id = _text(document, "identifier")
        if document_id is not None and document_id in documents:
            problem = InvalidRecord(
                "CFDocument", "one package of each document", document_id, "is there twice"
            )
            outline.set_aside("CFPackage", number, raw_of(document), problem)
            continue
        if document_id is not None:
            documents.add(document_id)
        _add_items(outline, package[_ITEMS], _text(document, "lastChangeDateTime"))
        _Associations(outline, documents).add(package.get(_ASSOCIATIONS))
    return outline


def _add_items(outline: Outline, items: list[Any], changed: str | None) -> None:
    for row, item in enumerate(items, start=1):
        raw = raw_of(item)
        identifier = _text(item, "identifier")
        statement = _text(item, "fullStatement")
        if identifier is None or statement is None:
            missing = "identifier" if identifier is None else "fullStatement"
            problem = InvalidRecord(missing, "text", shorten(item), "is missing")
            outline.set_aside(_ITEMS, row, raw, problem)
            continue
        code = _text(item, "humanCodingScheme")
        outline.add(
            Point(
                part=_ITEMS,
                row=row,
                raw=raw,
                id=identifier,
                name=name_of(statement, code, _text(item, "abbreviatedStatement")),
                label=code,
                description=statement,
                changed=_text(item, "lastChangeDateTime") or changed,
            )
        )


class _Associations:
    """Adds the associations of a package to its points. `documents` are the ids of documents, which are the top."""

    def __init__(self, outline: Outline, documents: set[str]) -> None:
        self._outline = outline
        self._documents = documents
        self._has_parent: set[str] = set()

    def add(self, associations: Any) -> None:
        if associations is None:
            return
        if not isinstance(associations, list):
            problem = InvalidRecord(
                _ASSOCIATIONS, "a list", shorten(associations), "is not a list of associations"
            )
            self._outline.set_aside(_ASSOCIATIONS, 1, raw_of(associations), problem)
            return
        for row, association in enumerate(associations, start=1):
            try:
                not_relevant = self._add_one(association)
            except InvalidRecord as problem:
                self._outline.set_aside(_ASSOCIATIONS, row, raw_of(association), problem)
                continue
            if not_relevant:
                self._outline.leave_out(_ASSOCIATIONS, row, not_relevant)

    def _add_one(self, association: Any) -> str | None:
        """Add an association. Return its name if it says nothing for the graph. Raises InvalidRecord."""
        kind = _text(association, "associationType")
        origin = _node(association, "originNodeURI")
        destination = _node(association, "destinationNodeURI")
        points = self._outline.points
        match kind:
            case "isChildOf":
                self._check_is_there("originNodeURI", origin)
                if destination in self._documents:
                    return None
                if origin in self._has_parent:
                    return "association isChildOf (a second parent)"
                self._has_parent.add(origin)
                points[origin].parent = destination
            case "precedes":
                self._check_is_there("destinationNodeURI", destination)
                points[destination].requires.append(origin)
            case "exactMatchOf":
                if origin not in points:
                    self._check_is_there("originNodeURI", destination)
                    points[destination].standard_id = origin
                else:
                    points[origin].standard_id = destination
            case None:
                raise InvalidRecord("associationType", "text", "", "is missing")
            case _:
                return f"association {kind}"
        return None

    def _check_is_there(self, field: str, node: str) -> None:
        """Raise InvalidRecord if the file has no point with this id."""
        if node not in self._outline.points:
            raise InvalidRecord(field, "the id of a point of the file", node, "is not there")


def _node(association: Any, field: str) -> str:
    """Return the id of an end of an association, which is an object or an address. Raises InvalidRecord."""
    node = association.get(field) if isinstance(association, dict) else None
    identifier = _text(node, "identifier")
    if identifier is None and isinstance(node, str):
        identifier = node.rstrip("/").rpartition("/")[2]
    if not identifier:
        raise InvalidRecord(
            field, "an object with an identifier", shorten(node), "has no identifier"
        )
    return identifier


def _text(value: Any, name: str) -> str | None:
    """Return a text of an object without white space at its ends, or None if there is none."""
    found = value.get(name) if isinstance(value, dict) else None
    if not isinstance(found, str):
        return None
    return found.strip() or None
