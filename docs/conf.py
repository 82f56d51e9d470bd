"""The documentation as a site: `make docs` builds it with Sphinx, strictly.

Pages are the Markdown files of this folder. Some show a part of README.md or another file of the
repository, or what `site/reference.py` makes of the code. Nothing on a page is fetched from
elsewhere.
"""

import os
import re
import sys
from importlib.metadata import version as version_of
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

DOCS = Path(__file__).parent
ROOT = DOCS.parent
sys.path.insert(0, str(DOCS / "site"))

import reference  # noqa: E402

project = "mimsweep"
version = release = version_of("mimsweep")

extensions = ["myst_parser", "sphinx_click"]
exclude_patterns = ["notebooks", "reproduction_notes", "site"]
nitpicky = True
suppress_warnings = ["myst.header"]  # a part of README.md begins below the level of its page
myst_heading_anchors = 4

html_theme = "furo"
html_title = "mimsweep"
html_static_path = ["site/static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_copyright = False
html_show_sphinx = False
pygments_style = "a11y-high-contrast-light"

_LINK = re.compile(r"(?<!!)\[([^\[\]]+)\]\(([^()\s#:]+)(#[^()\s]*)?\)")
_PICTURE = re.compile(r"(!\[[^\[\]]*\])\(docs/([^()\s]+)\)")
_PAGES = {
    "README.md": "index.md",
    "ARCHITECTURE.md": "architecture.md",
    "CONTRIBUTING.md": "contributing.md",
}


def in_site(text: str, folder: Path) -> str:
    """Returns the repository's Markdown with its links as they are in the site.

    Links to files that are no pages stay, and offer the file; to folders they become plain text.
    A link that says the name of a page's file says its title.

    Args:
        text: Markdown.
        folder: where its relative links start: that of the page, or the repository.
    """
    page = DOCS if folder == ROOT else folder

    def link(found: re.Match[str]) -> str:
        words, target, anchor = found[1], folder / found[2], found[3] or ""
        if target.is_dir():
            return words
        if target.parent == ROOT and target.name in _PAGES:
            target = DOCS / _PAGES[target.name]
        if words in (target.name, f"docs/{target.name}") and target.suffix == ".md":
            words = ""
        return f"[{words}]({os.path.relpath(target, page)}{anchor})"

    return _LINK.sub(link, _PICTURE.sub(r"\1(\2)", text))


def _read_page(_: Sphinx, page: str, source: list[str]) -> None:
    source[0] = in_site(source[0], (DOCS / page).parent)


def _read_part(_: Sphinx, path: Path, page: str, source: list[str]) -> None:
    source[0] = in_site(source[0], (DOCS / path).resolve().parent)


class FromCode(SphinxDirective):
    """What a function of `reference.py` makes of the code."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Returns it, parsed."""
        made: str = getattr(reference, self.arguments[0])()
        return self.parse_text_to_nodes(made, allow_section_headings=True)


def setup(app: Sphinx) -> None:
    """Registers what is ours."""
    app.add_directive("from-code", FromCode)
    app.connect("source-read", _read_page)
    app.connect("include-read", _read_part)
