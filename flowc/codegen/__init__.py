"""Kernels to source to object code: the printers, the names that generated source uses, the compiler and the loader."""
