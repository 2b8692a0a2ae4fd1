"""`make end-of-life`: fails if something that the project pins gets no more fixes within 60 days.

The pins are read where they stand: images of compose.yaml and of the chart, the base of our images, the oldest
Python, and the Neo4j and the Kubernetes that the tests run on. The dates stand in deploy/end-of-life.yaml. A pin
without a date fails as well, and so do dates that nobody has looked up for 100 days.
"""

import argparse
import datetime as dt
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml

ROOT = Path(__file__).resolve().parent.parent
DATES = "deploy/end-of-life.yaml"
LEAST_DAYS = 60
# A vendor can announce a day at any time, so old dates prove nothing.
OLDEST_DATES_DAYS = 100
# Ours, and those of our own tests.
OUR_IMAGES = ("edugraph/", "edugraph-test/")
# Other places of a version: component, file, form of the line.
LINES = (
    ("python", "services/*/Dockerfile", r"^ARG BASE=python:(?P<version>\S+)$"),
    ("python", "pyproject.toml", r'^requires-python = ">=(?P<version>[0-9.]+)"$'),
    ("python", "deploy/images/release.py", r'^BASE = "python:(?P<version>\S+)"$'),
    ("neo4j", "tools/servers/neo4j.py", r'^DEFAULT_VERSION = "(?P<version>[0-9.]+)"$'),
    ("kubernetes", "dev/kubernetes/versions.py", r'^    "(?P<version>[0-9.]+)",$'),
)


class Pin(NamedTuple):
    component: str
    version: str
    file: str


class Finding(NamedTuple):
    pin: Pin
    problem: str  # empty if the pin is supported for long enough
    ends: str


def pins(root: Path) -> list[Pin]:
    """Return each version that the project pins, once for each file. Raises ValueError for a place without one."""
    found = set(_images_of_compose(root))
    found |= set(_images_of_chart(root))
    for component, pattern, form in LINES:
        before = len(found)
        for file in root.glob(pattern):
            for match in re.finditer(form, file.read_text(encoding="utf-8"), re.MULTILINE):
                found.add(Pin(component, match["version"], file.relative_to(root).as_posix()))
        if len(found) == before:
            raise ValueError(
                f"{pattern} does not pin {component} any more, as scripts/end_of_life.py says"
            )
    return sorted(found)


def _images_of_compose(root: Path) -> Iterator[Pin]:
    services = yaml.safe_load((root / "compose.yaml").read_text(encoding="utf-8"))["services"]
    for service in services.values():
        name, _, tag = service["image"].partition(":")
        if not name.startswith(OUR_IMAGES):
            yield Pin(name.rpartition("/")[2], tag, "compose.yaml")


def _images_of_chart(root: Path) -> Iterator[Pin]:
    values = yaml.safe_load((root / "deploy/k8s/values.yaml").read_text(encoding="utf-8"))
    for image in _with_repository(values):
        name = image["repository"]
        if not name.startswith(OUR_IMAGES):
            yield Pin(name.rpartition("/")[2], str(image["tag"]), "deploy/k8s/values.yaml")


def _with_repository(part: Any) -> Iterator[dict[str, Any]]:
    if not isinstance(part, dict):
        return
    if "repository" in part:
        yield part
    for value in part.values():
        yield from _with_repository(value)


def findings(root: Path, dates: dict[str, Any], today: dt.date) -> list[Finding]:
    return [_judged(pin, dates["components"], today) for pin in pins(root)]


def _judged(pin: Pin, components: dict[str, Any], today: dt.date) -> Finding:
    line = _line(pin.version, components.get(pin.component, {"lines": {}})["lines"])
    if line is None:
        return Finding(pin, f"{DATES} has no date for it", "?")
    ends = line["ends"]
    if ends == "none":
        return Finding(pin, "", "no day announced")
    days = (ends - today).days
    if days < 0:
        return Finding(pin, f"ended {-days} days ago", str(ends))
    if days < LEAST_DAYS:
        return Finding(pin, f"ends in {days} days", str(ends))
    return Finding(pin, "", str(ends))


def _line(version: str, lines: dict[str, Any]) -> dict[str, Any] | None:
    """Return the line of a version such as v3.5.0 or 4.1-management: the longest one whose numbers it begins with."""
    numbers = _numbers(version)
    fitting = [name for name in lines if numbers[: len(_numbers(name))] == _numbers(name)]
    if not fitting:
        return None
    found: dict[str, Any] = lines[max(fitting, key=lambda name: len(_numbers(name)))]
    return found


def _numbers(version: str) -> list[int]:
    """Return the numbers at the beginning of a version. A version without a number has no line."""
    found = re.match(r"v?([0-9]+(?:\.[0-9]+)*)", version)
    if found is None:
        return []
    return [int(number) for number in found[1].split(".")]


def main(arguments: list[str] | None = None, root: Path = ROOT) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--today",
        type=dt.date.fromisoformat,
        default=dt.datetime.now(tz=dt.UTC).date(),
        help="the day that is asked about, as 2027-01-31",
    )
    today = parser.parse_args(arguments).today
    dates = yaml.safe_load((root / DATES).read_text(encoding="utf-8"))
    failed = False
    for finding in findings(root, dates, today):
        pin = finding.pin
        failed = failed or bool(finding.problem)
        said = finding.problem or "ok"
        print(f"{pin.component:<12}{pin.version:<18}{finding.ends:<18}{said:<28}{pin.file}")
    age_days = (today - dates["checked"]).days
    if age_days > OLDEST_DATES_DAYS:
        failed = True
        print(f"{DATES} was checked {age_days} days ago: look the dates up again")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
