/* Transactions: read transactions begun and ended, and single records. */
#include "objects.h"

#include <errno.h>

/* _belong(env), for Python: what a transaction lives in, said once. */
PyObject *place_transaction(PyObject *self, PyObject *const *args, Py_ssize_t count)
{
    transaction *t = fields(self);
    if (count != 1 || t->env != NULL || !is_of(args[0], environment_type))
        return failed("a transaction needs an environment, once", EINVAL);
    t->env = new_reference(args[0]);
    t->checked = NULL;
    return new_reference(none);
}

/* --- begin and end ------------------------------------------------------------------------------------------------ */

/* LMDB's read transaction, a spare one or new; NULL where it has none to give. */
static MDB_txn *begin_in(const environment *e)
{
    Py_ssize_t spares = PyList_Size(e->spare);
    MDB_txn *txn = NULL;
    if (spares == 0)
        return e->engine->txn_begin(e->env, NULL, MDB_RDONLY, &txn) == 0 ? txn : NULL;
    txn = PyLong_AsVoidPtr(PyList_GetItem(e->spare, spares - 1));
    /* One that cannot be begun again is left there, for Python to say why. */
    if (e->engine->txn_renew(txn) != 0)
        return NULL;
    if (PyList_SetSlice(e->spare, spares - 1, spares, NULL) == 0)
        return txn;
    PyErr_Clear();
    e->engine->txn_reset(txn);
    return NULL;
}

static PyObject *begin(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
    environment *e = fields(self);
    PyObject *given[4], *made = NULL;
    transaction *t;
    unsigned asked = 0;
    if (free_threaded || !sort_arguments(&environment_methods[0], args, count, names, given) ||
        (given[1] != NULL && given[1] != none) || !flag_of(given[2], 1, 1, &asked) ||
        !flag_of(given[3], 1, 1, &asked) || asked || !is_open(e))
        goto slow;
    if ((made = new_object(transaction_type)) == NULL)
        return NULL;
    t = fields(made);
    t->env = new_reference(self);
    t->db = new_reference(given[0] != NULL && given[0] != none ? given[0] : e->main);
    /* The collector may have run, and with it whatever finalizers do. */
    if (database_for(t, NULL, NULL) == NULL || !is_open(e) || (t->txn = begin_in(e)) == NULL)
        goto slow;
    t->engine = e->engine;
    t->generation = e->generation;
    link_light(&t->light, &e->lights);
    return made;
slow:
    Py_DecRef(made);
    return slowly(&environment_methods[0], self, args, count, names);
}

method environment_methods[] = {
    METHOD("begin", begin, KEYWORDS, 0, "db", "parent", "write", "buffers"),
    LAST_METHOD,
};

enum { ABORT, COMMIT, ENTER, EXIT, GET, PUT, DELETE, REPLACE, POP, CURSOR };

/* End a transaction that only reads, and has nothing to commit. */
static PyObject *ended(int method, PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
    transaction *t = fields(self);
    if (t->light.state != LIGHT || t->txn == NULL)
        return slowly(&transaction_methods[method], self, args, count, names);
    end_light_transaction(t);
    return new_reference(none);
}

static PyObject *txn_abort(PyObject *self, PyObject *unused)
{
    (void)unused;
    return ended(ABORT, self, NULL, 0, NULL);
}

static PyObject *txn_commit(PyObject *self, PyObject *unused)
{
    (void)unused;
    return ended(COMMIT, self, NULL, 0, NULL);
}

void finalize_transaction(PyObject *self)
{
    transaction *t = fields(self);
    PyObject *type, *value, *trace;
    if (t->light.state == LIGHT && t->txn == NULL)
        return;
    PyErr_Fetch(&type, &value, &trace);
    if (t->light.state == LIGHT)
        end_light_transaction(t);
    else
        finalize_slowly(transaction_finalizer, self);
    if (t->light.place != NULL) { /* it was never woken, since handlers of signals raised in the middle of that */
        if (t->txn != NULL)
            end_light_transaction(t);
        unlink_light(&t->light);
    }
    PyErr_Restore(type, value, trace);
}

method transaction_finalizer[] = {METHOD("__del__", NULL, 0, 0, NULL)};

static PyObject *txn_enter(PyObject *self, PyObject *unused)
{
    transaction *t = fields(self);
    (void)unused;
    if (t->engine == NULL || t->txn == NULL)
        return slowly(&transaction_methods[ENTER], self, NULL, 0, NULL);
    return new_reference(self);
}

static PyObject *txn_exit(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
    if (count != 3 || names != NULL)
        return slowly(&transaction_methods[EXIT], self, args, count, names);
    return ended(EXIT, self, args, count, names);
}

/* --- single records ----------------------------------------------------------------------------------------------- */

/* Before a write nothing may be ahead of a cursor; and whoever writes counts it, since what was read before may move. */
static int enter_to_write(transaction *t)
{
    if (!enter(t))
        return 0;
    if (!t->iterating)
        return 1;
    leave(t);
    return 0;
}

static PyObject *txn_get(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
    transaction *t = fields(self);
    PyObject *given[3], *result = NULL;
    const database *d;
    MDB_val key, value;
    int rc;
    if (!sort_arguments(&transaction_methods[GET], args, count, names, given) || !bytes_of(given[0], &key) ||
        (d = database_for(t, given[2], &key)) == NULL || !enter(t))
        return slowly(&transaction_methods[GET], self, args, count, names);
    rc = t->engine->get(t->txn, (MDB_dbi)d->dbi, &key, &value);
    if (rc == 0)
        result = copy_of(&value);
    leave(t);
    if (rc == 0)
        return result;
    if (rc != MDB_NOTFOUND)
        return failed("mdb_get", rc);
    return new_reference(given[1] == NULL ? none : given[1]);
}

static PyObject *txn_put(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
    transaction *t = fields(self);
    PyObject *given[6];
    const database *d;
    MDB_val key, value;
    unsigned flags = 0;
    int rc;
    if (!sort_arguments(&transaction_methods[PUT], args, count, names, given) || !bytes_of(given[0], &key) ||
        !bytes_of(given[1], &value) || (d = database_for(t, given[5], &key)) == NULL ||
        !flag_of(given[2], 0, MDB_NODUPDATA, &flags) || !flag_of(given[3], 0, MDB_NOOVERWRITE, &flags) ||
        !flag_of(given[4], 1, d->flags & MDB_DUPSORT ? MDB_APPENDDUP : MDB_APPEND, &flags) || !enter_to_write(t))
        return slowly(&transaction_methods[PUT], self, args, count, names);
    t->mutations++;
    rc = t->engine->put(t->txn, (MDB_dbi)d->dbi, &key, &value, flags);
    leave(t);
    return rc == 0 || rc == MDB_KEYEXIST ? PyBool_FromLong(rc == 0) : failed("mdb_put", rc);
}

static PyObject *txn_delete(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
    transaction *t = fields(self);
    PyObject *given[3];
    const database *d;
    MDB_val key, value = {0, NULL};
    int rc;
    if (!sort_arguments(&transaction_methods[DELETE], args, count, names, given) || !bytes_of(given[0], &key) ||
        (given[1] != NULL && given[1] != none && !bytes_of(given[1], &value)) ||
        (d = database_for(t, given[2], &key)) == NULL || !enter_to_write(t))
        return slowly(&transaction_methods[DELETE], self, args, count, names);
    t->mutations++;
    rc = t->engine->del(t->txn, (MDB_dbi)d->dbi, &key, value.mv_size ? &value : NULL);
    leave(t);
    return rc == 0 || rc == MDB_NOTFOUND ? PyBool_FromLong(rc == 0) : failed("mdb_del", rc);
}

/* The value that a key had, in a database where each has one; `rc` and `function` say how it went. */
static PyObject *exchange(transaction *t, MDB_cursor *place, MDB_val *key, MDB_val *value, const char **function, int *rc)
{
    MDB_val old = *value;
    PyObject *result;
    *function = "mdb_cursor_put";
    t->mutations++;
    *rc = t->engine->cursor_put(place, key, &old, MDB_NOOVERWRITE);
    if (*rc == 0)
        return new_reference(none);
    if (*rc != MDB_KEYEXIST || (result = copy_of(&old)) == NULL)
        return NULL;
    *rc = t->engine->cursor_put(place, key, value, 0);
    return result;
}

static PyObject *take_out(transaction *t, MDB_cursor *place, MDB_val *key, const char **function, int *rc)
{
    MDB_val old;
    PyObject *result;
    *function = "mdb_cursor_get";
    *rc = t->engine->cursor_get(place, key, &old, MDB_SET_KEY);
    if (*rc == MDB_NOTFOUND) {
        *rc = 0;
        return new_reference(none);
    }
    if (*rc != 0 || (result = copy_of(&old)) == NULL)
        return NULL;
    *function = "mdb_cursor_del";
    t->mutations++; /* not where there is no such key: others' cursors are as they were */
    *rc = t->engine->cursor_del(place, 0);
    return result;
}

/* replace() and pop(): by a cursor, as Python does it. */
static PyObject *changed(int method, PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
    transaction *t = fields(self);
    int replaces = method == REPLACE, rc;
    PyObject *given[3], *result = NULL;
    const database *d;
    MDB_val key, value;
    MDB_cursor *place;
    const char *function = "mdb_cursor_open";
    if (!sort_arguments(&transaction_methods[method], args, count, names, given) ||
        !bytes_of(given[0], &key) || (replaces && !bytes_of(given[1], &value)) ||
        (d = database_for(t, given[1 + replaces], &key)) == NULL || d->flags & MDB_DUPSORT || !enter_to_write(t))
        return slowly(&transaction_methods[method], self, args, count, names);
    rc = t->engine->cursor_open(t->txn, (MDB_dbi)d->dbi, &place);
    if (rc == 0) {
        result = replaces ? exchange(t, place, &key, &value, &function, &rc) : take_out(t, place, &key, &function, &rc);
        t->engine->cursor_close(place);
    }
    leave(t);
    if (rc == 0 || (result == NULL && PyErr_Occurred()))
        return result;
    Py_DecRef(result);
    return failed(function, rc);
}

static PyObject *txn_replace(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
    return changed(REPLACE, self, args, count, names);
}

static PyObject *txn_pop(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
    return changed(POP, self, args, count, names);
}

static PyObject *txn_cursor(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
    return open_cursor(&transaction_methods[CURSOR], self, args, count, names);
}

method transaction_methods[] = {
    [ABORT] = METHOD("abort", txn_abort, METH_NOARGS, 0, NULL),
    [COMMIT] = METHOD("commit", txn_commit, METH_NOARGS, 0, NULL),
    [ENTER] = METHOD("__enter__", txn_enter, METH_NOARGS, 0, NULL),
    [EXIT] = METHOD("__exit__", txn_exit, KEYWORDS, 3, "kind", "value", "trace"),
    [GET] = METHOD("get", txn_get, KEYWORDS, 1, "key", "default", "db"),
    [PUT] = METHOD("put", txn_put, KEYWORDS, 2, "key", "value", "dupdata", "overwrite", "append", "db"),
    [DELETE] = METHOD("delete", txn_delete, KEYWORDS, 1, "key", "value", "db"),
    [REPLACE] = METHOD("replace", txn_replace, KEYWORDS, 2, "key", "value", "db"),
    [POP] = METHOD("pop", txn_pop, KEYWORDS, 1, "key", "db"),
    [CURSOR] = METHOD("cursor", txn_cursor, KEYWORDS, 0, "db"),
    LAST_METHOD,
};
