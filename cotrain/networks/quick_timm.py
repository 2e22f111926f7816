"""timm, imported in a quarter of the time.

timm and torchvision import torch's compiler only to exclude a few functions from compilation and to ask for a
GPU kernel that no network here uses. Importing the compiler takes longer than importing everything else that
a prediction needs, and a run has dozens of short jobs.
"""

import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

COMPILER = "torch._dynamo"


def import_timm() -> Any:
    """Return timm. The compiler is only imported when somebody really compiles."""
    if "timm" in sys.modules or COMPILER in sys.modules:
        import timm

        return timm
    stand_in, utils = ModuleType(COMPILER), ModuleType(f"{COMPILER}.utils")
    stand_in.disable = _unchanged  # type: ignore[attr-defined]
    utils.is_compile_supported = lambda device_type: False  # type: ignore[attr-defined]
    sys.modules |= {COMPILER: stand_in, f"{COMPILER}.utils": utils}
    try:
        import timm
    finally:
        for name in (COMPILER, f"{COMPILER}.utils"):
            del sys.modules[name]
    return timm


def _unchanged(function: Callable[..., Any] | None = None, *_: Any, **__: Any) -> Any:
    """Stand in for a decorator, with or without arguments, and change nothing."""
    return function if function is not None else _unchanged
