"""Co-training: label a cycle's images with both models and let the branches exchange the best.

in:  for branches a and b: the subset's manifest, its predictions (all shards) and thresholds
out: OUTPUT/a and OUTPUT/b, each with labels/*.png, selected.tsv (what the branch will train on, in order of
     rank) and scores.tsv (every image the branch labelled: score, kept share by class, why a branch trains on
     it with this label or not)
"""

import logging
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cotrain.adaptation.collaboration import Pick, exchange, fill
from cotrain.adaptation.pseudo_labels import class_evidence, image_score
from cotrain.adaptation.ranking import (
    EXCHANGE_RANKINGS,
    NO_CLASS,
    BranchEvidence,
    Ranking,
    rank_for_exchange,
)
from cotrain.adaptation.threshold_table import ThresholdTable
from cotrain.data.counting import count_ids
from cotrain.data.label_sets import write_pseudo_labels
from cotrain.data.label_spaces import LabelSpace, label_space
from cotrain.data.manifests import Item, read_manifest, write_manifest
from cotrain.data.predictions import PredictionReader
from cotrain.data.score_tables import write_score_table
from workflow_scripts.command_line import new_parser, parse, positive, run
from workflow_scripts.labelling import (
    Labeller,
    add_mask_argument,
    add_workers_argument,
    check_pairs,
    in_parallel,
    mask_of,
)

logger = logging.getLogger("cotrain")

EXAMPLE = """python -m workflow_scripts.exchange \\
    --subset-a a.tsv --predictions-a a/0.h5 --thresholds-a a.json \\
    --subset-b b.tsv --predictions-b b/0.h5 --thresholds-b b.json --label-space cityscapes7 \\
    --fill add --min-pixels 200 --ranking threshold_difference --collaboration exchange --keep 80 \\
    --output cycle"""

# Score, pixels of each class and mean confidence in each class of one image of one branch.
Numbers = tuple[float, NDArray[np.int64], NDArray[np.float64]]


@dataclass
class Branch:
    """One branch's images of this cycle and its labeller."""

    name: str
    items: list[Item]
    labeller: Labeller


class FilledLabels:
    """The labels of both branches after each has filled its void pixels from the other."""

    def __init__(self, a: Branch, b: Branch, mode: str) -> None:
        self.branches, self.mode = (a, b), mode

    def label(self, sender: str, index: int) -> NDArray[np.uint8]:
        """Return the label (H, W) uint8 of image `index` of branch `sender`."""
        if self.mode == "none":
            branch = self.branches["ab".index(sender)]
            return branch.labeller.label(branch.items[index])[0]
        return self._filled([label for label, _ in self._before_filling(index)])["ab".index(sender)]

    def numbers(self, index: int, number_of_classes: int) -> list[Numbers]:
        """Return for both branches what image `index` holds, its pair being labelled only once.

        These are the score before filling, the pixels of each class (C,) after it, and the mean confidence in
        each class (C,) before it.
        """
        before = self._before_filling(index)
        after = self._filled([label for label, _ in before])
        return [
            (
                image_score(label, levels),
                count_ids(filled)[:number_of_classes],
                class_evidence(label, levels, number_of_classes)[1],
            )
            for (label, levels), filled in zip(before, after, strict=True)
        ]

    def _before_filling(self, index: int) -> list[tuple[NDArray[np.uint8], NDArray[np.uint16]]]:
        return [branch.labeller.label(branch.items[index]) for branch in self.branches]

    def _filled(self, labels: list[NDArray[np.uint8]]) -> Sequence[NDArray[np.uint8]]:
        return labels if self.mode == "none" else fill(labels[0], labels[1], self.mode)


def main(arguments: list[str] | None = None) -> None:
    parser = new_parser(__doc__, EXAMPLE)
    for name in "ab":
        parser.add_argument(
            f"--subset-{name}", type=Path, required=True, help=f"manifest of branch {name}'s images"
        )
        parser.add_argument(
            f"--predictions-{name}", type=Path, nargs="+", required=True, help="one .h5 file a shard"
        )
        parser.add_argument(f"--thresholds-{name}", type=Path, required=True)
    parser.add_argument("--label-space", required=True)
    parser.add_argument("--fill", default="add", choices=("add", "subtract", "none"))
    parser.add_argument(
        "--min-pixels", type=int, default=5000, help="an image shows a class with more pixels than this"
    )
    parser.add_argument("--ranking", default="threshold_difference", choices=EXCHANGE_RANKINGS)
    parser.add_argument("--collaboration", default="exchange", choices=("exchange", "own", "both"))
    parser.add_argument("--keep", type=positive, required=True, help="how many images each branch gets")
    add_mask_argument(parser)
    add_workers_argument(parser)
    parser.add_argument("--output", type=Path, required=True, help="folder of the cycle")
    options = parse(parser, arguments)

    space = label_space(options.label_space)
    mask = mask_of(options)
    threshold_paths = {"a": options.thresholds_a, "b": options.thresholds_b}
    thresholds = {name: ThresholdTable.read(path, space) for name, path in threshold_paths.items()}
    with PredictionReader(options.predictions_a) as of_a, PredictionReader(options.predictions_b) as of_b:
        a, b = (
            Branch(name, read_manifest(subset), Labeller(predictions, table.levels, mask))
            for name, subset, predictions, table in (
                ("a", options.subset_a, of_a, thresholds["a"]),
                ("b", options.subset_b, of_b, thresholds["b"]),
            )
        )
        of_a.check(a.items, options.subset_a, space.classes)
        of_b.check(b.items, options.subset_b, space.classes)
        one_size = options.fill != "none" or options.collaboration != "own"
        check_pairs(a.items, b.items, (options.subset_a, options.subset_b), one_size)
        filled = FilledLabels(a, b, options.fill)
        known_a, known_b = evidence_of(filled, space, options.workers)
        rankings = {
            "a": rank_for_exchange(options.ranking, known_a, known_b, options.min_pixels),
            "b": rank_for_exchange(options.ranking, known_b, known_a, options.min_pixels),
        }
        picks = exchange(rankings["a"].order, rankings["b"].order, options.keep, options.collaboration)
        known = {"a": known_a, "b": known_b}
        taken = {
            receiver.name: write_selection(
                options.output / receiver.name, receiver, known, chosen, filled, space, options.workers
            )
            for receiver, chosen in zip((a, b), picks, strict=True)
        }
    for branch in (a, b):
        evidence = known[branch.name]
        choices = explain(branch.name, evidence, rankings[branch.name], taken, options, space)
        path = options.output / branch.name / "scores.tsv"
        write_score_table(path, branch.items, evidence.scores, evidence.counts, choices, space)
        # Classes that the branch itself found, before it was filled from the other.
        found = ~np.isnan(evidence.mean_confidence)
        if not found.any():
            blame = thresholds[branch.name].why_nothing_is_kept(threshold_paths[branch.name])
            logger.warning("warning: branch %s: %s", branch.name, blame)
        elif not len(rankings[branch.name].order):
            index, train_id = np.unravel_index(np.argmax(evidence.counts * found), found.shape)
            logger.warning(
                "warning: branch %s offers no image: none shows a class with more than %d pixels, "
                "the most are %d of %s in %s",
                branch.name,
                options.min_pixels,
                evidence.counts[index, train_id],
                space.classes[train_id],
                branch.items[index].image,
            )


def evidence_of(
    filled: FilledLabels, space: LabelSpace, workers: int
) -> tuple[BranchEvidence, BranchEvidence]:
    """Return what the ranking needs of both branches; all pairs are labelled, one after the other."""
    pairs = range(len(filled.branches[0].items))

    def numbers_of(index: int) -> list[Numbers]:
        return filled.numbers(index, space.number_of_classes)

    of_pairs = list(in_parallel(numbers_of, pairs, workers, "label and fill both branches"))

    def of_branch(place: int) -> BranchEvidence:
        branch, found = filled.branches[place], [of_pair[place] for of_pair in of_pairs]
        shape = (len(pairs), space.number_of_classes)
        counts = np.array([count for _, count, _ in found], np.int64).reshape(shape)
        sizes = np.array([item.width * item.height for item in branch.items], np.int64)
        return BranchEvidence(
            thresholds=branch.labeller.thresholds,
            scores=np.array([score for score, _, _ in found]),
            counts=counts,
            mean_confidence=np.array([mean for _, _, mean in found]).reshape(shape),
            void_pixels=sizes - counts.sum(1),
        )

    return of_branch(0), of_branch(1)


def write_selection(
    folder: Path,
    receiver: Branch,
    known: dict[str, BranchEvidence],
    chosen: list[Pick],
    filled: FilledLabels,
    space: LabelSpace,
    workers: int,
) -> list[Pick]:
    """Write the labels that `receiver` trains on: its own images, with the sender's labels and scores.

    Returns those of `chosen` that hold a label at all; the others are left out.
    """
    sender_of = {receiver.items[index].id: (sender, index) for sender, index in chosen}

    def label_of(item: Item) -> tuple[NDArray[np.uint8], float]:
        sender, index = sender_of[item.id]
        return filled.label(sender, index), float(known[sender].scores[index])

    items = [receiver.items[index] for _, index in chosen]
    written = [
        item
        for item in write_pseudo_labels(items, label_of, folder / "labels", space, workers)
        if item.kept_pixels
    ]
    write_manifest(folder / "selected.tsv", written, Path.cwd())
    logger.info("branch %s trains on %d images; %s", receiver.name, len(written), folder / "selected.tsv")
    return [sender_of[item.id] for item in written]


def explain(
    sender: str,
    known: BranchEvidence,
    ranking: Ranking,
    taken: dict[str, list[Pick]],
    options: Namespace,
    space: LabelSpace,
) -> list[tuple[bool, str]]:
    """Return for each image of `sender` whether a branch trains on it with this label, and why or why not."""
    method, other = options.ranking, "b" if sender == "a" else "a"
    reasons = dict(zip(ranking.order.tolist(), ranking.reason.tolist(), strict=True))
    places = {index: place for place, index in enumerate(reasons, 1)}
    picks = {name: set(chosen) for name, chosen in taken.items()}
    choices = []
    for index, counts in enumerate(known.counts):
        receivers = [name for name in "ab" if (sender, index) in picks[name]]
        train_id = reasons.get(index, NO_CLASS)
        place = f"rank {places.get(index)}"
        if receivers:
            what = place if train_id == NO_CLASS else space.classes[train_id]
            why = f"to {' and '.join(receivers)} for {method}: {what}"
        elif not counts.any():
            why = "no pixel exceeds the threshold of its class"
        elif index not in reasons:
            asked = (counts > options.min_pixels) & ~np.isnan(known.mean_confidence[index])
            names = [space.classes[train_id] for train_id in np.flatnonzero(asked)]
            why = (
                f"{method}: not among the surest images of {', '.join(names)}"
                if names
                else f"{method}: shows no class with more than {options.min_pixels} pixels"
            )
        elif options.collaboration == "both" and (other, index) in picks[other]:
            why = f"{method}: {place}, but branch {other} has the image with a label of its own"
        else:
            why = f"{method}: {place} of {len(reasons)}, {options.keep} images are taken"
        choices.append((bool(receivers), why))
    return choices


if __name__ == "__main__":
    run(main)
