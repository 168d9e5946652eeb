"""Lowering: the Functions of a Module become loop IR kernels, and the Module's `main` becomes a Program of kernel runs over places."""
