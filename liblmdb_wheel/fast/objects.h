/* The four classes of the binding, as far as C shares them with Python: what their objects hold, and how a call takes
 * the short way through them.
 *
 * An object's fields stand behind its head, whose size the running interpreter says. Python knows them by the names in
 * objects.c, which are explained where Python uses them.
 */
#ifndef OBJECTS_H
#define OBJECTS_H

#include "lmdb.h"
#include "lmdb_fast.h"
#include "python.h"

/* A transaction or a cursor that was made the short way is light: Python has nothing of it, and keeps no account of it,
 * until somebody asks for its lock or its handle, as all of Python's own methods do first, and so wakes it. What it lives
 * in finds it by a list.
 */
typedef struct light {
    int state;
    struct light *next, **place; /* in the list; place is NULL outside of any */
} light;
enum { NOT_LIGHT, LIGHT, WAKING };

typedef struct database {
    int dbi;         /* below 0: closed */
    unsigned flags;  /* LMDB's */
    Py_ssize_t home; /* the address of its environment's object */
} database;

typedef struct environment {
    const lmdb_fast_engine *engine; /* NULL: nothing goes the short way */
    MDB_env *env;                   /* NULL: closed */
    PyObject *main;                 /* the main database; NULL or None: there is none */
    PyObject *spare;                /* a list of finished read transactions, as numbers */
    PyObject *doors;                /* a list: it has an element while nobody has the environment alone */
    Py_ssize_t max_spare, generation;
    light *lights; /* its light transactions */
} environment;

typedef struct transaction {
    light light;
    const lmdb_fast_engine *engine; /* NULL: nothing goes the short way */
    MDB_txn *txn;                   /* NULL: it has ended */
    PyObject *lock, *handle;        /* Python's; NULL while it is light */
    PyObject *env, *db;             /* its environment, and the database of calls that name none */
    PyObject *checked;              /* that database, once it was seen to be one */
    PyObject *token;                /* a list: it has an element while nobody is at work; NULL: nobody ever was */
    Py_ssize_t mutations, generation;
    char iterating, lent;
    light *lights; /* its light cursors */
    /* What only Python uses, and what is the same of all that is light: NULL is None, and 0 is False. */
    PyObject *parent, *views, *snapshot, *direct;
    char write, buffers, empty, abandoned;
} transaction;

typedef struct cursor {
    light light;
    MDB_cursor *cursor; /* NULL: it is closed */
    PyObject *lock, *handle;
    PyObject *txn, *db;
    PyObject *iteration; /* what has read ahead of it; NULL or None: nothing */
    MDB_val key, value;  /* at its place; empty where it is unset */
    Py_ssize_t seen, found;
    unsigned dbi;
    char positioned;
    PyObject *key_place, *value_place, *lib, *out; /* what only Python uses */
} cursor;

/* An iteration that steps its cursor from record to record. */
typedef struct iterator {
    MDB_cursor_op next, step; /* the next one, and all the others: the first looks at where the cursor is */
    unsigned what;            /* it gives; 0: it has ended */
    unsigned given;           /* so many records */
    PyObject *cursor;         /* NULL: it has ended, or is garbage */
} iterator;

extern Py_ssize_t head; /* bytes of an object before its fields */
extern int free_threaded;

/* Objects that live as long as the process. The classes are Python's, and NULL before install() was given them. */
extern PyObject *none, *yes, *no, *fail, *wake, *environment_type, *database_type, *transaction_type, *cursor_type, *iterator_type;

static inline void *fields(PyObject *object)
{
    return (char *)object + head;
}

static inline PyObject *object_of(void *fields)
{
    return (PyObject *)((char *)fields - head);
}

static inline PyObject *new_reference(PyObject *object)
{
    Py_IncRef(object);
    return object;
}

/* --- methods ------------------------------------------------------------------------------------------------------ */

/* A built-in method, Python's, which it stands for, and what the arguments are called, in their order: so many of them
 * must be given. Of a method without arguments all that is empty.
 */
enum { MOST_ARGUMENTS = 6 };
typedef struct method {
    PyMethodDef definition;
    PyObject *slow;
    int least;
    const char *names[MOST_ARGUMENTS + 1]; /* NULL behind the last */
    PyObject *interned[MOST_ARGUMENTS];
} method;
enum { KEYWORDS = METH_FASTCALL | METH_KEYWORDS };
#define METHOD(name, function, flags, least, ...)                                                                      \
    {{name, (PyCFunction)(void *)(function), flags, NULL}, NULL, least, {__VA_ARGS__}, {NULL}}
#define LAST_METHOD {{NULL, NULL, 0, NULL}, NULL, 0, {NULL}, {NULL}}

/* Python's finalizers are called by C's, which end what is light themselves. */
extern method transaction_finalizer[], cursor_finalizer[];
void finalize_transaction(PyObject *self), finalize_cursor(PyObject *self);

/* Call a finalizer of Python's, as the interpreter does it. */
void finalize_slowly(const method *method, PyObject *self);

extern method environment_methods[], transaction_methods[], cursor_methods[];

/* Let Python's own method do the whole call, of which nothing has happened yet. */
PyObject *slowly(const method *method, PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *names);

/* Sort the arguments of a call by their places, NULL for those not given. False where Python must look at them. */
int sort_arguments(const method *method, PyObject *const *args, Py_ssize_t count, PyObject *names, PyObject **sorted);

/* The bytes of an argument; false for another type. */
int bytes_of(PyObject *object, MDB_val *value);

/* Set a flag as a bool says, which may be NULL for the default; false for another type. */
int flag_of(PyObject *object, int when, unsigned flag, unsigned *flags);

/* Raise the exception for LMDB's return code. */
PyObject *failed(const char *function, int rc);

PyObject *copy_of(const MDB_val *value);

/* --- the short way ------------------------------------------------------------------------------------------------ */

/* A call that goes the short way keeps the interpreter's lock from here to leave(), and so has the transaction for
 * itself; without such a lock, it takes the transaction's token. False where somebody is at work in it, or where it is
 * not as usual.
 */
int enter(transaction *t);
void leave(transaction *t);

/* The database that a call names (NULL or None: the transaction's own) if it is open and of the transaction's
 * environment, and takes this key (or NULL).
 */
const database *database_for(transaction *t, PyObject *named, const MDB_val *key);

/* Whether nobody has the environment alone, and it is open. */
int is_open(const environment *e);

/* --- light objects ------------------------------------------------------------------------------------------------ */

PyObject *new_object(PyObject *type);
void link_light(light *l, light **list);
void unlink_light(light *l);

/* End what is light in LMDB; its object lives on. */
void end_light_transaction(transaction *t);
void end_light_cursor(cursor *c);

PyObject *place_transaction(PyObject *self, PyObject *const *args, Py_ssize_t count);
PyObject *place_cursor(PyObject *self, PyObject *const *args, Py_ssize_t count);
PyObject *places(PyObject *self, PyObject *unused);

/* The method of a transaction that opens a cursor in it. */
PyObject *open_cursor(const method *method, PyObject *self, PyObject *const *args, Py_ssize_t count, PyObject *names);

PyObject *iterator_next(PyObject *self);

#endif
