"""What a pass did to the nodes: which are new, gone, rewritten, and which merged into another one."""

import flowc as tf
from flowc.ir.text import parse_function
from flowc.transforms.extract import extract
from flowc.viz.changes import compared, passed, said
from flowc.viz.identity import Identity


def changes(before, after, find=passed):
    """The changes between two functions, with names for numbers."""
    identity, names, found = Identity(), {}, []
    for text in (before, after):
        f = parse_function(text)
        found.append(said([*f.params, *f.nodes], identity))
        names |= {identity(n): n.name for n in f.nodes}
    result = find(*found)
    named = lambda numbers: {names[n] for n in numbers}
    return named(result.added), named(result.gone), named(result.rewritten), {names[a]: names[b] for a, b in result.merged.items()}


def test_nodes_merge_into_the_node_that_computes_them_in_another_form():
    before = """def f(x: f32[b]):
        e: f32[b] = exp(x)
        s: f32[b] = add(e, 1.0)
        Log: f32[b] = log(s)
        return Log
    """
    after = """def f(x: f32[b]):
        Log: f32[b] = softplus(x)
        return Log
    """
    assert changes(before, after) == (set(), {"e", "s"} | {"c0"}, {"Log"}, {"e": "Log", "s": "Log", "c0": "Log"})


def extracted(*results):
    """What merged, and what is gone for good, on the way from the default graph to the Function of some results."""
    identity, graph = Identity(), tf.get_default_graph()
    f = extract([r.node for r in results], [graph.by_name["x"]]).function
    found = passed(said(graph.nodes, identity), said([*f.params, *f.nodes], identity))
    names = {identity(n): n.name for n in (*f.params, *f.nodes, *graph.nodes)}
    return {names[a]: names[b] for a, b in found.merged.items()}, {names[n] for n in found.gone if n not in found.merged}


def test_a_common_subexpression_merges_into_its_twin_and_so_do_its_readers():
    tf.reset_default_graph()
    x = tf.placeholder(tf.float32, [4], name="x")
    one, two = (tf.negative(tf.tanh(x, name=f"tanh{n}"), name=f"neg{n}") for n in "12")
    assert extracted(tf.add(one, two, name="y")) == ({"tanh2": "tanh1", "neg2": "neg1"}, set())


def test_what_a_run_does_not_need_is_gone_for_good():
    tf.reset_default_graph()
    x = tf.placeholder(tf.float32, [4], name="x")
    tf.tanh(tf.exp(x, name="dead"), name="end")
    assert extracted(tf.negative(x, name="y")) == ({}, {"dead", "end"})


def test_what_is_left_out_merges_into_what_is_read_in_its_place():
    before = """def f(x: f32[b]):
        e: f32[b] = exp(x)
        same: f32[b] = stop_gradient(e)
        n: f32[b] = neg(same)
        return n
    """
    after = """def f(x: f32[b]):
        e: f32[b] = exp(x)
        n: f32[b] = neg(e)
        return n
    """
    assert changes(before, after) == (set(), {"same"}, set(), {"same": "e"})


def test_what_only_gave_its_shape_is_gone_for_good():
    before = """def f(x: f32[b]):
        e: f32[b] = exp(x)
        o: f32[b] = ones_like(e)
        n: f32[b] = neg(o)
        return n
    """
    after = """def f(x: f32[b]):
        o: f32[b] = ones_like(x)
        n: f32[b] = neg(o)
        return n
    """
    assert changes(before, after)[3] == {}


def test_a_node_without_a_name_whose_attribute_is_spelled_otherwise_is_rewritten():
    before = """def f(x: f32[b, 3]):
        v0: f32[b] = reduce_sum(x, axis=(-1,))
        n: f32[b] = neg(v0)
        return n
    """
    assert changes(before, before.replace("-1", "1")) == (set(), set(), {"v0"}, {})


def test_two_programs_differ_in_whatever_is_written_of_a_node():
    before = """def f(x: f32[b], y: f32[b]):
        n: f32[b] = neg(x)
        m: f32[b] = exp(x)
        return n, m
    """
    after = """def f(x: f32[b], y: f32[b]):
        n: f32[b] = neg(y)
        k: f32[b] = exp(x)
        return n, k
    """
    assert changes(before, after, compared) == ({"k"}, {"m"}, {"n"}, {})
