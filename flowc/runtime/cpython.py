"""What native code knows of CPython, NumPy and POSIX threads: C functions, types, and where a few fields of objects lie.

Few fields are read without a function: those that CPython and NumPy keep where they are for extension modules built earlier. All the same,
`native.load` compares each with the interpreter that runs, and the runtime does without native calls where one is elsewhere.
"""

from __future__ import annotations

from flowc.codegen.words import Known, extern

# fields of objects, in words from the object's address; those marked i32 in 32-bit words
OB_TYPE = 1
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
NATIVE_ORDER, NO_ORDER = ord("="), ord("|")
BOOL, UINT8, INT32, INT64, FLOAT32, FLOAT64 = 0, 2, 5, 7, 11, 12  # numbers of NumPy's types on Linux

PyArray_Type = Known("PyArray_Type")
PyFloat_Type = Known("PyFloat_Type")
PyLong_Type = Known("PyLong_Type")
PyList_Type = Known("PyList_Type")
PyTuple_Type = Known("PyTuple_Type")
PyDict_Type = Known("PyDict_Type")
PyUnicode_Type = Known("PyUnicode_Type")
NumPyFloat32 = Known("NumPyFloat32")
NumPyFloat64 = Known("NumPyFloat64")
Py_None = Known("Py_None")

Py_IncRef = extern("void Py_IncRef(PyObject *object)")
Py_DecRef = extern("void Py_DecRef(PyObject *object)")
PyErr_Occurred = extern("PyObject *PyErr_Occurred()")
PyErr_Clear = extern("void PyErr_Clear()")
PyLong_AsDouble = extern("double PyLong_AsDouble(PyObject *number)")
PyLong_AsLong = extern("int64_t PyLong_AsLong(PyObject *number)")
PyUnicode_Compare = extern("int PyUnicode_Compare(PyObject *left, PyObject *right)")
PyTuple_New = extern("PyObject *PyTuple_New(Py_ssize_t size)")
PyTuple_Size = extern("Py_ssize_t PyTuple_Size(PyObject *tuple)")
PyTuple_GetItem = extern("PyObject *PyTuple_GetItem(PyObject *tuple, Py_ssize_t at)")
PyTuple_SetItem = extern("int PyTuple_SetItem(PyObject *tuple, Py_ssize_t at, PyObject *item)")
PyList_New = extern("PyObject *PyList_New(Py_ssize_t size)")
PyList_Size = extern("Py_ssize_t PyList_Size(PyObject *list)")
PyList_GetItem = extern("PyObject *PyList_GetItem(PyObject *list, Py_ssize_t at)")
PyList_SetItem = extern("int PyList_SetItem(PyObject *list, Py_ssize_t at, PyObject *item)")
PyDict_Size = extern("Py_ssize_t PyDict_Size(PyObject *dict)")
PyDict_Next = extern("int PyDict_Next(PyObject *dict, Py_ssize_t *at, PyObject **key, PyObject **value)")
PyObject_CallNoArgs = extern("PyObject *PyObject_CallNoArgs(PyObject *function)")
PyObject_CallOneArg = extern("PyObject *PyObject_CallOneArg(PyObject *function, PyObject *argument)")
PyObject_GetAttr = extern("PyObject *PyObject_GetAttr(PyObject *object, PyObject *name)")
PyObject_Vectorcall = extern("PyObject *PyObject_Vectorcall(PyObject *function, PyObject **args, Py_ssize_t count, PyObject *keywords)")
PyMem_Malloc = extern("void *PyMem_Malloc(Py_ssize_t size)")
PyMem_Free = extern("void PyMem_Free(void *memory)")
PyEval_SaveThread = extern("PyThreadState *PyEval_SaveThread()")
PyEval_RestoreThread = extern("void PyEval_RestoreThread(PyThreadState *state)")
PyThread_acquire_lock = extern("int PyThread_acquire_lock(void *lock, int wait)")
PyThread_release_lock = extern("void PyThread_release_lock(void *lock)")
PyArray_NewFromDescr = extern(
    "PyObject *PyArray_NewFromDescr(PyTypeObject *type, PyArray_Descr *descr, int rank, int64_t *dims, int64_t *strides, void *data, int flags, PyObject *base)"
)
PyArray_Scalar = extern("PyObject *PyArray_Scalar(void *data, PyArray_Descr *descr, PyObject *base)")

sched_yield = extern("int sched_yield()")
pthread_mutex_init = extern("int pthread_mutex_init(void *mutex, void *attributes)")
pthread_cond_init = extern("int pthread_cond_init(void *condition, void *attributes)")
pthread_mutex_lock = extern("int pthread_mutex_lock(void *mutex)")
pthread_mutex_unlock = extern("int pthread_mutex_unlock(void *mutex)")
pthread_cond_wait = extern("int pthread_cond_wait(void *condition, void *mutex)")
pthread_cond_broadcast = extern("int pthread_cond_broadcast(void *condition)")
