"""Files of every kind in a finished run, cut off or with a page of zeros: `verify` names each of them."""

import shutil
from pathlib import Path

import pytest

from cotrain.errors import InputError
from tests.workflow.conftest import Run, finished_run  # noqa: F401 (a fixture)
from workflow_scripts import verify

PAGE = 4096


def cut(content: bytes) -> bytes:
    """The first half: a copy that broke off."""
    return content[: len(content) // 2]


def zeroed(content: bytes) -> bytes:
    """A page, or the middle of a small file, as a broken disk gives it back."""
    start = min(PAGE, len(content) // 3)
    length = min(PAGE, max(1, len(content) // 3))
    zeros = bytes(length)
    if content[start : start + length] == zeros:
        # The palette of a small picture may hold as many.
        zeros = b"\xff" * length
    return content[:start] + zeros + content[start + length :]


def one_of_each_kind(folder: Path) -> list[Path]:
    """The first file of each name and suffix that holds more than a few bytes."""
    found: dict[str, Path] = {}
    for part in ("results", "state"):
        for path in sorted((folder / part).rglob("*")):
            if path.is_file() and "logs" not in path.parts and path.stat().st_size > 20:
                kind = f"{path.parent.name}{path.suffix}" if path.suffix == ".png" else path.name
                found.setdefault(kind, path)
    return list(found.values())


def test_every_torn_file_is_named(
    finished_run: Run,  # noqa: F811
    tmp_path: Path,
    capfd: pytest.CaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = tmp_path / "run"
    shutil.copytree(finished_run.folder, folder)
    monkeypatch.chdir(folder)
    verify.main(["results/tiny"])
    files = one_of_each_kind(folder)
    unseen = []
    for path in files:
        content = path.read_bytes()
        for tear in (cut, zeroed):
            path.write_bytes(tear(content))
            capfd.readouterr()
            try:
                verify.main(["results/tiny"])
                unseen.append(f"{path.relative_to(folder)}, {tear.__name__}")
            except InputError:
                said = capfd.readouterr().err
                assert str(path.relative_to(folder)) in said, (path, tear.__name__, said)
                assert "Traceback" not in said
        path.write_bytes(content)
    print(f"{len(files)} kinds of files torn in two ways, unseen: {unseen}")
    # Text has no form, a file of lines may break off at the end of one, and JPEG has no checksum.
    formless = (".txt, cut", ".txt, zeroed", ".md, cut", ".md, zeroed", ".html, cut", ".html, zeroed")
    assert all(name.endswith((*formless, ".jsonl, cut", ".jpg, zeroed")) for name in unseen), unseen
