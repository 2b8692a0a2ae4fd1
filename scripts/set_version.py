"""`make version VERSION=0.2.0`: writes the version of a release everywhere; without VERSION it prints the version.

The version stands in the packages, in the lock files, in the images, in the chart and in the example of a fleet.
`--check` fails if they differ.
"""

import argparse
import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VERSION = r"(?P<version>[0-9]+\.[0-9]+\.[0-9]+(?:-rc\.[0-9]+)?)"
# File -> the form of each line of it that holds our version.
PLACES = {
    "pyproject.toml": rf'^version = "{VERSION}"$',
    "cli/pyproject.toml": rf'^version = "{VERSION}"$',
    "libs/*/pyproject.toml": rf'^version = "{VERSION}"$',
    "services/*/pyproject.toml": rf'^version = "{VERSION}"$',
    "research/pyproject.toml": rf'^version = "{VERSION}"$',
    "uv.lock": rf'^name = "edugraph[a-z-]*"\nversion = "{VERSION}"$',
    "services/*/uv.lock": rf'^name = "edugraph[a-z-]*"\nversion = "{VERSION}"$',
    "research/uv.lock": rf'^name = "edugraph[a-z-]*"\nversion = "{VERSION}"$',
    "services/*/Dockerfile": rf"^ARG VERSION={VERSION}$",
    "compose.yaml": rf"\$\{{EDUGRAPH_VERSION:-{VERSION}\}}",
    "deploy/fleet/schools/*/school.yaml": rf"^version: {VERSION}$",
    "deploy/k8s/Chart.yaml": rf"^(?:version|appVersion): {VERSION}$",
}


def places() -> Iterator[tuple[Path, re.Pattern[str]]]:
    """Yield each file that holds the version, with the form of its lines.

    Raises ValueError for a pattern without a file.
    """
    for pattern, form in PLACES.items():
        files = sorted(ROOT.glob(pattern))
        if not files:
            raise ValueError(f"no file is named {pattern}")
        for file in files:
            yield file, re.compile(form, re.MULTILINE)


def versions() -> dict[Path, set[str]]:
    """Return the versions that each file holds."""
    found = {}
    for file, form in places():
        text = file.read_text(encoding="utf-8")
        found[file] = {match["version"] for match in form.finditer(text)}
    return found


def set_version(wanted: str) -> None:
    for file, form in places():
        text = file.read_text(encoding="utf-8")
        file.write_text(form.sub(lambda match: _replaced(match, wanted), text), encoding="utf-8")


def _replaced(match: re.Match[str], wanted: str) -> str:
    whole = match[0]
    start = match.start("version") - match.start()
    end = match.end("version") - match.start()
    return whole[:start] + wanted + whole[end:]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("version", nargs="?", help="MAJOR.MINOR.PATCH, also with -rc.N")
    parser.add_argument("--check", action="store_true", help="fail if the places differ")
    chosen = parser.parse_args()
    if chosen.version:
        if not re.fullmatch(VERSION, chosen.version):
            print(f"{chosen.version} is not a version such as 0.2.0 or 0.2.0-rc.1", file=sys.stderr)
            return 2
        set_version(chosen.version)
    found = versions()
    different = set().union(*found.values())
    if chosen.check and (len(different) != 1 or not all(found.values())):
        for file, held in found.items():
            print(f"{file.relative_to(ROOT)}: {', '.join(sorted(held)) or 'no version'}")
        return 1
    print(", ".join(sorted(different)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
