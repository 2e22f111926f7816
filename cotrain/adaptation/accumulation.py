"""The growing set of pseudo-labelled images that the rounds and cycles train on.

Published method: Gómez, Villalonga, López, Sensors 2023, 23(2), 621. Images are matched by their manifest
id; the published code matches base names, and compares scores as text, so that "9.5e-05" beats "0.9".
"""

from collections.abc import Sequence
from dataclasses import replace

from cotrain.adaptation.ranking import IMAGE_RANKINGS
from cotrain.data.manifests import Item
from cotrain.errors import InputError

ACCUMULATIONS = ("best_score", "all", "none")

# These rankings of whole images look at what is kept rather than at how sure it is.
BY_KEPT_PIXELS = tuple(name for name in IMAGE_RANKINGS if name != "confidence")


def accumulate(
    previous: Sequence[Item],
    selected: Sequence[Item],
    mode: str,
    step: str,
    ranking: str = "confidence",
) -> list[Item]:
    """Return the set to train on after `selected` was chosen in the round or cycle named `step`.

    - "best_score": images seen before keep their place and get the new label if it is better, new ones are
      appended. Better means a higher score, or more kept pixels (that is, less void) where `ranking` is
      "class_count" or "void_pixels". An equal one leaves the old label.
    - "all": everything is appended; an image that is there already comes in again under the id "ID@STEP".
    - "none": `selected` alone.

    Raises ValueError for another mode, InputError for an item without the number to compare.
    """
    if mode == "best_score":
        seen = {item.id for item in previous}
        return relabel(previous, selected, ranking) + [item for item in selected if item.id not in seen]
    if mode == "all":
        seen = {item.id for item in previous}
        again = [replace(item, id=f"{item.id}@{step}") if item.id in seen else item for item in selected]
        return [*previous, *again]
    if mode == "none":
        return list(selected)
    raise ValueError(f"unknown accumulation {mode!r}, expected one of {ACCUMULATIONS}")


def relabel(
    accumulated: Sequence[Item], relabelled: Sequence[Item], ranking: str = "confidence"
) -> list[Item]:
    """Return `accumulated` with each entry replaced by its relabelled one where that is better.

    Order and ids stay; relabelled images that are not in `accumulated` are left out. Better as in
    `accumulate`.
    """
    candidates = {item.id: item for item in relabelled}
    kept: list[Item] = []
    for item in accumulated:
        candidate = candidates.get(item.id)
        better = candidate is not None and _quality(candidate, ranking) > _quality(item, ranking)
        kept.append(candidate if candidate is not None and better else item)
    return kept


def _quality(item: Item, ranking: str) -> float:
    column = "kept_pixels" if ranking in BY_KEPT_PIXELS else "score"
    value = item.kept_pixels if ranking in BY_KEPT_PIXELS else item.score
    if value is None:
        raise InputError(f"pseudo-labelled image {item.id!r} ({item.image}) has no {column} in its manifest")
    return value
