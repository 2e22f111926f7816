"""Every step that sends images through a network keeps to `deterministic`."""

import pytest
import torch

from cotrain.configuration.sections import InferenceSettings
from cotrain.networks import network
from workflow_scripts import calibrate, class_probabilities, evaluate, predict, segment

STEPS = {
    predict: ["--images", "images.tsv", "--output", "0.h5"],
    evaluate: ["--name", "final", "--labelled", "images.tsv", "--output", "evaluation"],
    calibrate: ["--labelled", "images.tsv", "--seed", "1", "--output", "temperature.json"],
    class_probabilities: ["--image", "{image}", "--output", "shown.npy"],
    segment: ["--input", "{image}", "--output", "segmented"],
}


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.__name__)
@pytest.mark.parametrize("is_wanted", [True, False])
def test_kernels_are_deterministic_where_it_is_wanted(
    model, tmp_path, monkeypatch, settings_file, step, is_wanted
):
    items, flags = model
    monkeypatch.chdir(tmp_path)
    settings = settings_file(InferenceSettings(batch_size=1, deterministic=is_wanted), "chosen")
    seen = set()
    forward = network.Network.forward

    def noted(self, images):
        seen.add(torch.are_deterministic_algorithms_enabled())
        return forward(self, images)

    monkeypatch.setattr(network.Network, "forward", noted)
    arguments = [argument.format(image=items[0].image) for argument in STEPS[step]]
    step.main([*flags[:-1], settings, *arguments])
    assert seen == {is_wanted}
    assert not torch.are_deterministic_algorithms_enabled()
