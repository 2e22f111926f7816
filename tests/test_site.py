"""The site of the documentation (`make docs`)."""

import ast
import re

import pytest

from docs.site.build import Site, faults_of, help_of, pages_of_python, prose
from docs.site.pages import PROJECT, sections, with_anchors, with_links, with_wide_lists, without_contents


def test_the_site_is_built_strictly(tmp_path):
    """No link is dead, and no page loads anything from another host; `build` refuses both."""
    pytest.importorskip("zensical")
    from docs.site.build import build

    number = build(tmp_path, tmp_path / "built")
    assert number > 40
    text = (tmp_path / "built" / "method.html").read_text()
    # Formulas are shown without a script.
    assert text.count("<math") == (PROJECT / "docs" / "method.md").read_text().count("$$") // 2
    assert "hard_pixel_share" in text
    assert '<h2 id="scores">' in (tmp_path / "built" / "own_data.html").read_text()


def test_every_document_and_every_section_has_a_page():
    site = Site()
    pages = [page for pages in site.navigation.values() for page in pages]
    assert len(pages) == len({*pages})
    assert {path.stem for path in (PROJECT / "docs").glob("*.md")} <= {*pages}
    # Each section of README.md is shown once, but for the list of documents.
    shown = [section.title for parts in site.of_readme.values() for section in parts]
    titles = [section.title for section in sections((PROJECT / "README.md").read_text())]
    assert sorted([*shown, "Documentation"]) == sorted(titles)
    assert site.page_of(PROJECT / "README.md", "scores") == "own_data.md#scores"
    assert site.page_of(PROJECT / "Snakefile", "") is None


@pytest.mark.parametrize(
    ("page", "fault"),
    [
        ('<script src="https://elsewhere/a.js"></script>', "loads https://elsewhere/a.js"),
        ('<link rel="stylesheet" href="//elsewhere/a.css">', "loads //elsewhere/a.css"),
        ('<img srcset="a.png 1x, http://elsewhere/b.png 2x">', "loads http://elsewhere/b.png"),
        ('<a href="b.html">', "b.html leads nowhere"),
        ('<a href="a.html#here">', "a.html#here names an anchor"),
        ('<img src="images/a.png">', "images/a.png leads nowhere"),
        ('<a href="https://elsewhere/">', None),
        ('<h2 id="here"></h2><a href="#here"><a href="folder/c.html#there">', None),
    ],
)
def test_faults_of_a_site_are_found(tmp_path, page, fault):
    (tmp_path / "folder").mkdir()
    (tmp_path / "a.html").write_text(page)
    (tmp_path / "a.png").touch()
    (tmp_path / "folder" / "c.html").write_text('<p id="there"><a href="../a.html">')
    found = faults_of(tmp_path)
    assert any(fault in text for text in found) if fault else not found


def test_style_sheets_load_nothing_from_elsewhere(tmp_path):
    text = "@import 'https://elsewhere/font.css'; p {background: url(//elsewhere/b.png)}"
    (tmp_path / "a.css").write_text(text)
    assert len(faults_of(tmp_path)) == 2


def test_lists_get_the_indentation_that_the_generator_reads():
    text = "Two:\n- a\n  goes on\n\n  - b\n- c\n"
    assert with_wide_lists(text) == "Two:\n\n-   a\n    goes on\n\n    -   b\n-   c\n"
    text = "1. d\n\n   ```yaml\n   e: 1\n   - f\n   ```\n\nEnd\n"
    assert with_wide_lists(text) == "1.  d\n\n    ```yaml\n    e: 1\n    - f\n    ```\n\nEnd\n"


def test_links_lead_to_pages_and_headings_have_the_anchors_of_a_forge():
    def page_of(path, anchor):
        return f"page.md#{anchor}" if path.name == "method.md" else None

    text = "[a](method.md#7-x) [`docs/method.md`](method.md) [`b`](../Snakefile) <x> [c](https://d/e)\n```\n[a](method.md)\n```"
    expected = "[a](page.md#7-x) [The method](page.md#) `b` <x> [c](https://d/e)\n```\n[a](method.md)\n```"
    assert with_links(text, PROJECT / "docs" / "a.md", page_of, {"page": "The method"}.get) == expected
    assert with_anchors("## 3.1 A `b`, c & d\n") == "## 3.1 A `b`, c & d { #31-a-b-c--d }\n"
    assert without_contents("# A\n\nContents: [b](#b) ·\n[c](#c)\n\n## B\n") == "# A\n\n## B\n"


def test_references_are_made_from_the_code():
    text = help_of("thresholds")
    assert "| `--portion " in text
    assert "```console\npython -m workflow_scripts.thresholds" in text
    assert "### `read_label`" in pages_of_python()["python_data"]
    docstring = "Return x*.\n\nin:  a <file>\n\nArgs:\n    name: what `a*b` is."
    expected = "Return x\\*.\n\n\n**in**: a \\<file>\n\nArgs:\n\n- **name**: what `a*b` is.\n"
    assert prose(docstring) == expected


def strings_of_the_code():
    """Return all texts of the code; where a value is filled in stands an ellipsis."""
    texts = []
    for folder in ("cotrain", "workflow_scripts", "rules"):
        for path in (PROJECT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.JoinedStr):
                    parts = [part.value if isinstance(part, ast.Constant) else "…" for part in node.values]
                    texts.append("".join(map(str, parts)))
                elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                    texts.append(node.value)
    texts.append((PROJECT / "Snakefile").read_text())
    return texts


def test_the_messages_of_the_troubleshooting_page_are_those_of_the_code():
    text = (PROJECT / "docs" / "troubleshooting.md").read_text()
    cells = [line.split("|")[1] for line in text.splitlines() if line.startswith("|")]
    messages = [message for cell in cells for message in re.findall(r"`([^`]+)`", cell)]
    assert len(messages) > 30
    code = strings_of_the_code()
    missing = [
        message
        for message in messages
        if not all(any(part.strip() in text for text in code) for part in message.split("…"))
    ]
    assert not missing
