"""Data to try programs on: the bundled digits, and MNIST's IDX files."""
