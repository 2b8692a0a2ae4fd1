"""The chart rendered by real Helm, without a cluster. Every rendering is kept: many tests look at the same one."""

import functools
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tools.helm import program

CHART = Path(__file__).resolve().parent.parent
APIS = ("keda.sh/v1alpha1", "monitoring.coreos.com/v1", "gateway.networking.k8s.io/v1")
EXAMPLES = ("default", "minimal", "small", "production", "everything")

USERS = CHART / "files" / "redis-users.conf"

Object = dict[str, Any]


class NoDuplicates(yaml.CSafeLoader):
    """Helm takes a key that stands twice; Flux, kubectl and readers do not."""


def _mapping(loader: yaml.CSafeLoader, node: yaml.MappingNode) -> dict[Any, Any]:
    keys = [key.value for key, _ in node.value]
    twice = {key for key in keys if keys.count(key) > 1}
    if twice:
        raise AssertionError(f"{sorted(twice)} stand twice in one mapping, {node.start_mark}")
    return loader.construct_mapping(node, deep=True)


NoDuplicates.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


@functools.cache
def _run(helm: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [str(program(helm)), *arguments]
    return subprocess.run(command, cwd=CHART, capture_output=True, text=True, check=False)


@functools.cache
def _parse(text: str) -> list[Object]:
    """Shared by the tests: nobody may change it."""
    return [document for document in yaml.load_all(text, NoDuplicates) if document]


def _arguments(example: str, settings: tuple[str, ...], apis: tuple[str, ...]) -> list[str]:
    files = [] if example == "default" else ["--values", f"examples/{example}.yaml"]
    sets = [part for setting in settings for part in ("--set-json", setting)]
    return [*files, *sets, *(part for api in apis for part in ("--api-versions", api))]


class Chart:
    """What one Helm makes of the chart. Settings are PATH=JSON."""

    def __init__(self, helm: str) -> None:
        self.helm = helm

    def render(
        self, *settings: str, example: str = "default", apis: tuple[str, ...] = APIS
    ) -> list[Object]:
        done = _run(self.helm, "template", "edugraph", ".", *_arguments(example, settings, apis))
        assert done.returncode == 0, done.stderr
        return _parse(done.stdout)

    def refusal(
        self, *settings: str, example: str = "default", apis: tuple[str, ...] = APIS
    ) -> str:
        """What Helm says when it does not render."""
        done = _run(self.helm, "template", "edugraph", ".", *_arguments(example, settings, apis))
        assert done.returncode != 0, f"{settings} should have been refused"
        return done.stderr

    def lint(self, example: str) -> str:
        done = _run(self.helm, "lint", "--strict", ".", *_arguments(example, (), ()))
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def notes(self, *settings: str) -> str:
        """Helm 3 asks for a cluster even in a dry run, so its notes are seen by `make kube-test` only."""
        install = ("install", "edugraph", ".", "--dry-run=client", "--namespace", "school")
        done = _run(self.helm, *install, *_arguments("default", settings, ()))
        assert done.returncode == 0, done.stderr
        return done.stdout.split("NOTES:", 1)[1]


@pytest.fixture(params=["3", "4"], ids=["helm3", "helm4"])
def chart(request: pytest.FixtureRequest) -> Chart:
    return Chart(request.param)


@pytest.fixture(params=EXAMPLES)
def example(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def _pods(objects: list[Object]) -> Iterator[tuple[str, Object]]:
    for item in objects:
        name = f"{item['kind']}/{item['metadata']['name']}"
        if item["kind"] == "Pod":
            yield name, item["spec"]
        elif "template" in item.get("spec", {}):
            yield name, item["spec"]["template"]["spec"]
        elif item["kind"] == "CronJob":
            yield name, item["spec"]["jobTemplate"]["spec"]["template"]["spec"]


@pytest.fixture
def pods() -> Callable[[list[Object]], dict[str, Object]]:
    """Pod specs by the name of what makes the pods."""
    return lambda objects: dict(_pods(objects))


@pytest.fixture
def find() -> Callable[..., Object]:
    """The one object of a kind and name."""

    def found(objects: list[Object], kind: str, name: str) -> Object:
        (match,) = [o for o in objects if o["kind"] == kind and o["metadata"]["name"] == name]
        return match

    return found


def containers(spec: Object) -> list[Object]:
    return [*spec.get("initContainers", []), *spec["containers"]]


def variables(container: Object) -> dict[str, Object]:
    """The variables of a container's own list, by name."""
    return {entry["name"]: entry for entry in container.get("env", [])}


def user_lines(script: str, folder: Path, variables: set[str]) -> set[str]:
    """The users in the configuration with which a start script would start Redis; a user's password is p&/$SERVICE.

    The script has only `variables`.
    """
    configuration = folder / "redis.conf"
    # The loop that ends old entries of the audit log is over when it cannot sleep.
    for name, status in (("redis-server", 0), ("sleep", 1)):
        program = folder / name
        program.write_text(f"#!/bin/sh\nexit {status}\n")
        program.chmod(0o755)
    passwords = {
        name: f"p&/${name.split('_')[1].lower()}" for name in variables if name.startswith("REDIS_")
    }
    environment = {"PATH": f"{folder}:{os.environ['PATH']}", **passwords}
    script = script.replace("/tmp/redis.conf", str(configuration))
    subprocess.run(["sh", "-c", script], env=environment, check=True, timeout=60)
    lines = configuration.read_text().splitlines()
    assert any(line.startswith("requirepass ") for line in lines)
    return {line for line in lines if line.startswith("user ")}
