"""The layout of what native calls read: desks, entries, forms, records, leaves, results, copies, in words from their beginnings.

    desk   -> entries -> form of the arguments
                      -> record -> leaves, results, copies, table of addresses

`prepared` writes them, `caller` and `filling` read them.
"""

from __future__ import annotations

# a desk: while the word at PAUSED_AT is 0 and that at GUARD_AT is GUARD, its COUNT entries are tried in turn; LAST: the one that fitted last
PAUSED_AT, GUARD_AT, GUARD, KEYWORD, LAST, COUNT, ENTRIES = range(7)
# an entry: its record; the object that owns both; how many arguments; their form; how the results are packed, and in what order
RECORD, OWNER, ARGUMENTS, FORM, PACK, PACK_WITH, PACK_COUNT, PACK_ITEMS = range(8)
ONE, LIST, TUPLE, FUNCTION = range(4)  # PACK: one result, or a list or tuple of them, or what PACK_WITH makes of the list of all; item -1 is None
# forms: SAME object; LEAF leaf accepts; LIST_OF n forms; TUPLE_OF n forms; DICT_OF n keys forms
SAME, LEAF, LIST_OF, TUPLE_OF, DICT_OF = range(5)
ARRAY, CONVERT, FLOAT, INT = 1, 2, 4, 8  # accepts: arrays of the leaf's dtype; what casts to its float dtype; floats; ints of 32 bits
# a record
LOCK, MODE, ENTER, TABLE, DISPATCH, GENERATION_AT, GENERATION, COUNTER, LEAVES, LEAF_COUNT, RESULTS, RESULT_COUNT, BEFORE, AFTER, RECORD_WORDS = range(15)
HOLD, RELEASE, POOL = range(3)  # MODE: run with the interpreter's lock, without it, or on several threads by calling DISPATCH
# a leaf: its slot in the table; dtype, rank and extents; memory of its own for what has to be converted, or 0; the object it was filled with
SLOT, DESCR, NUMBER, RANK, DIMS, STAGED, OBJECT, LEAF_WORDS = range(8)
# a result: its slot; dtype, rank and extents; for a scalar, the memory that the program writes it to, else 0; for a large array, where two
# blocks of memory for it stand (`blocks`), else 0
RESULT_SLOT, RESULT_DESCR, RESULT_RANK, RESULT_DIMS, SCALAR, BLOCKS, RESULT_WORDS = range(7)
# a list of copies: how many; for each the slots of target and source, and bytes
COPY_COUNT, COPY_WORDS = 1, 3

