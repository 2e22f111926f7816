"""Which part may import which: the library knows nothing of the workflow, of the steps, or of the streets."""

import ast
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[1]


def imported(path: Path) -> set[str]:
    """Return the modules that a file imports, wherever in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module or "")
    return names


def packages(path: Path) -> set[str]:
    return {name.split(".")[0] for name in imported(path)}


@pytest.mark.parametrize(
    ("folder", "forbidden"),
    [
        ("cotrain", {"snakemake", "streets", "workflow_scripts"}),
        ("streets", {"snakemake", "workflow_scripts", "torch"}),
        ("workflow_scripts", {"snakemake"}),
    ],
)
def test_no_part_knows_what_stands_above_it(folder, forbidden):
    files = sorted((PROJECT / folder).rglob("*.py"))
    assert len(files) > 10
    assert {file.name: packages(file) & forbidden for file in files if packages(file) & forbidden} == {}


def test_settings_are_a_leaf_that_everything_may_import():
    folder = PROJECT / "cotrain" / "configuration"
    assert imported(folder / "choices.py") == {"typing"}
    assert imported(folder / "names.py") == {"re", "dataclasses", "typing"}
    assert imported(PROJECT / "cotrain" / "words.py") == {"math", "datetime", "typing"}
    leaves = {"cotrain.configuration.choices", "cotrain.configuration.names", "cotrain.words"}
    others = {"collections.abc", "functools", "typing", "msgspec"}
    assert imported(folder / "sections.py") == {*others, *leaves}


def test_nothing_imports_in_a_circle():
    modules = {
        ".".join(file.relative_to(PROJECT).with_suffix("").parts): file
        for file in (PROJECT / "cotrain").rglob("*.py")
    }
    at_import = {name: top_level_imports(file) & modules.keys() for name, file in modules.items()}

    def visit(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, " -> ".join([*path[path.index(name) :], name])
        if name not in done:
            for other in at_import[name]:
                visit(other, (*path, name))
            done.add(name)

    done: set[str] = set()
    for name in modules:
        visit(name, ())
    assert len(done) > 60


def top_level_imports(path: Path) -> set[str]:
    """Return what a file imports when it is imported itself; modules of packages by their full names."""
    names: set[str] = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names
