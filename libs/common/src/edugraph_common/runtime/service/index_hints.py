"""Hints for Neo4j's planner. The importer and insights put them into their statements."""

import re
from typing import LiteralString

_MATCH_BY_ID = re.compile(r"(?:OPTIONAL )?MATCH \((\w+):(\w+|\{label\}) \{id: ")
_AFTER_PATTERN = re.compile(r" (?=WHERE |RETURN )")


def with_index_hint(line: LiteralString) -> LiteralString:
    """Return a line of a statement. A MATCH that begins with a node's id gets a hint to seek the id in the index.

    While an index grows faster than Neo4j samples it, the planner assumes few different ids, and would scan the whole
    index for each row until it makes a new plan. If the index does not exist yet, the hint has no effect.
    """
    match = _MATCH_BY_ID.match(line)
    if not match:
        return line
    hint = " USING INDEX SEEK {}:{}(id)".format(*match.groups())
    pattern, *after = _AFTER_PATTERN.split(line, maxsplit=1)
    return " ".join([pattern + hint, *after])
