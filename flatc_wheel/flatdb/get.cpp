/* One record by its key, in place. */
#include "record.h"

int flatdb_get(const flatdb_schema *schema, MDB_txn *txn, MDB_dbi dbi, const void *key, size_t key_size, MDB_val *record,
               flatdb_error *error) {
  return flatdb::guarded(error, [&] {
    if (!schema || !txn || (!key && key_size) || !record) {
      flatdb::fail(FLATDB_BAD_ARGUMENT, "flatdb_get needs a schema, a transaction, a key, and a place for the record");
    }
    MDB_val wanted{key_size, const_cast<void *>(key)}, found;
    int code = mdb_get(txn, dbi, &wanted, &found);
    if (code) flatdb::fail(code, mdb_strerror(code));
    flatdb::verify(*schema, {static_cast<const uint8_t *>(found.mv_data), found.mv_size});
    *record = found;
  });
}
