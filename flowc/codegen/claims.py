"""Iterations that threads claim as they come to them, as LLVM text: a thread that a neighbour slows down leaves some of its share to the others.

    flowc_first_claim(n, tid, nthreads, control)     # all threads meet; then a first iteration of this thread's, or n
    flowc_next_claim(n, tid, nthreads, control)      # one more, until there is none: n

Each thread begins with the share that it would have had, so what it left in its caches stays there, and goes on with those of the next threads.
A share's cell in the control block counts what has been claimed of it. Each thread has two: that of the barrier last passed is in use, the
other is set back before the next barrier, when nobody is in the loop of the one before any longer.
"""

from __future__ import annotations

from flowc.codegen.barrier import GENERATION, WORKER_WORDS, WORKERS

CELLS = 8, 24  # of a worker's words: neither with what asks for a run, nor with what tells that it is done, nor with each other in a cache line


def _cell(thread: str, generation: str) -> str:
    """LLVM: `%cell`, the address of a thread's cell after that many barriers."""
    first, second = CELLS
    return f"""
  %odd = and i64 {generation}, 1
  %side = mul i64 %odd, {second - first}
  %words = mul i64 {thread}, {WORKER_WORDS}
  %before = add i64 %words, {WORKERS + first}
  %at = add i64 %before, %side
  %cell = getelementptr i64, ptr %base, i64 %at"""


def first_claim_text() -> str:
    """LLVM: `flowc_first_claim`, which calls `flowc_barrier` and `flowc_next_claim`."""
    return f"""
declare void @flowc_barrier(i64, i64)
declare i64 @flowc_next_claim(i64, i64, i64, i64)

define linkonce_odr hidden i64 @flowc_first_claim(i64 %n, i64 %tid, i64 %nthreads, i64 %control) noinline nounwind {{
entry:
  %base = inttoptr i64 %control to ptr
  %generation = getelementptr i64, ptr %base, i64 {GENERATION}
  %passed = load atomic i64, ptr %generation acquire, align 8
  %then = add i64 %passed, 1{_cell("%tid", "%then")}
  store atomic i64 0, ptr %cell monotonic, align 8
  call void @flowc_barrier(i64 %nthreads, i64 %control)
  %claimed = call i64 @flowc_next_claim(i64 %n, i64 %tid, i64 %nthreads, i64 %control)
  ret i64 %claimed
}}
"""


def next_claim_text() -> str:
    """LLVM: `flowc_next_claim`."""
    return f"""
define linkonce_odr hidden i64 @flowc_next_claim(i64 %n, i64 %tid, i64 %nthreads, i64 %control) noinline nounwind {{
entry:
  %base = inttoptr i64 %control to ptr
  %generation = getelementptr i64, ptr %base, i64 {GENERATION}
  %passed = load atomic i64, ptr %generation monotonic, align 8
  br label %share
share:
  %tried = phi i64 [ 0, %entry ], [ %more, %next ]
  %sum = add i64 %tid, %tried
  %thread = urem i64 %sum, %nthreads
  %following = add i64 %thread, 1
  %start = mul i64 %n, %thread
  %lower = udiv i64 %start, %nthreads
  %end = mul i64 %n, %following
  %upper = udiv i64 %end, %nthreads{_cell("%thread", "%passed")}
  %count = atomicrmw add ptr %cell, i64 1 monotonic
  %found = add i64 %lower, %count
  %is_left = icmp slt i64 %found, %upper
  br i1 %is_left, label %claimed, label %next
claimed:
  ret i64 %found
next:
  %more = add i64 %tried, 1
  %others = icmp slt i64 %more, %nthreads
  br i1 %others, label %share, label %none
none:
  ret i64 %n
}}
"""
