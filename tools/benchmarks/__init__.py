"""The comparison behind `tools/bench.py`: four training steps, timed in flowc and in its peers, turn and turn about."""
