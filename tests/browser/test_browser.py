"""`make browser`: test the report page and MLflow's interface in a real Chromium.

The environment variable TRIPTYCH_PROJECT names the project to test; without it, the tests make a tiny one.
TRIPTYCH_BROWSER names the browser; without it, the tests take a Chromium on the path.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.request import Request, urlopen

import pytest
from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect, sync_playwright
from ruamel.yaml import YAML

from conftest import ONE_A_FAMILY, ONE_STUDY, copy_project, environment, shrink
from triptych.training.history import read_history

CHROMIUMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
OPTIONS = (  # no requests to the browser's maker, and no sandbox, because a container has none
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip
WIDTHS = {"laptop": 1366, "desk": 1920, "phone": 390}  # pixels
CONTRAST = 4.5  # WCAG 2, level AA
USERS_REQUEST = "/mlflow/users/current"  # MLflow's interface sends it; only a server with accounts answers it
ABORTED = "net::ERR_ABORTED"  # by MLflow's interface, when it leaves a view
HARMLESS_ERROR = "ResizeObserver loop"  # a layout of MLflow's interface took two frames
NUMBER = re.compile(r"-?\d+(\.\d+)?")
TIMEOUT = 60_000  # ms

CONTRASTS = """() => {
  const parse = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((c) => c / 255)
    .map((c) => (c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const colour = parse(getComputedStyle(at).backgroundColor);
      if (colour.length === 3 || colour[3] === 1) return colour;
    }
    return [255, 255, 255];
  };
  const found = [];
  for (const element of document.querySelectorAll("body *")) {
    const words = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
    if (!words || !element.getClientRects().length) continue;
    const style = getComputedStyle(element);
    const ink = parse(element instanceof SVGElement ? style.fill : style.color);
    const [high, low] = [light(ink), light(behind(element))].sort((a, b) => b - a);
    found.push([(high + 0.05) / (low + 0.05), element.tagName, element.textContent.trim().slice(0, 40)]);
  }
  return found;
}"""


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if given := os.environ.get("TRIPTYCH_PROJECT"):
        root = Path(given).resolve()
        if not (root / "report.html").exists():
            pytest.exit(f"{root} has no report.html: run `make repro` there first", 1)
        return root
    root = tmp_path_factory.mktemp("tiny")
    copy_project(root)
    yaml = YAML()
    params = yaml.load(root / "params.yaml")
    yaml.dump(shrink(params, (*ONE_A_FAMILY, "vae-2d", "cifar10-jsd-2", *ONE_STUDY)), root / "params.yaml")
    for words in (["git", "init", "-q"], ["git", "add", "-A"], ["git", "commit", "-qm", "tiny"], ["triptych", "repro"]):
        subprocess.run(words, cwd=root, env=environment(), check=True)
    return root


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    name = os.environ.get("TRIPTYCH_BROWSER") or next(filter(shutil.which, CHROMIUMS), None)
    path = name and shutil.which(name)
    if not path:
        pytest.exit("no Chromium is on the path: install one, or set TRIPTYCH_BROWSER to its path", 1)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(OPTIONS))
        yield browser
        browser.close()


class Recorder:
    """Record the console messages, the requests and the failed requests of a browser context."""

    def __init__(self, context: BrowserContext) -> None:
        self.messages: list[str] = []
        self.requested: list[str] = []
        self.failed: list[str] = []
        context.on("console", lambda message: self.messages.append(f"{message.type}: {message.text}"))
        context.on("weberror", lambda error: self.messages.append(f"error: {error.error}"))
        context.on("request", lambda request: self.requested.append(request.url))
        context.on("requestfailed", lambda request: self.failed.append(f"{request.url} ({request.failure})"))
        context.on("response", lambda answer: answer.status >= 400 and self.failed.append(answer.url))


Open = Callable[..., tuple[Page, Recorder]]


@pytest.fixture
def report(browser: Browser, project: Path) -> Iterator[Open]:
    """Return a function that opens the page from disk, without a network."""
    contexts = []

    def opened(width: str = "laptop", scheme: str = "light", *, scripts: bool = True) -> tuple[Page, Recorder]:
        context = browser.new_context(
            viewport={"width": WIDTHS[width], "height": 800},
            color_scheme=scheme,
            offline=True,
            java_script_enabled=scripts,
        )
        contexts.append(context)
        recorder, page = Recorder(context), context.new_page()
        page.goto((project / "report.html").as_uri())
        return page, recorder

    yield opened
    for context in contexts:
        context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
def test_the_page_fits_without_messages_or_requests(report: Open, project: Path, width: str, scheme: str) -> None:
    page, recorder = report(width, scheme)
    assert recorder.messages == recorder.failed == []
    assert {url for url in recorder.requested if not url.startswith("data:")} == {(project / "report.html").as_uri()}
    assert page.evaluate("document.documentElement.scrollWidth") == WIDTHS[width]
    assert page.evaluate("[...document.images].filter((image) => !image.naturalWidth).map((image) => image.alt)") == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_has_enough_contrast(report: Open, scheme: str) -> None:
    page, _ = report("laptop", scheme)
    page.evaluate("document.querySelectorAll('details').forEach((each) => (each.open = true))")
    found = page.evaluate(CONTRASTS)
    assert len(found) > 100
    assert [each for each in found if each[0] < CONTRAST] == []


def test_without_scripts_the_page_has_curves_and_tables(report: Open) -> None:
    page, recorder = report(scripts=False)
    assert recorder.messages == recorder.failed == []
    page.locator("[id='vae-20d']").locator("..").locator("summary").first.click()
    lines = page.locator("[id='vae-20d/U1.13-elbo'] path.line")
    assert lines.count() > 1
    assert lines.evaluate_all("lines => lines.every((line) => line.getBoundingClientRect().width > 50)")
    assert page.locator(".compared tbody tr").count() > 1
    expect(page.get_by_text("Select a heading to sort.")).to_be_hidden()


def test_the_first_screen_says_what_the_page_is_and_shows_samples(report: Open) -> None:
    page, _ = report()
    expect(page.locator(".lead")).to_be_in_viewport(ratio=1)
    walls = page.locator(".wall")
    assert walls.count() > 1
    for index in range(walls.count()):
        names = walls.nth(index).locator(".samples > span").all_inner_texts()
        assert names[0] == "real images"
        assert walls.nth(index).locator("img").count() == len(names) > 1
    expect(page.get_by_alt_text("Real images of mnist/test")).to_be_in_viewport(ratio=1)


def test_a_table_has_six_columns_until_more_are_selected(report: Open) -> None:
    page, _ = report()
    for table in page.locator(".table").all():
        heads = table.locator("thead th:visible")
        assert heads.count() <= 6
        shown = heads.count()
        table.get_by_text("More columns").click()
        assert heads.count() > shown
        expect(table.get_by_role("columnheader", name="precision", exact=True)).to_be_attached()
        table.get_by_text("More columns").click()
        assert heads.count() == shown


def test_the_head_of_a_table_stays_in_view(report: Open) -> None:
    page, _ = report("phone")
    region = page.get_by_role("region", name="Scores against mnist/test")
    region.scroll_into_view_if_needed()
    region.evaluate("region => (region.style.maxHeight = '100px')")
    region.evaluate("region => (region.scrollTop = 1000)")
    assert region.evaluate("region => region.scrollTop") > 0
    expect(region.locator("thead th").first).to_be_in_viewport()
    assert region.locator("thead th").first.bounding_box()["y"] == pytest.approx(region.bounding_box()["y"], abs=2)


def test_experiments_are_collapsed_until_a_link_leads_to_one(report: Open) -> None:
    page, _ = report()
    section = page.locator("[id='vae-2d']")
    assert page.locator("details.item[open]").count() == 0
    expect(section).to_be_hidden()
    page.locator(".compared").get_by_role("link", name="vae-2d").click()
    expect(section).to_be_visible()
    expect(section).to_be_in_viewport()
    expect(section.locator("p").first).to_contain_text("Recipe vae-20d, with these changes:")
    expect(section.locator("p").first).to_contain_text("model.latent 2 (recipe: 20)")
    section.get_by_text("All settings of vae-2d").click()
    expect(section.locator(".settings").get_by_text("learning_rate")).to_be_visible()
    page.locator("details.item > summary", has_text="vae-2d").click()
    expect(section).to_be_hidden()


def test_the_glossary_explains_the_words_of_the_tables(report: Open, project: Path) -> None:
    page, recorder = report()
    page.get_by_role("navigation").get_by_role("link", name="Glossary").click()
    for word in ("FID", "KID", "IS", "ELBO", "Bits per dimension", "Precision and recall", "Active units"):
        entry = page.locator(".glossary > div", has=page.locator(f"dt:text-is('{word}')"))
        assert len(entry.locator("dd").inner_text()) > 50
        assert entry.locator("a[href^='https://arxiv.org/']").count() + entry.locator("a[href^='docs/']").count() > 0
    assert recorder.failed == []


def sort_keys(table: Locator, column: int) -> list[str]:
    return table.locator(f"tbody tr > :nth-child({column})").evaluate_all("cells => cells.map((c) => c.dataset.sort)")


@pytest.mark.parametrize("heading", ["experiment", "FID", "log-likelihood", "parameters"])
def test_the_table_sorts_by_pointer_and_by_keyboard(report: Open, heading: str) -> None:
    page, _ = report()
    page.evaluate("document.querySelectorAll('.more').forEach((each) => (each.open = true))")
    table = page.get_by_role("region", name="Scores against mnist/test").locator("table")
    head = table.get_by_role("columnheader", name=heading, exact=True)
    column = head.evaluate("head => head.cellIndex") + 1
    before = sort_keys(table, column)
    known = sorted(filter(None, before), key=float if heading != "experiment" else str)
    absent = [""] * before.count("")
    head.get_by_role("button").click()
    assert head.get_attribute("aria-sort") == "ascending"
    assert sort_keys(table, column) == known + absent
    page.keyboard.press("Enter")
    assert head.get_attribute("aria-sort") == "descending"
    assert sort_keys(table, column) == sorted(known, key=known.index, reverse=True) + absent
    page.keyboard.press("Space")
    assert head.get_attribute("aria-sort") is None
    assert sort_keys(table, column) == before


def test_on_a_phone_the_names_stay_while_the_table_scrolls(report: Open) -> None:
    page, _ = report("phone")
    name = page.locator(".compared tbody th").first
    place = name.bounding_box()
    region = page.get_by_role("region", name="Scores against mnist/test")
    region.evaluate("region => (region.scrollLeft = 100)")
    assert region.evaluate("region => region.scrollLeft") > 0
    assert name.bounding_box() == place


@pytest.mark.parametrize("width", WIDTHS)
def test_a_curve_shows_its_values_to_pointer_and_keyboard(report: Open, project: Path, width: str) -> None:
    page, recorder = report(width)
    page.locator("details.item > summary", has_text="vae-20d").first.click()
    figure = page.locator("[id='vae-20d/U1.13-elbo']")
    chart, legend = figure.get_by_role("img").first, figure.locator(".legend").first
    history = read_history(project / "models" / "vae-20d" / "history.csv")
    chart.scroll_into_view_if_needed()

    def legend_of(row: dict[str, float]) -> str:
        values = (-row["train_negative_elbo"], -row["valid_negative_elbo"])
        return "epoch {}training {}validation {}".format(row["epoch"], *(f"{value:,.5g}" for value in values))

    expect(legend).to_have_text(legend_of(history[-1]))
    box = chart.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 8, box["y"] + 100)
    expect(legend).to_have_text(legend_of(history[0]))
    chart.focus()
    page.keyboard.press("ArrowRight")
    expect(legend).to_have_text(legend_of(history[1]))
    page.keyboard.press("End")
    expect(legend).to_have_text(legend_of(history[-1]))
    assert recorder.messages == []


def test_the_keyboard_reaches_the_table_by_a_visible_link(report: Open) -> None:
    page, _ = report()
    page.keyboard.press("Tab")
    skip = page.get_by_role("link", name="Skip to the samples")
    expect(skip).to_be_focused()
    expect(skip).to_be_in_viewport()
    assert skip.evaluate("link => getComputedStyle(link).outlineStyle") == "solid"
    page.keyboard.press("Enter")
    assert page.url.endswith("#page:samples")


@pytest.fixture(scope="session")
def interface(project: Path) -> Iterator[str]:
    """Start `triptych ui` on the project; return its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    words = ["triptych", "ui", "--port", str(port)]
    server = subprocess.Popen(words, cwd=project, env=environment(), stdout=subprocess.PIPE, text=True)
    try:
        for words in ("MLflow starts", "MLflow shows the runs"):
            assert f"{words} at http://127.0.0.1:{port}" in server.stdout.readline()
        yield f"http://127.0.0.1:{port}"
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait()


@pytest.fixture
def tab(browser: Browser, interface: str) -> Iterator[Page]:
    """Return a tab on MLflow's interface. At the end, assert that all requests stay on this machine and succeed."""
    context = browser.new_context(viewport={"width": 1800, "height": 1000}, base_url=interface)
    context.set_default_timeout(TIMEOUT)
    expect.set_options(timeout=TIMEOUT)
    recorder = Recorder(context)
    yield context.new_page()
    outside = [url for url in recorder.requested if not url.startswith((interface, "data:", "blob:"))]
    known = [url for url in recorder.failed if url.endswith(USERS_REQUEST)]
    failed = [words for words in recorder.failed if words not in known and ABORTED not in words]
    errors = [words for words in recorder.messages if words.startswith("error:") and HARMLESS_ERROR not in words]
    context.close()
    assert outside == failed == []
    assert len(errors) <= len(known), errors  # one line per known failure


def search(interface: str, kind: str, **query: object) -> dict:
    """Search experiments or runs through MLflow's REST interface."""
    request = Request(f"{interface}/api/2.0/mlflow/{kind}/search", json.dumps(query).encode())
    request.add_header("Content-Type", "application/json")
    with urlopen(request) as answer:
        return json.load(answer)


@pytest.fixture
def vaes(interface: str) -> tuple[str, dict[str, dict[str, float]]]:
    """Return the id of the VAEs' experiment in MLflow, and the last metrics of each run by its name."""
    found = search(interface, "experiments", max_results=100)["experiments"]
    experiment = next(each["experiment_id"] for each in found if each["name"] == "vae")
    runs = search(interface, "runs", experiment_ids=[experiment])["runs"]
    metrics = {run["info"]["run_name"]: {each["key"]: each["value"] for each in run["data"]["metrics"]} for run in runs}
    return experiment, metrics


def test_the_list_of_an_experiment_shows_its_runs(tab: Page, vaes: tuple[str, dict]) -> None:
    experiment, runs = vaes
    assert {"vae-20d", "vae-2d"} <= set(runs)
    tab.goto(f"/#/experiments/{experiment}/runs")
    for name in runs:  # the list also has links to the models, which have the same names
        expect(tab.locator("a[href*='/runs/']").get_by_text(name, exact=True)).to_be_visible()


def test_the_comparison_of_two_runs_shows_both(tab: Page, vaes: tuple[str, dict]) -> None:
    experiment, runs = vaes
    tab.goto(f"/#/experiments/{experiment}/runs")
    for name in ("vae-20d", "vae-2d"):
        link = tab.get_by_role("link", name=name, exact=True)
        tab.get_by_role("row").filter(has=link).get_by_role("checkbox").first.check()
    tab.get_by_role("button", name="Compare", exact=True).click()
    expect(tab.get_by_role("heading", name="Comparing 2 Runs")).to_be_visible()
    for name in ("vae-20d", "vae-2d"):
        expect(tab.get_by_text(name, exact=True).first).to_be_visible()
    expect(tab.get_by_text("fid_classifier", exact=True)).to_be_visible()
    shown = [float(line) for line in tab.inner_text("body").splitlines() if NUMBER.fullmatch(line)]
    for name in ("vae-20d", "vae-2d"):
        assert pytest.approx(runs[name]["fid_classifier"], rel=1e-3) in shown
