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
