"""Mutants: small changes to a Python module or a Lua script. Their names do not change when lines move.

A name has the file, the function (not in scripts), the statement, and the change: `limiter.py · Limiter.take ·
if now < slot: · Lt -> LtE`. If the same change is possible several times in equal statements, a number follows.

Messages of exceptions, type hints, decorators, docstrings, logs and metrics are not mutated. Other tests cover them,
and hardly any caller could see the difference.
"""

import ast
import copy
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import CodeType

ROOT = Path(__file__).resolve().parent.parent
LARGE = 1_000
FOR_OPERATORS = {"log", "telemetry", "instruments", "metrics"}
COMPARISONS: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.FloorDiv,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.Pow: ast.Mult,
    ast.BitOr: ast.BitAnd,
    ast.BitAnd: ast.BitOr,
}
OTHER_NAME = {"min": "max", "max": "min", "any": "all", "all": "any", "sorted": "list"}


@dataclass(frozen=True)
class Mutant:
    """A mutant. For a script, `text` is its mutated source. For a module, `new` replaces the node at `path`.

    `function` is the outermost function that contains the change. It is empty at the level of the module or a class.
    """

    file: Path
    name: str
    line: int
    function: str = ""
    text: str = ""
    path: tuple["Step", ...] = ()
    new: ast.AST | None = None

    def code(self) -> CodeType:
        """Compile the mutated module."""
        tree = ast.parse(self.file.read_text(encoding="utf-8"))
        _put(tree, self.path, self.new)
        return compile(ast.fix_missing_locations(tree), str(self.file), "exec", dont_inherit=True)


def mutants_of(file: Path) -> list[Mutant]:
    """Return all mutants of one file, sorted by name, so that a seed chooses the same ones everywhere."""
    made = list(_of_script(file) if file.suffix == ".lua" else _of_module(file))
    return sorted(made, key=lambda mutant: mutant.name)


def _numbered(seen: Counter[str], name: str) -> str:
    seen[name] += 1
    return name if seen[name] == 1 else f"{name} #{seen[name]}"


# --- Python -------------------------------------------------------------------------------------------------------

Step = tuple[str, int | None]  # (the field of a node, the index if the field is a list)
Change = tuple[str, ast.AST | None]  # (the description, the new node); None removes the statement


def _of_module(file: Path) -> Iterator[Mutant]:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    seen: Counter[str] = Counter()
    for path, statement, scope, function in _places(tree):
        node = _at(tree, path)
        for said, new in _changes(node):
            header = ast.unparse(statement).splitlines()[0][:100]
            name = _numbered(seen, f"{file.name} · {scope or 'module'} · {header} · {said}")
            yield Mutant(
                file, name, getattr(node, "lineno", statement.lineno), function, path=path, new=new
            )


def _places(tree: ast.Module) -> Iterator[tuple[tuple[Step, ...], ast.stmt, str, str]]:
    """Yield (path, statement, scope, outermost function) of each node that may change."""

    def walk(
        node: ast.AST, path: tuple[Step, ...], statement: ast.stmt | None, scope: str, function: str
    ) -> Iterator[tuple[tuple[Step, ...], ast.stmt, str, str]]:
        if isinstance(node, ast.stmt):
            statement = node
        if statement is not None:
            yield path, statement, scope, function
        inner, of_body = scope, function
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            inner = f"{scope}.{node.name}" if scope else node.name
            if not isinstance(node, ast.ClassDef):
                of_body = function or inner
        for field, value in ast.iter_fields(node):
            if _untouched(node, field):
                continue
            children = value if isinstance(value, list) else [value]
            for number, child in enumerate(children):
                is_type = number == 0 and field == "args" and ast.unparse(node).startswith("cast(")
                if isinstance(child, ast.AST) and not _silent(child) and not is_type:
                    step = (field, number if isinstance(value, list) else None)
                    within = of_body if field == "body" else function
                    yield from walk(child, (*path, step), statement, inner, within)

    yield from walk(tree, (), None, "", "")


def _untouched(node: ast.AST, field: str) -> bool:
    if field in {
        "annotation",
        "returns",
        "decorator_list",
        "bases",
        "ctx",
        "targets",
        "target",
        "type_comment",
    }:
        return True
    return isinstance(node, ast.Raise) or (isinstance(node, ast.ExceptHandler) and field == "type")


def _silent(node: ast.AST) -> bool:
    """Return whether a node matters only to people or to the type checker."""
    if isinstance(node, ast.Import | ast.ImportFrom | ast.JoinedStr):
        return True
    if (
        isinstance(node, ast.If)
        and isinstance(node.test, ast.Name)
        and node.test.id == "TYPE_CHECKING"
    ):
        return True
    if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call):
        called = ast.unparse(node.value.func)
        return called.endswith(("TypeVar", "get_logger"))
    if not isinstance(node, ast.Expr):
        return False
    if isinstance(node.value, ast.Constant):
        return True
    return (
        isinstance(node.value, ast.Call)
        and ast.unparse(node.value.func).split(".")[0] in FOR_OPERATORS
    )


def _changes(node: ast.AST) -> Iterator[Change]:  # noqa: C901, PLR0912 - one case for each kind of node
    match node:
        case ast.Compare():
            for number, operator in enumerate(node.ops):
                for other in COMPARISONS[type(operator)]:
                    new = copy.deepcopy(node)
                    new.ops[number] = other()
                    yield f"{type(operator).__name__} -> {other.__name__}", new
        case ast.BoolOp():
            for other_bool in (ast.Or,) if isinstance(node.op, ast.And) else (ast.And,):
                new_bool = copy.deepcopy(node)
                new_bool.op = other_bool()
                yield f"{type(node.op).__name__} -> {other_bool.__name__}", new_bool
        case ast.BinOp() if type(node.op) in ARITHMETIC and not _is_text(node):
            new_bin = copy.deepcopy(node)
            new_bin.op = ARITHMETIC[type(node.op)]()
            yield f"{type(node.op).__name__} -> {type(new_bin.op).__name__}", new_bin
        case ast.UnaryOp(op=ast.Not()):
            yield "not -> (nothing)", node.operand
        case ast.Constant():
            yield from _changed_constants(node)
        case ast.Call():
            yield from _changed_calls(node)
        case ast.If() | ast.While() | ast.IfExp() if not isinstance(node.test, ast.Compare):
            new_test = copy.deepcopy(node)
            new_test.test = ast.UnaryOp(ast.Not(), node.test)
            yield "condition -> not", new_test
        case ast.Return(value=value) if value is not None and not _is_none(value):
            yield "return -> return None", ast.Return(ast.Constant(None))
        case ast.Break():
            yield "break -> continue", ast.Continue()
        case ast.Continue():
            yield "continue -> break", ast.Break()
        case ast.Raise() | ast.AugAssign() | ast.Delete():
            yield "left out", None
        case ast.Expr(value=ast.Call() | ast.Await() | ast.Yield() | ast.YieldFrom()):
            yield "left out", None
        case ast.Assign(targets=[ast.Attribute() | ast.Subscript()]):
            yield "left out", None
        case ast.comprehension() if node.ifs:
            yield (
                "condition left out",
                ast.comprehension(node.target, node.iter, node.ifs[1:], node.is_async),
            )


def _is_text(node: ast.BinOp) -> bool:
    return any(
        isinstance(side, ast.JoinedStr) or _is_string(side) for side in (node.left, node.right)
    )


def _is_string(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def _is_none(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def _changed_constants(node: ast.Constant) -> Iterator[Change]:
    match node.value:
        case bool(value):
            yield f"{value} -> {not value}", ast.Constant(not value)
        case int(value):
            for new in _other_numbers(value):
                yield f"{value} -> {new}", ast.Constant(new)
        case float(value):
            for share in (value * 2 or 1.0, value / 2 or -1.0):
                yield f"{value} -> {share}", ast.Constant(share)
        case str(value) if value:
            yield f"{value!r:.40} -> other text", ast.Constant(f"{value}~")


def _other_numbers(value: int) -> tuple[int, int]:
    """Return two other numbers. A large number is a duration or an amount, so a change by one would not matter."""
    return (value + 1, value - 1) if value < LARGE else (value * 2, value // 2)


def _changed_calls(node: ast.Call) -> Iterator[Change]:
    if isinstance(node.func, ast.Name) and node.func.id in OTHER_NAME:
        new = copy.deepcopy(node)
        new.func = ast.Name(OTHER_NAME[node.func.id], ast.Load())
        if node.func.id == "sorted":
            new.keywords = []
        yield f"{node.func.id} -> {OTHER_NAME[node.func.id]}", new
    for number, keyword in enumerate(node.keywords):
        if keyword.arg is not None:
            fewer = copy.deepcopy(node)
            del fewer.keywords[number]
            yield f"argument {keyword.arg} left out", fewer


def _at(tree: ast.AST, path: tuple[Step, ...]) -> ast.AST:
    node: ast.AST = tree
    for field, number in path:
        value = getattr(node, field)
        node = value if number is None else value[number]
    return node


def _put(tree: ast.AST, path: tuple[Step, ...], new: ast.AST | None) -> None:
    parent, (field, number) = _at(tree, path[:-1]), path[-1]
    old = _at(tree, path)
    node = copy.deepcopy(new) if new is not None else ast.Pass()
    if hasattr(old, "lineno"):
        ast.copy_location(node, old)
    if number is None:
        setattr(parent, field, node)
    else:
        getattr(parent, field)[number] = node


# --- Lua ----------------------------------------------------------------------------------------------------------

_STRING = r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\""
_TOKEN = re.compile(
    rf"(?P<string>{_STRING})|(?P<argument>\b(?:KEYS|ARGV)\[\d+\])|(?P<compare><=|>=|==|~=|<|>)|(?P<number>\b\d+\b)"
    r"|(?P<word>\b(?:and|or|not|true|false|math\.(?:max|min|ceil|floor))\b)|(?P<sum>(?<=\s)[-+*/](?=\s))"
)
_LUA_WORDS = {
    "and": "or", "or": "and", "not": "", "true": "false", "false": "true",
    "math.max": "math.min", "math.min": "math.max", "math.ceil": "math.floor", "math.floor": "math.ceil",
}  # fmt: skip
_LUA_COMPARISONS = {"<": "<=", "<=": "<", ">": ">=", ">=": ">", "==": "~=", "~=": "=="}
_LUA_SUMS = {"+": "-", "-": "+", "*": "/", "/": "*"}
_STATEMENT = re.compile(r"redis\.call\(|if .* end$|[\w.]+(?:\[[^=]*\])? = |break$")
_OTHER_TOKEN: dict[str, Callable[[str], list[str]]] = {
    "string": lambda _: [],
    "argument": lambda token: (
        [re.sub(r"\d+", lambda n: str(int(n[0]) + 1), token)]
        + ([re.sub(r"\d+", lambda n: str(int(n[0]) - 1), token)] if "[1]" not in token else [])
    ),
    "compare": lambda token: [_LUA_COMPARISONS[token]],
    "number": lambda token: [str(other) for other in _other_numbers(int(token))],
    "word": lambda token: [_LUA_WORDS[token]],
    "sum": lambda token: [_LUA_SUMS[token]],
}


def _of_script(file: Path) -> Iterator[Mutant]:
    lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
    seen: Counter[str] = Counter()

    def mutant(number: int, new: str, said: str) -> Mutant:
        text = "".join([*lines[:number], new, *lines[number + 1 :]])
        name = _numbered(seen, f"{file.name} · {lines[number].strip()[:100]} · {said}")
        return Mutant(file, name, number + 1, text=text)

    for number, line in enumerate(lines):
        if line.lstrip().startswith("--"):
            continue
        for token in _TOKEN.finditer(line):
            for other in _OTHER_TOKEN[str(token.lastgroup)](token[0]):
                new = line[: token.start()] + other + line[token.end() :]
                yield mutant(number, new, f"{token[0]} -> {other or '(nothing)'}")
        if _STATEMENT.match(line.strip()) and not line.strip().startswith("local "):
            yield mutant(number, "\n", "left out")
