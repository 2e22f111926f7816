"""Which images of a self-training round are kept with their pseudo-labels, and why each is kept or not."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cotrain.adaptation.labelling import Labeller
from cotrain.adaptation.pseudo_labels import image_score
from cotrain.adaptation.ranking import rank_images
from cotrain.data.counting import count_ids
from cotrain.data.manifests import Item
from cotrain.progress import map_in_threads


@dataclass(frozen=True)
class RoundEvidence:
    """What the model of a round makes of its N images.

    `scores` float64 (N,) in [0, 1]; `counts` int64 (N, C): kept pixels of each class; `void_pixels` int64
    (N,).
    """

    scores: NDArray[np.float64]
    counts: NDArray[np.int64]
    void_pixels: NDArray[np.int64]


@dataclass(frozen=True)
class RoundSelection:
    """The images that a round keeps, and for each of its N images whether it is kept, and why or why not."""

    kept: list[int]
    choices: list[tuple[bool, str]]


def evidence_of_round(
    items: Sequence[Item], labeller: Labeller, number_of_classes: int, threads: int, title: str
) -> RoundEvidence:
    """Label all images and return what a ranking needs of them; the progress is shown under `title`."""

    def numbers_of(item: Item) -> tuple[float, NDArray[np.int64]]:
        label, levels = labeller.label(item)
        return image_score(label, levels), count_ids(label)[:number_of_classes]

    scores, counts = np.empty(len(items)), np.empty((len(items), number_of_classes), np.int64)
    for place, (score, count) in enumerate(map_in_threads(numbers_of, items, threads, title)):
        scores[place], counts[place] = score, count
    sizes = np.array([item.width * item.height for item in items], np.int64)
    return RoundEvidence(scores, counts, sizes - counts.sum(1))


def select_images(evidence: RoundEvidence, ranking: str, keep: int) -> RoundSelection:
    """Return the best `keep` images by `ranking`, the best first; an image without any label is never kept.

    It would teach nothing and cost its place in every batch.
    """
    order = rank_images(ranking, evidence.scores, evidence.counts, evidence.void_pixels)
    ranked = [int(index) for index in order if evidence.counts[index].any()]
    choices = [(False, "no pixel exceeds the threshold of its class")] * len(evidence.scores)
    for place, index in enumerate(ranked, 1):
        limit = "" if place <= keep else f", the first {'is' if keep == 1 else f'{keep} are'} kept"
        choices[index] = (not limit, f"{ranking} rank {place} of {len(ranked)}{limit}")
    return RoundSelection(ranked[:keep], choices)
