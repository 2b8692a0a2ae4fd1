"""`make images-test`: the first installation's images, from the build to the registry to what the chart names.

Starts a registry on the loopback, pushes with `make images-push`, renders the chart with that registry and tag, and
takes every image of ours that it names back from the registry. Each must be there, and do what is promised of it.
"""

from __future__ import annotations

import json
import secrets
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
CHART = ROOT / "deploy" / "k8s"
sys.path.insert(0, str(ROOT))
from dev import podman  # noqa: E402
from tools import docker  # noqa: E402
from tools.common import ServerError  # noqa: E402
from tools.helm import program  # noqa: E402
from tools.servers import registry  # noqa: E402

# With this hook the chart renders every component.
HOOK = {"url": "https://a.example/in", "existingSecret": "hook"}
MANIFESTS = "application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json"
# What each image is asked to do, by its Python.
CHECKS = {
    "flower": ("-c", "import edugraph_flower.main"),
    "insights": ("-c", "import edugraph_insights.main"),
    **dict.fromkeys(("gateway", "importer", "analyzer"), ("/check_extras.py",)),
}


def named(prefix: str, tag: str) -> set[str]:
    """All images that the chart names, with our registry and tag."""
    settings = {"images.registry": prefix, "images.tag": tag, "webhooks": HOOK}
    sets = [
        part
        for key, value in settings.items()
        for part in ("--set-json", f"{key}={json.dumps(value)}")
    ]
    command = [str(program("4")), "template", "edugraph", str(CHART), *sets]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return {image for item in yaml.safe_load_all(done.stdout) for image in _images(item)}


def _images(item: Any) -> Iterator[str]:
    if isinstance(item, dict):
        containers = [*item.get("containers", []), *item.get("initContainers", [])]
        yield from (container["image"] for container in containers)
        item = list(item.values())
    for part in item if isinstance(item, list) else []:
        yield from _images(part)


def service_of(image: str) -> str:
    return image.rpartition("/")[2].partition(":")[0]


def lacking(address: str, image: str) -> str:
    """What the registry says of an image that it cannot give; empty where it can."""
    name, tag = image.removeprefix(f"{address}/").rsplit(":", 1)
    request = urllib.request.Request(
        f"http://{address}/v2/{name}/manifests/{tag}", headers={"Accept": MANIFESTS}
    )
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            manifest = json.load(answer)
        # A pull skips layers that are on this machine already, so each is asked for here.
        for part in [manifest["config"], *manifest["layers"]]:
            blob = urllib.request.Request(
                f"http://{address}/v2/{name}/blobs/{part['digest']}", method="HEAD"
            )
            urllib.request.urlopen(blob, timeout=20).close()
    except urllib.error.HTTPError as error:
        return f"{error.url}: {error.code} {error.read(300).decode(errors='replace')}"
    return ""


def pulled_and_tried(image: str) -> str:
    """What went wrong; empty where it works."""
    tool, insecure = ("docker", []) if docker.answers() else ("podman", ["--tls-verify=false"])
    run = [tool, "run", "--rm", "--network=none", "--read-only", "--tmpfs=/tmp"]
    check = [
        f"--volume={HERE / 'check_extras.py'}:/check_extras.py:ro",
        image,
        "python3",
        *CHECKS[service_of(image)],
    ]
    try:
        for command in ([tool, "pull", "--quiet", *insecure, image], [*run, *check]):
            done = subprocess.run(
                command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
            )
            if done.returncode:
                return f"{' '.join(command)}: {(done.stdout + done.stderr)[-800:]}"
    finally:
        # Only this name: the image that was built has others.
        subprocess.run([tool, "rmi", image], capture_output=True, check=False)
    return ""


def tried(folder: Path) -> tuple[int, list[str]]:
    """How many images hold, and what does not."""
    tag = f"test-{secrets.token_hex(4)}"
    with registry.running(folder) as address:
        prefix = f"{address}/school"
        push = ["make", "--no-print-directory", "images-push", f"REGISTRY={prefix}", f"TAG={tag}"]
        if subprocess.run(push, cwd=ROOT, check=False).returncode:
            return 0, ["the images could not be pushed"]
        if not docker.answers():
            podman.configure(folder)  # not before: buildah takes these limits for its own
        ours = sorted(image for image in named(prefix, tag) if image.startswith(address))
        problems = {image: lacking(address, image) or pulled_and_tried(image) for image in ours}
    for image, problem in problems.items():
        print(
            f"{'FAILED' if problem else 'ok, pulled and does what is promised:'} {image}",
            flush=True,
        )
    failures = [f"{image}: {problem}" for image, problem in problems.items() if problem]
    if {service_of(image) for image in ours} != set(CHECKS):
        failures.append(f"the chart names {ours} of our registry; wanted are {sorted(CHECKS)}")
    return len(problems) - sum(map(bool, problems.values())), failures


def main() -> int:
    with tempfile.TemporaryDirectory() as path:
        try:
            passed, failures = tried(Path(path))
        except ServerError as error:
            passed, failures = 0, [str(error)]
    for failure in failures:
        print(f"images-test: {failure}", file=sys.stderr)
    print(f"{passed} passed, {len(failures)} failed")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
