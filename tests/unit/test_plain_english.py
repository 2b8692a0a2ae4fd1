"""The rules of plain English find the forms that readers stumble over, and leave plain sentences alone."""

import importlib.util
import json
import subprocess
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def prose() -> ModuleType:
    spec = importlib.util.spec_from_file_location(
        "plain_english", ROOT / "scripts" / "plain_english.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("rule", "sentence"),
    [
        ("start", "Of several threads one looks."),
        ("start", "What was read is kept."),
        ("pronoun", "It waits for the broker."),
        ("of-which", "A file of which nothing is kept."),
        ("is-no", "A blank line is no row."),
        ("elsewhere", "The nodes: as `resolver.resolve` has it."),
        ("told", "The gateway is told when a job ends."),
        ("pointing", "The window takes all that fits."),
        ("verb-of", "Return of each student the types."),
        ("old", "The record is written anew."),
    ],
)
def test_a_rule_finds_its_form(prose: ModuleType, rule: str, sentence: str) -> None:
    found = [hit.rule.name for hit in prose.hits_of("a.py", prose.Block(1, sentence))]
    assert found == [rule]


@pytest.mark.parametrize(
    "sentence",
    [
        "Return the rows of a batch. It is empty for an undone job.",
        "Who may read this page?",
        "There is no row for a job that was deleted.",
        "The server is no longer asked.",
        "Two records may have the same time, in each of which a name stands.",
    ],
)
def test_plain_sentences_have_no_hit(prose: ModuleType, sentence: str) -> None:
    assert list(prose.hits_of("a.py", prose.Block(1, sentence))) == []


def test_comments_docstrings_and_paragraphs_are_read(prose: ModuleType, tmp_path: Path) -> None:
    module = tmp_path / "module.py"
    module.write_text(
        '"""Of the module."""\n\n# Of a comment\n# on two lines.\nx = "Of a string."  # noqa: E501\n'
    )
    page = tmp_path / "page.md"
    page.write_text(
        "# Of a heading\n\nOf a paragraph.\n\n```\nOf code.\n```\n\n- Of an item.\n\n| Of a cell |\n"
    )
    assert [block.text for block in prose.blocks_of(module)] == [
        "Of the module.",
        "Of a comment\non two lines.",
    ]
    hits = [hit for block in prose.blocks_of(page) for hit in prose.hits_of("page.md", block)]
    assert [(hit.line, hit.sentence) for hit in hits] == [
        (3, "Of a paragraph."),
        (9, "Of an item."),
    ]


def test_a_file_may_not_have_more_hits_than_before(
    prose: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    subprocess.run(["git", "init", "--quiet", str(tmp_path)], check=True)
    page = tmp_path / "page.md"
    monkeypatch.setattr(prose, "ROOT", tmp_path)
    monkeypatch.setattr(prose, "BASELINE", tmp_path / "baseline.json")
    prose.BASELINE.write_text(json.dumps({"page.md": 1}))
    page.write_text("Of one thing.\n")
    assert prose.main([]) == 0
    page.write_text("Of one thing.\n\nOf another thing.\n")
    assert prose.main([]) == 1
    assert "page.md: 2 hits, 1 are allowed" in capsys.readouterr().out
    page.write_text("One thing.\n")
    assert prose.main([]) == 1
    assert prose.main(["--write"]) == 0
    assert json.loads(prose.BASELINE.read_text()) == {}
    assert prose.main([]) == 0
