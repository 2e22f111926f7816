"""Mistakes end the run before anything is trained, with one message that says what to change."""

import pytest


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


def test_lists_of_different_length(run):
    path = run.folder / "some data" / "synthetic.labels.txt"
    path.write_text("\n".join(path.read_text().splitlines()[:-1]) + "\n")
    output = refused(run)
    assert "8" in output
    assert "7" in output
    assert "synthetic.labels.txt" in output


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


def test_gpu_that_is_not_there(run):
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    change(run, "device", "cuda")
    output = refused(run)
    assert "device: 'cuda' was demanded" in output
