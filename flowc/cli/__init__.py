"""The command line: `flowc run`, `ir`, `viz`, `explain`, `bench`, `data`, `cache`. Also `python -m flowc`.

    flowc viz model.py -o graph.svg      # main(["viz", "model.py", "-o", "graph.svg"])
"""

from __future__ import annotations

from flowc.cli.commands import main

__all__ = ["main"]
