import json
from pathlib import Path

import pytest

from cotrain.data.manifests import Item
from cotrain.errors import InputError
from cotrain.training.record import kept_share, read_training_record


def item(name, width, height, kept):
    return Item(name, Path(f"{name}.png"), width, height, kept_pixels=kept)


def test_kept_share_counts_pixels_not_images():
    # 6 of 10 and 15 of 30 pixels are 21 of 40; the mean of the two shares is 0.55.
    assert kept_share([item("a", 5, 2, 6), item("b", 5, 6, 15)]) == 0.525
    assert kept_share([item("a", 5, 2, 0)]) == 0


def test_true_labels_have_no_kept_share():
    assert kept_share([]) is None
    assert kept_share([item("a", 5, 2, 6), item("b", 5, 2, None)]) is None


def test_a_record_of_an_earlier_version_has_no_loss(tmp_path):
    path = tmp_path / "training.json"
    content = {"settings": {"iterations": 7, "seed": 3}, "images": {"source": 9, "target": 4}, "resumes": 0}
    path.write_text(json.dumps(content))
    record = read_training_record(path)
    assert (record.settings.iterations, record.images.target) == (7, 4)
    assert (record.last_loss, record.images.kept_share, record.vanished_classes) == (None, None, [])
    content["images"]["kept_share"] = 1.5
    path.write_text(json.dumps(content))
    with pytest.raises(InputError, match=r"training\.json: .*record of a training.*kept_share"):
        read_training_record(path)
