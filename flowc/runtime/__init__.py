"""The runtime: compiled programs, their memory, and the threads that run them."""
