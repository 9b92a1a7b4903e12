"""The rules of docs/architecture.md, checked in the code; lint-imports checks the imports."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from importlib.metadata import packages_distributions

import pytest

from hub.db import tables
from tests.support.paths import ROOT

PACKAGES = ("hub", "signing", "indexer")
MODULES = sorted(str(p.relative_to(ROOT)) for package in PACKAGES for p in (ROOT / package).rglob("*.py"))
OURS = MODULES + sorted(
    str(p.relative_to(ROOT)) for folder in ("tests", "scripts") for p in (ROOT / folder).rglob("*.py")
)

TRANSACTION = re.compile(r"\s*(BEGIN|COMMIT|ROLLBACK|SAVEPOINT)\b")
SQL = re.compile(
    r"\s*(SELECT\s|INSERT\s+(OR\s+\w+\s+)?INTO\s|UPDATE\s+\w+\s+SET\s|DELETE\s+FROM\s|WITH\s+\w+.*\sAS\s"
    r"|CREATE\s+(UNIQUE\s+|VIRTUAL\s+)?(TABLE|INDEX|TRIGGER|VIEW)\s|ALTER\s+TABLE\s|DROP\s+\w+\s|PRAGMA\s)",
    re.DOTALL,
)
CLOCKS = {"datetime.now", "datetime.utcnow", "datetime.today", "date.today", "time.time", "time.time_ns"}
# Decorators that do not pass a function on to a framework.
PLAIN = {
    "abstractmethod", "cache", "cached_property", "classmethod", "contextmanager", "dataclass", "override", "property",
    "staticmethod",
}  # fmt: skip
# Names that the product defines and never mentions again.
NOT_MENTIONED = {
    "capture_signals": "uvicorn calls it",
    "send_400_response": "uvicorn calls it",
    "build_middleware_stack": "Starlette calls it",
    "describe": "prometheus-client calls it",
    "collect": "prometheus-client calls it",
    "splitString": "reportlab calls it",
    "getSubsetInternalName": "reportlab calls it",
    "async_sign_raw": "pyHanko calls it",
    "COLLECTED": "a value of a column; the collection of existing certificates will write it",
    "newest_version_key": "about to be removed",
    "pushed_bytes": "about to be removed",
}
TABLES = (
    "parties blind_index handles cases pushes intents certificates versions holdings successions acts documents "
    "outbox ledger cursors index_dead retrievals audit seen id_blocks data_keys signing_keys x509_certificates clients clerks "
    "jtis authorities types editions matters materials public_urls"
)


@cache
def tree(module: str) -> ast.Module:
    return ast.parse((ROOT / module).read_text(encoding="utf-8"))


def texts(module: str) -> Iterator[ast.Constant]:
    """All strings of a module except docstrings, including parts of f-strings."""
    plain = {id(n.value) for n in ast.walk(tree(module)) if isinstance(n, ast.Expr)}
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in plain:
            yield node


def calls(module: str) -> Iterator[tuple[int, str]]:
    """All calls as (line, name), with the last qualifier: `date.today`, `print`."""
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.Call):
            yield node.lineno, ".".join(ast.unparse(node.func).split(".")[-2:])


def imported(module: str) -> Iterator[str]:
    """The top-level name of every import of a module, also inside functions and for type checking."""
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None and node.level == 0:
            yield node.module.partition(".")[0]


def canonical(distribution: str) -> str:
    """A distribution's name as PyPI compares it, without extras and versions."""
    return re.sub(r"[-_.]+", "-", re.split(r"[\[<>=!~; ]", distribution)[0]).lower()


def defined(module: str) -> Iterator[tuple[int, str]]:
    """Every function, method, class and module constant as (line, name), without what a decorator registers."""
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            decorators = {re.findall(r"\w+", ast.unparse(d))[0] for d in node.decorator_list}
            if decorators <= PLAIN and not node.name.startswith("__"):
                yield node.lineno, node.name
    for node in tree(module).body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        for target in targets:
            if isinstance(target, ast.Name) and target.id != "__all__":
                yield node.lineno, target.id


def used(module: str) -> Iterator[str]:
    """All names that a module uses; names that a package only re-exports do not count."""
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            yield node.id
        elif isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.ImportFrom) and not module.endswith("__init__.py"):
            yield from (alias.name for alias in node.names)


def outside(*allowed: str) -> list[str]:
    return [m for m in MODULES if not m.startswith(allowed)]


def test_transactions_begin_and_end_in_the_engines():
    # Migrations run in Alembic's transaction; the embedded directory is a separate file with its own commits.
    modules = outside("hub/db/sqlite.py", "hub/db/postgres.py", "hub/db/schema.py", "hub/db/migrations/", "indexer/")
    found = [f"{m}:{n.lineno}" for m in modules for n in texts(m) if TRANSACTION.match(n.value)]
    found += [f"{m}:{line}" for m in modules for line, name in calls(m) if name.endswith((".commit", ".rollback"))]
    assert not found


def test_sql_stands_in_the_store_and_the_embedded_directory_only():
    found = [
        f"{m}:{n.lineno}" for m in outside("hub/db/", "hub/store/", "indexer/") for n in texts(m) if SQL.match(n.value)
    ]
    assert not found


def test_one_module_reads_the_clock():
    found = [f"{m}:{line}" for m in outside("hub/runtime/clock.py") for line, name in calls(m) if name in CLOCKS]
    assert not found


def test_unknown_faults_are_swallowed_at_the_edges_only():
    found = []
    for module in outside("hub/worker", "hub/cli", "hub/app.py"):
        for node in ast.walk(tree(module)):
            if isinstance(node, ast.ExceptHandler) and not _passes_on(ast.unparse(node.body[-1])):
                caught = ast.unparse(node.type) if node.type else "BaseException"
                if {"Exception", "BaseException"} & set(re.findall(r"\w+", caught)):
                    found.append(f"{module}:{node.lineno}")
    assert not found


def _passes_on(statement: str) -> bool:
    """Whether the last statement of a handler re-raises the error, here or in the coroutine that awaits it."""
    return statement == "raise" or "future.set_exception, error" in statement


def test_only_commands_print():
    found = [f"{m}:{line}" for m in outside("hub/cli", "hub/sample/") for line, name in calls(m) if name == "print"]
    assert not found


@pytest.mark.parametrize("module", OURS)
def test_modules_and_functions_fit_on_a_few_screens(module):
    assert len((ROOT / module).read_text(encoding="utf-8").splitlines()) <= 500
    functions = [n for n in ast.walk(tree(module)) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]
    assert [f.name for f in functions if (f.end_lineno or f.lineno) - f.lineno >= 80] == []


@pytest.mark.parametrize("module", OURS)
def test_nothing_is_left_for_later(module):
    assert not re.search(r"\b(TO" r"DO|FIX" r"ME)\b", (ROOT / module).read_text(encoding="utf-8"))


def test_every_table_of_the_architecture_exists():
    assert set(TABLES.split()) <= set(tables.metadata.tables)


def test_every_imported_package_is_declared():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    declared = {canonical(dependency) for dependency in project["dependencies"]}
    packages = packages_distributions()
    found = {
        f"{module}: {name}"
        for module in MODULES
        for name in imported(module)
        if name not in sys.stdlib_module_names and name not in PACKAGES
        if not declared & {canonical(distribution) for distribution in packages.get(name, ())}
    }
    assert not found


def test_the_product_uses_every_name_that_it_defines():
    scripts = [m for m in OURS if m.startswith("scripts/")]
    names = {name for module in MODULES + scripts for name in used(module)}
    for template in (ROOT / "hub").rglob("*.html"):
        names |= set(re.findall(r"\w+", template.read_text(encoding="utf-8")))
    found = [
        f"{module}:{line} {name}"
        for module in outside("hub/db/migrations/", "hub/db/tables.py")  # the metadata holds the tables
        for line, name in defined(module)
        if name not in names and name not in NOT_MENTIONED
    ]
    assert not found
