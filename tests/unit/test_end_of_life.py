"""A pinned version that soon gets no more fixes, or that nobody knows, is seen."""

import datetime as dt
import shutil
from pathlib import Path
from typing import Any

import end_of_life
import pytest
import yaml

ROOT = end_of_life.ROOT
DAY = dt.date(2026, 11, 30)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A folder with all files that hold pins, and dates by which all of them are supported."""
    pins = end_of_life.pins(ROOT)
    for name in {pin.file for pin in pins}:
        target = tmp_path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, target)
    components: dict[str, Any] = {}
    for pin in pins:
        line = ".".join(map(str, end_of_life._numbers(pin.version)[:2]))
        lines = components.setdefault(pin.component, {"source": "", "lines": {}})["lines"]
        lines[line] = {"ends": DAY + dt.timedelta(days=60)}
    write(tmp_path, {"checked": DAY, "components": components})
    return tmp_path


def write(folder: Path, dates: dict[str, Any]) -> None:
    file = folder / end_of_life.DATES
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(yaml.safe_dump(dates), encoding="utf-8")


def failed(folder: Path, day: dt.date = DAY) -> bool:
    return end_of_life.main([f"--today={day}"], folder) == 1


def replace(file: Path, old: str, new: str) -> None:
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new), encoding="utf-8")


def test_sixty_days_are_enough_and_fifty_nine_are_not(copy: Path) -> None:
    assert not failed(copy)
    assert failed(copy, DAY + dt.timedelta(days=1))


@pytest.mark.parametrize(
    "component", ["rabbitmq", "redis", "neo4j", "caddy", "grafana", "prometheus"]
)
def test_each_server_that_is_pinned_is_looked_at(
    copy: Path, component: str, capsys: pytest.CaptureFixture[str]
) -> None:
    dates = yaml.safe_load((copy / end_of_life.DATES).read_text())
    for line in dates["components"][component]["lines"].values():
        line["ends"] = DAY - dt.timedelta(days=1)
    write(copy, dates)
    assert failed(copy)
    said = [line for line in capsys.readouterr().out.splitlines() if "ended 1 days ago" in line]
    assert said
    assert {line.split()[0] for line in said} == {component}


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("compose.yaml", "image: grafana/grafana:", "image: stranger/thing:"),
        ("compose.yaml", "image: redis:8.2", "image: redis:latest"),
        ("compose.yaml", "image: redis:8.2", "image: redis"),
        ("deploy/k8s/values.yaml", "repository: redis", "repository: mirror.example/valkey"),
        ("services/gateway/Dockerfile", "python:3.13-slim", "python:3.10-slim"),
        ("dev/kubernetes/versions.py", '    "1.35.', '    "9.35.'),
    ],
)
def test_a_pin_without_a_date_fails(copy: Path, file: str, old: str, new: str) -> None:
    replace(copy / file, old, new)
    assert failed(copy)


def test_a_place_that_was_moved_is_told(copy: Path) -> None:
    replace(copy / "dev/kubernetes/versions.py", '    "1.', '    "v1.')
    with pytest.raises(ValueError, match="does not pin kubernetes any more"):
        end_of_life.pins(copy)


def test_dates_that_nobody_looked_up_for_long_fail(copy: Path) -> None:
    dates = yaml.safe_load((copy / end_of_life.DATES).read_text())
    dates["checked"] = DAY - dt.timedelta(days=100)
    write(copy, dates)
    assert not failed(copy)
    dates["checked"] = DAY - dt.timedelta(days=101)
    write(copy, dates)
    assert failed(copy)


@pytest.mark.parametrize(
    ("version", "line"),
    [
        ("4.1-management", "4.1"),
        ("v4.1.7", "4.1"),
        ("4.10.2", "4"),
        ("4", "4"),
        ("4.1@sha256:00", "4.1"),
        ("5.1", None),
        ("latest", None),
        ("", None),
    ],
)
def test_the_line_of_a_version(version: str, line: str | None) -> None:
    lines = {name: {"name": name} for name in ("4", "4.1")}
    found = end_of_life._line(version, lines)
    assert (found and found["name"]) == line


def test_the_dates_of_the_project_are_complete() -> None:
    """Whether a date has passed is asked each week and not here: a test must not begin to fail by itself."""
    dates = yaml.safe_load((ROOT / end_of_life.DATES).read_text(encoding="utf-8"))
    found = end_of_life.findings(ROOT, dates, dates["checked"])
    assert [each for each in found if each.ends == "?"] == []
    for component in dates["components"].values():
        assert component["source"].startswith("https://")
        for line in component["lines"].values():
            assert line["ends"] == "none" or isinstance(line["ends"], dt.date)
