"""The documentation as a site: what is made from code is whole, it builds, and reads well."""

import importlib.util
import re
import subprocess
import sys
from collections.abc import Iterator
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import unquote, urlsplit
from xml.etree import ElementTree

import click
import matplotlib.pyplot as plt
import numpy as np
import pytest
from numpy.typing import NDArray

from mimsweep.dashboards.drawing.canvas import to_svg
from mimsweep.orchestrator.cli.main import main
from mimsweep.orchestrator.files.fields import RunFields
from mimsweep.orchestrator.files.schema.documents import search_schema, sweep_schema
from mimsweep.orchestrator.metrics import EPOCH_METRICS, TABLE_METRICS
from tests.paths import ROOT
from tests.test_browser import CHROMIUM, FLAGS

DOCS = ROOT / "docs"
PICTURES = sorted((DOCS / "pictures").iterdir())
RULE = re.compile(r"^docs:.*\n((?:\t.*\n)+)", re.MULTILINE)
HREF = "{http://www.w3.org/1999/xlink}href"


def script(name: str) -> ModuleType:
    """A script of docs/site/, imported."""
    spec = importlib.util.spec_from_file_location(name, DOCS / "site" / f"{name}.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def first_cells(table: str) -> list[str]:
    return re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)


def test_pages_of_reference_have_every_field_metric_and_key() -> None:
    reference = script("reference")
    assert first_cells(reference.fields()) == list(RunFields.model_fields)
    assert first_cells(reference.metrics()) == [*TABLE_METRICS, *EPOCH_METRICS]
    keys = {*sweep_schema()["properties"], *search_schema()["properties"]}
    for part in ("Claim", "Figures"):
        keys |= set(sweep_schema()["$defs"][part]["properties"])
    keys |= set(search_schema()["$defs"]["Objective"]["properties"])
    assert set(first_cells(reference.keys())) == keys


def test_fields_tell_values_and_defaults() -> None:
    rows = script("reference").fields().splitlines()
    assert "| `act` | `tanh`, `swish`, `relu` | `tanh` | Function between the layers. |" in rows
    assert "| `lr` | number > 0 | `0.001` |" in script("reference").fields()
    assert [row for row in rows if row.count("|") - row.count(r"\|") != 5] == []


def points(path: str) -> NDArray[np.float64]:
    """Where the straight lines of a path lead, with shape (N, 2), in points."""
    at, found = np.zeros(2), []
    for step, numbers in re.findall(r"([MLl])([^A-Za-z]*)", path):
        to = np.array(numbers.split(), dtype=float)
        at = at + to if step == "l" else to
        found.append(at)
    return np.array(found)


def test_a_picture_is_its_figure_to_a_tenth_of_a_point() -> None:
    x = np.linspace(0, 6, 400)
    figure, axes = plt.subplots()
    axes.plot(x, np.sin(x**2), color="#0072B2")
    svg = to_svg(figure)
    plt.close(figure)
    picture = script("pictures").picture(svg, "a < b")
    assert len(picture) < 0.8 * len(svg)
    assert ElementTree.fromstring(picture).get("aria-label") == "a < b"
    assert "prefers-color-scheme: dark" in picture
    whole, small = (max(re.findall(r' d="([^"]*)"', text), key=len) for text in (svg, picture))
    np.testing.assert_allclose(points(small), points(whole), rtol=0, atol=0.061)


@pytest.mark.parametrize("picture", PICTURES, ids=lambda path: path.name)
def test_pictures_are_small_and_need_nothing_else(picture: Path) -> None:
    assert picture.suffix in (".svg", ".png", ".gif")
    assert picture.stat().st_size <= 150_000
    if picture.suffix == ".svg":
        text = picture.read_text()
        root = ElementTree.fromstring(text)
        links = [element.get(HREF) or element.get("href") or "#" for element in root.iter()]
        assert [link for link in links if not link.startswith(("#", "data:"))] == []
        assert not re.findall(r"url\((?!#|['\"]?data:)|<script|@import", text)


def test_every_picture_is_shown() -> None:
    text = "".join(page.read_text() for page in [ROOT / "README.md", *DOCS.glob("*.md")])
    assert [path.name for path in PICTURES if f"pictures/{path.name})" not in text] == []


class Page(HTMLParser):
    """The ids of a page, and where it leads."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name == "id" and value:
                self.ids.add(value)
            if name in ("href", "src") and value:
                self.links.append(value)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, by the command of `make docs`."""
    out = tmp_path_factory.mktemp("site")
    rule = RULE.search((ROOT / "Makefile").read_text())
    assert rule
    command = rule[1].splitlines()[0].strip()
    words = command.replace("$(BIN)/python", sys.executable).replace("build/site", str(out)).split()
    assert "-W" in words  # warnings are errors
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return out


@pytest.mark.slow
def test_all_links_inside_lead_somewhere(site: Path) -> None:
    pages = {path: Page(path.read_text()) for path in site.rglob("*.html")}
    assert len(pages) > 30
    broken = []
    for path, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme:
                assert parts.scheme in ("http", "https", "data"), link
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            ids = pages[target].ids if target in pages else set()
            if not target.is_file() or (
                parts.fragment and target in pages and unquote(parts.fragment) not in ids
            ):
                broken.append(f"{path.relative_to(site)}: {link}")
    assert broken == []


def commands(command: click.Command, path: str) -> Iterator[tuple[str, click.Command]]:
    yield path, command
    if isinstance(command, click.Group):
        for name, part in command.commands.items():
            yield from commands(part, f"{path}-{name}")


@pytest.mark.slow
def test_the_page_of_commands_has_each_with_its_options(site: Path) -> None:
    ids = Page((site / "reference" / "cli.html").read_text()).ids
    expected = set()
    for path, command in commands(main, "mimsweep"):
        expected.add(path)
        options = (p for p in command.params if isinstance(p, click.Option))
        expected |= {f"cmdoption-{path}-{p.opts[0].removeprefix('--')}" for p in options}
    assert len(expected) > 100
    assert expected - ids == set()


@pytest.mark.slow
def test_the_tutorial_is_the_one_that_is_executed(site: Path) -> None:
    html = (site / "tutorial.html").read_text()
    shown = [
        unescape(re.sub(r"<[^>]+>", "", block))
        for block in re.findall(r"<pre>(.*?)</pre>", html, re.DOTALL)
    ]
    written = re.findall(r"```\w+\n(.*?)```", (DOCS / "tutorial.md").read_text(), re.DOTALL)
    assert shown == written


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A headless chromium."""
    if CHROMIUM is None:
        pytest.skip("no chromium on this machine: apt-get install chromium")
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as started:
        chromium = started.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield chromium
        chromium.close()


CONTRAST = """() => {
  const channels = text => text.match(/[0-9.]+/g).slice(0, 3).map(Number);
  const light = text => channels(text).map(v => v / 255)
    .map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const [ink, paper] = ["color", "backgroundColor"].map(
    key => light(getComputedStyle(document.body)[key]));
  return [(Math.max(ink, paper) + 0.05) / (Math.min(ink, paper) + 0.05), paper];
}"""
EMPTY = """() => [...document.querySelectorAll("article img")]
  .filter(image => !image.complete || image.naturalWidth === 0).map(image => image.src)"""


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_pages_open_without_a_complaint(browser: Any, site: Path, width: int, scheme: str) -> None:
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    complaints: list[str] = []
    page.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("requestfailed", lambda request: complaints.append(request.url))
    page.on(
        "request",
        lambda request: (
            None if request.url.startswith(("file:", "data:")) else complaints.append(request.url)
        ),
    )
    for path in sorted(site.rglob("*.html")):
        page.goto(path.as_uri())
        name = path.relative_to(site)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, name
        assert page.evaluate(EMPTY) == [], name
        contrast, paper = page.evaluate(CONTRAST)
        assert contrast >= 7, name
        assert (paper > 0.5) == (scheme == "light"), name
        assert complaints == [], name
    page.close()


@pytest.mark.slow
def test_the_search_finds_a_page_without_a_server(browser: Any, site: Path) -> None:
    page = browser.new_page()
    page.goto(f"{(site / 'search.html').as_uri()}?q=checkpoint")
    page.get_by_role("link", name="Go on after an interruption").first.wait_for()
    page.close()
