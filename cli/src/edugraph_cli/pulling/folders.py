"""A connector for a folder, or a prefix of an object store: each new or changed object is a part."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

from edugraph_cli.pulling.rounds import CannotRead, Part, short_hash
from edugraph_common.contracts.data_sources import MOST_PLACES
from edugraph_common.contracts.errors import Failure
from edugraph_common.contracts.messages import OutsideFile
from edugraph_common.runtime.shared_state.object_store import Blobs, shown

# A program may still be writing a file of a folder that changed as recently. An object appears only when it is whole.
SETTLED_AFTER = timedelta(seconds=10)


def _printable(name: str) -> str:
    """Return the name of a file without characters that no name of an import has, such as a line break."""
    return "".join(each if each.isprintable() else "?" for each in name)


@dataclass(frozen=True)
class Folder:
    """The files in and below a folder, or the objects below a prefix. `url` is a path or a URL such as s3://exports/lms.

    Hidden files are left out, and so are files of a local folder that changed within SETTLED_AFTER.
    """

    url: str
    now: datetime
    _blobs: Blobs = field(init=False)

    def __post_init__(self) -> None:
        if self._is_local and not Path(self.url).is_dir():
            raise CannotRead(f"{self.url} is not a folder that can be read.")
        try:
            blobs = Blobs(self.url)
        except (ImportError, ValueError):
            scheme = self.url.split("://", maxsplit=1)[0]
            raise CannotRead(
                f"No installed package of fsspec reads {scheme}://; for s3:// install edugraph-common[s3]."
            ) from None
        object.__setattr__(self, "_blobs", blobs)

    @property
    def _is_local(self) -> bool:
        return "://" not in self.url

    def parts(self) -> list[Part]:
        """Return all files of the folder, in the order of their names. Raises CannotRead."""
        try:
            found = self._blobs.facts("")
        except Failure as failure:
            raise CannotRead(f"{shown(self.url)} cannot be listed: {failure.reason}") from None
        parts = []
        for key, facts in found.items():
            is_hidden = any(name.startswith(".") for name in PurePosixPath(key).parts)
            if is_hidden or self._may_be_unfinished(facts):
                continue
            version = facts.etag or f"{facts.size} {facts.modified}"
            part = Part(
                place=short_hash(key),
                version=short_hash(version),
                name=_printable(key),
                open=partial(self._copy, key, facts),
            )
            parts.append(part)
        if len(parts) > MOST_PLACES:
            raise CannotRead(
                f"{shown(self.url)} has more than {MOST_PLACES:,} files; divide it, with a source for each part."
            )
        return parts

    def _may_be_unfinished(self, facts: OutsideFile) -> bool:
        if not self._is_local or facts.modified is None:
            return False
        age_seconds = self.now.timestamp() - float(facts.modified)
        return age_seconds < SETTLED_AFTER.total_seconds()

    @contextmanager
    def _copy(self, key: str, facts: OutsideFile) -> Iterator[Path]:
        """Yield a copy of a file, which does not change while it is sent. Raises CannotRead."""
        with TemporaryDirectory(prefix="edugraph-pull-") as folder:
            copy = Path(folder, "file")
            try:
                with self._blobs.open_unchanged(key, facts) as file, copy.open("wb") as written:
                    shutil.copyfileobj(file, written)
            except Failure as failure:
                raise CannotRead(f"it cannot be read now: {failure.reason}") from None
            yield copy
