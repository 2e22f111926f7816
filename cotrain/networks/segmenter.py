"""A trained model as one module, from photos to class and confidence."""

import os
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from cotrain.configuration.reading import read_settings, settings_of
from cotrain.configuration.sections import InferenceSettings
from cotrain.devices import usable_device
from cotrain.errors import InputError
from cotrain.networks.inference import probabilities
from cotrain.networks.model_folder import weights_file
from cotrain.networks.network import Network
from cotrain.networks.weights import load_networks

AnyPath = str | os.PathLike[str]


class Segmenter(nn.Module):
    """The prediction of one network, or the mean of several.

    `classes` are the names of the classes, `palette` their colours (red, green, blue). The position of each
    is its train id.
    """

    def __init__(
        self,
        networks: Sequence[Network],
        settings: InferenceSettings,
        classes: Sequence[str] = (),
        palette: Sequence[tuple[int, int, int]] = (),
    ) -> None:
        super().__init__()
        self.networks = nn.ModuleList(networks)
        self.settings = settings
        self.classes = tuple(classes)
        self.palette = tuple(palette)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Map uint8 RGB (N, 3, H, W) to classes uint8 and their probabilities float32, both (N, H, W).

        H and W are free. The images must be on the device of the module.

        Raises:
            InputError: the images have another type or another shape.
        """
        if images.dtype != torch.uint8 or images.ndim != 4 or images.shape[1] != 3:
            kind, shape = str(images.dtype).removeprefix("torch."), tuple(images.shape)
            raise InputError(
                f"images: found {kind} of the shape {shape}, expected uint8 RGB of (N, 3, height, width)"
            )
        networks: Any = self.networks
        confidences, classes = probabilities(networks, images, self.settings).max(1)
        return classes.to(torch.uint8), confidences


def load_model(
    model: AnyPath | Sequence[AnyPath],
    *,
    settings: AnyPath | Mapping[str, Any] | None = None,
    device: str | torch.device = "cpu",
    temperature: AnyPath | Sequence[AnyPath] = (),
    allow_code: Collection[str] = (),
) -> Segmenter:
    """Load a trained model, or several whose probabilities are averaged, as one module for photos.

    The module takes uint8 RGB (N, 3, H, W), any H and W. It returns for each pixel the train id of its class,
    uint8 (N, H, W), and the probability of this class, float32 (N, H, W). Its attribute `classes` holds the
    names of the classes, `palette` their colours. It is in evaluation mode and computes no gradients.

    Args:
        model: the folder of a model or its .safetensors file, or a list of these. A folder stands for its
            averaged weights if there are any.
        settings: how images go through the network, as in a run: the path of
            results/RUN/settings/prediction.json, or such keys, for example `{"resize": (216, 384)}` (height
            and width). Without it, whole images at their own size. `batch_size` and `deterministic` are for
            steps and have no effect here.
        device: "cpu", "cuda", "cuda:1", "mps", or "auto" for a GPU if there is one.
        temperature: temperature.json of each model, as the step calibrate wrote it. Without it, confidences
            are as they are.
        allow_code: import paths `package.module:function` of networks of your own. A weights file that names
            another one is refused.

    Raises:
        InputError: a file cannot be read or is damaged, models have different classes, the settings have a
            mistake, or this machine does not have the device.
    """
    if settings is None:
        views = InferenceSettings()
    elif isinstance(settings, Mapping):
        views = settings_of(dict(settings), InferenceSettings, "settings")
    else:
        views = read_settings(Path(settings), InferenceSettings)
    place = usable_device(device)
    files = [weights_file(path) for path in _paths(model)]
    if not files:
        raise InputError("model: found an empty list, expected a model or several")
    networks, space = load_networks(files, _paths(temperature), allow_code)
    segmenter = Segmenter(networks, views, space.classes, space.palette)
    return segmenter.eval().requires_grad_(False).to(place)


def _paths(one_or_more: AnyPath | Sequence[AnyPath]) -> list[Path]:
    if isinstance(one_or_more, str | os.PathLike):
        return [Path(one_or_more)]
    return [Path(path) for path in one_or_more]
