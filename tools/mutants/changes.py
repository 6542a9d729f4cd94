"""The small changes that can be made to a module, one at a time."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

_Code: TypeAlias = ast.expr | ast.stmt

_COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
_ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.FloorDiv,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.FloorDiv,
    ast.Pow: ast.Mult,
    ast.BitOr: ast.BitAnd,
    ast.BitAnd: ast.BitOr,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
}


@dataclass(frozen=True)
class Mutant:
    """One change of one module."""

    path: str
    line: int
    """Where the changed expression or statement begins."""
    lines: range
    """Those of the statement around it, of an `if` or `def` just the head."""
    place: str
    """The class and function around it."""
    before: str
    after: str
    """The line as it is, and as it becomes."""
    text: bytes
    """The whole module, changed."""

    @property
    def name(self) -> str:
        """What identifies the change, whatever stands above it in the file."""
        return f"{self.path} {self.place}: {self.before} => {self.after}"


def mutants_of(root: Path, path: str) -> list[Mutant]:
    """Every change of a module, in the order of its lines."""
    text = (root / path).read_bytes()
    module = ast.parse(text)
    starts = [0]
    for line in text.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    found: list[Mutant] = []
    for place, statement, node, replacement in _changes(module, "", range(0)):
        first = starts[node.lineno - 1] + node.col_offset
        last = starts[(node.end_lineno or 0) - 1] + (node.end_col_offset or 0)
        changed = text[:first] + replacement.encode() + text[last:]
        if _means_the_same(node, replacement):
            continue
        before = text.splitlines()[node.lineno - 1].decode().strip()
        after = changed.splitlines()[node.lineno - 1].decode().strip()
        if before == after:  # the difference is in a later line of the expression
            after = f"{after} … {replacement}"
        found.append(Mutant(path, node.lineno, statement, place, before, after, changed))
    return sorted(found, key=lambda mutant: mutant.line)


def _means_the_same(node: _Code, replacement: str) -> bool:
    """As a float does that is too large for adding one."""
    statement = ast.parse(replacement).body[0]
    new = statement.value if isinstance(statement, ast.Expr) else statement
    return ast.dump(new) == ast.dump(node)


def _changes(node: ast.AST, place: str, lines: range) -> Iterator[tuple[str, range, _Code, str]]:
    """For everything inside: where it is, what is replaced, and by what."""
    for child in _children(node):
        inner = place
        if isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            inner = f"{place}.{child.name}".lstrip(".")
        around = _lines_of(child) if isinstance(child, ast.stmt) else lines
        for replaced, replacement in _replacements(child):
            yield place or "(module)", around, replaced, replacement
        if not isinstance(child, ast.Raise):  # what an error says is for people
            yield from _changes(child, inner, around)


def _lines_of(statement: ast.stmt) -> range:
    body: list[ast.stmt] = getattr(statement, "body", [])
    last = max(statement.lineno, body[0].lineno - 1) if body else statement.end_lineno or 0
    return range(statement.lineno, last + 1)


def _children(node: ast.AST) -> Iterator[ast.AST]:
    """What stands inside, without what says nothing at run time, or only to people."""
    left_out = ["annotation", "returns", "decorator_list"]
    match node:
        case ast.Call(ast.Attribute(attr="encode" | "decode")):
            left_out.append("args")  # the name of an encoding, in which marks do not count
        case _:
            pass
    for name, value in ast.iter_fields(node):
        if name in left_out:
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST) and not _is_left_alone(child):
                yield child


def _is_left_alone(node: ast.AST) -> bool:
    match node:
        case (
            ast.Expr(ast.Constant())  # a docstring
            | ast.If(ast.Name("TYPE_CHECKING"))
            | (ast.Import() | ast.ImportFrom() | ast.JoinedStr())
            | ast.Assign([ast.Name("__all__" | "__slots__")])
            | ast.AnnAssign(annotation=ast.Name("TypeAlias"))
            | ast.Call(ast.Name("TypeVar" | "ParamSpec" | "cast"))
            | ast.Expr(ast.Call(ast.Attribute(ast.Name("logger"))))
            | ast.keyword("strict")  # an assertion: zip(strict=True)
        ):
            return True
        case _:
            return False


def _replacements(node: ast.AST) -> Iterator[tuple[_Code, str]]:
    match node:
        case ast.Compare(ops=[first, *others]) if type(first) in _COMPARISONS:
            yield node, _with(node, "ops", [_COMPARISONS[type(first)](), *others])
        case ast.BoolOp(op):
            yield node, _with(node, "op", ast.And() if isinstance(op, ast.Or) else ast.Or())
        case ast.UnaryOp(ast.Not(), operand):
            yield node, f"({ast.unparse(operand)})"
        case ast.BinOp(op=op) if type(op) in _ARITHMETIC:
            yield node, _with(node, "op", _ARITHMETIC[type(op)]())
        case ast.Constant(value):
            yield from ((node, repr(other)) for other in _other_values(value))
        case ast.If(test) | ast.While(test) | ast.IfExp(test):
            yield from _negated([test])
        case ast.comprehension(ifs=tests):
            yield from _negated(tests)
        case ast.Return(value) if value is not None and not _is_none(value):
            yield node, "return None"
        case ast.Assign([ast.Attribute() | ast.Subscript()]) | ast.AugAssign() | ast.Delete():
            yield node, "pass"
        case ast.Raise() | ast.Break() | ast.Continue() | ast.Expr():
            yield node, "pass"
        case _:
            pass


def _negated(tests: Sequence[ast.expr]) -> Iterator[tuple[_Code, str]]:
    """The opposite of conditions that are changed in no other way."""
    for test in tests:
        if not isinstance(test, ast.Compare | ast.BoolOp | ast.UnaryOp):
            yield test, f"(not {ast.unparse(test)})"


def _other_values(value: object) -> Iterator[object]:
    match value:
        case bool():
            yield not value
        case int() | float():
            yield value + 1
        case str():
            yield value + "?"
        case bytes():
            yield value + b"?"
        case _:
            pass


def _is_none(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def _with(node: ast.expr, name: str, value: object) -> str:
    fields = dict(ast.iter_fields(node)) | {name: value}
    return f"({ast.unparse(type(node)(**fields))})"
