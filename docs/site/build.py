"""Build the site of the documentation: `make docs`.

The pages are made from README.md, docs, config/README.md and the code, below build/site. Then Zensical makes
the site of them, and every link and address in it is checked. Nothing is loaded from the network, neither now
nor by a reader's browser.
"""

import argparse
import ast
import re
import shutil
import subprocess
import sys
from contextlib import suppress
from html.parser import HTMLParser
from importlib import import_module
from pathlib import Path
from unittest.mock import patch
from urllib.parse import unquote

import yaml

from docs.site.pages import (
    PROJECT,
    Section,
    SiteError,
    anchor_of,
    joined_links,
    sections,
    with_anchors,
    with_formulas,
    with_links,
    with_marked_keys,
    with_wide_lists,
    without_contents,
)
from workflow_scripts.__main__ import GROUPS, summary

HERE = Path(__file__).parent
README = PROJECT / "README.md"

# Where each section of README.md is shown. A section that is named nowhere goes where the one above it goes.
OF_README = {
    "cotrain": "index",
    "Try it": "index",
    "Your own camera": "own_data",
    "What it does": "index",
    "Requirements": "index",
    "A run": "run",
    "Is it any good?": "run",
    "Scores": "own_data",
    "A configuration by hand": "own_data",
    "Published datasets": "own_data",
    "A real run": "own_data",
    "Using a model": "using_a_model",
    "Targets": "run",
    "On a cluster": "run",
    "Interrupted?": "run",
    "Every step by hand": "steps",
    "Five files to read first": "contributing",
    # The site's navigation takes its place.
    "Documentation": "",
    "Citation": "index",
    "Licence": "index",
}
# The navigation: pages by their names, in the order in which a reader needs them.
NAVIGATION = {
    "Start": ["index"],
    "Guides": [
        *("own_data", "run", "read_the_report", "using_a_model", "more_photos", "own_model", "networks"),
        *(
            "resume_and_clean_up",
            "reproduce_the_paper",
            "clusters",
            "cloud",
            "utilities",
            "troubleshooting",
            "faq",
        ),
    ],
    "Explanation": ["method", "architecture", "reliability"],
    "Reference": ["configuration", "steps", "python"],
    "Results": ["results", "what_was_tried", "performance"],
    "Project": ["contributing", "changelog", "security"],
}
# Documents that are not in docs, or have another name there than on the site.
ELSEWHERE = {
    "configuration": "config/README.md",
    "contributing": "CONTRIBUTING.md",
    "changelog": "CHANGELOG.md",
    "security": "SECURITY.md",
}
# Pages that are made of sections of README.md, or from the code, and have no document.
TITLES = {
    "index": "Start",
    "own_data": "Own data",
    "run": "A run",
    "using_a_model": "Using a model",
    "steps": "Steps",
    "python": "Python",
}
PACKAGES = {
    "networks": "Networks and finished models",
    "data": "Data: images, labels, manifests",
    "adaptation": "The method's steps",
    "training": "Training",
    "evaluation": "Scores",
    "configuration": "Configuration",
    "reporting": "Tables and pictures",
}


class Site:
    """Which document is shown on which page."""

    def __init__(self) -> None:
        self.documents = {page: PROJECT / path for page, path in ELSEWHERE.items()}
        self.documents |= {path.stem: path for path in sorted((PROJECT / "docs").glob("*.md"))}
        named = [page for pages in NAVIGATION.values() for page in pages]
        missing = [page for page in named if page not in self.documents and page not in TITLES]
        if missing:
            raise SiteError(f"docs/site/build.py: NAVIGATION names {missing}, which no document is")
        # A new guide is shown without being named; naming it gives it another place.
        new = [page for page in self.documents if page not in named]
        self.navigation = NAVIGATION | {"Guides": [*NAVIGATION["Guides"], *new]}
        self.of_readme: dict[str, list[Section]] = {}
        self.page_of_anchor: dict[str, str] = {}
        place = ""
        for section in sections(README.read_text(encoding="utf-8")):
            if section.level <= 2 and section.title not in OF_README:
                raise SiteError(
                    f"README.md: {section.title!r} has no place in OF_README of docs/site/build.py"
                )
            place = OF_README.get(section.title, place)
            self.page_of_anchor[anchor_of(section.title)] = place or "index"
            if place:
                self.of_readme.setdefault(place, []).append(section)

    def page_of(self, path: Path, anchor: str) -> str | None:
        """Return the page that shows a file of the project, with the anchor in it; None if none does."""
        hash_and_anchor = f"#{anchor}" if anchor else ""
        if path == README:
            page = self.page_of_anchor.get(anchor, "index")
            return f"{page}.md{hash_and_anchor}"
        for page, document in self.documents.items():
            if path == document:
                return f"{page}.md{hash_and_anchor}"
        if path.parent == PROJECT / "docs" / "images":
            return f"images/{path.name}"
        return None

    def title(self, page: str) -> str:
        """Return the title of a page: that of its document, if it has one."""
        if page in self.documents:
            return sections(self.documents[page].read_text(encoding="utf-8"))[0].title
        return TITLES[page]

    def where_next(self) -> str:
        """Return a table of all pages, for the first page."""
        rows = [
            f"| **{group}** | {' · '.join(f'[{self.title(page)}]({page}.md)' for page in pages)} |"
            for group, pages in self.navigation.items()
            if group != "Start"
        ]
        return "\n".join(["## Where next\n", "| | |", "|---|---|", *rows]) + "\n"

    def text_of(self, text: str, document: Path) -> str:
        """Return a document's text as the generator reads it."""
        text = with_links(joined_links(text), document, self.page_of, self.title)
        return with_formulas(with_wide_lists(with_anchors(without_contents(text))))

    def page(self, name: str) -> str:
        """Return the text of a page: a document, sections of README.md, or both."""
        parts = []
        if document := self.documents.get(name):
            parts.append(self.text_of(document.read_text(encoding="utf-8"), document))
        elif name != "index":
            parts.append(f"# {TITLES[name]}\n")
        for section in self.of_readme.get(name, []):
            # On a page of its own, a subsection has nothing above it.
            level = 1 if section.level == 1 else 2 if section.title in OF_README else section.level
            parts.append(self.text_of(f"{'#' * level} {section.title}\n{section.text}", README))
        return "\n".join(parts)


def escaped(text: str) -> str:
    """Return plain text as Markdown: what stands outside of code and looks like markup is shown as it is."""
    parts = re.split(r"(`[^`]*`)", text)
    parts[::2] = [re.sub(r"([\\<*_\[\]|])", r"\\\1", part) for part in parts[::2]]
    return "".join(parts)


def prose(docstring: str | None) -> str:
    """Return a docstring as Markdown: what is indented below `Args:` or follows `in:` becomes a list."""
    lines: list[str] = []
    for line in escaped(docstring or "").split("\n"):
        if match := re.match(r"    (\S+): (.*)", line):
            lines += [f"- **{match[1]}**: {match[2]}"]
        elif match := re.match(r"(in|out): +(.*)", line):
            lines += ["", f"**{match[1]}**: {match[2]}"]
        elif re.match(r"[A-Z]\w+:$", line):
            lines += [line, ""]
        else:
            lines.append(line.strip())
    return "\n".join(lines) + "\n"


def parser_of(step: str) -> argparse.ArgumentParser:
    """Return the parser of a step's command line."""
    found: list[argparse.ArgumentParser] = []

    def keep(parser: argparse.ArgumentParser, *arguments: object) -> None:
        found.append(parser)
        raise SystemExit

    with patch.object(argparse.ArgumentParser, "parse_args", keep), suppress(SystemExit):
        import_module(f"workflow_scripts.{step}").main([])
    return found[0]


def help_of(step: str) -> str:
    """Return what `--help` of a step says, as Markdown: text, a table of the flags, examples."""
    parser = parser_of(step)
    formatter = parser.formatter_class(parser.prog)
    rows = ["| flag | meaning |", "|---|---|"]
    for action in parser._actions:
        if "--help" in action.option_strings:
            continue
        metavar = formatter._format_args(action, formatter._get_default_metavar_for_optional(action))
        flag = f"{action.option_strings[-1]} {metavar}" if action.option_strings else metavar
        words = escaped(" ".join(formatter._expand_help(action).split() if action.help else ()))
        rows.append(f"| `{flag.strip()}` | {words}{' (required)' if action.required else ''} |")
    example = (parser.epilog or "").partition(":\n")[2]
    lines = "\n".join(line.removeprefix("  ") for line in example.splitlines())
    return "\n".join([prose(parser.description), *rows, f"\n```console\n{lines}\n```\n"])


def pages_of_steps() -> dict[str, str]:
    """Return a page for each group of steps, with the help of each step."""
    return {
        page_of_group(group): "\n".join(
            [f"# {group[0].upper()}{group[1:]}\n"]
            + [f"## {escaped(step)} {{ #{step} }}\n\n{help_of(step)}" for step in steps]
        )
        for group, steps in GROUPS.items()
    }


def page_of_group(group: str) -> str:
    """Return the name of the page of a group of steps."""
    words = re.findall(r"[a-z]+", group)
    return f"steps_{'_'.join(words[:3])}"


def table_of_steps() -> str:
    """Return a table of all steps, which leads to the help of each."""
    lines = ["## All steps\n", "| step | what it does |", "|---|---|"]
    for group, steps in GROUPS.items():
        page = page_of_group(group)
        lines += [f"| [`{step}`]({page}.md#{step}) | {escaped(summary(step))} |" for step in steps]
    return "\n".join(lines) + "\n"


def signature(node: ast.FunctionDef | ast.ClassDef) -> str:
    """Return how a function is declared, or a class with its fields, without the body."""
    if isinstance(node, ast.FunctionDef):
        arguments = ast.unparse(node.args)
        returns = f" -> {ast.unparse(node.returns)}" if node.returns else ""
        line = f"{node.name}({arguments}){returns}"
        if len(line) > 90:
            inner = re.sub(r", (?=\*?\*?\w+(?::|=|,|$))", ",\n    ", arguments)
            line = f"{node.name}(\n    {inner},\n){returns}"
        return line
    bases = ", ".join(ast.unparse(base) for base in node.bases)
    fields = [
        f"    {ast.unparse(item.target)}: {ast.unparse(item.annotation)}"
        for item in node.body
        if isinstance(item, ast.AnnAssign) and not ast.unparse(item.target).startswith("_")
    ]
    return "\n".join([f"class {node.name}{f'({bases})' if bases else ''}:", *(fields or ["    ..."])])


def public(node: ast.stmt) -> bool:
    """Return whether a statement defines a function or a class that others may use."""
    return isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_")


def described(node: ast.FunctionDef | ast.ClassDef, prefix: str, level: int) -> list[str]:
    """Return the heading, the signature and the docstring of a function, or of a class and its methods."""
    heading = f"{'#' * level} `{node.name}` {{ #{prefix}.{node.name} }}\n"
    parts = [heading, f"```python\n{signature(node)}\n```\n", prose(ast.get_docstring(node))]
    if isinstance(node, ast.ClassDef):
        for method in node.body:
            if isinstance(method, ast.FunctionDef) and public(method) and ast.get_docstring(method):
                parts += [f"**`{method.name}`**\n", f"```python\n{signature(method)}\n```\n"]
                parts.append(prose(ast.get_docstring(method)))
    return parts


def pages_of_python() -> dict[str, str]:
    """Return a page for each package of the library, with its public functions and classes."""
    pages = {}
    for package, title in PACKAGES.items():
        parts = [f"# {title}\n", f"`cotrain.{package}`\n"]
        for path in sorted((PROJECT / "cotrain" / package).glob("*.py")):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            nodes = [node for node in tree.body if public(node)]
            if nodes:
                module = f"cotrain.{package}.{path.stem}"
                parts += [f"## {module} {{ #{module} }}\n", prose(ast.get_docstring(tree))]
                for node in nodes:
                    assert isinstance(node, ast.FunctionDef | ast.ClassDef)
                    parts += described(node, module, 3)
        pages[f"python_{package}"] = "\n".join(parts)
    return pages


def page_of_python() -> str:
    """Return what begins the reference of the library: the function that most readers want."""
    tree = ast.parse((PROJECT / "cotrain" / "networks" / "segmenter.py").read_text(encoding="utf-8"))
    [load_model] = [node for node in tree.body if public(node) and getattr(node, "name", "") == "load_model"]
    assert isinstance(load_model, ast.FunctionDef)
    rows = "\n".join(f"- [`cotrain.{name}`](python_{name}.md): {title}" for name, title in PACKAGES.items())
    return (
        "Most programs need one function, `cotrain.load_model`; "
        "[using a model](using_a_model.md#in-your-own-programs) shows a whole program.\n\n"
        + "\n".join(described(load_model, "cotrain", 2))
        + f"\n## All packages\n\n{rows}\n\nThese pages are made from the docstrings: what goes in and"
        " comes out: shapes, types, units, and the errors that are raised.\n"
    )


def write_pages(site: Site, folder: Path) -> None:
    """Write all pages, their pictures and the style sheet below `folder`."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    shutil.copytree(PROJECT / "docs" / "images", folder / "images")
    shutil.copy(HERE / "style.css", folder / "style.css")
    texts = {page: site.page(page) for pages in site.navigation.values() for page in pages}
    start, citation, rest = texts["index"].partition("## Citation")
    texts["index"] = f"{start}{site.where_next()}\n{citation}{rest}"
    texts["steps"] += table_of_steps()
    texts["python"] += page_of_python()
    for page, text in (texts | pages_of_steps() | pages_of_python()).items():
        (folder / f"{page}.md").write_text(with_marked_keys(text), encoding="utf-8")


def navigation_of(site: Site) -> list:
    """Return the navigation as the generator takes it."""
    # Pages below another one.
    below = {
        "steps": {group[0].upper() + group[1:]: page_of_group(group) for group in GROUPS},
        "python": {title: f"python_{package}" for package, title in PACKAGES.items()},
    }

    def entry(page: str) -> dict:
        inner = [{title: f"{name}.md"} for title, name in below.get(page, {}).items()]
        return {site.title(page): [f"{page}.md", *inner] if inner else f"{page}.md"}

    navigation: list = []
    for title, pages in site.navigation.items():
        entries = [entry(page) for page in pages]
        navigation.append(entries[0] if title == "Start" else {title: entries})
    return navigation


class Addresses(HTMLParser):
    """The addresses in a page, and the anchors that others may name."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.anchors: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep the addresses of one element."""
        values = {name: value or "" for name, value in attrs}
        self.anchors |= {values[name] for name in ("id", "name") if name in values}
        if tag == "a" and "href" in values:
            self.links.append(values["href"])
        elif not (tag == "link" and values.get("rel") in ("canonical", "prev", "next")):
            names = ("src", "href", "data", "poster", "action", "xlink:href")
            self.loaded += [values[name] for name in names if values.get(name)]
            self.loaded += [part.split()[0] for part in values.get("srcset", "").split(",") if part.split()]


def faults_of(site: Path) -> list[str]:
    """Return what is wrong in a built site: dead links, and what is loaded from another host."""
    pages = {path.relative_to(site).as_posix(): Addresses(path.read_text()) for path in site.rglob("*.html")}
    faults = []
    for name, page in pages.items():
        for address in page.loaded:
            if re.match(r"(https?:)?//", address):
                faults.append(f"{name}: loads {address}")
        for link in [*page.links, *page.loaded]:
            if re.match(r"([a-z]+:|//)", link) or name == "404.html":
                continue
            path, _, anchor = unquote(link).partition("#")
            target = (Path(name).parent / path.partition("?")[0]).as_posix() if path else name
            if target in (".", ""):
                target = "index.html"
            target = str(Path(target))
            if not (site / target).is_file():
                faults.append(f"{name}: {link} leads nowhere")
            elif anchor and target in pages and anchor not in pages[target].anchors:
                faults.append(f"{name}: {link} names an anchor that is not there")
    for sheet in site.rglob("*.css"):
        text = sheet.read_text(encoding="utf-8")
        for address in re.findall(r"(?:url\(|@import )[\"']?((?:https?:)?//[^\"')]*)", text):
            faults.append(f"{sheet.relative_to(site)}: loads {address}")
    return faults


def build(work: Path, output: Path) -> int:
    """Make the pages below `work` and the site of them in `output`; return the number of its pages.

    Raises SiteError that names each fault; `output` is then as it was.
    """
    site, folder = Site(), work / "pages"
    write_pages(site, folder)
    content = yaml.safe_load((HERE / "site.yaml").read_text(encoding="utf-8"))
    content |= {"docs_dir": folder.name, "site_dir": "site", "nav": navigation_of(site)}
    configuration = work / "mkdocs.yml"
    configuration.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    zensical = [sys.executable, "-m", "zensical", "build", "--clean", "--strict", "--config-file"]
    if subprocess.run([*zensical, str(configuration)], cwd=work).returncode:
        raise SiteError("Zensical has not built the site; its messages are above")
    # It writes only beside its configuration.
    built = work / "site"
    if faults := faults_of(built):
        raise SiteError("\n  ".join(["the site is not right:", *faults]))
    shutil.rmtree(output, ignore_errors=True)
    shutil.move(built, output)
    return len(list(output.rglob("*.html")))


def main() -> None:
    """Build the site in the folder `site`, or end with status 1 and a line for each fault."""
    output = PROJECT / "site"
    try:
        number = build(PROJECT / "build" / "site", output)
    except SiteError as error:
        sys.exit(f"error: {error}")
    print(f"{output}/index.html: {number} pages; no link is dead, and nothing is loaded from another host")


if __name__ == "__main__":
    main()
