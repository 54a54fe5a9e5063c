#include "table.h"

namespace flatdb {

OpenTable::OpenTable(MDB_txn *txn, const std::string &name) {
  const Catalog catalog(txn, false);
  entry_ = catalog.at(name);
  owned_ = catalog.schema(entry_);
  schema_ = owned_.get();
  open(txn, 0);
}

OpenTable::OpenTable(MDB_txn *txn, const TableEntry &entry, const flatdb_schema &schema)
    : entry_(entry), schema_(&schema) {
  open(txn, MDB_CREATE);
}

void OpenTable::open(MDB_txn *txn, unsigned flags) {
  const auto need = [&](const std::string &name, unsigned more, MDB_dbi *dbi) {
    if (!open_database(txn, name, flags | more, dbi))
      fail(FLATDB_BAD_TABLE, "the catalog has the table " + entry_.name + ", but there is no database " + name);
    unsigned found_flags = 0;
    check_lmdb(mdb_dbi_flags(txn, *dbi, &found_flags), "read the flags of a database");
    if (found_flags != more)
      fail(FLATDB_BAD_TABLE,
           "the database " + name + " has flags (MDB_DUPSORT or others) that it does not have as the catalog says");
  };
  need(entry_.name, 0, &records_);
  if (entry_.fields && !entry_.fields->empty()) key_.emplace(*schema_, entry_.key, *entry_.fields);
  for (const IndexEntry &index : entry_.indexes) {
    OpenIndex &made = indexes_.emplace_back();
    made.entry = index;
    need(index_database(entry_.name, index.name), index.unique ? 0 : MDB_DUPSORT, &made.dbi);
    if (index.function.empty()) made.key.emplace(*schema_, index.key, index.fields);
  }
}

const OpenIndex &OpenTable::index(const std::string &name) const {
  std::string known;
  for (const OpenIndex &index : indexes_) {
    if (index.entry.name == name) return index;
    known += (known.empty() ? "" : ", ") + index.entry.name;
  }
  fail(FLATDB_BAD_TABLE,
       "the table " + entry_.name + " has no index " + name + ": it has " + (known.empty() ? "none" : known));
}

void OpenTable::check_writable() const {
  for (const OpenIndex &index : indexes_)
    if (!index.key)
      fail(FLATDB_BAD_TABLE, "the index " + index_database(entry_.name, index.entry.name) + " is made by Python's " +
                                 index.entry.function + ": write to this table by lmdb_bindings.tables");
}

void OpenTable::check_record(std::string_view key, std::string_view record) const {
  try {
    verify(*schema_, bytes_of(record));
  } catch (const Failure &failure) {
    fail(failure.code(), "the record of the key " + entry_.key.text(key) + ": " + failure.text());
  }
}

}  // namespace flatdb
