"""What the documents show must work as printed."""

import re
from pathlib import Path

import numpy as np
import pytest
import yaml

from cotrain.configuration.crop_sizes import limit_of_crops
from cotrain.configuration.reading import merged, resolve
from cotrain.configuration.run_plan import RunPlan
from cotrain.configuration.sections import InferenceSettings
from cotrain.configuration.settings_files import settings_named, write_settings
from cotrain.data.images import read_image, read_label, write_image, write_label
from cotrain.data.label_spaces import label_space

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


def test_the_configurations_of_the_readme_are_planned_as_printed(tmp_path, monkeypatch):
    text = (PROJECT / "README.md").read_text(encoding="utf-8")
    recipe = text.split("### Scores")[1].split("\n## ")[0]
    scores, content = map(yaml.safe_load, re.findall(r"```yaml\n(.*?)```", recipe, re.DOTALL))
    monkeypatch.chdir(tmp_path)
    write_image(tmp_path / "lists" / "a.png", np.zeros((1080, 1920, 3), np.uint8))
    write_label(tmp_path / "lists" / "l.png", np.zeros((1080, 1920), np.uint8), [])
    # First there are only images.
    (tmp_path / "lists" / "camera.txt").write_text("a.png\n")
    configuration = resolve(content)
    assert (configuration.run, configuration.test) == ("by_hand", None)
    for name, line in (("test_images", "a.png"), ("test_labels", "l.png")):
        (tmp_path / "lists" / f"{name}.txt").write_text(f"{line}\n")
    scored = resolve(merged(content, scores))
    assert scored.test == "camera_test"
    assert RunPlan(scored).datasets == ["camera", "camera_test", "game"]
    crops = settings_named(configuration, "crops")
    # The default crop fits into photographs of a usual camera. Streets are checked above.
    augmentation = crops.target_augmentation
    keys = augmentation.resize, augmentation.short_sides, augmentation.max_long_side
    assert limit_of_crops(crops.crop, [(1080, 1920)], *keys) is None


def test_the_program_of_the_readme_runs_as_printed(tmp_path, monkeypatch, capsys, network_settings):
    import torch

    from cotrain.networks.build import build_network
    from cotrain.networks.inference import predict_images
    from cotrain.networks.weights import load_network, save_weights

    text = (PROJECT / "README.md").read_text(encoding="utf-8")
    [program] = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    monkeypatch.chdir(tmp_path)
    space = label_space("cityscapes7")
    torch.set_num_threads(1)
    network = build_network(network_settings, space.number_of_classes, 1, pretrained=False)
    torch.nn.init.normal_(network.model.classifier.weight, std=3.0)
    weights = tmp_path / "results" / "my_camera" / "models" / "final" / "weights.safetensors"
    save_weights(weights, network, network_settings, space)
    settings = InferenceSettings(resize=(40, 72))
    write_settings(tmp_path / "results" / "my_camera" / "settings" / "prediction.json", settings)
    blocks = np.random.default_rng(0).integers(0, 256, (9, 12, 3)).astype(np.uint8)
    write_image(tmp_path / "photo.jpg", np.kron(blocks, np.ones((7, 7, 1), np.uint8)))
    exec(compile(program, "README.md", "exec"), {})
    photo = read_image(tmp_path / "photo.jpg")
    network = load_network(weights).eval()
    [expected], _ = predict_images([network], photo[None], settings, torch.device("cpu"))
    np.testing.assert_array_equal(read_label(tmp_path / "photo.png"), expected)
    printed = {name: (expected == i).mean() for i, name in enumerate(space.classes) if (expected == i).any()}
    assert len(printed) > 1
    assert capsys.readouterr().out.splitlines() == [
        f"{name}: {share:.1%} of the photo" for name, share in printed.items()
    ]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(PROJECT)))
def test_no_command_in_a_document_holds_json(document):
    for block in re.findall(r"```console\n(.*?)```", document.read_text(encoding="utf-8"), re.DOTALL):
        assert "'{" not in block
