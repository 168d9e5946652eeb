"""What is measured: a file per program, with its data and how each contestant writes it.

Every file has `make(workload)`, which gives the data, and `BUILDERS`, which gives for a contestant's name the function
`(library, workload, data) -> Program`. A file whose workloads have no fixed answers has `reference(workload)` too.
"""
