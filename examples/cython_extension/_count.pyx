# cython: language_level=3
from libc.stdint cimport uintptr_t


cdef extern from "lmdb.h" nogil:
    ctypedef struct MDB_env
    ctypedef struct MDB_txn
    ctypedef struct MDB_cursor
    ctypedef unsigned int MDB_dbi
    ctypedef struct MDB_val:
        size_t mv_size
    ctypedef enum MDB_cursor_op:
        MDB_NEXT
    int MDB_SUCCESS, MDB_NOTFOUND, MDB_RDONLY
    char *mdb_version(int *, int *, int *)
    char *mdb_strerror(int)
    int mdb_env_create(MDB_env **)
    int mdb_env_set_maxdbs(MDB_env *, MDB_dbi)
    int mdb_env_open(MDB_env *, const char *, unsigned int, unsigned int)
    void mdb_env_close(MDB_env *)
    int mdb_txn_begin(MDB_env *, MDB_txn *, unsigned int, MDB_txn **)
    void mdb_txn_abort(MDB_txn *)
    int mdb_dbi_open(MDB_txn *, const char *, unsigned int, MDB_dbi *)
    int mdb_cursor_open(MDB_txn *, MDB_dbi, MDB_cursor **)
    int mdb_cursor_get(MDB_cursor *, MDB_val *, MDB_val *, MDB_cursor_op)
    void mdb_cursor_close(MDB_cursor *)


cdef int count_records(MDB_txn *txn, const char *database, size_t *records, size_t *size) noexcept nogil:
    cdef MDB_dbi dbi
    cdef MDB_cursor *cursor
    cdef MDB_val key, value
    cdef int rc = mdb_dbi_open(txn, database, 0, &dbi) or mdb_cursor_open(txn, dbi, &cursor)
    if rc != MDB_SUCCESS:
        return rc
    while (rc := mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) == MDB_SUCCESS:
        records[0] += 1
        size[0] += key.mv_size + value.mv_size
    mdb_cursor_close(cursor)
    return MDB_SUCCESS if rc == MDB_NOTFOUND else rc


def count(str path, str database):
    """The number of records of a named database, and the bytes of their keys and values."""
    cdef MDB_env *env = NULL
    cdef MDB_txn *txn = NULL
    cdef size_t records = 0, size = 0
    cdef bytes folder = path.encode(), name = database.encode()
    cdef const char *c_folder = folder
    cdef const char *c_name = name
    cdef int rc
    with nogil:
        rc = (
            mdb_env_create(&env)
            or mdb_env_set_maxdbs(env, 1)
            or mdb_env_open(env, c_folder, MDB_RDONLY, 0o644)
            or mdb_txn_begin(env, NULL, MDB_RDONLY, &txn)
            or count_records(txn, c_name, &records, &size)
        )
        if txn != NULL:
            mdb_txn_abort(txn)
        mdb_env_close(env)
    if rc != MDB_SUCCESS:
        raise RuntimeError(f"{path}: {mdb_strerror(rc).decode()}")
    return records, size


def version_address():
    """The address of mdb_version in this process: equal for all who share one liblmdb."""
    return <uintptr_t>&mdb_version
