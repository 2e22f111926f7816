from typing import Any

import pytest


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Return a list that gets each figure of matplotlib that is written, in that order.

    Of each it is checked that all of its texts lie within it.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.text import Text

    written: list[Any] = []
    save = Figure.savefig

    def kept(figure: Any, *arguments: Any, **options: Any) -> None:
        save(figure, *arguments, **options)
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        beyond_the_axis = set()
        for axis in (axis for axes in figure.axes for axis in (axes.xaxis, axes.yaxis)):
            low, high = sorted(axis.get_view_interval())
            labels = zip(axis.get_ticklocs(), axis.get_ticklabels(), strict=True)
            beyond_the_axis |= {label for place, label in labels if not low <= place <= high}
        left, bottom, right, top = figure.bbox.extents
        for text in figure.findobj(Text):
            if text.get_visible() and text.get_text() and text not in beyond_the_axis:
                box = text.get_window_extent(canvas.get_renderer())
                is_within = left <= box.x0 and bottom <= box.y0 and box.x1 <= right and box.y1 <= top
                assert is_within, f"{text.get_text()!r} is cut off"
        written.append(figure)

    monkeypatch.setattr(Figure, "savefig", kept)
    return written
