"""The page in a real browser: what clicks, the search, the timeline and colours do, and what they show."""

import re

import pytest

import flowc as tf
from flowc.cli.subject import GraphRun
from flowc.viz.model import diagram
from flowc.viz.page import page
from flowc.viz.stages import stages
from tests.browser import CHROMIUM
from tests.viz.pages import compiled_page, data_of, graph_page, kernel_named, layers, stage_number, two_programs
from tests.viz.test_page import strange

pytestmark = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason="no chromium is installed")]


# the file


def test_the_page_is_one_file_and_fetches_nothing(reader, tmp_path):
    reader.read(tmp_path, compiled_page())
    assert reader.evaluate("performance.getEntriesByType('resource').map(e => e.name)") == []


def test_scopes_boxes_and_lines_are_drawn_and_gradients_stand_aside(reader, tmp_path):
    reader.read(tmp_path, graph_page())
    assert {"Model/", "Model/Inner/", "Model/W", "Loss/loss", "gradients/", "Adam/"} <= reader.items()
    assert reader.items("open") == {"Model/", "Model/Inner/", "Loss/"}
    assert ("Model/Inner/MatMul", "Model/Inner/y") in reader.lines()


def test_names_with_markup_are_drawn_as_they_are(reader, tmp_path):
    reader.read(tmp_path, strange())
    assert "<img src=x onerror=alert(1)>" in reader.evaluate("document.getElementById('boxes').textContent")
    assert reader.evaluate("document.images.length") == 0


# scopes


def test_a_double_click_opens_and_closes_a_scope_and_the_address_says_so(reader, tmp_path):
    reader.read(tmp_path, graph_page())
    reader.double_click(reader.item("Adam/"))
    assert "Adam/" in reader.items("open")
    assert "Adam/" in reader.state()["open"].split("|")
    reader.double_click(reader.item("Adam/"))
    assert "Adam/" not in reader.items("open")


def test_a_scope_that_opens_stays_under_the_pointer(reader, tmp_path):
    reader.read(tmp_path, graph_page(), "#at=40,40,1")
    before = reader.item("gradients/")
    reader.double_click(before)
    after = reader.item("gradients/")
    assert after[1] < before[1] < after[1] + 40


def test_everything_opens_and_closes_by_buttons(reader, tmp_path):
    reader.read(tmp_path, graph_page())
    reader.click(reader.place("#opened"))
    assert {"gradients/", "gradients/Loss/", "Adam/"} <= reader.items("open")
    reader.click(reader.place("#closed"))
    assert reader.items("open") == set()


def test_what_stands_aside_can_be_drawn_in(reader, tmp_path):
    reader.read(tmp_path, graph_page())
    stubs = reader.evaluate("document.querySelectorAll('[data-stub]').length")
    reader.click(reader.place("#aside"))
    assert (stubs > 0, reader.evaluate("document.querySelectorAll('[data-stub]').length")) == (True, 0)
    assert reader.lines("uses")


def test_a_stub_leads_to_what_is_attached_there(reader, tmp_path):
    reader.read(tmp_path, graph_page())
    reader.click(reader.place('[data-id="Loss/loss"] [data-stub]'))
    assert reader.items("selected") == {"gradients/Loss/loss_grad"}


def test_a_series_of_like_layers_is_one_stack_with_its_count(reader, tmp_path):
    reader.read(tmp_path, layers(6))
    assert "6 alike" in reader.evaluate("document.getElementById('boxes').textContent")
    assert "Layer3/" not in reader.items()
    reader.double_click(reader.item("*series Layer1/ … Layer6/"))
    assert {f"Layer{i}/" for i in range(1, 7)} <= reader.items()


# the view


def test_dragging_moves_and_the_wheel_zooms_about_the_pointer(reader, tmp_path):
    reader.read(tmp_path, graph_page(), "#at=40,40,1")
    reader.drag((700, 700), (640, 720))
    assert reader.camera() == (-20, 60, 1)
    before = reader.item("Model/W")
    reader.wheel(before, -300)
    assert reader.camera()[2] > 1.2
    assert reader.item("Model/W") == pytest.approx(before, abs=1)


def test_moves_are_smooth_where_the_reader_allows_motion(reader, tmp_path):
    reader.read(tmp_path, graph_page(), "#at=40,40,1", motion=True)
    reader.evaluate(
        "window.seen = []; new MutationObserver(() => seen.push(document.getElementById('camera').getAttribute('transform')))"
        ".observe(document.getElementById('camera'), {attributes: true})"
    )
    reader.press("+")
    reader.wait_for("location.hash.endsWith('1.3')")
    scales = [float(re.search(r"scale\((.*)\)", t).group(1)) for t in reader.evaluate("seen")]
    assert len(set(scales)) > 3
    assert scales == sorted(scales)


def test_fit_shows_everything(reader, tmp_path):
    reader.read(tmp_path, graph_page(), "#at=-900,-900,3")
    reader.press("f")
    shown = reader.evaluate("[...document.querySelectorAll('#camera .item')].map(e => e.getBoundingClientRect()).map(r => [r.left, r.top, r.right, r.bottom])")
    area = reader.evaluate("(r => [r.left, r.top, r.right, r.bottom])(document.getElementById('diagram').getBoundingClientRect())")
    assert all(l >= area[0] and t >= area[1] and r <= area[2] and b <= area[3] for l, t, r, b in shown)  # noqa: E741


def test_the_small_map_is_there_when_not_all_is_seen_and_leads_elsewhere(reader, tmp_path):
    reader.read(tmp_path, graph_page())
    visible = "getComputedStyle(document.getElementById('minimap')).visibility"
    assert reader.evaluate(visible) == "hidden"
    reader.press("+", "+", "+", "+", "+", "+")
    assert reader.evaluate(visible) == "visible"
    x, y = reader.place("#minimap")
    reader.click((x - 60, y - 40))
    upper = reader.camera()
    reader.click((x + 60, y + 40))
    assert reader.camera()[0] < upper[0] and reader.camera()[1] < upper[1]


# search


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("op:matmul", {"Model/Inner/MatMul"}), ("Loss/sq", {"Loss/Square"}), ("line:17", {"Loss/loss"}), ("op:variable dtype:f32[1]", {"Model/b"}),
        ("dtype:f32[b, Inner", {"Model/Inner/MatMul", "Model/Inner/y"}), ("reduce_mean(", {"Loss/loss"}),
    ],
)  # fmt: skip
def test_a_search_marks_what_it_finds(reader, tmp_path, query, found):
    reader.read(tmp_path, graph_page())
    reader.press("/")
    reader.type(query)
    assert found <= reader.items("hit")
    count = reader.evaluate("document.querySelectorAll('[data-result]').length")
    assert reader.evaluate("document.getElementById('found').textContent") == f"{count} found"


def test_a_search_for_a_kernel_finds_its_nodes_in_the_graph(reader, tmp_path):
    kernel = kernel_named(compiled_page(), "matmul_Mul")
    reader.read(tmp_path, compiled_page())
    reader.press("/")
    reader.type(f"kernel:{kernel}")
    assert {"Model/Inner/MatMul", "Loss/sub"} <= reader.items("hit")


def test_enter_goes_from_hit_to_hit_and_opens_what_is_closed(reader, tmp_path):
    reader.read(tmp_path, graph_page(), "#open=")
    reader.press("/")
    reader.type("op:matmul")
    reader.press("Enter")
    assert reader.items("selected") == {"Model/Inner/MatMul"}
    reader.press("Enter")
    (second,) = reader.items("selected")
    assert second.startswith("gradients/")
    reader.press("Escape")
    assert (reader.items("hit"), reader.evaluate("document.getElementById('query').value")) == (set(), "")


def test_a_result_that_is_clicked_is_shown(reader, tmp_path):
    reader.read(tmp_path, graph_page(), "#open=")
    reader.click(reader.place("#query"))
    reader.type("Square")
    reader.click(reader.place('[data-result="Loss/Square"]'))
    assert reader.items("selected") == {"Loss/Square"}


# details


def test_the_panel_tells_of_a_node(reader, tmp_path):
    reader.read(tmp_path, compiled_page())
    reader.click(reader.item("Loss/loss"))
    panel = reader.panel()
    assert "reduce_mean" in panel and "graphs.py:17" in panel and 'name="loss"' in panel
    goals = reader.evaluate("[...document.querySelectorAll('#panel [data-goto]')].map(e => e.dataset.goto)")
    assert {"gradients/Loss/loss_grad", "Loss/mul"} <= set(goals)
    reader.click(reader.item("Model/Inner/MatMul"))
    assert kernel_named(compiled_page(), "matmul_Mul") in reader.panel()
    assert "joins a nest kernel" in reader.panel()


def test_the_panel_tells_attributes_and_what_is_folded_into_a_box(reader, tmp_path):
    text = compiled_page()
    number = stage_number(text, "kernels")
    box = next(b for b in data_of(text)["stages"][number]["boxes"] if any(key == "axis" for key, _ in b["nodes"][0][3]))
    reader.read(tmp_path, text, f"#stage={number}&sel={box['id']}")
    assert re.search(rf"axis\s+{re.escape(dict(box['nodes'][0][3])['axis'])}", reader.panel())
    reader.read(tmp_path, graph_page(), "#sel=gradients/Loss/loss_grad")
    assert "folded into it" in reader.panel()


def test_a_link_of_the_panel_goes_there(reader, tmp_path):
    reader.read(tmp_path, graph_page(), "#sel=gradients/Loss/loss_grad")
    reader.click(reader.place('#panel section:first-of-type [data-goto="Loss/loss"]'))
    assert reader.items("selected") == {"Loss/loss"}


def test_the_kernel_of_a_node_is_one_click_away(reader, tmp_path):
    kernel = kernel_named(compiled_page(), "matmul_Mul")
    reader.read(tmp_path, compiled_page(), "#sel=Model/Inner/MatMul")
    reader.click(reader.place(f'#panel [data-kernel="{kernel}"]'))
    assert reader.items("selected") == {f"{kernel}/"}
    assert "generated Numba source" in reader.panel()


def test_a_trace_lights_what_a_node_needs_or_feeds_and_dims_the_rest(reader, tmp_path):
    reader.read(tmp_path, graph_page(), "#sel=Loss/sub")
    reader.click(reader.place('[data-trace="in"]'))
    assert {"Model/W", "Model/x", "Model/Inner/MatMul", "Loss/target"} <= reader.items("t-in")
    assert "Loss/loss" not in reader.items("t-in")
    opacity = "getComputedStyle(document.querySelector('[data-id=\"Loss/loss\"]')).opacity"
    assert float(reader.evaluate(opacity)) < 0.5
    reader.press("t")
    assert {"Loss/Square", "Loss/loss"} <= reader.items("t-out")
    reader.press("t")
    assert reader.items("t-in") and reader.items("t-out")
    reader.press("t")
    assert float(reader.evaluate(opacity)) == 1


@pytest.mark.parametrize(("one", "other"), [("Loss/loss", "gradients/Loss/loss_grad"), ("gradients/Loss/loss_grad", "Loss/loss")])
def test_a_node_and_its_gradient_light_up_together(reader, tmp_path, one, other):
    reader.read(tmp_path, graph_page(), "#open=Loss/|gradients/|gradients/Loss/")
    reader.click(reader.item(one))
    assert reader.items("partner") == {other}
    reader.press("Escape")
    assert reader.items("partner") == set()
    reader.move((3, 880))
    reader.move(reader.item(one))
    assert reader.items("partner") == {other}
    reader.move((3, 880))
    assert reader.items("partner") == set()


def test_a_scope_and_its_gradients_light_up_together_and_g_goes_there(reader, tmp_path):
    reader.read(tmp_path, graph_page(), "#open=gradients/")
    reader.click(reader.item("Loss/"))
    assert "gradients/Loss/" in reader.items("partner")
    reader.read(tmp_path, graph_page(), "#sel=Loss/loss")
    reader.press("g")
    assert reader.items("selected") == {"gradients/Loss/loss_grad"}


# the timeline


def test_the_timeline_goes_to_each_stage(reader, tmp_path):
    reader.read(tmp_path, compiled_page())
    names = [s["name"] for s in data_of(compiled_page())["stages"]]
    for number, name in enumerate(names):
        reader.click(reader.place(f'[data-stage="{number}"]'))
        assert reader.evaluate("document.querySelector('[aria-current=step]').firstChild.textContent") == name
        assert int(reader.state().get("stage", 0)) == number


def test_a_stage_marks_what_it_rewrites_and_keeps_what_is_gone_as_ghosts(reader, tmp_path):
    text = compiled_page()
    number = stage_number(text, "tidy")
    reader.read(tmp_path, text, f"#stage={number}")
    assert "~Loss.loss" in reader.items("gone")
    reader.press("o")
    assert "gradients.Loss.loss_grad.truediv" in reader.items("rewritten")
    assert "~gradients.Loss.loss_grad.ones_like" in reader.items("merged")
    assert ("~gradients.Loss.loss_grad.ones_like", "gradients.Loss.loss_grad.truediv") in reader.lines("merging")
    reader.click(reader.place("#marks"))
    assert not reader.items("gone") | reader.items("merged") | reader.items("rewritten")
    assert reader.state()["what"] == "off"


def test_a_pass_that_adds_nodes_marks_them(reader, tmp_path):
    tf.reset_default_graph()
    y = tf.nn.softmax(tf.placeholder(tf.float32, [3, 4], name="x"), name="y")

    graph = tf.get_default_graph()
    text = page(stages(GraphRun(graph, "y", [y.node], {graph.by_name["x"]: (3, 4)}).function(), diagram(graph)))
    reader.read(tmp_path, text, f"#stage={stage_number(text, 'expand')}")
    assert len(reader.items("added")) == 4
    assert reader.items("rewritten") == {"y"}
    step = reader.evaluate(f"document.querySelector('[data-stage=\"{stage_number(text, 'expand')}\"]').textContent")
    assert step.endswith("+4±1")


def test_closed_scopes_say_how_much_changes_in_them(reader, tmp_path):
    text = compiled_page()
    reader.read(tmp_path, text, f"#stage={stage_number(text, 'tidy')}")
    said = reader.evaluate("document.querySelector('.item.touched').textContent")
    assert re.search(r"\d+ (rewritten|merged|gone)", said)


def test_the_page_lists_what_a_stage_changes(reader, tmp_path):
    text = compiled_page()
    reader.read(tmp_path, text, f"#stage={stage_number(text, 'tidy')}")
    reader.click(reader.place("#changes"))
    assert re.search(r"rewritten \(\d+\)[\s\S]*merged into others \(\d+\)[\s\S]*gone \(\d+\)", reader.panel())
    reader.click(reader.place('#panel [data-goto="~Loss.loss"]'))
    assert reader.items("selected") == {"~Loss.loss"}


def test_two_programs_are_compared_on_one_picture(reader, tmp_path):
    reader.read(tmp_path, two_programs())
    assert reader.items("gone") == {"~old"}
    assert reader.items("added") == {"new"}
    assert reader.items("rewritten") == {"y"}
    assert {("x", "~old"), ("~old", "y"), ("x", "new"), ("new", "y")} <= reader.lines()
    reader.press("w")
    assert "What b.py changes of a.py" in reader.panel()


# kernels


def test_fused_kernels_are_outlined_groups_of_their_nodes(reader, tmp_path):
    text = compiled_page()
    kernel = kernel_named(text, "matmul_Mul")
    reader.read(tmp_path, text, f"#stage={stage_number(text, 'fuse')}")
    assert f"{kernel}/" in reader.items("kernel")
    assert {f"{kernel}/Model.Inner.MatMul", f"{kernel}/Loss.sub"} <= reader.items()
    outline, plain = (
        reader.evaluate(f"getComputedStyle(document.querySelector('{s} > .shape')).stroke") for s in (".item.kernel", ".item.k-operation")
    )
    assert outline != plain


def test_a_kernel_opens_its_source_and_loops_with_what_it_does(reader, tmp_path):
    text = compiled_page()
    kernel = kernel_named(text, "matmul_Mul")
    reader.read(tmp_path, text, f"#stage={stage_number(text, 'kernels')}")
    assert f"{kernel}/" not in reader.items("open")
    reader.click(reader.item(f"{kernel}/"))
    panel = reader.panel()
    assert f"def {kernel}(tid, nthreads" in panel
    assert re.search(r"operations\s+[\d.]+ k?FLOP", panel) and re.search(r"bytes\s+[\d.]+ k?B read, [\d.]+ k?B written", panel)
    assert "b = 8" in panel and "flowc viz --profile" in panel
    reader.click(reader.place("#panel details:last-of-type summary"))
    loops = dict(data_of(text)["texts"][kernel])["loops"]
    assert loops.splitlines()[1].strip() in reader.panel()


def test_measured_kernels_tell_their_time(reader, tmp_path):
    text = compiled_page(with_times=True)
    kernel = data_of(text)["kernels"]["kernels"][0]["name"]
    reader.read(tmp_path, text, f"#stage={stage_number(text, 'kernels')}&sel={kernel}/")
    assert re.search(r"time\s+1\.00 ms|time\s+1 ms", reader.panel())
    assert "25 % of what the machine can do, bound by memory" in reader.panel()
    assert "1 ms (" in reader.evaluate(f"document.querySelector('[data-id=\"{kernel}/\"]').textContent")


def test_every_line_between_two_kernels_bears_a_mark_that_tells_why_they_are_two(reader, tmp_path):
    text = compiled_page()
    reader.read(tmp_path, text, f"#stage={stage_number(text, 'kernels')}&aside=0")
    kernels = reader.items("kernel")
    between = {(a, b) for a, b in reader.lines() if a in kernels and b in kernels}
    assert len(between) >= 2
    for a, b in between:
        reader.click(reader.mark(a, b))
        reasons = [r for x, y, *_, r in data_of(text)["kernels"]["apart"] if (name_of(text, x), name_of(text, y)) == (a[:-1], b[:-1])]
        assert "why these kernels are two" in reader.panel()
        assert reasons and all(reason in reader.panel() for reason in reasons)


def name_of(text, number):
    return data_of(text)["kernels"]["kernels"][number]["name"]


def test_a_kernel_lists_its_neighbours_with_the_reasons(reader, tmp_path):
    text = compiled_page()
    (first, second, *_, reason), *_ = data_of(text)["kernels"]["apart"]
    reader.read(tmp_path, text, f"#stage={stage_number(text, 'kernels')}&sel={name_of(text, first)}/")
    assert re.search(rf"is read by \(\d+\)[\s\S]*{name_of(text, second)}[\s\S]*{re.escape(reason)}", reader.panel())


# colours


def test_colours_by_op_kernel_time_and_memory(reader, tmp_path):
    text = compiled_page(with_times=True)
    reader.read(tmp_path, text)
    plain = reader.fills()
    assert plain["Model/Inner/MatMul"] == plain["Loss/sub"] != plain["Model/W"]
    seen = {}
    for by in ("op", "kernel", "time", "memory"):
        reader.press("k")
        assert reader.state()["by"] == by == reader.evaluate("document.getElementById('colour').value")
        seen[by] = reader.fills()
        assert seen[by] != plain
    same = lambda by, a, b: seen[by][a] == seen[by][b]
    assert not same("op", "Model/Inner/MatMul", "Loss/sub") and same("op", "Loss/sub", "Loss/Square")
    assert same("kernel", "Model/Inner/MatMul", "Loss/sub") and same("time", "Model/Inner/MatMul", "Loss/sub")
    assert not same("memory", "Model/W", "Model/b") and same("memory", "Model/Inner/y", "Loss/sub")
    reader.press("k")
    assert reader.fills() == plain


def test_the_legend_tells_what_the_colours_mean(reader, tmp_path):
    legend = "document.getElementById('legend').innerText"
    reader.read(tmp_path, compiled_page(with_times=True), "#by=time")
    assert "ms: time of the kernels" in reader.evaluate(legend)
    reader.read(tmp_path, compiled_page(), "#by=op")
    assert "product" in reader.evaluate(legend)
    reader.read(tmp_path, compiled_page(), f"#stage={stage_number(compiled_page(), 'tidy')}")
    assert "gone since the stage before" in reader.evaluate(legend)


def test_without_a_profile_there_is_no_colouring_by_time(reader, tmp_path):
    reader.read(tmp_path, compiled_page(), "#by=time")
    assert "by" not in reader.state()
    assert reader.evaluate("document.querySelector('#colour option[value=time]').disabled") is True


def test_the_system_says_light_or_dark_until_the_reader_does(reader, tmp_path):
    theme = "document.documentElement.dataset.theme"
    reader.read(tmp_path, graph_page())
    assert reader.evaluate(theme) == "light"
    reader.press("d")
    assert (reader.evaluate(theme), reader.state()["theme"]) == ("dark", "dark")
    reader.media(dark=True)
    reader.open(reader.evaluate("location.href.split('#')[0]") + "?again")
    reader.wait_for("document.querySelector('html[data-ready]') && 1")
    assert reader.evaluate(theme) == "dark"
