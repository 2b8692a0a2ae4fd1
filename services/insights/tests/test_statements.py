"""The statements of cypher/, by their names."""

import re
from collections import Counter
from pathlib import Path

from edugraph_insights import graph


def test_a_name_stands_for_one_statement() -> None:
    """Two files may not use one name: the later would take the place of the other without a word."""
    folder = Path(graph.__file__).parent / "cypher"
    names = Counter(
        name
        for file in folder.glob("*.cypher")
        for name in re.findall(r"^// name: (\w+)", file.read_text(), re.MULTILINE)
    )
    assert len(names) > 30
    assert [name for name, number in names.items() if number > 1] == []
