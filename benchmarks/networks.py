"""The networks: parameters, arithmetic at 1024×512, stride of the features, licence of the weights.

Counted on tensors that have a shape but no content, so nothing is computed. A multiplication and an addition
count as two operations.

    python -m benchmarks.networks
"""

import torch
from msgspec.structs import replace
from torch.utils.flop_counter import FlopCounterMode

from cotrain.configuration.sections import DeepLabV3PlusSettings, PlainTransformerSettings
from cotrain.networks.build import build_network
from cotrain.networks.quick_timm import import_timm

DEEPLAB = DeepLabV3PlusSettings(backbone_weights="none")
LIGHT = replace(
    DEEPLAB,
    output_stride=32,
    aspp_channels=64,
    aspp_dilations=(2, 4, 6),
    decoder_channels=48,
    low_level_channels=24,
)
TRANSFORMER = PlainTransformerSettings(name="plain_transformer", backbone_weights="none")
NETWORKS: dict[str, DeepLabV3PlusSettings | PlainTransformerSettings] = {
    "the paper's": replace(DEEPLAB, backbone="resnet101s", last_stage_dilations=(2, 4, 8)),
    "the demo's": replace(LIGHT, backbone="tf_efficientnet_lite0"),
    "EfficientNet-Lite0": replace(DEEPLAB, backbone="tf_efficientnet_lite0"),
    "ResNet-50": replace(DEEPLAB, backbone="resnet50"),
    "MobileNetV3": replace(DEEPLAB, backbone="mobilenetv3_large_100"),
    "ConvNeXt-T": replace(DEEPLAB, backbone="convnext_tiny", output_stride=32),
    "DINOv2 S/14": replace(TRANSFORMER, backbone="vit_small_patch14_dinov2"),
    "DINOv2 B/14": replace(TRANSFORMER, backbone="vit_base_patch14_dinov2"),
    "DINOv3 S/16": replace(TRANSFORMER, backbone="vit_small_patch16_dinov3"),
    "EVA-02 S/14": replace(TRANSFORMER, backbone="eva02_small_patch14_336"),
}


def main() -> None:
    """Print the table of docs/networks.md."""
    print("| network | backbone | parameters (M) | GFLOPs at 1024×512 | output stride | licence of weights |")
    print("|---|---|---:|---:|---:|---|")
    for title, settings in NETWORKS.items():
        network = build_network(settings, 19, seed=0, pretrained=False).to("meta").eval()
        parameters = sum(parameter.numel() for parameter in network.parameters())
        with FlopCounterMode(display=False) as counter, torch.inference_mode():
            network(torch.zeros(1, 3, 512, 1024, dtype=torch.uint8, device="meta"))
        # One multiplication and one addition are two operations.
        stride = getattr(settings, "output_stride", None) or network.model.patch[0]
        licence = getattr(import_timm().get_pretrained_cfg(settings.backbone), "license", None) or "unknown"
        print(
            f"| {title} | `{settings.backbone}` | {parameters / 1e6:.1f} | "
            f"{counter.get_total_flops() / 1e9:.0f} | {stride} | {licence} |"
        )


if __name__ == "__main__":
    main()
