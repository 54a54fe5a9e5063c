/* Single records for CPython, without CFFI: built-in methods over a loaded LMDB engine.
 *
 * For the binding that comes with this library, and of no use without it. It includes no Python.h and links no libpython,
 * so that one file serves every CPython from 3.10 on: it declares for itself the functions of the stable ABI that it
 * calls (python.h), which the running interpreter resolves. Nor does it link an engine; it is handed the functions of
 * one.
 *
 * Every function here must be called with the calling thread attached to the interpreter, as ctypes.PyDLL does it, and
 * keeps the interpreter's lock, where there is one: a look-up in the cache takes less time than giving the lock back
 * and taking it again. Whatever may wait for long (a writer's turn, a commit) is not done here.
 */
#ifndef LMDB_FAST_H
#define LMDB_FAST_H

#include <stddef.h>

#include "lmdb.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The functions of an engine; they must outlive whatever is made with them. While is_on is 0, every call goes the long
 * way.
 */
typedef struct lmdb_fast_engine {
    int (*txn_begin)(MDB_env *, MDB_txn *, unsigned int, MDB_txn **);
    int (*txn_renew)(MDB_txn *);
    void (*txn_reset)(MDB_txn *);
    void (*txn_abort)(MDB_txn *);
    int (*get)(MDB_txn *, MDB_dbi, MDB_val *, MDB_val *);
    int (*put)(MDB_txn *, MDB_dbi, MDB_val *, MDB_val *, unsigned int);
    int (*del)(MDB_txn *, MDB_dbi, MDB_val *, MDB_val *);
    int (*cursor_open)(MDB_txn *, MDB_dbi, MDB_cursor **);
    void (*cursor_close)(MDB_cursor *);
    int (*cursor_get)(MDB_cursor *, MDB_val *, MDB_val *, MDB_cursor_op);
    int (*cursor_put)(MDB_cursor *, MDB_val *, MDB_val *, unsigned int);
    int (*cursor_del)(MDB_cursor *, unsigned int);
    int (*cursor_count)(MDB_cursor *, size_t *);
    size_t is_on;
} lmdb_fast_engine;

/* Set up, once in a process. Returns a new reference (PyObject *) to a tuple, or NULL with an exception set. In a
 * sub-interpreter, and where it was done before, that is None: what is made here belongs to one interpreter.
 *
 * (install, Environment, Database, Transaction, Cursor): base classes, which hold the fields that C shares with Python;
 * and install(type, kind, docs), which makes methods of `type`, a class made of the base class number `kind` (0 for
 * Environment), built-in ones. Each has the text of the dict `docs`, and leaves to the method that it replaces whatever
 * is out of the ordinary.
 *
 * fail(name, code) (PyObject *) raises the exception for LMDB's return code. wake(object) gives an object that was made
 * the short way all that Python needs of it. `head_size` is the size in bytes of an
 * instance of `object`. `without_gil`: the interpreter is a build without the global lock.
 */
void *lmdb_fast_set_up(void *fail, void *wake, ptrdiff_t head_size, int without_gil);

/* An lmdb_fast_engine of two records, to try the methods with: "key" has "value", and "other" has "another". It changes
 * nothing, and has one transaction and one cursor.
 */
const void *lmdb_fast_stand_in(void);

/* The version of this interface: it grows when functions are added; the SONAME, when they change. */
int lmdb_fast_version(void);

#ifdef __cplusplus
}
#endif

#endif
