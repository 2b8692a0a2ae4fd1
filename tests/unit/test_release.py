"""The steps of a release, with stand-ins for docker, cosign and uv that note how they are called.

Docker's buildx and cosign are not to be had in the tests.
"""

import json
import os
import sys
from pathlib import Path
from types import ModuleType

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
REGISTRY = "registry.example.org/school"
SERVICES = ("gateway", "insights", "importer", "analyzer", "flower")
BASE_DIGEST = "sha256:" + "b" * 64
# Notes its arguments, and answers as docker does.
STAND_IN = """#!{python}
import json, pathlib, sys
arguments = sys.argv[1:]
with open("{calls}", "a") as calls:
    calls.write(json.dumps(["{name}", *arguments]) + "\\n")
if "inspect" in arguments:
    print("{base}")
if "--metadata-file" in arguments:
    file = pathlib.Path(arguments[arguments.index("--metadata-file") + 1])
    digest = "sha256:" + file.stem.encode().hex().ljust(64, "0")[:64]
    file.write_text(json.dumps({{"containerimage.digest": digest}}))
"""


def digest_of(service: str) -> str:
    return "sha256:" + service.encode().hex().ljust(64, "0")[:64]


@pytest.fixture
def release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "deploy" / "images"))
    import release as module

    programs = tmp_path / "programs"
    programs.mkdir()
    for name in ("docker", "cosign"):
        text = STAND_IN.format(
            python=sys.executable, calls=tmp_path / "calls", name=name, base=BASE_DIGEST
        )
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.setattr(module, "RELEASE", tmp_path / "release")
    monkeypatch.setattr(module, "ROOT", ROOT)
    module.RELEASE.mkdir()
    return module


def calls(folder: Path) -> list[list[str]]:
    return [json.loads(line) for line in (folder / "calls").read_text().splitlines()]


def after(call: list[str], option: str) -> list[str]:
    return [call[place + 1] for place, word in enumerate(call) if word == option]


def test_each_image_is_built_for_both_systems_on_one_base_with_a_digest(
    release: ModuleType, tmp_path: Path
) -> None:
    """To take the guard out: leave `--sbom=true` or the digest of the base out."""
    release.images(REGISTRY)
    builds = [call for call in calls(tmp_path) if "build" in call]
    assert [after(call, "--tag") for call in builds] == [
        [f"{REGISTRY}/edugraph/{service}:{release.version()}"] for service in SERVICES
    ]
    for call in builds:
        assert after(call, "--platform") == ["linux/amd64,linux/arm64"]
        assert {"--sbom=true", "--provenance=mode=max", "--push"} <= set(call)
        assert f"BASE=python:3.13-slim@{BASE_DIGEST}" in after(call, "--build-arg")
        (dockerfile,) = after(call, "--file")
        assert "ARG BASE=python:3.13-slim\n" in Path(dockerfile).read_text()
    assert release._pushed() == {
        f"{REGISTRY}/edugraph/{service}": digest_of(service) for service in SERVICES
    }


def test_everything_that_was_pushed_is_signed_by_its_digest(
    release: ModuleType, tmp_path: Path
) -> None:
    release.images(REGISTRY)
    release._note({f"{REGISTRY}/charts/edugraph": digest_of("chart")})
    release.sign()
    signed = [call[-1] for call in calls(tmp_path) if call[0] == "cosign"]
    assert signed == [
        *(f"{REGISTRY}/edugraph/{service}@{digest_of(service)}" for service in SERVICES),
        f"{REGISTRY}/charts/edugraph@{digest_of('chart')}",
    ]


def test_nothing_is_signed_before_something_is_pushed(release: ModuleType) -> None:
    with pytest.raises(release.ReleaseError, match="nothing is pushed yet"):
        release.sign()


@pytest.mark.parametrize("said", ["", "latest", "sha256:123", "sha256:" + "G" * 64])
def test_what_is_no_digest_is_not_taken(release: ModuleType, said: str) -> None:
    with pytest.raises(release.ReleaseError, match="no digest came back"):
        release._digest(said, "an image")


def test_the_released_chart_names_each_image_by_its_digest(release: ModuleType) -> None:
    release.images(REGISTRY)
    before = (ROOT / "deploy/k8s/values.yaml").read_text(encoding="utf-8")
    released = release.released_values(before, REGISTRY, release._pushed())
    values = yaml.safe_load(released)
    assert values["images"]["registry"] == REGISTRY
    for service in SERVICES:
        assert values[service]["image"]["digest"] == digest_of(service)
    # Nothing else differs.
    values["images"]["registry"] = ""
    for service in SERVICES:
        values[service]["image"]["digest"] = ""
    assert values == yaml.safe_load(before)


def test_a_chart_without_one_of_its_images_is_not_released(release: ModuleType) -> None:
    release.images(REGISTRY)
    pushed = release._pushed()
    del pushed[f"{REGISTRY}/edugraph/importer"]
    text = (ROOT / "deploy/k8s/values.yaml").read_text(encoding="utf-8")
    with pytest.raises(release.ReleaseError, match="the image importer is not pushed"):
        release.released_values(text, REGISTRY, pushed)
    # Images of another registry do not count.
    with pytest.raises(release.ReleaseError, match="is not pushed to"):
        release.released_values(text, "other.example.org", release._pushed())


@pytest.mark.parametrize("registry", ["", "oci://a", "a b", "a/UPPER", "a;b", "https://a.example"])
def test_what_is_no_registry_is_refused(release: ModuleType, registry: str) -> None:
    for step in ("images", "chart"):
        with pytest.raises(SystemExit, match="2"):
            release.main([step, registry])
    assert not (release.RELEASE / "pushed.json").exists()


def test_the_packages_of_each_service_are_written_as_cyclonedx(release: ModuleType) -> None:
    uv = ROOT / ".run/uv/bin/uv"
    release.sbom(str(uv) if uv.exists() else "uv")
    for name in (*SERVICES, "cli"):
        bom = json.loads((release.RELEASE / f"{name}.cdx.json").read_text(encoding="utf-8"))
        assert bom["bomFormat"] == "CycloneDX"
        names = {each["name"] for each in bom["components"]}
        assert len(names) > 10
        assert not names & {"pytest", "ruff", "mypy"}, name
    gateway = json.loads((release.RELEASE / "gateway.cdx.json").read_text(encoding="utf-8"))
    # Its image has these two by extras.
    assert {"s3fs", "opentelemetry-sdk"} <= {each["name"] for each in gateway["components"]}
