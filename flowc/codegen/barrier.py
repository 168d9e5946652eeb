"""The barrier as LLVM text, and the layout of the control block that it and the thread pool share.

A control block is an array of i64 words; words that different threads write lie 128 bytes apart.
"""

from __future__ import annotations

import platform

# word offsets in the control block
ENTRY, ARGS, NTHREADS, CALLER_CPU = 0, 1, 2, 3  # the run in progress
CAN_MOVE = 4  # whether threads can learn which processor they are on, and leave it
ARRIVED, GENERATION = 16, 32  # barrier: threads that wait; how many barriers have passed
STOP = 48  # workers leave when it is not 0
PARKED = 64  # workers asleep
MUTEX, CONDITION = 80, 96  # pthread objects, 128 bytes each
WORKERS = 112  # then 32 words for each worker: request epoch, and 16 words on, the epoch that it has done
WORKER_WORDS = 32

YIELD_SPINS = 400  # pauses (some 10 us) before a waiting thread lets others run: where threads outnumber cores, all must come forward


def pause() -> tuple[str, str]:
    """The instruction that tells the core that it spins: (call, declaration)."""
    machine = platform.machine().lower()
    if machine in ("x86_64", "amd64", "i686", "i386"):
        return "call void @llvm.x86.sse2.pause()", "declare void @llvm.x86.sse2.pause()"
    if machine in ("arm64", "aarch64"):
        return "call void @llvm.aarch64.hint(i32 1)", "declare void @llvm.aarch64.hint(i32)"
    return "", ""


def barrier_text() -> str:
    """LLVM: `flowc_barrier(nthreads, control)`. The last to arrive opens it; the others spin, and let others run after a while."""
    call, declaration = pause()
    return f"""
{declaration}
declare i32 @sched_yield()

define linkonce_odr hidden void @flowc_barrier(i64 %nthreads, i64 %control) noinline nounwind {{
entry:
  %base = inttoptr i64 %control to ptr
  %arrived = getelementptr i64, ptr %base, i64 {ARRIVED}
  %generation = getelementptr i64, ptr %base, i64 {GENERATION}
  %mine = load atomic i64, ptr %generation acquire, align 8
  %before = atomicrmw add ptr %arrived, i64 1 acq_rel
  %now = add i64 %before, 1
  %last = icmp eq i64 %now, %nthreads
  br i1 %last, label %open, label %spin
open:
  store atomic i64 0, ptr %arrived monotonic, align 8
  %next = add i64 %mine, 1
  store atomic i64 %next, ptr %generation release, align 8
  ret void
spin:
  %count = phi i64 [ 0, %entry ], [ %more, %again ], [ 0, %yield ]
  %seen = load atomic i64, ptr %generation acquire, align 8
  %passed = icmp ne i64 %seen, %mine
  br i1 %passed, label %done, label %wait
wait:
  {call}
  %more = add i64 %count, 1
  %long = icmp eq i64 %more, {YIELD_SPINS}
  br i1 %long, label %yield, label %again
again:
  br label %spin
yield:
  %ignored = call i32 @sched_yield()
  br label %spin
done:
  ret void
}}
"""
