"""Mistakes end the run before anything is trained, with one message that says what to change."""

import numpy as np
import pytest
from PIL import Image

from cotrain.data.images import write_label


def refused(run, *arguments):
    done = run.snakemake(*arguments)
    assert done.returncode != 0
    assert not list(run.folder.rglob("last.pt")), "a training had begun"
    return done.stdout


def change(run, *path_and_value):
    *path, key, value = path_and_value
    configuration = run.configuration()
    section = configuration
    for name in path:
        section = section[name]
    section[key] = value
    run.configure(configuration)


def test_truncated_target_image(run):
    image = run.folder / "some data" / "camera" / "03.png"
    image.write_bytes(image.read_bytes()[:2000])
    output = refused(run)
    assert "camera.images.txt:4" in output
    assert "03.png" in output


def test_missing_test_label(run):
    (run.folder / "some data" / "camera_test" / "labels" / "01.png").unlink()
    output = refused(run)
    assert "camera_test.labels.txt:2" in output


def test_all_that_is_wrong_with_files_is_told_at_once(run):
    """Three datasets in one run, each with mistakes; what one step finds stands in one message."""
    data = run.folder / "some data"
    source, test = data / "synthetic", data / "camera_test"
    write_label(source / "labels" / "00.png", np.zeros((32, 48), np.uint8), [])
    write_label(source / "labels" / "01.png", np.full((64, 96), 77, np.uint8), [])
    Image.new("F", (96, 64)).save(source / "02.png", format="TIFF")
    (data / "camera.images.txt").write_text("camera/00.png\r\n\r\ncamera/../camera/00.png\r\n")
    (test / "00.png").unlink()
    (test / "01.png").write_bytes(b"")
    output = refused(run, "--keep-going")
    assert "datasets.synthetic: 3 problems:" in output
    assert "synthetic.labels.txt:1: " in output
    assert "labels/00.png: is 48×32, expected 96×64 as its image" in output
    assert "labels/01.png: holds the ids 77, expected class table 'cityscapes_train_ids'" in output
    assert "02.png: has 1 channel (float), expected a photo of 8 or 16 bit" in output
    assert "camera.images.txt:3: " in output
    assert "00.png: is already listed in line 1" in output
    assert "datasets.camera_test: 2 problems:" in output
    assert "camera_test.images.txt:1: " in output
    assert "01.png: is empty (0 bytes), expected an image" in output


def test_empty_target_list(run):
    path = run.folder / "some data" / "camera.images.txt"
    path.write_text("\ufeff\r\n", encoding="utf-8")
    assert "camera.images.txt: the list is empty, expected one path per line" in refused(run)


def test_lists_as_other_systems_write_them(run):
    for path in (run.folder / "some data").glob("*.txt"):
        lines = [f'"{line}"\r\n\r\n' for line in path.read_text().splitlines()]
        path.write_text("\ufeff" + "".join(lines), encoding="utf-8", newline="")
    done = run.snakemake("--", "collect_checks")
    assert done.returncode == 0, done.stdout[-3000:]


def test_lists_of_different_length(run):
    path = run.folder / "some data" / "synthetic.labels.txt"
    path.write_text("\n".join(path.read_text().splitlines()[:-1]) + "\n")
    output = refused(run)
    assert "synthetic.images.txt lists 8 images but " in output
    assert "synthetic.labels.txt lists 7 labels, expected one label for each image" in output


def test_a_section_that_is_given_twice(run):
    path = run.folder / "tiny.yaml"
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines, "training: {batch_size: 4}", ""]))
    first = next(number for number, line in enumerate(lines, start=1) if line == "training:")
    output = refused(run, "--dry-run")
    assert (
        f"tiny.yaml, line {len(lines) + 1}: not valid YAML: the key 'training' is given in line {first}"
        in output
    )


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("self_training", "round"), 3, "self_training.round: unknown key (did you mean 'rounds'?)"),
        (("training", "batch_size"), "four", "training.batch_size: expected an integer"),
        (("training", "momentum"), 1.5, "training.momentum"),
        (("co_training", "round_b"), 7, "co_training.round_b: 7 is not a round that self_training makes"),
    ],
)
def test_configuration(run, path, value, message):
    change(run, *path, value)
    output = refused(run, "--dry-run")
    assert message in output
    assert "Traceback" not in output


def test_weights_of_another_network_for_branch_b(run):
    """Branch b is trained last, and its mistake shows first."""
    import torch

    weights = run.folder / "some data" / "weights.pth"
    torch.save({"state_dict": {"conv.weight": torch.ones(1)}}, weights)
    network_b = run.configuration()["network"] | {"backbone_weights": str(weights)}
    change(run, "co_training", "network_b", network_b)
    output = refused(run, "--", "results/tiny/data/networks.json")
    assert "error: co_training.network_b.backbone_weights: the tensors of" in output
    assert "of its 1 tensor none has an expected name; found state_dict.conv.weight, expected" in output


def test_gpu_that_is_not_there(run):
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    change(run, "device", "cuda")
    output = refused(run)
    assert "device: 'cuda' is set" in output
