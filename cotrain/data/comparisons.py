"""What the datasets of a run show only side by side: classes that cannot be learnt, images that are in two.

All of it is worth a note and nothing is an error: the run can go on, but its scores mean something else.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cotrain.data.checks import CheckReport
from cotrain.data.files import portable, sha256_of
from cotrain.data.manifests import Item
from cotrain.data.plausibility import in_a_row, unlike_shares
from cotrain.errors import InputError


@dataclass(frozen=True)
class CheckedDataset:
    """A dataset of a run: its name, its images, and the report of its check.

    The report has no classes where the run does not read the labels. The images are those to compare with
    the images of other datasets; they may be left out.
    """

    name: str
    items: Sequence[Item]
    report: CheckReport

    @property
    def pixels(self) -> dict[str, int]:
        """The pixels of each class of the run, {} where labels were not read."""
        return {name: content["pixels"] for name, content in self.report.get("classes", {}).items()}


def notes_on_datasets(
    source: Sequence[CheckedDataset],
    targets: Sequence[CheckedDataset],
    test: CheckedDataset | None,
    upper_bound: CheckedDataset | None = None,
    whole_source: bool = True,
) -> list[str]:
    """Return what a person should know of the datasets of a run together, one sentence or two each.

    Args:
        source: the datasets that are trained on with their labels.
        targets: the images that the run adapts to, with reports without classes.
        test: what models are scored on, None if it was not checked.
        upper_bound: the target with its labels, if the upper bound is trained.
        whole_source: whether `source` are all of them; otherwise classes are not compared.
    """
    notes = []
    learnt = _sum(source) if whole_source else {}
    if learnt and test and test.pixels:
        notes += _notes_on_classes(source, learnt, test)
    elif absent := [name for name, pixels in learnt.items() if not pixels]:
        notes.append(
            f"{_names(source)}: no pixel of {in_a_row(absent)}. No model of this run can learn a class that "
            "no source shows"
        )
    for dataset in (test, upper_bound):
        if learnt and dataset and dataset.pixels:
            images = min(sum(one.report["images"] for one in source), dataset.report["images"])
            unlike = unlike_shares(dataset.pixels, learnt, images)
            if unlike:
                notes.append(
                    f"{dataset.name}: shares of pixels very unlike those of {_names(source)}: "
                    f"{in_a_row(unlike)}. Is the class table of each the right one? "
                    "`snakemake contact_sheets`, with the configuration of this run, shows them"
                )
    if test is None:
        return notes
    for dataset in source:
        text = "Models learn these images with their labels, so their scores are too high for new images."
        notes += _notes_on_images(test, dataset, text)
    for dataset in targets:
        text = "Models adapt to these images, so their scores may be too high for new images."
        if upper_bound and dataset.name == upper_bound.name:
            text += " The upper bound even learns their labels."
        notes += _notes_on_images(test, dataset, text)
    return notes


def shared_images(first: Sequence[Item], second: Sequence[Item]) -> list[tuple[Item, Item]]:
    """Return the images of `first` that `second` holds too, each with the one of `second`, in their order.

    An image is the same if it is the same file, perhaps through a link, or a file with the same bytes. Only
    files of the same size in bytes are read. Raises InputError for a file that is gone.
    """
    by_path = {os.path.realpath(item.image): item for item in second}
    by_size: dict[int, list[Item]] = {}
    for item in second:
        by_size.setdefault(_size(item), []).append(item)
    # By content, those of each size that both hold: all images of a set may have one size.
    by_content: dict[int, dict[str, Item]] = {}

    def with_same_content(item: Item) -> Item | None:
        size = _size(item)
        if size not in by_size:
            return None
        if size not in by_content:
            # Of several the first.
            by_content[size] = {sha256_of(other.image): other for other in reversed(by_size[size])}
        return by_content[size].get(sha256_of(item.image))

    pairs = []
    for item in first:
        same = by_path.get(os.path.realpath(item.image)) or with_same_content(item)
        if same is not None:
            pairs.append((item, same))
    return pairs


def _size(item: Item) -> int:
    if item.bytes is not None:
        return item.bytes
    try:
        return item.image.stat().st_size
    except OSError as error:
        raise InputError(f"{item.image}: image cannot be read ({error.strerror})") from error


def _notes_on_images(test: CheckedDataset, other: CheckedDataset, consequence: str) -> list[str]:
    pairs = shared_images(test.items, other.items)
    if not pairs:
        return []
    image, same = (portable(item.image) for item in pairs[0])
    first = image if image == same else f"{image}, there {same}"
    number = f"{len(pairs)} of the {len(test.items)} test images of {test.name}"
    verb = "is" if len(pairs) == 1 else "are"
    return [f"{number} {verb} also in {other.name}; the first is {first}. {consequence}"]


def _notes_on_classes(
    source: Sequence[CheckedDataset], learnt: Mapping[str, int], test: CheckedDataset
) -> list[str]:
    scored = test.pixels
    notes = []
    unlearnable = [name for name in scored if scored[name] and not learnt[name]]
    if unlearnable:
        notes.append(
            f"{_names(source)}: no pixel of {in_a_row(unlearnable)}, unlike {test.name}. Without a source "
            "that shows a class it can never be learnt: its IoU will be 0"
        )
    unscored = [name for name in learnt if learnt[name] and not scored[name]]
    if unscored:
        notes.append(
            f"{test.name}: no pixel of {in_a_row(unscored)}, unlike {_names(source)}. The IoU of such a "
            "class is 0 as soon as a model predicts it anywhere"
        )
    return notes


def _names(datasets: Sequence[CheckedDataset]) -> str:
    return in_a_row([dataset.name for dataset in datasets])


def _sum(datasets: Sequence[CheckedDataset]) -> dict[str, int]:
    """Return the pixels of each class in all datasets; {} if the labels of one were not read."""
    if not all(dataset.pixels for dataset in datasets):
        return {}
    total: dict[str, int] = {}
    for dataset in datasets:
        for name, pixels in dataset.pixels.items():
            total[name] = total.get(name, 0) + pixels
    return total
