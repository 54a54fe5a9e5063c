/* Cursors: moved, and read where they are. */
#include "objects.h"

/* The addresses of the MDB_vals of key and value, for Python. */
PyObject *places(PyObject *self, PyObject *unused)
{
    cursor *c = fields(self);
    (void)unused;
    return Py_BuildValue("NN", PyLong_FromVoidPtr(&c->key), PyLong_FromVoidPtr(&c->value));
}

method cursor_methods[] = {
    LAST_METHOD,
};

void finalize_cursor(PyObject *self)
{
    PyObject *type, *value, *trace;
    PyErr_Fetch(&type, &value, &trace);
    finalize_slowly(cursor_finalizer, self);
    PyErr_Restore(type, value, trace);
}

method cursor_finalizer[] = {METHOD("__del__", NULL, 0, 0, NULL)};
