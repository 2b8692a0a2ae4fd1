"""The steps of a release: `make release-images`, `release-chart`, `release-sign`, `release-wheels` and `sbom`.

    release.py images REGISTRY    build each image for amd64 and arm64 on a base with a digest, with SBOM and provenance
    release.py chart REGISTRY     package the chart with that registry and the digests of the images, and push it
    release.py sign               sign by cosign what the two steps above have pushed
    release.py wheels UV [INDEX]  build the wheels, and send them to an index of packages
    release.py sbom UV            write the packages of each service as CycloneDX

Steps hand over what they pushed in .run/release/pushed.json: the name of an image or chart -> its digest. The version is
that of the chart (`make version`). A registry on the loopback is asked without TLS.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
sys.path.insert(0, str(Path(__file__).resolve().parent))
from build import SERVICES, version  # noqa: E402

from tools.helm import program  # noqa: E402

CHART = ROOT / "deploy" / "k8s"
RELEASE = ROOT / ".run" / "release"
BASE = "python:3.13-slim"
PLATFORMS = "linux/amd64,linux/arm64"
WHEELS = ("edugraph-common", "edugraph-client", "edugraph-cli")
# Flower has a lock file of its own.
IN_WORKSPACE = tuple(service for service in SERVICES if service != "flower")
REGISTRY_FORM = r"\w[\w.-]*(:\d+)?(/[a-z0-9._-]+)*"
DIGEST_FORM = r"sha256:[0-9a-f]{64}"


class ReleaseError(Exception):
    """A step of the release cannot be done. The text says why."""


def images(registry: str) -> None:
    """Build and push one image for each service. All have the same base, whose digest is asked for once."""
    asked = ["docker", "buildx", "imagetools", "inspect", BASE, "--format", "{{.Manifest.Digest}}"]
    base = f"{BASE}@{_digest(_output(asked), f'the base image {BASE}')}"
    revision = _output(["git", "-C", str(ROOT), "rev-parse", "HEAD"])
    pushed = {}
    for service in SERVICES:
        image = f"{registry}/edugraph/{service}"
        metadata = RELEASE / f"{service}.json"
        arguments = {"BASE": base, "VERSION": version(), "REVISION": revision}
        command = ["docker", "buildx", "build", "--platform", PLATFORMS, "--push"]
        command += ["--sbom=true", "--provenance=mode=max", "--metadata-file", str(metadata)]
        command += ["--file", str(ROOT / "services" / service / "Dockerfile")]
        command += ["--tag", f"{image}:{version()}"]
        for name, value in arguments.items():
            command += ["--build-arg", f"{name}={value}"]
        _run([*command, str(ROOT)])
        told = json.loads(metadata.read_text(encoding="utf-8"))
        pushed[image] = _digest(told.get("containerimage.digest", ""), image)
    _note(pushed)


def chart(registry: str) -> None:
    """Package the chart so that it names the images of this release by digest, and push it."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder, "edugraph")
        # Helm leaves out what .helmignore names.
        shutil.copytree(CHART, copy)
        values = copy / "values.yaml"
        text = values.read_text(encoding="utf-8")
        values.write_text(released_values(text, registry, _pushed()), encoding="utf-8")
        helm = str(program("4"))
        _run([helm, "package", str(copy), "--destination", str(RELEASE)])
    archive = RELEASE / f"edugraph-{version()}.tgz"
    push = [helm, "push", str(archive), f"oci://{registry}/charts"]
    if re.match(r"(127\.\d+\.\d+\.\d+|localhost)(:\d+)?(/|$)", registry):
        push.append("--plain-http")
    done = subprocess.run(push, check=False, capture_output=True, text=True)
    said = done.stdout + done.stderr
    if done.returncode:
        raise ReleaseError(f"the chart could not be pushed:\n{said}")
    found = re.search(DIGEST_FORM, said)
    _note({f"{registry}/charts/edugraph": _digest(found[0] if found else "", "the chart")})


def released_values(text: str, registry: str, pushed: dict[str, str]) -> str:
    """Return values.yaml with the registry and the digests of a release as defaults. Raises ReleaseError."""
    text, changed = re.subn(
        r'^  registry: ""$', f"  registry: {registry}", text, flags=re.MULTILINE
    )
    if changed != 1:
        raise ReleaseError("values.yaml has no line `registry` of `images` any more")
    for service in SERVICES:
        digest = pushed.get(f"{registry}/edugraph/{service}")
        if digest is None:
            raise ReleaseError(f"the image {service} is not pushed to {registry} yet")
        image = rf'(repository: edugraph/{service}\n(?: +#.*\n| +tag: ""\n)* +digest: )""'
        text, changed = re.subn(image, rf'\g<1>"{digest}"', text)
        if changed != 1:
            raise ReleaseError(f"values.yaml has no digest of the image {service} any more")
    return text


def sign() -> None:
    """Sign everything that was pushed. A signature is of a digest, since a tag can move."""
    pushed = _pushed()
    if not pushed:
        raise ReleaseError("nothing is pushed yet: make release-images release-chart")
    for name, digest in pushed.items():
        _run(["cosign", "sign", "--yes", f"{name}@{digest}"])


def wheels(uv: str, index: str) -> None:
    folder = RELEASE / "wheels"
    shutil.rmtree(folder, ignore_errors=True)
    for package in WHEELS:
        _run([uv, "build", "--quiet", "--wheel", "--package", package, "--out-dir", str(folder)])
    if index:
        _run([uv, "publish", "--publish-url", index, *map(str, sorted(folder.glob("*.whl")))])


def sbom(uv: str) -> None:
    export = [uv, "export", "--quiet", "--frozen", "--format", "cyclonedx1.5"]
    for service in (*IN_WORKSPACE, "cli"):
        package = ["--no-default-groups", "--package", f"edugraph-{service}"]
        target = ["--output-file", str(RELEASE / f"{service}.cdx.json")]
        _run([*export, *package, *_extras(service), *target])
    flower = ["--project", "services/flower", "--output-file", str(RELEASE / "flower.cdx.json")]
    _run([*export, *flower])


def _extras(service: str) -> list[str]:
    """Return the extras that the image of a service has, as its Dockerfile names them."""
    dockerfile = ROOT / "services" / service / "Dockerfile"
    if not dockerfile.exists():
        return []
    found = re.search(r'^ARG EXTRAS="(.*)"$', dockerfile.read_text(encoding="utf-8"), re.MULTILINE)
    return found[1].split() if found else []


def _pushed() -> dict[str, str]:
    noted = RELEASE / "pushed.json"
    if not noted.exists():
        return {}
    return dict(json.loads(noted.read_text(encoding="utf-8")))


def _note(pushed: dict[str, str]) -> None:
    text = json.dumps(_pushed() | pushed, indent=2) + "\n"
    (RELEASE / "pushed.json").write_text(text, encoding="utf-8")


def _digest(text: str, name: str) -> str:
    """Return a digest. Raises ReleaseError if the text is not one."""
    if not re.fullmatch(DIGEST_FORM, text):
        raise ReleaseError(f"no digest came back for {name}: {text[:200]!r}")
    return text


def _output(command: list[str]) -> str:
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        raise ReleaseError(f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr}")
    return done.stdout.strip()


def _run(command: list[str]) -> None:
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.DEVNULL, check=False)
    if done.returncode:
        raise ReleaseError(f"{' '.join(command)} ended with {done.returncode}")


def _registry(text: str) -> str:
    if not re.fullmatch(REGISTRY_FORM, text):
        raise argparse.ArgumentTypeError(f"{text!r} is not one: REGISTRY=registry.example.org")
    return text


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="release.py", description=__doc__)
    steps = parser.add_subparsers(dest="step", required=True)
    for name in ("images", "chart"):
        steps.add_parser(name).add_argument("registry", type=_registry)
    steps.add_parser("sign")
    with_wheels = steps.add_parser("wheels")
    with_wheels.add_argument("uv")
    with_wheels.add_argument("index", nargs="?", default="")
    steps.add_parser("sbom").add_argument("uv")
    chosen = parser.parse_args(arguments)
    RELEASE.mkdir(parents=True, exist_ok=True)
    try:
        if chosen.step == "images":
            images(chosen.registry)
        elif chosen.step == "chart":
            chart(chosen.registry)
        elif chosen.step == "sign":
            sign()
        elif chosen.step == "wheels":
            wheels(chosen.uv, chosen.index)
        else:
            sbom(chosen.uv)
    except (ReleaseError, FileNotFoundError) as error:
        print(f"release: {error}", file=sys.stderr)
        return 1
    print(f"release: {chosen.step} done")
    return 0


if __name__ == "__main__":
    sys.exit(main())
