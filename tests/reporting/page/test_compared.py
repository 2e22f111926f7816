from datetime import datetime
from html.parser import HTMLParser

import pytest

from cotrain.evaluation.scores import ModelScores
from cotrain.reporting.comparison import ComparedRun, grouped
from cotrain.reporting.page.compared import compared_page, verdict

MADE = datetime(2026, 1, 2, 3, 4)


def run(name, seed, mean_iou, **settings):
    """Return a run whose models have these mIoU, in per cent; its first class has twice as much."""
    scores = {
        model: ModelScores(model, value / 100, 0.5, 0.5, 0.5, {"road": value / 50, "<b>pole": None})
        for model, value in mean_iou.items()
    }
    return ComparedRun(name, {"run": name, "seed": seed} | settings, scores, tuple(scores), seconds=90.0)


def runs(name, finals, first_seed=1, **settings):
    return [
        run(f"{name}_{seed}", seed, {"baseline": 30, "final": final, "upper_bound": 50}, **settings)
        for seed, final in enumerate(finals, first_seed)
    ]


@pytest.mark.parametrize(
    ("first", "second", "word", "sentence"),
    [
        # 2 and 4 points: mean 3, deviation 1.41.
        (
            (40, 41),
            (42, 45),
            "b_1 (×2) is better",
            "43.5 % mIoU, 3.0 ± 1.4 points above a_1 (×2) (above it in 2 of 2 ",
        ),
        (
            (42, 45),
            (40, 41),
            "a_1 (×2) is better",
            "43.5 % mIoU, 3.0 ± 1.4 points above b_1 (×2) (above it in 2 of 2 ",
        ),
        # One seed points the other way.
        (
            (40, 41),
            (39, 45),
            "No clear difference",
            "1.5 ± 3.5 points above a_1 (×2) (above it in 1 of 2 seeds)",
        ),
        # Less than a seed changes.
        ((40, 40), (40.2, 40.4), "No clear difference", "0.3 ± 0.1 points above"),
        ((40,), (45,), "No clear difference", "5.0 points above a_1 (one seed)"),
    ],
)
def test_verdict_by_hand(first, second, word, sentence):
    found = verdict(grouped([*runs("a", first), *runs("b", second, x=1)]))
    assert found.word == word
    assert sentence in found.sentence
    assert (found.tone == "good") == word.endswith("better")
    assert bool(found.warnings) == (len(first) == 1)


def test_verdict_of_one_configuration_and_of_runs_that_share_nothing():
    found = verdict(grouped(runs("a", (40, 42))))
    assert found.word == "2 seeds of one configuration"
    assert "41.0 % mIoU on average, with a standard deviation of 1.4 points" in found.sentence
    assert [number.value for number in found.numbers] == ["41.0 %"]
    found = verdict(grouped([*runs("a", (40, 41)), *runs("b", (42, 43), first_seed=7, x=1)]))
    assert found.word == "No clear difference"
    assert any("no seed in common" in note.text for note in found.warnings)
    found = verdict(grouped([run("a", 1, {}), run("b", 1, {}, x=1)]))
    assert found.word == "No scores"


class Cells(HTMLParser):
    """Collects the texts of table cells and the targets of links."""

    def __init__(self):
        super().__init__()
        self.texts, self.links, self.tags = [], [], []
        self.inside = False

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.inside = tag in ("td", "th", "a") or self.inside
        if tag == "a":
            self.links.append(dict(attributes)["href"])

    def handle_endtag(self, tag):
        self.inside = self.inside and tag not in ("td", "th")

    def handle_data(self, data):
        if self.inside:
            self.texts.append(data.strip())


def test_page_shows_scores_differences_gaps_classes_and_settings():
    groups = grouped([*runs("a", (40, 42)), *runs("b", (43, 47), training={"batch_size": 8})])
    html = compared_page(groups, {"a_1": "../a_1/report/index.html"}, MADE)
    cells = Cells()
    cells.feed(html)
    # (40 - 30) / (50 - 30) = 50 %, (42 - 30) / 20 = 60 %; 3 and 5 points of difference.
    for text in ("55.00 ± 7.07", "41.00 ± 1.41", "+4.0", "1: +3.0, 2: +5.0", "2 of 2", "training.batch_size"):
        assert text in cells.texts, text
    # The class road has twice the mean: 82 and 90 %.
    assert {"82.0", "90.0", "+8.0"} <= {*cells.texts}
    assert "../a_1/report/index.html" in cells.links
    assert "Made 2026-01-02 03:04" in html
    assert "b" not in cells.tags
    assert "&lt;b&gt;pole" in html
    assert "90 s" in cells.texts
    assert "<svg" in html


def test_runs_without_scores_are_compared_by_their_settings():
    html = compared_page(grouped([run("a", 1, {}), run("b", 1, {}, on_collapse="warn")]), {}, MADE)
    assert "on_collapse" in html
    assert 'id="scores"' not in html
