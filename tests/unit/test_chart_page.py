"""Every value of the chart has a row in its README and a description in its schema."""

import json
import shutil
from pathlib import Path
from typing import Any

import chart_page
import pytest
import yaml


@pytest.fixture
def copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("values.yaml", "values.schema.json", "Chart.yaml", "README.md"):
        shutil.copyfile(chart_page.CHART / name, tmp_path / name)
    monkeypatch.setattr(chart_page, "CHART", tmp_path)
    monkeypatch.setattr(chart_page, "PAGE", tmp_path / "README.md")
    monkeypatch.setattr(chart_page, "SCHEMA", tmp_path / "values.schema.json")
    return tmp_path


def leaves(values: Any, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    if not isinstance(values, dict) or not values:
        return [path]
    return [leaf for key, value in values.items() for leaf in leaves(value, (*path, key))]


def test_every_value_has_a_row_or_is_part_of_one() -> None:
    """The reference is the parsed file, not its lines."""
    text = (chart_page.CHART / "values.yaml").read_text(encoding="utf-8")
    described = {key.path for key in chart_page.described(text)}
    rows = chart_page.PAGE.read_text(encoding="utf-8")
    for path in described:
        assert f"| `{'.'.join(path)}` |" in rows
    without = []
    for leaf in leaves(yaml.safe_load(text)):
        heads = {leaf[:length] for length in range(1, len(leaf) + 1)}
        # The values of the groups that come with the chart are those of workerDefaults.
        if not heads & described and leaf[0] != "workers":
            without.append(leaf)
    assert without == []


def test_the_schema_describes_every_key_with_a_form_of_its_own() -> None:
    schema = json.loads(chart_page.SCHEMA.read_text(encoding="utf-8"))
    for part in ("gateway", "insights", "flower", "webhooks", "prepare", "redis", "serviceAccount"):
        for name, form in schema["properties"][part]["properties"].items():
            if form.get("type") != "object" and name not in ("image", "volume", "pdb"):
                assert form.get("description") or "resources" in form.get("$ref", ""), (part, name)
    assert schema["definitions"]["workerDefaults"]["properties"]["concurrency"]["description"]


@pytest.mark.usefixtures("copy")
def test_what_is_written_is_current() -> None:
    assert chart_page.main(["--check"]) == 0


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("  size: 5Gi\n", "  size: 6Gi\n"),
        ("# -- Room for all uploads that are kept.", "# -- Room for uploads."),
        ("  pullPolicy: IfNotPresent\n", "  pullPolicy: Always\n"),
    ],
)
def test_a_changed_value_or_comment_is_seen(
    copy: Path, old: str, new: str, capsys: pytest.CaptureFixture[str]
) -> None:
    values = copy / "values.yaml"
    text = values.read_text(encoding="utf-8")
    assert old in text
    values.write_text(text.replace(old, new), encoding="utf-8")
    assert chart_page.main(["--check"]) == 1
    assert "make chart-page" in capsys.readouterr().err
    assert chart_page.main([]) == 0
    assert chart_page.main(["--check"]) == 0


def test_comments_belong_to_the_key_below_them() -> None:
    text = "a:\n  # -- First\n  # and second.\n  b: 1\n  # a note\n  c: 2\n# -- Last, a|b.\nd: {x: 1}\n"
    assert list(chart_page.described(text)) == [
        (("a", "b"), "First and second."),
        (("d",), "Last, a|b."),
    ]
    assert "Last, a\\|b." in chart_page.page(text, {"kubeVersion": ">=1.29.0-0"})
