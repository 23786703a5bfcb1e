"""The page's folder is complete, loads nothing from elsewhere, and shows the tables' contents."""

import re
import shutil
from html import unescape
from html.parser import HTMLParser
from itertools import chain, pairwise
from pathlib import Path

import pandas as pd
import pytest
from markdown_it import MarkdownIt
from PIL import Image

from kc.errors import StoreError, printable
from kc.report.page import FILES, Drawing, PageSection, write_page
from kc.report.tables import Column, TableText, read_table, write_table
from kc.report.viewer import Shown, View
from kc.store.ownership import LEDGER, claim
from tests.reference.written_components import written_view

NOTES = ["Sure: x* - g(x) is x_A's, a < b & c | d.", "[n] is *not* `n`."]
FRAME = pd.DataFrame(
    {
        "layer": ["conv4|5", "<b>conv</b>"],
        "share": [0.12345, 0.5],
        "ci_low": [0.1, float("nan")],
        "ci_high": [0.2, float("nan")],
        "paper": [0.086, 1.0],
    }
)


class Page(HTMLParser):
    """Links, ids and words of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.ids: list[str] = []
        self.labels: list[str] = []
        self.words: list[str] = []
        self.inline: list[str] = []
        self.policy = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "style" or (tag == "script" and "src" not in dict(attrs)):
            self.inline.append(tag)
        if dict(attrs).get("http-equiv") == "Content-Security-Policy":
            assert not self.links  # a policy does not apply to what comes before it
            self.policy = dict(attrs)["content"] or ""
        for name, value in attrs:
            if name == "style" or name.startswith("on"):
                self.inline.append(name)
            if name in ("href", "src") and value:
                self.links.append(value)
            elif name == "id" and value:
                self.ids.append(value)
            elif name in ("for", "aria-labelledby") and value:
                self.labels.append(value)

    def handle_data(self, data: str) -> None:
        self.words += data.split()

    @property
    def text(self) -> str:
        return " ".join(self.words)


def written(folder: Path, name: str = "table9") -> Path:
    stem = folder / "tables" / name
    write_table(
        FRAME,
        stem,
        TableText(title="Table 9: <shares>", caption="Shares of Var(x*).", notes=NOTES),
        provenance={"code": "abc", "settings": {"order": 2}, "devices": ["cpu"], "fits": {"f": 1}},
        columns={"share": Column("Var(xdelta) / Var(x*)", ".3f")},
    )
    return stem


def drawn(folder: Path, name: str = "fig9") -> Drawing:
    (folder / "figures").mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (30, 20), "red").save(folder / "figures" / f"{name}.png")
    return Drawing(folder / "figures" / name, 'Fig. 9, "red".')


def page_in(folder: Path, views: list[View] | None = None) -> Path:
    section = PageSection("nine", "Nine & more", "About.", [written(folder)], [drawn(folder)])
    return write_page(
        folder / "report",
        title="What < is known",
        lead="The answer.",
        sections=[section],
        views=[written_view(folder)] if views is None else views,
        shown=Shown(5, 4),
    )


def files_of(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_everything_the_page_links_to_is_in_its_folder(tmp_path: Path):
    path = page_in(tmp_path)
    assert path == tmp_path / "report" / "index.html"
    page = Page(path.read_text())
    assert len(page.ids) == len(set(page.ids))
    assert set(page.labels) <= set(page.ids)
    beside = [link for link in page.links if not link.startswith(("#", "data:"))]
    assert len(beside) > 6
    for link in beside:
        assert (path.parent / link).is_file(), link
    for link in page.links:
        if link.startswith("#"):
            assert link[1:] in page.ids, link
    for name, content in files_of(path.parent).items():
        assert not re.search(rb"https?:|[\"'(]//|@import|fetch\(|XMLHttp", content), name
        assert str(tmp_path).encode() not in content, name


def test_tables_keep_their_words_and_numbers(tmp_path: Path):
    text = page_in(tmp_path).read_text()
    page = Page(text)
    for told in ("conv4|5", "<b>conv</b>", "0.123", "[0.1, 0.2]", "Table 9: <shares>", *NOTES):
        assert told in page.text
    assert "Shares of Var(x*)." in page.text
    assert "What < is known" in page.text
    assert "<b>conv" not in text
    assert '<td class="right paper">0.086</td>' in text
    assert text.count('paper">') == 3  # the head and two rows
    assert (tmp_path / "report" / FILES / "table9.csv").read_text() == FRAME.to_csv(index=False)
    assert 'alt="Fig. 9, &#34;red&#34;."' in text
    assert 'width="30" height="20"' in text


def test_a_policy_lets_nothing_run_but_the_pages_own_files(tmp_path: Path):
    page = Page(page_in(tmp_path).read_text())
    assert "default-src 'none'; script-src 'self' file:; style-src 'self' file:;" in page.policy
    assert "unsafe" not in page.policy
    assert page.inline == []


HOSTILE = [
    '=HYPERLINK("http:||x","y")',
    "<img src=x onerror=alert(1)>",
    "a|b\\|c\\",
    "line\nbreak",
    "&lt;b&gt;",
    "\u202egnp.exe",
    "\x1b]0;owned\x07",
    "[x](javascript:alert(1))",
    "`a",
    "*b*_c_~~d~~$e$",
    "\udcff",
]


def test_hostile_names_are_shown_as_text_in_table_and_page(tmp_path: Path):
    stem = tmp_path / "tables" / "names"
    names = pd.DataFrame({"class": HOSTILE, "share": range(len(HOSTILE))}, dtype=object)
    about = "; ".join(HOSTILE)
    write_table(names, stem, TableText(about, about, [about]), provenance={"where": about})
    seen = [printable(name) for name in HOSTILE]
    markdown = stem.with_suffix(".md").read_text()
    assert markdown.isprintable() or set(filter(lambda c: not c.isprintable(), markdown)) == {"\n"}
    assert "<img" not in markdown
    # as the readers of Markdown see it that run most of it
    tokens = MarkdownIt("gfm-like", {"linkify": False}).parse(markdown)
    cells = [t.children or [] for before, t in pairwise(tokens) if before.type == "td_open"]
    assert ["".join(c.content for c in cell) for cell in cells[::2]] == seen
    assert {child.type for cell in cells for child in cell} <= {"text", "text_special"}
    found = read_table(stem)["shown"]
    assert (found["title"], found["caption"], found["notes"][0]) == ("; ".join(seen),) * 3
    assert [cells[0] for cells in found["rows"]] == seen
    section = PageSection("nine", about, about, [stem], [drawn(tmp_path)._replace(caption=about)])
    path = write_page(tmp_path / "out", title=about, lead=about, sections=[section], views=[])
    text = path.read_text()
    page = Page(text)
    assert page.inline == []
    assert "<img src=x" not in text
    # in the contents, over the table, under it and in its note
    assert page.text.count("; ".join(seen)) == 4
    assert not set(about) & set(text) & {"\u202e", "\x1b", "\x07"}


def test_a_page_shows_the_cells_of_the_frame_with_the_headers_and_digits_of_the_table(
    tmp_path: Path,
):
    shown = read_table(written(tmp_path))["shown"]
    assert shown == {
        "title": "Table 9: <shares>",
        "heads": ["layer", "Var(xdelta) / Var(x*)", "95 % interval", "paper"],
        "sides": ["left", "right", "right", "right"],
        "rows": [["conv4|5", "0.123", "[0.1, 0.2]", "0.086"], ["<b>conv</b>", "0.500", "", "1"]],
        "caption": "Shares of Var(x*).",
        "notes": NOTES,
    }
    text = page_in(tmp_path / "page", []).read_text()
    cells = re.findall(r"<t[hd] [^>]*>([^<]*)</t[hd]>", text)
    assert [unescape(cell) for cell in cells] == [*shown["heads"], *chain(*shown["rows"])]
    assert '<th class="right paper">paper</th>' in text


def test_origins_are_shown_once_for_tables_that_share_them(tmp_path: Path):
    stems = [written(tmp_path), written(tmp_path, "table10")]
    section = PageSection("nine", "Nine", "About.", stems, [])
    path = write_page(tmp_path / "out", title="T", lead="", sections=[section], views=[])
    text = path.read_text()
    assert text.count('<section class="origin">') == 1
    assert "<h3>table9, table10</h3>" in text
    assert "<dt>code</dt><dd>abc</dd>" in text
    assert "&#34;order&#34;: 2" in text


def test_without_views_there_is_no_viewer(tmp_path: Path):
    text = page_in(tmp_path, []).read_text()
    assert "viewer" not in text
    assert 'id="viewer"' in page_in(tmp_path / "other").read_text()


def test_the_same_inputs_give_the_same_bytes_and_old_files_are_removed(tmp_path: Path):
    first = files_of(page_in(tmp_path / "a").parent)
    folder = page_in(tmp_path / "b").parent
    assert files_of(folder) == first
    (folder / FILES / "old~0.js").touch()
    claim(folder / FILES, [path.name for path in (folder / FILES).iterdir()])  # of an older page
    (folder / "mine.txt").touch()
    (tmp_path / "b" / "figures" / "fig9.png").unlink()
    (tmp_path / "b" / "figures").rmdir()
    page_in(tmp_path / "b")
    assert set(files_of(folder)) == {*first, "mine.txt"}


def test_a_missing_table_or_figure_is_named(tmp_path: Path):
    section = PageSection("nine", "Nine", "", [tmp_path / "table9"], [])
    with pytest.raises(StoreError, match=r"table9.json: no such file. Fix: run the command"):
        write_page(tmp_path / "out", title="T", lead="", sections=[section], views=[])
    section = PageSection("nine", "Nine", "", [], [Drawing(tmp_path / "fig9", "")])
    with pytest.raises(StoreError, match=r"fig9.png: no such file. Fix: run the command"):
        write_page(tmp_path / "out", title="T", lead="", sections=[section], views=[])
    assert not (tmp_path / "out" / "index.html").exists()


def test_a_json_file_that_is_not_a_tables_is_refused(tmp_path: Path):
    (tmp_path / "table9.json").write_text('{"mine": 1}')
    with pytest.raises(StoreError, match=r"table9.json: expected the digests and cells of a table"):
        read_table(tmp_path / "table9")


@pytest.mark.parametrize("name", [f"{FILES}/mine.txt", f"{FILES}/old/deep.js", "index.html", FILES])
def test_a_users_file_beside_a_page_is_refused(tmp_path: Path, name: str):
    file = tmp_path / "report" / name
    file.parent.mkdir(parents=True)
    file.write_text("<p>mine</p>")
    with pytest.raises(StoreError, match=r"report: kc did not make .*Fix: move it away"):
        page_in(tmp_path, [])
    assert files_of(tmp_path / "report") == {name: b"<p>mine</p>"}


def test_a_folder_linked_in_a_pages_place_keeps_its_files(tmp_path: Path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/page.css").write_text("mine")
    (tmp_path / "report").mkdir()
    (tmp_path / "report" / FILES).symlink_to(tmp_path / "mine")
    with pytest.raises(StoreError, match=f"kc did not make {FILES}, and writes here"):
        page_in(tmp_path, [])
    assert (tmp_path / "mine/page.css").read_text() == "mine"


def test_a_page_without_a_list_of_its_files_is_replaced(tmp_path: Path):
    first = files_of(page_in(tmp_path / "a").parent)
    folder = page_in(tmp_path / "b").parent
    (folder / FILES / LEDGER).unlink()
    (folder / FILES / "old~0.js").touch()
    (folder / FILES / "views.js").unlink()
    (folder / FILES / "views.js").symlink_to(tmp_path / "b/table9.csv")
    shutil.rmtree(tmp_path / "b/figures")
    page_in(tmp_path / "b")
    assert files_of(folder) == first


def test_a_figure_named_as_a_table_is_above_it_and_details_are_folded(tmp_path: Path):
    stems = [written(tmp_path, name) for name in ("table9", "table9_pairs")]
    figures = [drawn(tmp_path), drawn(tmp_path, "table9")]
    section = PageSection("nine", "Nine", "About.", stems[:1], figures, stems[1:])
    write_page(tmp_path / "page", title="T", lead="L", sections=[section], views=[])
    text = (tmp_path / "page" / "index.html").read_text()
    ids = [text.index(f'id="{name}"') for name in (
        "figure-table9", "table-table9", "table-table9_pairs", "figure-fig9",
    )]  # fmt: skip
    assert ids == sorted(ids)
    assert text.count('id="figure-table9"') == 1
    folded = text.index('<details class="folded">')
    assert ids[2] < folded < text.index("</details>", folded) < ids[3]
    assert text[folded : text.index("</details>", folded)].count("<tr>") == 1 + len(FRAME)


def test_only_the_first_notes_are_shown_unfolded(tmp_path: Path):
    stem = tmp_path / "tables" / "table9"
    notes = [f"note number {number}" for number in range(5)]
    write_table(FRAME, stem, TableText("T", "", notes), provenance={})
    section = PageSection("nine", "Nine", "", [stem], [])
    write_page(tmp_path / "page", title="T", lead="L", sections=[section], views=[])
    text = (tmp_path / "page" / "index.html").read_text()
    first, more = text.index('<ul class="notes">'), text.index("<summary>More notes (2)")
    at = [text.index(note) for note in notes]
    assert first < at[0] < at[2] < more < at[3] < at[4]
