"""The ids of people and courses from several platforms.

Each platform has its own accounts and courses, so account 4711 of one learning platform is not account 4711 of
another. The setting EDUGRAPH_PLATFORM_PREFIXES gives the ids of a platform a prefix. The school's own platform has no
prefix, so that the same person has the same id in xAPI, logs, rosters and files. The ids of a platform that is not in
the setting contain its whole address.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from edugraph_common.contracts.platform_addresses import platform_key
from edugraph_common.contracts.record_fields import normal_id
from edugraph_common.contracts.records import escaped

_COURSE_FOLDERS = ("/course/", "/courses/")
_COURSE_PAGE_OF_MOODLE = re.compile(r"view\.php\?id=([0-9]+)")
# The addresses of blocks, and of discussions and posts in a forum of Open edX.
_ITEM_FOLDERS = ("/xblock/", "/api/discussion/v1/threads/", "/api/discussion/v1/comments/")
_LONGEST_ID = 128  # characters


@dataclass(frozen=True)
class Platforms:
    """The rule for ids. `prefixes`: platform_key -> prefix.

    `log`: the platform that wrote a log, since logs do not state it. None means the school's own platform.
    """

    prefixes: Mapping[str, str] = field(default_factory=dict)
    log: str | None = None

    @classmethod
    def of_addresses(cls, prefixes: Mapping[str, str], log: str | None = None) -> "Platforms":
        """Return the rule for the prefixes of platforms by their addresses, as the setting has them."""
        by_key = {}
        for address, prefix in prefixes.items():
            by_key[platform_key(address)] = prefix
        return cls(by_key, log)

    def account_id(self, platform: str | None, name: str) -> str:
        """Return the id of a person, or of a course in a log, that a platform calls `name`."""
        address = normal_id(platform or "")
        if not address:
            return name
        prefix = self.prefixes.get(platform_key(address))
        # An address has no bar, so the end of the address is unambiguous.
        if prefix is None:
            return f"{address}|{name}"
        return prefix + name

    def envelope(self, reading: int, event: Any) -> dict[str, Any]:
        """Return the `reading` and the `record_id` of an event's record.

        The id is a hash of the event and not of the record.
        """
        canonical = json.dumps(event, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
        return {
            "reading": reading,
            "record_id": hashlib.sha256(escaped(canonical).encode()).hexdigest(),
        }

    def log_id(self, name: str) -> str:
        return self.account_id(self.log, name)

    def names_of(self, account_id: str) -> set[str]:
        """Return the names that a platform may use for the account with this id."""
        known = {prefix for prefix in self.prefixes.values() if account_id.startswith(prefix)}
        return {
            account_id,
            account_id.rpartition("|")[2],
            *(account_id.removeprefix(prefix) for prefix in known),
        }

    def course_id(self, iri: str) -> str:
        """Return the id of the course whose activity has this IRI.

        Moodle has one page for all courses, `course/view.php`, and the id of the course in its query.
        """
        return self._own_id(iri, _COURSE_FOLDERS)

    def item_id(self, iri: str) -> str:
        """Return the id of the item whose activity has this IRI. An IRI that is too long for an id is hashed."""
        item_id = self._own_id(iri, _ITEM_FOLDERS)
        if len(item_id) <= _LONGEST_ID:
            return item_id
        return f"sha256:{hashlib.sha256(item_id.encode()).hexdigest()}"

    def _own_id(self, iri: str, folders: Iterable[str]) -> str:
        """Return the id in the address of a known platform's page, as in logs and rosters, else the IRI itself."""
        iri = iri.rstrip("/")
        own = next((iri.rsplit(folder, 1)[1] for folder in folders if folder in iri), None)
        if own is None:
            return iri
        moodle = _COURSE_PAGE_OF_MOODLE.fullmatch(own)
        if moodle:
            own = moodle[1]
        parts = platform_key(iri).split("/")
        containing = ("/".join(parts[:length]) for length in range(len(parts), 0, -1))
        prefix = next((self.prefixes[key] for key in containing if key in self.prefixes), None)
        if prefix is None:
            return iri
        return prefix + own


UNKNOWN_PLATFORMS = Platforms()
