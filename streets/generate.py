"""Renders a data set of streets into a folder, with several processes."""

import multiprocessing
import re
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from cotrain.configuration.choices import LARGEST_STREET, SMALLEST_STREET
from cotrain.data.disk_space import bytes_of_scenes, check_disk
from cotrain.data.files import write_bytes, write_json
from cotrain.data.images import write_label
from cotrain.data.json_files import NotValidError, read_json
from cotrain.data.label_spaces import label_space
from cotrain.errors import InputError
from cotrain.progress import Progress
from cotrain.words import counted
from streets.looks import look_named

# Raise this number with every change of the pictures: pictures of an older recipe are then rendered again.
RECIPE = 5
OVERSAMPLING = 2


class Painter:
    """Draws scenes of one look, seed and size. A process can have only one: it can open only one renderer."""

    def __init__(self, look_name: str, seed: int, width: int, height: int) -> None:
        from streets.renderer import Renderer
        from streets.textures import Library

        cv2.setNumThreads(1)
        self.look, self.seed, self.size = look_named(look_name), seed, (width, height)
        self.renderer = Renderer(width * OVERSAMPLING, height * OVERSAMPLING, Library(self.look, seed))

    def draw(self, index: int) -> tuple[bytes, NDArray[np.uint8]]:
        """Return scene `index`: the bytes of its JPEG file and its train ids, uint8 (H, W)."""
        from streets import camera_effects
        from streets.street import make_scene

        width, height = self.size
        scene = make_scene(self.look, self.seed, index)
        drawing = self.renderer.draw(scene.batches, scene.view, scene.shadow, scene.haze_distance)
        sky, horizon = camera_effects.sky_picture(scene.rng, scene.sky, height, width)
        sky *= np.float32(scene.rng.uniform(*self.look.sky_gain))
        composed = camera_effects.compose(
            drawing.picture, drawing.shows_sky, drawing.passed, sky, horizon, self.size
        )
        return camera_effects.encoded(scene.rng, composed, self.look), majority(drawing.label)


# That of a rendering process.
_painter: Painter | None = None


def majority(label: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return (H, W) from (2H, 2W): the most frequent id of each 2 × 2 block, at a tie the top left one."""
    a, b, c, d = label[::2, ::2], label[::2, 1::2], label[1::2, ::2], label[1::2, 1::2]
    without_b = np.where((c == d) & (a != b), c, a)
    return np.where((b == c) | (b == d), np.where((a == c) | (a == d), a, b), without_b).astype(np.uint8)


def _open(look_name: str, seed: int, width: int, height: int) -> None:
    global _painter
    _painter = Painter(look_name, seed, width, height)


def _render(index: int, image: Path, label: Path) -> int:
    assert _painter is not None
    data, ids = _painter.draw(index)
    write_label(label, ids, label_space("cityscapes19").palette)
    write_bytes(image, data)
    return index


def render_scenes(
    output_folder: str | Path,
    look: str,
    images: int,
    width: int,
    height: int,
    seed: int,
    processes: int,
    progress: Progress | None = None,
) -> list[tuple[Path, Path]]:
    """Render scenes 0 to `images` - 1 of (`look`, `seed`) and return (image, label) of each.

    The files are OUTPUT/images/00000.jpg and OUTPUT/labels/00000.png (train ids of cityscapes19 with a
    palette). Existing pairs of the same settings are kept; files of other settings are replaced. Each pair is
    a pure function of (look, seed, index, width, height). Raises InputError for settings out of range and for
    a disk without room for the missing pairs, RuntimeError if a rendering process dies.
    """
    suffix = look_named(look).suffix
    _check(images, width, height, processes)
    folder = Path(output_folder)
    pairs = [
        (folder / "images" / f"{i:05d}{suffix}", folder / "labels" / f"{i:05d}.png") for i in range(images)
    ]
    settings: dict[str, object] = {
        "look": look,
        "width": width,
        "height": height,
        "seed": seed,
        "recipe": RECIPE,
    }
    _clear(folder, settings, pairs)
    missing = [i for i, pair in enumerate(pairs) if not all(file.is_file() for file in pair)]
    needed = bytes_of_scenes(len(missing), width, height, suffix.removeprefix("."))
    check_disk({folder: needed}, f"rendering {counted(len(missing), 'scene')}")
    write_json(folder / "settings.json", settings)
    with ExitStack() as stack:
        if progress is None:
            progress = stack.enter_context(
                Progress(images, "images", f"rendering {look} streets", done=images - len(missing))
            )
        if missing:
            _render_all(missing, pairs, (look, seed, width, height), min(processes, len(missing)), progress)
    return pairs


def _render_all(
    missing: list[int],
    pairs: list[tuple[Path, Path]],
    settings: tuple[str, int, int, int],
    processes: int,
    progress: Progress,
) -> None:
    # Forked processes would share the state of panda3d; spawned ones start without it.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, context, initializer=_open, initargs=settings) as pool:
        futures = [pool.submit(_render, index, *pairs[index]) for index in missing]
        try:
            for future in as_completed(futures):
                future.result()
                progress.advance()
        except BrokenProcessPool as error:
            raise RuntimeError(
                "a rendering process died before its scene was finished; run again to continue. If it dies "
                "again, check whether there is enough memory and whether panda3d's software renderer "
                "(p3tinydisplay) can start"
            ) from error
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _check(images: int, width: int, height: int, processes: int) -> None:
    if images < 1:
        raise InputError(f"images: found {images}, expected 1 or more")
    if processes < 1:
        raise InputError(f"processes: found {processes}, expected 1 or more")
    for name, value in (("width", width), ("height", height)):
        if not SMALLEST_STREET <= value <= LARGEST_STREET:
            raise InputError(f"{name}: found {value}, expected {SMALLEST_STREET} to {LARGEST_STREET} pixels")


def _clear(folder: Path, settings: dict[str, object], pairs: list[tuple[Path, Path]]) -> None:
    """Remove scenes of other settings, surplus scenes, and unfinished files of killed processes."""
    try:
        same = read_json(folder / "settings.json") == settings
    except (OSError, NotValidError):
        same = False
    files_to_keep = {file for pair in pairs for file in pair} if same else set()
    for part in ("images", "labels"):
        for file in sorted((folder / part).glob("*")):
            is_scene = re.fullmatch(r"(\d{5}|\.\d{5}\.\d+\.partial)\.(jpg|png)", file.name)
            if is_scene and file not in files_to_keep:
                file.unlink()
