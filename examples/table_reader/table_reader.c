/* Read a record of a table in place, by the schema that is stored with the table, over libflatdb.so.0 of the installed
 * flatc-wheel and liblmdb.so.0 of liblmdb-wheel.
 *
 *   ./table_reader FOLDER TABLE KEY
 *
 * for a table whose keys are uint32 and whose values are FlatBuffers. It prints the record as JSON, its bytes, and the
 * number of the transaction that was read. Compiled for the installed wheels:
 *
 *   cc table_reader.c $(python -m liblmdb_wheel --cflags --libs) \
 *      -I"$(python -c 'from flatc_wheel import flatdb; print(flatdb.include_dir())')" \
 *      "$(python -c 'from flatc_wheel import flatdb; print(flatdb.library_path("0.9"))')" \
 *      -Wl,-rpath,"$(python -c 'from flatc_wheel import flatdb; print(flatdb.library_dir())')" \
 *      -Wl,-rpath,"$(python -c 'import liblmdb_wheel; print(liblmdb_wheel.library_dir())')" -o table_reader
 *
 * With -shared -fPIC it is a library, for a process that has the environment open already and a transaction in it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "flatdb.h"

/* The newest schema of a table: the last of the keys "TABLE\0VERSION" in the catalog, the version as four bytes. */
static int newest_schema(MDB_txn *txn, const char *table, MDB_val *schema)
{
    MDB_dbi catalog;
    MDB_cursor *cursor;
    MDB_val key;
    size_t length = strlen(table);
    char *behind = malloc(length + 1);
    int rc;

    if (behind == NULL)
        return MDB_NOTFOUND;
    memcpy(behind, table, length);
    behind[length] = 1; /* the first byte that is greater than the NUL of those keys */
    key.mv_data = behind;
    key.mv_size = length + 1;
    rc = mdb_dbi_open(txn, "__tables__", 0, &catalog);
    if (rc == MDB_SUCCESS && (rc = mdb_cursor_open(txn, catalog, &cursor)) == MDB_SUCCESS) {
        rc = mdb_cursor_get(cursor, &key, schema, MDB_SET_RANGE);
        rc = mdb_cursor_get(cursor, &key, schema, rc == MDB_NOTFOUND ? MDB_LAST : MDB_PREV);
        if (rc == MDB_SUCCESS && (key.mv_size != length + 5 || memcmp(key.mv_data, table, length + 1) != 0))
            rc = MDB_NOTFOUND;
        mdb_cursor_close(cursor);
    }
    free(behind);
    return rc;
}

/* The record of a key, verified, where it is in the map: until the transaction ends. And as JSON, for flatdb_free(). */
int read_record(MDB_txn *txn, const char *table, unsigned int number, MDB_val *record, flatdb_bytes *json,
                flatdb_error *error)
{
    /* A key of uint32 is big-endian, so that LMDB's order is that of the numbers. */
    unsigned char key[4] = {number >> 24 & 255, number >> 16 & 255, number >> 8 & 255, number & 255};
    flatdb_schema *schema;
    MDB_val stored;
    MDB_dbi dbi;
    int rc;

    if ((rc = mdb_dbi_open(txn, table, 0, &dbi)) != MDB_SUCCESS || (rc = newest_schema(txn, table, &stored)) != 0) {
        error->code = rc;
        snprintf(error->text, sizeof error->text, "%s: %s", table, mdb_strerror(rc));
        return rc;
    }
    rc = flatdb_schema_new(stored.mv_data, stored.mv_size, table, NULL, NULL, &schema, error);
    if (rc != 0)
        return rc;
    rc = flatdb_get(schema, txn, dbi, key, sizeof key, record, error);
    if (rc == 0)
        rc = flatdb_to_json(schema, record->mv_data, record->mv_size, json, error);
    flatdb_schema_free(schema);
    return rc;
}

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
    MDB_val record;
    flatdb_bytes json;
    flatdb_error error;

    if (argc != 4) {
        fprintf(stderr, "usage: %s FOLDER TABLE KEY\n", argv[0]);
        return 2;
    }
    check(mdb_env_create(&env), "mdb_env_create");
    check(mdb_env_set_maxdbs(env, 2), "mdb_env_set_maxdbs");
    check(mdb_env_open(env, argv[1], MDB_RDONLY, 0644), argv[1]);
    check(mdb_txn_begin(env, NULL, MDB_RDONLY, &txn), "mdb_txn_begin");
    if (read_record(txn, argv[2], (unsigned int)strtoul(argv[3], NULL, 0), &record, &json, &error) != 0) {
        fprintf(stderr, "%s\n", error.text);
        return EXIT_FAILURE;
    }
    printf("%.*s %zu %zu\n", (int)json.size, json.data, record.mv_size, mdb_txn_id(txn));
    flatdb_free(json.data);
    mdb_txn_abort(txn);
    mdb_env_close(env);
    return EXIT_SUCCESS;
}
