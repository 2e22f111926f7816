"""Damage to the bytes of a valid file, drawn with a generator: the same seed gives the same damage."""

import contextlib
import copy
import io
import json
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

PAGE = 4096
# Numbers that sizes, counts and offsets in headers like to be.
NASTY_NUMBERS = (
    0,
    1,
    0x7F,
    0x80,
    0xFF,
    0x7FFF,
    0xFFFF,
    0x7FFFFFFF,
    0x80000000,
    0xFFFFFFFF,
    2**63 - 1,
    2**64 - 1,
)
# What text formats like to choke on.
NASTY_TEXTS = (
    *(
        b"NaN",
        b"-1",
        b"1e999",
        b"1.7",
        b"true",
        b"null",
        b"{}",
        b"[]",
        b'""',
        b"\t",
        b"\n",
        b"\r",
        b"\0",
        b"\xff",
    ),
    *(
        b"../../ESC",
        b"/ESC",
        b"..",
        b"\\udcff",
        b'"\\u0000"',
        b"1" + b"0" * 320,
        b"1" + b"0" * 5000,
        b"[" * 3000,
    ),
    *(b"{", b"}", b"&a [*a]", b"!!binary x", b"!!timestamp x", b"2001-99-99", b"1:2:3", b"<<: 1", b"a" * 300),
)
NASTY_VALUES: tuple[Any, ...] = (
    *(
        None,
        True,
        -1,
        0,
        1.7,
        2,
        1e308,
        float("nan"),
        float("inf"),
        10**320,
        2**63,
        "",
        "a\n",
        "x",
        [],
        {},
        [[]],
    ),
    *({"a": 1}, [1, 2, 3], [-1, 300, 0], [None], "\udcff"),
)


def damaged(name: str, content: bytes, random: Random) -> bytes:
    """Return the content of a file with damage: to its bytes, or in a form that its checksums do not show."""
    structural = STRUCTURAL.get(name.rpartition(".")[2])
    return structural(content, random) if structural and random.random() < 0.5 else mutated(content, random)


def mutated(content: bytes, random: Random) -> bytes:
    """Return `content` with one to four kinds of damage."""
    data = bytearray(content)
    for _ in range(random.choice((1, 1, 1, 2, 3, 4))):
        random.choice(KINDS)(data, random)
    return bytes(data)


def _place(data: bytearray, random: Random) -> int:
    # Headers matter most, and they are at the ends.
    size = max(len(data), 1)
    reach = random.choice((64, 512, size))
    place = random.randrange(min(reach, size))
    return place if random.random() < 0.7 else size - 1 - place


def flip(data: bytearray, random: Random) -> None:
    for _ in range(random.choice((1, 1, 2, 8, 64))):
        if data:
            data[_place(data, random)] ^= 1 << random.randrange(8)


def overwrite(data: bytearray, random: Random) -> None:
    place = _place(data, random)
    data[place : place + 4] = random.randbytes(random.choice((1, 2, 4, 16)))


def cut_off(data: bytearray, random: Random) -> None:
    del data[_place(data, random) :]


def cut_out(data: bytearray, random: Random) -> None:
    place = _place(data, random)
    del data[place : place + random.choice((1, 4, 100, PAGE))]


def insert(data: bytearray, random: Random) -> None:
    place = _place(data, random)
    data[place:place] = random.randbytes(random.choice((1, 4, 100)))


def insert_text(data: bytearray, random: Random) -> None:
    place = _place(data, random)
    data[place : place + random.choice((0, 1, 2, 5))] = random.choice(NASTY_TEXTS)


def repeat(data: bytearray, random: Random) -> None:
    start, place = _place(data, random), _place(data, random)
    data[place:place] = data[start : start + random.choice((1, 8, 200, PAGE))]


def swap(data: bytearray, random: Random) -> None:
    first, second, size = _place(data, random), _place(data, random), random.choice((1, 4, 64))
    a, b = data[first : first + size], data[second : second + size]
    data[first : first + size], data[second : second + size] = b, a


def zero_page(data: bytearray, random: Random) -> None:
    place = _place(data, random) // PAGE * PAGE
    end = min(place + PAGE, len(data))
    data[place:end] = bytes(end - place)


def write_number(data: bytearray, random: Random) -> None:
    place, number = _place(data, random), random.choice(NASTY_NUMBERS)
    size, letter = random.choice(((1, "B"), (2, "H"), (4, "I"), (8, "Q")))
    order = random.choice("<>")
    data[place : place + size] = struct.pack(order + letter, number & (256**size - 1))


KINDS = (
    flip,
    overwrite,
    cut_off,
    cut_out,
    insert,
    insert_text,
    repeat,
    swap,
    zero_page,
    write_number,
)


def png_with_right_checksums(content: bytes, random: Random) -> bytes:
    """Damage the chunks of a PNG, and give each the checksum of its new content."""
    chunks, place = [], 8
    while place < len(content):
        size = int.from_bytes(content[place : place + 4], "big")
        chunks.append((content[place + 4 : place + 8], content[place + 8 : place + 8 + size]))
        place += 12 + size
    for _ in range(random.choice((1, 1, 2))):
        index = random.randrange(len(chunks))
        kind, data = chunks[index]
        match random.randrange(6):
            case 0:
                chunks.insert(random.randrange(len(chunks)), chunks[index])
            case 1:
                del chunks[index]
                chunks = chunks or [(b"IEND", b"")]
            case 2 if kind == b"IDAT":
                # What the pixels are compressed from.
                with contextlib.suppress(zlib.error):
                    pixels = zlib.decompressobj().decompress(data)
                    chunks[index] = (kind, zlib.compress(mutated(pixels, random)))
            case 3 if kind == b"IHDR":
                side = struct.pack(">I", random.choice(NASTY_NUMBERS) & 0xFFFFFFFF)
                chunks[index] = (
                    kind,
                    side + data[4:] if random.random() < 0.5 else data[:4] + side + data[8:],
                )
            case _:
                chunks[index] = (kind, mutated(data, random))
    return content[:8] + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )


def repacked_archive(content: bytes, random: Random) -> bytes:
    """Damage the files in a zip archive, which then has their right checksums."""
    memory = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(content)) as old,
        zipfile.ZipFile(memory, "w", zipfile.ZIP_DEFLATED) as new,
    ):
        names = old.namelist()
        hit = random.choice(names)
        for name in names:
            data = old.read(name)
            renamed = random.choice((hit + "x", "../" + hit, ".", hit, hit, hit, hit))
            new.writestr(renamed if name == hit else name, mutated(data, random) if name == hit else data)
    return memory.getvalue()


def changed_json(content: bytes, random: Random) -> bytes:
    """Replace values of a JSON file, remove some, give some twice."""
    tree = json.loads(content)
    for _ in range(random.choice((1, 1, 2, 4))):
        places = list(_places(tree))
        if not places:
            break
        holder, key = random.choice(places)
        match random.randrange(4):
            case 0:
                del holder[key]
            case 1:
                holder[key] = [holder[key]]
            case 2 if isinstance(holder, dict):
                holder[random.choice(("", "a\tb", "x", "../y", "\udcff"))] = holder[key]
            case _:
                holder[key] = copy.deepcopy(random.choice(NASTY_VALUES))
    return json.dumps(tree).encode()


def _places(tree: Any) -> Iterator[tuple[Any, Any]]:
    pairs = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in list(pairs):
        yield tree, key
        yield from _places(value)


STRUCTURAL: dict[str, Callable[[bytes, Random], bytes]] = {
    "png": png_with_right_checksums,
    "npz": repacked_archive,
    "json": changed_json,
}
