"""Count the stops of one parameter: how often somebody who follows it through the services changes the file.

How it is counted:

- The reader starts in a function, with one of its parameters, and looks for the calls that are handed the parameter
  or a part of it: an attribute, an element, a slice, the variable of a loop over it, or a collection of such parts. A
  method of the parameter is handed it, too. What a call returns is another value, which has a way of its own.
- Each function that is handed the parameter is read in turn, once, and in the same way. Functions of one file to
  which one function hands it are read in one stay.
- Each file that the reader opens is a stop, and so is each return to the file before. The start is the first stop.
- Only functions of the services are read. Telemetry is left out, because nothing is handed on there. So are calls
  through a variable: a function that is itself handed on, as to a transaction, starts a way of its own.
- A method is found by the class of its object, as the annotations tell it.
"""

import ast
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
# What a function works with, and not on: these parameters go to most functions of their package.
CONTEXT = ("self", "cls", "tx", "settings", "intake", "server")
# Functions and methods whose result is, or consists of, parts of what they are given.
_COPIES = ("dict", "enumerate", "frozenset", "iter", "list", "reversed", "set", "sorted", "tuple", "zip")
_PARTS = ("copy", "get", "items", "keys", "model_copy", "values")
# What the value of an expression is taken from, or consists of.
_CONTENTS: dict[type[ast.expr], tuple[str, ...]] = {
    ast.Attribute: ("value",),
    ast.Await: ("value",),
    ast.BinOp: ("left", "right"),
    ast.BoolOp: ("values",),
    ast.Dict: ("values",),
    ast.DictComp: ("value",),
    ast.GeneratorExp: ("elt",),
    ast.IfExp: ("body", "orelse"),
    ast.List: ("elts",),
    ast.ListComp: ("elt",),
    ast.NamedExpr: ("value",),
    ast.Set: ("elts",),
    ast.SetComp: ("elt",),
    ast.Starred: ("value",),
    ast.Subscript: ("value",),
    ast.Tuple: ("elts",),
}

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(eq=False)
class Module:
    name: str
    path: Path
    functions: dict[str, FunctionNode] = field(default_factory=dict)
    classes: dict[str, ast.ClassDef] = field(default_factory=dict)
    imports: dict[str, tuple[str, str]] = field(default_factory=dict)  # name here -> (module, name there)


class Class(NamedTuple):
    module: Module
    node: ast.ClassDef


class Function(NamedTuple):
    module: Module
    owner: Class | None
    node: FunctionNode

    @property
    def title(self) -> str:
        return f"{self.owner.node.name}.{self.node.name}" if self.owner else self.node.name

    @property
    def parameters(self) -> list[ast.arg]:
        arguments = self.node.args
        return [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]


class Walk(NamedTuple):
    """What becomes of one parameter. `stops`: the files, in the order in which the reader opens them."""

    start: Function
    parameter: str
    stops: list[Path]

    def __str__(self) -> str:
        names = " > ".join(path.stem for path in self.stops)
        return f"{len(self.stops)} stops ({self.parameter} of {self.start.module.name}.{self.start.title}: {names})"


Found = Module | Class | Function | None


@cache
def modules(root: Path = ROOT) -> dict[str, Module]:
    """Return all modules of the services, by name."""
    found = {}
    for source in sorted(root.glob("services/*/src")):
        for path in sorted(source.rglob("*.py")):
            name = ".".join(path.relative_to(source).with_suffix("").parts).removesuffix(".__init__")
            module = found[name] = Module(name, path)
            tree = ast.parse(path.read_text(encoding="utf-8"))
            module.functions = {node.name: node for node in tree.body if isinstance(node, FunctionNode)}
            module.classes = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
            for node in ast.walk(tree):
                if isinstance(node, ast.ImportFrom) and node.module:
                    module.imports |= {each.asname or each.name: (node.module, each.name) for each in node.names}
    return found


def look_up(module: Module, name: str) -> Found:
    """Return what a global name of a module stands for, if it is of the services."""
    if name in module.functions:
        return Function(module, None, module.functions[name])
    if name in module.classes:
        return Class(module, module.classes[name])
    if name not in module.imports:
        return None
    source, original = module.imports[name]
    if f"{source}.{original}" in modules():
        return modules()[f"{source}.{original}"]
    return look_up(modules()[source], original) if source in modules() else None


def methods(owner: Class) -> Iterator[Function]:
    yield from (Function(owner.module, owner, node) for node in owner.node.body if isinstance(node, FunctionNode))


def method(owner: Class, name: str) -> Function | None:
    return next((each for each in methods(owner) if each.node.name == name), None)


def annotated(module: Module, annotation: ast.expr | None, owner: Class | None = None) -> Class | None:
    """Return the class of the services that an annotation names, alone or in a union."""
    match annotation:
        case ast.Name("Self"):
            return owner
        case ast.Name(name):
            found = look_up(module, name)
            return found if isinstance(found, Class) else None
        case ast.Constant(str(text)):
            return annotated(module, ast.parse(text, mode="eval").body, owner)
        case ast.BinOp():
            return annotated(module, annotation.left, owner) or annotated(module, annotation.right, owner)
    return None


def attribute(owner: Class, name: str) -> Class | None:
    """Return the class of an attribute: of a field, of a property, or of a parameter that `__init__` keeps."""
    for node in owner.node.body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.target.id == name:
            return annotated(owner.module, node.annotation)
        if isinstance(node, FunctionNode) and node.name == name and node.decorator_list:
            return annotated(owner.module, node.returns)
    made = method(owner, "__init__")
    given = {one.arg: annotated(owner.module, one.annotation) for one in made.parameters} if made else {}
    for each in ast.walk(made.node) if made else ():
        if isinstance(each, ast.Assign):
            for target, value in _pairs(each.targets[0], each.value):
                if isinstance(target, ast.Attribute) and target.attr == name:
                    if isinstance(value, ast.Call):
                        return annotated(owner.module, value.func)
                    return given.get(value.id) if isinstance(value, ast.Name) else None
    return None


def _pairs(target: ast.expr, value: ast.expr) -> Iterable[tuple[ast.expr, ast.expr]]:
    both = isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple) and len(target.elts) == len(value.elts)
    if both and isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
        return zip(target.elts, value.elts, strict=True)
    return [(target, value)]


class Reader(ast.NodeVisitor):
    """Reads one function. `calls`: which functions are handed the parameter, and as which of their parameters."""

    def __init__(self, function: Function, handed: Iterable[str]) -> None:
        self.function, self.handed = function, set(handed)
        self.calls: list[tuple[Function, frozenset[str]]] = []
        self._annotations = {each.arg: each.annotation for each in function.parameters}
        self._classes = {
            name: found for name, each in self._annotations.items() if (found := annotated(function.module, each))
        }
        if function.owner and function.parameters:
            self._classes[function.parameters[0].arg] = function.owner
        self._local = {node.name for node in ast.walk(function.node) if isinstance(node, FunctionNode)}
        for statement in function.node.body:
            self.visit(statement)

    def is_part(self, node: ast.expr) -> bool:
        """Return whether an expression is the parameter, a part of it, or a collection of its parts."""
        match node:
            case ast.Name(name):
                return name in self.handed
            case ast.Call(ast.Name(name)):
                return name in _COPIES and any(map(self.is_part, node.args))
            case ast.Call(ast.Attribute(value, name)):
                return name in _PARTS and self.is_part(value)
        contents = (getattr(node, name) for name in _CONTENTS.get(type(node), ()))
        return any(self.is_part(each) for part in contents for each in (part if isinstance(part, list) else [part]))

    def find(self, node: ast.expr) -> Found:
        """Return what an expression is an instance of; a name that stands for something else, as that itself."""
        match node:
            case ast.Name():
                return self._classes.get(node.id) or look_up(self.function.module, node.id)
            case ast.Attribute():
                owner = self.find(node.value)
                if isinstance(owner, Module):
                    return look_up(owner, node.attr)
                return attribute(owner, node.attr) if isinstance(owner, Class) else None
            case ast.Call():
                called = self.called(node)
                if isinstance(called, Function):
                    return annotated(called.module, called.node.returns, called.owner)
                return called
        return None

    def called(self, call: ast.Call) -> Found:
        match call.func:
            case ast.Name(name):
                return None if name in self._classes or name in self._local else look_up(self.function.module, name)
            case ast.Attribute(value, name):
                owner = self.find(value)
                if isinstance(owner, Module):
                    return look_up(owner, name)
                return method(owner, name) if isinstance(owner, Class) else None
        return None

    def bind(self, target: ast.expr, value: ast.expr, *, element: bool = False) -> None:
        """Take note of what a variable holds from here on. `element`: it is an element of the value."""
        for each, its_value in _pairs(target, value):
            for node in ast.walk(each):
                if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) and self.is_part(its_value):
                    self.handed.add(node.id)
            if isinstance(each, ast.Name):
                found = self.find(its_value)
                if element:
                    of = self._annotations.get(its_value.id) if isinstance(its_value, ast.Name) else None
                    found = annotated(self.function.module, of.slice) if isinstance(of, ast.Subscript) else None
                if isinstance(found, Class):
                    self._classes[each.id] = found

    def visit(self, node: ast.AST) -> None:
        for each in getattr(node, "generators", [node]):
            if isinstance(each, ast.For | ast.AsyncFor | ast.comprehension):
                self.bind(each.target, each.iter, element=True)
        super().visit(node)

    def visit_Assign(self, node: ast.Assign) -> None:
        self.generic_visit(node)
        for target in node.targets:
            self.bind(target, node.value)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        self.generic_visit(node)
        if node.value is not None:
            self.bind(node.target, node.value)

    def visit_NamedExpr(self, node: ast.NamedExpr) -> None:
        self.generic_visit(node)
        self.bind(node.target, node.value)

    def visit_withitem(self, node: ast.withitem) -> None:
        self.generic_visit(node)
        if node.optional_vars is not None:
            self.bind(node.optional_vars, node.context_expr)

    def visit_Match(self, node: ast.Match) -> None:
        for case in node.cases if self.is_part(node.subject) else ():
            captures = (each for each in ast.walk(case.pattern) if isinstance(each, ast.MatchAs) and each.name)
            self.handed |= {str(each.name) for each in captures}
        self.generic_visit(node)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        self.generic_visit(node)
        owner = self.find(node.value) if self.is_part(node.value) else None
        read = method(owner, node.attr) if isinstance(owner, Class) else None
        if read and any(isinstance(each, ast.Name) and "property" in each.id for each in read.node.decorator_list):
            self.calls.append((read, frozenset({"self"})))

    def visit_Call(self, node: ast.Call) -> None:
        self.generic_visit(node)
        called = self.called(node)
        function = method(called, "__init__") if isinstance(called, Class) else called
        if not isinstance(function, Function):
            return
        names, handed = [each.arg for each in function.parameters], set[str]()
        if function.owner:
            if isinstance(node.func, ast.Attribute) and self.is_part(node.func.value):
                handed.add(names[0])
            names = names[1:]
        handed |= {name for name, value in zip(names, node.args, strict=False) if self.is_part(value)}
        handed |= {each.arg for each in node.keywords if each.arg and self.is_part(each.value)}
        if handed:
            self.calls.append((function, frozenset(handed)))


def follow(start: Function, parameter: str) -> Walk:
    """Read as the docstring of this module says."""
    walk, seen = Walk(start, parameter, [start.module.path]), {start}

    def go_to(module: Module) -> None:
        if walk.stops[-1] != module.path:
            walk.stops.append(module.path)

    def read(function: Function, handed: Iterable[str]) -> None:
        stays: dict[str, list[tuple[Function, frozenset[str]]]] = defaultdict(list)
        for called, as_parameters in Reader(function, handed).calls:
            if called not in seen and not called.module.name.endswith(".telemetry"):
                seen.add(called)
                stays[called.module.name].append((called, as_parameters))
        for stay in stays.values():
            for called, as_parameters in stay:
                go_to(called.module)
                read(called, as_parameters)
            go_to(function.module)

    read(start, {parameter})
    return walk


def walks(files: Iterable[Path]) -> list[Walk]:
    """Return the walks of all parameters of all functions in these files, the longest one first."""
    wanted = set(files)
    found = []
    for module in modules().values():
        if module.path in wanted:
            owners = (Class(module, node) for node in module.classes.values())
            functions = [Function(module, None, node) for node in module.functions.values()]
            functions += [each for owner in owners for each in methods(owner)]
            found += [
                follow(function, each.arg)
                for function in functions
                for each in function.parameters
                if each.arg not in CONTEXT
            ]
    return sorted(found, key=lambda walk: -len(walk.stops))
