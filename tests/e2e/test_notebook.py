"""The notebook of the examples, run as a reader runs it, at the real services."""

import json
import os
import re
from pathlib import Path

import nbformat
import pytest
from engines import CHECKOUT, System, missing
from nbclient import NotebookClient

NOTEBOOK = CHECKOUT / "examples" / "notebook.ipynb"
PANDAS = CHECKOUT / ".run" / "pandas"
CHINESE, ENGLISH = re.compile(r"[\u4e00-\u9fff]"), re.compile(r"\b[a-z]{4,}\b")


def outputs(cell: nbformat.NotebookNode) -> str:
    """All that a cell printed or showed, as plain text."""
    shown = (
        each.get("text") or each.get("data", {}).get("text/plain", "") for each in cell.outputs
    )
    return "\n".join(shown)


def records(name: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in (NOTEBOOK.parent / name).read_text("utf-8").splitlines()]


@pytest.mark.real
@pytest.mark.parametrize("engine", ["real"], indirect=True)
def test_the_notebook_answers_what_the_records_say(
    clean: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is expected is counted in the files. The kernel has the environment of this process, and pandas."""
    if not PANDAS.exists():
        missing("pandas is not installed: run this by `make test`")
    places = [str(PANDAS), *filter(None, [os.environ.get("PYTHONPATH")])]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(places))
    monkeypatch.setenv("EDUGRAPH_URL", clean.url)
    monkeypatch.setenv("EDUGRAPH_INSIGHTS_URL", clean.insights)
    book = nbformat.read(NOTEBOOK, as_version=4)  # type: ignore[no-untyped-call]
    NotebookClient(
        book, timeout=60, resources={"metadata": {"path": str(NOTEBOOK.parent)}}
    ).execute()
    code = [cell for cell in book.cells if cell.cell_type == "code"]
    said = {
        name: cell
        for cell in code
        for name in re.findall(r'client\.(?:ask|save_answer)\((?:table, )?"([\w-]+)', cell.source)
    }
    imported = outputs(code[1])
    for name in ("school_en.ndjson", "answers.ndjson", "groups.ndjson"):
        assert f"{name}: succeeded, {len(records(name))} written, 0 set aside" in imported
    tested = {
        point
        for record in records("answers.ndjson")
        for point in (record["data"].get("knowledge_points") or ())  # type: ignore[attr-defined]
        if record["type"] == "item_record" and record["data"]["course_id"] == "ALG"  # type: ignore[index]
    }
    assert tested
    assert all(point in outputs(code[2]) for point in tested)
    assert "weak-points.parquet: True" in outputs(said["weak-points"])
    learn = {
        record["data"]["student_id"]  # type: ignore[index]
        for record in records("school_en.ndjson")
        if record["type"] == "course_record" and record["data"]["course_id"] == "ALG"  # type: ignore[index]
    }
    assert re.search(rf"^Student +{len(learn)}$", outputs(code[5]), re.MULTILINE)


def test_the_notebook_is_stored_without_outputs_and_in_both_languages() -> None:
    book = json.loads(Path(NOTEBOOK).read_text("utf-8"))
    for cell in book["cells"]:
        text = "".join(cell["source"])
        if cell["cell_type"] == "code":
            assert (cell["outputs"], cell["execution_count"]) == ([], None)
        else:
            assert CHINESE.search(text), text
            assert ENGLISH.search(text), text
