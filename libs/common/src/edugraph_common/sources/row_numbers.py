"""Detection of columns with row numbers.

Using such a column for record ids is the most common mistake in mappings.
"""

import re
import unicodedata
from collections.abc import Collection

MOST_LOOKED_AT = 100_000  # ids of one file
# Names of columns with row numbers, and words before or after such a number, without spaces and punctuation.
_NAMES = frozenset(
    {
        "",
        "no",
        "nr",
        "num",
        "number",
        "row",
        "rowno",
        "rownumber",
        "rownum",
        "line",
        "lineno",
        "linenumber",
        "index",
        "idx",
        "sn",
        "sno",
        "srno",
        "serialno",
        "lfdnr",
        "unnamed0",
        "序号",
        "行号",
        "行",
        "号",
        "序",
    }
)
_BEFORE = frozenset(
    {*_NAMES, "r", "l", "n", "rec", "record", "entry", "id", "第", "zeile", "ligne", "fila"}
)
_AFTER = frozenset({"", "行", "条", "号"})
_NUMBERED = re.compile(r"(?P<before>\D*)(?P<number>\d{1,9})(?:\.0+)?(?P<after>\D*)")
_FIRST_OF_REAL_IDS = 100  # the ids of a database in use are larger
_LARGEST_WITH_A_NAME = 10_000  # in a column with one of these names


def are_row_numbers(column: str, values: Collection[str]) -> bool:
    """Return whether the values of a column are row numbers, in any order and with gaps."""
    numbers = set()
    around = set()
    for value in values:
        found = _NUMBERED.fullmatch(unicodedata.normalize("NFKC", value).strip())
        if found is None:
            return False
        numbers.add(int(found["number"]))
        around.add((_plain(found["before"]), _plain(found["after"])))
    if len(around) != 1:
        return False
    before, after = around.pop()
    if before not in _BEFORE or after not in _AFTER:
        return False
    # Filtered rows leave gaps, so some numbers may be missing.
    is_dense = max(numbers) <= 20 * len(numbers) + 200
    begins_low = min(numbers) < _FIRST_OF_REAL_IDS
    if _plain(column) in _NAMES and max(numbers) < _LARGEST_WITH_A_NAME:
        return True
    return begins_low and is_dense


def _plain(text: str) -> str:
    folded = unicodedata.normalize("NFKC", text).casefold()
    return "".join(char for char in folded if char.isalnum())
