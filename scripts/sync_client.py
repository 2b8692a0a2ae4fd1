"""Write the blocking client from the asynchronous one. `--check`, as in `make check`, only compares them."""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import unasync

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "libs" / "client" / "src" / "edugraph_client"
HEAD = "# Made from {source} by `make sync-client`: change that.\n"
NAMES = {
    "AsyncBaseTransport": "BaseTransport",
    "AsyncClient": "Client",
    "AsyncConnection": "Connection",
    "AsyncRetrying": "Retrying",
    "_async": "_sync",
    "_async_io": "_sync_io",
    "aclose": "close",
    "aiter_bytes": "iter_bytes",
    "aiter_lines": "iter_lines",
    "aread": "read",
    "asynccontextmanager": "contextmanager",
}


def made(folder: Path) -> dict[str, str]:
    """Return name of a module -> its text. `folder` is a temporary folder, which the caller deletes."""
    sources = sorted((PACKAGE / "_async").glob("*.py"))
    for source in sources:
        (folder / "_async" / source.name).write_text(
            source.read_text(encoding="utf-8"), encoding="utf-8"
        )
    rule = unasync.Rule(f"{folder}/_async/", f"{folder}/_sync/", additional_replacements=NAMES)
    unasync.unasync_files([str(folder / "_async" / source.name) for source in sources], [rule])
    out = folder / "_sync"
    config = ["--config", str(ROOT / "pyproject.toml"), "--quiet", str(out)]
    # The order of imports and the line breaks depend on the names.
    subprocess.run(
        [sys.executable, "-m", "ruff", "check", "--select", "I", "--fix", *config], check=True
    )
    subprocess.run([sys.executable, "-m", "ruff", "format", *config], check=True)
    return {
        path.name: HEAD.format(source=f"_async/{path.name}") + path.read_text(encoding="utf-8")
        for path in sorted(out.glob("*.py"))
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--check", action="store_true", help="write nothing; exit with 1 if a module differs"
    )
    check: bool = parser.parse_args().check
    with tempfile.TemporaryDirectory() as name:
        (Path(name) / "_async").mkdir()
        texts = made(Path(name))
    out = PACKAGE / "_sync"
    if not check:
        out.mkdir(exist_ok=True)
        for module, text in texts.items():
            (out / module).write_text(text, encoding="utf-8")
        return 0
    there = {path.name: path.read_text(encoding="utf-8") for path in out.glob("*.py")}
    if other := sorted(
        name for name in texts.keys() | there.keys() if texts.get(name) != there.get(name)
    ):
        print(
            f"edugraph_client/_sync is not what make sync-client makes of _async: {', '.join(other)}"
        )
    return 1 if other else 0


if __name__ == "__main__":
    sys.exit(main())
