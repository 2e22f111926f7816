"""Give every source image the colour statistics of a target image drawn by the seed.

Writes the translated images as PNG into the folder `images` beside the new manifest; labels stay the
source's own. The manifest is written last: a run that stops half-way leaves none.
"""

import argparse
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from cotrain.adaptation.colour_translation import choose_target_images, lab_statistics, translate
from cotrain.data.images import read_image, write_image
from cotrain.data.manifests import Item, read_manifest, write_manifest
from cotrain.errors import InputError
from cotrain.progress import Progress
from workflow_scripts import command_line

Given = TypeVar("Given")
Made = TypeVar("Made")
Statistics = tuple[NDArray[np.float64], NDArray[np.float64]]


def arguments() -> argparse.ArgumentParser:
    """Return the parser of this step's command line."""
    made = command_line.parser(
        __doc__,
        "python -m workflow_scripts.translate_lab --source results/demo/data/game/train_ids.tsv "
        "--target results/demo/data/camera/images.tsv --seed 100 "
        "--output results/demo/translated/game/manifest.tsv",
    )
    made.add_argument("--source", type=Path, required=True, help="manifest of the labelled source images")
    made.add_argument("--target", type=Path, required=True, help="manifest of the target images")
    made.add_argument(
        "--seed", type=int, required=True, help="which target image goes with which source image"
    )
    made.add_argument(
        "--per-image", type=int, default=1, help="translations of each source image (default 1)"
    )
    made.add_argument("--workers", type=int, default=1, help="images treated at a time (default 1)")
    made.add_argument("--output", type=Path, required=True, help="manifest of the translated images")
    return made


def main(argv: list[str] | None = None) -> None:
    """Run the step."""
    parsed = command_line.parse(arguments(), argv)
    source, target = _images(parsed.source), _images(parsed.target)
    parsed.output.unlink(missing_ok=True)
    # The images are treated in parallel; OpenCV's own threads would only get in each other's way.
    cv2.setNumThreads(1)
    chosen = choose_target_images(len(source), len(target), parsed.seed, parsed.per_image)
    used = np.unique(chosen).tolist()

    def statistics_of(index: int) -> Statistics:
        return lab_statistics(read_image(target[index].image))

    with _in_parallel(statistics_of, used, parsed.workers) as found:
        title = "colour statistics of the target"
        statistics = dict(zip(used, _shown(found, len(used), title), strict=True))

    folder = parsed.output.parent / "images"

    def translated(row: int) -> list[Item]:
        rgb = read_image(source[row].image)
        items = []
        for number, index in enumerate(chosen[row].tolist(), start=1):
            # The name says which of several translations it is; a single one keeps the source's id.
            name = source[row].id if parsed.per_image == 1 else f"{source[row].id}@{number}"
            path = folder / f"{name}.png"
            write_image(path, translate(rgb, *statistics[index]))
            items.append(replace(source[row], id=name, image=path, bytes=path.stat().st_size))
        return items

    with _in_parallel(translated, range(len(source)), parsed.workers) as made:
        rows = list(_shown(made, len(source), "colour translation"))
    items = [item for row_items in rows for item in row_items]
    write_manifest(parsed.output, items, Path.cwd())


def _images(manifest: Path) -> list[Item]:
    items = read_manifest(manifest)
    if not items:
        raise InputError(f"{manifest}: lists no image, expected at least one")
    return items


@contextmanager
def _in_parallel(
    function: Callable[[Given], Made], inputs: Iterable[Given], workers: int
) -> Iterator[Iterator[Made]]:
    """Give the results in order; after an error the work that has not begun is dropped."""
    pool = ThreadPoolExecutor(workers)
    try:
        yield pool.map(function, inputs)
    finally:
        pool.shutdown(cancel_futures=True)


def _shown(results: Iterator[Made], total: int, title: str) -> Iterator[Made]:
    with Progress(total, "images", title) as progress:
        for result in results:
            progress.advance()
            yield result


if __name__ == "__main__":
    command_line.run(main)
