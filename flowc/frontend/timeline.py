"""`tensorflow.python.client.timeline`: the kernels of a traced run as a Chrome trace.

    from tensorflow.python.client import timeline
    trace = timeline.Timeline(run_metadata.step_stats).generate_chrome_trace_format()      # JSON text, for chrome://tracing
"""

from __future__ import annotations

import json
import os
from typing import Any

from flowc.errors import FlowcError, user_location
from flowc.frontend.protos import StepStats
from flowc.runtime.chrome import document, named, span


class Timeline:
    """The times of one run; `flowc.profile` shows more: every run, every thread, and each kernel's work."""

    def __init__(self, step_stats: StepStats, graph: Any = None) -> None:
        if not isinstance(step_stats, StepStats):
            raise FlowcError(f"Timeline takes the step_stats of a tf.RunMetadata, not {step_stats!r}", location=user_location())
        self._step_stats = step_stats

    def generate_chrome_trace_format(self, show_dataflow: bool = True, show_memory: bool = False) -> str:
        """The trace as JSON, its times counted from the first kernel's start. The arguments change nothing: there is only one order of kernels."""
        events = []
        starts = [kernel.all_start_nanos or 1000 * kernel.all_start_micros for device in self._step_stats.dev_stats for kernel in device.node_stats]
        for number, device in enumerate(self._step_stats.dev_stats):
            events.append(named("process", os.getpid(), number, device.device))
            events.append(named("thread", os.getpid(), number, device.device))
            for kernel in device.node_stats:
                start = (kernel.all_start_nanos or 1000 * kernel.all_start_micros) - min(starts)
                taken = kernel.all_end_rel_nanos or 1000 * kernel.all_end_rel_micros
                told = {"name": kernel.node_name, "label": kernel.timeline_label}
                events.append(span(kernel.node_name, "Op", os.getpid(), number, start / 1e3, taken / 1e3, told))
        return json.dumps(document(events))


__all__ = ["Timeline"]
