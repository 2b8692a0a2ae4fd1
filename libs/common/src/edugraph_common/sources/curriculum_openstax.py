"""Tables of contents of OpenStax books, with the links to what a reader should know before (docs/adr/0104).

A book is one of these:
- a ZIP file with one `NAME.collection.xml` and `modules/ID/index.cnxml`, as in the repositories of OpenStax;
- the collection alone, whose modules may have titles;
- the JSON of a book: a `tree` of nodes with `id`, `title`, `contents`, and optionally `readiness`, a list of ids.

The links in a module's notes of the class `be-prepared` are readiness links, and so prerequisites.
"""

import hashlib
import html
import io
import re
import zipfile
import zlib
from collections.abc import Iterable
from typing import Any
from xml.etree import ElementTree as ET
from xml.parsers import expat
from xml.parsers.expat import ExpatError

from edugraph_common.contracts.records import InvalidRecord, shorten
from edugraph_common.sources.curriculum import (
    MAX_BYTES,
    Outline,
    Point,
    decoded,
    name_of,
    raw_of,
    whole_file,
)
from edugraph_common.sources.ndjson import BOM, MalformedFile

_LONGEST_ID = 128
_COLLECTION = "collection"
# The number of an entry in the HTML of its title: <span class="os-number">1.2</span>
_NUMBER = re.compile(r'<span class="os-number">([^<]*)</span>')
_TAG = re.compile(r"<[^<>]*>")


def read_openstax(blocks: Iterable[bytes]) -> Outline:
    """Return the outline of a book. Raises MalformedFile."""
    text = whole_file(blocks)
    start = text.removeprefix(BOM).lstrip()[:1]
    outline = Outline("openstax")
    if text.startswith(b"PK"):
        _add_archive(outline, text)
    elif start == b"<":
        _add_collection(outline, _parsed_collection(text), None)
    else:
        _add_tree(outline, decoded(text))
    return outline


class _Modules:
    """The modules in a ZIP file. At most `MAX_BYTES` are unpacked."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        self._left_bytes = MAX_BYTES
        # id of a module -> its file
        self._files: dict[str, zipfile.ZipInfo] = {}
        for info in archive.infolist():
            folder, _, name = info.filename.rpartition("/")
            if name == "index.cnxml":
                self._files[folder.rpartition("/")[2]] = info

    def read(self, info: zipfile.ZipInfo) -> bytes:
        """Return an unpacked file. Raises MalformedFile."""
        # A file of a ZIP archive is never unpacked beyond its stated size.
        self._left_bytes -= info.file_size
        if self._left_bytes < 0:
            raise MalformedFile(f"its files have more than {MAX_BYTES // (1 << 20)} MiB")
        try:
            return self._archive.read(info)
        except (
            zipfile.BadZipFile,
            zlib.error,
            NotImplementedError,
            RuntimeError,
            EOFError,
            OSError,
        ):
            raise MalformedFile(
                "a file in the ZIP cannot be unpacked; pack it again, without a password"
            ) from None

    def root_of(self, module_id: str) -> ET.Element:
        """Return the document of a module. Raises InvalidRecord and MalformedFile."""
        info = self._files.get(module_id)
        if info is None:
            raise InvalidRecord(
                "document", "a module whose index.cnxml is in the ZIP", module_id, "is not there"
            )
        root = _parsed(self.read(info))
        if root is None:
            raise InvalidRecord("document", "a module in XML", module_id, "is not valid XML")
        return root


def _add_archive(outline: Outline, text: bytes) -> None:
    try:
        archive = zipfile.ZipFile(io.BytesIO(text))
        files = archive.infolist()
    except (zipfile.BadZipFile, ValueError, OSError):
        raise MalformedFile("it is a damaged ZIP file; pack it again") from None
    with archive:
        collections = [info for info in files if info.filename.endswith("collection.xml")]
        if not collections:
            raise MalformedFile("the ZIP has no collection.xml with the table of contents")
        if len(collections) > 1:
            names = shorten(", ".join(info.filename for info in collections))
            raise MalformedFile(f"the ZIP has several collections; keep one of {names}")
        modules = _Modules(archive)
        _add_collection(outline, _parsed_collection(modules.read(collections[0])), modules)


def _parsed(text: bytes) -> ET.Element | None:
    """Return the root of an XML document, or None if it is not valid or has a document type.

    The entities of a document type could expand endlessly.
    """
    checker = expat.ParserCreate()
    checker.StartDoctypeDeclHandler = _refuse_document_type
    try:
        checker.Parse(text, True)
        return ET.fromstring(text)  # noqa: S314 - a document type was refused
    except (ET.ParseError, ExpatError, ValueError, LookupError):
        return None


def _refuse_document_type(*_: Any) -> None:
    raise ValueError("a document type")


def _parsed_collection(text: bytes) -> ET.Element:
    root = _parsed(text)
    if root is None:
        raise MalformedFile("the collection is not valid XML without a document type")
    if _tag(root) != _COLLECTION:
        raise MalformedFile("it is not an OpenStax book: the XML is not a collection")
    return root


def _add_collection(outline: Outline, root: ET.Element, modules: _Modules | None) -> None:
    book = _child_text(root, "metadata", "slug") or _child_text(root, "metadata", "title") or ""
    # module id -> the modules that its notes ask for
    readiness: dict[str, list[str]] = {}
    row = 0
    # Entries that are not read yet, the next one last: (element, id of the chapter above, path of titles)
    waiting: list[tuple[ET.Element, str | None, tuple[str, ...]]] = [(root, None, (book,))]
    while waiting:
        element, above, path = waiting.pop()
        tag = _tag(element)
        inside, inside_path = above, path
        if tag == "subcollection":
            row += 1
            title = _child_text(element, "title") or f"chapter {row}"
            inside_path = (*path, title)
            inside = _id_of_chapter(inside_path)
            outline.add(
                Point(_COLLECTION, row, title, inside, name=name_of(title, None), parent=above)
            )
        elif tag == "module":
            row += 1
            module_id = element.get("document") or ""
            try:
                needed = _add_module(outline, element, row, above, modules)
            except InvalidRecord as problem:
                outline.set_aside(_COLLECTION, row, module_id, problem)
            else:
                readiness.setdefault(module_id, needed)
            continue
        for child in reversed(element):
            if _tag(child) in ("content", "subcollection", "module"):
                waiting.append((child, inside, inside_path))
    _add_readiness(outline, readiness)


def _add_module(
    outline: Outline,
    element: ET.Element,
    row: int,
    above: str | None,
    modules: _Modules | None,
) -> list[str]:
    """Add a module as a point. Return the modules that it asks for. Raises InvalidRecord and MalformedFile."""
    module_id = element.get("document")
    if not module_id:
        raise InvalidRecord("document", "the id of a module", "", "is missing")
    title = _child_text(element, "title") or module_id
    statement = None
    needed: list[str] = []
    if modules is not None:
        root = modules.root_of(module_id)
        if root.get("class") == "introduction":
            outline.leave_out(_COLLECTION, row, "module introduction")
            return []
        title = _child_text(root, "title") or title
        statement = _child_text(root, "metadata", "abstract")
        needed = _readiness_of(root)
    outline.add(
        Point(
            _COLLECTION,
            row,
            f"{module_id} {title}",
            module_id,
            name=name_of(title, module_id),
            description=statement,
            parent=above,
        )
    )
    return needed


def _readiness_of(root: ET.Element) -> list[str]:
    """Return the ids of the modules to which the notes "be prepared" of a module link."""
    found: list[str] = []
    for note in root.iter():
        classes = (note.get("class") or "").split()
        if _tag(note) != "note" or "be-prepared" not in classes:
            continue
        for link in note.iter():
            document = link.get("document")
            if _tag(link) == "link" and document:
                found.append(document)
    return found


def _add_readiness(outline: Outline, readiness: dict[str, list[str]]) -> None:
    row = 0
    for point_id, needed in readiness.items():
        point = outline.points.get(point_id)
        for other in needed:
            row += 1
            if other not in outline.points:
                outline.leave_out("readiness", row, "readiness link out of the book")
            elif point is not None and other != point_id:
                point.requires.append(other)


def _add_tree(outline: Outline, value: Any) -> None:
    """Add the nodes of a book in JSON."""
    tree = value
    if isinstance(value, dict) and isinstance(value.get("tree"), dict):
        tree = value["tree"]
    if not isinstance(tree, dict) or not isinstance(tree.get("contents"), list):
        raise MalformedFile("it is not an OpenStax book: it has no tree with contents")
    readiness: dict[str, list[str]] = {}
    row = 0
    waiting: list[tuple[Any, str | None]] = [(node, None) for node in reversed(tree["contents"])]
    while waiting:
        node, above = waiting.pop()
        row += 1
        given_id = node.get("id") if isinstance(node, dict) else None
        title = node.get("title") if isinstance(node, dict) else None
        if not isinstance(given_id, str) or not isinstance(title, str):
            problem = InvalidRecord(
                "id", "a node with an id and a title", shorten(node), "is missing"
            )
            outline.set_aside("tree", row, raw_of(node), problem)
            continue
        # uuid@version
        point_id = given_id.partition("@")[0].strip()
        number = _NUMBER.search(title)
        label = html.unescape(number[1]).strip() if number else None
        words = _plain(_NUMBER.sub("", title)) or point_id
        shown = {name: value for name, value in node.items() if name != "contents"}
        is_new = point_id not in outline.points
        outline.add(
            Point(
                "tree",
                row,
                raw_of(shown),
                point_id,
                name=name_of(words, label),
                label=label or None,
                parent=above,
            )
        )
        needed = node.get("readiness")
        if is_new and isinstance(needed, list):
            readiness[point_id] = [str(each).partition("@")[0] for each in needed]
        contents = node.get("contents")
        if isinstance(contents, list):
            waiting += [(child, point_id) for child in reversed(contents)]
    _add_readiness(outline, readiness)


def _id_of_chapter(path: tuple[str, ...]) -> str:
    """Return the id of a chapter, which has none in a collection: the titles of the book and its chapters."""
    whole = " / ".join(path)
    if len(whole) <= _LONGEST_ID:
        return whole
    mark = hashlib.sha256(whole.encode()).hexdigest()[:16]
    return f"{whole[: _LONGEST_ID - 17]} {mark}"


def _tag(element: ET.Element) -> str:
    """Return the name of an element without its namespace."""
    return str(element.tag).rpartition("}")[2]


def _child_text(element: ET.Element, *names: str) -> str | None:
    """Return the text of the child with this way of names, without marks, or None."""
    at: ET.Element | None = element
    for name in names:
        at = next((child for child in at if _tag(child) == name), None) if at is not None else None
    if at is None:
        return None
    return " ".join("".join(at.itertext()).split()) or None


def _plain(text: str) -> str:
    """Return a text without HTML."""
    return " ".join(html.unescape(_TAG.sub(" ", text)).split())
