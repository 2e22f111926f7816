"""What the documents show must work as printed."""

import re
import shlex
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from zipfile import ZipFile

import msgspec
import numpy as np
import pytest
import torch
import yaml

from cotrain.configuration.crop_sizes import limit_of_crops
from cotrain.configuration.reading import merged, resolve
from cotrain.configuration.run_plan import RunPlan
from cotrain.configuration.sections import Configuration, InferenceSettings
from cotrain.configuration.settings_files import settings_named, write_settings
from cotrain.data.files import write_json
from cotrain.data.images import read_image, read_label, write_image, write_label
from cotrain.data.label_sets import write_pseudo_labels
from cotrain.data.label_spaces import label_space
from cotrain.data.layouts import find_dataset
from cotrain.data.manifests import Item, write_manifest
from cotrain.networks.build import build_network
from cotrain.training.train_model import check_initial_weights
from tests.documents import GUIDES, PROJECT, blocks

DOCUMENTS = [PROJECT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md")]
DOCUMENTS += [PROJECT / "config" / "README.md", *sorted((PROJECT / "docs").rglob("*.md"))]
YAML = [printed for document in GUIDES for printed in blocks(document, "yaml", "yml")]
# Of plugins that `make test` does not install. tests/cluster runs with them.
PLUGINS = ("slurm-", "cluster-generic-", "kubernetes-")


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


@pytest.fixture
def printed_configuration(tmp_path, monkeypatch):
    """Return a function that resolves a part of a configuration, with the files that it names in a folder."""
    monkeypatch.chdir(tmp_path)
    # The shortest whole configuration that is printed.
    [base] = [yaml.safe_load(text) for _, text in YAML if "run: by_hand" in text]
    # Of their own: they stand beside the others that are printed.
    for _, text in YAML:
        if name := re.match(r"# (\w+\.yaml), used as", text):
            (tmp_path / name[1]).write_text(text)

    def write(name, content):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)

    def resolved(content):
        whole = content if content.keys() >= base.keys() else merged(base, content)
        if "label_space" in content:
            classes = next(text for _, text in YAML if isinstance(yaml.safe_load(text), list))
            write(content["label_space"], classes.encode())
        if weights := content.get("baseline", {}).get("initial_weights"):
            # A file of weights without any.
            write(weights, b"\2\0\0\0\0\0\0\0{}")
        for entry in whole["datasets"].values():
            for key in ("images", "labels"):
                if entry["layout"] == "lists" and key in entry:
                    write(entry[key], b"")
            if "root" in entry:
                entry["root"] = str(tmp_path / entry["root"].strip("/"))
                (tmp_path / entry["root"]).mkdir(parents=True, exist_ok=True)
            if str(entry.get("classes")).endswith("classes.yaml"):
                (tmp_path / entry["classes"]).write_text("ids: {0: road}")
        return resolve(whole)

    return resolved


def check_profile(content):
    """Check that the keys are flags of Snakemake, and that the rules that they name are there."""
    from snakemake.cli import get_argument_parser

    flags = {flag.lstrip("-") for action in get_argument_parser()._actions for flag in action.option_strings}
    texts = [path.read_text() for path in (PROJECT / "rules").glob("*.smk")]
    rules = {name for text in texts for name in re.findall(r"^ *rule (\w+):", text, re.MULTILINE)}
    for key, value in content.items():
        assert key in flags or key.startswith(PLUGINS), key
        assert key != "set-resources" or value.keys() <= rules


@pytest.mark.parametrize("printed", YAML, ids=lambda printed: printed.place)
def test_yaml_is_read_as_printed(printed, printed_configuration, tmp_path):
    """What it is shows in its keys: of no kind that is known here, it fails."""
    from cotrain.data.class_tables import class_table
    from cotrain.data.trees import tree_layout

    content = yaml.safe_load(printed.text)
    path = tmp_path / "printed.yaml"
    path.write_text(printed.text)
    if isinstance(content, list):
        assert label_space(str(path)).number_of_classes == len(content)
    elif content.keys() <= {"ids", "colours", "encoding"}:
        assert class_table(str(path))
    elif "trees" in content:
        assert tree_layout(str(path))
    elif all(isinstance(value, dict) and "layout" in value for value in content.values()):
        printed_configuration({"datasets": content})
    elif content.keys() <= {field.encode_name for field in msgspec.structs.fields(Configuration)}:
        configuration = printed_configuration(content)
        assert RunPlan(configuration).models
    else:
        check_profile(content)


def texts(document: str, language: str) -> list[str]:
    """Return what the code blocks of a language in a document hold."""
    return [text for _, text in blocks(PROJECT / document, language)]


def camera_of_the_readme() -> dict:
    """Return the whole configuration that README.md prints, under the name of its other examples."""
    [recipe] = [text for text in texts("README.md", "yaml") if "run: by_hand" in text]
    return yaml.safe_load(recipe) | {"run": "my_camera"}


def run_as_printed(command: str) -> None:
    """Run a command of a step in this process."""
    words = shlex.split(command.replace("\\\n", " "))
    assert words[:2] == ["python", "-m"]
    import_module(words[2]).main(words[3:])


def test_more_photos_are_planned_as_printed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for path in ("lists/camera.txt", "lists/camera_all.txt"):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text("a.png\n")
    [printed] = texts("docs/more_photos.md", "yaml")
    second = yaml.safe_load(printed)
    weights = tmp_path / second["baseline"]["initial_weights"]
    weights.parent.mkdir(parents=True)
    weights.write_bytes(b"\2\0\0\0\0\0\0\0{}")
    first = resolve(camera_of_the_readme())
    assert second["baseline"]["initial_weights"].startswith(f"results/{first.run}/")
    configuration = resolve(merged(camera_of_the_readme(), second))
    assert (configuration.run, configuration.baseline.iterations) == ("my_camera_2", 0)
    assert configuration.datasets["camera"].images == "lists/camera_all.txt"
    assert configuration.self_training == first.self_training


def test_an_own_model_is_imported_and_used_as_printed(tmp_path, monkeypatch):
    torch.set_num_threads(1)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    network, classes, baseline = texts("docs/own_model.md", "yaml")
    [module] = texts("docs/own_model.md", "python")
    import_weights, segment = texts("docs/own_model.md", "console")
    files = {
        "my_network.py": module,
        "my_project/unet.py": "from torch import nn\n\n"
        "def UNet(width, classes):\n"
        "    return nn.Sequential(nn.Conv2d(3, width, 3, 2, 1), nn.ReLU(), nn.Conv2d(width, classes, 1))\n",
        "config/my_classes.yaml": classes,
        "lists/camera.txt": "a.png\n",
    }
    content = camera_of_the_readme() | yaml.safe_load(network)
    # As long as the weights are not there, the configuration only describes the network.
    files["config/my_camera.yaml"] = yaml.safe_dump(content)
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    try:
        settings = resolve(content).network
        trained = build_network(settings, 3, seed=9, pretrained=False)
        with torch.no_grad():
            # So that every pixel is of the second class.
            trained.model[2].bias += torch.tensor([0.0, 99.0, 0.0])
        state = {f"module.{name}": tensor for name, tensor in trained.model.state_dict().items()}
        torch.save({"state_dict": state}, tmp_path / "checkpoint.pth")
        run_as_printed(import_weights)

        configuration = resolve(merged(content, yaml.safe_load(baseline)))
        training = RunPlan(configuration).training_settings("baseline")
        assert training.iterations == 0
        check_initial_weights(
            Path(configuration.baseline.initial_weights), training, label_space(configuration.label_space)
        )
        write_image(tmp_path / "photos" / "a.png", np.zeros((64, 96, 3), np.uint8))
        run_as_printed(segment)
        assert np.all(read_label(tmp_path / "segmented" / "labels" / "a.png") == 1)
    finally:
        for name in ("my_network", "my_project", "my_project.unet"):
            sys.modules.pop(name, None)


def test_labels_are_corrected_as_printed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    space = label_space("cityscapes19")
    folder = Path("results/my_camera/pseudo_labels/ensemble")
    for name in ("a", "b"):
        write_image(f"photos/{name}.png", np.zeros((60, 80, 3), np.uint8))
    items = [Item(name, tmp_path / "photos" / f"{name}.png", 80, 60) for name in ("a", "b")]
    label = np.full((60, 80), 255, np.uint8)
    label[:30] = 10
    made = write_pseudo_labels(
        items, lambda item: (label, 0.9), tmp_path / folder / "labels", space, workers=1
    )
    write_manifest(folder / "manifest.tsv", made)
    sample, export, import_labels = texts("docs/correct_labels.md", "console")
    run_as_printed(sample)
    run_as_printed(export)
    with ZipFile("for_cvat/annotations.zip") as archive:
        archive.extractall("from_cvat")
    write_image("from_cvat/SegmentationClass/a.png", np.full((60, 80, 3), space.palette[0], np.uint8))
    run_as_printed(import_labels)
    assert np.all(read_label("corrected/labels/a.png") == 0)
    np.testing.assert_array_equal(read_label("corrected/labels/b.png"), label)
    [printed] = texts("docs/correct_labels.md", "yaml")
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists" / "camera.txt").write_text("a.png\n")
    datasets = {
        "streets": {"layout": "streets", "look": "game"},
        "camera": {"layout": "lists", "images": "lists/camera.txt"},
    }
    content = {"run": "my_camera", "source": ["streets"], "target": "camera", "datasets": datasets}
    configuration = resolve(merged(content, yaml.safe_load(printed)))
    assert configuration.test == "corrected"
    files = find_dataset("corrected", configuration.datasets["corrected"], labelled=True)
    assert [item.label for item in files.items] == [
        tmp_path / "corrected" / "labels" / f"{name}.png" for name in ("a", "b")
    ]


def test_runs_of_several_seeds_are_made_and_compared_as_printed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = (PROJECT / "docs" / "utilities.md").read_text(encoding="utf-8")
    section = text.split("## Comparing runs\n")[1].split("\n### ")[0]
    loop, compare = re.findall(r"```console\n(.*?)```", section, re.DOTALL)
    # What Snakemake would be called with.
    script = f'snakemake() {{ echo "$@" >> calls; }}\n{loop}'
    subprocess.run(["bash", "-c", script], check=True)
    calls = [line.split() for line in Path("calls").read_text().splitlines()]
    assert [call[:2] for call in calls] == [["--configfile", "config/my_camera.yaml"]] * 3
    for call in calls:
        assert call[2] == "--config"
        settings = {key: yaml.safe_load(value) for key, value in (word.split("=") for word in call[3:])}
        write_json(Path("results", settings["run"], "settings", "configuration.json"), settings)
        name = settings["run"].replace("my_camera", "other")
        other = settings | {"run": name, "precision": "float32"}
        write_json(Path("results", name, "settings", "configuration.json"), other)
    expanded = subprocess.run(
        ["bash", "-c", f"echo {compare}"], check=True, capture_output=True, text=True
    ).stdout
    run_as_printed(expanded)
    table = Path("comparison/comparison.txt").read_text(encoding="utf-8")
    assert "my_camera_100 (×3)" in table
    assert "other_100 (×3)" in table
