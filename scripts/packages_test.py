"""`make packages-test`: wheels install alone from an index here, and the chart comes back from a registry here.

The wheels are built, and an index on the loopback serves them. All other packages come from the index that uv is set
to. In an empty folder `uvx` runs the command line, and a fresh environment imports the client and makes tables of
pandas. The chart is pushed as in a release; the one that the registry gives back must name our images by digest.
"""

import functools
import hashlib
import http.server
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from set_version import versions

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "deploy" / "images")]
import release  # noqa: E402

from tools.helm import program  # noqa: E402
from tools.servers import registry  # noqa: E402

PACKAGES = ("edugraph-common", "edugraph-client", "edugraph-cli")
CLIENT_SAYS = "from edugraph_client.tasks import import_batch_task; print('client imports')"
# The only test of `to_pandas`. The project's environment has no pandas: Neo4j's driver imports it wherever it is
# installed, which costs each process of the tests a quarter of its start.
FRAMES = """
from edugraph_client.answers import Answer, GraphAnswer, Node
rows = ({"point": "a", "share": 0.5}, {"point": "b", "share": None})
table = Answer.model_construct(rows=rows).to_pandas()
assert list(table["point"]) == ["a", "b"], table
assert table["share"].isna().tolist() == [False, True], table
node = Node(node="Student:s1", label="Student", name="s1")
nodes, relationships = GraphAnswer.model_construct(nodes=(node,)).to_pandas()
assert list(nodes["node"]) == ["Student:s1"], nodes
assert len(relationships) == 0, relationships
print("answers become tables of pandas")
"""


def main() -> int:
    uv = sys.argv[1] if len(sys.argv) > 1 else "uv"
    (version,) = set().union(*versions().values())
    with tempfile.TemporaryDirectory() as folder:
        wheels = Path(folder, "simple")
        for package in PACKAGES:
            build = [uv, "build", "--quiet", "--wheel", "--package", package]
            subprocess.run([*build, "--out-dir", wheels / package], cwd=ROOT, check=True)
        with served(Path(folder)) as address:
            empty = Path(folder, "empty")
            empty.mkdir()
            index = ["--index", f"{address}/simple", "--no-cache"]
            command = [uv, "tool", "run", *index, "--from", f"edugraph-cli=={version}"]
            said = output([*command, "edugraph", "--version"], empty)
            if said != version:
                print(f"the command line says {said}, and not {version}", file=sys.stderr)
                return 1
            print(f"edugraph-cli {said}: runs from an index, alone")
            alone = [uv, "run", "--no-project", *index]
            for package, program_text in (
                ("edugraph-client", CLIENT_SAYS),
                ("edugraph-client[pandas]", FRAMES),
            ):
                client = [*alone, "--with", f"{package}=={version}", "python", "-c", program_text]
                print(f"{package} {version}: {output(client, empty)}")
        problem = problem_of_chart(Path(folder), version)
    if problem:
        print(problem, file=sys.stderr)
        return 1
    print(f"chart {version}: comes from a registry, and names its images by digest")
    return 0


def problem_of_chart(folder: Path, version: str) -> str:
    """Push the chart to a registry here, and render what comes back. Return what is wrong with it."""
    release.RELEASE = folder / "release"
    release.RELEASE.mkdir()
    with registry.running(folder) as address:
        # No image is built here: each gets a digest of its own.
        images = {}
        for service in release.SERVICES:
            digest = hashlib.sha256(service.encode()).hexdigest()
            images[f"{address}/edugraph/{service}"] = f"sha256:{digest}"
        (release.RELEASE / "pushed.json").write_text(json.dumps(images), encoding="utf-8")
        release.chart(address)
        chart = [f"oci://{address}/charts/edugraph", "--plain-http", "--version", version]
        rendered = output([str(program("4")), "template", "edugraph", *chart], folder)
    named = set(re.findall(r"image: (\S+/edugraph/\S+)", rendered))
    expected = {f"{image}@{digest}" for image, digest in images.items()}
    if named != expected:
        return f"the chart of the registry names {sorted(named)}, and not {sorted(expected)}"
    return ""


def output(command: list[str], folder: Path) -> str:
    """Return what a command prints. It runs in a folder outside of the project, without the project's environment."""
    environment = {
        name: value
        for name, value in os.environ.items()
        if name not in ("UV_PROJECT_ENVIRONMENT", "VIRTUAL_ENV", "PYTHONPATH")
    }
    done = subprocess.run(
        command, cwd=folder, env=environment, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Serve a folder of wheels. Its lists of files are what an index of packages is (PEP 503)."""
    handler = functools.partial(Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Print nothing."""


if __name__ == "__main__":
    sys.exit(main())
