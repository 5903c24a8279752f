"""A public function of the domain or the use cases names the errors it raises, its own and its helpers'."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from shared.domain import errors

ROOT = Path(__file__).resolve().parents[2]
OWN = {name for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, errors.ProductError)}
NAMED = OWN | {"ValueError", "KeyError"}
# `Raises as `read`` and `raises what `regenerate` does`: another docstring says which.
ELSEWHERE = re.compile(r"[Rr]aises?(?: \w+,)* (?:as|what) ")


@cache
def modules() -> dict[str, ast.Module]:
    folders = (ROOT / "shared/domain", ROOT / "shared/usecases")
    files = [file for folder in folders for file in sorted(folder.rglob("*.py"))]
    return {str(file.relative_to(ROOT)): ast.parse(file.read_text()) for file in files}


@cache
def makers() -> dict[str, str]:
    """Functions that make an error which their caller raises, by name: the error's class."""
    functions = (node for tree in modules().values() for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))
    return {function.name: ast.unparse(function.returns) for function in functions if function.returns}


@cache
def refusers() -> dict[str, set[str]]:
    """Functions of a module that return nothing and are called for what they raise, by name: its classes."""
    functions = [node for tree in modules().values() for node in tree.body if isinstance(node, ast.FunctionDef)]
    refusing = [function for function in functions if function.name.lstrip("_").startswith(("refuse_", "check_"))]
    return {function.name: raised(function) & OWN for function in refusing}


def own_nodes(function: ast.FunctionDef) -> Iterator[ast.AST]:
    """What lies in the function, and in no function or class inside it."""
    left: list[ast.AST] = list(function.body)
    while left:
        node = left.pop()
        if not isinstance(node, (ast.FunctionDef, ast.ClassDef, ast.Lambda)):
            yield node
            left += ast.iter_child_nodes(node)


def raised(function: ast.FunctionDef) -> set[str]:
    """By name, what its `raise` statements raise."""
    causes = [node.exc for node in own_nodes(function) if isinstance(node, ast.Raise) and node.exc is not None]
    kinds = [ast.unparse(cause.func if isinstance(cause, ast.Call) else cause) for cause in causes]
    return {makers().get(kind, kind) for kind in kinds} & NAMED


def refused(function: ast.FunctionDef) -> set[str]:
    """By name, what the refusers it calls raise."""
    called = (ast.unparse(node.func) for node in own_nodes(function) if isinstance(node, ast.Call))
    return set().union(*(refusers()[name] for name in called if name in refusers()))


def promised(function: ast.FunctionDef) -> tuple[set[str], bool]:
    """The errors its docstring names, and whether it says that others are named elsewhere."""
    text = ast.get_docstring(function) or ""
    return {name for name in NAMED if re.search(rf"\b{name}\b", text)}, ELSEWHERE.search(text) is not None


def public() -> Iterator[tuple[str, ast.FunctionDef]]:
    for path, tree in modules().items():
        bodies = [tree.body, *(node.body for node in tree.body if isinstance(node, ast.ClassDef))]
        functions = (node for body in bodies for node in body if isinstance(node, ast.FunctionDef))
        yield from ((path, function) for function in functions if not function.name.startswith("_"))


def test_errors_that_are_raised_are_named() -> None:
    unnamed = []
    for path, function in public():
        named, elsewhere = promised(function)
        missing = (raised(function) | (set() if elsewhere else refused(function))) - named
        unnamed += [f"{path}:{function.lineno} {function.name} raises {error} and does not say so" for error in missing]

    assert not unnamed, "\n".join(["", *sorted(unnamed)])


def test_errors_that_are_named_are_ours_or_pythons() -> None:
    odd = [
        f"{path}:{function.lineno} {function.name} names {said}"
        for path, function in public()
        for said in re.findall(r"[Rr]aises ([A-Z]\w+)", ast.get_docstring(function) or "")
        if said not in NAMED | {"RecursionError", "AddressRefused", "BrokenRegistry", "CannotSplice"}
    ]

    assert not odd, "\n".join(["", *odd])
