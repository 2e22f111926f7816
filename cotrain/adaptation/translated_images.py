"""Source images in the colours of the target, written as files; what an interrupted run finished is kept."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from cotrain.adaptation.colour_translation import choose_target_images, lab_statistics, translate
from cotrain.configuration.sections import Translation
from cotrain.data.files import portable, remove_partial
from cotrain.data.images import read_image, write_image
from cotrain.data.journal import Journal
from cotrain.data.manifests import Item
from cotrain.progress import map_in_threads
from cotrain.words import agreeing, counted

logger = logging.getLogger("cotrain")

# Stands in the journal: with another number here all images are translated again.
VERSION = 1


@dataclass(frozen=True)
class Task:
    """One image to write: `source` in the colours of `target`, as `path`, with the id `name`."""

    source: Item
    target: Item
    name: str
    path: Path

    def written(self) -> Item:
        """Return the source's item with the translated image in place of its own."""
        path = self.path.absolute()
        return replace(self.source, id=self.name, image=path, bytes=path.stat().st_size)


def translate_images(
    source: Sequence[Item],
    target: Sequence[Item],
    seed: int,
    settings: Translation,
    folder: Path,
    threads: int,
) -> list[Item]:
    """Write each source image in the colours of target images and return the items of what was written.

    Args:
        source: the source images.
        target: the target images.
        seed: decides which target image goes with which source image.
        settings: number of target images for each source image, format and quality of the files.
        folder: where `images/` and `done.jsonl` go, which says what each finished image was made from.
        threads: how many images are translated at once.
    """
    remove_partial(folder / "images" / f"*.{settings.format}")
    # The images are translated in parallel; OpenCV's own threads would only get in each other's way.
    cv2.setNumThreads(1)
    tasks = _tasks(source, target, seed, settings, folder / "images")
    with Journal(folder / "done.jsonl") as journal:
        done = journal.finished((task.name, _made_from(task, settings), [task.path]) for task in tasks)
        open_tasks = [task for task in tasks if task.name not in done]
        if len(open_tasks) < len(tasks):
            there = len(tasks) - len(open_tasks)
            logger.info(
                "%d of %s %s there already",
                *(there, counted(len(tasks), "image"), agreeing(there, "is", "are")),
            )
        # The statistics of each target image are computed once, however often it is used.
        images = sorted({task.target.image for task in open_tasks})
        of_images = map_in_threads(_statistics, images, threads, "colour statistics of the target")
        statistics = dict(zip(images, of_images, strict=True))

        def work(task: Task) -> None:
            rgb = translate(read_image(task.source.image), *statistics[task.target.image])
            write_image(task.path, rgb, settings.jpeg_quality)
            journal.add(task.name, _made_from(task, settings), [task.path])

        for _ in map_in_threads(work, open_tasks, threads, "colour translation"):
            pass
    return [task.written() for task in tasks]


def _tasks(
    source: Sequence[Item], target: Sequence[Item], seed: int, settings: Translation, folder: Path
) -> list[Task]:
    draws = choose_target_images(len(source), len(target), seed, settings.targets_per_image)
    return [
        Task(item, target[index], name, folder / f"{name}.{settings.format}")
        for item, row in zip(source, draws.tolist(), strict=True)
        for index, name in zip(row, names_of_translations(item, settings.targets_per_image), strict=True)
    ]


def names_of_translations(item: Item, per_image: int) -> list[str]:
    """Return the ids of the translations of a source image, which also name their files."""
    # The name says which of several translations it is; a single one keeps the source's id.
    return [item.id] if per_image == 1 else [f"{item.id}@{number}" for number in range(1, per_image + 1)]


def _statistics(image: Path) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    return lab_statistics(read_image(image))


def _made_from(task: Task, settings: Translation) -> dict[str, object]:
    """Return what the journal says of a finished image."""
    return {
        "source": [portable(task.source.image), task.source.bytes],
        "target": [portable(task.target.image), task.target.bytes],
        "format": [settings.format, settings.jpeg_quality if settings.format == "jpg" else None],
        "version": VERSION,
    }
