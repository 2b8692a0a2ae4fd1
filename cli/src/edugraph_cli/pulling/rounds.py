"""One round of a connector: submit each part of a source that is new, and remember how far it came."""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NoReturn

from edugraph_client import Client, FileSource, Refused
from edugraph_common.contracts.data_sources import MOST_PLACES, DataSource, SourceCursor
from edugraph_common.contracts.messages import Format
from edugraph_common.sources.detection import HEAD_BYTES, chosen_format, detect_file
from edugraph_common.sources.ndjson import MalformedFile

# A process that dies loses the places of at most as many parts. It submits them again with the same keys.
SAVED_AFTER_PARTS = 50
_LONGEST_NAME = 200  # characters of the name of a file in lists
# Statuses of a file that the gateway does not take. Other refusals end the round.
_OF_THE_FILE = (400, 413, 415, 422)
_KEY_USED_FOR_OTHER_OPTIONS = 409


class CannotRead(Exception):
    """A part cannot be read now. The message is a sentence for the user."""


@dataclass(frozen=True)
class Part:
    """A part of a source, such as an object of a folder or the submissions of a course.

    `place` and `version` are what the cursor has of the part once it was accepted. `open` yields the file to import.
    It raises CannotRead. The format is detected if it is not given. `inner` are the places within the part, such as
    the members of a course: they begin with `place` and a colon, and replace those that the cursor had.
    """

    place: str
    version: str
    name: str
    open: Callable[[], AbstractContextManager[Path]]
    file_format: Format | None = None
    inner: Mapping[str, str] = field(default_factory=dict)


def unread(name: str, problem: CannotRead) -> Part:
    """Return a part that could not be read. The round notes the problem and goes on."""

    def open_unread() -> NoReturn:
        raise problem

    return Part(short_hash(name), "unread", name, open_unread)


def places_within(places: Mapping[str, str], place: str) -> dict[str, str]:
    """Return those places of a cursor that stand within this one."""
    return {each: version for each, version in places.items() if each.startswith(f"{place}:")}


@dataclass
class Round:
    """The outcome of a round. `jobs` maps the name of a part to its job. `problems` are sentences."""

    jobs: dict[str, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def pull(
    client: Client,
    source: DataSource,
    cursor: SourceCursor,
    parts: Iterable[Part],
    *,
    kept: Callable[[str], bool] = lambda _: True,
    analyze: bool = False,
) -> Round:
    """Submit the parts that the cursor does not have, save the cursor, and return what was done.

    A part that cannot be read or is refused is a problem, does not stop the others, and is tried again in the next
    round. Places of the cursor that are not `kept` are dropped. Raises Refused and Unreachable.
    """
    done = Round()
    places = {place: version for place, version in cursor.places.items() if kept(place)}
    saved = dict(cursor.places)
    unsaved = 0
    for part in parts:
        if places.get(part.place) == part.version:
            continue
        # The gateway would refuse the cursor after the import was accepted. Each round would import the part again.
        replaced = places_within(places, part.place)
        is_new = part.place not in places
        number_of_places = len(places) - len(replaced) + len(part.inner) + int(is_new)
        if number_of_places > MOST_PLACES:
            done.problems.append(
                f"{part.name}: its source would have more than {MOST_PLACES:,} places;"
                " divide it, with a source for each part."
            )
            continue
        try:
            _submit(client, source, part, done, analyze=analyze)
        except (CannotRead, MalformedFile) as problem:
            done.problems.append(f"{part.name}: {problem}")
            continue
        except Refused as refused:
            if refused.status not in _OF_THE_FILE:
                raise
            done.problems.append(f"{part.name}: {refused.detail}")
            continue
        for place in replaced:
            del places[place]
        places.update(part.inner)
        places[part.place] = part.version
        unsaved += 1
        if unsaved == SAVED_AFTER_PARTS:
            cursor = _save(client, source, cursor, places)
            saved = dict(places)
            unsaved = 0
    if places != saved:
        _save(client, source, cursor, places)
    return done


def _save(
    client: Client, source: DataSource, cursor: SourceCursor, places: dict[str, str]
) -> SourceCursor:
    return client.save_source_cursor(
        source.name, SourceCursor(version=cursor.version, places=dict(places))
    )


def _submit(client: Client, source: DataSource, part: Part, done: Round, *, analyze: bool) -> None:
    """Submit a part. The same content with the same key is one job, also after this process died."""
    with part.open() as path:
        form = _form_of(path, part, source)
        key = hashlib.sha256(f"{source.name} {part.place} {digest_of(path)}".encode()).hexdigest()
        try:
            accepted = client.import_file(
                path,
                name=part.name[-_LONGEST_NAME:],
                analyze=analyze,
                source=form,
                key=f"pull-{key}",
            )
        except Refused as refused:
            # A round that died had submitted this content, with other options.
            if refused.status != _KEY_USED_FOR_OTHER_OPTIONS:
                raise
            return
    done.jobs[part.name] = accepted.job_id


def _form_of(path: Path, part: Part, source: DataSource) -> FileSource:
    """Return the form of a file. Raises MalformedFile for a kind of file that cannot be imported."""
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    if part.file_format is not None:
        return FileSource(format=part.file_format, source_name=source.name)
    if not head:
        raise MalformedFile("the file is empty: it holds no record")
    detected = detect_file(part.name, head)
    form = chosen_format(detected, None, has_mapping=source.kind == "table")
    return FileSource(format=form, compression=detected.compression, source_name=source.name)


def digest_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def file_of(lines: Sequence[str]) -> Iterator[Path]:
    """Yield a temporary file with these lines."""
    with TemporaryDirectory(prefix="edugraph-pull-") as folder:
        path = Path(folder, "lines")
        path.write_bytes("".join(lines).encode(errors="surrogatepass"))
        yield path


def short_hash(*texts: str) -> str:
    """Return a hash that stands for texts in a cursor, since the name of a file may name a person."""
    joined = "\0".join(texts)
    return hashlib.sha256(joined.encode(errors="surrogatepass")).hexdigest()[:20]
