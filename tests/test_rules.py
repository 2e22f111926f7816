"""What every rule states."""

import re
from pathlib import Path

import pytest

RULES = Path(__file__).parents[1] / "rules"
TEXTS = {
    name: text
    for file in sorted(RULES.glob("*.smk"))
    for name, text in re.findall(r"^rule (\w+):\n((?:    .*\n|\n)+)", file.read_text(), re.M)
    if "    shell:" in text
}


def test_rules_are_found():
    assert len(TEXTS) >= 30
    assert {"train", "predict", "report", "join_ensemble"} <= TEXTS.keys()


@pytest.mark.parametrize("name", TEXTS)
def test_a_rule_states_what_its_jobs_need_and_notes_what_they_took(name):
    text = TEXTS[name]
    assert re.search(r"\n    resources:\n        \*\*needs\(\w+(\(.*\))?\),\n", text), "memory, time and disk"
    log, benchmark = (re.search(rf'\n    {key}:\n        f"(.*)\.\w+"', text) for key in ("log", "benchmark"))
    assert log
    if name == "page":
        # It is made whenever somebody asks for it. A benchmark would count as an output that is there.
        assert "\n    benchmark:" not in text
        return
    assert benchmark
    assert benchmark[1] == log[1], "beside the log"
    # A number of its own: all cores of the machine would be those of a whole cluster.
    assert "workflow.cores" not in text
