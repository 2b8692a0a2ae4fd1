"""The list of mutation testing is in step with the code, and its own machinery sees what it must see."""

import ast
import logging
import re
from pathlib import Path
from typing import Any

import mutants
import pytest
from mutations import ROOT, Mutant, mutants_of

PYTHON = '''
import math

LIMIT = 5

def f(x, y=1):
    """Says something."""
    log.info("nothing")
    if x < LIMIT and not y:
        raise ValueError("too small")
    return x + y
'''
LUA = """-- A comment with 5 < 6.
local now = tonumber(ARGV[2]) + 1
if now > 10 and redis.call('GET', KEYS[1]) == '7' then return 0 end
redis.call('SET', KEYS[1], 'x')
return math.max(now, 3)
"""


def made(folder: Path, name: str, text: str) -> list[Mutant]:
    file = folder / name
    file.write_text(text, encoding="utf-8")
    return mutants_of(file)


def changes(found: list[Mutant]) -> set[str]:
    return {mutant.name.rsplit(" · ", 1)[1] for mutant in found}


def test_a_module_is_changed_where_a_caller_could_see_it(tmp_path: Path) -> None:
    found = made(tmp_path, "a.py", PYTHON)
    assert changes(found) == {
        "5 -> 6", "5 -> 4", "1 -> 2", "1 -> 0", "Lt -> LtE", "Lt -> GtE", "And -> Or", "not -> (nothing)",
        "condition -> not", "left out", "return -> return None", "Add -> Sub",
    }  # fmt: skip
    assert {mutant.function for mutant in found} == {"", "f"}
    for mutant in found:
        assert mutant.code()


def test_a_script_is_changed_in_its_numbers_operators_arguments_and_statements(
    tmp_path: Path,
) -> None:
    found = made(tmp_path, "a.lua", LUA)
    assert changes(found) == {
        "ARGV[2] -> ARGV[3]", "ARGV[2] -> ARGV[1]", "+ -> -", "1 -> 2", "1 -> 0", "> -> >=", "10 -> 11", "10 -> 9",
        "and -> or", "KEYS[1] -> KEYS[2]", "== -> ~=", "left out", "0 -> 1", "0 -> -1", "math.max -> math.min", "3 -> 4",
        "3 -> 2",
    }  # fmt: skip
    assert all(
        mutant.text.startswith("-- A comment with 5 < 6.\n") and mutant.text != LUA
        for mutant in found
    )


@pytest.mark.parametrize(("name", "text"), [("a.py", PYTHON), ("a.lua", LUA)])
def test_a_name_outlives_a_shift_of_lines_and_is_given_once(
    tmp_path: Path, name: str, text: str
) -> None:
    before = [mutant.name for mutant in made(tmp_path, name, text)]
    after = [mutant.name for mutant in made(tmp_path, name, "\n\n" + text)]
    assert before == after
    assert len(set(before)) == len(before)


def test_a_mutated_function_is_put_in_the_place_of_the_one_that_is_loaded(tmp_path: Path) -> None:
    found = made(tmp_path, "a.py", PYTHON)
    loaded: dict[str, Any] = {"log": logging.getLogger()}
    exec(compile(ast.parse(PYTHON), str(tmp_path / "a.py"), "exec"), loaded)
    [minus] = [mutant for mutant in found if mutant.name.endswith("Add -> Sub")]
    [limit] = [mutant for mutant in found if mutant.name.endswith("5 -> 6")]
    function = loaded["f"]
    assert not mutants.put_in_place(limit)  # outside of functions: that needs a fresh import
    assert function(9, 2) == 11
    assert mutants.put_in_place(minus)
    assert function(9, 2) == 7


def test_each_module_of_the_list_has_its_files_its_tests_and_enough_mutants() -> None:
    for module in mutants.load_modules().values():
        for path in (
            *module.files,
            *(ROOT / guard for guard in module.guards if guard.endswith(".py")),
        ):
            assert path.exists(), path
        assert len(module.mutants()) >= 40, module.name


def test_a_seed_chooses_the_same_mutants_again() -> None:
    module = mutants.load_modules()["cache-lua"]
    one, again, other = (
        [mutant.name for mutant in mutants.chosen(module, seed, 20)] for seed in (1, 1, 2)
    )
    assert one == again != other


def test_each_equivalent_is_a_mutant_and_has_a_reason() -> None:
    names = {
        mutant.name for module in mutants.load_modules().values() for mutant in module.mutants()
    }
    equivalents = mutants.load_equivalents()
    assert set(equivalents) <= names
    assert all(len(reason) > 20 for reason in equivalents.values())


def test_enough_are_killed_when_nine_of_ten_are_that_are_not_equivalent() -> None:
    outcomes = ["killed"] * 9 + ["survived"] + ["equivalent"] * 5
    results = [mutants.Result("m", "f", 1, outcome) for outcome in outcomes]
    assert mutants.row("x", results, 16)[1]
    assert not mutants.row("x", results[1:], 16)[1]


def test_the_page_has_a_row_of_each_module_in_which_enough_are_killed() -> None:
    page = (ROOT / "research" / "journal" / "mutants.md").read_text(encoding="utf-8")
    rows = re.findall(
        r"^\| ([\w-]+) \| (\d+) \| (\d+) \| (\d+) \| (\d+)% \| \d+ \| [\d-]{10} \|$",
        page,
        re.MULTILINE,
    )
    assert sorted(name for name, *_ in rows) == sorted(mutants.load_modules())
    for name, made, killed, equivalent, share in rows:
        assert int(made) >= 40, name
        assert (
            int(share)
            == round(100 * int(killed) / (int(made) - int(equivalent)))
            >= 100 * mutants.SHARE_KILLED
        ), name
