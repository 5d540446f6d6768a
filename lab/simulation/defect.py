"""Planted defects: how a mistake is put into a copy of the product.

A defect replaces code in a copy of the product's source. It is looked for in the syntax tree, so that neither a
formatter nor a comment hides it. Where it is not there exactly once, planting fails: a defect that is not planted would
be found by nobody and prove nothing.
"""

from __future__ import annotations

import ast
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent

import tidings

SOURCE = Path(tidings.__file__).parent


@dataclass(frozen=True)
class Mutant:
    """A defect: (place, code, code instead), and what it makes of the product.

    A place is a file, or ``file::function`` where the code stands more than once. The code is an expression or some
    statements. No code at all puts what is instead at the end of the file. A file of SQL is changed as text.
    """

    name: str
    about: str
    changes: tuple[tuple[str, str, str], ...]
    is_of_several: bool = False  # a run of several nodes must find it


class Stale(Exception):
    """The product's code has changed: the defect must be planted elsewhere."""


def plant(mutant: Mutant, directory: Path) -> Path:
    """A copy of the product's source with this defect in it; what to put on the path.

    Raises:
        Stale: See the rules of this file.
    """
    planted = changed(mutant)
    copy = directory / "tidings"
    shutil.copytree(SOURCE, copy, ignore=shutil.ignore_patterns("static", "__pycache__"))
    for name, source in planted.items():
        (copy / name).write_text(source, "utf-8")
    return directory


def changed(mutant: Mutant, product: Path = SOURCE) -> dict[str, str]:
    """The files of the product that this defect changes, with it in them.

    Raises:
        Stale: See the rules of this file.
    """
    sources: dict[str, str] = {}
    for place, code, instead in mutant.changes:
        name, _, function = place.partition("::")
        source = sources.get(name) or (product / name).read_text("utf-8")
        if name.endswith(".sql"):
            count, sources[name] = source.count(code), source.replace(code, instead)
        elif not code:
            count, sources[name] = 1, f"{source}\n{dedent(instead)}"
        else:
            count, sources[name] = _replaced(source, function, dedent(code), dedent(instead))
        if count != 1:
            raise Stale(f"{mutant.name}: {count} times in {place}:\n{code}")
    return sources


def _replaced(source: str, function: str, code: str, instead: str) -> tuple[int, str]:
    """How often the code stands there, and the source with the other code in its place."""
    tree = ast.parse(source)
    old, new = ast.parse(code).body, ast.parse(instead).body
    count = 0
    for scope in _scopes(tree, function):
        if len(old) == len(new) == 1 and isinstance(old[0], ast.Expr) and isinstance(new[0], ast.Expr):
            count += _replace_expression(scope, old[0].value, new[0].value)
        else:
            count += _replace_statements(scope, old, new)
    return count, ast.unparse(ast.fix_missing_locations(tree))


def _scopes(tree: ast.Module, function: str) -> Iterator[ast.AST]:
    if not function:
        yield tree
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == function:
            yield node


def _replace_expression(scope: ast.AST, old: ast.expr, new: ast.expr) -> int:
    count, wanted = 0, ast.dump(old)
    for node in list(ast.walk(scope)):
        for field, value in ast.iter_fields(node):
            if isinstance(value, ast.expr) and ast.dump(value) == wanted:
                setattr(node, field, new)
                count += 1
            elif isinstance(value, list):
                for at, each in enumerate(value):
                    if isinstance(each, ast.expr) and ast.dump(each) == wanted:
                        value[at] = new
                        count += 1
    return count


def _replace_statements(scope: ast.AST, old: list[ast.stmt], new: list[ast.stmt]) -> int:
    count, wanted = 0, [ast.dump(each) for each in old]
    for node in list(ast.walk(scope)):
        for _, value in ast.iter_fields(node):
            if not isinstance(value, list) or not all(isinstance(each, ast.stmt) for each in value):
                continue
            for at in reversed(range(len(value) - len(old) + 1)):
                if [ast.dump(each) for each in value[at : at + len(old)]] == wanted:
                    value[at : at + len(old)] = new
                    count += 1
    return count


def one(name: str, about: str, place: str, code: str, instead: str, *, is_of_several: bool = False) -> Mutant:
    """A defect in one place."""
    return Mutant(name, about, ((place, code, instead),), is_of_several)
