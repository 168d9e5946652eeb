"""What is drawn of loops."""

import re

import flowc.ops  # noqa: F401  (fills the table)
from flowc import config
from flowc.ir.text import parse_function
from flowc.lower.program import plan
from flowc.transforms.pipeline import optimize
from flowc.viz import diagram
from flowc.viz.model import Kind, LinkKind, Types

TEXT = """
def step(x: f32[b, 4], w: f32[4]):
    y: f32[b, 4] = mul(x, w)
    s: f32[4] = reduce_sum(y, axis=(0,))
    t: f32[4] = mul(s, 0.5)
    new: f32[4] = sub(w, t)
    w[...] = new
    return s
"""
MATMULS = """
def f(x: f32[64, 64], a: f32[64, 64], b: f32[64, 64]):
    y: f32[64, 64] = matmul(x, a)
    z: f32[64, 64] = matmul(y, b)
    return z
"""


def drawn(text, extents=None):
    with config.override(verify=True):
        program = plan(optimize(parse_function(text)))
    return program, diagram(program, title="loops", types=Types(extents))


def links(found, kind):
    return [(s.name, t.name, link) for s, t, link in found.links() if link.kind is kind]


def test_kernels_and_loops_are_nested_scopes_that_say_how_they_loop():
    program, found = drawn(TEXT)
    assert list(found.scopes.successors("")) == [k.name for k in program.kernels]
    labels = {data["label"] for scope, data in found.scopes.nodes(data=True) if scope}
    assert f"kernel {program.kernels[0].name}" in labels and any(label.startswith("for ") and "parallel(" in label for label in labels)
    for scope in found.scopes:
        for inner in found.scopes.successors(scope):
            assert inner.startswith(scope)


def test_every_statement_is_a_box_with_its_text():
    _, found = drawn(TEXT)
    said = [" ".join(box.lines) for _, box in found.boxes.nodes(data="box")]
    assert any(" = x_ * w_" in text or "= x[" in text for text in said)
    assert "barrier()" in said


def test_long_statements_go_on_in_the_next_line_and_no_name_is_broken():
    name = "a_name_that_is_longer_than_a_line_of_a_box_has_characters"
    _, found = drawn(re.sub(r"\bx\b", name, TEXT))
    words = {word for _, box in found.boxes.nodes(data="box") for line in box.lines for word in line.split()}
    assert f"{name}_" in words and any(word.startswith(f"{name}[") for word in words)


def test_values_flow_from_memory_through_statements_to_memory():
    program, found = drawn(TEXT)
    kernel = program.kernels[0].name
    readers = [t for s, t, _ in links(found, LinkKind.DATA) if s == f"{kernel}/x"]
    assert len(readers) == 1 and found.box(readers[0]).lines[0].startswith("x_ = x[")
    written = {t for _, t, _ in links(found, LinkKind.UPDATE)}
    assert any(t.startswith(kernel) for t in written)
    stores = [s for s, _, _ in links(found, LinkKind.UPDATE)]
    assert {found.box(s).kind for s in stores} == {Kind.ASSIGNMENT}


def test_memory_is_told_by_what_it_is_for():
    _, found = drawn(TEXT)
    kinds = {name.rpartition("/")[2]: box.kind for name, box in found.boxes.nodes(data="box")}
    assert kinds["x"] is Kind.PLACEHOLDER and kinds["w"] is Kind.VARIABLE
    assert any(box.result for _, box in found.boxes.nodes(data="box"))


def test_a_barrier_comes_after_what_is_before_it_and_before_what_is_after_it():
    _, found = drawn(TEXT)
    barrier = next(name for name, box in found.boxes.nodes(data="box") if box.lines[0] == "barrier()")
    control = links(found, LinkKind.CONTROL)
    assert [t for s, t, _ in control if s == barrier] and [s for s, t, _ in control if t == barrier]


def test_a_kernel_that_reads_what_another_wrote_is_linked_to_it():
    program, found = drawn(MATMULS)
    first, second = (k.name for k in program.kernels)
    crossing = [(s, t, link) for s, t, link in links(found, LinkKind.DATA) if s.startswith(first) and t.startswith(second)]
    assert len(crossing) == 1 and crossing[0][2].bytes == 64 * 64 * 4


def test_memory_has_as_many_bytes_as_the_run_tells():
    _, small = drawn(TEXT, {"b": 2})
    assert all(link.bytes < 10_000 for _, _, link in small.links())
