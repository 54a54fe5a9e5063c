#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <stdio.h>

#include "lmdb.h"

static PyObject *fail(const char *what, int rc)
{
    char message[500];

    /* Not by PyErr_Format: auditwheel tells glibc from musl by an extension's calls of it, and this is the only one. */
    snprintf(message, sizeof message, "%s: %s", what, mdb_strerror(rc));
    PyErr_SetString(PyExc_RuntimeError, message);
    return NULL;
}

static int count_records(MDB_txn *txn, const char *database, size_t *records, size_t *bytes)
{
    MDB_dbi dbi;
    MDB_cursor *cursor;
    MDB_val key, value;
    int rc;

    if ((rc = mdb_dbi_open(txn, database, 0, &dbi)) != MDB_SUCCESS)
        return rc;
    if ((rc = mdb_cursor_open(txn, dbi, &cursor)) != MDB_SUCCESS)
        return rc;
    while ((rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) == MDB_SUCCESS) {
        (*records)++;
        *bytes += key.mv_size + value.mv_size;
    }
    mdb_cursor_close(cursor);
    return rc == MDB_NOTFOUND ? MDB_SUCCESS : rc;
}

static PyObject *count(PyObject *Py_UNUSED(module), PyObject *arguments)
{
    const char *path, *database;
    size_t records = 0, bytes = 0;
    MDB_env *env;
    MDB_txn *txn;
    int rc;

    if (!PyArg_ParseTuple(arguments, "ss:count", &path, &database))
        return NULL;
    if ((rc = mdb_env_create(&env)) != MDB_SUCCESS)
        return fail("mdb_env_create", rc);
    Py_BEGIN_ALLOW_THREADS
    if ((rc = mdb_env_set_maxdbs(env, 1)) == MDB_SUCCESS
        && (rc = mdb_env_open(env, path, MDB_RDONLY, 0644)) == MDB_SUCCESS
        && (rc = mdb_txn_begin(env, NULL, MDB_RDONLY, &txn)) == MDB_SUCCESS) {
        rc = count_records(txn, database, &records, &bytes);
        mdb_txn_abort(txn);
    }
    mdb_env_close(env);
    Py_END_ALLOW_THREADS
    if (rc != MDB_SUCCESS)
        return fail(path, rc);
    return Py_BuildValue("nn", (Py_ssize_t)records, (Py_ssize_t)bytes);
}

static PyObject *version_address(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(none))
{
    return PyLong_FromVoidPtr((void *)mdb_version);
}

static PyMethodDef methods[] = {
    {"count", count, METH_VARARGS,
     "count(path, database)\n--\n\nThe number of records of a named database, and the bytes of their keys and values."},
    {"version_address", version_address, METH_NOARGS,
     "version_address()\n--\n\nThe address of mdb_version in this process: equal for all who share one liblmdb."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "_count", NULL, 0, methods, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__count(void)
{
    return PyModule_Create(&module);
}
