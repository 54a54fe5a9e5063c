/* What tables there are, and how large they are, as JSON. */
#include "catalog.h"

#include "json_value.h"

namespace flatdb {
namespace {

uint64_t bytes_of(const MDB_stat &stat) {
  return (uint64_t{stat.ms_branch_pages} + stat.ms_leaf_pages + stat.ms_overflow_pages) * stat.ms_psize;
}

/* "records", and the size of the database; of one that the catalog has and LMDB has not, null. */
std::string sizes_json(MDB_txn *txn, const std::string &database) {
  MDB_dbi dbi;
  if (!open_database(txn, database, 0, &dbi)) return "\"records\": null, \"bytes\": null, \"depth\": null";
  const MDB_stat stat = statistics(txn, dbi);
  return "\"records\": " + std::to_string(stat.ms_entries) + ", \"bytes\": " + std::to_string(bytes_of(stat)) +
         ", \"depth\": " + std::to_string(stat.ms_depth);
}

std::string quoted(const std::string &string) {
  std::string text;
  append_json(text, string);
  return text;
}

std::string fields_json(const std::vector<std::string> &fields) {
  std::string text;
  for (const std::string &field : fields) text += (text.empty() ? "" : ", ") + quoted(field);
  return "[" + text + "]";
}

std::string index_json(MDB_txn *txn, const TableEntry &table, const IndexEntry &index) {
  const std::string of =
      index.function.empty() ? "\"fields\": " + fields_json(index.fields) : "\"function\": " + quoted(index.function);
  return quoted(index.name) + ": {\"key\": " + quoted(index.key.name()) + ", " + of +
         ", \"unique\": " + (index.unique ? "true" : "false") + ", " +
         sizes_json(txn, index_database(table.name, index.name)) + "}";
}

std::string table_json(MDB_txn *txn, const TableEntry &table) {
  std::string text = "{\"name\": " + quoted(table.name) + ", \"key\": " + quoted(table.key.name()) +
                     ", \"fields\": " + (table.fields ? fields_json(*table.fields) : "null") +
                     ", \"value\": " + quoted(table.value);
  if (table.value == "flatbuffers")
    text += ", \"root\": " + quoted(table.root) + ", \"schema\": " + std::to_string(table.schema);
  if (!table.type.empty()) text += ", \"type\": " + quoted(table.type);
  text += ", " + sizes_json(txn, table.name) + ", \"indexes\": {";
  for (const IndexEntry &index : table.indexes)
    text += (&index == &table.indexes.front() ? "" : ", ") + index_json(txn, table, index);
  return text + "}}";
}

std::string stat_json(MDB_env *env, const char *table) {
  Transaction txn(env, MDB_RDONLY);
  const Catalog catalog(txn, false);
  if (table != nullptr) return table_json(txn, catalog.at(table));
  std::string text;
  for (const std::string &name : catalog.tables())
    text += (text.empty() ? "" : ", ") + table_json(txn, catalog.at(name));
  return "[" + text + "]";
}

}  // namespace
}  // namespace flatdb

using namespace flatdb;

int flatdb_stat(MDB_env *env, const char *table, flatdb_bytes *json, flatdb_error *error) {
  return guarded(error, [&] {
    if (env == nullptr || json == nullptr)
      fail(FLATDB_BAD_ARGUMENT, "flatdb_stat needs an environment, and a place for the text");
    *json = {};
    const std::string text = stat_json(env, table);
    *json = copy_out(text.data(), text.size());
  });
}
