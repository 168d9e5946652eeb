"""What runs a compiled program: buffers, threads, the executable."""
