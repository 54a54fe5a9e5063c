/* CPython's stable ABI, as far as it is called: functions, all there since 3.10 or earlier (PEP 384, PEP 652), and what
 * they are given. No macro, no variable, and no field of an object: those differ between versions and builds.
 */
#ifndef PYTHON_H
#define PYTHON_H

#include <stddef.h>
#include <stdint.h>

typedef struct _object PyObject;
typedef struct _typeobject PyTypeObject;
typedef struct _is PyInterpreterState;
typedef struct _ts PyThreadState;
typedef ptrdiff_t Py_ssize_t;
typedef PyObject *(*PyCFunction)(PyObject *, PyObject *);
typedef int (*visitproc)(PyObject *, void *);

typedef struct PyMethodDef {
    const char *ml_name;
    PyCFunction ml_meth;
    int ml_flags;
    const char *ml_doc;
} PyMethodDef;
enum { METH_KEYWORDS = 0x0002, METH_NOARGS = 0x0004, METH_FASTCALL = 0x0080 };

typedef struct PyMemberDef {
    const char *name;
    int type;
    Py_ssize_t offset;
    int flags;
    const char *doc;
} PyMemberDef;
enum { T_INT = 1, T_OBJECT = 6, T_UINT = 11, T_ULONG = 12, T_BOOL = 14, T_OBJECT_EX = 16, T_PYSSIZET = 19 };

enum { READONLY = 1 };

typedef struct PyGetSetDef {
    const char *name;
    PyObject *(*get)(PyObject *, void *);
    int (*set)(PyObject *, PyObject *, void *);
    const char *doc;
    void *closure;
} PyGetSetDef;

typedef struct PyType_Slot {
    int slot;
    void *pfunc;
} PyType_Slot;
typedef struct PyType_Spec {
    const char *name;
    int basicsize;
    int itemsize;
    unsigned int flags;
    PyType_Slot *slots;
} PyType_Spec;
enum { Py_TPFLAGS_BASETYPE = 1 << 10, Py_TPFLAGS_HAVE_GC = 1 << 14 };
enum {
    Py_tp_clear = 51,
    Py_tp_dealloc = 52,
    Py_tp_iter = 62,
    Py_tp_iternext = 63,
    Py_tp_methods = 64,
    Py_tp_traverse = 71,
    Py_tp_members = 72,
    Py_tp_getset = 73,
    Py_tp_finalize = 80,
};

extern void Py_IncRef(PyObject *);
extern void Py_DecRef(PyObject *); /* either takes NULL */
extern PyObject *Py_BuildValue(const char *, ...);
extern PyObject *PyBool_FromLong(long);
extern int PyBytes_AsStringAndSize(PyObject *, char **, Py_ssize_t *);
extern PyObject *PyBytes_FromStringAndSize(const char *, Py_ssize_t);
extern PyObject *PyCFunction_NewEx(PyMethodDef *, PyObject *, PyObject *);
extern PyObject *PyDescr_NewMethod(PyTypeObject *, PyMethodDef *);
extern PyObject *PyDict_GetItemString(PyObject *, const char *);
extern PyObject *PyDict_New(void);
extern int PyDict_SetItem(PyObject *, PyObject *, PyObject *);
extern int PyErr_CheckSignals(void);
extern void PyErr_Clear(void);
extern void PyErr_Fetch(PyObject **, PyObject **, PyObject **);
extern PyObject *PyErr_Occurred(void);
extern void PyErr_Restore(PyObject *, PyObject *, PyObject *);
extern void PyErr_WriteUnraisable(PyObject *);
extern void PyEval_RestoreThread(PyThreadState *);
extern PyThreadState *PyEval_SaveThread(void);
extern PyInterpreterState *PyInterpreterState_Get(void);
extern int64_t PyInterpreterState_GetID(PyInterpreterState *);
extern int PyList_Append(PyObject *, PyObject *);
extern PyObject *PyList_GetItem(PyObject *, Py_ssize_t);
extern int PyList_SetSlice(PyObject *, Py_ssize_t, Py_ssize_t, PyObject *);
extern Py_ssize_t PyList_Size(PyObject *);
extern long PyLong_AsLong(PyObject *);
extern void *PyLong_AsVoidPtr(PyObject *);
extern PyObject *PyLong_FromSize_t(size_t);
extern PyObject *PyLong_FromVoidPtr(void *);
extern PyObject *PyObject_Call(PyObject *, PyObject *, PyObject *);
extern PyObject *PyObject_CallFunction(PyObject *, const char *, ...);
extern PyObject *PyObject_GetAttr(PyObject *, PyObject *);
extern PyObject *PyObject_GetAttrString(PyObject *, const char *);
extern void PyObject_GC_Del(void *);
extern void PyObject_GC_UnTrack(void *);
extern PyObject *PyObject_SelfIter(PyObject *);
extern int PyObject_SetAttr(PyObject *, PyObject *, PyObject *);
extern int PyObject_SetAttrString(PyObject *, const char *, PyObject *);
extern PyObject *PyObject_Type(PyObject *);
extern int PySequence_DelItem(PyObject *, Py_ssize_t);
extern PyObject *PyTuple_GetItem(PyObject *, Py_ssize_t);
extern PyObject *PyTuple_New(Py_ssize_t);
extern int PyTuple_SetItem(PyObject *, Py_ssize_t, PyObject *);
extern Py_ssize_t PyTuple_Size(PyObject *);
extern PyObject *PyType_FromSpec(PyType_Spec *);
extern PyObject *PyType_GenericAlloc(PyTypeObject *, Py_ssize_t);
extern int PyType_IsSubtype(PyTypeObject *, PyTypeObject *);
extern const char *PyUnicode_AsUTF8AndSize(PyObject *, Py_ssize_t *);
extern PyObject *PyUnicode_InternFromString(const char *);

#endif
