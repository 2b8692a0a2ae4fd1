"""One command writes the version of a release everywhere, and nothing else."""

import shutil
import subprocess
from pathlib import Path

import pytest
import set_version

ROOT = set_version.ROOT


@pytest.fixture
def copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with copies of all files that hold the version."""
    for file, _ in set_version.places():
        target = tmp_path / file.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, target)
    monkeypatch.setattr(set_version, "ROOT", tmp_path)
    return tmp_path


def test_one_version_is_written_everywhere_and_nothing_else_changes(copy: Path) -> None:
    (before,) = set().union(*set_version.versions().values())
    set_version.set_version("17.5.3-rc.2")
    for file, held in set_version.versions().items():
        assert held == {"17.5.3-rc.2"}
        now = file.read_text(encoding="utf-8")
        original = (ROOT / file.relative_to(copy)).read_text(encoding="utf-8")
        # A part of a line can be the version of another package, so only whole texts are compared.
        assert now.replace("17.5.3-rc.2", before) == original


def test_each_file_of_the_project_that_could_hold_the_version_is_known() -> None:
    """To take the guard out: leave the Dockerfiles or a lock file out of PLACES."""
    (version,) = set().union(*set_version.versions().values())
    tracked = subprocess.run(
        ["git", "grep", "-lE", f'(^version = "|VERSION[:=]-?|[vV]ersion: )"?{version}\\b'],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    known = {file.relative_to(ROOT).as_posix() for file, _ in set_version.places()}
    assert set(tracked.stdout.split()) <= known


def test_a_place_that_was_forgotten_is_seen(
    copy: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    chart = copy / "deploy/k8s/Chart.yaml"
    chart.write_text(chart.read_text().replace("\nappVersion: ", "\nappVersion: 9"))
    monkeypatch.setattr("sys.argv", ["set_version", "--check"])
    assert set_version.main() == 1
    assert "deploy/k8s/Chart.yaml" in capsys.readouterr().out


@pytest.mark.usefixtures("copy")
@pytest.mark.parametrize("wrong", ["1.2", "v1.2.3", "1.2.3.4", "1.2.3 ", "latest"])
def test_what_is_no_version_changes_nothing(monkeypatch: pytest.MonkeyPatch, wrong: str) -> None:
    before = set_version.versions()
    monkeypatch.setattr("sys.argv", ["set_version", wrong])
    assert set_version.main() == 2
    assert set_version.versions() == before
