"""Compare what users and servers see of two states of the code, so that a refactoring changes none of it.

Run `make freeze-record` on the state before, and `make freeze` after each step. A difference is
printed as a line that begins with `-` (before) or `+` (now). The run ends with 1 unless
`scripts/expected-changes.txt` has, for each difference, a line that the difference contains.
Descriptions in the API documents and the help of commands are left out, because they may be written
better.
"""

import argparse
import ast
import hashlib
import inspect
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import typer.main
from redis_users import files
from settings_page import SECTIONS, _default, _variable

import edugraph_client
from edugraph_analyzer.documents import Unreadable, read_document
from edugraph_analyzer.prompting.questions import messages_of, question_of
from edugraph_analyzer.settings import AnalyzerSettings
from edugraph_cli.main import app as command_line
from edugraph_common.contracts.findings import kind_to_read
from edugraph_common.contracts.personal_data import PLACES
from edugraph_common.contracts.records import parse_record
from edugraph_common.runtime.messaging.topology import dead_queues, policies, task_queues
from edugraph_common.runtime.service.metrics import INSTRUMENTS
from edugraph_gateway.app import make_application as make_gateway
from edugraph_gateway.gateway import open_gateway
from edugraph_gateway.settings import GatewaySettings
from edugraph_insights.app import make_application as make_insights
from edugraph_insights.insights import open_insights
from edugraph_insights.settings import InsightsSettings

ROOT = Path(__file__).resolve().parent.parent
RECORDED = ROOT / ".run" / "freeze.txt"
EXPECTED = ROOT / "scripts" / "expected-changes.txt"
# Files that count byte for byte: statements, scripts, prompts, the page, messages and what is deployed.
FILES = (
    "services/**/*.cypher",
    "**/*.lua",
    "services/analyzer/src/edugraph_analyzer/prompting/prompts/*",
    "services/insights/src/edugraph_insights/web/**/*",
    "tests/contract/golden/*",
    "deploy/k8s/**/*",
    "compose.yaml",
)
CODE = ("libs", "services", "cli")
NOWHERE = {
    "broker_url": "amqp://127.0.0.1:1//",
    "redis_url": "redis://127.0.0.1:1/0",
    "blob_url": "/nowhere",
}


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--record", action="store_true", help="write the state to .run/freeze.txt; compare nothing"
    )
    lines = sorted(set(state()))
    if parser.parse_args().record:
        RECORDED.parent.mkdir(exist_ok=True)
        RECORDED.write_text("\n".join(lines), encoding="utf-8")
        print(f"{len(lines)} lines recorded")
        return 0
    before = set(RECORDED.read_text(encoding="utf-8").splitlines())
    now = set(lines)
    expected = EXPECTED.read_text(encoding="utf-8").splitlines() if EXPECTED.exists() else []
    differences = [f"- {line}" for line in sorted(before - now)]
    differences += [f"+ {line}" for line in sorted(now - before)]
    unexpected = [line for line in differences if not _is_expected(line, expected)]
    print("\n".join(unexpected))
    print(
        f"{len(lines)} lines, {len(differences)} differ, {len(unexpected)} of them are not expected"
    )
    return int(bool(unexpected))


def _is_expected(difference: str, expected: list[str]) -> bool:
    return any(line and not line.startswith("#") and line in difference for line in expected)


def state() -> Iterator[str]:
    """Yield the state as lines that each begin with the name of their section."""
    sections: dict[str, Callable[[], Iterator[str]]] = {
        "api": _apis,
        "command": _commands,
        "metric": _metrics,
        "topology": _topology,
        "redis user": lambda: iter(files()["redis-users.conf"].splitlines()),
        "setting": _settings,
        "personal data": lambda: (str(place) for place in PLACES),
        "code": _words_in_code,
        "client": _client,
        "prompt": _prompts,
        "file": _files,
        "test": _tests,
    }
    for name, section in sections.items():
        for line in section():
            yield f"{name}: {line}".replace("\n", "\\n")


def _apis() -> Iterator[str]:
    gateway = make_gateway(open_gateway(GatewaySettings.model_validate(NOWHERE)))
    graph = {"neo4j_uri": "bolt://127.0.0.1:1", "neo4j_password": "nobody"}
    insights = make_insights(open_insights(InsightsSettings.model_validate({**NOWHERE, **graph})))
    for name, application in (("gateway", gateway), ("insights", insights)):
        yield from _leaves(name, application.openapi())


def _leaves(path: str, value: Any) -> Iterator[str]:
    """Yield each value of a document with its path, without descriptions."""
    if isinstance(value, dict):
        for name, inner in value.items():
            if name not in ("description", "summary", "title"):
                yield from _leaves(f"{path}/{name}", inner)
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _leaves(f"{path}/{number}", inner)
    else:
        yield f"{path} = {value!r}"


def _commands() -> Iterator[str]:
    waiting: list[tuple[str, Any]] = [("edugraph", typer.main.get_command(command_line))]
    while waiting:
        name, command = waiting.pop()
        yield name
        for parameter in command.params:
            spelling = " ".join([*parameter.opts, *parameter.secondary_opts])
            yield f"{name} {spelling} required={parameter.required} default={parameter.default}"
        for inner, subcommand in getattr(command, "commands", {}).items():
            waiting.append((f"{name} {inner}", subcommand))


def _metrics() -> Iterator[str]:
    for instrument in INSTRUMENTS:
        fields = {
            name: value for name, value in vars(instrument).items() if not name.startswith("_")
        }
        fields.pop("help", None)
        yield f"{type(instrument).__name__} {fields}"


def _topology() -> Iterator[str]:
    for queue in (*task_queues(), *dead_queues()):
        keys = sorted(binding.routing_key for binding in queue.bindings or ())
        yield f"{queue.name} {queue.routing_key} {keys} {queue.queue_arguments}"
    for name, policy in policies().items():
        yield f"policy {name} {json.dumps(policy, sort_keys=True, default=str)}"


def _settings() -> Iterator[str]:
    for section, model in SECTIONS.items():
        for name, field in model.model_fields.items():
            yield f"{section} {_variable(model, name, field)} {field.annotation} {_default(field)}"


def _words_in_code() -> Iterator[str]:
    """Yield the kinds of problems, the names of log events and audit entries, exit codes, and keys in Redis."""
    for folder in CODE:
        for path in (ROOT / folder).rglob("src/**/*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                yield from _words_of(node)


def _words_of(node: ast.AST) -> Iterator[str]:
    if (
        isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and re.match(r"edugraph:\w", node.value)
    ):
        yield f"key in Redis {node.value}"
    if not isinstance(node, ast.Call):
        return
    called = ast.unparse(node.func)
    texts = [str(each.value) for each in node.args if isinstance(each, ast.Constant)]
    if called == "Problem" and len(texts) >= 2:
        yield f"problem {texts[0]} {texts[1]}"
    if re.search(r"\blog\.(debug|info|warning|error|exception)$", called) and texts:
        yield f"log event {texts[0]}"
    if called in ("stop", "typer.Exit", "sys.exit"):
        yield f"exit {ast.unparse(node)[:60]}"


def _client() -> Iterator[str]:
    for name in edugraph_client.__all__:
        value = getattr(edugraph_client, name)
        yield name
        if inspect.isclass(value):
            for member, function in inspect.getmembers(value, callable):
                if not member.startswith("_"):
                    yield f"{name}.{member}{_signature(function)}"


def _signature(function: Callable[..., Any]) -> str:
    try:
        signature = str(inspect.signature(function))
    except ValueError:
        return "(…)"
    # A default that is a function is written with its address in memory, which differs in each run.
    return re.sub(r" at 0x[0-9a-f]+", "", signature)


def _prompts() -> Iterator[str]:
    """Yield the messages that are sent about the golden records."""
    settings = AnalyzerSettings.model_validate(NOWHERE)
    golden = ROOT / "tests" / "contract" / "golden" / "records.v1.ndjson"
    for line in golden.read_text(encoding="utf-8").splitlines():
        value = json.loads(line)
        kind = kind_to_read(parse_record(value))
        if kind is None:
            continue
        try:
            question = question_of(read_document(value, kind, ()), settings)
        except Unreadable:
            continue
        for message in messages_of(kind, [question], lambda: "0123456789ab"):
            yield f"{kind} {question.key} {json.dumps(message, ensure_ascii=False)}"


def _files() -> Iterator[str]:
    for pattern in FILES:
        for path in ROOT.glob(pattern):
            inside = path.relative_to(ROOT).as_posix()
            is_made = inside.startswith((".venv/", ".run/")) or "__pycache__" in path.parts
            if path.is_file() and not is_made:
                yield f"{inside} {hashlib.sha256(path.read_bytes()).hexdigest()[:16]}"


def _tests() -> Iterator[str]:
    command = [sys.executable, "-m", "pytest", "--collect-only", "-p", "no:cacheprovider"]
    collected = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    for line in collected.stdout.splitlines():
        file, separator, test = line.partition("::")
        if separator:
            # A test may move to another folder, and keeps its name.
            yield f"{Path(file).name}::{test}"


if __name__ == "__main__":
    sys.exit(main())
