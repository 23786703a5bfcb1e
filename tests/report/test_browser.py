"""The page in a real Chromium, opened from disk: what a reader sees."""

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from io import BytesIO
from pathlib import Path
from typing import Literal

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, sync_playwright

from kc.report.page import FILES, Drawing, PageSection, write_page
from kc.report.pictures import enlarge_map
from kc.report.tables import TableText, write_table
from kc.report.viewer import Shown
from tests.reference.written_components import names, written_view

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="no Chromium here; as root: apt-get install chromium"
)
ARTEFACTS = Path(os.environ.get("CI_ARTEFACTS", Path(__file__).parent / "artefacts"))
IMAGES, FILTERS, SIDE = 50, 64, 14
LAYERS = {"a-from-b-conv4": 1, "a-from-b-conv5": 2}
"""Names of the views, and the seed of each one's components."""


def components(seed: int) -> np.ndarray:
    """Return maps of 3 x 3 patches whose filters differ in their share of x^Delta."""
    rng = np.random.default_rng(seed)
    coarse = rng.standard_normal((4, IMAGES, FILTERS, 3, 3)).astype(np.float32)
    fine = np.kron(coarse, np.ones((5, 5), np.float32))[..., :SIDE, :SIDE]
    fine *= np.array([1, 0.2, 0.05, 1], np.float32)[:, None, None, None, None]
    fine[-1] *= np.linspace(0.1, 2, FILTERS, dtype=np.float32)[:, None, None]
    return fine.astype(np.float16)


def ranked(seed: int) -> list[int]:
    """Return the filters by their share of x^Delta, largest first."""
    values = components(seed).astype(np.float64)
    share = values[-1].var((0, 2, 3)) / values.sum(0).var((0, 2, 3))
    return [int(c) for c in np.argsort(-share)]


@dataclass
class Opened:
    """A page, with its requests and messages since it was opened."""

    page: Page
    requests: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)

    def open(self, url: str) -> "Opened":
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("console", self._hear)
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.goto(url)
        return self

    def _hear(self, message: ConsoleMessage) -> None:
        self.said.append(message.text)

    def ready(self) -> "Opened":
        self.page.wait_for_selector("#viewer[aria-busy=false]")
        return self

    def stage(self) -> np.ndarray:
        """Return the large picture as it is on the screen."""
        shot = self.page.locator("#stage").screenshot()
        return np.asarray(Image.open(BytesIO(shot)).convert("RGB"), np.int16)

    def line(self, row: int) -> np.ndarray:
        """Return a line of the large map's own pixels, without the image below it."""
        values = self.page.evaluate(
            """row => { const canvas = document.querySelector("#stage canvas");
            return Array.from(canvas.getContext("2d").getImageData(0, row, 256, 1).data); }""",
            row,
        )
        return np.array(values, np.int16).reshape(256, 4)[:, :3]

    def chosen(self, listed: str) -> int:
        option = self.page.locator(f"#{listed} [aria-selected=true]")
        assert option.count() == 1
        assert self.page.locator(f"#{listed}").get_attribute(
            "aria-activedescendant"
        ) == option.get_attribute("id")
        return int(option.get_attribute("data-value") or -1)

    def order(self, listed: str) -> list[int]:
        return self.page.eval_on_selector_all(
            f"#{listed} [role=option]", "options => options.map(o => Number(o.dataset.value))"
        )


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    views = [
        written_view(folder, components(seed), ids=names(IMAGES), name=name)
        for name, seed in LAYERS.items()
    ]
    views.append(replace(written_view(folder, name="b-from-a"), pair="a to b"))
    (folder / "figures").mkdir()
    Image.new("RGB", (300, 200), "red").save(folder / "figures" / "fig9.png")
    stem = folder / "tables" / "table9"
    table = pd.DataFrame({"layer": ["conv4", "conv5"], "share": [0.1, 0.2], "paper": [0.3, 0.4]})
    about = {"code": "abc", "settings": {"order": 2}}
    write_table(
        table, stem, TableText(title="Table 9", caption="C.", notes=["One."]), provenance=about
    )
    figure = Drawing(folder / "figures" / "fig9", "Fig. 9.")
    section = PageSection("nine", "Nine", "About.", [stem], [figure])
    return write_page(
        folder / "out", title="Page", lead="Lead.", sections=[section], views=views, shown=Shown()
    )


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        # a container's root has no sandbox of its own
        found = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield found
        found.close()


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    found = browser.new_context(viewport={"width": 1366, "height": 768}, color_scheme="light")
    found.set_default_timeout(120_000)
    yield found
    found.close()


@pytest.fixture
def viewer(context: BrowserContext, report: Path) -> Opened:
    return Opened(context.new_page()).open(f"{report.as_uri()}#viewer").ready()


def keep(opened: Opened, name: str) -> None:
    ARTEFACTS.mkdir(parents=True, exist_ok=True)
    opened.page.screenshot(path=ARTEFACTS / f"{name}.png")


def differs(a: np.ndarray, b: np.ndarray) -> bool:
    return bool((np.abs(a - b) > 24).any(-1).mean() > 0.02)


def test_the_page_opens_from_disk_without_messages_or_requests(
    viewer: Opened, capsys: pytest.CaptureFixture[str]
):
    assert len(viewer.requests) > 6
    assert {url.split(":")[0] for url in viewer.requests} <= {"file", "data"}
    assert viewer.said == []
    assert len(viewer.order("filters")) == FILTERS
    assert len(viewer.order("images")) == IMAGES
    ready = viewer.page.evaluate("performance.getEntriesByName('viewer-ready')[0].startTime")
    with capsys.disabled():
        print(f" viewer ready after {ready / 1000:.2f} s ")  # noqa: T201
    keep(viewer, "viewer")


def test_a_key_shows_the_next_filter_and_another_picture(viewer: Opened):
    first, order = viewer.stage(), viewer.order("filters")
    assert order == ranked(LAYERS["a-from-b-conv4"])
    assert viewer.chosen("filters") == order[0]
    viewer.page.keyboard.press("ArrowDown")
    viewer.ready()
    assert viewer.chosen("filters") == order[1]
    assert f"filter={order[1]}" in viewer.page.url
    assert differs(viewer.stage(), first)
    viewer.page.keyboard.press("ArrowUp")
    viewer.ready()
    np.testing.assert_array_equal(viewer.stage(), first)
    viewer.page.keyboard.press("End")
    viewer.ready()
    assert viewer.chosen("filters") == order[-1]
    viewer.page.keyboard.press("ArrowDown")  # the end holds
    assert viewer.chosen("filters") == order[-1]


def test_a_key_shows_the_next_image(viewer: Opened):
    first, order = viewer.stage(), viewer.order("images")
    viewer.page.keyboard.press("ArrowRight")
    viewer.ready()
    assert viewer.chosen("images") == order[1]
    assert viewer.chosen("filters") == viewer.order("filters")[0]
    assert differs(viewer.stage(), first)


@pytest.mark.parametrize(("key", "weights"), [("1", (1, 0)), ("2", (1, 1)), ("3", (0, 1))])
def test_the_map_is_the_part_at_the_sliders_position(viewer: Opened, key: str, weights):
    viewer.page.keyboard.press(key)
    c, image = viewer.chosen("filters"), viewer.chosen("images")
    values = components(LAYERS["a-from-b-conv4"])[:, :, c].astype(np.float64)
    limit = max(np.abs(values).max(), np.abs(values.sum(0)).max())

    kept, missing = values[:-1, image].sum(0), values[-1, image]
    shown = np.stack([viewer.line(row) for row in range(0, 256, 16)])

    def away(of_kept: int, of_missing: int) -> float:
        levels = (enlarge_map(of_kept * kept + of_missing * missing, 256, 256) / limit + 1) / 2
        return float(np.abs(shown - 255 * mpl.colormaps["RdBu_r"](levels)[::16, :, :3]).mean())

    assert away(*weights) < 3
    assert all(away(*other) > 6 for other in {(1, 0), (1, 1), (0, 1)} - {weights})


def test_the_slider_changes_the_picture(viewer: Opened):
    middle = viewer.stage()
    slider = viewer.page.locator("#mix")
    assert slider.get_attribute("aria-valuetext") == "x*"
    slider.focus()
    viewer.page.keyboard.press("End")
    assert slider.get_attribute("aria-valuetext") == "x^Δ"
    right = viewer.stage()
    viewer.page.keyboard.press("Home")
    assert slider.get_attribute("aria-valuetext") == "g(x)"
    left = viewer.stage()
    assert differs(middle, right)
    assert differs(middle, left)
    assert differs(left, right)
    # arrows on a slider are the slider's: filter and image stay
    viewer.page.keyboard.press("ArrowRight")
    assert "mix=1" in viewer.page.url
    assert viewer.chosen("images") == viewer.order("images")[0]


def test_the_link_restores_the_view(viewer: Opened, context: BrowserContext):
    viewer.page.select_option("#layer", "a-from-b-conv5")
    viewer.ready()
    for key in ("ArrowDown", "ArrowDown", "ArrowRight", "3"):
        viewer.page.keyboard.press(key)
        viewer.ready()
    viewer.page.select_option("#filter-sort", "number")
    url, stage = viewer.page.url, viewer.stage()
    keep(viewer, "link")
    again = Opened(context.new_page()).open(url).ready()
    assert again.page.url == url
    assert again.page.locator("#layer").input_value() == "a-from-b-conv5"
    assert again.chosen("filters") == ranked(LAYERS["a-from-b-conv5"])[2]
    assert again.chosen("images") == viewer.chosen("images")
    assert again.order("filters") == list(range(FILTERS))
    np.testing.assert_array_equal(again.stage(), stage)
    other = Opened(context.new_page()).open(url.replace("mix=100", "mix=0")).ready()
    assert differs(other.stage(), stage)


def test_a_link_to_an_unknown_view_shows_the_first(context: BrowserContext, report: Path):
    wrong = "#viewer?view=nothing&filter=999&image=999&mix=x"
    found = Opened(context.new_page()).open(report.as_uri() + wrong).ready()
    assert found.said == []
    assert found.chosen("filters") == ranked(LAYERS["a-from-b-conv4"])[0]
    assert found.chosen("images") == found.order("images")[0]
    assert "view=a-from-b-conv4" in found.page.url


@pytest.mark.parametrize(
    ("given", "mix", "opacity"),
    [
        ("mix=300&opacity=-5", "100", "0"),
        ("mix=-1e999&opacity=", "0", "65"),
        ("mix=0x", "50", "65"),
    ],
)
def test_values_in_a_link_are_limited_to_their_range(
    context: BrowserContext, report: Path, given: str, mix: str, opacity: str
):
    url = f"{report.as_uri()}#viewer?{given}&filters=toString&images=%&filter=-1&image=1.5"
    found = Opened(context.new_page()).open(url).ready()
    assert found.said == []
    assert found.page.locator("#mix").input_value() == mix
    assert f"mix={mix}" in found.page.url or mix == "50"
    assert found.page.locator("#viewer").evaluate("e => e.style.getPropertyValue('--opacity')") == (
        f"{int(opacity) / 100:g}"
    )
    assert found.chosen("filters") == ranked(LAYERS["a-from-b-conv4"])[0]
    assert found.chosen("images") == found.order("images")[0]
    assert found.page.locator("#filter-sort").input_value() == "most"


@pytest.mark.parametrize("mark", ["%", "%E0%A4%A", "nothing"])
def test_a_link_without_a_target_shows_the_results(
    context: BrowserContext, report: Path, mark: str
):
    opened = Opened(context.new_page()).open(f"{report.as_uri()}#{mark}")
    assert opened.page.locator("#results").is_visible()
    assert opened.page.locator("#viewer").is_hidden()
    opened.page.click("header >> text=Feature viewer")
    opened.ready()
    assert opened.said == []


def test_an_injected_script_does_not_run(report: Path, context: BrowserContext, tmp_path: Path):
    copy = shutil.copytree(report.parent, tmp_path / "copy")
    page = copy / "index.html"
    bad = "<script>document.title = 'run'</script><img src=x onerror=\"document.title = 'run'\">"
    page.write_text(page.read_text().replace("<p>About.</p>", bad))
    opened = Opened(context.new_page()).open(page.as_uri())
    opened.page.wait_for_load_state()
    assert opened.page.title() == "Page"
    assert sum("Content Security Policy" in said for said in opened.said) == 2


def test_pairs_and_layers_are_picked(viewer: Opened):
    layers = viewer.page.locator("#layer option").all_inner_texts()
    assert [layer.split()[0] for layer in layers] == ["conv4", "conv5"]
    first = viewer.stage()
    viewer.page.select_option("#layer", "a-from-b-conv5")
    viewer.ready()
    second = viewer.stage()
    assert differs(first, second)
    viewer.page.select_option("#pair", "a to b")
    viewer.ready()
    assert len(viewer.order("filters")) == 6
    assert differs(viewer.stage(), second)
    assert viewer.said == []


@pytest.mark.parametrize("listed", ["filters", "images"])
def test_filters_and_images_are_sorted_by_their_share(viewer: Opened, listed: str):
    def shares() -> list[float]:
        found = viewer.page.locator(f"#{listed} [role=option] > span:last-child").all_inner_texts()
        return [float(text) for text in found]

    sort = f"#{listed[:-1]}-sort"
    most = shares()
    assert most == sorted(most, reverse=True)
    assert most[0] > most[-1]
    viewer.page.select_option(sort, "least")
    assert shares() == sorted(most)
    viewer.page.select_option(sort, {"filters": "number", "images": "order"}[listed])
    assert viewer.order(listed) == sorted(viewer.order(listed))
    assert sorted(shares()) == sorted(most)


def brightness(opened: Opened) -> float:
    shot = Image.open(BytesIO(opened.page.screenshot())).convert("L")
    return float(np.asarray(shot).mean())


def test_the_dark_theme_follows_the_system_or_the_reader(browser: Browser, report: Path):
    with browser.new_context(color_scheme="dark") as context:
        url = f"{report.as_uri()}#viewer"
        opened = Opened(context.new_page()).open(url).ready()
        dark = brightness(opened)
        keep(opened, "viewer-dark")
        opened.page.click("#theme")
        light = brightness(opened)
        assert dark < 90 < 170 < light
        again = Opened(context.new_page()).open(url).ready()
        assert brightness(again) > 170  # remembered
        again.page.keyboard.press("d")
        assert brightness(again) < 90


@pytest.mark.parametrize("scheme", ["light", pytest.param("dark", marks=pytest.mark.long)])
@pytest.mark.parametrize("part", ["results", "viewer", "provenance"])
def test_no_rule_of_accessibility_is_broken(
    browser: Browser, report: Path, scheme: Literal["light", "dark"], part: str
):
    # contrast of text, names of controls, landmarks, order of headings: all axe's default rules
    with browser.new_context(color_scheme=scheme) as context:
        opened = Opened(context.new_page()).open(f"{report.as_uri()}#{part}")
        opened.page.wait_for_selector(f"#{part}:visible")
        if part == "viewer":
            opened.ready()
        found = Axe().run(opened.page)
        assert found.violations_count == 0, found.generate_report()


def test_results_come_first_and_links_lead_to_their_place(context: BrowserContext, report: Path):
    opened = Opened(context.new_page()).open(report.as_uri())
    page = opened.page
    assert page.locator("h2:visible").all_inner_texts() == ["Nine"]
    assert page.locator("#viewer").is_hidden()
    keep(opened, "results")
    page.click("a[href='#origin-table9']")
    assert page.locator("#provenance").is_visible()
    assert page.locator("nav [aria-current=page]").inner_text() == "Provenance"
    page.click("header >> text=Feature viewer")
    opened.ready()
    assert page.locator("#results").is_hidden()
    page.go_back()
    assert page.locator("#provenance").is_visible()
    assert opened.said == []


def test_every_control_has_a_name_and_help_lists_the_keys(viewer: Opened):
    unnamed = viewer.page.evaluate(
        """() => [...document.querySelectorAll(
            "button, select, input, [role=listbox], [role=option], [role=img], [role=region]")]
        .filter(e => !(e.innerText.trim() && e.tagName === "BUTTON")
            && !e.labels?.length && !e.getAttribute("aria-label")
            && !document.getElementById(e.getAttribute("aria-labelledby") ?? ""))
        .map(e => e.outerHTML.slice(0, 80))"""
    )
    assert unnamed == []
    before = viewer.chosen("filters")
    viewer.page.keyboard.press("?")
    assert viewer.page.locator("dialog[open] kbd").count() > 8
    viewer.page.keyboard.press("ArrowDown")  # not while the keys are told
    viewer.page.keyboard.press("Escape")
    assert viewer.page.locator("dialog[open]").count() == 0
    assert viewer.chosen("filters") == before


def test_pointing_at_a_map_shows_its_values(viewer: Opened):
    box = viewer.page.locator("#stage").bounding_box()
    assert box is not None
    row, column = 2, 11
    x = box["x"] + box["width"] * (column + 0.5) / SIDE
    viewer.page.mouse.move(x, box["y"] + box["height"] * (row + 0.5) / SIDE)
    told = viewer.page.locator("#readout").inner_text()
    values = components(LAYERS["a-from-b-conv4"]).astype(np.float64)
    at = values[:, viewer.chosen("images"), viewer.chosen("filters"), row, column]
    assert told.startswith(f"Row {row}, column {column}: x* ")
    minus = "\N{MINUS SIGN}"
    spelled = told.replace(f"{minus} ", "-").replace(minus, "-").replace("+ ", "").replace("= ", "")
    found = [float(word) for word in spelled.split(": ")[1].split()[1::2]]
    bound = np.abs(values[:, :, viewer.chosen("filters")]).max() / 100
    np.testing.assert_allclose(found, [at.sum(), *at], atol=bound)


def test_a_missing_file_is_reported(report: Path, context: BrowserContext, tmp_path: Path):
    copy = shutil.copytree(report.parent, tmp_path / "copy")
    (copy / FILES / "a-from-b-conv5.js").unlink()
    opened = Opened(context.new_page()).open(f"{(copy / 'index.html').as_uri()}#viewer").ready()
    opened.page.select_option("#layer", "a-from-b-conv5")
    opened.ready()
    opened.page.wait_for_function("document.getElementById('said').textContent")
    assert "a-from-b-conv5.js is missing" in opened.page.locator("#said").inner_text()
