"""Builds the images: `make images`. With Docker, or with buildah where no Docker daemon answers.

    build.py [--only gateway,importer] [--servers] [--proxy] [--save FOLDER] [--push REGISTRY [--tag TAG]]

With buildah no registry can be asked for a base image, so the base is made from Debian packages. --servers makes
images of RabbitMQ, Redis and Neo4j too, from packages, for tests on machines without a registry. --save writes one
archive for each image. Names: edugraph/SERVICE:VERSION and edugraph-test/SERVER:1. --push (`make images-push`) puts the
services' images into a registry as REGISTRY/edugraph/SERVICE:TAG, where the chart with images.registry=REGISTRY and
images.tag=TAG looks for them; TAG is VERSION unless it is given.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(ROOT))
from dev.debian import packages as debian  # noqa: E402
from tools import cache, docker  # noqa: E402
from tools.common import ServerError  # noqa: E402
from tools.servers.checkout import Checkout  # noqa: E402
from tools.servers.neo4j import DEFAULT_VERSION, Neo4j  # noqa: E402

SERVICES = ("gateway", "insights", "importer", "analyzer", "flower")
SERVERS = ("rabbitmq", "redis", "neo4j")
# Megabytes that a service may add to its base; S3's client is 45 of them, and of the importer's
# rustworkx with numpy 65, and the readers of workbooks and Parquet 36. DuckDB is 70 of insights (ADR 127), and apprise
# with its bytecode about 20 (ADR 156).
LARGEST = dict.fromkeys(SERVICES, 240) | {"insights": 320}
AUTHORITIES = Path("/etc/ssl/certs/ca-certificates.crt")
BASES = {
    "base": (
        "edugraph-test/debian-python:13",
        ["ca-certificates", "python3-minimal", "python3-venv"],
    ),
    "servers": (
        "edugraph-test/debian-servers:13",
        ["openjdk-21-jre-headless", "rabbitmq-server", "redis-server"],
    ),
}


def say(text: str) -> None:
    print(f"images: {text}", flush=True)


class Engine:
    """What builds, and where its images are kept."""

    builds_with: list[str]
    keeps_with: list[str]
    base: str

    def image(self, name: str) -> str:
        """The name under which a cluster's containerd looks for `name` as well."""
        return name

    def build(self, image: str, dockerfile: Path, folder: Path, arguments: dict[str, str]) -> None:
        options = [
            part for key, value in arguments.items() for part in ("--build-arg", f"{key}={value}")
        ]
        _run(
            [
                *self.builds_with,
                "--tag",
                self.image(image),
                "--file",
                str(dockerfile),
                *options,
                str(folder),
            ]
        )

    def size(self, image: str) -> int:
        command = [*self.keeps_with, "image", "inspect", "--format", "{{.Size}}", image]
        return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)

    def save(self, image: str, archive: Path) -> None:
        archive.unlink(missing_ok=True)
        _run([*self.keeps_with, "save", "--output", str(archive), self.image(image)])

    def push(self, image: str, target: str) -> None:
        raise NotImplementedError


class Docker(Engine):
    builds_with = ["docker", "build"]
    keeps_with = ["docker"]

    def __init__(self, base: str) -> None:
        self.base = base

    def push(self, image: str, target: str) -> None:
        _run(["docker", "tag", image, target])
        _run(["docker", "push", "--quiet", target])


class Buildah(Engine):
    keeps_with = ["podman"]

    def __init__(self) -> None:
        for command in ("buildah", "podman", "runc"):
            debian.need_command(command, command)
        # HEALTHCHECK exists in Docker's format only; the other runtime, crun, refuses hybrid control groups.
        self.builds_with = [
            "buildah",
            "build",
            "--layers",
            "--format",
            "docker",
            "--runtime",
            "runc",
        ]
        if AUTHORITIES.exists():
            # Behind a company's proxy: for the build alone, it does not get into the image.
            self.builds_with.append(f"--volume={AUTHORITIES}:{AUTHORITIES}:ro")
        self.base = debian_image(self, "base")

    def image(self, name: str) -> str:
        return name if "." in name.split("/", maxsplit=1)[0] else f"docker.io/{name}"

    def push(self, image: str, target: str) -> None:
        # Docker, too, asks for no certificate of a registry on the loopback.
        loopback = re.match(r"(127\.\d+\.\d+\.\d+|localhost)(:\d+)?/", target) is not None
        _run(
            [
                "podman",
                "push",
                f"--tls-verify={not loopback}",
                self.image(image),
                f"docker://{target}",
            ]
        )


def debian_image(engine: Engine, which: str) -> str:
    """A minimal Debian 13 with some packages. The folder is kept for all checkouts, the image by the engine."""
    name, packages = BASES[which]
    there = subprocess.run(
        [*engine.keeps_with, "image", "inspect", engine.image(name)],
        capture_output=True,
        check=False,
    )
    if there.returncode:
        folder = cache.built(
            f"image-{which}-{debian.RELEASE}", lambda path, lock: _bootstrap(path, lock, packages)
        )
        say(f"{name} from Debian packages: {', '.join(packages)}")
        left_out = [
            "./var/cache/apt/archives/*.deb",
            "./var/lib/apt/lists/*",
            "./usr/share/doc/*",
            "./usr/share/man/*",
        ]
        tar = [
            "tar",
            "-C",
            str(folder),
            *(f"--exclude={pattern}" for pattern in left_out),
            "-c",
            ".",
        ]
        with subprocess.Popen(tar, stdout=subprocess.PIPE) as packed:
            command = [*engine.keeps_with, "import", "-", engine.image(name)]
            subprocess.run(command, stdin=packed.stdout, stdout=subprocess.DEVNULL, check=True)
        if packed.returncode:
            raise ServerError(f"tar could not pack {folder}")
    return engine.image(name)


def _bootstrap(folder: Path, lock: int, packages: list[str]) -> None:
    debian.need_command("debootstrap", "debootstrap")
    say(f"getting Debian 13 with {', '.join(packages)} (one to two minutes)")
    mirror = (
        [os.environ["EDUGRAPH_DEBIAN_MIRROR"]] if os.environ.get("EDUGRAPH_DEBIAN_MIRROR") else []
    )
    options = ["--variant=minbase", "--force-check-gpg", f"--include={','.join(packages)}"]
    command = [*debian.OWN_MOUNTS, "debootstrap", *options, debian.RELEASE, str(folder), *mirror]
    cache.run_logged(command, cache.folder() / f"debootstrap-{folder.name}.log", lock)


def engine() -> Engine:
    base = os.environ.get("BASE_IMAGE", "")
    if docker.answers():
        say("building with Docker")
        return Docker(base or "python:3.13-slim")
    say("no Docker daemon answers: building with buildah, on a base made from Debian packages")
    if os.geteuid() or debian.debian_number() is None:
        raise ServerError("without Docker this needs root on Debian; or start Docker")
    chosen = Buildah()
    chosen.base = base or chosen.base
    return chosen


def build_services(chosen: Engine, names: list[str]) -> dict[str, int]:
    """Megabytes that each adds to its base."""
    base, sizes = chosen.size(chosen.base), {}
    arguments = {"BASE": chosen.base, "VERSION": version(), "REVISION": _revision()}
    for name in names:
        dockerfile = ROOT / "services" / name / "Dockerfile"
        if not dockerfile.exists():
            say(f"{name}: there is no {dockerfile.relative_to(ROOT)}; left out")
            continue
        image = f"edugraph/{name}:{version()}"
        chosen.build(image, dockerfile, ROOT, arguments)
        whole = chosen.size(chosen.image(image))
        sizes[name] = (whole - base) // 1_000_000
        say(
            f"{image}: {whole // 1_000_000} MB, {sizes[name]} MB without its base of {base // 1_000_000} MB"
        )
    return sizes


def build_proxy(chosen: Engine) -> None:
    """A stand-in for Caddy's image where no registry is, with the program of the development environment."""
    if not isinstance(chosen, Buildah):
        return
    program = ROOT / ".venv" / "bin" / "caddy"
    if not program.exists():
        raise ServerError("there is no .venv/bin/caddy for the stand-in of the proxy: make env-dev")
    context = cache.folder() / "image-caddy"
    shutil.rmtree(context, ignore_errors=True)
    context.mkdir(parents=True)
    shutil.copy(program, context / "caddy")
    shutil.copy(HERE / "servers" / "caddy.Dockerfile", context)
    base = debian_image(chosen, "servers")
    chosen.build("edugraph-test/caddy:1", context / "caddy.Dockerfile", context, {"BASE": base})
    say("edugraph-test/caddy:1 is built")


def build_servers(chosen: Engine) -> None:
    """Stand-ins for the official images where no registry is: the same commands, settings and folders."""
    if not isinstance(chosen, Buildah):
        return
    base = debian_image(chosen, "servers")
    jars = cache.built(f"neo4j-{DEFAULT_VERSION}", Neo4j(Checkout(ROOT))._get_jars)  # noqa: SLF001
    for name in SERVERS:
        folder = jars if name == "neo4j" else HERE / "servers"
        context = HERE / "servers"
        if name == "neo4j":
            # The scripts lie beside the jars for the time of the build: a build sees one folder only.
            context = cache.folder() / "image-neo4j"
            shutil.rmtree(context, ignore_errors=True)
            shutil.copytree(HERE / "servers", context)
            shutil.copytree(folder, context / "lib")
        chosen.build(
            f"edugraph-test/{name}:1", context / f"{name}.Dockerfile", context, {"BASE": base}
        )
        say(f"edugraph-test/{name}:1 is built")


def build_next_importer(chosen: Engine) -> None:
    """An importer of an invented later release, for the tests of an upgrade."""
    base = chosen.image(f"edugraph/importer:{version()}")
    folder = HERE / "servers"
    chosen.build(
        "edugraph/importer:next", folder / "next_importer.Dockerfile", folder, {"BASE": base}
    )
    say("edugraph/importer:next is built")


def push_services(chosen: Engine, names: list[str], registry: str, tag: str) -> None:
    for name in names:
        target = f"{registry}/edugraph/{name}:{tag}"
        chosen.push(f"edugraph/{name}:{version()}", target)
        say(f"{target} is pushed")


def version() -> str:
    """The chart's appVersion, by which it looks for the images."""
    text = (ROOT / "deploy" / "k8s" / "Chart.yaml").read_text(encoding="utf-8")
    found = re.search(r"^appVersion: *(\S+)$", text, re.MULTILINE)
    assert found
    return found[1]


def _revision() -> str:
    done = subprocess.run(
        ["git", "-C", ROOT, "rev-parse", "HEAD"], capture_output=True, text=True, check=False
    )
    return done.stdout.strip() or "unknown"


def _run(command: list[str]) -> None:
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if done.returncode:
        output = "\n".join((done.stdout + done.stderr).splitlines()[-30:])
        raise ServerError(f"{' '.join(command)}\nended with {done.returncode}:\n{output}")


def main() -> int:
    parser = argparse.ArgumentParser(prog="build.py", description="Builds the images.")
    parser.add_argument("--only", default=",".join(SERVICES), metavar="NAME,...")
    parser.add_argument(
        "--servers", action="store_true", help="images of RabbitMQ, Redis and Neo4j too, for tests"
    )
    parser.add_argument("--proxy", action="store_true", help="an image of Caddy too, for compose")
    parser.add_argument(
        "--save", type=Path, metavar="FOLDER", help="write an archive of each image"
    )
    parser.add_argument("--push", metavar="REGISTRY", help="such as registry.example.org/school")
    parser.add_argument(
        "--tag", default="", help="of the images that are pushed; default: the chart's appVersion"
    )
    options = parser.parse_args()
    if options.push is not None and not re.fullmatch(
        r"\w[\w.-]*(:\d+)?(/[a-z0-9._-]+)*", options.push
    ):
        parser.error(
            f"--push {options.push!r} is no registry; `make images-push REGISTRY=registry.example.org/school`"
        )
    try:
        chosen = engine()
        sizes = build_services(chosen, options.only.split(","))
        if options.servers:
            build_servers(chosen)
            if "importer" in sizes:
                build_next_importer(chosen)
        if options.proxy:
            build_proxy(chosen)
        if options.save:
            _save(chosen, list(sizes), options)
        if options.push:
            push_services(chosen, list(sizes), options.push, options.tag or version())
    except ServerError as error:
        say(str(error))
        return 1
    except subprocess.CalledProcessError as error:
        say(f"{error}: {json.dumps((error.stderr or b'')[-2000:], default=str)}")
        return 1
    large = [name for name, size in sizes.items() if size >= LARGEST[name]]
    for name in large:
        say(f"{name}: more than {LARGEST[name]} MB without its base")
    return 1 if large else 0


def _save(chosen: Engine, services: list[str], options: argparse.Namespace) -> None:
    folder: Path = options.save
    folder.mkdir(parents=True, exist_ok=True)
    images = {name: f"edugraph/{name}:{version()}" for name in services}
    stand_ins: tuple[str, ...] = ()
    if isinstance(chosen, Buildah):
        if options.servers:
            stand_ins = SERVERS
        if options.proxy:
            stand_ins = (*stand_ins, "caddy")
    images |= {name: f"edugraph-test/{name}:1" for name in stand_ins}
    if options.servers and "importer" in services:
        images["importer-next"] = "edugraph/importer:next"
    for name, image in images.items():
        chosen.save(image, folder / f"{name}.tar")


if __name__ == "__main__":
    sys.exit(main())
