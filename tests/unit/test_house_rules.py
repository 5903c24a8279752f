"""The measurable rules of docs/architecture.md, measured. Complexity is measured by ruff (C901)."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("shared", "functions", "infra", "local", "operate", "bench", "tests")
LONGEST_FUNCTION_LINES = 45
LONGEST_FILE_LINES = 400
DEEPEST_NESTING = 2
# FFmpeg's command lines are read as lines: a word a line would hide what belongs together.
LAID_OUT_BY_HAND = {
    "bench/compile.py",
    "shared/media/commands.py",
    "shared/media/conform.py",
}
EMPTY_NAMES = {"utils", "util", "common", "commons", "helpers", "helper", "manager", "misc"}

# By layer, which of our own it may import. A layer not named here is free.
ARROWS = {
    "functions": {
        "functions",
        "shared.bootstrap",
        "shared.config",
        "shared.usecases",
        "shared.domain",
        "shared.http",
        "shared.batches",
        "shared.wire",
        "shared.observability",
    },
    "shared.usecases": {"shared.usecases", "shared.domain", "shared.ports", "shared.media", "shared.observability"},
    "shared.adapters": {"shared.adapters", "shared.domain", "shared.ports", "shared.media", "shared.observability"},
    "shared.media": {"shared.media", "shared.domain"},
    "shared.ports": {"shared.ports", "shared.domain", "shared.media"},
    "shared.domain": {"shared.domain"},
    "shared.http": {"shared.domain", "shared.wire", "shared.observability"},
    "shared.batches": {"shared.domain", "shared.observability"},
    "shared.wire": {"shared.domain"},
    "shared.observability": {"shared.domain"},
    "shared.config": {"shared.domain"},
    "shared.bootstrap": {"shared"},
    "infra": {"infra"},
    # Where a stage is deployed to stands there, and the command that deploys must look in the same place.
    "operate": {"operate", "infra.stages"},
}
TIMELESS = ("shared/domain", "shared/usecases")
CLOCK_CALLS = {
    "datetime": {"now", "utcnow", "today"},
    "date": {"today"},
    "time": {"time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "sleep"},
}
# Functions that read the machine's clock: for ages of what is cached, signed or rotated, never of rows.
CLOCK_READERS = ("call_provider", "provider_catalog", "status", "webhook")
BLOCKS = (ast.If, ast.For, ast.AsyncFor, ast.While, ast.Try, ast.TryStar, ast.Match)
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
type_of_function = ast.FunctionDef | ast.AsyncFunctionDef


def none_of(violations: list[str]) -> None:
    """Fails with every violation on a line of its own."""
    assert not violations, "\n".join(["", *violations])


@cache
def sources() -> dict[str, ast.Module]:
    """By path from the root, every module of the project, parsed."""
    files = [file for folder in FOLDERS for file in (ROOT / folder).rglob("*.py")]
    files += [ROOT / "app.py"] if (ROOT / "app.py").exists() else []
    return {str(file.relative_to(ROOT)): ast.parse(file.read_text()) for file in files}


def test_functions_are_short() -> None:
    found = ((f"{where} {function.name}", _lines(function)) for where, function in _functions())
    none_of([f"{name}: {lines} lines" for name, lines in found if lines > LONGEST_FUNCTION_LINES])


def test_files_are_short() -> None:
    found = ((path, len((ROOT / path).read_text().splitlines())) for path in sources())
    none_of([f"{path}: {lines} lines" for path, lines in found if lines > LONGEST_FILE_LINES])


def test_the_formatter_decides_the_layout() -> None:
    asked = re.compile(r"#\s*fmt:\s*(skip|off)")
    found = {path for path in sources() if asked.search((ROOT / path).read_text())}
    none_of(sorted(found - LAID_OUT_BY_HAND))
    assert found == LAID_OUT_BY_HAND, "these need it no more: take them out of the list"


def test_blocks_nest_at_most_twice() -> None:
    found = ((f"{where} {function.name}", _depth(function.body)) for where, function in _functions())
    none_of([f"{name}: nested {depth} deep" for name, depth in found if depth > DEEPEST_NESTING])


def test_no_module_has_a_name_that_says_nothing() -> None:
    none_of([path for path in sources() if EMPTY_NAMES & set(Path(path).with_suffix("").parts)])


def test_imports_follow_the_arrows() -> None:
    wrong = [
        f"{path} imports {module}"
        for path, layer in _layers()
        for module in _imports(sources()[path])
        if _is_ours(module) and not any(_within(module, allowed) for allowed in ARROWS[layer])
    ]
    none_of(wrong)


def test_the_domain_needs_the_standard_library_only() -> None:
    known = set(sys.stdlib_module_names) | {"shared"}
    wrong = [
        f"{path} imports {module}"
        for path in _under("shared/domain")
        for module in _imports(sources()[path])
        if module.split(".")[0] not in known
    ]
    none_of(wrong)


def test_aws_sql_and_programs_are_behind_adapters() -> None:
    outer = {"boto3", "botocore", "psycopg", "redis", "replicate", "subprocess", "httpx", "urllib3"}
    wrong = [
        f"{path} imports {module}"
        for path in (*_under("functions"), *_under("shared/usecases"), *_under("shared/media"))
        for module in _imports(sources()[path])
        if module.split(".")[0] in outer
    ]
    none_of(wrong)


def test_time_comes_from_the_clock_port() -> None:
    wrong = [
        f"{path}:{node.lineno} calls {node.value.id}.{node.attr}"
        for folder in TIMELESS
        for path in _under(folder)
        for node in ast.walk(sources()[path])
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
        if node.attr in CLOCK_CALLS.get(node.value.id, set())
    ]
    none_of(wrong)


def test_who_decides_about_rows_goes_by_the_databases_clock() -> None:
    own = [path for path in _under("functions") if "bootstrap.clock()" in (ROOT / path).read_text()]
    assert sorted(own) == [f"functions/{name}/handler.py" for name in CLOCK_READERS]


def test_ports_and_use_cases_say_what_they_promise() -> None:
    silent = [
        f"{path} {node.name}"
        for path in ("shared/ports.py", *_under("shared/usecases"))
        if path in sources()
        for node in _public(sources()[path].body)
        if ast.get_docstring(node) is None
    ]
    none_of(silent)


def test_nothing_reads_the_environment_or_connects_at_import() -> None:
    wrong = [
        f"{path}:{node.lineno} {ast.unparse(node)}"
        for path in (*_under("shared"), *_under("functions"))
        for node in _run_at_import(sources()[path])
        if isinstance(node, ast.Attribute)
        and ast.unparse(node) in ("os.environ", "os.getenv", "boto3.client", "psycopg.connect")
    ]
    none_of(wrong)


def test_every_handler_names_itself_and_its_invocation_in_what_it_logs() -> None:
    handlers = [path for path in _under("functions") if path.endswith("/handler.py")]
    assert len(handlers) > 10
    none_of([path for path in handlers if not any(map(_is_observed, sources()[path].body))])


def test_every_test_that_reliability_names_exists() -> None:
    files = {path.removeprefix("tests/"): tree for path, tree in sources().items() if path.startswith("tests/")}
    named = list(_named_tests((ROOT / "docs/reliability.md").read_text()))
    assert len(named) > 50
    none_of([f"{file}::{test}" for file, test in named if file not in files or test not in _names(files[file])])


@pytest.mark.parametrize(
    ("code", "depth"),
    [
        ("if a:\n  pass\nelif b:\n  pass", 1),
        ("for a in b:\n  if a:\n    pass", 2),
        ("with a:\n  try:\n    pass\n  except E:\n    if c:\n      pass", 2),
        ("while a:\n  match b:\n    case 1:\n      if c:\n        pass", 3),
    ],
)
def test_depth_counts_blocks_and_neither_with_nor_elif(code: str, depth: int) -> None:
    assert _depth(ast.parse(code).body) == depth


def _is_observed(node: ast.stmt) -> bool:
    """Whether it defines `handler`, decorated or called with `observed`."""
    if isinstance(node, ast.FunctionDef) and node.name == "handler":
        return "observed" in map(ast.unparse, node.decorator_list)
    return isinstance(node, ast.Assign) and ast.unparse(node).startswith("handler = observed(")


def _named_tests(text: str) -> Iterator[tuple[str, str]]:
    """File and test of each `file.py::test`, `file.py` (its test is empty) and `::test` of the file before it."""
    file = ""
    for found in re.finditer(r"`([\w/]+/test_\w+\.py)?(?:::(test_\w+))?`", text):
        file = found[1] or file
        yield file, found[2] or ""


def _names(tree: ast.Module) -> set[str]:
    return {node.name for node in ast.walk(tree) if isinstance(node, FUNCTIONS)} | {""}


def _functions() -> Iterator[tuple[str, type_of_function]]:
    nodes = ((path, node) for path, tree in sources().items() for node in ast.walk(tree))
    yield from ((f"{path}:{node.lineno}", node) for path, node in nodes if isinstance(node, FUNCTIONS))


def _lines(function: type_of_function) -> int:
    return (function.end_lineno or function.lineno) - function.lineno + 1


def _depth(body: list[ast.stmt]) -> int:
    return max((_depth_of(statement) for statement in body), default=0)


def _depth_of(statement: ast.AST) -> int:
    """A function inside a function starts anew; an `elif` is an If in the else of an If."""
    if isinstance(statement, FUNCTIONS):
        return 0
    own = int(isinstance(statement, BLOCKS))
    return max(own, *(own + _depth_of(child) for child in _held(statement)), *_continued(statement))


def _held(statement: ast.AST) -> list[ast.AST]:
    other = statement.orelse if _has_elif(statement) and isinstance(statement, ast.If) else []
    kinds = (ast.stmt, ast.ExceptHandler, ast.match_case)
    return [child for child in ast.iter_child_nodes(statement) if isinstance(child, kinds) and child not in other]


def _continued(statement: ast.AST) -> list[int]:
    return [_depth_of(statement.orelse[0])] if isinstance(statement, ast.If) and _has_elif(statement) else [0]


def _has_elif(statement: ast.AST) -> bool:
    if not isinstance(statement, ast.If) or len(statement.orelse) != 1:
        return False
    return isinstance(statement.orelse[0], ast.If)


def _layers() -> Iterator[tuple[str, str]]:
    modules = {path: path.removesuffix(".py").removesuffix("/__init__").replace("/", ".") for path in sources()}
    for path, module in modules.items():
        yield from ((path, layer) for layer in ARROWS if _within(module, layer))


def _within(module: str, package: str) -> bool:
    return module == package or module.startswith(f"{package}.")


def _is_ours(module: str) -> bool:
    return module.split(".")[0] in FOLDERS


def _imports(tree: ast.Module) -> Iterator[str]:
    """Modules imported anywhere in the file; `from shared import http` is an import of shared.http."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module == "shared":
            yield from (f"shared.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def _under(folder: str) -> list[str]:
    return [path for path in sources() if path.startswith(f"{folder}/")]


def _public(body: list[ast.stmt]) -> Iterator[ast.ClassDef | type_of_function]:
    """Functions, classes and their methods whose names do not begin with an underscore."""
    for node in body:
        if isinstance(node, (ast.ClassDef, *FUNCTIONS)) and not node.name.startswith("_"):
            yield node
            yield from _public(node.body) if isinstance(node, ast.ClassDef) else ()


def _run_at_import(tree: ast.AST) -> Iterator[ast.AST]:
    for node in ast.iter_child_nodes(tree):
        if not isinstance(node, (*FUNCTIONS, ast.Lambda)):
            yield node
            yield from _run_at_import(node)
