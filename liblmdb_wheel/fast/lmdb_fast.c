/* The methods of lmdb_fast.h. A call takes the short way if everything about it is as usual; otherwise nothing has
 * happened yet, and Python's own method does the whole call.
 */
#include "lmdb_fast.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>

#include "lmdb.h"

/* --- CPython's stable ABI, as far as it is called: functions only, all there since 3.10 (PEP 384, PEP 652) -------- */

typedef struct _object PyObject;
typedef struct _typeobject PyTypeObject;
typedef ptrdiff_t Py_ssize_t;
typedef PyObject *(*PyCFunction)(PyObject *, PyObject *);
typedef struct PyMethodDef {
    const char *name;
    PyCFunction function;
    int flags;
    const char *doc;
} PyMethodDef;
enum { METH_KEYWORDS = 0x0002, METH_FASTCALL = 0x0080 };

extern void Py_IncRef(PyObject *);
extern void Py_DecRef(PyObject *);
extern PyObject *Py_BuildValue(const char *, ...);
extern PyObject *PyBool_FromLong(long);
extern int PyBytes_AsStringAndSize(PyObject *, char **, Py_ssize_t *);
extern PyObject *PyBytes_FromStringAndSize(const char *, Py_ssize_t);
extern PyObject *PyCFunction_NewEx(PyMethodDef *, PyObject *, PyObject *);
extern void *PyCapsule_GetPointer(PyObject *, const char *);
extern PyObject *PyCapsule_New(void *, const char *, void (*)(PyObject *));
extern PyObject *PyDescr_NewMethod(PyTypeObject *, PyMethodDef *);
extern int PyDict_SetItem(PyObject *, PyObject *, PyObject *);
extern PyObject *PyDict_New(void);
extern void PyErr_Clear(void);
extern PyObject *PyErr_NoMemory(void);
extern PyObject *PyErr_Occurred(void);
extern Py_ssize_t PyList_Size(PyObject *);
extern long PyLong_AsLong(PyObject *);
extern void *PyLong_AsVoidPtr(PyObject *);
extern PyObject *PyObject_Call(PyObject *, PyObject *, PyObject *);
extern PyObject *PyObject_CallFunction(PyObject *, const char *, ...);
extern PyObject *PyObject_GetAttr(PyObject *, PyObject *);
extern PyObject *PyTuple_GetItem(PyObject *, Py_ssize_t);
extern PyObject *PyTuple_New(Py_ssize_t);
extern int PyTuple_SetItem(PyObject *, Py_ssize_t, PyObject *);
extern Py_ssize_t PyTuple_Size(PyObject *);
extern PyObject *PyUnicode_InternFromString(const char *);

/* --- the state of a transaction ----------------------------------------------------------------------------------- */

static const char STATE[] = "lmdb_fast.state"; /* compared by its address first */

typedef struct state {
    int (*get)(MDB_txn *, MDB_dbi, MDB_val *, MDB_val *);
    int (*put)(MDB_txn *, MDB_dbi, MDB_val *, MDB_val *, unsigned int);
    PyObject *token;    /* a list: nobody is at work in the transaction while it has an element */
    MDB_txn *txn;       /* NULL: none, or it has ended */
    MDB_dbi dbi;
    PyObject *database; /* known by its identity alone, and alive as long as it is pointed at; NULL: no database */
    int own;            /* it is that of calls which name none */
    int may_put;
} state;

/* Objects that live as long as the process. */
static PyObject *slow_get, *slow_put, *fail, *none, *name_fast, *name_db, *name_default;

static void state_free(PyObject *capsule)
{
    state *s = PyCapsule_GetPointer(capsule, STATE);
    Py_DecRef(s->token);
    free(s);
}

/* The arguments of the functions below, which only this library's own binding calls. */
static state *checked(PyObject *const *args, Py_ssize_t count, Py_ssize_t wanted)
{
    if (count != wanted) {
        Py_DecRef(PyObject_CallFunction(fail, "si", "lmdb_fast", EINVAL));
        return NULL;
    }
    return PyCapsule_GetPointer(args[0], STATE);
}

static PyObject *new_none(void)
{
    Py_IncRef(none);
    return none;
}

static PyObject *state_new(PyObject *self, PyObject *const *args, Py_ssize_t count)
{
    PyObject *capsule = NULL;
    state *s;
    (void)self;
    if (count != 2)
        return PyObject_CallFunction(fail, "si", "lmdb_fast", EINVAL);
    if ((s = calloc(1, sizeof *s)) == NULL)
        return PyErr_NoMemory();
    *(void **)&s->get = PyLong_AsVoidPtr(args[0]);
    *(void **)&s->put = PyLong_AsVoidPtr(args[1]);
    if (PyErr_Occurred() == NULL)
        capsule = PyCapsule_New(s, STATE, state_free);
    if (capsule == NULL)
        free(s);
    return capsule;
}

static PyObject *state_begin(PyObject *self, PyObject *const *args, Py_ssize_t count)
{
    state *s = checked(args, count, 3);
    PyObject *before;
    (void)self;
    if (s == NULL)
        return NULL;
    before = s->token;
    Py_IncRef(s->token = args[2]);
    Py_DecRef(before);
    s->txn = PyLong_AsVoidPtr(args[1]);
    return PyErr_Occurred() ? NULL : new_none();
}

static PyObject *state_point(PyObject *self, PyObject *const *args, Py_ssize_t count)
{
    state *s = checked(args, count, 5);
    (void)self;
    if (s == NULL)
        return NULL;
    s->dbi = (MDB_dbi)PyLong_AsLong(args[1]);
    s->database = args[2] == none ? NULL : args[2];
    s->own = (int)PyLong_AsLong(args[3]);
    s->may_put = (int)PyLong_AsLong(args[4]);
    return PyErr_Occurred() ? NULL : new_none();
}

static PyObject *state_stop_puts(PyObject *self, PyObject *const *args, Py_ssize_t count)
{
    state *s = checked(args, count, 1);
    (void)self;
    if (s == NULL)
        return NULL;
    s->may_put = 0;
    return new_none();
}

static PyObject *state_end(PyObject *self, PyObject *const *args, Py_ssize_t count)
{
    state *s = checked(args, count, 1);
    (void)self;
    if (s == NULL)
        return NULL;
    s->txn = NULL;
    s->database = NULL;
    return new_none();
}

/* --- the short way ------------------------------------------------------------------------------------------------ */

/* The state of the transaction `self`, if a call to `database` (NULL: none was named) may go the short way now. */
static state *pointed_at(PyObject *self, PyObject *database)
{
    PyObject *capsule = PyObject_GetAttr(self, name_fast);
    state *s = NULL;
    if (capsule != NULL && capsule != none)
        s = PyCapsule_GetPointer(capsule, STATE);
    if (capsule == NULL || (s == NULL && capsule != none))
        PyErr_Clear();
    if (capsule != NULL)
        Py_DecRef(capsule); /* the transaction has it */
    if (s == NULL || s->txn == NULL || s->database == NULL)
        return NULL;
    if (database == NULL || database == none ? !s->own : database != s->database)
        return NULL;
    return PyList_Size(s->token) == 1 ? s : NULL;
}

static int bytes_of(PyObject *object, MDB_val *value)
{
    char *data;
    Py_ssize_t size;
    if (PyBytes_AsStringAndSize(object, &data, &size) != 0) {
        PyErr_Clear(); /* another type */
        return 0;
    }
    value->mv_data = data;
    value->mv_size = (size_t)size;
    return 1;
}

/* Call Python's own method with all that was given. */
static PyObject *slowly(PyObject *method, PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
    Py_ssize_t i, named = names == NULL ? 0 : PyTuple_Size(names);
    PyObject *result = NULL, *keywords = named ? PyDict_New() : NULL, *all = PyTuple_New(count + 1);
    if (all == NULL || (named && keywords == NULL))
        goto end;
    Py_IncRef(self);
    PyTuple_SetItem(all, 0, self);
    for (i = 0; i < count; i++) {
        Py_IncRef(args[i]);
        PyTuple_SetItem(all, i + 1, args[i]);
    }
    for (i = 0; i < named; i++)
        if (PyDict_SetItem(keywords, PyTuple_GetItem(names, i), args[count + i]) != 0)
            goto end;
    result = PyObject_Call(method, all, keywords);
end:
    Py_DecRef(keywords);
    Py_DecRef(all);
    return result;
}

/* The arguments named `default` and `db`; false where there are others. Names in a call are interned, so that their
 * addresses tell; where they are not, the call goes the long way. */
static int named(PyObject *const *args, PyObject *names, PyObject **default_value, PyObject **database)
{
    Py_ssize_t i, count = PyTuple_Size(names);
    for (i = 0; i < count; i++) {
        PyObject *name = PyTuple_GetItem(names, i);
        if (name == name_db && *database == NULL)
            *database = args[i];
        else if (name == name_default && default_value != NULL && *default_value == NULL)
            *default_value = args[i];
        else
            return 0;
    }
    return 1;
}

static PyObject *get(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
    PyObject *default_value = count > 1 ? args[1] : NULL, *database = count > 2 ? args[2] : NULL;
    MDB_val key, value;
    state *s;
    int rc;
    if (count < 1 || count > 3 || (names != NULL && !named(args + count, names, &default_value, &database)) ||
        (s = pointed_at(self, database)) == NULL || !bytes_of(args[0], &key))
        return slowly(slow_get, self, args, count, names);
    rc = s->get(s->txn, s->dbi, &key, &value);
    if (rc == 0)
        return PyBytes_FromStringAndSize(value.mv_data, (Py_ssize_t)value.mv_size);
    if (rc != MDB_NOTFOUND)
        return PyObject_CallFunction(fail, "si", "mdb_get", rc);
    if (default_value == NULL)
        return new_none();
    Py_IncRef(default_value);
    return default_value;
}

static PyObject *put(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
    PyObject *database = NULL;
    MDB_val key, value;
    state *s;
    int rc;
    if (count != 2 || (names != NULL && !named(args + count, names, NULL, &database)) ||
        (s = pointed_at(self, database)) == NULL || !s->may_put || !bytes_of(args[0], &key) ||
        !bytes_of(args[1], &value))
        return slowly(slow_put, self, args, count, names);
    rc = s->put(s->txn, s->dbi, &key, &value, 0);
    return rc == 0 ? PyBool_FromLong(1) : PyObject_CallFunction(fail, "si", "mdb_put", rc);
}

/* --- what Python gets --------------------------------------------------------------------------------------------- */

#define METHOD(function) (PyCFunction)(void *)(function)

static PyMethodDef METHODS[] = {
    {"get", METHOD(get), METH_FASTCALL | METH_KEYWORDS,
     "get($self, key, default=None, db=None)\n--\n\nThe value of a key, the first one where it has several."},
    {"put", METHOD(put), METH_FASTCALL | METH_KEYWORDS,
     "put($self, key, value, dupdata=True, overwrite=True, append=False, db=None)\n--\n\nStore a value."},
};
static PyMethodDef FUNCTIONS[] = {
    {"new", METHOD(state_new), METH_FASTCALL, NULL},
    {"begin", METHOD(state_begin), METH_FASTCALL, NULL},
    {"point", METHOD(state_point), METH_FASTCALL, NULL},
    {"stop_puts", METHOD(state_stop_puts), METH_FASTCALL, NULL},
    {"end", METHOD(state_end), METH_FASTCALL, NULL},
};
enum { METHOD_COUNT = sizeof METHODS / sizeof *METHODS, FUNCTION_COUNT = sizeof FUNCTIONS / sizeof *FUNCTIONS };

void *lmdb_fast_methods(void *type, void *get_of_python, void *put_of_python, void *fail_of_python)
{
    Py_ssize_t i;
    PyObject *all;
    if (none == NULL) {
        none = Py_BuildValue("");
        name_fast = PyUnicode_InternFromString("_fast");
        name_db = PyUnicode_InternFromString("db");
        name_default = PyUnicode_InternFromString("default");
    }
    Py_IncRef(slow_get = get_of_python);
    Py_IncRef(slow_put = put_of_python);
    Py_IncRef(fail = fail_of_python);
    all = PyTuple_New(METHOD_COUNT + FUNCTION_COUNT);
    for (i = 0; all != NULL && i < METHOD_COUNT + FUNCTION_COUNT; i++) {
        PyObject *made = i < METHOD_COUNT ? PyDescr_NewMethod(type, &METHODS[i])
                                          : PyCFunction_NewEx(&FUNCTIONS[i - METHOD_COUNT], NULL, NULL);
        if (made == NULL || PyTuple_SetItem(all, i, made) != 0) {
            Py_DecRef(all);
            all = NULL;
        }
    }
    return all;
}

int lmdb_fast_version(void)
{
    return 1;
}
