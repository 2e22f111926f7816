"""Oracle studies: how correct and how complete pseudo-labels are, if the true labels of the target are known.

They are only for analysis: no training, labelling or selection may ever read their results.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from cotrain.evaluation.scores import mean_of_known, shares


def oracle_scores(confusion: np.ndarray, classes: Sequence[str]) -> dict[str, Any]:
    """Return how pseudo-labels compare with true labels, from their confusion matrix (C, C + 1).

    `confusion` counts pixels by their true class (rows) and their pseudo-label (columns, void last), as
    `cotrain.evaluation.scores.confusion_matrix` does. Pixels of unknown true class do not count. The matrices
    of several sets of images add up. For each class, `kept` is the number of pixels with it as pseudo-label,
    `labelled` the number of pixels with it as true label, and `agreeing` the number of pixels with both:

    - precision = agreeing / kept,
    - coverage = kept / labelled, which exceeds 1 if the class is pseudo-labelled more often than it occurs,
    - recall = agreeing / labelled = precision · coverage.

    `classes` in the result holds these six numbers for each class. The result also holds `mean_precision`,
    `mean_coverage` and `mean_recall` over the classes that have them, and `precision` and `coverage` of all
    pixels together. A number that would be divided by 0 is None.
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
