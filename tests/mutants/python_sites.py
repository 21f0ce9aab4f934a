"""Mutants of Python modules: one small change of the syntax tree each, in code that decides something.

Left alone: docstrings, annotations, imports, what an error says (its keyword texts), and module constants' names.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterator
from dataclasses import dataclass

COMPARED: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is}
COMPUTED: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.FloorDiv, ast.FloorDiv: ast.Mult, ast.BitOr: ast.BitAnd,
    ast.BitAnd: ast.BitOr, ast.LShift: ast.RShift}
CALLED = {"any": "all", "all": "any", "min": "max", "max": "min"}
SPOKEN = {"expected", "actual", "do"}


@dataclass(frozen=True, slots=True)
class Mutant:
    """path: the file, from the repository's root. text: the whole mutated file."""

    path: str
    line: int
    what: str
    text: str


def mutants(path: str, source: str) -> list[Mutant]:
    """Every mutant of one module, in order of line."""
    tree = ast.parse(source)
    found = []
    for index, node in enumerate(_nodes(tree)):
        for choice, what in enumerate(_ways(node)):
            changed = copy.deepcopy(tree)
            target = list(_nodes(changed))[index]
            _apply(target, choice)
            text = ast.unparse(ast.fix_missing_locations(changed))
            found.append(Mutant(path, node.lineno, what, text))
    return sorted(found, key=lambda one: one.line)


def _nodes(tree: ast.AST) -> Iterator[ast.expr | ast.stmt]:
    """The nodes that decide something, in one order for one tree."""
    for field, value in ast.iter_fields(tree):
        if field in ("annotation", "returns", "decorator_list", "type_params"):
            continue
        for child in value if isinstance(value, list) else [value]:
            if not isinstance(child, ast.AST) or _told(child):
                continue
            if isinstance(child, (ast.expr, ast.stmt)):
                yield child
            yield from _nodes(child)


def _told(node: ast.AST) -> bool:
    """Whether this only talks: docstrings, what errors say, imports, types."""
    if isinstance(node, ast.keyword):
        return node.arg in SPOKEN
    if isinstance(node, (ast.Import, ast.ImportFrom, ast.JoinedStr)):
        return True
    if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
        return node.targets[0].id in ("Rule", "Account", "EntryKind", "Status")
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _ways(node: ast.expr | ast.stmt) -> list[str]:
    """What can be done to this node, in words."""
    if isinstance(node, ast.Compare) and len(node.ops) == 1 and type(node.ops[0]) in COMPARED:
        return [f"{ast.unparse(node)} -> {COMPARED[type(node.ops[0])].__name__}"]
    if isinstance(node, ast.Compare):
        return [f"{ast.unparse(node)}: {n}. -> {COMPARED[type(op)].__name__}" for n, op in enumerate(node.ops)
                if type(op) in COMPARED]
    if isinstance(node, ast.BoolOp):
        return [f"{ast.unparse(node)} -> {'or' if isinstance(node.op, ast.And) else 'and'}"]
    if isinstance(node, ast.BinOp) and type(node.op) in COMPUTED:
        return [f"{ast.unparse(node)} -> {COMPUTED[type(node.op)].__name__}"]
    if isinstance(node, ast.AugAssign) and type(node.op) in COMPUTED:
        return [f"{ast.unparse(node)} -> {COMPUTED[type(node.op)].__name__}"]
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        return [f"{ast.unparse(node)} -> without not"]
    if isinstance(node, ast.Constant) and type(node.value) is int:
        return [f"{node.value} -> {node.value + 1}"]
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in CALLED:
        return [f"{ast.unparse(node)[:60]} -> {CALLED[node.func.id]}"]
    if isinstance(node, ast.If) and any(isinstance(inner, ast.Raise) for inner in node.body):
        return [f"if {ast.unparse(node.test)}: never raised"]
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        return [f"{ast.unparse(node)[:60]} -> not called"]
    if isinstance(node, ast.Continue):
        return ["continue -> break"]
    return []


def _apply(node: ast.expr | ast.stmt, choice: int) -> None:
    if isinstance(node, ast.Compare):
        places = [n for n, op in enumerate(node.ops) if type(op) in COMPARED]
        node.ops[places[choice]] = COMPARED[type(node.ops[places[choice]])]()
    elif isinstance(node, ast.BoolOp):
        node.op = ast.Or() if isinstance(node.op, ast.And) else ast.And()
    elif isinstance(node, (ast.BinOp, ast.AugAssign)):
        node.op = COMPUTED[type(node.op)]()
    elif isinstance(node, ast.UnaryOp):
        # Twice not: the operand as a truth value.
        node.operand = ast.UnaryOp(ast.Not(), node.operand)
    elif isinstance(node, ast.Constant):
        node.value = int(str(node.value)) + 1
    elif isinstance(node, ast.Call):
        assert isinstance(node.func, ast.Name)
        node.func.id = CALLED[node.func.id]
    elif isinstance(node, ast.If):
        node.test = ast.Constant(False)
    elif isinstance(node, ast.Expr):
        node.value = ast.Constant(None)
    else:
        node.__class__ = ast.Break  # type: ignore[assignment]
