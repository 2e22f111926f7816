"""Words and limits that the sections, the library and the command lines share."""

from typing import Literal

Device = Literal["auto", "cpu", "cuda", "mps"]
Precision = Literal["auto", "float32", "bfloat16"]
Look = Literal["game", "camera"]
ImageFormat = Literal["png", "jpg"]
HardPixelsOf = Literal["labelled", "all"]
ClassMixing = Literal["on_demand", "plain", "none"]
FinalLabels = Literal["ensemble", "accumulated"]
ImageRanking = Literal["confidence", "class_count", "void_pixels"]
ExchangeRanking = Literal[
    "threshold_difference",
    "receiver_threshold",
    "confidence_gain",
    "confidence",
    "class_count",
    "void_pixels",
]
Accumulation = Literal["best_score", "all", "none"]
OnCollapse = Literal["stop", "warn"]
Fill = Literal["add", "subtract", "none"]
Collaboration = Literal["exchange", "own", "both"]

# Of a backbone, where they do not come from a file.
WAYS_TO_FIRST_WEIGHTS = ("package", "timm", "none")
# Backbones whose ImageNet weights are an installable package.
PACKAGED_BACKBONES = ("tf_efficientnet_lite0", "tf_efficientnet_lite1", "tf_efficientnet_lite2")

DEFAULT_LABEL_SPACE = "cityscapes19"
# Width and height of rendered streets, in pixels.
SMALLEST_STREET, LARGEST_STREET = 64, 2048
# Pixels of a picture or of a frame of a video: 8000 × 8000. To read one takes up to 20 bytes a pixel.
MOST_PIXELS = 64_000_000
MOST_PIXELS_VARIABLE = "COTRAIN_MOST_PIXELS"
