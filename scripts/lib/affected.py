"""Print the test files that a change touches, the closest first, for `scripts/test --quick`.

A change is what differs from the merge base with the main branch, uncommitted and new files included. A changed test
file is touched; so are test files that import a changed module, those in the folder of its subject, and those that
import it through one more module. Fault tests and what goes beyond the limit are named on standard error and left out.
"""

import ast
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import grimp

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("hub", "signing", "indexer")
LIMIT = 15
ALWAYS = "tests/test_architecture.py"
LONG = ("tests/faults/", "tests/ops/test_deploy_", "tests/ops/test_scripts_start.py", "tests/test_story.py")
# The test folders of packages that have none of their own.
SUBJECTS = {
    "cases": "issuance",
    "intake": "issuance",
    "records": "lifecycle",
    "case_records": "counter",
    "keys": "signing",
    "db": "store",
    "vault": "store",
    "web": "api",
    "app": "api",
    "backup": "ops",
    "cli": "ops",
    "registration": "ops",
    "rotation": "ops",
    "runtime": "ops",
    "sample": "ops",
    "server": "ops",
    "settings": "ops",
    "worker": "ops",
}
OTHERS = {
    "deploy/": ["tests/ops/test_deploy_files.py"],
    "docker-compose.yml": ["tests/ops/test_deploy_files.py"],
    "docs/": ["tests/test_docs.py"],
    "scripts/start": ["tests/ops/test_scripts_start.py"],
    "scripts/lib/affected.py": ["tests/ops/test_quick.py"],
    "tests/vectors/": ["tests/signing/test_vectors.py"],
}


def changed() -> list[str]:
    """The files that differ from the merge base with the main branch, paths from the root."""
    base = "HEAD"
    for branch in ("origin/main", "main"):
        found = _git("merge-base", "HEAD", branch)
        if found:
            [base] = found
            break
    files = _git("diff", "--name-only", base) + _git("ls-files", "--others", "--exclude-standard")
    return sorted(set(files))


def _git(*arguments: str) -> list[str]:
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.splitlines() if done.returncode == 0 else []


def touched(files: Iterable[str], imports: dict[str, set[str]], importers: dict[str, set[str]]) -> list[str]:
    """The test files that a change of these files touches, the closest first.

    imports: for each test file, the modules it imports. importers: for each module, the ones that import it.
    """
    ranks: dict[str, int] = {}

    def add(rank: int, tests: Iterable[str]) -> None:
        for test in tests:
            ranks[test] = min(rank, ranks.get(test, rank))

    for file in files:
        if file in imports:
            add(0, [file])
        for start, tests in OTHERS.items():
            if file.startswith(start):
                add(1, tests)
        module = module_of(file)
        if module is not None:
            beyond = importers.get(module, set())
            add(1, (test for test, names in imports.items() if module in names))
            add(3, (test for test, names in imports.items() if names & beyond))
        folder = folder_of(file)
        if folder is not None:
            add(2, (test for test in imports if test.startswith(folder)))
    return sorted(ranks, key=lambda test: (ranks[test], test))


def module_of(file: str) -> str | None:
    path = Path(file)
    if path.suffix != ".py" or path.parts[0] not in (*PACKAGES, "tests"):
        return None
    return ".".join(path.parent.parts if path.name == "__init__.py" else path.with_suffix("").parts)


def folder_of(file: str) -> str | None:
    """The folder with the tests of a product file's package."""
    top, *rest = Path(file).parts
    if top not in PACKAGES:
        return None
    package = top if top != "hub" else Path(rest[0]).stem
    return f"tests/{SUBJECTS.get(package, package)}/"


def imports_of_tests() -> dict[str, set[str]]:
    tests = sorted((ROOT / "tests").rglob("test_*.py"))
    return {str(path.relative_to(ROOT)): set(_imported(path)) for path in tests}


def _imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def importers_in_product() -> dict[str, set[str]]:
    graph = grimp.build_graph(*PACKAGES, cache_dir=None)
    return {module: graph.find_modules_that_directly_import(module) for module in graph.modules}


def main() -> None:
    files = changed()
    found = touched(files, imports_of_tests(), importers_in_product())
    found = [test for test in found if (ROOT / test).exists() and test != ALWAYS]
    long = [test for test in found if test.startswith(LONG) and test not in files]
    near = [test for test in found if test not in long]
    limit = max(LIMIT, len([test for test in near if test in files]))
    print(f"{len(files)} changed files touch {len(found)} test files.", file=sys.stderr)
    for reason, left in (("takes long", long), ("further away", near[limit:])):
        for test in left:
            print(f"left out, {reason}: {test}", file=sys.stderr)
    print(ALWAYS, *near[:limit], sep="\n")


if __name__ == "__main__":
    main()
