"""Charts as SVG for a page: text stays text, and colours follow the page, light or dark.

matplotlib draws them. It knows no colours that a page decides, so it gets a colour of its own for each, and
afterwards the variable of the page takes its place.
"""

import html
import io
import re
import zlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

# A colour that matplotlib writes -> what the page calls it. No chart has other colours, but for classes.
INK, FAINT, LINE = "#010101", "#010102", "#010103"
SERIES = tuple(f"#0101{number:02x}" for number in range(16, 24))
VARIABLES = {
    INK: "var(--ink)",
    FAINT: "var(--faint)",
    LINE: "var(--line)",
    **{colour: f"var(--series-{number})" for number, colour in enumerate(SERIES)},
}
# Inches, at 96 pixels each on the page.
WIDTH, HEIGHT = 5.4, 2.9
TEXT_SIZE = 9
# Characters that fit into a line of the legend.
LEGEND = 66
# Places of a chart, up to which the values are written beside their points.
MOST_VALUES = 14


class Series(NamedTuple):
    """A line of a chart: its name, its points, and which of the page's colours it has."""

    name: str
    x: Sequence[float]
    y: Sequence[float | None]
    colour: int = 0
    marker: str = "o"
    dashed: bool = False


def line_chart(
    series: Sequence[Series],
    title: str,
    y_label: str,
    x_label: str = "",
    ticks: Mapping[float, str] | None = None,
    decimals: int = 1,
    height: float = HEIGHT,
    with_values: bool = False,
) -> str:
    """Return lines as SVG, with an axis that spans the values, and a tip at each point that has a marker.

    `ticks` are the places of the x axis and their names; without them the axis has numbers. `with_values`
    writes the highest and the lowest value of each place beside it, if there are not too many.
    """
    figure, axes = _figure(WIDTH, height)
    tips: dict[str, str] = {}
    for number, line in enumerate(series):
        colour = SERIES[line.colour % len(SERIES)]
        values = [np.nan if value is None else value for value in line.y]
        axes.plot(
            line.x,
            values,
            color=colour,
            linewidth=1.4 if line.dashed else 2,
            linestyle=(0, (5, 4)) if line.dashed else "-",
            label=_plain(line.name),
        )
        if not line.marker:
            continue
        for place, (x, y) in enumerate(zip(line.x, values, strict=True)):
            if not np.isnan(y):
                gid = f"tip-{number}-{place}"
                axes.plot([x], [y], line.marker, color=colour, markersize=6, gid=gid)
                where = (ticks or {}).get(x, f"{x:g}").replace("\n", " ")
                tips[gid] = f"{line.name}, {where}: {y:.{decimals}f}"
    axes.margins(x=0.04, y=0.16)
    if with_values and len(ticks or ()) <= MOST_VALUES:
        _write_values(axes, series, decimals)
    axes.grid(axis="y", color=LINE, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.set_ylabel(y_label, color=FAINT, size=TEXT_SIZE)
    if x_label:
        axes.set_xlabel(x_label, color=FAINT, size=TEXT_SIZE)
    if ticks is not None:
        axes.set_xticks(list(ticks), [_plain(name) for name in ticks.values()])
    _add_legend(figure, [line.name for line in series if line.name])
    return _svg(figure, title, tips)


def _add_legend(figure: Any, names: Sequence[str]) -> None:
    """Write a legend above a chart if it shows several things; it may be as wide as the figure."""
    if len(names) > 1:
        columns = max(min(LEGEND // (max(map(len, names)) + 5), len(names)), 1)
        figure.legend(
            loc="outside upper left", ncols=columns, frameon=False, fontsize=TEXT_SIZE, labelcolor=INK
        )


def _write_values(axes: Any, series: Sequence[Series], decimals: int) -> None:
    found: dict[float, set[float]] = {}
    for line in series:
        if line.marker:
            for x, y in zip(line.x, line.y, strict=True):
                if y is not None:
                    found.setdefault(x, set()).add(y)
    for x, values in found.items():
        for y, above in (
            {max(values): True, min(values): False}.items() if len(values) > 1 else [(values.pop(), True)]
        ):
            axes.annotate(
                f"{y:.{decimals}f}",
                (x, y),
                xytext=(0, 7 if above else -7),
                textcoords="offset points",
                ha="center",
                va="bottom" if above else "top",
                size=TEXT_SIZE,
                color=INK,
            )


def bar_chart(
    names: Sequence[str],
    groups: Mapping[str, Sequence[float]],
    title: str,
    x_label: str,
    decimals: int = 1,
) -> str:
    """Return bars to the right as SVG: one block for each name, in it one bar for each group."""
    thick = 0.8 / max(len(groups), 1)
    figure, axes = _figure(WIDTH, 0.9 + 0.2 * len(names) * max(len(groups), 1.6))
    tips = {}
    for number, (group, values) in enumerate(groups.items()):
        places = np.arange(len(names)) + (number - (len(groups) - 1) / 2) * thick
        bars = axes.barh(
            places, values, height=0.9 * thick, color=SERIES[number % len(SERIES)], label=_plain(group)
        )
        for place, bar in enumerate(bars):
            bar.set_gid(f"tip-{number}-{place}")
            tips[f"tip-{number}-{place}"] = f"{names[place]}, {group}: {values[place]:.{decimals}f}"
    axes.set_yticks(range(len(names)), [_plain(name) for name in names])
    axes.invert_yaxis()
    axes.margins(y=0.02)
    axes.grid(axis="x", color=LINE, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.set_xlabel(x_label, color=FAINT, size=TEXT_SIZE)
    _add_legend(figure, list(groups))
    return _svg(figure, title, tips)


class Span(NamedTuple):
    """A bar of a time line: its row, its start and length in the unit of the axis, its colour, its tip."""

    row: int
    start: float
    length: float
    colour: int
    tip: str


def time_line(rows: Sequence[str], spans: Sequence[Span], title: str, x_label: str) -> str:
    """Return spans in rows along the time as SVG."""
    figure, axes = _figure(WIDTH, 0.9 + 0.22 * len(rows))
    tips = {}
    for number, span in enumerate(spans):
        bar = axes.barh(span.row, span.length, left=span.start, height=0.7, color=SERIES[span.colour])[0]
        bar.set_gid(f"tip-{number}")
        tips[f"tip-{number}"] = span.tip
    axes.set_yticks(range(len(rows)), [_plain(name) for name in rows])
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.margins(x=0.01)
    axes.grid(axis="x", color=LINE, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.set_xlabel(x_label, color=FAINT, size=TEXT_SIZE)
    return _svg(figure, title, tips)


def small_multiples(
    panels: Mapping[str, Sequence[Series]], title: str, ticks: Mapping[float, str], columns: int = 6
) -> str:
    """Return a small chart for each panel as SVG, each with an axis of its own; lines as in `line_chart`."""
    from matplotlib.ticker import MaxNLocator

    rows = -(-len(panels) // columns)
    columns = min(columns, len(panels))
    figure = _plain_figure(1.85 * columns, 1.4 * rows + 0.2)
    tips = {}
    for number, (name, lines) in enumerate(panels.items()):
        axes = figure.add_subplot(rows, columns, number + 1)
        _bare(axes)
        for line_number, line in enumerate(lines):
            values = [np.nan if value is None else value for value in line.y]
            colour = SERIES[line.colour % len(SERIES)]
            style = (0, (4, 3)) if line.dashed else "-"
            axes.plot(line.x, values, color=colour, linewidth=1 if line.dashed else 1.6, linestyle=style)
            if not line.marker:
                continue
            for place, (x, y) in enumerate(zip(line.x, values, strict=True)):
                if not np.isnan(y):
                    gid = f"tip-{number}-{line_number}-{place}"
                    axes.plot([x], [y], "o", color=colour, markersize=3.5, gid=gid)
                    where = ticks.get(x, f"{x:g}").replace("\n", " ")
                    tips[gid] = f"{name}, {where}: {y:.1f}"
        axes.set_title(_plain(name), size=TEXT_SIZE, color=INK, loc="left")
        axes.margins(x=0.08, y=0.2)
        axes.grid(axis="y", color=LINE, linewidth=0.8)
        axes.set_axisbelow(True)
        axes.set_xticks([])
        axes.yaxis.set_major_locator(MaxNLocator(3))
        axes.tick_params(labelsize=TEXT_SIZE - 1)
    return _svg(figure, title, tips)


def _plain_figure(width: float, height: float) -> Any:
    # A figure made without pyplot is freed like any object, and needs no display.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height))
    figure.set_layout_engine("constrained", w_pad=0.06, h_pad=0.06)
    return figure


def _bare(axes: Any) -> None:
    axes.patch.set_visible(False)
    for side in ("top", "right", "left", "bottom"):
        axes.spines[side].set_visible(False)
    axes.tick_params(length=0, labelcolor=FAINT, labelsize=TEXT_SIZE)


def _figure(width: float, height: float) -> tuple[Any, Any]:
    figure = _plain_figure(width, height)
    axes = figure.add_subplot()
    _bare(axes)
    return figure, axes


def _svg(figure: Any, title: str, tips: Mapping[str, str]) -> str:
    """Return a figure as an element of a page, in the colours of the page and with a name for readers."""
    import matplotlib

    memory = io.StringIO()
    # Text that is no path can be searched, read aloud and shown in the font of the page.
    with matplotlib.rc_context({"svg.fonttype": "none", "font.family": "sans-serif", "svg.hashsalt": title}):
        figure.savefig(memory, format="svg", transparent=True)
    text = memory.getvalue()
    text = text[text.index("<svg") :]
    # Names within one chart would otherwise be those of another one on the same page.
    prefix = f"c{zlib.crc32(title.encode())}"
    text = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{prefix}-", text)
    for colour, variable in VARIABLES.items():
        text = text.replace(colour, variable)
    for gid, tip in tips.items():
        tag = f'<g id="{prefix}-{gid}">'
        text = text.replace(tag, f"{tag}<title>{html.escape(tip)}</title>", 1)
    # Fonts and strokes are those of the page; a style in a chart would be one of the whole page.
    text = re.sub(r"<style.*?</style>|<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r" font-family: [^;\"]*;", "", text)
    size = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', text)
    assert size, "matplotlib writes the size of a figure"
    # On a phone it is moved sideways rather than made so small that nobody can read it.
    width = float(size[1]) * 4 / 3
    head = (
        f'<svg role="img" aria-label="{html.escape(title, quote=True)}" viewBox="{size[0][9:-1]}" '
        f'class="chart" style="max-width: {width:.0f}px; min-width: {0.85 * width:.0f}px" '
        'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink">'
    )
    return head + text[text.index(">") + 1 :]


def _plain(text: str) -> str:
    """Return a text in which matplotlib sees no formula."""
    return text.replace("$", r"\$")
