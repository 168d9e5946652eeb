"""The page in a real browser: what its address keeps, and what the keyboard alone does."""

import pytest

from tests.browser import CHROMIUM
from tests.viz.pages import compiled_page, data_of, graph_page

pytestmark = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason="no chromium is installed")]


@pytest.mark.parametrize("by_keys", [("]", "]", "o"), ("a", "+", "ArrowDown", "t"), ("]", "]", "]", "]", "]", "]", "]", "k", "e")])
def test_an_address_that_is_shared_shows_the_same(reader, tmp_path, by_keys):
    text = compiled_page()
    drawn = """(look => [look(document.querySelector('main')), look(document.getElementById('timeline'))])(function look(e) {
        if (e.nodeType === 3) return e.data;
        const said = [...e.attributes].map(a => a.name + a.value.split(' ').filter(Boolean).sort()).filter(a => a !== 'class').sort();
        return [e.localName, said, [...e.childNodes].map(look)]; })"""
    reader.read(tmp_path, text)
    reader.move((3, 880))
    reader.press(*by_keys)
    address, first = reader.evaluate("location.hash"), reader.evaluate(drawn)
    reader.read(tmp_path, text, address)
    assert reader.evaluate("location.hash") == address != ""
    assert reader.evaluate(drawn) == first


def test_an_address_that_is_typed_changes_the_page(reader, tmp_path):
    reader.read(tmp_path, graph_page())
    reader.evaluate("location.hash = '#open=gradients/&sel=Loss/'")
    reader.wait_for("document.querySelector('[data-id=\"gradients/\"].open')")
    assert reader.items("open") == {"gradients/"}
    assert reader.items("selected") == {"Loss/"}


def test_what_is_selected_is_drawn_whatever_scopes_are_closed(reader, tmp_path):
    reader.read(tmp_path, graph_page(), "#open=&sel=gradients/Loss/loss_grad")
    assert "gradients/Loss/loss_grad" in reader.items()


# the keyboard


def test_the_keyboard_alone_reaches_everything(reader, tmp_path):
    text = compiled_page()
    reader.read(tmp_path, text, "#open=&sel=Loss/")
    reader.press("Enter")
    assert reader.items("open") == {"Loss/"}
    reader.press("ArrowDown", "ArrowDown")
    (box,) = reader.items("selected")
    assert box.startswith("Loss/")
    reader.press("Backspace")
    assert reader.items("selected") == {"Loss/"}
    reader.press("Enter")
    assert reader.items("open") == set()
    for _ in data_of(text)["stages"]:
        reader.press("]")
    assert reader.state()["stage"] == str(len(data_of(text)["stages"]) - 1)
    reader.press("e")
    assert "→" in reader.panel()
    first = reader.state()["sel"]
    reader.press("e")
    assert reader.state()["sel"] != first
    reader.press("E")
    assert reader.state()["sel"] == first
    reader.press("Escape", "[")
    assert "sel" not in reader.state()
    before = reader.camera()
    reader.press("ArrowRight", shift=True)
    assert reader.camera()[0] == before[0] - 120


def test_arrows_go_to_the_next_box(reader, tmp_path):
    reader.read(tmp_path, graph_page(), "#sel=Loss/mul")
    reader.press("ArrowDown")
    assert reader.items("selected") == {"Loss/loss"}


def test_the_help_lists_every_key_that_does_something(reader, tmp_path):
    reader.read(tmp_path, graph_page())
    reader.press("?")
    listed = set(reader.evaluate("[...document.querySelectorAll('#help kbd')].flatMap(e => e.textContent.split(/\\s+/))"))
    assert {*"/npeEgf+ocatk[]mwdl?", "Enter", "Backspace", "Esc"} <= listed
    assert reader.evaluate("document.getElementById('help').open") is True
    reader.press("?")
    assert reader.evaluate("document.getElementById('help').open") is False


def test_buttons_are_reached_with_tab_and_have_names(reader, tmp_path):
    reader.read(tmp_path, compiled_page(), "#sel=Loss/loss")
    controls = "[...document.querySelectorAll('button, input, select')]"
    nameless = reader.evaluate(f"{controls}.filter(e => !(e.textContent || e.ariaLabel || e.title)).length")
    hidden = reader.evaluate(f"{controls}.filter(e => e.tabIndex < 0).length")
    assert (nameless, hidden) == (0, 0)
