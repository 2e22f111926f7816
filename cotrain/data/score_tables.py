"""scores.tsv: for each image of a subset, whether it was selected with its pseudo-label, and why."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cotrain.data.files import write_text
from cotrain.data.label_spaces import LabelSpace
from cotrain.data.manifests import Item


def write_score_table(
    path: Path,
    items: Sequence[Item],
    scores: NDArray[np.float64],
    counts: NDArray[np.int64],
    choices: Sequence[tuple[bool, str]],
    space: LabelSpace,
) -> None:
    """Write one line for each image.

    Args:
        path: the file of the table.
        items: the N images of the subset.
        scores: (N,) mean confidence of the kept pixels, in [0, 1].
        counts: (N, C) kept pixels of each class.
        choices: (N,) whether the image was selected, and why or why not.
        space: names the classes.
    """

    def lines() -> Iterator[str]:
        yield "\t".join(["id", "chosen", "why", "score", "kept_share", *space.classes]) + "\n"
        for item, score, count, (chosen, why) in zip(items, scores, counts, choices, strict=True):
            size = item.width * item.height
            shares = [f"{value / size:.6f}" for value in count]
            cells = [item.id, "yes" if chosen else "no", why, f"{score:.6f}", f"{count.sum() / size:.6f}"]
            yield "\t".join([*cells, *shares]) + "\n"

    write_text(path, lines())
