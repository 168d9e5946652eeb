"""How the page looks in a real browser: on paper, in windows of any width, with many nodes; that nothing overlaps and all text can be read."""

import re

import pytest

from tests.browser import CHROMIUM
from tests.viz.pages import chain, compiled_page, data_of, full_page, graph_page, layers, noisy_page, stage_number, two_programs

pytestmark = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason="no chromium is installed")]


# print


def test_in_print_the_whole_diagram_is_on_one_light_sheet(reader, tmp_path):
    reader.read(tmp_path, compiled_page(), "#theme=dark&at=-900,-900,3&sel=Loss/loss")
    sheet = reader.printed()
    assert sheet.startswith(b"%PDF") and sheet.count(b"/Type /Page\n") == 1
    assert reader.evaluate("document.documentElement.dataset.theme") == "dark"
    assert reader.camera() == (-900, -900, 3)
    reader.evaluate("dispatchEvent(new Event('beforeprint'))")
    reader.media("print")
    assert reader.evaluate("document.documentElement.dataset.theme") == "light"
    shown = "getComputedStyle(document.querySelector('{}')).display"
    assert [reader.evaluate(shown.format(s)) for s in (".tools", "#panel", "#minimap")] == ["none"] * 3
    area = reader.evaluate("(r => [r.left, r.right])(document.getElementById('diagram').getBoundingClientRect())")
    boxes = reader.evaluate("[...document.querySelectorAll('#camera .item')].map(e => e.getBoundingClientRect()).map(r => [r.left, r.right])")
    assert all(area[0] <= left and right <= area[1] for left, right in boxes)


# many nodes


def test_ten_thousand_nodes_open_collapsed_and_only_what_is_open_is_laid_out(reader, tmp_path):
    reader.read(tmp_path, chain(10_000))
    parts = reader.items()
    assert 0 < len(parts) <= 100
    assert reader.evaluate("document.querySelectorAll('#camera *').length") < 2000
    reader.double_click(reader.item(sorted(parts)[0]))
    assert len(parts) < len(reader.items()) <= len(parts) + 160
    reader.press("/")
    reader.type("n9999")
    reader.press("Enter")
    assert reader.items("selected") == {"n9999"}
    assert len(reader.items()) <= len(parts) + 320


def test_a_stage_is_read_when_it_is_shown(reader, tmp_path):
    text = compiled_page()
    broken = re.sub(r'(id="stage-\d+">)\{(?=[^<]*"as")', r"\1", text)  # the last stage's data is no JSON
    assert broken != text
    reader.read(tmp_path, broken)
    assert reader.items()
    last = "[...document.querySelectorAll('[id^=stage-]')].pop().textContent"
    assert reader.evaluate(f"(() => {{ try {{ JSON.parse({last}) }} catch (e) {{ return e.name }} }})()") == "SyntaxError"


# the picture

OVERLAPS = """(() => {
    const boxes = [...document.querySelectorAll('#boxes .item')].map(e => [e.dataset.id, e.querySelector('.shape:not(.back)').getBoundingClientRect()]);
    const meet = (a, b) => a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 1 && b.top < a.bottom - 1;
    const found = [];
    boxes.forEach(([name, a], i) => boxes.slice(i + 1).forEach(([other, b]) => { if (meet(a, b)) found.push([name, other]); }));
    return found;
})()"""
CUT = """[...document.querySelectorAll('#boxes .item')].flatMap(e => {
    const box = e.querySelector('.shape:not(.back)').getBoundingClientRect();
    return [...e.querySelectorAll(':scope > text')].filter(t => { const r = t.getBoundingClientRect();
        return r.left < box.left - 0.5 || r.right > box.right + 0.5 || r.top < box.top - 2 || r.bottom > box.bottom + 2; }).map(t => t.textContent);
})"""
OUTSIDE = """[...document.querySelectorAll('#labels .scope-name')].flatMap(e => {
    const [rect, text] = [e.querySelector('rect').getBoundingClientRect(), e.querySelector('text').getBoundingClientRect()];
    return text.right > rect.right + 0.5 ? [e.textContent] : [];
})"""
CROSSED = """(() => {
    const boxes = [...document.querySelectorAll('#boxes .item')].map(e => [e.dataset.id, e.querySelector('.shape:not(.back)').getBoundingClientRect()]);
    const found = new Set();
    for (const line of document.querySelectorAll('#lines .line')) {
        const length = line.getTotalLength(), at = line.getScreenCTM();
        for (let s = 0; s <= length; s += 6) {
            const p = line.getPointAtLength(s).matrixTransform(at);
            const inside = r => p.x > r.left + 2 && p.x < r.right - 2 && p.y > r.top + 2 && p.y < r.bottom - 2;
            const { from, to } = line.dataset;
            for (const [name, r] of boxes) if (name !== from && name !== to && inside(r)) found.add(`${from} -> ${to} behind ${name}`);
        }
    }
    return [...found];
})()"""


PAGES = {"compiled": lambda: compiled_page(True), "noisy": noisy_page, "full": full_page, "layers": lambda: layers(12), "two": two_programs}


@pytest.mark.parametrize("address", ["", "#aside=0", "#open=", "#theme=dark", "all"])
@pytest.mark.parametrize("name", PAGES)
def test_nothing_overlaps_and_no_text_is_cut_off(reader, tmp_path, name, address):
    text = PAGES[name]()
    for number in range(len(data_of(text)["stages"])):
        reader.read(tmp_path, text, f"#stage={number}&{address[1:] if address.startswith('#') else ''}")
        if address == "all":
            reader.press("o")
        assert (reader.evaluate(OVERLAPS), reader.evaluate(CUT), reader.evaluate(OUTSIDE)) == ([], [], [])


@pytest.mark.parametrize("aside", [0, 1])
@pytest.mark.parametrize("name", ["compiled", "noisy", "layers", "two"])
def test_lines_keep_clear_of_boxes(reader, tmp_path, name, aside):
    text = PAGES[name]()
    for number in range(len(data_of(text)["stages"])):
        reader.read(tmp_path, text, f"#stage={number}&aside={aside}")
        assert reader.evaluate(CROSSED) == []


@pytest.mark.parametrize("width", [380, 700, 1400])
def test_the_page_fits_windows_of_any_width(reader, tmp_path, width):
    reader.read(tmp_path, compiled_page(), "#sel=Loss/loss", width=width)
    assert reader.evaluate("document.documentElement.scrollWidth") <= width
    panel = reader.evaluate("(r => [r.left, r.right, r.bottom])(document.getElementById('panel').getBoundingClientRect())")
    assert panel[0] >= 0 and panel[1] <= width and panel[2] <= 900


def test_text_is_readable_in_light_and_dark(reader, tmp_path):
    """At least the contrast of 4.5 that WCAG 2.1 asks of text, on every fill that a colouring gives."""
    script = """(() => { const rgb = c => c.match(/[\\d.]+/g).slice(0, 3).map(Number);
        const linear = v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
        const light = c => { const [r, g, b] = rgb(c).map(v => linear(v / 255)); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
        return [...document.querySelectorAll('#boxes .item')].flatMap(e => { const fill = light(getComputedStyle(e.querySelector('.shape:not(.back)')).fill);
            return [...e.querySelectorAll(':scope > text')].map(t => { const ink = light(getComputedStyle(t).fill);
                return [(Math.max(ink, fill) + 0.05) / (Math.min(ink, fill) + 0.05), t.textContent]; }); }).filter(([ratio]) => ratio < 4.5); })()"""
    text = compiled_page(True)
    for theme in ("light", "dark"):
        for by in ("", "op", "kernel", "time", "memory"):
            for stage in (0, stage_number(text, "tidy"), stage_number(text, "kernels")):
                reader.read(tmp_path, text, f"#theme={theme}&by={by}&stage={stage}&aside=0")
                assert (theme, by, stage, reader.evaluate(script)) == (theme, by, stage, [])


def test_the_picture_is_not_blank(reader, tmp_path):
    reader.read(tmp_path, graph_page())
    drawn = reader.picture()
    reader.evaluate("document.getElementById('camera').style.display = 'none'")
    assert len(drawn) > 1.5 * len(reader.picture())


def test_data_that_two_stages_share_is_drawn_in_both(reader, tmp_path):
    text = compiled_page()
    seen = []
    for name in ("fuse", "kernels"):
        reader.read(tmp_path, text, f"#stage={stage_number(text, name)}&aside=0")
        reader.press("o")
        seen.append(reader.items())
    assert seen[0] == seen[1]
