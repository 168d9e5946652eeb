"""Where native code finds a few fields of CPython's and NumPy's objects, and what they hold.

    load(array, ARRAY_DATA)      # the address of an array's first element

Only fields that both keep where they are for extension modules built earlier. All the same, `native.unsupported` compares each with the
interpreter that runs, and the runtime does without native calls where one is elsewhere.
"""

from __future__ import annotations

# fields of objects, in words from the object's address; those marked i32 in 32-bit words
OB_REFERENCES, OB_TYPE = 0, 1
LIST_SIZE = 2
FIRST_SLOT = 2  # of a class whose base is `object`: the first name of its __slots__
FLOAT_VALUE = 2  # also that of np.float64
FLOAT32_VALUE = 4  # i32: np.float32's
ARRAY_DATA = 2
ARRAY_RANK = 6  # i32
ARRAY_DIMS = 4
ARRAY_STRIDES = 5
ARRAY_DESCR = 7
ARRAY_FLAGS = 16  # i32
DESCR_KIND = 3  # kind, character, byte order, flags, then the number of the type as i32
DESCR_ORDER = 26  # bytes
DESCR_NUMBER = 7  # i32

PLAIN_FLAGS = 0x101  # in C order and aligned
WRITEABLE = 0x400
LINE = 64  # bytes of a cache line: a result in a block begins with one
NATIVE_ORDER, NO_ORDER = ord("="), ord("|")
BOOL, UINT8, INT32, INT64, FLOAT32, FLOAT64 = 0, 2, 5, 7, 11, 12  # numbers of NumPy's types on Linux
