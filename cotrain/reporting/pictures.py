"""Pictures for people: labels in colour, contact sheets, the confusion matrix, scores along the chain.

Pictures of images are RGB uint8 arrays (H, W, 3) on a white page. Only the functions that plot load
matplotlib, because loading it takes longer than most steps.
"""

import io
import os
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from typing import Any

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from cotrain.configuration.names import ModelName
from cotrain.data.files import write_bytes
from cotrain.evaluation.scores import VOID_COLUMN, ModelScores
from cotrain.reporting.table import BASELINE, UPPER_BOUND

Colour = tuple[int, int, int]

PAGE: Colour = (255, 255, 255)
INK: Colour = (34, 38, 45)
FAINT: Colour = (120, 126, 135)
HAIRLINE: Colour = (214, 217, 222)

WIDTH_OF_MAP = 260
MAPS_IN_ROW = 4

TEXT_SIZE = 13
TITLE_SIZE = 22
TITLE_OF_COLUMN_SIZE = 16
MARGIN = 24
GAP = 20
LEGEND_GAP = 6
SHARE_BAR_HEIGHT = 8
# Letters of the legend in the width of a large picture, roughly.
SCREEN_LINE = 80

# The colours of Okabe and Ito are distinguishable for colour-blind people and in print.
BLUE, ORANGE, GREEN, PURPLE = "#0072B2", "#D55E00", "#009E73", "#8E3B8A"
INK_HEX, FAINT_HEX, HAIRLINE_HEX = "#22262d", "#787e87", "#e3e5e9"


# What Pillow's own font has besides ASCII.
IN_PILLOWS_FONT = str.maketrans("", "", "·…")


def _font(size: int, text: str) -> Any:
    """Return a font that has the letters of `text`, as far as the packages at hand have one."""
    return _font_of(size, text.translate(IN_PILLOWS_FONT).isascii())


@cache
def _font_of(size: int, ascii_only: bool) -> Any:
    if not ascii_only:
        # matplotlib brings letters of many scripts.
        import matplotlib

        with suppress(OSError):
            return ImageFont.truetype(f"{matplotlib.get_data_path()}/fonts/ttf/DejaVuSans.ttf", size)
    return ImageFont.load_default(size)


def _text_length(text: str, size: int) -> int:
    return int(np.ceil(_font(size, text).getlength(text)))


def shortened(text: str, width: int, size: int = TEXT_SIZE) -> str:
    """Return `text`, with an ellipsis in its middle if it is wider than `width` pixels.

    The middle is cut, because file names differ at their ends.
    """
    if _text_length(text, size) <= width:
        return text
    for length in range(len(text) - 1, 0, -1):
        shorter = text[: (length + 1) // 2] + "…" + text[len(text) - length // 2 :]
        if _text_length(shorter, size) <= width:
            return shorter
    return "…"


def _page(width: int, height: int) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    page = Image.new("RGB", (width, height), PAGE)
    return page, ImageDraw.Draw(page)


def _put(
    draw: ImageDraw.ImageDraw,
    place: tuple[int, int],
    text: str,
    colour: Colour,
    size: int = TEXT_SIZE,
    anchor: str = "la",
) -> None:
    """Write a line of text at `place`; `anchor` is Pillow's word for which point of the text that is."""
    draw.text(place, text, fill=colour, font=_font(size, text), anchor=anchor)


def colourise(label: np.ndarray, palette: Sequence[Colour]) -> np.ndarray:
    """Return a label (H, W) uint8 in the colours of `palette`, RGB uint8; ignored pixels are black."""
    table = np.zeros((256, 3), np.uint8)
    table[: len(palette)] = palette
    return table[label]


def overlay(
    rgb: np.ndarray, label: np.ndarray, palette: Sequence[Colour], opacity: float = 0.5
) -> np.ndarray:
    """Return the image (H, W, 3) uint8 under its label (H, W) in colour; ignored pixels are darkened.

    `opacity` 0 shows only the image, 1 only the label. Raises ValueError if the sizes differ.
    """
    if rgb.shape[:2] != label.shape:
        raise ValueError(f"image {rgb.shape[:2]} and label {label.shape} differ in size")
    return cv2.addWeighted(rgb, 1 - opacity, colourise(label, palette), opacity, 0).astype(
        np.uint8, copy=False
    )


def resized(rgb: np.ndarray, width: int) -> np.ndarray:
    """Return the image with a width of `width` pixels and the same aspect ratio."""
    height = max(1, round(rgb.shape[0] * width / rgb.shape[1]))
    # Averaging avoids jagged edges in smaller images; larger images need interpolation.
    method = cv2.INTER_AREA if width < rgb.shape[1] else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(rgb, (width, height), interpolation=method), dtype=np.uint8)


def fitted(rgb: np.ndarray, side: int) -> np.ndarray:
    """Return the image as it fits into a square of `side` pixels; a narrower one is white at its right."""
    height, width = rgb.shape[:2]
    picture = resized(rgb, max(1, min(side, round(side * width / height))))
    return cv2.copyMakeBorder(picture, 0, 0, 0, side - picture.shape[1], cv2.BORDER_CONSTANT, value=PAGE)


def share_bar(shares: Sequence[float] | np.ndarray, palette: Sequence[Colour], width: int) -> np.ndarray:
    """Return a bar (SHARE_BAR_HEIGHT, width, 3) with the classes' shares of the pixels in their colours.

    If the shares sum to less than 1, the rest (ignored pixels) is black, as in `colourise`.
    """
    ends = np.rint(np.cumsum(shares) * width).astype(int)
    bar = np.zeros((SHARE_BAR_HEIGHT, width, 3), np.uint8)
    start = 0
    for end, colour in zip(ends, palette, strict=True):
        bar[:, start:end] = colour
        start = end
    return bar


def stacked(parts: Sequence[np.ndarray], gap: int = 0) -> np.ndarray:
    """Return a white page with the pictures one below the other, aligned at the left."""
    width = max(part.shape[1] for part in parts)
    height = sum(part.shape[0] for part in parts) + gap * (len(parts) - 1)
    page = np.full((height, width, 3), PAGE, np.uint8)
    top = 0
    for part in parts:
        page[top : top + part.shape[0], : part.shape[1]] = part
        top += part.shape[0] + gap
    return page


def beside(parts: Sequence[np.ndarray], gap: int = 0) -> np.ndarray:
    """Return a white page with the pictures side by side, aligned at the top."""
    return stacked([part.swapaxes(0, 1) for part in parts], gap).swapaxes(0, 1)


def heading(title: str, subtitle: str, width: int) -> np.ndarray:
    """Return a strip of `width` pixels with a title and a fainter line below it."""
    page, draw = _page(width, MARGIN + TITLE_SIZE + TEXT_SIZE + 22)
    room = width - 2 * MARGIN
    _put(draw, (MARGIN, MARGIN - 6), shortened(title, room, TITLE_SIZE), INK, TITLE_SIZE)
    _put(draw, (MARGIN, MARGIN + TITLE_SIZE + 6), shortened(subtitle, room), FAINT)
    return np.array(page)


def column_titles(titles: Sequence[str], width: int) -> np.ndarray:
    """Return a strip with a title over each column of a `contact_sheet` whose pictures are `width` wide."""
    size = TITLE_OF_COLUMN_SIZE
    page, draw = _page(2 * MARGIN + len(titles) * (width + GAP) - GAP, size + 12)
    for number, title in enumerate(titles):
        _put(draw, (MARGIN + number * (width + GAP), 0), shortened(title, width, size), INK, size)
    return np.array(page)


def legend(
    classes: Sequence[str],
    palette: Sequence[Colour],
    width: int,
    notes: Sequence[str] | None = None,
    text_size: int = TEXT_SIZE,
) -> np.ndarray:
    """Return a strip of `width` pixels with a patch of colour and the name of each class, in columns.

    `notes` holds one fainter text for each class, written after its name. The height depends on the number of
    classes. All is as large as `text_size` says. A strip is wider than `width` if a name would not fit.
    """
    texts = notes if notes is not None else [""] * len(classes)
    unit = text_size / TEXT_SIZE
    patch, line, gap, note_gap = (round(unit * size) for size in (14, 24, GAP, 6))
    longest = max(_text_length(name, text_size) for name in classes)
    longest_note = max(_text_length(note, text_size) for note in texts)
    before_name = patch + round(unit * 8)
    entry = before_name + longest + (note_gap + longest_note if longest_note else 0)
    room = max(width - 2 * MARGIN, entry)
    columns = min(len(classes), (room + gap) // (entry + gap))
    # As many lines as needed, filled evenly: 11 classes in up to 10 columns become 6 + 5, not 10 + 1.
    lines = -(-len(classes) // columns)
    columns = -(-len(classes) // lines)
    page, draw = _page(room + 2 * MARGIN, lines * line + MARGIN)
    for number, (name, colour, note) in enumerate(zip(classes, palette, texts, strict=True)):
        left = MARGIN + (number % columns) * (entry + gap)
        middle = number // columns * line + line // 2
        top = middle - patch // 2
        draw.rounded_rectangle(
            (left, top, left + patch - 1, top + patch - 1),
            radius=patch // 4,
            fill=tuple(colour),
            outline=HAIRLINE,
        )
        text_left = left + before_name
        _put(draw, (text_left, middle), name, INK, text_size, anchor="lm")
        note_left = text_left + _text_length(name, text_size) + note_gap
        _put(draw, (note_left, middle), note, FAINT, text_size, anchor="lm")
    return np.array(page)


def with_legend(
    picture: np.ndarray, names: Sequence[str], colours: Sequence[Colour], notes: Sequence[str] | None = None
) -> np.ndarray:
    """Return the picture with a legend of its colours below it, see `legend`.

    The legend grows with the picture, so that it can be read when a large one is shown on a screen.
    """
    text_size = max(TEXT_SIZE, picture.shape[1] // SCREEN_LINE)
    return stacked([picture, legend(names, colours, picture.shape[1], notes, text_size)], LEGEND_GAP)


def contact_sheet(rows: Sequence[Sequence[np.ndarray]], captions: Sequence[Sequence[str]]) -> np.ndarray:
    """Return a white page with rows of pictures, each with its caption below.

    Pictures are RGB uint8 of any size; they are not scaled. Each column is as wide as its widest picture.
    Rows may have different lengths.
    """
    number_of_columns = max(len(row) for row in rows)
    widths = [max(row[i].shape[1] for row in rows if i < len(row)) for i in range(number_of_columns)]
    heights = [max(picture.shape[0] for picture in row) for row in rows]
    caption_height = TEXT_SIZE + 10
    page, draw = _page(
        2 * MARGIN + sum(widths) + GAP * (number_of_columns - 1),
        sum(heights) + len(rows) * caption_height + GAP * (len(rows) - 1) + MARGIN,
    )
    top = 0
    for row, names, height in zip(rows, captions, heights, strict=True):
        left = MARGIN
        # A row may have fewer pictures than there are columns.
        for picture, name, width in zip(row, names, widths[: len(row)], strict=True):
            page.paste(Image.fromarray(picture), (left, top))
            text = shortened(name, width)
            _put(draw, (left, top + picture.shape[0] + 6), text, FAINT)
            left += width + GAP
        top += height + caption_height + GAP
    return np.array(page)


def heat_maps(maps: np.ndarray, names: Sequence[str]) -> np.ndarray:
    """Return a page with a heat map (dark 0, yellow 1) of each of `maps`, float (N, H, W) in [0, 1]."""
    levels = np.rint(255 * np.clip(maps, 0, 1)).astype(np.uint8)
    pictures = [
        resized(np.asarray(cv2.applyColorMap(level, cv2.COLORMAP_VIRIDIS))[..., ::-1], WIDTH_OF_MAP)
        for level in levels
    ]
    starts = range(0, len(pictures), MAPS_IN_ROW)
    return contact_sheet(
        [pictures[start : start + MAPS_IN_ROW] for start in starts],
        [names[start : start + MAPS_IN_ROW] for start in starts],
    )


def _figure(width: float, height: float) -> tuple[Any, Any]:
    # A figure made without pyplot is freed like any object, and needs no display.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), facecolor="white")
    figure.set_layout_engine("constrained", w_pad=0.15, h_pad=0.15)
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for side in ("top", "right", "left", "bottom"):
        axes.spines[side].set_visible(False)
    axes.tick_params(length=0, labelcolor=INK_HEX)
    return figure, axes


def confusion_picture(path: str | os.PathLike[str], confusion: np.ndarray, classes: Sequence[str]) -> None:
    """Write a picture of a confusion matrix (C, C + 1): how the pixels of each class were predicted, in %.

    Each row sums to 100. Rows of classes without a labelled pixel stay empty. The column for void is only
    drawn if any labelled pixel was predicted as void.
    """
    columns = [*classes, VOID_COLUMN]
    if not confusion[:, -1].any():
        confusion, columns = confusion[:, :-1], columns[:-1]
    labelled = confusion.sum(axis=1, keepdims=True)
    shares = np.divide(100.0 * confusion, labelled, out=np.full(confusion.shape, np.nan), where=labelled > 0)
    cell = 0.42
    # Names need it at the left and, aslant, above and at the right; with few and short ones the axis' title.
    room = max(0.09 * max(map(len, columns)), 0.8)
    figure, axes = _figure(1.0 + 1.7 * room + cell * len(columns), 1.2 + 0.7 * room + cell * len(classes))
    axes.set_facecolor("#f1f2f4")
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=100, aspect="equal", interpolation="nearest")
    for row, line in enumerate(shares):
        for column, share in enumerate(line):
            # Many zeros would hide the few confusions that matter.
            if share >= 0.5:
                colour = "white" if share > 55 else INK_HEX
                weight = "bold" if row == column else "normal"
                axes.text(
                    column, row, f"{share:.0f}", ha="center", va="center", color=colour, size=9, weight=weight
                )
    axes.set_xticks(range(len(columns)), columns, rotation=45, ha="left", rotation_mode="anchor")
    axes.xaxis.tick_top()
    axes.set_yticks(range(len(classes)), classes)
    axes.set_xticks(np.arange(len(columns) + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(len(classes) + 1) - 0.5, minor=True)
    axes.grid(which="minor", color="white", linewidth=1.5)
    axes.tick_params(which="both", length=0)
    axes.set_ylabel("labelled", color=FAINT_HEX, size=11)
    axes.set_xlabel("predicted: % of the labelled\npixels of each row", color=FAINT_HEX, size=11)
    _write(figure, path, dots_an_inch=130)


def chain_positions(models: Sequence[str]) -> list[int]:
    """Return the position of each model along the chain: 0, 1, ... in the order of `models`.

    The two branches of a cycle share a position, and so do the baselines of two networks. The upper bound is
    not part of the chain; its position is -1.
    """
    places: dict[object, int] = {}
    positions = []
    for model in models:
        if model == UPPER_BOUND:
            positions.append(-1)
            continue
        name = _parsed(model)
        place = (name.stage.removesuffix("_b"), name.number) if name else model
        positions.append(places.setdefault(place, len(places)))
    return positions


def _parsed(model: str) -> ModelName | None:
    """Return the parts of a model's name; None if it is not of a run: by hand, models have any names."""
    try:
        return ModelName.parse(model)
    except ValueError:
        return None


# What a line connects: the stage and the branch of its models, its title and its colour.
LINES = (
    ("self_training", None, "self-training", BLUE),
    ("co_training", "a", "co-training, branch a", ORANGE),
    ("co_training", "b", "co-training, branch b", GREEN),
)


def mean_iou_picture(path: str | os.PathLike[str], rows: Sequence[ModelScores]) -> None:
    """Write a picture of the mIoU of each model, in the order of the chain.

    Each line connects the rounds of self-training or the cycles of one branch of co-training. A dashed line
    shows the upper bound.
    """
    positions = chain_positions([row.model for row in rows])
    places = max(positions) + 1
    from matplotlib.patheffects import withStroke

    # A white halo keeps numbers legible where a line runs behind them.
    halo = [withStroke(linewidth=3, foreground="white")]
    figure, axes = _figure(max(7.5, 3.2 + 0.5 * places), 4.8)
    axes.grid(axis="y", color=HAIRLINE_HEX, linewidth=1)
    axes.set_axisbelow(True)
    values = [100 * row.mean_iou for row in rows]
    spread = max(max(values) - min(values), 1.0)
    axes.set_ylim(min(values) - 0.12 * spread, max(values) + 0.16 * spread)
    axes.set_xlim(-0.7, max(places, 1) - 0.3)

    def annotate(place: float, value: float, colour: str, below: bool = False) -> None:
        axes.annotate(
            f"{value:.1f}",
            (place, value),
            xytext=(0, -9 if below else 8),
            textcoords="offset points",
            ha="center",
            va="top" if below else "bottom",
            color=colour,
            size=10,
            weight="bold",
            path_effects=halo,
        )

    points = list(zip(rows, positions, values, strict=True))
    in_stage: set[str] = set()
    ends: dict[int, list[tuple[float, str]]] = {}
    for stage, branch, title, colour in LINES:
        models = {
            row.model
            for row in rows
            if (name := _parsed(row.model)) and (name.stage, name.branch) == (stage, branch)
        }
        in_stage |= models
        line = [(place, value) for row, place, value in points if row.model in models]
        if line:
            axes.plot(
                *zip(*line, strict=True), color=colour, linewidth=2.2, marker="o", markersize=6, label=title
            )
            ends.setdefault(line[-1][0], []).append((line[-1][1], colour))
    for place, stage_ends in ends.items():
        # If two branches end close to each other, their numbers must not overlap.
        for number, (value, colour) in enumerate(sorted(stage_ends, reverse=True)):
            annotate(place, value, colour, below=number > 0)
    for row, place, value in points:
        if row.model == UPPER_BOUND:
            axes.axhline(value, color=INK_HEX, linewidth=1.4, linestyle=(0, (5, 4)), zorder=1)
            axes.annotate(
                f"upper bound {value:.1f}",
                (0.005, value),
                # At the left, because the right end of the chain comes close to the bound.
                xycoords=("axes fraction", "data"),
                xytext=(0, 5),
                textcoords="offset points",
                color=INK_HEX,
                size=10,
                path_effects=halo,
            )
        elif row.model not in in_stage:
            colour = {BASELINE: FAINT_HEX, "final": PURPLE}.get(row.model, INK_HEX)
            axes.plot([place], [value], color=colour, marker="D", markersize=8, linestyle="none")
            annotate(place, value, colour)
            if row.model == BASELINE:
                axes.axhline(value, color=FAINT_HEX, linewidth=1, linestyle=(0, (1, 3)), zorder=1)

    _name_places(axes, [(row.model, place) for row, place, _ in points if place >= 0])
    axes.set_ylabel("mIoU (%)", color=INK_HEX, size=11)
    axes.set_title("mIoU along the chain", loc="left", size=14, color=INK_HEX, weight="bold", pad=30)
    if in_stage:
        axes.legend(
            loc="lower left",
            bbox_to_anchor=(-0.01, 1.0),
            ncols=3,
            frameon=False,
            fontsize=10,
            labelcolor=INK_HEX,
            borderaxespad=0.3,
        )
    _write(figure, path, dots_an_inch=150)


def _write(figure: Any, path: str | os.PathLike[str], dots_an_inch: int) -> None:
    memory = io.BytesIO()
    figure.savefig(memory, format="png", dpi=dots_an_inch)
    write_bytes(path, memory.getbuffer())


def _name_places(axes: Any, models: Sequence[tuple[str, int]]) -> None:
    """Write the number of each round and cycle below the axis, and the stage's name below its numbers."""
    ticks: dict[int, str] = {}
    stages: dict[str, list[int]] = {}
    for model, place in models:
        name = _parsed(model)
        if name and name.number is not None:
            ticks[place] = str(name.number)
            stages.setdefault(name.stage, []).append(place)
        else:
            ticks[place] = model.replace("_", " ")
    axes.set_xticks(list(ticks), list(ticks.values()), size=10)
    titles = {"self_training": "self-training round", "co_training": "co-training cycle"}
    for stage, places in stages.items():
        axes.annotate(
            titles[stage],
            ((min(places) + max(places)) / 2, 0),
            xycoords=("data", "axes fraction"),
            xytext=(0, -24),
            textcoords="offset points",
            ha="center",
            va="top",
            color=FAINT_HEX,
            size=10,
        )
        axes.axvspan(min(places) - 0.47, max(places) + 0.47, color="#f6f7f9", zorder=0, linewidth=0)
