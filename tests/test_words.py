import re
from pathlib import Path

import pytest

from cotrain.words import agreeing, counted

PROJECT = Path(__file__).parents[1]
# A number in a message, and then a noun and a verb that only fit several.
ONLY_SEVERAL = re.compile(
    r"(?:%d|\{(?:len\([^{}]*\)|number)\})(?: [a-z]+s)? (?:are|have|were|take|hold|lack|belong)\b"
)


def test_a_number_and_what_it_counts():
    assert [counted(number, "image") for number in (0, 1, 2)] == ["0 images", "1 image", "2 images"]
    assert [counted(number, "class", "classes") for number in (1, 19)] == ["1 class", "19 classes"]
    assert [agreeing(number, "is", "are") for number in (0, 1, 2)] == ["are", "is", "are"]


@pytest.mark.parametrize("folder", ["cotrain", "workflow_scripts", "streets", "rules"])
def test_verbs_agree_with_their_number(folder):
    found = [
        f"{path.relative_to(PROJECT)}: {match[0]}"
        for path in sorted((PROJECT / folder).rglob("*.py"))
        for match in ONLY_SEVERAL.finditer(path.read_text(encoding="utf-8"))
    ]
    assert found == []
