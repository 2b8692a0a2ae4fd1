"""Mutation testing: change a module in one small place, run the tests that guard it, and see whether one fails.

`make mutants` (or `make mutants MODULE=limiter`) makes COUNT mutants of each module, chosen by SEED. It prints each
survivor and a table, writes .run/mutants/MODULE.json, and exits with 1 if the tests kill fewer than 90 % of the
mutants that are not equivalent. tests/mutation/modules.toml has the files of each module and the tests that guard it.
tests/mutation/equivalent.toml has the equivalent mutants, each with its reason.

A run collects the tests once and then forks for each mutant. In the child, the code of the mutated function is
replaced. A mutant outside of functions needs a fresh import, in a child that was forked before any module of ours was
loaded. Each survivor is tried in this way too, since its function may have been used during the import. Files are not
changed, so nothing has to be restored. A child that takes ten times as long as the tests hangs: it is ended, and the
mutant counts as killed.
"""

import argparse
import ctypes
import gc
import importlib.abc
import importlib.machinery
import importlib.util
import json
import os
import random
import resource
import signal
import sys
import time
import tomllib
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import _lru_cache_wrapper, partial
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

import pytest
from mutations import ROOT, Mutant, mutants_of

MODULES = ROOT / "tests" / "mutation" / "modules.toml"
EQUIVALENT = ROOT / "tests" / "mutation" / "equivalent.toml"
RESULTS = ROOT / ".run" / "mutants"
SHARE_KILLED = 0.90
SHORTEST_TIME_OUT_SECONDS = 20.0
PASSED, FAILED, NOT_IN_PLACE = 0, 1, 90  # exit codes of a child
SUBREAPER = 36  # prctl's PR_SET_CHILD_SUBREAPER


@dataclass(frozen=True)
class Module:
    name: str
    files: tuple[Path, ...]
    guards: tuple[str, ...]

    def mutants(self) -> list[Mutant]:
        return [mutant for file in self.files for mutant in mutants_of(file)]

    def pytest_arguments(self, seed: int) -> list[str]:
        return [
            *(str(ROOT / guard) if guard.endswith(".py") else guard for guard in self.guards),
            *(
                "-m",
                "not real",
                "-q",
                "--no-header",
                "--no-summary",
                "-p",
                "no:cacheprovider",
                "--tb=no",
            ),
            *(
                "-W",
                "ignore::pytest.PytestAssertRewriteWarning",
                f"--hypothesis-seed={seed}",
                f"--rootdir={ROOT}",
            ),
        ]


def load_modules() -> dict[str, Module]:
    named = tomllib.loads(MODULES.read_text(encoding="utf-8"))
    return {
        name: Module(name, tuple(ROOT / file for file in one["files"]), tuple(one["guards"]))
        for name, one in named.items()
    }


def load_equivalents() -> dict[str, str]:
    """Return name of an equivalent mutant -> reason."""
    return dict(tomllib.loads(EQUIVALENT.read_text(encoding="utf-8")))


def chosen(module: Module, seed: int, count: int) -> list[Mutant]:
    mutants = module.mutants()
    drawing = random.Random(f"{seed} {module.name}")  # noqa: S311
    picked = drawing.sample(range(len(mutants)), min(count, len(mutants)))
    return [mutants[number] for number in sorted(picked)]


# --- in a child ---------------------------------------------------------------------------------------------------


def put_in_place(mutant: Mutant) -> bool:
    """Replace the code of the loaded functions. Return False if a fresh import is needed instead."""
    if mutant.file.suffix == ".lua":
        mutate_script(mutant)
        return True
    new = _functions(mutant.code())
    done = False
    for found in gc.get_objects():
        if isinstance(found, FunctionType) and found.__code__.co_filename == str(mutant.file):
            code = new.get((found.__code__.co_qualname, found.__code__.co_firstlineno))
            if found.__code__.co_qualname == mutant.function and code is not None:
                if code.co_freevars != found.__code__.co_freevars:
                    return False
                found.__code__, done = code, True
        elif isinstance(found, _lru_cache_wrapper) and (found.__module__ or "").startswith(
            "edugraph"
        ):
            found.cache_clear()
    return done


def _functions(code: CodeType) -> dict[tuple[str, int], CodeType]:
    within = {(code.co_qualname, code.co_firstlineno): code}
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            within |= _functions(constant)
    return within


def mutate_script(mutant: Mutant) -> None:
    original = Path.read_text

    def read_text(self: Path, *arguments: Any, **options: Any) -> str:
        return mutant.text if self == mutant.file else original(self, *arguments, **options)

    Path.read_text = read_text  # type: ignore[method-assign]


class MutatedImport(importlib.abc.MetaPathFinder):
    """Imports the mutated module instead of the module in the file."""

    def __init__(self, mutant: Mutant) -> None:
        parts = mutant.file.with_suffix("").parts
        self._name, self._mutant = ".".join(parts[parts.index("src") + 1 :]), mutant

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        del path, target
        if fullname != self._name:
            return None
        mutant = self._mutant

        class Loader(importlib.machinery.SourceFileLoader):
            def get_code(self, fullname: str) -> CodeType:
                del fullname
                return mutant.code()

        return importlib.util.spec_from_file_location(
            fullname, mutant.file, loader=Loader(fullname, str(mutant.file))
        )


def run_with(mutant: Mutant, session: pytest.Session) -> int:
    return run_collected(session) if put_in_place(mutant) else NOT_IN_PLACE


def run_collected(session: pytest.Session) -> int:
    """Run the tests that were collected before the fork, until one fails."""
    items = session.items
    for number, item in enumerate(items):
        following = items[number + 1] if number + 1 < len(items) else None
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
        if session.testsfailed:
            session._setupstate.teardown_exact(None)  # noqa: SLF001
            return FAILED
    return PASSED


# --- the runner ---------------------------------------------------------------------------------------------------


@dataclass
class Result:
    mutant: str
    file: str
    line: int
    outcome: str = ""  # killed, survived, equivalent
    seconds: float = 0.0
    reason: str = ""


class Runner:
    """Forks a child for each mutant. The output of the children goes to `log`.

    A child that hangs is killed together with the processes that it started.
    """

    def __init__(self, module: Module, seed: int, log: Path) -> None:
        self._module, self._seed, self._log = module, seed, log
        self._time_out_seconds = 600.0

    def forked(self, run: Callable[[], int]) -> tuple[int, float]:
        """Run a function in a child, and return the child's exit code and seconds."""
        began = time.monotonic()
        child = os.fork()
        if not child:
            code = FAILED
            try:
                log = os.open(self._log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
                os.dup2(log, 1)
                os.dup2(log, 2)
                os.setsid()
                resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
                code = int(run())
            finally:
                sys.stdout.flush()
                os._exit(code)
        code = FAILED
        while True:
            done, status = os.waitpid(child, os.WNOHANG)
            if done:
                code = os.waitstatus_to_exitcode(status)
                break
            if time.monotonic() - began > self._time_out_seconds:
                os.killpg(child, signal.SIGKILL)
                os.waitpid(child, 0)
                break
            time.sleep(0.01)
        self._end_orphans()
        return code, time.monotonic() - began

    def _end_orphans(self) -> None:
        """End the processes that a killed child had started. They are our children now (PR_SET_CHILD_SUBREAPER)."""
        mine = (
            Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children")
            .read_text(encoding="ascii")
            .split()
        )
        for pid in map(int, mine):
            with suppress(ProcessLookupError, ChildProcessError):
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)

    def in_session(self, mutants: list[Mutant]) -> tuple[dict[str, tuple[int, float]], list[str]]:
        """Try the mutants of functions and scripts in forks of one session, which has collected the tests.

        Return name -> (exit code, seconds), and the names of the loaded modules that are not ours.
        """
        found: dict[str, tuple[int, float]] = {}
        read, write = os.pipe()
        runner = self

        class Plugin:
            @pytest.hookimpl(tryfirst=True)
            def pytest_runtestloop(self, session: pytest.Session) -> bool:
                gc.collect()
                gc.freeze()
                code, seconds = runner.forked(lambda: run_collected(session))
                if code != PASSED:
                    raise pytest.UsageError(f"the tests fail without a mutant: see {runner._log}")
                runner._time_out_seconds = max(SHORTEST_TIME_OUT_SECONDS, 10 * seconds)
                say(f"{len(session.items)} tests guard it, {seconds:.1f} s")
                found[""] = (code, seconds)
                for mutant in mutants:
                    if mutant.function or mutant.text:
                        found[mutant.name] = runner.forked(partial(run_with, mutant, session))
                # If a test failed without a mutant, each survivor would count as killed.
                for _ in range(2):
                    if runner.forked(lambda: run_collected(session))[0] != PASSED:
                        found.clear()
                return True

        session_log = self._log.with_suffix(".session.log")
        session = os.fork()
        if not session:
            try:
                prepare_child()
                os.close(read)
                log = os.open(session_log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
                os.dup2(log, 1)
                pytest.main(self._module.pytest_arguments(self._seed), plugins=[Plugin()])
                loaded = [name for name, one in sys.modules.items() if _of_others(name, one)]
                with os.fdopen(write, "w") as pipe:
                    json.dump([found, loaded], pipe)
            finally:
                os._exit(0)
        os.close(write)
        with os.fdopen(read) as pipe:
            text = pipe.read()
        os.waitpid(session, 0)
        if not text or "" not in (told := json.loads(text))[0]:
            sys.exit(
                f"the tests of {self._module.name} fail without a mutant; see {self._log} and {session_log}"
            )
        self._time_out_seconds = max(SHORTEST_TIME_OUT_SECONDS, 10 * told[0][""][1] + 20)
        return {name: (code, seconds) for name, (code, seconds) in told[0].items()}, told[1]

    def afresh(self, mutant: Mutant) -> tuple[int, float]:
        """Try a mutant with a fresh import of all our modules, and return the exit code and seconds."""

        def run() -> int:
            prepare_child()
            if mutant.file.suffix == ".lua":
                mutate_script(mutant)
            else:
                sys.meta_path.insert(0, MutatedImport(mutant))
            return int(pytest.main([*self._module.pytest_arguments(self._seed), "-x"]))

        return self.forked(run)


def prepare_child() -> None:
    ctypes.CDLL(None).prctl(SUBREAPER, 1)
    from hypothesis import Phase, settings

    # Failing examples are not shrunk, because it only matters that they fail.
    settings.register_profile("mutants", phases=[Phase.explicit, Phase.generate], database=None)
    settings.load_profile("mutants")


def _of_others(name: str, module: object) -> bool:
    file = getattr(module, "__file__", None) or ""
    unwanted = (
        "pytest",
        "_pytest",
        "hypothesis",
        "_hypothesis",
        "edugraph",
        "jpype",
        "__main__",
        "mutat",
    )
    return "site-packages" in file and not name.startswith(unwanted)


def warm(names: list[str]) -> None:
    """Load modules that are not ours, so that a fresh import only has to load ours."""
    for name in names:
        with suppress(Exception):
            importlib.import_module(name)


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def judge(module: Module, seed: int, count: int, only: str, *, quick: bool) -> list[Result]:
    equivalents, log = load_equivalents(), RESULTS / f"{module.name}.log"
    mutants = [mutant for mutant in chosen(module, seed, count) if only in mutant.name]
    to_try = [mutant for mutant in mutants if mutant.name not in equivalents]
    runner = Runner(module, seed, log)
    say(f"{module.name}: {len(mutants)} mutants of {len(module.mutants())}, seed {seed}")
    codes, loaded = runner.in_session(to_try)
    warm(loaded)
    results = []
    for mutant in mutants:
        result = Result(mutant.name, str(mutant.file.relative_to(ROOT)), mutant.line)
        results.append(result)
        if mutant.name in equivalents:
            result.outcome, result.reason = "equivalent", equivalents[mutant.name]
            continue
        code, result.seconds = codes.get(mutant.name, (NOT_IN_PLACE, 0.0))
        if code == NOT_IN_PLACE or (code == PASSED and not quick):
            code, result.seconds = runner.afresh(mutant)
        result.outcome = "survived" if code == PASSED else "killed"
        if code == PASSED:
            say(f"survived: {result.file}:{mutant.line}  {mutant.name}")
    return results


def row(name: str, results: list[Result], seed: int) -> tuple[str, bool]:
    """Return a line of the table, and whether enough mutants were killed."""
    killed, equivalent = (
        sum(r.outcome == outcome for r in results) for outcome in ("killed", "equivalent")
    )
    share = killed / max(len(results) - equivalent, 1)
    day = datetime.now(UTC).date()
    line = f"| {name} | {len(results)} | {killed} | {equivalent} | {share:.0%} | {seed} | {day} |"
    return line, share >= SHARE_KILLED


def main() -> int:
    modules = load_modules()
    parser = argparse.ArgumentParser(
        description="Change a module in small places and see whether its tests fail."
    )
    parser.add_argument("module", choices=[*modules, "all"])
    parser.add_argument("--seed", type=int, default=16, help="chooses the mutants")
    parser.add_argument("--count", type=int, default=40, help="mutants of each module")
    parser.add_argument("--only", default="", help="only mutants whose name contains these words")
    parser.add_argument(
        "--list", action="store_true", help="name the chosen mutants and run nothing"
    )
    parser.add_argument(
        "--quick", action="store_true", help="do not try survivors again with a fresh import"
    )
    options = parser.parse_args()
    names = sorted(modules) if options.module == "all" else [options.module]
    if options.list:
        for name in names:
            print(
                "\n".join(
                    mutant.name for mutant in chosen(modules[name], options.seed, options.count)
                )
            )
        return 0
    RESULTS.mkdir(parents=True, exist_ok=True)
    lines, good = [], True
    for name in names:
        # Each module runs in its own process, since a module that is loaded for one may be mutated for another.
        child = os.fork()
        if not child:
            code = 1
            try:
                ctypes.CDLL(None).prctl(SUBREAPER, 1)
                results = judge(
                    modules[name], options.seed, options.count, options.only, quick=options.quick
                )
                line, enough = row(name, results, options.seed)
                told = {
                    "row": line,
                    "seed": options.seed,
                    "mutants": [asdict(result) for result in results],
                }
                text = json.dumps(told, ensure_ascii=False, indent=1)
                (RESULTS / f"{name}.json").write_text(text + "\n", encoding="utf-8")
                code = 0 if enough else 3
            finally:
                os._exit(code)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        good &= code == 0
        failed = f"| {name} | its tests did not run; see above |"
        lines.append(
            failed
            if code not in {0, 3}
            else json.loads((RESULTS / f"{name}.json").read_text("utf-8"))["row"]
        )
    print("| module | mutants | killed | equivalent | killed of the others | seed | date |")
    print("|---|---|---|---|---|---|---|")
    print("\n".join(lines))
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
