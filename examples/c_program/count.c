/* Count the records of a named database, through liblmdb.so.0 of the installed liblmdb-wheel.
 *
 *   ./count FOLDER DATABASE
 *
 * It prints the number of records, the bytes of their keys and values, and the version of LMDB. Beside this file is the
 * project of a wheel with it; for the installed provider alone it is compiled with
 *
 *   cc count.c $(python -m liblmdb_wheel --cflags --libs) \
 *      -Wl,-rpath,"$(python -c 'import liblmdb_wheel; print(liblmdb_wheel.library_dir())')" -o count
 */
#include <stdio.h>
#include <stdlib.h>

#include "lmdb.h"

static void check(int rc, const char *what)
{
    if (rc != MDB_SUCCESS) {
        fprintf(stderr, "%s: %s\n", what, mdb_strerror(rc));
        exit(EXIT_FAILURE);
    }
}

int main(int argc, char **argv)
{
    MDB_env *env;
    MDB_txn *txn;
    MDB_dbi dbi;
    MDB_cursor *cursor;
    MDB_val key, value;
    size_t records = 0, bytes = 0;
    int rc, major, minor, patch;

    if (argc != 3) {
        fprintf(stderr, "usage: %s FOLDER DATABASE\n", argv[0]);
        return 2;
    }
    check(mdb_env_create(&env), "mdb_env_create");
    check(mdb_env_set_maxdbs(env, 1), "mdb_env_set_maxdbs");
    check(mdb_env_open(env, argv[1], MDB_RDONLY, 0644), argv[1]);
    check(mdb_txn_begin(env, NULL, MDB_RDONLY, &txn), "mdb_txn_begin");
    check(mdb_dbi_open(txn, argv[2], 0, &dbi), argv[2]);
    check(mdb_cursor_open(txn, dbi, &cursor), "mdb_cursor_open");
    while ((rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) == MDB_SUCCESS) {
        records++;
        bytes += key.mv_size + value.mv_size;
    }
    if (rc != MDB_NOTFOUND)
        check(rc, "mdb_cursor_get");
    mdb_version(&major, &minor, &patch);
    printf("%zu %zu %d.%d.%d\n", records, bytes, major, minor, patch);
    mdb_cursor_close(cursor);
    mdb_txn_abort(txn);
    mdb_env_close(env);
    return EXIT_SUCCESS;
}
