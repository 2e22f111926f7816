"""Oracle studies: how right and how complete pseudo-labels are, where the target's true labels are known.

For analysis alone: what is measured here must never reach anything that trains, labels or selects.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from cotrain.evaluation.scores import mean_of_known, shares


def oracle_scores(confusion: np.ndarray, classes: Sequence[str]) -> dict[str, Any]:
    """Return how pseudo-labels compare with true labels, from their confusion (C, C + 1).

    `confusion` counts pixels of known true class (rows) by pseudo-label (columns, void last), as
    `cotrain.evaluation.scores.confusion_matrix` does; those of several sets of images add up. Of a class,
    `kept` pixels have it as pseudo-label, `labelled` ones truly are of it, and `agreeing` ones are both:

    - precision = agreeing / kept,
    - coverage = kept / labelled, more than 1 where the class is taken for more than it is,
    - recall = agreeing / labelled = precision · coverage.

    Under `classes` each class has these six; beside them stand `mean_precision`, `mean_coverage` and
    `mean_recall` over the classes that have one, and `precision` and `coverage` of all pixels together. What
    would be divided by 0 is None.
    """
    agreeing = np.diagonal(confusion)
    kept = confusion[:, : len(classes)].sum(axis=0)
    labelled = confusion.sum(axis=1)
    by_class = {
        "precision": shares(agreeing, kept),
        "coverage": shares(kept, labelled),
        "recall": shares(agreeing, labelled),
    }
    counts = {"agreeing": agreeing, "kept": kept, "labelled": labelled}
    together = {name: np.array([pixels.sum()]) for name, pixels in counts.items()}
    return {
        "precision": shares(together["agreeing"], together["kept"])[0],
        "coverage": shares(together["kept"], together["labelled"])[0],
        **{f"mean_{name}": mean_of_known(values) for name, values in by_class.items()},
        "classes": {
            name: {
                **{key: int(pixels[train_id]) for key, pixels in counts.items()},
                **{key: values[train_id] for key, values in by_class.items()},
            }
            for train_id, name in enumerate(classes)
        },
    }
