"""The keys of records: the id that a source gives to a record, together with the name of the source (docs/adr/0106).

A record of the source `canvas` with the id `5` has the key `@canvas/5`. A record of the default source has its id as
its key. If such an id begins like the key of another source, its key is `@default/` and the id. So no two pairs of a
source and an id have the same key.
"""

import re
from typing import Annotated, NamedTuple

from pydantic import StringConstraints

# The source of imports that name none, if their caller has no source.
DEFAULT_SOURCE = "default"
# The source of the actions of teachers. No import may use it, so that no import replaces or withdraws an action.
ACTIONS_SOURCE = "page-actions"
LONGEST_SOURCE_NAME = 40
LONGEST_KEY = 128

_BEGIN_OF_KEY = re.compile(r"@([a-z0-9-]{1,40})/")

SourceName = Annotated[
    str, StringConstraints(pattern=r"^[a-z0-9-]+$", min_length=1, max_length=LONGEST_SOURCE_NAME)
]


class SourceAndId(NamedTuple):
    """A source, and the id that it gives to a record or to a thread of posts."""

    source: str
    id: str


def key_in_source(source: str, an_id: str) -> str:
    """Return the key of an id that a source gives."""
    if source == DEFAULT_SOURCE and not _BEGIN_OF_KEY.match(an_id):
        return an_id
    return f"@{source}/{an_id}"


def source_and_id(key: str) -> SourceAndId:
    """Return the source and the id of a key."""
    begin = _BEGIN_OF_KEY.match(key)
    if begin is None:
        return SourceAndId(DEFAULT_SOURCE, key)
    return SourceAndId(begin[1], key[begin.end() :])
