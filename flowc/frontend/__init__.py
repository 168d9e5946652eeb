"""What the user writes: tensors, variables, sessions, and TensorFlow 1's functions, all of which append nodes to a Graph."""
