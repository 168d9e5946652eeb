"""The times of a run's kernels, with the attributes that TensorFlow's RunMetadata has.

metadata = tf.RunMetadata()
sess.run(train, feeds, options=tf.RunOptions(trace_level=tf.RunOptions.FULL_TRACE), run_metadata=metadata)
for kernel in metadata.step_stats.dev_stats[0].node_stats:
    print(kernel.node_name, kernel.all_end_rel_micros, kernel.nodes)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from flowc.frontend.app import RunOptions, Settings

RUNS = 3
"""How often each kernel is measured; the median counts."""


def is_traced(options: Any) -> bool:
    """Whether a run's options ask for the times of its kernels."""
    return isinstance(options, RunOptions) and bool(options.trace_level == RunOptions.FULL_TRACE)


def step_stats(call: Any, fed: Sequence[np.ndarray]) -> Settings:
    """The times of a prepared call's kernels, measured once more on copies of what is fed and of its arrays: `dev_stats[0].node_stats`.

    Each kernel has node_name, all_start_micros (since the step's start), op_end_rel_micros and all_end_rel_micros (what it takes, with its
    fraction), timeline_label, and flowc's own `nodes` (names in the user's graph) and `lines`. Programs that are not compiled have none.
    """
    from flowc.runtime.profile import profile

    kernels: list[Settings] = []
    start = 0.0
    args = [*fed, *call.args[len(fed) :]]
    for kernel in profile(call.executable, args, RUNS, limits=False).kernels if call.executable.backend == "cpu" else ():
        taken = kernel.seconds * 1e6
        label = f"{kernel.name} = {', '.join(kernel.nodes)} ({', '.join(kernel.lines)})"
        times = {"all_start_micros": start, "op_start_rel_micros": 0, "op_end_rel_micros": taken, "all_end_rel_micros": taken}
        kernels.append(Settings(node_name=kernel.name, timeline_label=label, nodes=kernel.nodes, lines=kernel.lines, **times))
        start += taken
    return Settings(dev_stats=[Settings(device="/device:CPU:0", node_stats=kernels)])
