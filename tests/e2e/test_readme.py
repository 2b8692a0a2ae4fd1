"""The commands of both READMEs, as they are written, in a fresh copy of this checkout and without uv on the PATH.

The copy has an environment, a gateway and workers of its own, on the servers of the test run. It never meets a stack
that runs in this checkout: where the port that the READMEs name is taken, the copy's gateway takes another one, and
the reader runs the line that `make up` prints for that case.
"""

import os
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import guard
import httpx
import pytest
from addresses import with_authorities
from engines import CHECKOUT, own_vhost

from tools.servers.server import PROJECT_NAMES

pytestmark = [pytest.mark.real, pytest.mark.timeout(240)]
URL = "http://127.0.0.1:8080"
# A reader's shell has no settings of the test run, and `make` inside of `make test` would inherit its options.
NOT_THE_READERS = (
    "EDUGRAPH_",
    "OPENAI_",
    "MAKE",
    "MFLAGS",
    "UV_PROJECT_ENVIRONMENT",
    "VIRTUAL_ENV",
)


def commands(readme: str) -> list[str]:
    """The lines of the block that begins with `make up`."""
    text = (CHECKOUT / readme).read_text(encoding="utf-8")
    blocks = re.findall(r"^```\n(make up.*?)^```$", text, re.DOTALL | re.MULTILINE)
    assert len(blocks) == 1, f"{readme} has {len(blocks)} blocks that begin with `make up`"
    return blocks[0].splitlines()


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files that git knows or would take, uncommitted changes included."""
    folder = tmp_path_factory.mktemp("readme") / "edugraph"
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=CHECKOUT,
        capture_output=True,
        check=True,
    )
    for name in filter(None, os.fsdecode(listed.stdout).split("\0")):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileNotFoundError):  # deleted, and not committed yet
            shutil.copy2(CHECKOUT / name, folder / name)
    # What `make` would fetch with pip; the run of the tests has it already.
    uv = shutil.which("uv") or CHECKOUT / ".run" / "uv" / "bin" / "uv"
    (folder / ".run" / "uv" / "bin").mkdir(parents=True)
    (folder / ".run" / "uv" / "bin" / "uv").symlink_to(uv)
    return folder


@pytest.fixture(scope="module")
def path_without_uv(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Links to all of its other programs take the place of a folder of PATH that has uv."""
    folders = [Path(folder) for folder in os.environ["PATH"].split(os.pathsep)]
    for place, folder in enumerate(folders):
        if (folder / "uv").exists():
            folders[place] = tmp_path_factory.mktemp("bin")
            for program in folder.iterdir():
                if program.name not in ("uv", "uvx"):
                    (folders[place] / program.name).symlink_to(program)
    return os.pathsep.join(map(str, folders))


@pytest.fixture
def shell(path_without_uv: str) -> Iterator[dict[str, str]]:
    """The environment of a reader who has given servers to `make`, which then starts none."""
    with own_vhost() as servers:
        guard.empty_graph(servers)
        shells = with_authorities(os.environ)  # uv may have to fetch a package
        own = {
            name: value for name, value in shells.items() if not name.startswith(NOT_THE_READERS)
        }
        given = {name: servers[ours] for name, ours in PROJECT_NAMES.items()}
        yield {**own, **given, "PATH": path_without_uv}


def run(line: str, folder: Path, shell: dict[str, str]) -> str:
    done = subprocess.run(
        ["bash", "-c", line],
        cwd=folder,
        env=shell,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.mark.parametrize(
    ("readme", "taken"),
    [
        pytest.param("README.md", False, id="README.md, port 8080"),
        pytest.param("README.zh-CN.md", True, id="README.zh-CN.md, port 8080 taken"),
    ],
)
def test_the_commands_work_as_they_are_written(
    readme: str, taken: bool, copy: Path, shell: dict[str, str]
) -> None:
    assert shutil.which("uv", path=shell["PATH"]) is None
    up, first, second, summary, down = commands(readme)
    with ExitStack() as stack:
        if taken:
            with suppress(OSError):  # it was taken before
                stack.enter_context(socket.create_server(("127.0.0.1", 8080)))
        stack.callback(
            subprocess.run, ["make", "down"], cwd=copy, env=shell, capture_output=True, check=False
        )
        said = run(up, copy, shell)
        url = re.search(r"^EduGraph: (\S+)", said, re.MULTILINE)
        assert url, said
        to_export = re.findall(r"^export EDUGRAPH_URL=(.+)$", said, re.MULTILINE)
        assert to_export == ([] if url[1] == URL else [url[1]]), said
        if taken:
            assert url[1] != URL
        if to_export:
            shell["EDUGRAPH_URL"] = to_export[0]
        assert "succeeded" in run(first, copy, shell)
        assert "Accepted as job" in run(second, copy, shell)
        students = re.search(r"Student +(\d+)", run(summary, copy, shell))
        assert students
        assert int(students[1]) > 0
        run(down, copy, shell)
    with pytest.raises(httpx.HTTPError):
        httpx.get(f"{url[1]}/healthz", timeout=5)


def test_both_readmes_have_the_same_commands() -> None:
    english, chinese = (
        [line.split("#", 1)[0].strip() for line in commands(readme)]
        for readme in ("README.md", "README.zh-CN.md")
    )
    assert english == chinese
