"""The times of a run's kernels as TensorFlow's RunMetadata.

    metadata = tf.RunMetadata()
    sess.run(train, feeds, options=tf.RunOptions(trace_level=tf.RunOptions.FULL_TRACE), run_metadata=metadata)
    for kernel in metadata.step_stats.dev_stats[0].node_stats:
        print(kernel.node_name, kernel.all_end_rel_nanos, kernel.nodes)
    metadata.save("step.json")                  # for flowc viz --profile
"""

from __future__ import annotations

import os
import sys
import time
from typing import Any

from flowc.errors import FlowcError, user_location
from flowc.frontend.app import RunOptions
from flowc.frontend.messages import Field, Message
from flowc.frontend.protos import DeviceStepStats, NodeExecStats, StepStats
from flowc.runtime.profile import Profile, profile_of, write
from flowc.runtime.recorder import Run

DEVICE = "/device:CPU:0"


def is_traced(options: Any) -> bool:
    """Whether a run's options ask for the times of its kernels."""
    return isinstance(options, RunOptions) and bool(options.trace_level == RunOptions.FULL_TRACE)


class RunMetadata(Message):
    """What is reported of a run: `step_stats`, where `options=tf.RunOptions(trace_level=tf.RunOptions.FULL_TRACE)` asks for them.

    title, profile: flowc's own, what was run and the figures of its kernels; None where nothing was traced.
    """

    _LOCAL = frozenset({"title", "profile"})
    title: str | None = None
    profile: Profile | None = None

    step_stats = Field(1, StepStats)

    def take(self, run: Run) -> None:
        """Report of a run, in place of what is there."""
        self.title, self.profile = run.title, profile_of([run.launch])
        self.step_stats = step_stats(run, self.profile)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the figures of the kernels as JSON, as `flowc bench --json` does; `flowc viz --profile` reads it.

        FlowcError where nothing was traced or the file cannot be written.
        """
        if self.profile is None or self.title is None:
            advice = "pass options=tf.RunOptions(trace_level=tf.RunOptions.FULL_TRACE) and this run_metadata to session.run"
            raise FlowcError("nothing was traced that could be saved", advice, user_location())
        save(path, [(self.title, self.profile)])


def step_stats(run: Run, profile: Profile) -> StepStats:
    """A run's kernels in their order, from when the first thread enters one to when the last one leaves it."""
    epoch = time.time_ns() - time.perf_counter_ns()
    kernels = []
    for kernel, (begin, end) in zip(profile.kernels, run.launch.spans(), strict=True):
        start, taken = epoch + begin, end - begin
        label = f"{kernel.name} = {', '.join(kernel.nodes)} ({', '.join(kernel.lines)})"
        times = {"all_start_micros": start // 1000, "op_end_rel_micros": -(-taken // 1000), "all_end_rel_micros": -(-taken // 1000),
                 "all_start_nanos": start, "op_end_rel_nanos": taken, "all_end_rel_nanos": taken}  # fmt: skip
        kernels.append(NodeExecStats(node_name=kernel.name, timeline_label=label, nodes=kernel.nodes, lines=kernel.lines, **times))
    return StepStats(dev_stats=[DeviceStepStats(device=DEVICE, node_stats=kernels)])


def save(path: str | os.PathLike[str], measured: list[tuple[str, Profile]]) -> None:
    """Write titled profiles as JSON; the model is the program that runs. FlowcError where the file cannot be written."""
    try:
        write(path, os.path.basename(sys.argv[0]) or "python", measured)
    except OSError as error:
        raise FlowcError(f"{os.fspath(path)} cannot be written: {error.strerror}", location=user_location()) from None


__all__ = ["RunMetadata", "is_traced", "save", "step_stats"]
