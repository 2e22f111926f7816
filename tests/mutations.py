"""How many single changes of the code the tests see.

Draws changes of `cotrain` and `workflow_scripts` by a seed and makes each in a copy of the tree. It runs the
test files that can see the changed module. It prints what they did not see, as a diff, and the share seen.
What was tried is kept in a log: given again, the same command goes on where it stopped. Each change takes
about half a minute, and several minutes if it is not seen:

    python -m tests.mutations [--number 60] [--seed 0] [--only cotrain/training] [--log mutations.jsonl]

A change that is not seen may matter to a user (write a test), or to nobody (a limit of a cache, a wording).
Rules, the Snakefile and tests of the whole workflow take no part.
"""

import argparse
import ast
import copy
import difflib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

import msgspec

from cotrain.configuration import sections

PROJECT = Path(__file__).parents[1]
PACKAGES = ("cotrain", "workflow_scripts")
# They take minutes, and start whole runs.
SLOW = "tests/workflow/"
# More of them see hardly more: those of a module that all others import are the whole suite.
MOST_FILES = 10
# A change that hangs is seen too.
LIMIT_S = 600
COMPARISONS = {ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq}
COMPARISONS |= {ast.NotEq: ast.Eq, ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In}
ARITHMETIC = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.Mod: ast.Mult}
ARITHMETIC |= {ast.FloorDiv: ast.Div, ast.Pow: ast.Mult, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd}
# Calls of these only speak to the user.
SPEECH = re.compile(r"Error$|^(logger|parser|progress)\.|add_argument$|^listed$|^new_parser$")
# Keyword arguments without meaning for results: texts, and what NumPy, pathlib and the like do anyway.
WITHOUT_MEANING = {"help", "metavar", "title", "encoding", "strict", "copy", "extra"}


@dataclass(frozen=True)
class Change:
    """In the text of `file`, the characters `start` to `end` become `new`."""

    file: str
    kind: str
    start: int
    end: int
    new: str

    def apply(self, text: str) -> str:
        """Return the changed text of the file."""
        return text[: self.start] + self.new + text[self.end :]


def changes_of(file: str, text: str) -> list[Change]:
    """Return all single changes of a module, in the order of its text."""
    lines = text.splitlines(keepends=True)
    starts = [0, *accumulate(map(len, lines))]

    def place(line: int, column: int) -> int:
        # The columns of ast are bytes.
        return starts[line - 1] + len(lines[line - 1].encode()[:column].decode())

    def change(kind: str, node: ast.AST, new: str) -> Change:
        start, end = place(node.lineno, node.col_offset), place(node.end_lineno, node.end_col_offset)
        return Change(file, kind, start, end, new)

    found = {change(*found) for node in _code(ast.parse(text)) for found in _alternatives(node)}
    return sorted(found, key=lambda change: (change.start, change.end, change.kind, change.new))


def _is_change(change: Change, text: str) -> bool:
    """Return whether a change leaves a program, and another one."""
    try:
        return ast.dump(ast.parse(change.apply(text))) != ast.dump(ast.parse(text))
    except SyntaxError:
        return False


def _code(node: ast.AST) -> Iterator[ast.AST]:
    """Yield all nodes that decide what a program does: no annotations, docstrings or messages."""
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns", "decorator_list"):
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.Raise | ast.JoinedStr | ast.Assert) or not isinstance(child, ast.AST):
                continue
            call = child.value if isinstance(child, ast.Expr) else child
            if isinstance(call, ast.Call) and SPEECH.search(ast.unparse(call.func)):
                continue
            if isinstance(child, ast.Expr) and isinstance(child.value, ast.Constant):
                continue
            if isinstance(child, ast.If) and "__name__" in ast.unparse(child.test):
                continue
            if hasattr(child, "lineno"):
                yield child
            yield from _code(child)


def _alternatives(node: ast.AST) -> Iterator[tuple[str, ast.AST, str]]:
    """Yield (kind, node or part of it, text that may stand in its place)."""

    def changed(**fields: object) -> str:
        other = copy.copy(node)
        for name, value in fields.items():
            setattr(other, name, value)
        return f"({ast.unparse(other)})" if isinstance(node, ast.expr) else ast.unparse(other)

    match node:
        case ast.Compare(ops=[operator]) if type(operator) in COMPARISONS:
            yield "comparison", node, changed(ops=[COMPARISONS[type(operator)]()])
        # Paths are joined by a division too, and any other arithmetic of them fails.
        case ast.BinOp(op=ast.Div(), right=ast.Constant(value=str()) | ast.JoinedStr()):
            pass
        case ast.BinOp(op=operator) if type(operator) in ARITHMETIC:
            yield "arithmetic", node, changed(op=ARITHMETIC[type(operator)]())
        case ast.BoolOp(op=operator):
            yield "and / or", node, changed(op=ast.And() if isinstance(operator, ast.Or) else ast.Or())
        case ast.UnaryOp(op=ast.Not() | ast.USub(), operand=operand):
            yield "sign", node, f"({ast.unparse(operand)})"
        case ast.Constant(value=bool(value)):
            yield "constant", node, str(not value)
        case ast.Constant(value=int(value)):
            yield from (("constant", node, text) for text in (str(value + 1), f"({value - 1})"))
        case ast.Constant(value=float(value)):
            yield from (("constant", node, text) for text in (repr(2 * value), repr(value + 1)))
        case ast.Attribute(value=ast.Name(id="settings"), attr=name) if name in _defaults():
            yield "ignored setting", node, _defaults()[name]
        case ast.If() | ast.IfExp():
            yield from (("condition", node.test, str(value)) for value in (True, False))
        case ast.Expr(value=ast.Call()) | ast.AugAssign() | ast.Continue() | ast.Break():
            yield "dropped statement", node, "pass"
        case ast.Return(value=ast.expr() as value) if not isinstance(value, ast.Constant):
            yield "return value", node, "return None"
    if isinstance(node, ast.Call):
        for position, keyword in enumerate(node.keywords):
            if keyword.arg and keyword.arg not in WITHOUT_MEANING:
                rest = node.keywords[:position] + node.keywords[position + 1 :]
                yield "dropped argument", node, changed(keywords=rest)
        for position in range(len(node.args) - 1):
            arguments = list(node.args)
            arguments[position : position + 2] = arguments[position + 1], arguments[position]
            yield "swapped arguments", node, changed(args=arguments)


def _defaults() -> dict[str, str]:
    """Return each key of the settings with its default, as Python text."""
    kinds = [kind for kind in vars(sections).values() if isinstance(kind, type)]
    of_kinds = [kind for kind in kinds if issubclass(kind, msgspec.Struct)]
    fields = [field for kind in of_kinds for field in msgspec.structs.fields(kind)]
    simple = (bool, int, float, str, tuple, type(None))
    return {field.name: repr(field.default) for field in fields if isinstance(field.default, simple)}


def tests_of(file: str) -> list[str]:
    """Return at most `MOST_FILES` test files that can see a module, the likeliest first.

    These are the one of the same name, those of the modules that import it, and others that import it, those
    beside it first; then those that see these modules in the same way, and so on.
    """

    def of_same_name(module: str) -> str:
        path = Path(module.removeprefix("cotrain/"))
        return str(Path("tests") / path.parent / f"test_{path.name}")

    def users(module: str, folders: Sequence[str], pattern: str) -> list[str]:
        package, _, name = module.removesuffix(".py").replace("/", ".").rpartition(".")
        imported = re.compile(
            rf"{re.escape(package)}\.{name}\b|from {re.escape(package)} import [^)]*?\b{name}\b"
        )
        paths = [path for name in folders for path in sorted((PROJECT / name).rglob(pattern))]
        return [str(path.relative_to(PROJECT)) for path in paths if imported.search(path.read_text())]

    found: dict[str, None] = {}
    modules = [file]
    for module in modules:
        if len(found) >= MOST_FILES:
            break
        of_module = users(module, PACKAGES, "*.py")
        ranked = [of_same_name(module), *map(of_same_name, of_module), *users(module, ["tests"], "test_*.py")]
        there = [test for test in ranked if (PROJECT / test).exists() and not test.startswith(SLOW)]
        beside = Path(ranked[0]).parent
        found |= dict.fromkeys(sorted(there, key=lambda test: Path(test).parent != beside))
        modules += [user for user in of_module if user not in modules]
    return list(found)[:MOST_FILES]


def draw(number: int, seed: int, only: str = "") -> list[Change]:
    """Return `number` changes: each kind is drawn equally often, and within a kind each change."""
    by_kind: dict[str, list[Change]] = {}
    texts: dict[str, str] = {}
    for package in PACKAGES:
        for path in sorted((PROJECT / package).rglob("*.py")):
            file = str(path.relative_to(PROJECT))
            texts[file] = path.read_text()
            for change in changes_of(file, texts[file]) if file.startswith(only) else []:
                by_kind.setdefault(change.kind, []).append(change)
    chance = random.Random(seed)
    drawn: list[Change] = []
    while by_kind and len(drawn) < number:
        kind = chance.choice(sorted(by_kind))
        change = by_kind[kind].pop(chance.randrange(len(by_kind[kind])))
        if _is_change(change, texts[change.file]):
            drawn.append(change)
        if not by_kind[kind]:
            del by_kind[kind]
    return drawn


def outcome(change: Change, folder: Path) -> dict[str, object]:
    """Make the change in the copy `folder` of the tree, run its tests, and return what they say of it."""
    path = folder / change.file
    original, tests = path.read_text(), tests_of(change.file)
    path.write_text(change.apply(original))
    # In this order, so that most changes are seen by the first file.
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *tests]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        output, _ = process.communicate(timeout=LIMIT_S)
        result = "not seen" if process.returncode == 0 else "seen"
        by = next((line for line in output.splitlines() if line.startswith(("FAILED", "ERROR"))), "")
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        result, by = "seen", f"no end within {LIMIT_S} s"
    finally:
        path.write_text(original)
    return {"result": "not seen" if not tests else result, "by": by[:200]}


def difference(change: Change) -> str:
    """Return a change as a unified diff."""
    before = (PROJECT / change.file).read_text()
    lines = [text.splitlines() for text in (before, change.apply(before))]
    return "\n".join(difflib.unified_diff(*lines, change.file, change.kind, lineterm="", n=1))


def main(arguments: list[str] | None = None) -> None:
    """Try the changes that the log does not have yet, then print what all tests of them say."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--number", type=int, default=60, help="changes (default: 60)")
    parser.add_argument("--seed", type=int, default=0, help="decides the draw (default: 0)")
    parser.add_argument("--only", default="", help="beginning of the files that are changed")
    parser.add_argument("--log", type=Path, default=Path("mutations.jsonl"), help="what was tried")
    options = parser.parse_args(arguments)
    os.nice(10)
    lines = options.log.read_text().splitlines() if options.log.exists() else []
    tried = {entry["difference"]: entry for entry in map(json.loads, lines)}
    differences = {difference(change): change for change in draw(options.number, options.seed, options.only)}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary, "tree")
        left_out = shutil.ignore_patterns(".git", ".venv", "results", "state", "__pycache__", ".*_cache")
        shutil.copytree(PROJECT, folder, symlinks=True, ignore=left_out)
        for number, (text, change) in enumerate(differences.items(), 1):
            if text not in tried:
                tried[text] = {"difference": text, "kind": change.kind, **outcome(change, folder)}
                with options.log.open("a") as log:
                    log.write(json.dumps(tried[text]) + "\n")
            entry = tried[text]
            print(
                f"{number} of {len(differences)}: {change.file}: {change.kind}: {entry['result']}", flush=True
            )
    missed = [text for text in differences if tried[text]["result"] == "not seen"]
    print("\n\n".join(["", *missed, f"{len(differences) - len(missed)} of {len(differences)} changes seen"]))


if __name__ == "__main__":
    main()
