"""`make third-party`: writes THIRD-PARTY-NOTICES.md, the licences of all parts of images, wheels and page.

`--check` writes nothing and fails if the page is not current. Names come from the lock files, and licences from the
metadata of the installed packages. A package whose metadata names no licence needs a line in LICENCES.
"""

import argparse
import importlib.metadata
import json
import re
import sys
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from packaging.markers import Marker

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "THIRD-PARTY-NOTICES.md"
VENDORED = ROOT / "services/insights/src/edugraph_insights/web/vendor/versions.json"
FLOWER = ROOT / "services" / "flower"
FLOWER_PACKAGES = ROOT / ".run" / "flower" / "lib"
# Packages of the workspace that images install; the Dockerfiles have these extras.
ROOTS = ("gateway", "insights", "importer", "analyzer", "cli")
EXTRAS = ("s3", "tracing")
# The images' Python. Wheels serve other systems too, but these add only packages for Windows.
ENVIRONMENT = {
    "implementation_name": "cpython",
    "os_name": "posix",
    "platform_machine": "x86_64",
    "platform_python_implementation": "CPython",
    "platform_system": "Linux",
    "python_full_version": "3.13.0",
    "python_version": "3.13",
    "sys_platform": "linux",
}
# Packages whose metadata names no licence that a machine can read.
LICENCES = {
    "protobuf": "BSD-3-Clause",
    "python-dateutil": "Apache-2.0 OR BSD-3-Clause",
    "python-stdnum": "LGPL-2.1-or-later",
    "shellingham": "ISC",
}
# Words of classifiers and of the field `License` -> SPDX.
SPDX = {
    "Apache Software License": "Apache-2.0",
    "Apache 2": "Apache-2.0",
    "Apache 2.0": "Apache-2.0",
    "Apache License 2.0": "Apache-2.0",
    "Apache License, Version 2.0": "Apache-2.0",
    "BSD": "BSD-3-Clause",
    "BSD License": "BSD-3-Clause",
    "MIT License": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
}
HEAD = """# Third-party notices

EduGraph is licensed under the Apache License 2.0. It contains or starts the programs of others below, each under a
licence of its own. `make third-party` writes this page. Versions are in the SBOM of each release; the texts of the
licences lie beside each package in the images (`*.dist-info`) and beside each file of the page.

"""
OF_FLOWER = "## Python packages of the image of Flower\n"
SERVERS = """
| Program | Licence | Where it runs |
| --- | --- | --- |
| RabbitMQ | MPL-2.0 | bundled server of the chart and of compose |
| Redis 8 | RSALv2, SSPLv1 or AGPL-3.0, as you choose | bundled server; Valkey (BSD-3-Clause) can take its place |
| Neo4j Community | GPL-3.0 | bundled server |
| Caddy | Apache-2.0 | compose |
| Prometheus | Apache-2.0 | compose, profile `monitoring` |
| Grafana | AGPL-3.0 | compose, profile `monitoring` |
| Python and Debian | PSF-2.0; the licences of Debian's packages | base of each image (`/usr/share/doc` of the base) |
"""


def locked(lock: Path, roots: Iterable[str], extras: Iterable[str]) -> set[str]:
    """Return the packages of others that the roots need, by the lock file, on the system of the images."""
    packages = {each["name"]: each for each in tomllib.loads(lock.read_text("utf-8"))["package"]}
    seen: set[tuple[str, str]] = set()
    waiting = [(root, extra) for root in roots for extra in ("", *extras)]
    while waiting:
        place = waiting.pop()
        if place in seen:
            continue
        seen.add(place)
        name, extra = place
        waiting.extend(_needs(packages[name], extra))
    return {name for name, _ in seen if not name.startswith("edugraph")}


def _needs(package: dict[str, Any], extra: str) -> Iterator[tuple[str, str]]:
    needed = package.get("dependencies", [])
    if extra:
        needed = package.get("optional-dependencies", {}).get(extra, [])
    for each in needed:
        if "marker" in each and not Marker(each["marker"]).evaluate(dict(ENVIRONMENT)):
            continue
        yield each["name"], ""
        for wanted in each.get("extra", []):
            yield each["name"], wanted


def licence(metadata: Any) -> str:
    """Return the licence of a package as an SPDX expression. Raises ValueError if its metadata does not name one."""
    name = metadata["Name"]
    if name.lower() in LICENCES:
        return LICENCES[name.lower()]
    if metadata.get("License-Expression"):
        return str(metadata["License-Expression"])
    field = (metadata.get("License") or "").strip()
    if field in SPDX:
        return SPDX[field]
    if re.fullmatch(r"[A-Za-z0-9.+-]+( (AND|OR|WITH) [A-Za-z0-9.+-]+)*", field):
        return field
    for classifier in metadata.get_all("Classifier", []):
        kind, _, last = classifier.rpartition(" :: ")
        if kind.startswith("License") and last in SPDX:
            return SPDX[last]
    raise ValueError(f"{name} names no licence: look it up, and add a line to LICENCES")


def homepage(metadata: Any) -> str:
    for field in metadata.get_all("Project-URL", []):
        label, _, address = field.partition(",")
        if label.strip().lower() in ("homepage", "repository", "source", "source code", "github"):
            return str(address).strip()
    return str(metadata.get("Home-page") or f"https://pypi.org/project/{metadata['Name']}/")


def rows(names: set[str], folders: list[str]) -> list[str]:
    """Return one row for each package. Raises ValueError for a package that is not installed."""
    installed = {}
    for distribution in importlib.metadata.distributions(path=folders):
        installed[_canonical(distribution.metadata["Name"])] = distribution.metadata
    found = []
    for name in sorted(names):
        if name not in installed:
            raise ValueError(f"{name} is locked and not installed: make env-dev env-flower")
        metadata = installed[name]
        found.append(f"| {name} | {licence(metadata)} | <{homepage(metadata)}> |")
    return found


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def page(flower_rows: list[str]) -> str:
    head = "| Package | Licence | Home |\n| --- | --- | --- |\n"
    ours = rows(locked(ROOT / "uv.lock", [f"edugraph-{root}" for root in ROOTS], EXTRAS), sys.path)
    vendored = []
    for each in json.loads(VENDORED.read_text("utf-8")):
        address = f"https://www.npmjs.com/package/{each['package']}"
        vendored.append(f"| {each['package']} | {each['license']} | <{address}> |")
    parts = [
        HEAD,
        f"## Python packages of the services and of the command line\n\n{head}" + "\n".join(ours),
        f"\n\n{OF_FLOWER}\n{head}" + "\n".join(flower_rows),
        f"\n\n## Scripts of the page\n\n{head}" + "\n".join(vendored),
        f"\n\n## Programs that run beside EduGraph\n{SERVERS}",
    ]
    return "".join(parts)


def flower_names() -> set[str]:
    return locked(FLOWER / "uv.lock", ["edugraph-flower"], ())


def written_flower_rows() -> list[str]:
    """Return the rows of Flower's packages as the page has them. Its environment is not needed for a check."""
    text = PAGE.read_text("utf-8")
    _, _, part = text.partition(OF_FLOWER)
    part, _, _ = part.partition("\n## ")
    written = [line for line in part.splitlines() if line.startswith("| ")]
    return [line for line in written if not line.startswith(("| Package", "| ---"))]


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="fail if the page is not current")
    if parser.parse_args(arguments).check:
        flower_rows = written_flower_rows()
        named = {row.split("|")[1].strip() for row in flower_rows}
        if named == flower_names() and PAGE.read_text("utf-8") == page(flower_rows):
            return 0
        print(f"{PAGE.name} is not current: make third-party", file=sys.stderr)
        return 1
    folders = [str(folder) for folder in FLOWER_PACKAGES.glob("python3*/site-packages")]
    PAGE.write_text(page(rows(flower_names(), folders)), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
