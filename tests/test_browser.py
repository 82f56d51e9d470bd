"""The report and MLflow's pages in a real browser: Debian's chromium, through Playwright."""

import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from mimsweep.orchestrator.cli.main import main
from mimsweep.orchestrator.tracking.writer import Tracking

pytestmark = pytest.mark.slow

CHROMIUM = shutil.which("chromium")
FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip
SWEEP = """\
name: browsed
description: A sweep to look at
fixed: {dataset: toy4, mid_dim: 5, epochs: 3}
grid: {seed: 1..2, z_dim: [2, 3], model: [mim, vae]}
figures: {x: z_dim, hue: model, metrics: [mi, nll, rmse, knn5]}
claims:
  - {claim: MIM keeps more, metric: mi, greater: {model: mim}, than: {model: vae}}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder in which a small sweep was run, drawn and reported on."""
    folder = tmp_path_factory.mktemp("browsed")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        Path("browsed.yaml").write_text(SWEEP)
        for command in (
            ["run", "browsed.yaml", "--engine", "inline", "--device", "cpu"],
            ["figures", "browsed.yaml", "--latent"],
            ["report", "browsed.yaml"],
        ):
            result = CliRunner().invoke(main, command)
            assert result.exit_code == 0, result.output
        yield folder


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


def opened(browser: Any, url: str, **options: Any) -> tuple[Any, list[str]]:
    """A page, and what it has complained of so far."""
    page = browser.new_page(**options)
    complaints: list[str] = []
    page.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on(
        "request",
        lambda r: complaints.append(r.url) if "file:" in url and "http" in r.url else None,
    )
    page.goto(url)
    return page, complaints


def test_the_report_opens_without_a_complaint_and_its_figures_have_size(
    browser: Any, folder: Path
) -> None:
    page, complaints = opened(browser, (folder / "reports" / "report.html").as_uri())
    figures = page.locator("figure svg")
    assert figures.count() == 6
    for index in range(figures.count()):
        box = figures.nth(index).bounding_box()
        assert box["width"] > 500
        assert box["height"] > 100
    assert complaints == []


def test_the_table_sorts_by_mouse_and_keyboard(browser: Any, folder: Path) -> None:
    page, complaints = opened(browser, (folder / "reports" / "report.html").as_uri())
    table = page.locator("table.sortable").first

    def column() -> list[float]:
        cells = table.locator("tbody tr td:nth-child(4)")
        values = cells.evaluate_all("cells => cells.map(cell => Number(cell.dataset.sort))")
        return [float(value) for value in values]

    button = table.locator("th:nth-child(4) button")
    button.click()
    assert column() == sorted(column())
    assert table.locator("th:nth-child(4)").get_attribute("aria-sort") == "ascending"
    button.focus()
    page.keyboard.press("Enter")
    assert column() == sorted(column(), reverse=True)
    assert len(column()) == 4
    assert table.locator("th[aria-sort]").count() == 1
    assert complaints == []


def contrast(page: Any, selector: str) -> float:
    """The WCAG contrast of an element's text against the page."""
    ratio = page.evaluate(
        """selector => {
          const rgb = text => text.match(/[0-9.]+/g).slice(0, 3).map(Number);
          const light = text => rgb(text).map(v => v / 255)
            .map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
            .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
          const a = light(getComputedStyle(document.querySelector(selector)).color);
          const b = light(getComputedStyle(document.body).backgroundColor);
          return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
        }""",
        selector,
    )
    return float(ratio)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_light_and_dark_are_both_legible(browser: Any, folder: Path, scheme: str) -> None:
    page, complaints = opened(
        browser, (folder / "reports" / "report.html").as_uri(), color_scheme=scheme
    )
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert paper == {"light": "rgb(255, 255, 255)", "dark": "rgb(20, 23, 28)"}[scheme]
    patch = page.evaluate(
        "getComputedStyle(document.querySelector('figure svg path[style*=\"fill\"]')).fill"
    )
    assert patch == paper  # figures follow
    for selector in ("h1", "p.muted", ".claims p", ".verdict", "dt", "a[href^=http]"):
        assert contrast(page, selector) >= 4.5, selector
    assert complaints == []


def test_a_phone_scrolls_one_way_only(browser: Any, folder: Path) -> None:
    size = {"width": 375, "height": 800}
    page, _ = opened(browser, (folder / "reports" / "report.html").as_uri(), viewport=size)
    assert page.evaluate("document.documentElement.scrollWidth") <= 375


@pytest.fixture(scope="module")
def pages(folder: Path) -> Iterator[str]:
    """The address of `mimsweep ui` on the store."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    script = "from mimsweep.orchestrator.cli.main import main; main()"
    command = [sys.executable, "-c", script, "ui", "--port", str(port)]
    url = f"http://127.0.0.1:{port}"
    with (folder / "ui.log").open("wb") as log:
        server = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)
    try:
        for _ in range(240):
            try:
                urllib.request.urlopen(f"{url}/health", timeout=5).read()
                break
            except OSError:
                assert server.poll() is None, (folder / "ui.log").read_text()
                time.sleep(0.5)
        yield url
    finally:
        server.terminate()
        server.wait()


def test_mlflow_shows_the_parent_run_its_children_and_the_figure(
    browser: Any, folder: Path, pages: str
) -> None:
    tracking = Tracking(f"sqlite:///{folder}/mlflow.db", create=False)
    (parent,) = tracking.invocations("browsed")
    runs = f"{pages}/#/experiments/{parent.experiment_id}/runs"
    page, _ = opened(browser, runs, viewport={"width": 1500, "height": 1000})
    row = page.locator(f"[role=gridcell]:has(a[href$='{parent.run_id}'])")
    row.locator("button").first.click(timeout=60_000)  # its children are folded away
    page.get_by_text("mim-toy4-z2-m5-s1-epochs3", exact=True).first.wait_for(timeout=60_000)
    page.screenshot(path=folder / "mlflow-runs.png")
    page.goto(f"{runs}/{parent.run_id}/artifacts/combined.png")
    picture = page.locator("img[alt='combined.png']")
    picture.first.wait_for(timeout=60_000)
    assert picture.first.bounding_box()["width"] > 100
    page.screenshot(path=folder / "mlflow-figure.png")
    names = page.get_by_text("report.html", exact=True)
    names.first.wait_for(timeout=30_000)
