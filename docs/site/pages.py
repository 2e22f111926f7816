"""From documents that a forge shows to pages of the site: sections, links, anchors, lists, formulas.

A forge reads CommonMark. The site's generator reads Python-Markdown, whose lists are indented by four spaces and
whose anchors differ. So the documents stay as they are, and what differs is changed here.
"""

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

PROJECT = Path(__file__).parents[2]
FENCE = re.compile(r"^ *(`{3,})")
HEADING = re.compile(r"^(#+) (.+?)$")
ITEM = re.compile(r"^( *)([-*]|\d+\.)( +)(?=\S)")
LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\]]*\]|`[^`]*`)*)\]\(([^)\s]+)\)")
FORMULA = re.compile(r"^\$\$(.+?)\$\$$", re.MULTILINE | re.DOTALL)


class SiteError(Exception):
    """A document does not fit the site; the message says what to change."""


class Section(NamedTuple):
    """A heading and the text up to the next heading of any level."""

    level: int
    title: str
    text: str


def anchor_of(heading: str) -> str:
    """Return the anchor that a forge makes of a heading."""
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
    return re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")


def by_lines(text: str, change: Callable[[str], str]) -> str:
    """Return `text` with each line outside of code blocks changed."""
    lines, fence = [], ""
    for line in text.split("\n"):
        match = FENCE.match(line)
        if fence:
            lines.append(line)
            fence = "" if match and match[1] == fence else fence
        else:
            fence = match[1] if match else ""
            lines.append(line if match else change(line))
    return "\n".join(lines)


def sections(text: str) -> list[Section]:
    """Return the sections of a document in their order."""
    found: list[Section] = []
    lines: list[str] = []

    def split(line: str) -> str:
        match = HEADING.match(line)
        # No document holds this character; it marks where a section begins.
        return f"\0{line}" if match else line

    for part in by_lines(text, split).split("\0")[1:]:
        heading, _, rest = part.partition("\n")
        match = HEADING.match(heading)
        assert match
        found.append(Section(len(match[1]), match[2], rest))
        lines.clear()
    return found


def anchors(text: str) -> set[str]:
    """Return the anchors of all headings of a document."""
    return {anchor_of(section.title) for section in sections(text)}


def with_anchors(text: str) -> str:
    """Give each heading the anchor that it has on a forge."""
    return by_lines(
        text, lambda line: f"{line} {{ #{anchor_of(match[2])} }}" if (match := HEADING.match(line)) else line
    )


def with_links(text: str, document: Path, page_of: Callable[[Path, str], str | None]) -> str:
    """Let links lead to pages of the site.

    `page_of(path, anchor)` names the page that shows a file of the project, None if no page does; of such a link
    only the text is left, because the site does not know where a reader has the repository.
    """

    def change(match: re.Match[str]) -> str:
        mark, label, target = match.groups()
        if re.match(r"[a-z]+:", target):
            return match[0]
        name, _, anchor = target.partition("#")
        path = Path(os.path.normpath(document.parent / name)) if name else document
        page = page_of(path, anchor)
        return f"{mark}[{with_inner(label)}]({page})" if page else with_inner(label)

    def with_inner(label: str) -> str:
        return LINK.sub(change, label)

    return by_lines(text, lambda line: LINK.sub(change, line)) if "](" in text else text


def joined_links(text: str) -> str:
    """Put each link on one line: a label may be broken between two."""
    return re.sub(r"\[[^\[\]`]*\n[^\[\]`]*\]\(", lambda match: re.sub(r"\n *", " ", match[0]), text)


def with_wide_lists(text: str) -> str:
    """Indent what belongs to an item of a list by four spaces for each level, and part lists from paragraphs."""
    lines: list[str] = []
    # Columns at which the text of the items begins, from the outermost.
    levels: list[int] = []
    fence = ""
    for line in text.split("\n"):
        indent = len(line) - len(line.lstrip())
        item = None if fence else ITEM.match(line)
        if line.strip() and not fence:
            # A line of a paragraph may go on at the margin; in these documents none does.
            while levels and indent < levels[-1]:
                levels.pop()
        depth, shift = len(levels), indent - (levels[-1] if levels else 0)
        if item:
            # Two items of one list stand on lines of one depth.
            before = lines[-1].strip() if lines else ""
            if before and not ITEM.match(lines[-1]) and not _in_list(lines[-1]):
                lines.append("")
            number = f"{item[2]} ".ljust(4)
            lines.append(" " * 4 * depth + number + line[item.end() :])
            levels.append(item.end())
        elif line.strip():
            lines.append(" " * (4 * depth + max(shift, 0)) + line.lstrip())
        else:
            lines.append("")
        match = FENCE.match(line)
        if match:
            fence = "" if fence == match[1] else fence or match[1]
    return "\n".join(lines)


def _in_list(line: str) -> bool:
    return line.startswith("    ")


def with_formulas(text: str) -> str:
    """Replace formulas by MathML, which browsers show without a script."""
    from latex2mathml.converter import convert

    def change(match: re.Match[str]) -> str:
        # The class name is that of Python-Markdown's extension, which the style sheet knows.
        return f'<div class="formula">{convert(" ".join(match[1].split()), display="block")}</div>'

    return FORMULA.sub(change, text)


def without_contents(text: str) -> str:
    """Leave out a paragraph that lists the sections: the site shows them beside each page."""
    return re.sub(r"^Contents: .*?\n\n", "", text, flags=re.MULTILINE | re.DOTALL)
