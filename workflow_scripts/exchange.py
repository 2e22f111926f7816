"""Co-training: label a cycle's images with both models and let the branches exchange the best.

in:  for branches a and b: the subset's manifest, its predictions (all shards) and thresholds
out: OUTPUT/a and OUTPUT/b, each with labels/*.png, selected.tsv (what the branch will train on, in order of
     rank) and scores.tsv (every image the branch labelled: score, kept share by class, why it was sent)
"""

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cotrain.adaptation.collaboration import exchange, fill
from cotrain.adaptation.ranking import EXCHANGE_RANKINGS, BranchEvidence, Ranking, rank_for_exchange
from cotrain.data.label_sets import write_pseudo_labels
from cotrain.data.label_spaces import IGNORE, LabelSpace, label_space
from cotrain.data.manifests import Item, read_manifest, write_manifest
from cotrain.data.predictions import PredictionReader
from cotrain.data.score_tables import write_score_table
from cotrain.errors import InputError
from cotrain.progress import Progress
from workflow_scripts.command_line import parse, parser, run
from workflow_scripts.labelling import (
    Evidence,
    Labeller,
    add_mask_argument,
    evidence_of,
    mask_of,
    read_levels,
)

logger = logging.getLogger("cotrain")

EXAMPLE = """python -m workflow_scripts.exchange \\
    --subset-a a.tsv --predictions-a a/0.h5 --thresholds-a a.json \\
    --subset-b b.tsv --predictions-b b/0.h5 --thresholds-b b.json --label-space cityscapes19 \\
    --fill add --min-pixels 5000 --ranking threshold_difference --collaboration exchange --keep 100 \\
    --output cycle"""


@dataclass
class Branch:
    """One branch's images of this cycle and its labeller."""

    name: str
    items: list[Item]
    labeller: Labeller
    evidence: Evidence


class FilledLabels:
    """The labels of both branches after each has filled its void pixels from the other."""

    def __init__(self, a: Branch, b: Branch, mode: str) -> None:
        self.branches, self.mode = (a, b), mode

    def label(self, sender: str, index: int) -> NDArray[np.uint8]:
        """Return the label (H, W) uint8 of image `index` of branch `sender`."""
        if self.mode == "none":
            branch = self.branches["ab".index(sender)]
            return branch.labeller.label(branch.items[index])[0]
        labels = [branch.labeller.label(branch.items[index])[0] for branch in self.branches]
        if labels[0].shape != labels[1].shape:
            raise InputError(
                f"{self.branches[0].items[index].image} is {labels[0].shape[::-1]}, "
                f"{self.branches[1].items[index].image} {labels[1].shape[::-1]}: "
                "paired images must have one size"
            )
        return fill(labels[0], labels[1], self.mode)["ab".index(sender)]


def main(arguments: list[str] | None = None) -> None:
    made = parser(__doc__, EXAMPLE)
    for name in "ab":
        made.add_argument(
            f"--subset-{name}", type=Path, required=True, help=f"manifest of branch {name}'s images"
        )
        made.add_argument(
            f"--predictions-{name}", type=Path, nargs="+", required=True, help="one .h5 file a shard"
        )
        made.add_argument(f"--thresholds-{name}", type=Path, required=True)
    made.add_argument("--label-space", required=True)
    made.add_argument("--fill", default="add", choices=("add", "subtract", "none"))
    made.add_argument(
        "--min-pixels", type=int, default=5000, help="an image shows a class with more pixels than this"
    )
    made.add_argument("--ranking", default="threshold_difference", choices=EXCHANGE_RANKINGS)
    made.add_argument("--collaboration", default="exchange", choices=("exchange", "own", "both"))
    made.add_argument("--keep", type=int, required=True, help="how many images each branch gets")
    add_mask_argument(made)
    made.add_argument("--output", type=Path, required=True, help="folder of the cycle")
    options = parse(made, arguments)

    space = label_space(options.label_space)
    mask = mask_of(options)
    with PredictionReader(options.predictions_a) as of_a, PredictionReader(options.predictions_b) as of_b:
        a, b = (
            read_branch(name, subset, Labeller(predictions, read_levels(thresholds, space), mask), space)
            for name, subset, predictions, thresholds in (
                ("a", options.subset_a, of_a, options.thresholds_a),
                ("b", options.subset_b, of_b, options.thresholds_b),
            )
        )
        if len(a.items) != len(b.items):
            raise InputError(
                f"{options.subset_a} lists {len(a.items)} images, {options.subset_b} {len(b.items)}; "
                "expected equally many: image i of one belongs to image i of the other"
            )
        filled = FilledLabels(a, b, options.fill)
        known_a, known_b = (after_filling(branch, filled, space) for branch in (a, b))
        ranking_a = rank_for_exchange(options.ranking, known_a, known_b, options.min_pixels)
        ranking_b = rank_for_exchange(options.ranking, known_b, known_a, options.min_pixels)
        picks = exchange(ranking_a.order, ranking_b.order, options.keep, options.collaboration)
        for receiver, chosen in zip((a, b), picks, strict=True):
            write_selection(options.output / receiver.name, receiver, {"a": a, "b": b}, chosen, filled, space)
    for branch, known, ranking in ((a, known_a, ranking_a), (b, known_b, ranking_b)):
        write_score_table(
            options.output / branch.name / "scores.tsv",
            branch.items,
            known.scores,
            known.counts,
            reasons(branch.name, len(branch.items), ranking, picks, options.ranking, space),
            space,
        )


def read_branch(name: str, subset: Path, labeller: Labeller, space: LabelSpace) -> Branch:
    """Return a branch with the numbers of its labels before filling."""
    items = read_manifest(subset)
    return Branch(
        name, items, labeller, evidence_of(labeller, items, space.number_of_classes, f"label branch {name}")
    )


def after_filling(branch: Branch, filled: FilledLabels, space: LabelSpace) -> BranchEvidence:
    """Return what the ranking needs: scores and mean confidences before filling, counts after it."""
    sizes = np.array([item.width * item.height for item in branch.items], np.int64)
    counts = branch.evidence.counts
    if filled.mode != "none":
        counts = np.zeros_like(counts)
        with Progress(len(branch.items), "images", f"fill branch {branch.name}") as progress:
            for index in range(len(branch.items)):
                label = filled.label(branch.name, index)
                counts[index] = np.bincount(label.ravel(), minlength=IGNORE + 1)[: space.number_of_classes]
                progress.advance()
    return BranchEvidence(
        thresholds=branch.labeller.thresholds,
        scores=branch.evidence.scores,
        counts=counts,
        mean_confidence=branch.evidence.mean_confidence,
        void_pixels=sizes - counts.sum(1),
    )


def write_selection(
    folder: Path,
    receiver: Branch,
    branches: dict[str, Branch],
    chosen: list[tuple[str, int]],
    filled: FilledLabels,
    space: LabelSpace,
) -> None:
    """Write the labels that `receiver` trains on: its own images, with the sender's labels and scores."""
    sender_of = {receiver.items[index].id: (sender, index) for sender, index in chosen}

    def label_of(item: Item) -> tuple[NDArray[np.uint8], float]:
        sender, index = sender_of[item.id]
        label = filled.label(sender, index)
        if label.shape != (item.height, item.width):
            raise InputError(
                f"{branches[sender].items[index].image} and {item.image} are a pair but differ in size; "
                "labels pass between them pixel by pixel"
            )
        return label, float(branches[sender].evidence.scores[index])

    items = [receiver.items[index] for _, index in chosen]
    written = [
        item for item in write_pseudo_labels(items, label_of, folder / "labels", space) if item.kept_pixels
    ]
    write_manifest(folder / "selected.tsv", written, Path.cwd())
    logger.info("branch %s trains on %d images; %s", receiver.name, len(written), folder / "selected.tsv")


def reasons(
    sender: str,
    number_of_images: int,
    ranking: Ranking,
    picks: tuple[list[tuple[str, int]], list[tuple[str, int]]],
    method: str,
    space: LabelSpace,
) -> list[str]:
    """Return for each image of `sender` why and to which branch it went; empty when it was not taken."""
    texts = [""] * number_of_images
    for place, (index, train_id) in enumerate(zip(ranking.order, ranking.reason, strict=True), 1):
        receivers = [to for to, chosen in zip("ab", picks, strict=True) if (sender, int(index)) in chosen]
        if receivers:
            why = space.classes[train_id] if train_id >= 0 else f"rank {place}"
            texts[int(index)] = f"to {' and '.join(receivers)} for {method}: {why}"
    return texts


if __name__ == "__main__":
    run(main)
