"""The growing set of pseudo-labelled images on which rounds and cycles train.

Published method: Gómez, Villalonga, López, Sensors 2023, 23(2), 621. Images are matched by their ids in the
manifest. The published code matches base names, and compares scores as text, so that "9.5e-05" beats "0.9".
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import get_args

from cotrain.adaptation.ranking import IMAGE_RANKINGS
from cotrain.configuration.choices import Accumulation
from cotrain.data.manifests import Item
from cotrain.errors import InputError

ACCUMULATIONS = get_args(Accumulation)

# These rankings of whole images look at the kept pixels, not at their confidence.
BY_KEPT_PIXELS = tuple(name for name in IMAGE_RANKINGS if name != "confidence")


def accumulate(
    previous: Sequence[Item],
    selected: Sequence[Item],
    mode: str,
    step: str,
    ranking: str,
) -> list[Item]:
    """Return the training set after the round or cycle named `step` has selected the images `selected`.

    - "best_score": images of the previous set keep their place, and get their new label if it is better; new
      images are appended. Better means a higher score, or more kept pixels (less void) if `ranking` is
      "class_count" or "void_pixels". If both are equal, the old label stays.
    - "all": all selected images are appended; an image of the previous set gets the id "ID@STEP".
    - "none": only `selected`.

    Raises ValueError for another mode, InputError for an item without the number to compare.
    """
    previous_ids = {item.id for item in previous}
    if mode == "best_score":
        new = [item for item in selected if item.id not in previous_ids]
        return relabel(previous, selected, ranking) + new
    if mode == "all":
        return [
            *previous,
            *(
                replace(item, id=f"{item.id}@{step}") if item.id in previous_ids else item
                for item in selected
            ),
        ]
    if mode == "none":
        return list(selected)
    raise ValueError(f"unknown accumulation {mode!r}, expected one of {ACCUMULATIONS}")


def relabel(accumulated: Sequence[Item], relabelled: Sequence[Item], ranking: str) -> list[Item]:
    """Return `accumulated`, with each item replaced by the relabelled item of the same id if that is better.

    Order and ids stay; relabelled images that are not in `accumulated` are left out. `accumulate` says what
    better means.
    """
    candidates = {item.id: item for item in relabelled}
    items: list[Item] = []
    for item in accumulated:
        candidate = candidates.get(item.id)
        is_better = candidate is not None and _quality(candidate, ranking) > _quality(item, ranking)
        items.append(candidate if candidate is not None and is_better else item)
    return items


def _quality(item: Item, ranking: str) -> float:
    column = "kept_pixels" if ranking in BY_KEPT_PIXELS else "score"
    value = item.kept_pixels if ranking in BY_KEPT_PIXELS else item.score
    if value is None:
        raise InputError(
            f"pseudo-labelled image {item.id!r} ({item.image}) has no {column} in its manifest, "
            "expected a manifest of pseudo-labels"
        )
    return value
