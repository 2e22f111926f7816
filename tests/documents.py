"""The documents, and what they print in blocks: commands, YAML."""

import re
import shlex
from pathlib import Path
from typing import NamedTuple

PROJECT = Path(__file__).parents[1]
# Those that tell a reader what to do.
GUIDES = [PROJECT / "README.md", PROJECT / "CONTRIBUTING.md", PROJECT / "config" / "README.md"]
GUIDES += sorted((PROJECT / "docs").rglob("*.md"))
# A block may stand in an item of a list, indented. Of an example of Markdown, only the whole counts.
BLOCK = re.compile(r"^( *)(```+)(\S*)\n(.*?)^\1\2$", re.MULTILINE | re.DOTALL)


class Printed(NamedTuple):
    """A command or a text that a document prints, and where."""

    place: str
    text: str


def blocks(document: Path, *languages: str) -> list[Printed]:
    """Return the blocks of a document in one of `languages`, without their indentation."""
    text = document.read_text(encoding="utf-8")
    found = []
    for match in BLOCK.finditer(text):
        indent, _, language, content = match.groups()
        if language in languages:
            line = text.count("\n", 0, match.start()) + 2
            place = f"{document.relative_to(PROJECT)}:{line}"
            found.append(Printed(place, re.sub(f"^{indent}", "", content, flags=re.MULTILINE)))
    return found


def commands(document: Path) -> list[Printed]:
    """Return the commands of a document's blocks one by one, each in one line, without comments."""
    found = []
    for place, text in blocks(document, "console", "bash", "sh", "shell"):
        for line in text.replace("\\\n", " ").splitlines():
            # `#` begins a comment where a shell sees one: behind a space, outside of quotes.
            words = shlex.shlex(line, posix=False, punctuation_chars="&|;")
            words.whitespace_split, words.commenters = True, ""
            command: list[str] = []
            for word in [*words, "&&"]:
                if word.startswith("#"):
                    break
                if word in ("&&", "||", "|", ";"):
                    found += [Printed(place, " ".join(command))] if command else []
                    command = []
                else:
                    command.append(word)
            else:
                continue
            found += [Printed(place, " ".join(command))] if command else []
    return found
