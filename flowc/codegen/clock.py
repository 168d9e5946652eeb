"""The clock that traced programs read, as LLVM text: nanoseconds of the same clock as Python's `time.perf_counter_ns`.

    mark(args, 7, tid * 4)      # in a traced program's entry: the time now, into element tid * 4 of the buffer in slot 7
"""

from __future__ import annotations

import time
from typing import Any

MONOTONIC = getattr(time, "CLOCK_MONOTONIC", 1)


def mark(args: Any, slot: int, place: int) -> None:
    """Write the time into an element of the i64 buffer whose address stands in slot `slot` of the argument table."""
    args[slot][place] = time.perf_counter_ns()


def clock_text() -> str:
    """LLVM: `flowc_clock()`. A call that LLVM cannot look into, so no kernel's work moves across it."""
    return f"""
declare i32 @clock_gettime(i32, ptr)

define linkonce_odr hidden i64 @flowc_clock() noinline nounwind {{
  %time = alloca [2 x i64], align 8
  %status = call i32 @clock_gettime(i32 {MONOTONIC}, ptr %time)
  %nanoseconds_at = getelementptr i64, ptr %time, i64 1
  %seconds = load i64, ptr %time, align 8
  %nanoseconds = load i64, ptr %nanoseconds_at, align 8
  %whole = mul i64 %seconds, 1000000000
  %now = add i64 %whole, %nanoseconds
  ret i64 %now
}}
"""
