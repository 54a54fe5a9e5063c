/* The catalog, the named database __tables__: what tables there are, their schemas by version, and how far interrupted
 * imports came. See docs/tables.md. */
#ifndef FLATDB_CATALOG_H
#define FLATDB_CATALOG_H

#include "schema.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "environment.h"
#include "json_stream.h"
#include "keys.h"

namespace flatdb {

struct IndexEntry {
  std::string name;
  KeyCodec key;
  std::vector<std::string> fields;
  std::string function;  // "module:name" where Python computes the key; `fields` is then empty
  bool unique = false;
};

struct TableEntry {
  std::string name;
  KeyCodec key;
  std::optional<std::vector<std::string>> fields;  // none: keys are given apart; empty: numbers
  std::string value = "flatbuffers";
  std::string root;      // of FlatBuffers
  uint32_t schema = 0;   // of FlatBuffers: the newest version, from 1
  std::string type;      // of numpy and dataclass
  std::vector<IndexEntry> indexes;  // by name

  bool numbered() const { return fields && fields->empty(); }
  const IndexEntry *index(std::string_view index_name) const;
};

std::string index_database(const std::string &table, const std::string &index);

/* The index's name, as in a message: "by_name (unique): name:string". */
std::string index_text(const IndexEntry &index);

/* A name that tables and indexes can have; FLATDB_BAD_ARGUMENT says why not. */
void check_name(std::string_view name, const char *what);

/* An entry from JSON, and as JSON; FLATDB_BAD_TABLE names what is not known. */
TableEntry read_entry(const std::string &name, std::string_view json);
std::string write_entry(const TableEntry &entry);

/* How far an import came, and what its file was like then. */
struct ImportState {
  JsonPosition position;
  uint64_t records = 0;  // stored
  uint64_t size = 0;     // of the file, in bytes
  int64_t mtime = 0;     // of the file, in nanoseconds since 1970
};

using SchemaPointer = std::unique_ptr<flatdb_schema, void (*)(flatdb_schema *)>;

class Catalog {
 public:
  /* Where there is none, it is empty, or made. */
  Catalog(MDB_txn *txn, bool make);

  std::vector<std::string> tables() const;
  std::optional<TableEntry> find(const std::string &name) const;
  /* FLATDB_BAD_TABLE where there is no such table. */
  TableEntry at(const std::string &name) const;
  void put(const TableEntry &entry);

  /* The schema of a version. */
  SchemaPointer schema(const TableEntry &entry) const;
  void put_schema(const TableEntry &entry, std::string_view binary);

  std::optional<ImportState> import_state(const std::string &table, const std::string &file) const;
  void put_import_state(const std::string &table, const std::string &file, const ImportState &state);
  void remove_import_state(const std::string &table, const std::string &file);

 private:
  void put(const std::string &key, std::string_view value);

  MDB_txn *txn_;
  MDB_dbi dbi_ = 0;
  bool exists_;
};

}  // namespace flatdb

#endif
