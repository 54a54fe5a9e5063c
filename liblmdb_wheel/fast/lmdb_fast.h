/* Single records for CPython, without CFFI: built-in methods over a loaded LMDB engine.
 *
 * For the binding that comes with this library, and of no use without it. It includes no Python.h and links no libpython,
 * so that one file serves every CPython from 3.10 on: it declares for itself the functions of the stable ABI that it
 * calls, which the running interpreter resolves. Nor does it link an engine; it is handed the functions of one.
 *
 * Every function here must be called with the interpreter's lock held, and holds it: a look-up in the cache takes less
 * time than giving the lock back and taking it again. A build of CPython without that lock must not load this library.
 */
#ifndef LMDB_FAST_H
#define LMDB_FAST_H

#ifdef __cplusplus
extern "C" {
#endif

/* Make the methods, once in a process. Returns a new reference (PyObject *) to a tuple of built-in functions and method
 * descriptors, or NULL with an exception set.
 *
 * (get, put, new, begin, point, stop_puts, end), where `type` (PyTypeObject *) is the class that `get` and `put` are
 * methods of, and `slow_get`, `slow_put` and `fail` (PyObject *) are functions of Python:
 *
 * - get(self, key, default=None, db=None) and put(self, key, value, ...) as in py-lmdb. `self._fast` is None or what
 *   new() gave. Whatever is out of the ordinary goes to slow_get or slow_put, with the same arguments: other types than
 *   bytes, other databases, flags, a lock that somebody has.
 * - fail(name, code) raises the exception for LMDB's return code.
 * - new(get, put): the state of a transaction, with the addresses of the engine's mdb_get and mdb_put.
 * - begin(state, txn, token): the transaction at this address begins; `token` is a list that has one element while nobody
 *   is at work in it. end(state): it ends, and another may begin.
 * - point(state, dbi, database, own, may_put): calls without `db` (if `own`), or with this object as `db`, go to that
 *   database; puts too, if `may_put`, until stop_puts(state).
 */
void *lmdb_fast_methods(void *type, void *slow_get, void *slow_put, void *fail);

/* The version of this interface: it grows when functions are added; the SONAME, when they change. */
int lmdb_fast_version(void);

#ifdef __cplusplus
}
#endif

#endif
