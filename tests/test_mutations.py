"""The tool that changes the code to try the tests."""

import ast
from dataclasses import replace

import pytest

from tests import mutations
from tests.mutations import Change, changes_of, difference, draw

MODULE = '''
def area(settings, width: int = 3, name="é"):
    """Return 1 + 1."""
    if width < 4 and name:
        raise ValueError(f"{width - 1}")
    store(width, name, deep=True)
    return settings.momentum * width
'''


def test_changes_of_a_module():
    made = {}
    for change in changes_of("m.py", MODULE):
        after = change.apply(MODULE)
        ast.parse(after)
        lines = zip(MODULE.splitlines(), after.splitlines(), strict=True)
        [line] = [new.strip() for old, new in lines if old != new]
        made.setdefault(change.kind, []).append(line)
    # No change of the docstring, the annotation or the error.
    assert made == {
        "comparison": ["if (width <= 4) and name:"],
        "and / or": ["if (width < 4 or name):"],
        "condition": ["if False:", "if True:"],
        "constant": [
            'def area(settings, width: int = (2), name="é"):',
            'def area(settings, width: int = 4, name="é"):',
            "if width < (3) and name:",
            "if width < 5 and name:",
            "store(width, name, deep=False)",
        ],
        "dropped statement": ["pass"],
        "dropped argument": ["(store(width, name))"],
        "swapped arguments": ["(store(name, width, deep=True))"],
        "return value": ["return None"],
        "arithmetic": ["return (settings.momentum / width)"],
        "ignored setting": ["return 0.9 * width"],
    }


def test_a_draw_is_a_function_of_its_seed():
    first = draw(20, 3, only="cotrain/training")
    assert first == draw(20, 3, only="cotrain/training") != draw(20, 4, only="cotrain/training")
    assert len({change.kind for change in first}) > 4
    assert all(change.file.startswith("cotrain/training/") for change in first)


def test_tests_that_can_see_a_module():
    assert mutations.tests_of("cotrain/adaptation/ranking.py")[:3] == [
        "tests/adaptation/test_ranking.py",
        "tests/adaptation/test_accumulation.py",
        "tests/adaptation/test_branch_exchange.py",
    ]
    assert mutations.tests_of("workflow_scripts/relabel.py") == ["tests/workflow_scripts/test_relabel.py"]
    # Among the many that use it, the one of its filters.
    assert "tests/data/test_trees.py" in mutations.tests_of("cotrain/data/layouts.py")
    # No test imports it, but the page that holds its section is made by a step that one imports.
    assert "tests/reporting/page/test_page.py" in mutations.tests_of("cotrain/reporting/page/data.py")


def test_what_is_not_seen_is_shown_and_nothing_is_tried_twice(tmp_path, monkeypatch, capsys):
    file = "cotrain/adaptation/collaboration.py"
    text = (mutations.PROJECT / file).read_text()
    start = text.index("number // 2}")
    seen = Change(file, "arithmetic", start, start + len("number // 2"), "number")
    unseen = replace(seen, kind="constant", new="number // 2 + 0")
    monkeypatch.setattr(mutations, "draw", lambda *_: [seen, unseen])
    monkeypatch.setattr(mutations, "tests_of", lambda _: ["tests/adaptation/test_collaboration.py"])
    monkeypatch.setattr(mutations.os, "nice", lambda _: None)
    arguments = ["--log", str(tmp_path / "log.jsonl")]
    mutations.main(arguments)
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == [
        f"1 of 2: {file}: arithmetic: seen",
        f"2 of 2: {file}: constant: not seen",
    ]
    assert lines[-1] == "1 of 2 changes seen"
    assert '+    number_of_own = {"exchange": 0, "own": number, "both": number // 2 + 0}[mode]' in lines
    assert difference(seen) not in "\n".join(lines)

    def fail(*_):
        pytest.fail("tried twice")

    monkeypatch.setattr(mutations, "outcome", fail)
    mutations.main(arguments)
    assert capsys.readouterr().out.splitlines()[-1] == "1 of 2 changes seen"
