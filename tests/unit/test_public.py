"""The public names: compatibility.md lists their modules, `__all__` has them, a docstring documents each."""

from __future__ import annotations

import ast
import importlib
import inspect
import json
import re
from pathlib import Path
from types import FunctionType
from typing import Any, get_args, get_type_hints

import msgspec
import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "understand" / "compatibility.md").read_text(encoding="utf-8")
MODULES = re.findall(r"^\| `(tidings[\w.]*)` \| .* \| .* \|$", PAGE, re.MULTILINE)
SNIPPET = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def imported(code: str) -> set[tuple[str, str]]:
    """(module, name) of everything that a program imports from Tidings."""
    found = set()
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "tidings":
            found |= {(str(node.module), alias.name) for alias in node.names}
    return found


@pytest.mark.parametrize("module", MODULES)
def test_a_public_module_names_what_it_has_and_says_what_it_is(module: str) -> None:
    """Each name of `__all__` is there and documented; a class or function that it does not name is private."""
    public = importlib.import_module(module)
    own = {
        name
        for name, each in vars(public).items()
        if issubclass(
            type(each), type | FunctionType
        )  # Django's settings, asked whether they are a class, look for themselves
        if each.__module__ == module and not name.startswith("_")
    }

    assert public.__doc__
    assert sorted(public.__all__) == list(public.__all__)
    assert set() == own - set(public.__all__), f"add them to __all__ of {module}, or begin their names with _"
    assert [] == [name for name in public.__all__ if not getattr(public, name).__doc__]


@pytest.mark.parametrize("module", MODULES)
def test_what_a_public_class_offers_is_documented(module: str) -> None:
    """Every method and property without an underscore has a docstring, its own or that of its base."""
    public = importlib.import_module(module)
    classes = [each for name in public.__all__ if inspect.isclass(each := getattr(public, name))]
    members = [(each, name) for each in classes for name in vars(each) if not name.startswith("_")]
    offered = [
        (each, name)
        for each, name in members
        if callable(getattr(each, name)) or isinstance(vars(each)[name], property)
    ]

    assert [] == [f"{each.__name__}.{name}" for each, name in offered if not inspect.getdoc(getattr(each, name))]


def ours(hint: Any) -> set[type]:
    """The classes of Tidings within a type."""
    within = set().union(*map(ours, get_args(hint)))
    return within | ({hint} if inspect.isclass(hint) and hint.__module__.split(".")[0] == "tidings" else set())


@pytest.mark.parametrize("module", MODULES)
def test_what_a_public_class_answers_has_a_public_type(module: str) -> None:
    """A host can write the type of each result, and of each field of it, without an import of the inside."""
    public = {
        getattr(importlib.import_module(each), name)
        for each in MODULES
        for name in importlib.import_module(each).__all__
    }
    answered: dict[str, set[type]] = {}
    for each in (getattr(importlib.import_module(module), name) for name in importlib.import_module(module).__all__):
        if inspect.isclass(each):
            for name, member in vars(each).items():
                function = member.fget if isinstance(member, property) else member
                if inspect.isfunction(function) and not name.startswith("_"):
                    answered[f"{each.__name__}.{name}"] = ours(get_type_hints(function).get("return"))
            if issubclass(each, msgspec.Struct):
                answered[each.__name__] = set().union(*map(ours, get_type_hints(each).values()))

    assert {} == {name: types - public for name, types in answered.items() if types - public}


def test_documents_and_examples_import_public_names_alone() -> None:
    """A host that follows the documents stands on nothing that a release may change."""
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    programs = [code for page in pages for code in SNIPPET.findall(page.read_text(encoding="utf-8"))]
    programs += [path.read_text(encoding="utf-8") for path in (ROOT / "examples").rglob("*.py")]
    used = {each for code in programs for each in imported(code)}
    public = {(module, name) for module in MODULES for name in importlib.import_module(module).__all__}

    assert set() == used - public


def test_the_entries_of_the_npm_package_are_those_of_its_list() -> None:
    """Each entry of `exports` has a line, and each line an entry."""
    listed = re.findall(r"^\| `(tidings(?:/[\w./-]+)?)` \| [^|]* \|$", PAGE, re.MULTILINE)
    package = json.loads((ROOT / "web" / "client" / "package.json").read_text(encoding="utf-8"))

    assert sorted("tidings" + entry.removeprefix(".") for entry in package["exports"]) == sorted(listed)
