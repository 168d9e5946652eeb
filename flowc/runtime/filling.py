"""Native code that takes arguments (`flowc.codegen.words`): a value against its form; arrays go into a program's table as they lie, or converted.

    {x: [1, 2, 3], y: ys}     ->  x: 1.0, 2.0, 3.0 written into the leaf's own memory, its address into the table; y: the address of ys

Whatever cannot be taken over at once and exactly is refused: another shape, a dtype that has to be checked, an infinity out of a finite number.
The Python side then does it, or says what is wrong.
"""

from __future__ import annotations

from flowc.codegen.words import f32_at, f64_at, i8_at, i32_at, load, put_f32, put_f64, put_i32, stack, store, to_double, to_whole, u8_at
from flowc.runtime.cpython import (
    NumPyFloat32,
    NumPyFloat64,
    PyArray_Type,
    PyDict_Next,
    PyDict_Size,
    PyDict_Type,
    PyErr_Clear,
    PyErr_Occurred,
    PyFloat_Type,
    PyList_GetItem,
    PyList_Size,
    PyList_Type,
    PyLong_AsDouble,
    PyLong_Type,
    PyTuple_GetItem,
    PyTuple_Size,
    PyTuple_Type,
    PyUnicode_Compare,
    PyUnicode_Type,
)  # fmt: skip
from flowc.runtime.desks import (
    ARGUMENTS,
    ARRAY,
    CONVERT,
    DESCR,
    DICT_OF,
    DIMS,
    FLOAT,
    FORM,
    INT,
    LEAF,
    LIST_OF,
    NUMBER,
    OBJECT,
    RANK,
    RECORD,
    SAME,
    SLOT,
    STAGED,
    TABLE,
)  # fmt: skip
from flowc.runtime.fields import (
    ARRAY_DATA,
    ARRAY_DESCR,
    ARRAY_DIMS,
    ARRAY_FLAGS,
    ARRAY_RANK,
    ARRAY_STRIDES,
    BOOL,
    DESCR_KIND,
    DESCR_NUMBER,
    DESCR_ORDER,
    FLOAT32,
    FLOAT32_VALUE,
    FLOAT64,
    FLOAT_VALUE,
    INT32,
    INT64,
    NATIVE_ORDER,
    NO_ORDER,
    OB_TYPE,
    PLAIN_FLAGS,
    UINT8,
)  # fmt: skip

EXACT = 1 << 53  # whole numbers up to here are the same in a double


def fill_all(entry, args):
    """Fill an entry's program with the arguments; 0 where one has not its form."""
    cursor = stack(1)
    store(cursor, 0, load(entry, FORM))
    for i in range(load(entry, ARGUMENTS)):
        if not fill(cursor, load(args, i), load(load(entry, RECORD), TABLE)):
            return 0
    return 1


def fill(cursor, value, table):
    """Whether a value has the form at the cursor, which then stands behind it; arrays have gone into the table."""
    form = load(cursor, 0)
    op = load(form, 0)
    if op == LEAF:
        store(cursor, 0, form + 24)
        leaf = load(form, 1)
        store(leaf, OBJECT, value)
        return put(leaf, load(form, 2), value, table)
    store(cursor, 0, form + 16)
    if op == SAME:
        return value == load(form, 1)
    kind = load(value, OB_TYPE)
    count = load(form, 1)
    if op == DICT_OF:
        return kind == PyDict_Type and PyDict_Size(value) == count and fill_dict(cursor, value, count, table)
    if op == LIST_OF:
        return kind == PyList_Type and PyList_Size(value) == count and fill_list(cursor, value, count, table)
    return kind == PyTuple_Type and PyTuple_Size(value) == count and fill_tuple(cursor, value, count, table)


def fill_dict(cursor, value, count, table):
    keys = load(cursor, 0)
    store(cursor, 0, keys + 8 * count)
    step = stack(3)  # where the dict is walked to, the key, the item
    store(step, 0, 0)
    for i in range(count):
        if not PyDict_Next(value, step, step + 8, step + 16):
            return 0
        if not same_key(load(step, 1), load(keys, i)):
            return 0
        if not fill(cursor, load(step, 2), table):
            return 0
    return 1


def same_key(key, wanted):
    """Whether a dict's key is the wanted one: the same object, or the same text."""
    if key == wanted:
        return 1
    if load(key, OB_TYPE) != PyUnicode_Type or load(wanted, OB_TYPE) != PyUnicode_Type:
        return 0
    return PyUnicode_Compare(key, wanted) == 0


def fill_list(cursor, value, count, table):
    for i in range(count):
        if not fill(cursor, PyList_GetItem(value, i), table):
            return 0
    return 1


def fill_tuple(cursor, value, count, table):
    for i in range(count):
        if not fill(cursor, PyTuple_GetItem(value, i), table):
            return 0
    return 1


def put(leaf, accepts, value, table):
    """Give a leaf a value: an array's own memory where it can be read as it is, else the leaf's, with the value converted."""
    kind = load(value, OB_TYPE)
    if kind == PyArray_Type:
        if not same_shape(leaf, value):
            return 0
        if accepts & ARRAY and i32_at(value, ARRAY_FLAGS) & PLAIN_FLAGS == PLAIN_FLAGS and same_dtype(leaf, load(value, ARRAY_DESCR)):
            store(table, load(leaf, SLOT), load(value, ARRAY_DATA))
            return 1
        if not accepts & CONVERT or load(leaf, STAGED) == 0 or not in_native_order(value):
            return 0
        taken = convert_axis(leaf, value, 0, load(value, ARRAY_DATA), 0)
    elif load(leaf, STAGED) == 0:
        return 0
    elif kind in (PyList_Type, PyTuple_Type):
        if not accepts & CONVERT or load(leaf, RANK) == 0:
            return 0
        taken = list_axis(leaf, value, 0, 0)
    else:
        if load(leaf, RANK) != 0:
            return 0
        taken = put_scalar(leaf, accepts, value)
    if taken < 0:
        return 0
    store(table, load(leaf, SLOT), load(leaf, STAGED))
    return 1


def same_shape(leaf, array):
    rank = load(leaf, RANK)
    if i32_at(array, ARRAY_RANK) != rank:
        return 0
    given = load(array, ARRAY_DIMS)
    wanted = load(leaf, DIMS)
    for axis in range(rank):
        if load(given, axis) != load(wanted, axis):
            return 0
    return 1


def same_dtype(leaf, descr):
    """NumPy has one object for each plain dtype; a copy, from a file say, has the same kind, byte order and number."""
    wanted = load(leaf, DESCR)
    if descr == wanted:
        return 1
    return load(descr, DESCR_KIND) == load(wanted, DESCR_KIND) and i32_at(descr, DESCR_NUMBER) == load(leaf, NUMBER)


def in_native_order(array):
    order = i8_at(load(array, ARRAY_DESCR), DESCR_ORDER)
    return order in (NATIVE_ORDER, NO_ORDER)


# conversion; the functions give the place behind what they have written, -1 where something cannot be taken over exactly


def convert_axis(leaf, array, axis, source, at):
    """Copy an array, of any strides, from `axis` on."""
    if axis == i32_at(array, ARRAY_RANK):
        return convert(leaf, i32_at(load(array, ARRAY_DESCR), DESCR_NUMBER), source, at)
    stride = load(load(array, ARRAY_STRIDES), axis)
    for i in range(load(load(array, ARRAY_DIMS), axis)):
        at = convert_axis(leaf, array, axis + 1, source + i * stride, at)
        if at < 0:
            return -1
    return at


def list_axis(leaf, value, axis, at):
    """Copy lists, or tuples, of numbers."""
    kind = load(value, OB_TYPE)
    if kind == PyList_Type:
        count = PyList_Size(value)
    elif kind == PyTuple_Type:
        count = PyTuple_Size(value)
    else:
        return -1
    if count != load(load(leaf, DIMS), axis):
        return -1
    for i in range(count):
        item = PyList_GetItem(value, i) if kind == PyList_Type else PyTuple_GetItem(value, i)
        if axis + 1 < load(leaf, RANK):
            at = list_axis(leaf, item, axis + 1, at)
        else:
            at = put_number(leaf, item, at)
        if at < 0:
            return -1
    return at


def convert(leaf, number, source, at):
    """Copy one element of a NumPy type."""
    if number == FLOAT64:
        return put_float(leaf, f64_at(source, 0), at)
    if number == FLOAT32:
        return put_float(leaf, f32_at(source, 0), at)
    if number == INT64:
        return put_whole(leaf, load(source, 0), at)
    if number == INT32:
        return put_whole(leaf, i32_at(source, 0), at)
    if number in (UINT8, BOOL):
        return put_whole(leaf, u8_at(source, 0), at)
    return -1


def put_number(leaf, value, at):
    """Copy a Python number or one of NumPy's floats."""
    kind = load(value, OB_TYPE)
    if kind in (PyFloat_Type, NumPyFloat64):
        return put_float(leaf, f64_at(value, FLOAT_VALUE), at)
    if kind == NumPyFloat32:
        return put_float(leaf, f32_at(value, FLOAT32_VALUE), at)
    if kind != PyLong_Type:
        return -1
    x = PyLong_AsDouble(value)
    if x == -1.0 and PyErr_Occurred() != 0:
        PyErr_Clear()
        return -1
    if x > 9.0e15 or x < -9.0e15:  # a float32 of such a number is rounded from the whole number, not from the double
        return -1
    return put_float(leaf, x, at)


def put_scalar(leaf, accepts, value):
    """A number for a leaf of rank 0."""
    if accepts & (CONVERT | FLOAT) and (accepts & CONVERT or load(value, OB_TYPE) != PyLong_Type):
        return put_number(leaf, value, 0)
    if accepts & INT and load(value, OB_TYPE) == PyLong_Type:
        x = PyLong_AsDouble(value)
        if x == -1.0 and PyErr_Occurred() != 0:
            PyErr_Clear()
            return -1
        if x < -2147483648.0 or x > 2147483647.0:
            return -1
        put_i32(load(leaf, STAGED), 0, to_whole(x))
        return 1
    return -1


def put_whole(leaf, value, at):
    if value > EXACT or value < -EXACT:
        return -1
    return put_float(leaf, to_double(value), at)


def put_float(leaf, x: float, at):
    """A float for a leaf of float32 or float64; what becomes infinite is left to NumPy, which warns."""
    target = load(leaf, STAGED)
    if load(leaf, NUMBER) == FLOAT64:
        put_f64(target, at, x)
        return at + 1
    if load(leaf, NUMBER) != FLOAT32:
        return -1
    put_f32(target, at, x)
    rounded = f32_at(target, at)
    if rounded - rounded != 0.0 and x - x == 0.0:
        return -1
    return at + 1
