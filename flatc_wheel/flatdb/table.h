/* A table as it is opened in a transaction: its entry, its schema, its databases, and what its keys are made of. */
#ifndef FLATDB_TABLE_H
#define FLATDB_TABLE_H

#include "schema.h"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "catalog.h"
#include "environment.h"
#include "expression.h"

namespace flatdb {

struct OpenIndex {
  IndexEntry entry;
  MDB_dbi dbi = 0;
  std::optional<Expression> key;  // none: Python computes it
};

/* What becomes of databases that the catalog has, and LMDB has not. An index that is made must be filled at once: one
 * that is empty beside records would be wrong, and say nothing. */
enum class Missing : uint8_t { Refuse, MakeIndexes, MakeAll };

class OpenTable {
 public:
  /* A table that is there; FLATDB_BAD_TABLE, where it is not or has no FlatBuffers. */
  OpenTable(MDB_txn *txn, const std::string &name, Missing missing = Missing::Refuse);
  /* By an entry, whose records are of a schema that is the caller's. */
  OpenTable(MDB_txn *txn, const TableEntry &entry, const flatdb_schema &schema, Missing missing);

  const TableEntry &entry() const { return entry_; }
  const flatdb_schema &schema() const { return *schema_; }
  MDB_dbi records() const { return records_; }
  /* None: records are numbered, or their keys are given apart. */
  const std::optional<Expression> &key() const { return key_; }
  const std::vector<OpenIndex> &indexes() const { return indexes_; }
  const OpenIndex &index(const std::string &name) const;

  /* Verify a record that was stored; what is wrong is said with its key. */
  void check_record(std::string_view key, std::string_view record) const;

 private:
  void open(MDB_txn *txn, Missing missing);

  TableEntry entry_;
  SchemaPointer owned_{nullptr, flatdb_schema_free};
  const flatdb_schema *schema_;
  MDB_dbi records_ = 0;
  std::optional<Expression> key_;
  std::vector<OpenIndex> indexes_;
};

inline Bytes bytes_of(std::string_view record) {
  return {reinterpret_cast<const uint8_t *>(record.data()), record.size()};
}

}  // namespace flatdb

#endif
