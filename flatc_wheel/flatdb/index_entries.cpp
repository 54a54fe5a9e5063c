#include "index_entries.h"

#include <algorithm>
#include <tuple>

namespace flatdb {
namespace {

bool before(const IndexPair &a, const IndexPair &b) { return std::tie(a.key, a.record) < std::tie(b.key, b.record); }

std::string name_of(const OpenTable &table, const OpenIndex &index) {
  return index_database(table.entry().name, index.entry.name);
}

[[noreturn]] void fail_unique(const OpenTable &table, const OpenIndex &index, const IndexPair &pair,
                              std::string_view other) {
  fail(FLATDB_BAD_KEY, "the unique index " + name_of(table, index) + " would have the key " +
                           index.entry.key.text(pair.key) + " twice: of the records " + table.entry().key.text(other) +
                           " and " + table.entry().key.text(pair.record));
}

}  // namespace

void check_key_size(size_t size, size_t max_key_size, const std::string &what) {
  if (size == 0) fail(FLATDB_BAD_KEY, what + " is empty: LMDB has no such key");
  if (size > max_key_size)
    fail(FLATDB_BAD_KEY, what + " has " + std::to_string(size) + " bytes: this engine takes " +
                             std::to_string(max_key_size) +
                             " (choose shorter fields, or engine 1.0, which takes more)");
}

bool append_index_key(const OpenIndex &index, Bytes record, size_t max_key_size, std::string &key) {
  const size_t mark = key.size();
  if (!index.key->append_key(record, key) || key.size() == mark) return false;
  if (key.size() - mark > max_key_size) {
    const size_t size = key.size() - mark;
    key.resize(mark);
    check_key_size(size, max_key_size, "the key in the index " + index.entry.name);
  }
  return true;
}

bool goes_behind(Cursor &cursor, std::string_view first) {
  MDB_val key, value;
  return !cursor.move(key, value, MDB_LAST) || view(key) < first;
}

void put_entries(MDB_txn *txn, const OpenTable &table, const OpenIndex &index, std::vector<IndexPair> &pairs) {
  if (pairs.empty()) return;
  if (!std::is_sorted(pairs.begin(), pairs.end(), before)) std::sort(pairs.begin(), pairs.end(), before);
  Cursor cursor(txn, index.dbi);
  const bool append = goes_behind(cursor, pairs.front().key);
  const IndexPair *last = nullptr;
  for (const IndexPair &pair : pairs) {
    const bool again = last != nullptr && last->key == pair.key;
    if (again && index.entry.unique) fail_unique(table, index, pair, last->record);
    unsigned flags = index.entry.unique ? MDB_NOOVERWRITE : 0;
    if (append) flags = again ? MDB_APPENDDUP : MDB_APPEND;
    MDB_val key = value_of(pair.key), value = value_of(pair.record);
    const int code = mdb_cursor_put(cursor, &key, &value, flags);
    if (code == MDB_KEYEXIST && index.entry.unique) fail_unique(table, index, pair, view(value));
    if (code != 0) fail_by_lmdb(code, "write to the index " + name_of(table, index));
    last = &pair;
  }
}

void remove_entry(MDB_txn *txn, const OpenTable &table, const OpenIndex &index, const IndexPair &pair) {
  std::string_view there;
  MDB_val key = value_of(pair.key), value = value_of(pair.record);
  // Of a unique index LMDB would remove the entry whatever its value is.
  const bool wrong = index.entry.unique && (!get(txn, index.dbi, pair.key, &there) || there != pair.record);
  const int code = wrong ? MDB_NOTFOUND : mdb_del(txn, index.dbi, &key, &value);
  if (code == MDB_NOTFOUND)
    fail(FLATDB_BAD_TABLE, "the index " + name_of(table, index) + " lacks the entry " + index.entry.key.text(pair.key) +
                               " of the record " + table.entry().key.text(pair.record) +
                               ": make it anew by flatdb reindex");
  if (code != 0) fail_by_lmdb(code, "remove from the index " + name_of(table, index));
}

}  // namespace flatdb
