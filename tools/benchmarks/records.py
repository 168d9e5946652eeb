"""What is kept of a comparison: results with every round, the machine, versions and the date, as JSON and back.

    load([Path("steps.json"), Path("matmul.json")])   ->   the results of both, and what they were taken on
"""

from __future__ import annotations

import datetime
import json
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from .catalogue import WORKLOADS
from .measure import First, Result

Machine = dict[str, Any]


def machine() -> Machine:
    """What the numbers were taken on, and when."""
    return {
        "date": datetime.datetime.now().astimezone().isoformat(timespec="minutes"),
        "cpu": processor_name(Path("/proc/cpuinfo")),
        "cores": os.cpu_count(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9),
        "system": platform.platform(),
        "load_before": round(os.getloadavg()[0], 2),
    }


def processor_name(cpuinfo: Path) -> str:
    """The processor's name as Linux gives it, with its widest vectors, or what Python knows."""
    if not cpuinfo.exists():
        return platform.processor() or platform.machine()
    entries = dict(line.split(":", 1) for line in cpuinfo.read_text().splitlines() if ":" in line)
    found = {key.strip(): value.strip() for key, value in entries.items()}
    flags = found.get("flags", "").split()
    widest = next((text for flag, text in (("avx512f", "AVX-512"), ("avx2", "AVX2")) if flag in flags), None)
    name = found.get("model name") or platform.processor() or platform.machine()
    return f"{name} ({widest})" if widest else name


def machine_line(found: Machine) -> str:
    """The machine in one line."""
    load = f"load {found['load_before']} before the start"
    return f"{found['date']}, {found['cpu']}, {found['cores']} cores, {found['memory_gb']} GB, {found['system']}, {load}"


def versions_line(results: Sequence[Result]) -> str:
    """Every version that took part, once; two environments may hold two NumPys, which are both named."""
    found: dict[str, list[str]] = {}
    for result in results:
        for name, version in result.versions.items():
            found.setdefault(name, [])
            if version not in found[name]:
                found[name].append(version)
    return ", ".join(f"{name} {' and '.join(these)}" for name, these in sorted(found.items()))


def as_json(results: Sequence[Result], found: Machine, settings: dict[str, Any]) -> str:
    """Everything, every round included, so that other figures can be computed later."""
    rows = [{**asdict(r), "median_s": r.median_s, "ratio": r.ratio} for r in results]
    return json.dumps({"machine": found, "settings": settings, "results": rows}, indent=1)


def load(files: Sequence[Path]) -> tuple[list[Result], Machine]:
    """The results of earlier comparisons, in the catalogue's order, and the machine of the last one. Of a workload that two files
    hold the later file's results are taken. ValueError for a file that holds none, or whose machine is another one."""
    by_workload: dict[str, list[Result]] = {}
    last: Machine = {}
    names = {f.name for f in fields(Result)}
    for file in files:
        try:
            kept = json.loads(file.read_text())
            here, rows = kept["machine"], kept["results"]
            measured = {row["workload"] for row in rows} & set(WORKLOADS)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{file} holds no results of bench.py --json: {type(error).__name__}: {error}") from None
        if last and any(last[key] != here[key] for key in ("cpu", "cores", "memory_gb")):
            raise ValueError(f"{file} was measured on another machine than the files before it")
        last = here
        by_workload.update({workload: [] for workload in measured})
        for row in rows:
            if row["workload"] in measured:
                values = {key: value for key, value in row.items() if key in names}
                for part in ("cold", "warm"):
                    values[part] = None if values[part] is None else First(**values[part])
                by_workload[row["workload"]].append(Result(**values))
    return [result for name in WORKLOADS for result in by_workload.get(name, [])], last
