"""From documents that a forge shows to pages of the site: sections, links, anchors, lists, formulas.

A forge reads CommonMark. The site's generator reads Python-Markdown, whose lists are indented by four spaces
and whose anchors differ. So the documents stay as they are, and what differs is changed here.
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
LINK = re.compile(r"(!?)\[([^\[\]]*)\]\(([^)\s]+)\)")
FORMULA = re.compile(r"^( *)\$\$(.+?)\$\$$", re.MULTILINE | re.DOTALL)
# Tables that say of each key or flag what it means.
KEYS = re.compile(r"^\| (?:key|flag|step) \|.*\n(?:\|.*\n)+", re.MULTILINE)


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
    found = []
    # No document holds this character; it marks where a section begins.
    marked = by_lines(text, lambda line: f"\0{line}" if HEADING.match(line) else line)
    for part in marked.split("\0")[1:]:
        heading, _, rest = part.partition("\n")
        marks, _, title = heading.partition(" ")
        found.append(Section(len(marks), title, rest))
    return found


def with_anchors(text: str) -> str:
    """Give each heading the anchor that it has on a forge."""
    return by_lines(
        text, lambda line: f"{line} {{ #{anchor_of(match[2])} }}" if (match := HEADING.match(line)) else line
    )


def with_links(
    text: str,
    document: Path,
    page_of: Callable[[Path, str], str | None],
    title_of: Callable[[str], str],
) -> str:
    """Let links lead to pages of the site.

    `page_of(path, anchor)` names the page that shows a file of the project, None if no page does; of such a
    link only the text is left, because the site does not know where a reader has the repository. A link that
    has the name of a document as its text gets the title of the page, `title_of(page)`.
    """

    def change(match: re.Match[str]) -> str:
        mark, label, target = match.groups()
        if re.match(r"[a-z]+:", target):
            return match[0]
        name, _, anchor = target.partition("#")
        path = Path(os.path.normpath(document.parent / name)) if name else document
        page = page_of(path, anchor)
        if page and label.strip("`").endswith(".md"):
            label = title_of(page.partition(".")[0])
        return f"{mark}[{label}]({page})" if page else label

    return by_lines(text, lambda line: LINK.sub(change, line))


def joined_links(text: str) -> str:
    """Put each link on one line: a label may be broken between two."""
    return re.sub(r"\[[^\[\]`]*\n[^\[\]`]*\]\(", lambda match: re.sub(r"\n *", " ", match[0]), text)


def with_wide_lists(text: str) -> str:
    """Indent what belongs to an item of a list by four spaces a level, and part lists from paragraphs."""
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
        margin, inside = " " * 4 * len(levels), indent - (levels[-1] if levels else 0)
        if item:
            # Between a paragraph and a list stands an empty line; within a list none has to.
            is_in_list = lines and (ITEM.match(lines[-1]) or lines[-1].startswith("    "))
            if lines and lines[-1] and not is_in_list:
                lines.append("")
            lines.append(margin + f"{item[2]} ".ljust(4) + line[item.end() :])
            levels.append(item.end())
        else:
            lines.append(margin + " " * max(inside, 0) + line.lstrip() if line.strip() else "")
        if match := FENCE.match(line):
            fence = "" if fence == match[1] else fence or match[1]
    return "\n".join(lines)


def with_formulas(text: str) -> str:
    """Replace formulas by MathML, which browsers show without a script."""
    from latex2mathml.converter import convert

    def change(match: re.Match[str]) -> str:
        # The converter would show the backslash before `_`, and browsers do not know its width of a `!`.
        formula = " ".join(match[2].split()).replace(r"\_", "_").replace(r"\!", "")
        return f'{match[1]}<span class="formula">{convert(formula, display="block")}</span>'

    return FORMULA.sub(change, text)


def without_contents(text: str) -> str:
    """Leave out a paragraph that lists the sections: the site shows them beside each page."""
    return re.sub(r"^Contents: .*?\n\n", "", text, flags=re.MULTILINE | re.DOTALL)


def with_marked_keys(text: str) -> str:
    """Mark the tables of keys and flags, which the style sheet shows as a list on a narrow screen."""
    return KEYS.sub(lambda match: f'<div class="keys" markdown>\n\n{match[0]}\n</div>\n', text)
