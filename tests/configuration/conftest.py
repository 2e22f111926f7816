from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cotrain.configuration.reading import merged, resolve
from cotrain.configuration.run_plan import RunPlan


@pytest.fixture
def make_plan(tmp_path: Path) -> Callable[..., RunPlan]:
    """Return a function that plans a run of two datasets, with the sections that it is given."""
    (tmp_path / "images.txt").write_text("a.png\n")
    lists = {"layout": "lists", "images": str(tmp_path / "images.txt")}
    labelled = lists | {"labels": str(tmp_path / "images.txt"), "classes": "camvid"}
    smallest = {
        "run": "demo",
        "datasets": {
            "game": {"layout": "streets", "look": "game"},
            "camera": lists,
            "second_camera": lists,
            "camera_test": labelled,
        },
        "source": ["game"],
        "target": "camera",
        "test": "camera_test",
    }

    def make(**sections: Any) -> RunPlan:
        return RunPlan(resolve(merged(smallest, sections)))

    return make
