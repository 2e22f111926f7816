"""Unsupervised domain adaptation of driving-scene segmentation by self-training and co-training."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cotrain.networks.segmenter import load_model

__all__ = ["__version__", "load_model"]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    # Only now: steps that need no torch start in a tenth of the time.
    if name == "load_model":
        from cotrain.networks.segmenter import load_model

        return load_model
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
