"""Give every source image the colour statistics of a target image that is drawn with the seed.

In:  source and target images, each as a manifest (.tsv) or as a list with one path per line (.txt)
Out: OUTPUT/images/, OUTPUT/images.txt (their paths), OUTPUT/manifest.tsv (with the labels of the source
     images)

An interrupted run continues where it stopped: OUTPUT/done.jsonl says from what each finished image was made.
The manifest is written last.
"""

import json
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Lock
from typing import Any, TypeVar, get_args

import cv2
import numpy as np
from numpy.typing import NDArray

from cotrain.adaptation.colour_translation import choose_target_images, lab_statistics, translate
from cotrain.configuration.choices import ImageFormat
from cotrain.configuration.sections import ListsSettings, Translation
from cotrain.data.files import remove_partial, write_text
from cotrain.data.images import read_image, write_image
from cotrain.data.layouts import find_dataset
from cotrain.data.manifests import Item, read_manifest, write_manifest
from cotrain.errors import InputError
from cotrain.progress import Progress
from workflow_scripts.command_line import (
    add_output_argument,
    add_threads_argument,
    logger,
    new_parser,
    parse,
    positive,
    run,
)

Input = TypeVar("Input")
Result = TypeVar("Result")
Statistics = tuple[NDArray[np.float64], NDArray[np.float64]]

EXAMPLE = """python -m workflow_scripts.translate --source results/demo/data/game/train_ids.tsv \\
    --target results/demo/data/camera/images.tsv --output by_hand/translated --seed 100 --threads 8"""
DEFAULTS = Translation()
# Stands in the journal: with another number here all images are translated again.
VERSION = 1


def main(arguments: list[str] | None = None) -> None:
    parser = new_parser(__doc__, EXAMPLE)
    parser.add_argument("--source", type=Path, required=True, help="the source images: manifest or list")
    parser.add_argument("--target", type=Path, required=True, help="the target images: manifest or list")
    parser.add_argument(
        "--seed", type=int, required=True, help="which target image goes with which source image"
    )
    parser.add_argument(
        "--per-image",
        type=positive,
        default=DEFAULTS.targets_per_image,
        help="translations of each source image (default: %(default)s)",
    )
    parser.add_argument(
        "--format",
        choices=get_args(ImageFormat),
        default=DEFAULTS.format,
        help="of the images (default: %(default)s)",
    )
    parser.add_argument(
        "--quality",
        type=int,
        default=DEFAULTS.jpeg_quality,
        help="of JPEG images, 1 to 100 (default: %(default)s)",
    )
    add_threads_argument(parser, default=1)
    add_output_argument(parser, "FOLDER", "folder of the translated images")
    options = parse(parser, arguments)
    if not 1 <= options.quality <= 100:
        raise InputError(f"--quality: found {options.quality}, expected 1 to 100")
    source, target = _read_items(options.source), _read_items(options.target)
    manifest = options.output / "manifest.tsv"
    manifest.unlink(missing_ok=True)
    remove_partial(options.output / "images" / f"*.{options.format}")
    # The images are translated in parallel; OpenCV's own threads would only get in each other's way.
    cv2.setNumThreads(1)
    draws = choose_target_images(len(source), len(target), options.seed, options.per_image)
    tasks = [
        _Task(item, target[index], name, options.output / "images" / f"{name}.{options.format}")
        for item, row in zip(source, draws.tolist(), strict=True)
        for index, name in zip(row, _names(item, options.per_image), strict=True)
    ]
    quality = options.quality if options.format == "jpg" else None
    with _Journal(options.output / "done.jsonl", options.format, quality) as journal:
        open_tasks = [task for task in tasks if not journal.holds(task)]
        if len(open_tasks) < len(tasks):
            logger.info("%d of %d images are there already", len(tasks) - len(open_tasks), len(tasks))
        statistics = _statistics_of({task.target for task in open_tasks}, options.threads)

        def work(task: _Task) -> None:
            rgb = translate(read_image(task.source.image), *statistics[task.target.image])
            write_image(task.path, rgb, options.quality)
            journal.add(task)

        with _in_parallel(work, open_tasks, options.threads) as results:
            for _ in _with_progress(results, len(open_tasks), "colour translation"):
                pass
    items = [
        replace(task.source, id=task.name, image=task.path.absolute(), bytes=task.path.stat().st_size)
        for task in tasks
    ]
    write_text(options.output / "images.txt", "".join(f"{item.image}\n" for item in items))
    write_manifest(manifest, items, Path.cwd())
    logger.info("%d images in the target's colours -> %s", len(items), manifest)


@dataclass(frozen=True)
class _Task:
    """One image to write: `source` in the colours of `target`, as `path`."""

    source: Item
    target: Item
    name: str
    path: Path


class _Journal:
    """Which images of a format (and quality, of JPEG) are finished, and from what; one line of JSON each."""

    def __init__(self, path: Path, image_format: str, quality: int | None) -> None:
        self.path = path
        self.format = [image_format, quality]
        self.lock = Lock()
        self.done: dict[str, Any] = {}
        if path.exists():
            # The last line of a killed run may be half a line.
            for line in path.read_text(encoding="utf-8").splitlines():
                try:
                    entry = json.loads(line)
                    self.done[entry["name"]] = entry
                except (ValueError, TypeError, KeyError):
                    continue

    def __enter__(self) -> "_Journal":
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.file = open(self.path, "a", encoding="utf-8")
        # Half a line must not run into the next one.
        self.file.write("\n")
        return self

    def __exit__(self, *error: object) -> None:
        self.file.close()

    def holds(self, task: _Task) -> bool:
        """Return whether the image is there and was made from the same files in the same way."""
        return task.path.exists() and self.done.get(task.name) == self._entry(task)

    def add(self, task: _Task) -> None:
        """Note that an image is finished; called from threads."""
        with self.lock:
            self.file.write(json.dumps(self._entry(task)) + "\n")
            self.file.flush()

    def _entry(self, task: _Task) -> dict[str, Any]:
        return {
            "name": task.name,
            "source": [str(task.source.image), task.source.bytes],
            "target": [str(task.target.image), task.target.bytes],
            "format": self.format,
            "version": VERSION,
        }


def _names(item: Item, per_image: int) -> list[str]:
    # The name says which of several translations it is; a single one keeps the source's id.
    return [item.id] if per_image == 1 else [f"{item.id}@{number}" for number in range(1, per_image + 1)]


def _statistics_of(targets: set[Item], threads: int) -> dict[Path, Statistics]:
    """Return the statistics of the target images, each computed once however often it is used."""
    images = sorted(item.image for item in targets)

    def of(image: Path) -> Statistics:
        return lab_statistics(read_image(image))

    with _in_parallel(of, images, threads) as results:
        shown = _with_progress(results, len(images), "colour statistics of the target")
        return dict(zip(images, shown, strict=True))


def _read_items(path: Path) -> list[Item]:
    """Return the images of a manifest, or of a list of paths."""
    if path.suffix != ".tsv":
        return find_dataset(path.stem, ListsSettings(layout="lists", images=str(path)), labelled=False).items
    items = read_manifest(path)
    if not items:
        raise InputError(f"{path}: lists no image, expected at least one")
    return items


@contextmanager
def _in_parallel(
    function: Callable[[Input], Result], inputs: Iterable[Input], threads: int
) -> Iterator[Iterator[Result]]:
    """Yield the results in order; after an error, work that has not begun is dropped."""
    pool = ThreadPoolExecutor(threads)
    try:
        yield pool.map(function, inputs)
    finally:
        pool.shutdown(cancel_futures=True)


def _with_progress(results: Iterator[Result], total: int, title: str) -> Iterator[Result]:
    with Progress(total, "images", title) as progress:
        for result in results:
            progress.advance()
            yield result


if __name__ == "__main__":
    run(main)
