"""Words among which a key lets choose, shared by the sections, the library and the command lines."""

from typing import Literal

Device = Literal["auto", "cpu", "cuda", "mps"]
Precision = Literal["auto", "float32", "bfloat16"]
Look = Literal["game", "camera"]
ImageFormat = Literal["png", "jpg"]
ClassMixing = Literal["on_demand", "plain", "none"]
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
Fill = Literal["add", "subtract", "none"]
Collaboration = Literal["exchange", "own", "both"]

# Of a backbone, where they do not come from a file.
WAYS_TO_FIRST_WEIGHTS = ("package", "timm", "none")
