"""The comparison behind `tools/bench.py`: programs, timed in flowc and in its peers, turn and turn about."""
