"""The event writer: checksums, wire format, pictures, and files that stay readable."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

from flowc.errors import FlowcError
from flowc.frontend import events
from flowc.frontend.events import EventFile
from tests.frontend.tfevents import crc_bit_by_bit, decode_png, fields, files, read, records


@pytest.mark.parametrize(
    ("data", "crc"),
    [
        (b"", 0), (b"a", 0xC1D04330), (b"123456789", 0xE3069283), (bytes(32), 0x8A9136AA), (b"\xff" * 32, 0x62A8AB43),
        (bytes(range(32)), 0x46DD794E), (bytes(range(31, -1, -1)), 0x113FDB5C),
    ],
)  # fmt: skip
def test_checksums_are_those_of_rfc_3720(data, crc):
    assert events.crc32c(data) == crc


@pytest.mark.parametrize("length", [511, 512, 513, 515, 767, 768, 769, 5000])
def test_long_data_has_the_checksum_that_one_gets_bit_by_bit(length):
    data = np.random.default_rng(length).integers(0, 256, length, np.uint8).tobytes()
    assert events.crc32c(data) == crc_bit_by_bit(data)


def test_data_of_several_megabytes_has_the_checksum_of_its_halves_put_together():
    data = bytes(range(256)) * 10000
    half = len(data) // 2
    first, second, empty = events.crc32c(data[:half] + bytes(half)), events.crc32c(bytes(half) + data[half:]), events.crc32c(bytes(2 * half))
    assert events.crc32c(data) == first ^ second ^ empty  # CRCs are affine


def test_a_record_of_24_bytes_starts_as_tensorflows_do():
    assert events.record(bytes(24))[:12] == bytes.fromhex("1800000000000000a37f4b22")


def test_records_are_read_back():
    parts = [b"", b"x", bytes(1000)]
    assert records(b"".join(events.record(p) for p in parts)) == parts


@pytest.mark.parametrize(("number", "encoded"), [(0, "00"), (127, "7f"), (300, "ac02"), (-1, "ffffffffffffffffff01"), (2**63, "80808080808080808001")])
def test_varints_have_seven_bits_to_a_byte(number, encoded):
    assert events.varint(number).hex() == encoded


def test_an_event_holds_time_step_and_summary():
    assert fields(events.event(1.5, 7, summary=b"abc")) == {1: [1.5], 2: [7], 5: [b"abc"]}


def test_a_number_too_large_for_f32_is_infinite():
    assert fields(fields(events.scalar_value("x", 1e300))[1][0])[2] == [np.inf]


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_a_png_holds_the_pixels(channels):
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, channels), np.uint8)
    np.testing.assert_array_equal(decode_png(events.png(pixels)), pixels)


def test_the_default_buckets_are_powers_of_1_1_around_zero():
    limits = events.bucket_limits()
    middle = len(limits) // 2
    assert limits[middle] == 0.0 and limits[middle + 1] == 1e-12 and limits[middle + 2] == 1e-12 * 1.1
    assert limits[-1] == np.finfo(np.float64).max and limits[-2] < 1e20 <= limits[-2] * 1.1
    np.testing.assert_array_equal(limits, -limits[::-1])


def histogram(values):
    value = fields(fields(fields(events.histogram_value("h", np.asarray(values)))[1][0])[5][0])
    numbers = [value[field][0] for field in (1, 2, 3, 4, 5)]
    return numbers, np.frombuffer(value[6][0], "<f8"), np.frombuffer(value[7][0], "<f8")


def test_a_histogram_has_extremes_count_sum_and_sum_of_squares():
    assert histogram([1.0, 2.0, -4.0])[0] == [-4.0, 2.0, 3.0, -1.0, 21.0]


def test_a_value_falls_into_the_bucket_whose_limit_is_the_first_above_it():
    _, limits, counts = histogram([0.0, 0.0, 5.0])
    first = np.flatnonzero(counts)
    assert counts[first].tolist() == [2.0, 1.0]
    assert limits[first[0]] == 1e-12 and limits[first[0] - 1] == 0.0
    assert limits[first[1] - 1] <= 5.0 < limits[first[1]]


def test_empty_buckets_in_a_row_are_one_with_the_last_ones_limit():
    _, limits, counts = histogram([1.0])
    assert counts.tolist() == [0.0, 1.0, 0.0]
    assert limits[0] <= 1.0 < limits[1] and limits[2] == np.finfo(np.float64).max


@pytest.mark.parametrize("value", [1e25, -1e25, np.finfo(np.float64).max])
def test_values_beyond_the_buckets_count_in_the_outermost(value):
    assert histogram([value])[2].sum() == 1.0


def test_a_histogram_of_no_numbers_is_one_empty_bucket():
    numbers, limits, counts = histogram(np.zeros(0, np.float32))
    assert numbers[2:] == [0.0, 0.0, 0.0]
    assert (limits.tolist(), counts.tolist()) == ([np.finfo(np.float64).max], [0.0])


def test_a_file_is_named_and_starts_as_tensorboard_expects(tmp_path):
    with EventFile(str(tmp_path / "new" / "logs"), ".mine"):
        pass
    (path,) = files(tmp_path / "new" / "logs")
    seconds, host = path.name.removeprefix("events.out.tfevents.").split(".")[:2]
    assert len(seconds) == 10 and host == os.uname().nodename.split(".")[0] and path.name.endswith(".mine")
    (first,) = read(path.parent)
    assert first[3] == [b"brain.Event:2"] and int(first[1][0]) == int(seconds)


def test_files_made_in_the_same_second_are_two(tmp_path):
    with EventFile(str(tmp_path)), EventFile(str(tmp_path)):
        assert len(files(tmp_path)) == 2


def test_events_are_on_disk_once_they_are_flushed(tmp_path):
    with EventFile(str(tmp_path)) as file:
        assert file.append(events.event(0.0, 1)) == 1
        assert len(read(tmp_path)) == 1
        file.flush()
        assert len(read(tmp_path)) == 2


def test_a_write_that_fails_halfway_leaves_whole_records_and_can_be_repeated(tmp_path, monkeypatch):
    file = EventFile(str(tmp_path))
    file.append(events.event(0.0, 1))
    write, calls = os.write, []

    def full(descriptor, data):
        calls.append(len(data))
        if len(calls) > 1:
            raise OSError(28, "No space left on device")
        return write(descriptor, data[:5])

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(FlowcError, match="No space left on device"):
        file.flush()
    monkeypatch.undo()
    assert len(calls) == 2 and len(read(tmp_path)) == 1
    file.close()
    assert len(read(tmp_path)) == 2


def test_a_forked_process_does_not_write_its_parents_events(tmp_path, monkeypatch):
    file = EventFile(str(tmp_path))
    file.append(events.event(0.0, 1))
    with monkeypatch.context() as child:
        child.setattr(os, "getpid", lambda: -1)
        file.flush()
    assert len(read(tmp_path)) == 1
    file.close()
    assert len(read(tmp_path)) == 2


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(FlowcError, match=r"events cannot be written to .*file/logs: Not a directory"):
        EventFile(str(tmp_path / "file" / "logs"))


_KILLED = """
import sys, time
import flowc as tf
writer = tf.summary.FileWriter(sys.argv[1], max_queue=1000)
for step in range(500):
    writer.add_summary(tf.Summary(value=[tf.Summary.Value(tag="x", simple_value=step)]), step)
writer.flush()
for step in range(500, 505):
    writer.add_summary(tf.Summary(value=[tf.Summary.Value(tag="x", simple_value=step)]), step)
print("flushed", flush=True)
sys.stdin.read()
"""


def test_what_was_flushed_is_read_whole_after_the_process_is_killed(tmp_path):
    with subprocess.Popen([sys.executable, "-c", _KILLED, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "flushed\n"
        process.kill()
    assert [event.get(2, [0])[0] for event in read(tmp_path)[1:]] == list(range(500))


def test_the_programs_end_writes_what_waits(tmp_path):
    program = _KILLED.replace("sys.stdin.read()", "")
    subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=True, capture_output=True)
    assert len(read(tmp_path)) == 506
