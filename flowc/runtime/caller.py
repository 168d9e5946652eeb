"""Native code of calls (`flowc.codegen.words`): what a method is given goes straight into a program's table, and its results straight out.

    sess.run(train, {x: [1, 2], y: ys})     # no Python instruction between this call and the program

A *desk* (words that one object's calls are looked up in) has a few *entries*: the form of some arguments, what their program is, how its
results are packed. A *form* is a list of words that says what a value must look like: this very object, a dict of these keys in this order,
an array of that dtype and shape. What fits is run; anything else goes to the Python method, which is slower and handles everything.

A program's *record* has the table of addresses that it runs on, and a description of each *leaf* (fed array) and each *result*. All its memory
belongs to a `prepared.Prepared`. A record is used under its executable's lock, and no Python code runs between filling and reading it.
"""

from __future__ import annotations

from flowc.codegen.words import Known, copy_bytes, enter, load, stack, store
from flowc.runtime.cpython import (
    Py_DecRef,
    Py_IncRef,
    Py_None,
    PyArray_NewFromDescr,
    PyArray_Scalar,
    PyArray_SetBaseObject,
    PyArray_Type,
    PyEval_RestoreThread,
    PyEval_SaveThread,
    PyList_New,
    PyList_SetItem,
    PyMem_Free,
    PyMem_Malloc,
    PyObject_CallNoArgs,
    PyObject_CallOneArg,
    PyObject_GetAttr,
    PyObject_Vectorcall,
    PyThread_acquire_lock,
    PyThread_release_lock,
    PyTuple_GetItem,
    PyTuple_New,
    PyTuple_SetItem,
    PyTuple_Size,
)  # fmt: skip
from flowc.runtime.desks import (
    AFTER,
    ARGUMENTS,
    BEFORE,
    BLOCKS,
    COPY_WORDS,
    COUNT,
    COUNTER,
    DISPATCH,
    ENTER,
    ENTRIES,
    FORM,
    GENERATION,
    GENERATION_AT,
    GUARD,
    GUARD_AT,
    HOLD,
    KEYWORD,
    LAST,
    LEAF_COUNT,
    LEAF_WORDS,
    LEAVES,
    LIST,
    LOCK,
    MODE,
    OBJECT,
    ONE,
    OWNER,
    PACK,
    PACK_COUNT,
    PACK_ITEMS,
    PACK_WITH,
    PAUSED_AT,
    RECORD,
    RELEASE,
    RESULT_COUNT,
    RESULT_DESCR,
    RESULT_DIMS,
    RESULT_RANK,
    RESULT_SLOT,
    RESULT_WORDS,
    RESULTS,
    SAME,
    SCALAR,
    TABLE,
    TUPLE,
)  # fmt: skip
from flowc.runtime.fields import ARRAY_DATA, FIRST_SLOT, LINE, OB_REFERENCES, OB_TYPE, PLAIN_FLAGS, WRITEABLE
from flowc.runtime.filling import fill_all

MISS, RAN = 1, 2  # in place of a result: the entry does not fit; the program has run. 0, as everywhere in C: an exception is raised

in_python = Known("in_python")


def flowc_call(self, args, nargs, keywords) -> int:
    """A method, in the form that METH_FASTCALL | METH_KEYWORDS has: by the desk, or else what the class has in Python."""
    result = call(self, args, nargs, keywords)
    return fall_back(self, args, nargs, keywords) if result == MISS else result


def fall_back(self, args, nargs, keywords):
    """Call the class's attribute `in_python` with the same arguments."""
    function = PyObject_GetAttr(load(self, OB_TYPE), in_python)
    if function == 0:
        return 0
    count = nargs + (PyTuple_Size(keywords) if keywords != 0 else 0)
    vector = PyMem_Malloc(8 * (count + 1))
    store(vector, 0, self)
    copy_bytes(vector + 8, args, 8 * count)
    result = PyObject_Vectorcall(function, vector, nargs + 1, keywords)
    PyMem_Free(vector)
    Py_DecRef(function)
    return result


def call(self, args, nargs, keywords):
    """The answer of the first entry of `self`'s desk that fits, else MISS."""
    desk = load(self, FIRST_SLOT)
    if desk == 0 or load(desk, OB_TYPE) != PyArray_Type:
        return MISS
    words = load(desk, ARRAY_DATA)
    if load(load(words, PAUSED_AT), 0) != 0 or load(load(words, GUARD_AT), 0) != load(words, GUARD):
        return MISS
    given = positional(words, nargs, keywords)
    result = MISS
    Py_IncRef(desk)  # where the interpreter's lock is released, another thread may put another desk in its place
    for i in range(load(words, COUNT)):
        entry = load(words, ENTRIES + i)
        if load(entry, ARGUMENTS) == given and begins_alike(entry, args):
            result = attempt(entry, args)
            if result != MISS:
                store(words, LAST, i)
                break
    Py_DecRef(desk)
    return result


def positional(words, nargs, keywords):
    """How many arguments there are, where a keyword is at most the one that may follow, by its name, the first argument; else -1."""
    if keywords == 0:
        return nargs
    if nargs == 1 and PyTuple_Size(keywords) == 1 and PyTuple_GetItem(keywords, 0) == load(words, KEYWORD):
        return 2
    return -1


def begins_alike(entry, args):
    """Whether the first argument, where it must be one object, is that: most entries that do not fit are told by it."""
    form = load(entry, FORM)
    return load(form, 0) != SAME or load(entry, ARGUMENTS) == 0 or load(form, 1) == load(args, 0)


def attempt(entry, args):
    """Run an entry's program if the arguments have its form: its answer, 0 for an error, or MISS."""
    owner = load(entry, OWNER)
    record = load(entry, RECORD)
    count = load(record, RESULT_COUNT)
    results = stack(count + 1)
    Py_IncRef(owner)
    take_lock(load(record, LOCK))
    answer = fill_and_run(entry, args, record, results)
    PyThread_release_lock(load(record, LOCK))
    if answer == RAN:
        answer = pack(entry, results, count)
        release(results, count)
    Py_DecRef(owner)
    return answer


def fill_and_run(entry, args, record, results):
    """RAN, with the results; else MISS, where nothing has been done, or 0."""
    if load(load(record, GENERATION_AT), 0) != load(record, GENERATION):  # a run with larger extents has moved the arena
        return MISS
    if not fill_all(entry, args):
        return MISS
    if not make_results(record, results):
        return 0
    if run(record) and make_scalars(record, results):
        return RAN
    release(results, load(record, RESULT_COUNT))
    return 0


def take_lock(lock):
    """Take a lock; where it is taken, let other Python threads run meanwhile."""
    if PyThread_acquire_lock(lock, 0) == 0:
        state = PyEval_SaveThread()
        PyThread_acquire_lock(lock, 1)
        PyEval_RestoreThread(state)


# the run


def run(record):
    """Run the program on what its table holds; 0 where that raised an exception."""
    if load(record, MODE) == HOLD:
        run_copies(record, BEFORE)
        enter(load(record, ENTER), 0, 1, load(record, TABLE))
        finish(record)
        return 1
    count = load(record, LEAF_COUNT)
    held = stack(count + 1)
    for i in range(count):  # other threads may drop the arrays that are read
        store(held, i, load(load(record, LEAVES) + 8 * LEAF_WORDS * i, OBJECT))
        Py_IncRef(load(held, i))
    run_copies(record, BEFORE)
    done = enter_without_lock(record)
    if done:
        finish(record)
    for i in range(count):
        Py_DecRef(load(held, i))
    return done


def enter_without_lock(record):
    if load(record, MODE) == RELEASE:
        state = PyEval_SaveThread()
        enter(load(record, ENTER), 0, 1, load(record, TABLE))
        PyEval_RestoreThread(state)
        return 1
    nothing = PyObject_CallNoArgs(load(record, DISPATCH))
    if nothing == 0:
        return 0
    Py_DecRef(nothing)
    return 1


def finish(record):
    """What follows a run: values that could not be written where they belong, and the count of runs, which random draws depend on."""
    run_copies(record, AFTER)
    counter = load(record, COUNTER)
    if counter != 0:
        store(counter, 0, load(counter, 0) + 1)


def run_copies(record, which):
    copies = load(record, which)
    table = load(record, TABLE)
    for i in range(load(copies, 0)):
        copy = copies + 8 * (1 + COPY_WORDS * i)
        copy_bytes(load(table, load(copy, 0)), load(table, load(copy, 1)), load(copy, 2))


# results


def make_results(record, results):
    """New arrays for the results that are arrays, their memory into the table; 0 where there is no memory for them."""
    table = load(record, TABLE)
    for i in range(load(record, RESULT_COUNT)):
        result = load(record, RESULTS) + 8 * RESULT_WORDS * i
        store(results, i, 0)
        if load(result, SCALAR) == 0:
            array = new_array(result, free_block(load(result, BLOCKS)))
            if array == 0:
                release(results, i)
                return 0
            store(results, i, array)
            store(table, load(result, RESULT_SLOT), load(array, ARRAY_DATA))
    return 1


def new_array(result, block):
    """An array for a result, in a block or in memory of its own; 0 where there is no memory for it."""
    descr = load(result, RESULT_DESCR)
    Py_IncRef(descr)  # the array takes one reference
    if block == 0:
        return PyArray_NewFromDescr(PyArray_Type, descr, load(result, RESULT_RANK), load(result, RESULT_DIMS), 0, 0, 0, 0)
    flags = PLAIN_FLAGS | WRITEABLE
    behind = load(block, ARRAY_DATA) + LINE - 1
    data = behind - (behind & (LINE - 1))
    array = PyArray_NewFromDescr(PyArray_Type, descr, load(result, RESULT_RANK), load(result, RESULT_DIMS), 0, data, flags, 0)
    if array != 0:
        Py_IncRef(block)
        if PyArray_SetBaseObject(array, block) < 0:
            Py_DecRef(array)
            return 0
    return array


def free_block(blocks):
    """A block that no array uses, so that only its owner refers to it; 0 for none."""
    if blocks != 0:
        for i in range(2):
            if load(load(blocks, i), OB_REFERENCES) == 1:
                return load(blocks, i)
    return 0


def make_scalars(record, results):
    """NumPy scalars of the results without axes."""
    for i in range(load(record, RESULT_COUNT)):
        result = load(record, RESULTS) + 8 * RESULT_WORDS * i
        if load(result, SCALAR) != 0:
            scalar = PyArray_Scalar(load(result, SCALAR), load(result, RESULT_DESCR), 0)
            if scalar == 0:
                return 0
            store(results, i, scalar)
    return 1


def release(results, count):
    for i in range(count):
        if load(results, i) != 0:
            Py_DecRef(load(results, i))


def item(entry, results, i):
    """A new reference to what stands at place `i` of the answer."""
    position = load(entry, PACK_ITEMS + i)
    found = Py_None
    if position >= 0:
        found = load(results, position)
    Py_IncRef(found)
    return found


def pack(entry, results, count):
    """The answer in the form that is asked for; 0 where that raised an exception."""
    how = load(entry, PACK)
    if how == ONE:
        return item(entry, results, 0)
    if how == TUPLE:
        answer = PyTuple_New(load(entry, PACK_COUNT))
        if answer != 0:
            for i in range(load(entry, PACK_COUNT)):
                PyTuple_SetItem(answer, i, item(entry, results, i))
        return answer
    answer = PyList_New(load(entry, PACK_COUNT))
    if answer == 0:
        return 0
    for i in range(load(entry, PACK_COUNT)):
        PyList_SetItem(answer, i, item(entry, results, i))
    if how == LIST:
        return answer
    packed = PyObject_CallOneArg(load(entry, PACK_WITH), answer)
    Py_DecRef(answer)
    return packed
