from pathlib import Path

import pytest

from cotrain.adaptation.accumulation import accumulate, relabel
from cotrain.data.manifests import Item
from cotrain.errors import InputError


def item(name, score, kept_pixels=0, step="0"):
    return Item(
        id=name,
        image=Path(f"/images/{name}.png"),
        width=4,
        height=2,
        label=Path(f"/labels/{step}/{name}.png"),
        score=score,
        kept_pixels=kept_pixels,
    )


def test_better_labels_replace_in_place_and_new_images_are_appended():
    previous = [item("a", 0.8), item("b", 0.9), item("c", 0.7)]
    selected = [item("d", 0.5, step="1"), item("c", 0.9, step="1"), item("b", 0.85, step="1")]
    merged = accumulate(previous, selected, "best_score", "1", "confidence")
    assert merged == [previous[0], previous[1], selected[1], selected[0]]


def test_scores_are_compared_as_numbers():
    # As texts "9.5e-05" > "0.9" and "10000" < "9000".
    assert accumulate([item("a", 0.9)], [item("a", 9.5e-05)], "best_score", "1", "confidence")[0].score == 0.9
    few, many = item("a", 0.5, kept_pixels=9000), item("a", 0.4, kept_pixels=10000)
    assert accumulate([few], [many], "best_score", "1", ranking="void_pixels") == [many]


@pytest.mark.parametrize(
    ("ranking", "winner"),
    [
        ("confidence", "sure"),
        ("threshold_difference", "sure"),
        ("class_count", "full"),
        ("void_pixels", "full"),
    ],
)
def test_what_better_means(ranking, winner):
    sure, full = item("a", 0.9, kept_pixels=1, step="sure"), item("a", 0.8, kept_pixels=8, step="full")
    for merged in (
        accumulate([sure], [full], "best_score", "1", ranking),
        accumulate([full], [sure], "best_score", "1", ranking),
        relabel([sure], [full], ranking),
        relabel([full], [sure], ranking),
    ):
        assert [str(kept.label) for kept in merged] == [f"/labels/{winner}/a.png"]


def test_equal_score_leaves_the_old_label():
    old, new = item("a", 0.8, step="0"), item("a", 0.8, step="1")
    assert accumulate([old], [new], "best_score", "1", "confidence") == [old]


def test_all_keeps_every_label_under_an_id_of_its_own():
    first = accumulate([], [item("a", 0.8), item("b", 0.7)], "all", "00", "confidence")
    second = accumulate(first, [item("a", 0.9), item("c", 0.6)], "all", "01", "confidence")
    third = accumulate(second, [item("a", 0.1)], "all", "02", "confidence")
    assert [(kept.id, kept.score) for kept in third] == [
        ("a", 0.8),
        ("b", 0.7),
        ("a@01", 0.9),
        ("c", 0.6),
        ("a@02", 0.1),
    ]
    assert third[2].image == Path("/images/a.png")


def test_none_forgets_what_was_before():
    assert accumulate([item("a", 0.9)], [item("b", 0.1)], "none", "1", "confidence") == [item("b", 0.1)]


def test_relabel_keeps_order_and_adds_nothing():
    accumulated = [item("a", 0.8), item("b", 0.7), item("c", 0.6)]
    relabelled = [item("c", 0.9, step="r"), item("b", 0.2, step="r"), item("x", 1.0, step="r")]
    assert relabel(accumulated, relabelled, "confidence") == [accumulated[0], accumulated[1], relabelled[0]]


def test_manifest_without_scores():
    with pytest.raises(InputError, match=r"'a'.*no score"):
        accumulate([item("a", None)], [item("a", 0.5)], "best_score", "1", "confidence")


def test_unknown_mode():
    with pytest.raises(ValueError, match="unknown accumulation 'best'"):
        accumulate([], [], "best", "1", "confidence")
