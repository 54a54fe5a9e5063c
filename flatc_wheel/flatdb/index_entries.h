/* Entries of indexes: many put at once, in the order of their keys. */
#ifndef FLATDB_INDEX_ENTRIES_H
#define FLATDB_INDEX_ENTRIES_H

#include "table.h"

#include <string_view>
#include <vector>

namespace flatdb {

struct IndexPair {
  std::string_view key, record;  // the index's key, and the record's
};

/* Put entries, which are sorted for it. FLATDB_BAD_KEY where a unique index would have a key twice. */
void put_entries(MDB_txn *txn, const OpenTable &table, const OpenIndex &index, std::vector<IndexPair> &pairs);

/* Remove one; FLATDB_BAD_TABLE where it is not there, since then the index is not what it should be. */
void remove_entry(MDB_txn *txn, const OpenTable &table, const OpenIndex &index, const IndexPair &pair);

/* The index's key of a record; false where it has no entry: where it lacks a field, or the key has no bytes, which LMDB
 * does not store. Keys that are too long for the engine are FLATDB_BAD_KEY. */
bool append_index_key(const OpenIndex &index, Bytes record, size_t max_key_size, std::string &key);

/* FLATDB_BAD_KEY where LMDB cannot store a key; `what` says whose it is. */
void check_key_size(size_t size, size_t max_key_size, const std::string &what);

/* Whether all of an order's keys go behind the last of a database, so that they can be appended. */
bool goes_behind(Cursor &cursor, std::string_view first);

}  // namespace flatdb

#endif
