"""The ids of people and courses that come from several platforms.

A platform names its accounts and courses by itself, so account 4711 of one learning platform is somebody else than
4711 of another. The setting EDUGRAPH_PLATFORM_PREFIXES says which prefix the ids of a platform get. The school's own
platform has none, so that what it sends by xAPI, its logs, rosters and files meet. The ids of a platform that the
setting does not name hold its whole address.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from edugraph_common.contracts.records import escaped

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_COURSE_FOLDERS = ("/course/", "/courses/")
_ITEM_FOLDERS = ("/xblock/",)
_LONGEST_ID = 128  # characters


def platform_key(address: str) -> str:
    """Return the part of an address by which platforms are compared: no scheme, and the host in small letters."""
    host, slash, path = _SCHEME.sub("", address.strip(), count=1).rstrip("/").partition("/")
    return host.lower() + slash + path


@dataclass(frozen=True)
class Platforms:
    """`prefixes`: by platform_key. None for a file that a release without this setting began to read.

    `log`: the platform that wrote a log, which does not tell it itself; None is the school's own.
    """

    prefixes: Mapping[str, str] | None = None
    log: str | None = None

    def account_id(self, platform: str | None, name: str) -> str:
        """Return the id of what a platform calls `name`: a person, or a course in a log."""
        if self.prefixes is None or not platform:
            return name
        prefix = self.prefixes.get(platform_key(platform))
        # No address has a bar, so where the address ends is certain.
        return f"{platform.strip()}|{name}" if prefix is None else prefix + name

    def envelope(self, reading: int, event: Any) -> dict[str, Any]:
        """Return what the record of an event has beside its type, time and data: the adapter's reading, and an id.

        The id is that of the event and not of what the adapter makes of it. Releases without the setting had neither.
        """
        if self.prefixes is None:
            return {}
        canonical = json.dumps(event, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
        return {"reading": reading, "record_id": hashlib.sha256(escaped(canonical).encode()).hexdigest()}

    def log_id(self, name: str) -> str:
        return self.account_id(self.log, name)

    def names_of(self, account_id: str) -> set[str]:
        """Return by which names a platform may call the account that has this id."""
        known = {prefix for prefix in (self.prefixes or {}).values() if account_id.startswith(prefix)}
        return {account_id, account_id.rpartition("|")[2], *(account_id.removeprefix(prefix) for prefix in known)}

    def course_id(self, iri: str) -> str:
        """Return the id of a course by the IRI of its activity."""
        return self._own_id(iri, _COURSE_FOLDERS)

    def item_id(self, iri: str) -> str:
        """Return the id of an item by the IRI of its activity; the hash of one that is longer than an id may be."""
        item_id = self._own_id(iri, _ITEM_FOLDERS)
        return item_id if len(item_id) <= _LONGEST_ID else f"sha256:{hashlib.sha256(item_id.encode()).hexdigest()}"

    def _own_id(self, iri: str, folders: Iterable[str]) -> str:
        """Return the rest of the address where a known platform has a page of it, as logs and rosters give it."""
        iri = iri.rstrip("/")
        own = next((iri.rsplit(folder, 1)[1] for folder in folders if folder in iri), None)
        if own is None or self.prefixes is None:
            return own or iri
        parts = platform_key(iri).split("/")
        containing = ("/".join(parts[:length]) for length in range(len(parts), 0, -1))
        prefix = next((self.prefixes[key] for key in containing if key in self.prefixes), None)
        return iri if prefix is None else prefix + own


UNKNOWN_PLATFORMS = Platforms(prefixes={})
