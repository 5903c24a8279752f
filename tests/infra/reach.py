"""Which calls of AWS a function's code can reach: read from the sources, nothing is run.

From a handler on, names are followed through imports to functions and classes. A class that is named there is taken to
be made, and of its methods those whose name is used anywhere on the way are taken to be called. Calls of a port are
known by the name of what holds it (`media`, `self._media`, `bootstrap.media()`), which a test of its own watches.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BOOTSTRAP = "shared.bootstrap"
# By the name of what holds the port, the adapter that calls AWS, and the service that its client is for.
PORTS = {
    "media": ("shared.adapters.s3:S3MediaStore", "s3"),
    "live": ("shared.adapters.aws:DynamoLiveView", "dynamodb"),
    "directory": ("shared.adapters.aws:DynamoKeyDirectory", "dynamodb"),
    "queue": ("shared.adapters.aws:SqsQueue", "sqs"),
    "reports": ("shared.adapters.aws:SqsReports", "sqs"),
    "inside": ("shared.adapters.aws:SettleFunction", "lambda"),
}
# Clients that no port holds: by module and name of what holds one, the service that it is for.
CLIENTS = {
    ("shared.adapters.aws", "client"): "sqs",
    ("shared.adapters.data_api", "client"): "rds-data",
    ("shared.adapters.postgres.tokens", "_rds"): "rds",
    ("shared.adapters.secrets", "parameters"): "parameters",
    ("shared.adapters.secrets", "client"): "secretsmanager",
}
# Signs a login to the cache, which no client does.
CACHE_LOGIN = "SigV4QueryAuth"
ADAPTERS = {adapter: port for port, (adapter, _) in PORTS.items()}
# What a client has besides its calls.
NO_CALLS = {"meta", "exceptions"}
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_TYPES = ("annotation", "returns", "type_params")


def read_sources(root: Path = ROOT) -> dict[str, ast.Module]:
    """By module name, everything that Lambdas run."""
    files = [file for folder in ("shared", "functions") for file in (root / folder).rglob("*.py")]
    names = {".".join(file.relative_to(root).with_suffix("").parts).removesuffix(".__init__"): file for file in files}
    return {name: ast.parse(file.read_text()) for name, file in names.items()}


Reached = Mapping[str, frozenset[str]]
"""By call of a port (`media.head`) or of a client without one, the client's calls (`s3.head_object`)."""


@dataclass(frozen=True)
class Program:
    """Modules with their definitions: `module:function`, `module:Class`, `module:Class.method`, `module:CONSTANT`."""

    modules: Mapping[str, ast.Module]

    @cached_property
    def bodies(self) -> dict[str, list[ast.AST]]:
        """By definition, its code; a class's without its methods', which are definitions of their own."""
        return {key: body for module, tree in self.modules.items() for key, body in _bodies(module, tree)}

    @cached_property
    def methods(self) -> dict[str, set[str]]:
        found: dict[str, set[str]] = {}
        for key in self.bodies:
            owner, _, method = key.rpartition(".")
            if ":" in owner:
                found.setdefault(owner, set()).add(method)
        return found

    @cached_property
    def scopes(self) -> dict[str, dict[str, str]]:
        """By module, what its names stand for: a definition, or a module."""
        return {module: dict(self._scope(module, tree)) for module, tree in self.modules.items()}

    @cached_property
    def builders(self) -> dict[str, str]:
        """By function of `bootstrap`, the adapter that it makes."""
        found = {}
        for node in self.modules[BOOTSTRAP].body:
            made = [
                self.named(BOOTSTRAP, r.value.func)
                for r in ast.walk(node)
                if isinstance(r, ast.Return) and isinstance(r.value, ast.Call)
            ]
            if isinstance(node, ast.FunctionDef) and made and made[0] in ADAPTERS:
                found[f"{BOOTSTRAP}:{node.name}"] = str(made[0])
        return found

    def reach(self, function: str) -> Reached:
        """What `functions/<function>/handler.py` can come to."""
        return _Search(self).run([key for key in self.bodies if key.startswith(f"functions.{function}.handler:")])

    def resolve(self, module: str, name: str) -> str | None:
        """What a name in a module stands for, through re-exports."""
        target = self.scopes.get(module, {}).get(name)
        seen = set()
        while target and target not in self.bodies and ":" in target and target not in seen:
            seen.add(target)
            other, _, symbol = target.partition(":")
            target = self.scopes.get(other, {}).get(symbol)
        return target

    def _scope(self, module: str, tree: ast.Module) -> Iterator[tuple[str, str]]:
        for node in ast.walk(tree):
            if not isinstance(node, ast.ImportFrom) or node.module is None:
                continue
            for alias in node.names:
                path = f"{node.module}.{alias.name}"
                yield alias.asname or alias.name, path if path in self.modules else f"{node.module}:{alias.name}"
        for key in self.bodies:
            home, _, name = key.partition(":")
            if home == module and "." not in name:
                yield name, key

    def named(self, module: str, node: ast.AST) -> str | None:
        """The definition that an expression names: `f`, or `module.f`."""
        if isinstance(node, ast.Name):
            return self.resolve(module, node.id)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            home = self.resolve(module, node.value.id)
            return self.resolve(home, node.attr) if home is not None and home in self.modules else None
        return None

    def returned(self, module: str, node: ast.AST) -> str | None:
        """The class that a call of our own function is said to return; none of a port, which adapters stand for."""
        key = self.named(module, node.func) if isinstance(node, ast.Call) else None
        home = (key or "").partition(":")[0]
        for function in self.bodies.get(key or "", ()):
            if isinstance(function, ast.FunctionDef) and isinstance(function.returns, ast.Name):
                found = self.resolve(home, function.returns.id)
                return None if found in ADAPTERS or (found or "").startswith("shared.ports") else found
        return None

    def port_of(self, module: str, node: ast.AST) -> str | None:
        """The port that an expression holds."""
        if isinstance(node, ast.Call):
            made = self.named(module, node.func)
            return ADAPTERS.get(self.builders.get(made or "", made or ""))
        name = _last_name(node).lstrip("_")
        return name if name in PORTS else None


@dataclass
class _Search:
    """One search: what has been found, and what is still to be looked through."""

    program: Program
    seen: set[str] = field(default_factory=set)
    named: set[str] = field(default_factory=set)
    known: set[str] = field(default_factory=set)
    attributes: set[str] = field(default_factory=set)
    calls: dict[str, frozenset[str]] = field(default_factory=dict)

    def run(self, keys: list[str]) -> Reached:
        while keys:
            for key in keys:
                self._read(key)
            keys = [key for key in self._called_methods() if key not in self.seen]
        return self.calls

    def _use(self, module: str, node: ast.Attribute) -> None:
        """`f().name` is known to be of the class that f returns; any other of every class that is made on the way."""
        method = f"{self.program.returned(module, node.value)}.{node.attr}"
        if method in self.program.bodies:
            self.known.add(method)
        else:
            self.attributes.add(node.attr)

    def _called_methods(self) -> Iterator[str]:
        yield from self.known
        methods = ((owner, method) for owner in self.named for method in self.program.methods.get(owner, ()))
        for owner, method in methods:
            if method in self.attributes or method.startswith("__"):
                yield f"{owner}.{method}"

    def _read(self, key: str) -> None:
        """A definition that is no adapter's, and all that it names."""
        if key in self.seen:
            return
        self.seen.add(key)
        module = key.partition(":")[0]
        for node in (node for body in self.program.bodies.get(key, ()) for node in _code(body)):
            self._call(module, node)
            named = self.program.named(module, node)
            if named in self.program.bodies and named not in ADAPTERS:
                self.named.add(named)
                self._read(named)

    def _call(self, module: str, node: ast.AST) -> None:
        if isinstance(node, ast.Name) and node.id == CACHE_LOGIN:
            self.calls["elasticache.connect"] = frozenset({"elasticache.connect"})
        if not isinstance(node, ast.Attribute):
            return
        self._use(module, node)
        service = CLIENTS.get((module, _last_name(node.value)))
        if service is not None and node.attr not in NO_CALLS:
            self.calls[f"{service}.{node.attr}"] = frozenset({f"{service}.{node.attr}"})
        port = self.program.port_of(module, node.value)
        if port is not None and node.attr in self.program.methods[PORTS[port][0]]:
            self.calls[f"{port}.{node.attr}"] = operations_of(self.program, port, node.attr)


def operations_of(program: Program, port: str, method: str) -> frozenset[str]:
    """The client's calls that a method of the port's adapter makes, by itself or by other methods of adapters."""
    adapter, service = PORTS[port]
    waiting, seen, found = [f"{adapter}.{method}"], set[str](), set[str]()
    while waiting:
        key = waiting.pop()
        nodes = [node for body in program.bodies[key] for node in _code(body)]
        found |= {f"{service}.{name}" for node in nodes for name in _operations(node)}
        seen.add(key)
        waiting += [other for node in nodes for other in _methods_used(program, key, node) if other not in seen]
    return frozenset(found)


def _methods_used(program: Program, key: str, node: ast.AST) -> list[str]:
    """Methods of the adapter itself, and those of another one that it holds."""
    adapter = key.rpartition(".")[0]
    if not isinstance(node, ast.Attribute):
        return []
    if isinstance(node.value, ast.Name) and node.value.id == "self":
        return [f"{adapter}.{node.attr}"] if node.attr in program.methods[adapter] else []
    port = program.port_of(adapter.partition(":")[0], node.value)
    held = PORTS[port][0] if port else ""
    return [f"{held}.{node.attr}"] if node.attr in program.methods.get(held, ()) else []


def _operations(node: ast.AST) -> Iterator[str]:
    """Of `self._client.head_object` its name, of `get_paginator("scan")` the call that is made page by page."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "get_paginator":
        yield from (str(argument.value) for argument in node.args if isinstance(argument, ast.Constant))
    if not isinstance(node, ast.Attribute) or not isinstance(node.value, ast.Attribute):
        return
    if node.value.attr == "_client" and node.attr not in NO_CALLS | {"get_paginator"}:
        yield node.attr
    if node.value.attr == "_signer":
        yield "presigned_get"


def _last_name(node: ast.AST) -> str:
    """Of `client`, `self.api.client` and `self._rds()` the name at the end."""
    if isinstance(node, ast.Call):
        return _last_name(node.func)
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""


def _bodies(module: str, tree: ast.Module) -> Iterator[tuple[str, list[ast.AST]]]:
    """Definitions by name; under the empty one, what a module does besides, but imports."""
    other = (ast.ClassDef, *_FUNCTIONS, ast.Assign, ast.AnnAssign, ast.Import, ast.ImportFrom, ast.If)
    yield f"{module}:", [node for node in tree.body if not isinstance(node, other)]
    for node in tree.body:
        yield from ((f"{module}:{name}", body) for name, body in _defined(node))


def _defined(node: ast.stmt) -> list[tuple[str, list[ast.AST]]]:
    if isinstance(node, ast.ClassDef):
        own: list[ast.AST] = [one for one in ast.iter_child_nodes(node) if not isinstance(one, _FUNCTIONS)]
        methods: list[tuple[str, list[ast.AST]]] = [
            (f"{node.name}.{one.name}", [one]) for one in node.body if isinstance(one, _FUNCTIONS)
        ]
        return [(node.name, own), *methods]
    if isinstance(node, _FUNCTIONS):
        return [(node.name, [node])]
    if isinstance(node, ast.Assign | ast.AnnAssign):
        return [(name, [node]) for name in _targets(node)]
    return []


def _targets(node: ast.Assign | ast.AnnAssign) -> list[str]:
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    return [name.id for target in targets for name in ast.walk(target) if isinstance(name, ast.Name)]


def _code(node: ast.AST) -> Iterator[ast.AST]:
    """The node and all below it but types, which are not run."""
    yield node
    for name, value in ast.iter_fields(node):
        children = value if isinstance(value, list) else [value]
        if name not in _TYPES:
            yield from (found for child in children if isinstance(child, ast.AST) for found in _code(child))
