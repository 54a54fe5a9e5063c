/* One record by its key, in place. */
#include "record.h"

int flatdb_get(const flatdb_schema *schema, MDB_txn *txn, MDB_dbi dbi, const void *key, size_t key_size,
               MDB_val *record, flatdb_error *error) {
  if (!schema || !txn || (!key && key_size) || !record) {
    return flatdb::report(error, FLATDB_BAD_ARGUMENT,
                          "flatdb_get needs a schema, a transaction, a key, and a place for the record");
  }
  MDB_val wanted{key_size, const_cast<void *>(key)}, found;
  int code = mdb_get(txn, dbi, &wanted, &found);
  if (code) return flatdb::report(error, code, mdb_strerror(code)); /* no exception: a missing key is nothing special */
  return flatdb::guarded(error, [&] {
    flatdb::verify(*schema, {static_cast<const uint8_t *>(found.mv_data), found.mv_size});
    *record = found;
  });
}

int flatdb_read(flatdb_reader *reader, const void *key, size_t key_size) {
  return flatdb_get(reader->schema, reader->txn, reader->dbi, key, key_size, &reader->record, reader->error);
}
