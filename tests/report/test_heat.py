"""Heatmaps of a page in a real Chromium: the slider, a cell's numbers, keys, no messages."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, sync_playwright

from kc.report.heat import HeatMap, HeatMeasure, write_heat
from kc.report.page import PageSection, write_page
from kc.report.tables import TableText, write_table

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
RAW = np.array([[0.0, 0.25, 0.5], [1.0, np.nan, 0.75]])
HEAT = HeatMap(
    "layers",
    ("a: left", ["conv1", "conv2"]),
    ("b: right", ["one", "two", "</script>"]),
    [HeatMeasure("CKA", RAW, RAW / 2), HeatMeasure("share given", 1 - RAW)],
)

SAID: list[tuple[str, str]] = []
"""Messages of the page: kind and text."""


def written(folder: Path) -> Path:
    write_table(
        pd.DataFrame({"x": [1.0]}), folder / "table", TableText("Table", "", ()), provenance={}
    )
    section = PageSection("layers", "Layers", "", [folder / "table"], [], heats=[HEAT])
    return write_page(folder, title="Two", lead="Lead.", sections=[section], views=[])


def test_the_script_holds_numbers_and_null_and_no_markup(tmp_path: Path):
    write_heat(HEAT, tmp_path)
    text = (tmp_path / "heat-layers.js").read_text(encoding="ascii")
    assert text.startswith('kcData("heat-layers",{')
    content = json.loads(text.removeprefix('kcData("heat-layers",').removesuffix(");\n"))
    assert content["measures"][0]["raw"] == [[0, 0.25, 0.5], [1, None, 0.75]]
    assert content["measures"][0]["calibrated"][1][2] == 0.375
    assert content["measures"][1]["calibrated"] is None
    assert content["columns"][2] == "</script>"
    assert len(content["colours"]) == 768
    assert content["colours"][:3] != content["colours"][-3:]


def test_a_page_without_heatmaps_loads_no_script_for_them(tmp_path: Path):
    page = written(tmp_path)
    assert "index_files/heat.js" in page.read_text()
    section = PageSection("layers", "Layers", "", [tmp_path / "table"], [])
    page = write_page(tmp_path, title="Two", lead="Lead.", sections=[section], views=[])
    assert "heat.js" not in page.read_text()
    # the older page's script is gone
    assert not (tmp_path / "index_files" / "heat-layers.js").exists()


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    if CHROMIUM is None:
        pytest.skip("no Chromium here; as root: apt-get install chromium")
    file = written(tmp_path_factory.mktemp("heat"))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        opened = browser.new_page()
        opened.on("console", lambda message: SAID.append((message.type, message.text)))
        opened.on("pageerror", lambda error: SAID.append(("error", str(error))))
        opened.goto(file.as_uri())
        opened.wait_for_selector("[data-heat][aria-busy=false]")
        yield opened
        browser.close()


def colour(page: Page, panel: int, row: int, column: int) -> list[int]:
    """Return red, green, blue and opacity in the middle of a cell."""
    return page.evaluate(
        """([panel, row, column]) => {
        const canvas = document.querySelectorAll(".heats canvas")[panel];
        const side = canvas.height / 2;
        const at = [(column + 0.5) * side, (row + 0.5) * side].map(Math.floor);
        return Array.from(canvas.getContext("2d").getImageData(...at, 1, 1).data); }""",
        [panel, row, column],
    )


def test_raw_and_calibrated_values_are_side_by_side_by_measure(page: Page):
    colours = json.loads(
        Path(page.url.removeprefix("file://"))
        .with_name("index_files")
        .joinpath("heat-layers.js")
        .read_text()
        .removeprefix('kcData("heat-layers",')
        .removesuffix(");\n")
    )["colours"]
    at = lambda value: colours[3 * round(255 * value) :][:3]  # noqa: E731
    assert page.locator(".heats canvas").count() == 2
    assert colour(page, 0, 1, 0)[:3] == at(1)
    assert colour(page, 1, 1, 0)[:3] == at(0.5)
    assert colour(page, 0, 1, 1)[3] == 0  # not measured
    page.locator("[data-heat] input").focus()
    page.keyboard.press("ArrowRight")
    assert page.locator("[data-heat] output").inner_text() == "share given"
    assert page.locator(".heats canvas").count() == 1
    assert colour(page, 0, 1, 0)[:3] == at(0)
    page.keyboard.press("ArrowLeft")
    assert page.locator("[data-heat] output").inner_text() == "CKA"


def test_pointing_reads_a_cell_and_a_click_keeps_all_its_measures(page: Page):
    box = page.locator(".heats canvas").first.bounding_box()
    assert box is not None
    side = box["height"] / 2
    page.mouse.move(box["x"] + 2.5 * side, box["y"] + 0.5 * side)
    said = page.locator("[data-heat] [role=status]")
    assert said.inner_text() == "a: left, conv1; b: right, </script>: 0.500, calibrated 0.250"
    page.mouse.click(box["x"] + 2.5 * side, box["y"] + 0.5 * side)
    told = page.locator("[data-heat] dl").inner_text()
    assert "0.500; calibrated 0.250" in told
    assert "share given" in told
    page.mouse.click(box["x"] + 1.5 * side, box["y"] + 1.5 * side)
    assert "not measured; calibrated not measured" in page.locator("[data-heat] dl").inner_text()


def test_arrow_keys_choose_cells_and_stay_inside(page: Page):
    page.locator(".heats canvas").first.focus()
    for key in ("ArrowUp", "ArrowUp", "ArrowLeft", "ArrowLeft", "ArrowLeft"):
        page.keyboard.press(key)
    said = page.locator("[data-heat] [role=status]")
    assert said.inner_text().startswith("a: left, conv1; b: right, one: 0.000")
    page.keyboard.press("ArrowDown")
    assert said.inner_text().startswith("a: left, conv2; b: right, one: 1.000")


def test_the_page_reports_no_error(page: Page):
    page.evaluate("console.log('heard')")
    assert ("log", "heard") in SAID
    # reading pixels in these tests warns that it is slow; the test of accessibility, last, connects
    assert [text for kind, text in SAID if kind == "error"] == []


def test_no_rule_of_accessibility_is_broken_by_heatmaps(page: Page):
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
