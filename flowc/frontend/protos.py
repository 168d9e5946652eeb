"""TensorFlow's messages around TensorBoard, for scripts that make or read them by hand; their fields have the numbers of its .proto files.

    summary = tf.Summary(value=[tf.Summary.Value(tag="accuracy", simple_value=0.9)])
    writer.add_summary(summary, step)
    for event in tf.train.summary_iterator("logs/events.out.tfevents.1"): ...
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator

from flowc.errors import FlowcError, user_location
from flowc.frontend.events import masked_crc
from flowc.frontend.messages import Field, Message

# summary.proto, histogram.proto, tensor.proto, tensor_shape.proto


class HistogramProto(Message):
    """How values are spread: `bucket[i]` of them lie between `bucket_limit[i - 1]` and `bucket_limit[i]`."""

    min = Field(1, "double")
    max = Field(2, "double")
    num = Field(3, "double")
    sum = Field(4, "double")
    sum_squares = Field(5, "double")
    bucket_limit = Field(6, "double", repeated=True)
    bucket = Field(7, "double", repeated=True)


class TensorShapeProto(Message):
    """A shape; -1 is an unknown extent."""

    class Dim(Message):
        """One extent."""

        size = Field(1, "int")
        name = Field(2, "string")

    dim = Field(2, Dim, repeated=True)
    unknown_rank = Field(3, "bool")


class TensorProto(Message):
    """A tensor's value; `dtype` is a number of types.proto (1 is float32, 7 a string)."""

    dtype = Field(1, "int")
    tensor_shape = Field(2, TensorShapeProto)
    tensor_content = Field(4, "bytes")
    float_val = Field(5, "float", repeated=True)
    double_val = Field(6, "double", repeated=True)
    int_val = Field(7, "int", repeated=True)
    string_val = Field(8, "bytes", repeated=True)
    int64_val = Field(10, "int", repeated=True)


class SummaryMetadata(Message):
    """Which page of TensorBoard shows a value, and how it is described there."""

    class PluginData(Message):
        """The page's name and what it needs to know."""

        plugin_name = Field(1, "string")
        content = Field(2, "bytes")

    plugin_data = Field(1, PluginData)
    display_name = Field(2, "string")
    summary_description = Field(3, "string")


class SummaryImage(Message):
    """A PNG, JPEG or GIF; colorspace: the number of channels."""

    height = Field(1, "int")
    width = Field(2, "int")
    colorspace = Field(3, "int")
    encoded_image_string = Field(4, "bytes")


class SummaryAudio(Message):
    """A WAV or another file of sound."""

    sample_rate = Field(1, "float")
    num_channels = Field(2, "int")
    length_frames = Field(3, "int")
    encoded_audio_string = Field(4, "bytes")
    content_type = Field(5, "string")


class SummaryValue(Message):
    """One value under a tag; it is of one of the kinds."""

    tag = Field(1, "string")
    simple_value = Field(2, "float", group="value")
    image = Field(4, SummaryImage, group="value")
    histo = Field(5, HistogramProto, group="value")
    audio = Field(6, SummaryAudio, group="value")
    node_name = Field(7, "string")
    tensor = Field(8, TensorProto, group="value")
    metadata = Field(9, SummaryMetadata)


class Summary(Message):
    """Values under tags, as a fetched summary serializes them: `tf.Summary(value=[tf.Summary.Value(tag="accuracy", simple_value=0.9)])`."""

    Image, Audio, Value = SummaryImage, SummaryAudio, SummaryValue
    value = Field(1, SummaryValue, repeated=True)


# event.proto


class SessionLog(Message):
    """That a session started, stopped, or saved its variables."""

    STATUS_UNSPECIFIED, START, STOP, CHECKPOINT = 0, 1, 2, 3

    status = Field(1, "int")
    checkpoint_path = Field(2, "string")
    msg = Field(3, "string")


class TaggedRunMetadata(Message):
    """A serialized RunMetadata under a tag."""

    tag = Field(1, "string")
    run_metadata = Field(2, "bytes")


class Event(Message):
    """One record of an event file; graph_def and meta_graph_def are serialized messages."""

    wall_time = Field(1, "double")
    step = Field(2, "int")
    file_version = Field(3, "string", group="what")
    graph_def = Field(4, "bytes", group="what")
    summary = Field(5, Summary, group="what")
    session_log = Field(7, SessionLog, group="what")
    tagged_run_metadata = Field(8, TaggedRunMetadata, group="what")
    meta_graph_def = Field(9, "bytes", group="what")


def summary_iterator(path: str | os.PathLike[str]) -> Iterator[Event]:
    """The Events of an event file, one after the other. A record that is not whole yet ends it; FlowcError where one is damaged."""
    try:
        with open(path, "rb") as file:
            while len(head := file.read(12)) == 12:
                length, length_crc = struct.unpack("<QI", head)
                if length_crc != masked_crc(head[:8]):
                    raise FlowcError(f"{os.fspath(path)} is no event file, or damaged at byte {file.tell() - 12}", location=user_location())
                body = file.read(length + 4)
                if len(body) < length + 4:
                    return
                if struct.unpack("<I", body[length:])[0] != masked_crc(body[:length]):
                    raise FlowcError(f"{os.fspath(path)} is damaged at byte {file.tell() - length - 4}", location=user_location())
                yield Event.FromString(body[:length])
    except OSError as error:
        raise FlowcError(f"{os.fspath(path)} cannot be read: {error.strerror}", location=user_location()) from None


# step_stats.proto, config.proto


class NodeExecStats(Message):
    """When one kernel ran, on one thread: microseconds since the epoch, then since that moment; the fields in nanoseconds are exact.

    nodes, lines: flowc's own, what the kernel computes and where the user wrote it; not part of the message.
    """

    _LOCAL = frozenset({"nodes", "lines"})
    nodes: tuple[str, ...] = ()
    lines: tuple[str, ...] = ()

    node_name = Field(1, "string")
    all_start_micros = Field(2, "int")
    op_start_rel_micros = Field(3, "int")
    op_end_rel_micros = Field(4, "int")
    all_end_rel_micros = Field(5, "int")
    timeline_label = Field(8, "string")
    scheduled_micros = Field(9, "int")
    thread_id = Field(10, "int")
    all_start_nanos = Field(13, "int")
    op_start_rel_nanos = Field(14, "int")
    op_end_rel_nanos = Field(15, "int")
    all_end_rel_nanos = Field(16, "int")
    scheduled_nanos = Field(17, "int")


class DeviceStepStats(Message):
    """The kernels of one device."""

    device = Field(1, "string")
    node_stats = Field(2, NodeExecStats, repeated=True)


class StepStats(Message):
    """The kernels of one run."""

    dev_stats = Field(1, DeviceStepStats, repeated=True)


__all__ = [
    "DeviceStepStats", "Event", "HistogramProto", "NodeExecStats", "SessionLog", "StepStats", "Summary", "SummaryMetadata", "TaggedRunMetadata",
    "TensorProto", "TensorShapeProto", "summary_iterator",
]  # fmt: skip
