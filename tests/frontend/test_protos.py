"""Messages made by hand, as TensorFlow 1's scripts make them; their bytes against those of Google's own implementation, where that is installed."""

from __future__ import annotations

import importlib

import numpy as np
import pytest

import flowc as tf
from flowc.errors import DTypeError, FlowcError
from flowc.frontend.protos import NodeExecStats, TensorProto
from tests.frontend.tfevents import decode_png, fields, files, read, values


def test_numbers_of_pythons_own_are_written_as_a_summary(tmp_path):
    summary = tf.Summary(value=[tf.Summary.Value(tag="accuracy", simple_value=0.5)])
    summary.value.add(tag="more", simple_value=2)
    with tf.summary.FileWriter(str(tmp_path)) as writer:
        writer.add_summary(summary, 1)
    assert {tag: value[2] for tag, value in values(read(tmp_path)[1][5][0]).items()} == {"accuracy": [0.5], "more": [2.0]}


def test_a_zero_that_was_set_is_written():
    assert fields(tf.Summary.Value(tag="x", simple_value=0.0).SerializeToString()) == {1: [b"x"], 2: [0.0]}


def test_an_image_made_elsewhere_is_written_as_it_is():
    from flowc.frontend.events import png

    data = png(np.full((2, 3, 1), 7, np.uint8))
    image = tf.Summary.Image(encoded_image_string=data, height=2, width=3)
    value = values(tf.Summary(value=[tf.Summary.Value(tag="pictures/0", image=image)]).SerializeToString())["pictures/0"]
    shown = fields(value[4][0])
    assert (shown[1], shown[2]) == ([2], [3]) and decode_png(shown[4][0]).tolist() == np.full((2, 3, 1), 7).tolist()


def test_a_histogram_made_with_numpy_is_written():
    numbers = np.array([1.0, 2.0, 2.5])
    counts, edges = np.histogram(numbers, bins=3)
    histogram = tf.HistogramProto()
    histogram.min, histogram.max, histogram.num = float(numbers.min()), float(numbers.max()), int(np.prod(numbers.shape))
    histogram.sum, histogram.sum_squares = float(np.sum(numbers)), float(np.sum(numbers**2))
    for edge in edges[1:]:
        histogram.bucket_limit.append(edge)
    for count in counts:
        histogram.bucket.append(count)
    value = fields(values(tf.Summary(value=[tf.Summary.Value(tag="h", histo=histogram)]).SerializeToString())["h"][5][0])
    assert [value[n][0] for n in (1, 2, 3, 4, 5)] == [1.0, 2.5, 3.0, 5.5, 11.25]
    assert np.frombuffer(value[6][0], "<f8").tolist() == edges[1:].tolist() and np.frombuffer(value[7][0], "<f8").tolist() == [1.0, 0.0, 2.0]


def test_a_fetched_summary_is_parsed_and_extended():
    with tf.Session() as session:
        fetched = session.run(tf.summary.scalar("loss", 0.25))
    summary = tf.Summary()
    assert summary.ParseFromString(fetched) == len(fetched)
    assert [(v.tag, v.simple_value, v.WhichOneof("value")) for v in summary.value] == [("loss", 0.25, "simple_value")]
    summary.value.add(tag="more", simple_value=1.0)
    assert list(values(summary.SerializeToString())) == ["loss", "more"]


def test_events_are_read_back_one_by_one(tmp_path):
    with tf.summary.FileWriter(tmp_path, tf.get_default_graph()) as writer:
        for step in range(3):
            writer.add_summary(tf.Summary(value=[tf.Summary.Value(tag="x", simple_value=step)]), step)
        writer.add_event(tf.Event(step=9, wall_time=2.5))
        writer.add_session_log(tf.SessionLog(status=tf.SessionLog.STOP), 10)
    events = list(tf.train.summary_iterator(str(files(tmp_path)[0])))
    assert events[0].file_version == "brain.Event:2" and events[1].HasField("graph_def")
    assert [(e.step, v.tag, v.simple_value) for e in events for v in e.summary.value] == [(0, "x", 0.0), (1, "x", 1.0), (2, "x", 2.0)]
    assert (events[5].step, events[5].wall_time, events[5].WhichOneof("what")) == (9, 2.5, None)
    assert events[6].session_log.status == tf.SessionLog.STOP and not events[6].HasField("summary")


def test_a_record_that_is_not_whole_ends_the_reading(tmp_path):
    with tf.summary.FileWriter(tmp_path) as writer:
        writer.add_summary(b"", 1)
    path = files(tmp_path)[0]
    whole = path.read_bytes()
    for missing in (1, 5, 9):
        path.write_bytes(whole[:-missing])
        assert len(list(tf.train.summary_iterator(path))) == 1


@pytest.mark.parametrize(("place", "message"), [(0, "is no event file, or damaged at byte 0"), (20, "is damaged at byte 12")])
def test_a_damaged_file_is_told(tmp_path, place, message):
    tf.summary.FileWriter(tmp_path).close()
    path = files(tmp_path)[0]
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)
    with pytest.raises(FlowcError, match=message):
        list(tf.train.summary_iterator(path))


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(FlowcError, match="none cannot be read: No such file"):
        list(tf.train.summary_iterator(tmp_path / "none"))


# messages


def test_fields_have_defaults_and_setting_one_of_a_group_unsets_the_others():
    value = tf.Summary.Value()
    assert (value.tag, value.simple_value, value.histo.num, value.SerializeToString()) == ("", 0.0, 0.0, b"")
    value.simple_value = 1
    value.histo = tf.HistogramProto(num=2)
    assert value.WhichOneof("value") == "histo" and not value.HasField("simple_value")


def test_messages_are_copied_cleared_and_compared():
    first = tf.Summary(value=[tf.Summary.Value(tag="a", simple_value=1)])
    second = tf.Summary()
    second.CopyFrom(first)
    assert second == first and second is not first and second.ByteSize() == len(first.SerializeToString())
    second.value[0].ClearField("tag")
    assert second != first and second.value[0].tag == ""
    second.Clear()
    assert second == tf.Summary() != 3


def test_the_text_of_a_message_is_protobufs():
    summary = tf.Summary(value=[tf.Summary.Value(tag='"quoted"\n', image=tf.Summary.Image(height=2, encoded_image_string=b'\x00"'))])
    assert str(summary) == 'value {\n  tag: "\\"quoted\\"\\n"\n  image {\n    height: 2\n    encoded_image_string: "\\x00\\""\n  }\n}'


@pytest.mark.parametrize(
    ("use", "message"),
    [
        (lambda: tf.Summary.Value(tag=3), "SummaryValue.tag takes a value of kind string, not 3"),
        (lambda: tf.Summary.Value(simple_value="much"), "takes a value of kind float, not 'much'"),
        (lambda: tf.Summary.Image(height=1.5), "takes a value of kind int, not 1.5"),
        (lambda: tf.Summary.Image(encoded_image_string="text"), "takes a value of kind bytes"),
        (lambda: tf.Summary.Value(image=tf.HistogramProto()), "takes a SummaryImage"),
        (lambda: tf.Summary(value=["x"]), "takes a SummaryValue, not 'x'"),
    ],
)
def test_a_value_that_does_not_fit_a_field_is_refused(use, message):
    with pytest.raises(DTypeError, match=message):
        use()


def test_a_field_that_there_is_not_is_refused_with_those_that_there_are():
    with pytest.raises(AttributeError, match="Summary has no field values; there are value"):
        tf.Summary(values=[])
    with pytest.raises(AttributeError, match="bucket holds no messages"):
        tf.HistogramProto().bucket.add(1)


@pytest.mark.parametrize(
    ("data", "message"),
    [(b"\x0a\x05ab", "5 bytes are announced, and 2 are left"), (b"\x80", "a number has no end"), (b"\x0b", "no kind 3"), (b"\x08\x01", "kind 0")],
)
def test_bytes_that_are_no_message_are_told(data, message):
    with pytest.raises(FlowcError, match=f"are no Summary message: .*{message}"):
        tf.Summary.FromString(data)


def test_fields_that_are_not_known_are_passed_over():
    assert tf.Summary.FromString(bytes.fromhex("9a0601 61 a006 05 ad06 00000000 a906 0000000000000000".replace(" ", ""))) == tf.Summary()


def test_negative_and_packed_numbers_are_read_back():
    tensor = TensorProto(int_val=[-1, 300], double_val=[0.5], float_val=[1.5, -2.0], string_val=[b"a", b""])
    again = TensorProto.FromString(tensor.SerializeToString())
    assert (again.int_val, again.double_val, again.float_val, again.string_val) == ([-1, 300], [0.5], [1.5, -2.0], [b"a", b""])
    unpacked = TensorProto.FromString(bytes.fromhex("3805 3806".replace(" ", "")))
    assert unpacked.int_val == [5, 6]


EXAMPLES = [
    ("summary_pb2", tf.Summary(value=[tf.Summary.Value(tag="a", simple_value=0.1), tf.Summary.Value(tag="i", image=tf.Summary.Image(height=3, width=-1))])),
    ("summary_pb2", tf.Summary(value=[tf.Summary.Value(tag="t", tensor=TensorProto(dtype=7, string_val=[b"x"]), node_name="n")])),
    ("event_pb2", tf.Event(wall_time=1.5, step=3, session_log=tf.SessionLog(status=1, msg="süß"))),
    ("step_stats_pb2", NodeExecStats(node_name="k", all_start_micros=1 << 50, thread_id=7, all_end_rel_nanos=9)),
]


@pytest.mark.parametrize(("module", "message"), EXAMPLES)
def test_the_bytes_are_those_of_googles_implementation(module, message):
    google = pytest.importorskip(f"tensorboard.compat.proto.{module}", reason="the extra tensorboard is not installed")
    name = type(message).__name__
    theirs = getattr(google, name).FromString(message.SerializeToString())
    assert theirs.SerializeToString(deterministic=True) == message.SerializeToString()
    assert type(message).FromString(theirs.SerializeToString()) == message


@pytest.mark.parametrize("module", ["summary_pb2", "event_pb2", "step_stats_pb2", "histogram_pb2", "tensor_pb2", "tensor_shape_pb2"])
def test_every_field_has_the_number_that_tensorflow_gives_it(module):
    google = pytest.importorskip(f"tensorboard.compat.proto.{module}", reason="the extra tensorboard is not installed")
    ours = importlib.import_module("flowc.frontend.protos")
    for name, descriptor in google.DESCRIPTOR.message_types_by_name.items():
        kind = getattr(ours, name, None)
        for field in kind.FIELDS if kind is not None else ():
            assert field.number == descriptor.fields_by_name[field.name].number, f"{name}.{field.name}"
