/* Cursors: opened and closed, moved, read where they are, and written through; and the iterators that step them. */
#include "objects.h"

#include <errno.h>
#include <time.h>

/* Which methods, by their places in cursor_methods. */
enum {
    CLOSE, ENTER, EXIT,
    FIRST, FIRST_DUP, LAST, LAST_DUP, NEXT, NEXT_DUP, NEXT_NODUP, PREV, PREV_DUP, PREV_NODUP,
    SET_KEY, SET_KEY_DUP, SET_RANGE, SET_RANGE_DUP,
    KEY, VALUE, ITEM, GET, COUNT,
    PUT, DELETE, REPLACE, POP,
    ITER, ITERNEXT, ITERNEXT_DUP, ITERNEXT_NODUP, ITERPREV, ITERPREV_DUP, ITERPREV_NODUP,
};

/* _belong(db, txn), for Python: what a cursor lives in, said once. */
PyObject *place_cursor(PyObject *self, PyObject *const *args, Py_ssize_t count)
{
    cursor *c = fields(self);
    if (count != 2 || c->txn != NULL || !is_of(args[0], database_type) ||
        !is_of(args[1], transaction_type))
        return failed("a cursor needs a database and a transaction, once", EINVAL);
    c->db = new_reference(args[0]);
    c->txn = new_reference(args[1]);
    return new_reference(none);
}

/* The addresses of the MDB_vals of key and value, for Python. */
PyObject *places(PyObject *self, PyObject *unused)
{
    cursor *c = fields(self);
    (void)unused;
    return Py_BuildValue("NN", PyLong_FromVoidPtr(&c->key), PyLong_FromVoidPtr(&c->value));
}

/* --- open and closed ---------------------------------------------------------------------------------------------- */

PyObject *open_cursor(const method *method, PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
    transaction *t = fields(self);
    PyObject *given[1], *made = NULL;
    const database *d;
    cursor *c;
    int rc;
    if (free_threaded || !sort_arguments(method, args, count, names, given))
        goto slow;
    if ((made = new_object(cursor_type)) == NULL)
        return NULL;
    c = fields(made);
    /* Now, since the collector may have run for it, and with it whatever finalizers do. */
    if ((d = database_for(t, given[0], NULL)) == NULL || !enter(t))
        goto slow;
    rc = t->engine->cursor_open(t->txn, (MDB_dbi)d->dbi, &c->cursor);
    if (rc == 0) {
        c->txn = new_reference(self);
        c->db = new_reference(object_of((void *)d));
        c->dbi = (unsigned)d->dbi;
        c->seen = c->found = t->mutations;
        link_light(&c->light, &t->lights);
    }
    leave(t);
    if (rc == 0)
        return made;
    c->cursor = NULL;
slow:
    Py_DecRef(made);
    return slowly(method, self, args, count, names);
}

/* Like enter() of its transaction, for a cursor that is open, and that nothing has read ahead of. */
static transaction *enter_at(const cursor *c)
{
    transaction *t;
    if (c->txn == NULL || !enter(t = fields(c->txn)))
        return NULL;
    if (c->cursor != NULL && (c->iteration == NULL || c->iteration == none))
        return t;
    leave(t);
    return NULL;
}

static PyObject *closed(int method, PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
    cursor *c = fields(self);
    transaction *t;
    if (c->light.state == LIGHT && c->cursor == NULL)
        return new_reference(none);
    if (c->light.state != LIGHT || (t = enter_at(c)) == NULL)
        return slowly(&cursor_methods[method], self, args, count, names);
    end_light_cursor(c);
    leave(t);
    return new_reference(none);
}

static PyObject *cursor_close(PyObject *self, PyObject *unused)
{
    (void)unused;
    return closed(CLOSE, self, NULL, 0, NULL);
}

void finalize_cursor(PyObject *self)
{
    cursor *c = fields(self);
    PyObject *type, *value, *trace;
    transaction *t;
    if (c->light.state == LIGHT && c->cursor == NULL)
        return;
    if (c->light.state == LIGHT && (t = enter_at(c)) != NULL) { /* which leaves exceptions alone, where there is a lock */
        end_light_cursor(c);
        leave(t);
        return;
    }
    PyErr_Fetch(&type, &value, &trace);
    finalize_slowly(cursor_finalizer, self);
    unlink_light(&c->light); /* where that was interrupted: nobody may find it any more */
    PyErr_Restore(type, value, trace);
}

method cursor_finalizer[] = {METHOD("__del__", NULL, 0, 0, NULL)};

static PyObject *cursor_enter(PyObject *self, PyObject *unused)
{
    (void)unused;
    return new_reference(self);
}

static PyObject *cursor_exit(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
    if (count != 3 || names != NULL)
        return slowly(&cursor_methods[EXIT], self, args, count, names);
    return closed(EXIT, self, args, count, names);
}

/* --- moved -------------------------------------------------------------------------------------------------------- */

static int is_dupsort(const cursor *c)
{
    const database *d = fields(c->db);
    return (d->flags & MDB_DUPSORT) != 0;
}

/* The operations that search from the root of the tree; the others go on from where the cursor is. */
static int is_search(MDB_cursor_op operation)
{
    return operation == MDB_FIRST || operation == MDB_LAST || operation == MDB_SET_KEY || operation == MDB_SET_RANGE ||
        operation == MDB_GET_BOTH || operation == MDB_GET_BOTH_RANGE;
}

/* Move, and note where the cursor is now. */
static int step(const transaction *t, cursor *c, MDB_cursor_op operation)
{
    int rc = t->engine->cursor_get(c->cursor, &c->key, &c->value, operation);
    c->positioned = rc == 0;
    c->seen = t->mutations;
    if (is_search(operation))
        c->found = c->seen;
    if (rc != 0)
        c->key.mv_size = c->value.mv_size = 0;
    return rc == EINVAL && operation == MDB_GET_CURRENT ? MDB_NOTFOUND : rc;
}

/* Read again where the transaction has written since: pages move then, and records change. */
static int refresh(const transaction *t, cursor *c)
{
    int rc = c->seen == t->mutations ? 0 : step(t, c, MDB_GET_CURRENT);
    return rc == MDB_NOTFOUND ? 0 : rc;
}

static PyObject *whether_found(int rc)
{
    return rc == 0 || rc == MDB_NOTFOUND ? new_reference(rc == 0 ? yes : no) : failed("mdb_cursor_get", rc);
}

static PyObject *moved(int method, PyObject *self, MDB_cursor_op operation)
{
    cursor *c = fields(self);
    transaction *t = enter_at(c);
    int rc;
    if (t == NULL)
        return slowly(&cursor_methods[method], self, NULL, 0, NULL);
    rc = step(t, c, operation);
    /* LMDB fills in the value alone; the key may have moved since it was read. */
    if (rc == 0 && (operation == MDB_FIRST_DUP || operation == MDB_LAST_DUP))
        rc = step(t, c, MDB_GET_CURRENT);
    leave(t);
    return whether_found(rc);
}

#define MOVE(method)                                                                                                   \
    static PyObject *move_##method(PyObject *self, PyObject *unused)                                                   \
    {                                                                                                                  \
        (void)unused;                                                                                                  \
        return moved(method, self, MDB_##method);                                                                      \
    }

MOVE(FIRST)
MOVE(FIRST_DUP)
MOVE(LAST)
MOVE(LAST_DUP)
MOVE(NEXT)
MOVE(NEXT_DUP)
MOVE(NEXT_NODUP)
MOVE(PREV)
MOVE(PREV_DUP)
MOVE(PREV_NODUP)

/* Whether the database takes this key: of an integer LMDB would read past the end. */
static int takes(const cursor *c, const MDB_val *key)
{
    const database *d = c->db == NULL ? NULL : fields(c->db);
    return d != NULL && (!(d->flags & MDB_INTEGERKEY) || key->mv_size == 4 || key->mv_size == 8);
}

static int seek(const transaction *t, cursor *c, MDB_cursor_op operation, const MDB_val *key, const MDB_val *value)
{
    int rc;
    c->key = *key;
    c->value = *value;
    rc = step(t, c, operation);
    /* Of a pair LMDB fills in the value alone; the key would still name the caller's memory. */
    if (rc == 0 && (operation == MDB_GET_BOTH || operation == MDB_GET_BOTH_RANGE))
        rc = step(t, c, MDB_GET_CURRENT);
    return rc;
}

/* Search for a key, or for a pair, for which a method has two arguments. Where a dupsort database has none, Python
 * searches again, and takes a new cursor of LMDB's: see _renew().
 */
static PyObject *sought(int method, MDB_cursor_op operation, PyObject *self, PyObject *const *args, Py_ssize_t count,
                        PyObject *names)
{
    cursor *c = fields(self);
    transaction *t;
    PyObject *given[2];
    MDB_val key, value = {0, NULL};
    int rc;
    if (!sort_arguments(&cursor_methods[method], args, count, names, given) || !bytes_of(given[0], &key) ||
        (cursor_methods[method].least == 2 && !bytes_of(given[1], &value)) || !takes(c, &key) ||
        (t = enter_at(c)) == NULL)
        goto slow;
    if (operation == MDB_SET_RANGE && key.mv_size == 0)
        operation = MDB_FIRST;
    rc = seek(t, c, operation, &key, &value);
    leave(t);
    if (rc != MDB_NOTFOUND || !is_dupsort(c))
        return whether_found(rc);
slow:
    return slowly(&cursor_methods[method], self, args, count, names);
}

#define SEARCH(method, operation)                                                                                      \
    static PyObject *search_##method(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *names)         \
    {                                                                                                                  \
        return sought(method, operation, self, args, count, names);                                                    \
    }

SEARCH(SET_KEY, MDB_SET_KEY)
SEARCH(SET_KEY_DUP, MDB_GET_BOTH)
SEARCH(SET_RANGE, MDB_SET_RANGE)
SEARCH(SET_RANGE_DUP, MDB_GET_BOTH_RANGE)

/* --- read --------------------------------------------------------------------------------------------------------- */

enum { KEYS = 1, VALUES = 2 };

/* Leave with a key, a value, or a pair of both. The pair is made last: it may start the collector, and finalizers do
 * whatever they like with the transaction.
 */
static PyObject *leave_with(transaction *t, const cursor *c, unsigned what)
{
    PyObject *pair, *key = what & KEYS ? copy_of(&c->key) : NULL, *value = what & VALUES ? copy_of(&c->value) : NULL;
    leave(t);
    if (what != (KEYS | VALUES))
        return what & KEYS ? key : value;
    if (key != NULL && value != NULL && (pair = PyTuple_New(2)) != NULL) {
        PyTuple_SetItem(pair, 0, key);
        PyTuple_SetItem(pair, 1, value);
        return pair;
    }
    Py_DecRef(key);
    Py_DecRef(value);
    return NULL;
}

static PyObject *read_by(int method, PyObject *self, unsigned what)
{
    cursor *c = fields(self);
    transaction *t = enter_at(c);
    int rc;
    if (t == NULL)
        return slowly(&cursor_methods[method], self, NULL, 0, NULL);
    if ((rc = refresh(t, c)) == 0)
        return leave_with(t, c, what);
    leave(t);
    return failed("mdb_cursor_get", rc);
}

static PyObject *cursor_key(PyObject *self, PyObject *unused)
{
    (void)unused;
    return read_by(KEY, self, KEYS);
}

static PyObject *cursor_value(PyObject *self, PyObject *unused)
{
    (void)unused;
    return read_by(VALUE, self, VALUES);
}

static PyObject *cursor_item(PyObject *self, PyObject *unused)
{
    (void)unused;
    return read_by(ITEM, self, KEYS | VALUES);
}

static PyObject *cursor_get(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
    cursor *c = fields(self);
    transaction *t;
    PyObject *given[2];
    MDB_val key, value = {0, NULL};
    int rc;
    if (!sort_arguments(&cursor_methods[GET], args, count, names, given) || !bytes_of(given[0], &key) ||
        !takes(c, &key) || (t = enter_at(c)) == NULL)
        goto slow;
    rc = seek(t, c, MDB_SET_KEY, &key, &value);
    if (rc == 0)
        return leave_with(t, c, VALUES);
    leave(t);
    if (rc != MDB_NOTFOUND)
        return failed("mdb_cursor_get", rc);
    if (!is_dupsort(c))
        return new_reference(given[1] == NULL ? none : given[1]);
slow:
    return slowly(&cursor_methods[GET], self, args, count, names);
}

/* Before LMDB counts, make it read anew how many values there are, see Python's _find_again(). */
static int find_again(const transaction *t, cursor *c)
{
    int rc = refresh(t, c);
    if (rc == 0 && c->positioned && c->found != t->mutations)
        rc = step(t, c, MDB_GET_BOTH);
    return rc == MDB_NOTFOUND ? 0 : rc;
}

static PyObject *cursor_count(PyObject *self, PyObject *unused)
{
    cursor *c = fields(self);
    transaction *t;
    const char *function = "mdb_cursor_get";
    size_t number = 0;
    int rc;
    (void)unused;
    if ((t = enter_at(c)) == NULL)
        return slowly(&cursor_methods[COUNT], self, NULL, 0, NULL);
    rc = is_dupsort(c) ? find_again(t, c) : 0;
    if (rc == 0) {
        function = "mdb_cursor_count";
        rc = t->engine->cursor_count(c->cursor, &number);
    }
    leave(t);
    return rc == 0 ? PyLong_FromSize_t(number) : failed(function, rc);
}

/* --- written through ---------------------------------------------------------------------------------------------- */

/* Before a write nothing may be ahead of any cursor of the transaction. */
static transaction *enter_to_write_at(const cursor *c)
{
    transaction *t = enter_at(c);
    if (t == NULL || !t->iterating)
        return t;
    leave(t);
    return NULL;
}

/* How a write went: what LMDB returned last, and of which function. */
typedef struct outcome {
    const char *function;
    int rc;
} outcome;

static PyObject *returned(outcome done, PyObject *result)
{
    if (done.rc == 0)
        return result;
    Py_DecRef(result);
    return failed(done.function, done.rc);
}

static outcome put_at(transaction *t, const cursor *c, MDB_val key, MDB_val value, unsigned flags)
{
    t->mutations++; /* what was read before it may move */
    return (outcome){"mdb_cursor_put", t->engine->cursor_put(c->cursor, &key, &value, flags)};
}

static outcome delete_at(transaction *t, const cursor *c, unsigned flags)
{
    t->mutations++;
    return (outcome){"mdb_cursor_del", t->engine->cursor_del(c->cursor, flags)};
}

/* Read where a write has left the cursor. */
static outcome look(const transaction *t, cursor *c)
{
    outcome done = {"mdb_cursor_get", step(t, c, MDB_GET_CURRENT)};
    c->found = c->seen;
    if (done.rc == MDB_NOTFOUND)
        done.rc = 0;
    return done;
}

static PyObject *cursor_put(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
    cursor *c = fields(self);
    transaction *t;
    PyObject *given[5];
    MDB_val key, value;
    unsigned flags = 0;
    outcome done;
    if (!sort_arguments(&cursor_methods[PUT], args, count, names, given) || !bytes_of(given[0], &key) ||
        !bytes_of(given[1], &value) || !takes(c, &key) || !flag_of(given[2], 0, MDB_NODUPDATA, &flags) ||
        !flag_of(given[3], 0, MDB_NOOVERWRITE, &flags) ||
        !flag_of(given[4], 1, is_dupsort(c) ? MDB_APPENDDUP : MDB_APPEND, &flags) ||
        (t = enter_to_write_at(c)) == NULL)
        return slowly(&cursor_methods[PUT], self, args, count, names);
    done = put_at(t, c, key, value, flags);
    if (done.rc == MDB_KEYEXIST) {
        leave(t);
        return new_reference(no);
    }
    if (done.rc == 0)
        done = look(t, c);
    leave(t);
    return returned(done, new_reference(yes));
}

/* In a dupsort database Python deletes: LMDB's cursor over the values of a key must not be trusted then. */
static PyObject *cursor_delete(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
    cursor *c = fields(self);
    transaction *t;
    PyObject *given[1];
    unsigned flags = 0;
    outcome done;
    if (!sort_arguments(&cursor_methods[DELETE], args, count, names, given) ||
        !flag_of(given[0], 1, MDB_NODUPDATA, &flags) || c->db == NULL || is_dupsort(c) ||
        (t = enter_to_write_at(c)) == NULL)
        return slowly(&cursor_methods[DELETE], self, args, count, names);
    if (!c->positioned) {
        leave(t);
        return new_reference(no);
    }
    done = delete_at(t, c, flags);
    if (done.rc == 0)
        done = look(t, c);
    leave(t);
    return returned(done, new_reference(yes));
}

/* Store a value for that of a key, which is returned. */
static PyObject *exchange(transaction *t, cursor *c, const MDB_val *key, const MDB_val *value, outcome *done)
{
    PyObject *old;
    *done = put_at(t, c, *key, *value, MDB_NOOVERWRITE);
    if (done->rc != 0 && done->rc != MDB_KEYEXIST)
        return NULL;
    old = done->rc == 0 ? none : NULL;
    *done = look(t, c);
    if (old == none || done->rc != 0)
        return old == none ? new_reference(none) : NULL;
    if ((old = copy_of(&c->value)) == NULL)
        return NULL;
    *done = put_at(t, c, *key, *value, 0);
    if (done->rc == 0)
        *done = look(t, c);
    return old;
}

static PyObject *take_out(transaction *t, cursor *c, const MDB_val *key, const MDB_val *value, outcome *done)
{
    PyObject *old;
    *done = (outcome){"mdb_cursor_get", seek(t, c, MDB_SET_KEY, key, value)};
    if (done->rc == MDB_NOTFOUND) {
        done->rc = 0;
        return new_reference(none);
    }
    if (done->rc != 0 || (old = copy_of(&c->value)) == NULL)
        return NULL;
    *done = delete_at(t, c, 0);
    if (done->rc == 0)
        *done = look(t, c);
    return old;
}

typedef PyObject *(*change)(transaction *, cursor *, const MDB_val *, const MDB_val *, outcome *);

/* A change that gives the value that was there; in a dupsort database it is Python's, see above. */
static PyObject *changed(int method, change change, PyObject *self, PyObject *const *args, Py_ssize_t count,
                         PyObject *names)
{
    cursor *c = fields(self);
    transaction *t;
    PyObject *given[2], *old;
    MDB_val key, value = {0, NULL};
    outcome done;
    if (!sort_arguments(&cursor_methods[method], args, count, names, given) || !bytes_of(given[0], &key) ||
        (cursor_methods[method].least == 2 && !bytes_of(given[1], &value)) || !takes(c, &key) || is_dupsort(c) ||
        (t = enter_to_write_at(c)) == NULL)
        return slowly(&cursor_methods[method], self, args, count, names);
    old = change(t, c, &key, &value, &done);
    leave(t);
    return returned(done, old);
}

static PyObject *cursor_replace(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
    return changed(REPLACE, exchange, self, args, count, names);
}

static PyObject *cursor_pop(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
    return changed(POP, take_out, self, args, count, names);
}

/* --- iterated over ------------------------------------------------------------------------------------------------ */

/* How the methods iterate: by which step, from where if the cursor is unset (GET_CURRENT: not at all), and what they
 * give by default.
 */
static const struct way {
    MDB_cursor_op step, start;
    unsigned what;
} WAYS[] = {
    [ITER] = {MDB_NEXT, MDB_FIRST, KEYS | VALUES},
    [ITERNEXT] = {MDB_NEXT, MDB_FIRST, KEYS | VALUES},
    [ITERNEXT_DUP] = {MDB_NEXT_DUP, MDB_GET_CURRENT, VALUES},
    [ITERNEXT_NODUP] = {MDB_NEXT_NODUP, MDB_FIRST, KEYS},
    [ITERPREV] = {MDB_PREV, MDB_LAST, KEYS | VALUES},
    [ITERPREV_DUP] = {MDB_PREV_DUP, MDB_GET_CURRENT, VALUES},
    [ITERPREV_NODUP] = {MDB_PREV_NODUP, MDB_LAST, KEYS},
};

/* As in py-lmdb, where a key has one value LMDB goes on to the next key. */
static MDB_cursor_op step_of(const struct way *way, const cursor *c)
{
    if (is_dupsort(c))
        return way->step;
    return way->step == MDB_NEXT_DUP ? MDB_NEXT : way->step == MDB_PREV_DUP ? MDB_PREV : way->step;
}

static PyObject *iterate(int method, PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
    const struct way *way = &WAYS[method];
    cursor *c = fields(self);
    transaction *t;
    PyObject *given[2], *made = NULL;
    iterator *i;
    unsigned what = 0;
    int rc;
    if (!sort_arguments(&cursor_methods[method], args, count, names, given))
        goto slow;
    if (!flag_of(given[0] != NULL ? given[0] : way->what & KEYS ? yes : no, 1, KEYS, &what) ||
        !flag_of(given[1] != NULL ? given[1] : way->what & VALUES ? yes : no, 1, VALUES, &what))
        goto slow;
    if ((made = new_object(iterator_type)) == NULL)
        return NULL;
    if ((t = enter_at(c)) == NULL)
        goto slow;
    rc = c->positioned ? refresh(t, c) : 0; /* the record may be gone */
    if (rc == 0 && !c->positioned && way->start != MDB_GET_CURRENT)
        rc = step(t, c, way->start);
    i = fields(made);
    i->step = step_of(way, c);
    leave(t);
    if (rc != 0 && rc != MDB_NOTFOUND) {
        Py_DecRef(made);
        return failed("mdb_cursor_get", rc);
    }
    i->cursor = new_reference(self);
    i->what = what & VALUES ? what : KEYS;
    i->next = MDB_GET_CURRENT;
    return made;
slow:
    Py_DecRef(made);
    return slowly(&cursor_methods[method], self, args, count, names);
}

#define ITERATION(method)                                                                                              \
    static PyObject *iterate_##method(PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *names)        \
    {                                                                                                                  \
        return iterate(method, self, args, count, names);                                                              \
    }

ITERATION(ITER)
ITERATION(ITERNEXT)
ITERATION(ITERNEXT_DUP)
ITERATION(ITERNEXT_NODUP)
ITERATION(ITERPREV)
ITERATION(ITERPREV_DUP)
ITERATION(ITERPREV_NODUP)

/* The record by the cursor's own method, which waits, settles and raises as all of Python's do; None at the end. */
static PyObject *advance_slowly(const iterator *i, unsigned what)
{
    PyObject *owner = new_reference(i->cursor), *advance = PyObject_GetAttrString(owner, "_advance"), *result = NULL;
    if (advance != NULL)
        result = PyObject_CallFunction(advance, "iI", (int)i->next, what);
    Py_DecRef(advance);
    Py_DecRef(owner);
    return result;
}

/* Whoever takes a whole iteration in one call (list(), sum()) gives nobody else a turn, and hears of no signal: so now and
 * then this does. Not more often: a thread that waits for the interpreter's lock asks for it after 5 ms, in which it must
 * not be woken, and only who was asked waits until it has it. Nor is the clock looked at each time: on some machines that is
 * a call of the system. False where a handler of a signal has raised.
 */
enum { RECORDS_BETWEEN_LOOKS = 1024, MILLISECONDS_BETWEEN_PAUSES = 10 };

static int pause_now_and_then(iterator *i)
{
    static _Atomic unsigned long last; /* of all iterators: many short ones may follow each other in one call */
    struct timespec t;
    unsigned long now;
    if (++i->given % RECORDS_BETWEEN_LOOKS != 0 || clock_gettime(CLOCK_MONOTONIC, &t) != 0)
        return 1;
    now = (unsigned long)t.tv_sec * 1000 + (unsigned long)t.tv_nsec / 1000000;
    if (now - last < MILLISECONDS_BETWEEN_PAUSES)
        return 1;
    PyEval_RestoreThread(PyEval_SaveThread());
    last = now;
    return PyErr_CheckSignals() == 0;
}

/* No more records. Where threads run beside each other, another one may be using the cursor here: it is kept. */
static void end_iteration(iterator *i)
{
    PyObject *owner = i->cursor;
    i->what = 0;
    if (free_threaded)
        return;
    i->cursor = NULL;
    Py_DecRef(owner);
}

/* Before the first record: LMDB is asked even if it is known, since it refuses while a nested transaction is open. */
static int begin_at(const transaction *t, cursor *c)
{
    MDB_val key, value;
    int rc = refresh(t, c);
    return rc != 0 || !c->positioned ? rc : t->engine->cursor_get(c->cursor, &key, &value, MDB_GET_CURRENT);
}

/* The next record; NULL at the end, or with an exception set, and then it is at its end too. */
PyObject *iterator_next(PyObject *self)
{
    iterator *i = fields(self);
    PyObject *result;
    transaction *t;
    unsigned what;
    cursor *c;
    int rc;
    if (!pause_now_and_then(i) || (what = i->what) == 0 || i->cursor == NULL)
        return NULL;
    c = fields(i->cursor);
    if ((t = enter_at(c)) == NULL) {
        result = advance_slowly(i, what);
        i->next = i->step;
        if (result != NULL && result != none)
            return result;
        Py_DecRef(result);
        end_iteration(i);
        return NULL;
    }
    rc = i->next != MDB_GET_CURRENT ? step(t, c, i->next) : c->positioned ? begin_at(t, c) : 0;
    i->next = i->step;
    if (rc == 0 && c->positioned)
        return leave_with(t, c, what);
    leave(t);
    end_iteration(i);
    return rc == 0 || rc == MDB_NOTFOUND ? NULL : failed("mdb_cursor_get", rc);
}

method cursor_methods[] = {
    [CLOSE] = METHOD("close", cursor_close, METH_NOARGS, 0, NULL),
    [ENTER] = METHOD("__enter__", cursor_enter, METH_NOARGS, 0, NULL),
    [EXIT] = METHOD("__exit__", cursor_exit, KEYWORDS, 3, "kind", "value", "trace"),
    [FIRST] = METHOD("first", move_FIRST, METH_NOARGS, 0, NULL),
    [FIRST_DUP] = METHOD("first_dup", move_FIRST_DUP, METH_NOARGS, 0, NULL),
    [LAST] = METHOD("last", move_LAST, METH_NOARGS, 0, NULL),
    [LAST_DUP] = METHOD("last_dup", move_LAST_DUP, METH_NOARGS, 0, NULL),
    [NEXT] = METHOD("next", move_NEXT, METH_NOARGS, 0, NULL),
    [NEXT_DUP] = METHOD("next_dup", move_NEXT_DUP, METH_NOARGS, 0, NULL),
    [NEXT_NODUP] = METHOD("next_nodup", move_NEXT_NODUP, METH_NOARGS, 0, NULL),
    [PREV] = METHOD("prev", move_PREV, METH_NOARGS, 0, NULL),
    [PREV_DUP] = METHOD("prev_dup", move_PREV_DUP, METH_NOARGS, 0, NULL),
    [PREV_NODUP] = METHOD("prev_nodup", move_PREV_NODUP, METH_NOARGS, 0, NULL),
    [SET_KEY] = METHOD("set_key", search_SET_KEY, KEYWORDS, 1, "key"),
    [SET_KEY_DUP] = METHOD("set_key_dup", search_SET_KEY_DUP, KEYWORDS, 2, "key", "value"),
    [SET_RANGE] = METHOD("set_range", search_SET_RANGE, KEYWORDS, 1, "key"),
    [SET_RANGE_DUP] = METHOD("set_range_dup", search_SET_RANGE_DUP, KEYWORDS, 2, "key", "value"),
    [KEY] = METHOD("key", cursor_key, METH_NOARGS, 0, NULL),
    [VALUE] = METHOD("value", cursor_value, METH_NOARGS, 0, NULL),
    [ITEM] = METHOD("item", cursor_item, METH_NOARGS, 0, NULL),
    [GET] = METHOD("get", cursor_get, KEYWORDS, 1, "key", "default"),
    [COUNT] = METHOD("count", cursor_count, METH_NOARGS, 0, NULL),
    [PUT] = METHOD("put", cursor_put, KEYWORDS, 2, "key", "value", "dupdata", "overwrite", "append"),
    [DELETE] = METHOD("delete", cursor_delete, KEYWORDS, 0, "dupdata"),
    [REPLACE] = METHOD("replace", cursor_replace, KEYWORDS, 2, "key", "value"),
    [POP] = METHOD("pop", cursor_pop, KEYWORDS, 1, "key"),
    [ITER] = METHOD("__iter__", iterate_ITER, KEYWORDS, 0, "keys", "values"),
    [ITERNEXT] = METHOD("iternext", iterate_ITERNEXT, KEYWORDS, 0, "keys", "values"),
    [ITERNEXT_DUP] = METHOD("iternext_dup", iterate_ITERNEXT_DUP, KEYWORDS, 0, "keys", "values"),
    [ITERNEXT_NODUP] = METHOD("iternext_nodup", iterate_ITERNEXT_NODUP, KEYWORDS, 0, "keys", "values"),
    [ITERPREV] = METHOD("iterprev", iterate_ITERPREV, KEYWORDS, 0, "keys", "values"),
    [ITERPREV_DUP] = METHOD("iterprev_dup", iterate_ITERPREV_DUP, KEYWORDS, 0, "keys", "values"),
    [ITERPREV_NODUP] = METHOD("iterprev_nodup", iterate_ITERPREV_NODUP, KEYWORDS, 0, "keys", "values"),
    LAST_METHOD,
};
