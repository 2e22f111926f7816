"""A SHA-256 in the header of our weights files: safetensors itself notices no damage within a tensor."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor

# The key of the header, and below it that of the sum, beside what the weights belong to.
HEADER_KEY = "cotrain"
SUM = "sha256"


def sum_of(tensors: Mapping[str, Tensor], belongs_to: Mapping[str, Any]) -> str:
    """Return the SHA-256 of tensors, with their names, types and shapes, and of what they belong to."""
    total = hashlib.sha256(json.dumps(belongs_to, sort_keys=True).encode())
    for name in sorted(tensors):
        tensor = tensors[name].contiguous()
        total.update(json.dumps([name, str(tensor.dtype), list(tensor.shape)]).encode())
        # As bytes, because NumPy does not know all of torch's types.
        total.update(tensor.flatten().view(torch.uint8).numpy().data)
    return total.hexdigest()


def is_whole(path: Path, tensors: Mapping[str, Tensor]) -> bool:
    """Return whether the tensors of a safetensors file have the sum in its header, if it has one."""
    with safe_open(path, framework="pt") as file:
        text = (file.metadata() or {}).get(HEADER_KEY)
    belongs_to = json.loads(text) if text else {}
    expected = belongs_to.pop(SUM, None)
    return expected is None or sum_of(tensors, belongs_to) == expected
