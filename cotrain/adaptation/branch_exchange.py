"""A cycle of co-training: both branches label their images, fill each other's labels and exchange the best.

What is filled and sent is decided in `collaboration` and `ranking`; here it is done for predictions on disk.
Image i of one branch and image i of the other are a pair.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cotrain.adaptation.collaboration import Pick, exchange, fill
from cotrain.adaptation.labelling import Labeller
from cotrain.adaptation.pseudo_labels import class_evidence, image_score
from cotrain.adaptation.ranking import NO_CLASS, BranchEvidence, Ranking, rank_for_exchange
from cotrain.configuration.choices import Collaboration, ExchangeRanking, Fill
from cotrain.configuration.names import BRANCHES, Branch
from cotrain.data.counting import count_ids
from cotrain.data.label_sets import write_pseudo_labels
from cotrain.data.label_spaces import LabelSpace
from cotrain.data.manifests import Item
from cotrain.progress import map_in_threads
from cotrain.words import counted

# Score, pixels of each class and mean confidence in each class of one image of one branch.
Numbers = tuple[float, NDArray[np.int64], NDArray[np.float64]]


@dataclass(frozen=True)
class BranchImages:
    """The images of one branch in this cycle, and what labels them."""

    name: Branch
    items: Sequence[Item]
    labeller: Labeller


@dataclass(frozen=True)
class ExchangeSettings:
    """How images are exchanged.

    An image shows a class if it has more than `min_pixels` pixels of it. Each branch gets at most `keep`
    images.
    """

    ranking: ExchangeRanking
    min_pixels: int
    collaboration: Collaboration
    keep: int


@dataclass(frozen=True)
class FilledLabels:
    """The labels of both branches after each has filled its void pixels from the other.

    `branches` holds "a" and "b", in this order and with equally many images.
    """

    branches: Mapping[Branch, BranchImages]
    mode: Fill

    def label(self, sender: Branch, index: int) -> NDArray[np.uint8]:
        """Return the label (H, W) uint8 of image `index` of branch `sender`."""
        if self.mode == "none":
            branch = self.branches[sender]
            return branch.labeller.label(branch.items[index])[0]
        (label_a, _), (label_b, _) = self._before_filling(index)
        return fill(label_a, label_b, self.mode)[BRANCHES.index(sender)]

    def numbers(self, index: int, number_of_classes: int) -> list[Numbers]:
        """Return for a and b what image `index` holds; the pair is labelled only once.

        These are the score before filling, the pixels of each class (C,) after it, and the mean confidence in
        each class (C,) before it.
        """
        before = self._before_filling(index)
        after = fill(before[0][0], before[1][0], self.mode)
        return [
            (
                image_score(label, levels),
                count_ids(filled)[:number_of_classes],
                class_evidence(label, levels, number_of_classes)[1],
            )
            for (label, levels), filled in zip(before, after, strict=True)
        ]

    def _before_filling(self, index: int) -> list[tuple[NDArray[np.uint8], NDArray[np.uint16]]]:
        return [branch.labeller.label(branch.items[index]) for branch in self.branches.values()]


def evidence_of_branches(
    labels: FilledLabels, number_of_classes: int, threads: int
) -> dict[Branch, BranchEvidence]:
    """Label all pairs and return what the ranking needs of each branch."""
    pairs = range(len(labels.branches["a"].items))
    shape = (len(pairs), number_of_classes)

    def numbers_of(index: int) -> list[Numbers]:
        return labels.numbers(index, number_of_classes)

    tables = {
        name: (np.empty(len(pairs)), np.empty(shape, np.int64), np.empty(shape)) for name in labels.branches
    }
    of_pairs = map_in_threads(numbers_of, pairs, threads, "label and fill both branches")
    for index, of_pair in enumerate(of_pairs):
        for (scores, counts, confidences), numbers in zip(tables.values(), of_pair, strict=True):
            scores[index], counts[index], confidences[index] = numbers
    evidence = {}
    for name, branch in labels.branches.items():
        scores, counts, confidences = tables[name]
        sizes = np.array([item.width * item.height for item in branch.items], np.int64)
        evidence[name] = BranchEvidence(
            thresholds=branch.labeller.thresholds,
            scores=scores,
            counts=counts,
            mean_confidence=confidences,
            void_pixels=sizes - counts.sum(1),
        )
    return evidence


def choose_for_exchange(
    evidence: Mapping[Branch, BranchEvidence], settings: ExchangeSettings
) -> tuple[dict[Branch, Ranking], dict[Branch, list[Pick]]]:
    """Return which images each branch offers, and for each branch what it is to train on."""
    rankings = {
        sender: rank_for_exchange(
            settings.ranking, evidence[sender], evidence[other(sender)], settings.min_pixels
        )
        for sender in BRANCHES
    }
    picks = exchange(rankings["a"].order, rankings["b"].order, settings.keep, settings.collaboration)
    return rankings, dict(zip(BRANCHES, picks, strict=True))


def write_picked_labels(
    receiver: BranchImages,
    picks: Sequence[Pick],
    labels: FilledLabels,
    evidence: Mapping[Branch, BranchEvidence],
    folder: Path,
    space: LabelSpace,
    threads: int,
) -> tuple[list[Item], list[Pick]]:
    """Write the labels that `receiver` trains on: its own images, with the sender's labels and scores.

    Args:
        receiver: the branch.
        picks: what it is to train on, in order of rank.
        labels: gives the labels.
        evidence: gives the scores of each branch.
        folder: where the labels go.
        space: names the classes.
        threads: how many images are labelled at once.

    Returns:
        The images that have a label at all, and their picks; the others are left out.
    """
    pick_of = {receiver.items[index].id: (sender, index) for sender, index in picks}

    def label_of(item: Item) -> tuple[NDArray[np.uint8], float]:
        sender, index = pick_of[item.id]
        return labels.label(sender, index), float(evidence[sender].scores[index])

    items = [receiver.items[index] for _, index in picks]
    written = write_pseudo_labels(items, label_of, folder, space, threads)
    kept = [item for item in written if item.kept_pixels]
    return kept, [pick_of[item.id] for item in kept]


def explain_choices(
    sender: Branch,
    evidence: BranchEvidence,
    ranking: Ranking,
    taken: Mapping[Branch, Sequence[Pick]],
    settings: ExchangeSettings,
    classes: Sequence[str],
) -> list[tuple[bool, str]]:
    """Return for each image of `sender` whether a branch trains on it with this label, and why or why not.

    Args:
        sender: the branch that labelled the images.
        evidence: its evidence.
        ranking: what it offers.
        taken: what each branch trains on.
        settings: those of the exchange.
        classes: names of the classes.
    """
    method = settings.ranking
    reasons = dict(zip(ranking.order.tolist(), ranking.reason.tolist(), strict=True))
    places = {index: place for place, index in enumerate(reasons, 1)}
    picks = {name: set(taken[name]) for name in BRANCHES}
    choices = []
    for index, counts in enumerate(evidence.counts):
        receivers = [name for name in BRANCHES if (sender, index) in picks[name]]
        train_id = reasons.get(index, NO_CLASS)
        place = f"rank {places.get(index)}"
        if receivers:
            what = place if train_id == NO_CLASS else classes[train_id]
            why = f"to {' and '.join(receivers)} for {method}: {what}"
        elif not counts.any():
            why = "no pixel exceeds the threshold of its class"
        elif index not in reasons:
            shown = (counts > settings.min_pixels) & ~np.isnan(evidence.mean_confidence[index])
            names = [classes[train_id] for train_id in np.flatnonzero(shown).tolist()]
            why = (
                f"{method}: confidence too low among the images of {', '.join(names)}"
                if names
                else f"{method}: shows no class with more than {settings.min_pixels} pixels"
            )
        elif settings.collaboration == "both" and (other(sender), index) in picks[other(sender)]:
            why = f"{method}: {place}, but branch {other(sender)} takes the image with its own label"
        else:
            kept = counted(settings.keep, "image is taken", "images are taken")
            why = f"{method}: {place} of {len(reasons)}, {kept}"
        choices.append((bool(receivers), why))
    return choices


def why_nothing_is_offered(
    branch: BranchImages, evidence: BranchEvidence, min_pixels: int, classes: Sequence[str]
) -> str:
    """Return a message for when no class asks for an image of `branch`: the class with the most pixels.

    Only classes count that the branch itself found, before it was filled from the other.
    """
    found = ~np.isnan(evidence.mean_confidence)
    index, train_id = divmod(int(np.argmax(evidence.counts * found)), len(classes))
    most = evidence.counts[index, train_id]
    return (
        f"branch {branch.name} offers no image: none shows a class with more than {min_pixels} pixels; the "
        f"most are {most} of {classes[train_id]} in {branch.items[index].image}. Set co_training.min_pixels "
        f"(by hand: --min-pixels) well below {most}; small images need a small value"
    )


def other(branch: Branch) -> Branch:
    """Return the other branch of "a" and "b"."""
    return "b" if branch == "a" else "a"
