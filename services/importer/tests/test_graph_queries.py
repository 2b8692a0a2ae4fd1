import ast
import re
from importlib.resources import files

from edugraph_common.contracts.graph_schema import LABELS, RECORD_LABEL, RELATIONSHIPS
from edugraph_importer.graph.statements import CYPHER

FOLDER = files("edugraph_importer.graph") / "cypher"
TEXTS = [file.read_text("utf-8") for file in FOLDER.iterdir() if file.name.endswith(".cypher")]


def test_every_statement_says_what_it_is_for() -> None:
    for text in TEXTS:
        for part in text.split("// name: ")[1:]:
            assert part.splitlines()[1].startswith("// "), part.splitlines()[0]


def test_names_are_given_once() -> None:
    assert sum(text.count("// name: ") for text in TEXTS) == len(
        {name for text in TEXTS for name in re.findall(r"// name: (.*)", text)}
    )


def test_every_label_has_its_constraint() -> None:
    assert {
        name.removeprefix("constraint_") for name in CYPHER if name.startswith("constraint_")
    } == {
        *LABELS,
        RECORD_LABEL,
    }


def test_labels_and_relationships_are_of_the_closed_lists() -> None:
    for name, text in CYPHER.items():
        assert set(re.findall(r"\(\w*:(\w+)", text)) <= {*LABELS, RECORD_LABEL}, name
        kinds = {kind for found in re.findall(r"\[\w*:([\w|]+)", text) for kind in found.split("|")}
        assert kinds <= set(RELATIONSHIPS), name


def test_every_statement_is_used() -> None:
    """By its name, its name without the label, the beginning of it, or an f-string that such a name fits."""
    said, shapes = set[str](), set[str]()
    for file in files("edugraph_importer.graph").iterdir():
        for node in ast.walk(
            ast.parse(file.read_text("utf-8") if file.name.endswith(".py") else "")
        ):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                said.add(node.value)
            elif isinstance(node, ast.JoinedStr):
                parts = [
                    part.value if isinstance(part, ast.Constant) else None for part in node.values
                ]
                if re.search(
                    r"[a-z]{3}", "".join(str(part or "") for part in parts)
                ):  # else any name would fit
                    shapes.add(
                        "".join(r"\w+" if part is None else re.escape(str(part)) for part in parts)
                    )
    for name in CYPHER:
        without_label = re.sub(rf"_({'|'.join([*LABELS, RECORD_LABEL])})$", "", name)
        by_prefix = any(
            name.startswith(prefix) for prefix in said if re.fullmatch(r"\w*[a-z]{3}_", prefix)
        )
        fits = any(re.fullmatch(shape, name) for shape in shapes)
        assert {name, without_label} & said or by_prefix or fits, name


def test_every_match_by_id_seeks_its_index() -> None:
    for name, text in CYPHER.items():
        for line in text.splitlines():
            # One with the id in its middle has no hint, and is planned by what was sampled last: let it begin there.
            by_id = re.match(r"(OPTIONAL )?MATCH .*\{id: ", line)
            assert not by_id or "USING INDEX SEEK" in line, name


def test_the_hint_stands_between_the_pattern_and_what_follows() -> None:
    assert (
        "{id: row.id})-[r:ABOUT]->(t) USING INDEX SEEK n:Interaction(id) WHERE t.id"
        in CYPHER["unlink_ABOUT_Interaction"]
    )
    assert "{id: id}) USING INDEX SEEK n:Topic(id)\n" in CYPHER["delete_orphans_Topic"]
