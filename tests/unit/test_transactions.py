"""No service is called inside a transaction: rows must not stay locked while a network is slow."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
OUTSIDE = {"media", "queue", "live", "cache", "directory", "aftermath", "schemas", "reports", "media_store"}
SOURCES = sorted(
    path for folder in ("shared/usecases", "functions", "operate") for path in (ROOT / folder).rglob("*.py")
)


def _names(node: ast.AST) -> set[str]:
    """The parts of a dotted name, without the underscores of private ones."""
    parts = {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}
    parts |= {part.attr for part in ast.walk(node) if isinstance(part, ast.Attribute)}
    return {part.lstrip("_") for part in parts}


def _reaches_outside(call: ast.Call) -> bool:
    """Whether a service is called, or is given to what is called."""
    given = (argument for argument in (*call.args, *(named.value for named in call.keywords)))
    return bool(OUTSIDE & _names(call.func)) or any(
        ast.unparse(one).split(".")[-1].lstrip("_") in OUTSIDE for one in given
    )


def _calls_inside(tree: ast.AST) -> Iterator[ast.Call]:
    for node in ast.walk(tree):
        if isinstance(node, ast.With) and any("transaction" in _names(item.context_expr) for item in node.items):
            yield from (call for line in node.body for call in ast.walk(line) if isinstance(call, ast.Call))


def _takes_both(function: ast.FunctionDef) -> bool:
    named = {
        argument.arg: ast.unparse(argument.annotation or ast.Constant(""))
        for argument in (*function.args.args, *function.args.kwonlyargs)
    }
    return "Transaction" in named.values() and bool(OUTSIDE & {name.lstrip("_") for name in named})


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_transaction_waits_for_no_service(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf8"))

    calls = [ast.unparse(call) for call in _calls_inside(tree) if _reaches_outside(call)]
    functions = [node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and _takes_both(node)]

    assert (calls, functions) == ([], [])


def test_the_rule_sees_what_it_forbids() -> None:
    tree = ast.parse("with self.records.transaction() as tx:\n    rows = f(tx)\n    self._queue.send(rows)\n")
    assert [ast.unparse(call) for call in _calls_inside(tree) if _reaches_outside(call)] == ["self._queue.send(rows)"]
    both = ast.parse("def f(tx: Transaction, media: MediaStore) -> None: ...").body[0]
    assert isinstance(both, ast.FunctionDef)
    assert _takes_both(both)
