"""Rankings of pseudo-labelled images: which to train on, and which to send to the other branch.

Published method: Gómez, Villalonga, López, Sensors 2023, 23(2), 621. Algorithm 1 ranks images for
self-training, Algorithm 2 the images that the branches of co-training send to each other. All ties are
broken by position, so a ranking is reproducible; the published sorts are unstable.
"""

from dataclasses import dataclass
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from cotrain.configuration.choices import ExchangeRanking, ImageRanking

IMAGE_RANKINGS = get_args(ImageRanking)
EXCHANGE_RANKINGS = get_args(ExchangeRanking)

NO_CLASS = -1
# How far up between the lowest and highest mean confidence in a class an image must be, to be sent for it.
KEEP_SHARE = 0.8


@dataclass(frozen=True)
class BranchEvidence:
    """Numbers of one branch about its N pseudo-labelled images of the cycle.

    `thresholds` uint16 (C,); `scores` float64 (N,) in [0, 1]; `counts` int64 (N, C) pixels per class, after
    the branches have filled each other's void pixels; `mean_confidence` float64 (N, C) in [0, 1] before that,
    NaN if the branch itself kept no pixel of the class; `void_pixels` int64 (N,).
    """

    thresholds: NDArray[np.uint16]
    scores: NDArray[np.float64]
    counts: NDArray[np.int64]
    mean_confidence: NDArray[np.float64]
    void_pixels: NDArray[np.int64]


@dataclass(frozen=True)
class Ranking:
    """Images in the order of selection, and the reason for each.

    `order` int64 (M,) are image indices without repetition, M ≤ N. `reason` int64 (M,) is the class for which
    each image was selected, -1 if the image was ranked as a whole.
    """

    order: NDArray[np.int64]
    reason: NDArray[np.int64]


def rank_images(
    method: str,
    scores: NDArray[np.float64],
    class_counts: NDArray[np.int64],
    void_pixels: NDArray[np.int64],
) -> NDArray[np.int64]:
    """Return int64 (N,): all images, the best first.

    `scores` is (N,), `class_counts` (N, C) pixels per class, `void_pixels` (N,). Methods: "confidence"
    (highest score first), "class_count" (most classes first, then highest score), "void_pixels" (fewest void
    pixels first). Raises ValueError for another method.
    """
    if method == "confidence":
        return np.argsort(-scores, kind="stable")
    if method == "class_count":
        return np.lexsort((-scores, -_number_of_classes(class_counts)))
    if method == "void_pixels":
        return np.argsort(void_pixels, kind="stable")
    raise ValueError(f"unknown ranking {method!r}, expected one of {IMAGE_RANKINGS}")


def rank_for_exchange(
    method: str,
    sender: BranchEvidence,
    receiver: BranchEvidence,
    min_pixels: int,
) -> Ranking:
    """Return the sender's images in the order in which they should go to the receiver.

    Image i of the sender and image i of the receiver are the same image. Methods:

    - "threshold_difference" (the published choice): by class demand, classes in ascending order of the
      receiver's minus the sender's threshold. So classes come first in which the sender is surest relative to
      the receiver.
    - "receiver_threshold": by class demand, classes in ascending order of the receiver's threshold.
    - "confidence_gain": by the mean over classes of max(s − r, 0) · (1 − r), highest first, then by the
      number of classes, most first. s and r are the mean confidences of sender and receiver in the class. The
      gain is 0 if the sender kept no pixel of the class; r is 0 if the receiver kept none.
    - the methods of `rank_images`, applied to the sender only.

    By class demand means: each class in turn adds images of the sender, the surest first. It considers the
    images with more than `min_pixels` pixels of the class, and adds those whose mean confidence in the class
    reaches bottom + KEEP_SHARE · (top − bottom), where bottom and top are the lowest and highest of the
    considered images. An image is added only once, and images that no class adds are left out. Void is no
    class.
    """
    if method == "threshold_difference":
        demand = receiver.thresholds.astype(np.int64) - sender.thresholds
        return _by_class_demand(demand, sender, min_pixels)
    if method == "receiver_threshold":
        return _by_class_demand(receiver.thresholds.astype(np.int64), sender, min_pixels)
    if method == "confidence_gain":
        order = np.lexsort((-_number_of_classes(sender.counts), -_confidence_gain(sender, receiver)))
    elif method in IMAGE_RANKINGS:
        order = rank_images(method, sender.scores, sender.counts, sender.void_pixels)
    else:
        raise ValueError(f"unknown ranking {method!r}, expected one of {EXCHANGE_RANKINGS}")
    return Ranking(order, np.full(len(order), NO_CLASS, dtype=np.int64))


def _number_of_classes(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.count_nonzero(counts, axis=1)


def _confidence_gain(sender: BranchEvidence, receiver: BranchEvidence) -> NDArray[np.float64]:
    # This is the gain of the receiver. The published code subtracts the other way round, and so first sends
    # images in which the receiver is surer already.
    of_sender = np.nan_to_num(sender.mean_confidence, nan=0.0)
    of_receiver = np.nan_to_num(receiver.mean_confidence, nan=0.0)
    return (np.maximum(of_sender - of_receiver, 0) * (1 - of_receiver)).mean(axis=1)


def _by_class_demand(demand: NDArray[np.int64], sender: BranchEvidence, min_pixels: int) -> Ranking:
    """Rank by classes in ascending order of `demand` (C,), ties by class id."""
    reason: dict[int, int] = {}
    for class_id in np.argsort(demand, kind="stable").tolist():
        confidence = sender.mean_confidence[:, class_id]
        # If only the receiver filled the class into an image, the sender has no confidence in it. It would
        # only send back pixels that came from the receiver.
        holders = np.flatnonzero((sender.counts[:, class_id] > min_pixels) & ~np.isnan(confidence))
        if not len(holders):
            continue
        # Image indices are taken from the holders here. The published code uses positions among the holders
        # as image indices, and so selects images that often lack the class.
        surest_first = holders[np.argsort(-confidence[holders], kind="stable")]
        top, bottom = confidence[surest_first[0]], confidence[surest_first[-1]]
        # "Reaches", not "exceeds" as published: otherwise a class that only one image holds is never sent.
        limit = top - (1 - KEEP_SHARE) * (top - bottom)
        for image in surest_first[confidence[surest_first] >= limit].tolist():
            reason.setdefault(image, class_id)
    return Ranking(np.array(list(reason), dtype=np.int64), np.array(list(reason.values()), dtype=np.int64))
