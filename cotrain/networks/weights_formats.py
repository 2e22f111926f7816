"""What kind of file somebody gives as weights, found from its content: names of such files mean little.

Nothing here imports torch, so that a configuration can be checked in no time.
"""

import json
import zipfile
from pathlib import Path
from typing import Literal

from cotrain.errors import InputError

# safetensors; what `torch.save` writes; a pickle of NumPy arrays.
Format = Literal["safetensors", "torch", "pickle"]

# The first bytes of a file by which its kind is known.
HEAD = 512
LONGEST_HEADER = 2**40
# After the two bytes of a pickle's protocol: what `torch.save` wrote before it wrote zip archives.
OLD_TORCH = b"\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
ARCHIVES = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ": "xz", b"7z\xbc\xaf": "7z", b"Rar!": "rar"}
OTHERS = {
    b"\x89HDF": "an HDF5 file, as Keras writes it",
    b"\x93NUMPY": "a single NumPy array",
    b"\x89PNG": "a PNG image",
    b"\xff\xd8\xff": "a JPEG image",
    b"%PDF": "a PDF document",
}
# An ONNX file is a protobuf: the version of its format, which is small, and then another field of it. Those
# of one byte are texts, a number, the graph, sets of operators, and remarks.
ONNX_VERSION = b"\x08"
ONNX_FIELDS = b"\x12\x1a\x22\x28\x32\x3a\x42\x72"
NO_GRAPH = (
    "a graph for inference, without the parts that training needs; expected the weights alone. Where the "
    "model was trained, write its state dict: torch.save(network.state_dict(), 'weights.pth')"
)
AGAIN = "Download or copy it again"
EXPECTED = "expected a .safetensors file, or a file that torch.save wrote of a state dict"


def unreadable(path: Path, what: str) -> InputError:
    """Return the error for a file that holds no weights; `what` says why and what to do."""
    return InputError(f"{path}: cannot be read as weights: {what}")


def weights_format(path: Path) -> Format:
    """Return how a file of weights stores them, found from its content.

    Raises:
        InputError: the file is missing, empty, cut off, or of a kind that holds no weights. The message says
            which, and what to do.
    """
    if path.is_dir():
        raise unreadable(path, "it is a folder; expected a file")
    if not path.is_file():
        raise InputError(f"{path}: there is no such file")
    try:
        with path.open("rb") as file:
            head = file.read(HEAD)
    except OSError as error:
        raise unreadable(path, f"{error.strerror}") from error
    if head.startswith(b"PK"):
        return _format_of_zip(path)
    if head.startswith(b"\x80"):
        return "torch" if head[2:].startswith(OLD_TORCH) else "pickle"
    # Of a text, these bytes are a far greater number.
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") < LONGEST_HEADER:
        _check_length(path, int.from_bytes(head[:8], "little"))
        return "safetensors"
    raise unreadable(path, _what_else(head, path.suffix))


def _format_of_zip(path: Path) -> Format:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError) as error:
        raise unreadable(path, f"it is damaged or cut off. {AGAIN}") from error
    files = {name.rpartition("/")[2] for name in names}
    if "constants.pkl" in files:
        raise unreadable(
            path,
            "it is a TorchScript archive, a program with its weights; expected the weights alone. If you "
            f"trust the file, write them with: python -c \"import torch; torch.save(torch.jit.load('{path}', "
            "map_location='cpu').state_dict(), 'weights.pth')\"",
        )
    if "data.pkl" in files:
        return "torch"
    if "archive_format" in files:
        raise unreadable(path, f"it is a file of torch.export, {NO_GRAPH}")
    if files and all(name.endswith(".npy") for name in files):
        raise unreadable(path, f"it holds arrays of numpy; {EXPECTED}")
    raise unreadable(path, f"it is a zip archive that torch.save did not write; unpack it; {EXPECTED}")


def _check_length(path: Path, header: int) -> None:
    """Check that a safetensors file has as many bytes as its header says; `header` is the header's length."""
    found = path.stat().st_size
    expected = 8 + header
    if expected <= found:
        try:
            with path.open("rb") as file:
                file.seek(8)
                tensors = json.loads(file.read(header))
            ends = [of["data_offsets"][1] for name, of in tensors.items() if name != "__metadata__"]
            expected += max(ends, default=0)
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            raise unreadable(path, f"the header of this safetensors file is damaged. {AGAIN}") from error
    if expected != found:
        raise unreadable(
            path, f"it is damaged or cut off: it has {found} bytes, its header asks for {expected}. {AGAIN}"
        )


def _what_else(head: bytes, suffix: str) -> str:
    """Return what a file is that holds no weights, and what to do; `head` are its first bytes."""
    if not head:
        return f"it is empty (0 bytes). {AGAIN}"
    if suffix.lower() == ".onnx" or (head.startswith(ONNX_VERSION) and head[2:3] in ONNX_FIELDS):
        return f"it is an ONNX file, {NO_GRAPH}"
    if head.startswith(b"version https://git-lfs"):
        return (
            "it is a pointer of Git LFS, which stands for a file that was not fetched. Run `git lfs pull` "
            "where it was cloned, or download the file itself"
        )
    if head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
        return (
            "it is a web page (HTML), such as the page about a download, or a message that the download "
            "failed. Open it in a browser to see which, and download the file itself"
        )
    for magic, kind in ARCHIVES.items():
        if head.startswith(magic):
            return f"it is a {kind} archive; unpack it, and give the weights file in it"
    if head[257:262] == b"ustar":
        return "it is a tar archive; unpack it, and give the weights file in it"
    for magic, kind in OTHERS.items():
        if head.startswith(magic):
            return f"it is {kind}; {EXPECTED}"
    text = head.decode("ascii", errors="replace")
    if text.isascii() and all(letter.isprintable() or letter in "\t\r\n" for letter in text):
        return f"it is a text that begins with {text.split(chr(10))[0][:60].strip()!r}; {EXPECTED}"
    return f"it is of an unknown kind, or damaged; {EXPECTED}"
