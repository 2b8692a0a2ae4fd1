"""Every package names the license and carries its text: a wheel or an image has only what lies beside its project."""

import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
PROJECTS = sorted(
    path
    for pattern in (
        "pyproject.toml",
        "libs/*/pyproject.toml",
        "services/*/pyproject.toml",
        "cli/pyproject.toml",
    )
    for path in ROOT.glob(pattern)
)
LICENSE = (ROOT / "LICENSE").read_text(encoding="utf-8")


def test_the_license_is_apache_2_by_its_authors() -> None:
    assert LICENSE.split()[:5] == ["Apache", "License", "Version", "2.0,", "January"]
    assert "END OF TERMS AND CONDITIONS" in LICENSE
    assert "Copyright 2026 EduGraph authors" in LICENSE


def test_all_projects_are_looked_at() -> None:
    services = {
        path.name for path in (ROOT / "services").iterdir() if (path / "Dockerfile").exists()
    }
    assert {path.parent.name for path in PROJECTS} == {
        ROOT.name,
        "client",
        "common",
        "cli",
        *services,
    }


@pytest.mark.parametrize("path", PROJECTS, ids=lambda path: str(path.parent.relative_to(ROOT)))
def test_each_project_names_it_and_carries_its_text(path: Path) -> None:
    project = tomllib.loads(path.read_text(encoding="utf-8"))["project"]
    assert (project.get("license"), project.get("license-files")) == ("Apache-2.0", ["LICENSE"])
    assert (path.parent / "LICENSE").read_text(encoding="utf-8") == LICENSE


def test_the_chart_names_it() -> None:
    chart = yaml.safe_load((ROOT / "deploy" / "k8s" / "Chart.yaml").read_text(encoding="utf-8"))
    assert chart["annotations"]["artifacthub.io/license"] == "Apache-2.0"
