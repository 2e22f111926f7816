"""What the documents show must work as printed."""

import re
from pathlib import Path

import numpy as np
import pytest
import yaml

from cotrain.configuration.crop_sizes import limit_of_crops
from cotrain.configuration.reading import merged, resolve
from cotrain.configuration.run_plan import RunPlan
from cotrain.configuration.settings_files import settings_named
from cotrain.data.images import write_image, write_label

PROJECT = Path(__file__).parents[1]
DOCUMENTS = [PROJECT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md")]
DOCUMENTS += [PROJECT / "config" / "README.md", *sorted((PROJECT / "docs").glob("*.md"))]


def heading_anchors(text: str) -> set[str]:
    """Return the anchors that a forge makes of the headings of a document."""
    headings = re.findall(r"^#+ (.*)$", re.sub(r"```.*?```", "", text, flags=re.DOTALL), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(PROJECT)))
def test_links_between_documents_resolve(document):
    text = document.read_text(encoding="utf-8")
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if link.startswith(("http://", "https://")):
            continue
        name, _, anchor = link.partition("#")
        target = (document.parent / name).resolve() if name else document
        assert target.exists(), link
        if anchor and target.suffix == ".md":
            assert anchor in heading_anchors(target.read_text(encoding="utf-8")), link


def test_the_own_camera_of_the_readme_is_planned_as_printed(tmp_path, monkeypatch):
    text = (PROJECT / "README.md").read_text(encoding="utf-8")
    recipe = text.split("## Your own camera")[1].split("\n## ")[0]
    content, scores = (
        yaml.safe_load(re.sub(r"^   ", "", block, flags=re.MULTILINE))
        for block in re.findall(r"```yaml\n(.*?)```", recipe, re.DOTALL)
    )
    monkeypatch.chdir(tmp_path)
    write_image(tmp_path / "lists" / "a.png", np.zeros((1080, 1920, 3), np.uint8))
    write_label(tmp_path / "lists" / "l.png", np.zeros((1080, 1920), np.uint8), [])
    # First there are only images.
    (tmp_path / "lists" / "camera.txt").write_text("a.png\n")
    configuration = resolve(content)
    assert (configuration.run, configuration.test) == ("my_camera", None)
    for name, line in (("test_images", "a.png"), ("test_labels", "l.png")):
        (tmp_path / "lists" / f"{name}.txt").write_text(f"{line}\n")
    scored = resolve(merged(content, scores))
    assert scored.test == "camera_test"
    assert RunPlan(scored).datasets == ["camera", "camera_test", "game"]
    crops = settings_named(configuration, "crops")
    game = configuration.datasets["game"]
    # The crop fits into the rendered streets and into photographs of a usual camera.
    for size, augmentation in (
        ((game.height, game.width), crops.source_augmentation),
        ((1080, 1920), crops.target_augmentation),
    ):
        keys = augmentation.resize, augmentation.short_sides, augmentation.max_long_side
        assert limit_of_crops(crops.crop, [size], *keys) is None


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(PROJECT)))
def test_no_command_in_a_document_holds_json(document):
    for block in re.findall(r"```console\n(.*?)```", document.read_text(encoding="utf-8"), re.DOTALL):
        assert "'{" not in block
