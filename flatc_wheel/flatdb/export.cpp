/* Export, and the record of one key: records as JSON, by key or by an index. */
#include "table.h"

#include "files.h"
#include "json.h"
#include "meter.h"

namespace flatdb {
namespace {

constexpr size_t BLOCK = size_t{1} << 20;  // bytes written at a time

/* Which keys, and in which order: those of the table, or of one of its indexes. */
class Walk {
 public:
  Walk(MDB_txn *txn, const OpenTable &table, const char *index)
      : txn_(txn), table_(table), index_(index != nullptr ? &table.index(index) : nullptr),
        cursor_(txn, index_ != nullptr ? index_->dbi : table.records()) {}

  const KeyCodec &codec() const { return index_ != nullptr ? index_->entry.key : table_.entry().key; }

  /* To the first at or behind `lower` (empty: of all), and to the one behind; false where there is none. */
  bool first(const std::string &lower) {
    if (lower.empty()) return cursor_.move(key_, value_, MDB_FIRST);
    key_ = value_of(lower);
    return cursor_.move(key_, value_, MDB_SET_RANGE);
  }
  bool next() { return cursor_.move(key_, value_, MDB_NEXT); }

  std::string_view key() const { return view(key_); }

  /* The record itself, verified. */
  std::string_view record() {
    std::string_view key = view(key_), record = view(value_);
    if (index_ != nullptr) {
      key = view(value_);
      if (!get(txn_, table_.records(), key, &record))
        fail(FLATDB_BAD_TABLE, "the index " + index_database(table_.entry().name, index_->entry.name) +
                                   " has the record " + table_.entry().key.text(key) +
                                   ", which is not there: make the index anew by flatdb reindex");
    }
    table_.check_record(key, record);
    return record;
  }

 private:
  MDB_txn *txn_;
  const OpenTable &table_;
  const OpenIndex *index_;
  Cursor cursor_;
  MDB_val key_{}, value_{};
};

void export_table(MDB_env *env, const flatdb_export_options &options, flatdb_counts *counts) {
  Meter meter(counts, options.progress, options.context);
  Transaction txn(env, MDB_RDONLY);
  const OpenTable table(txn, options.table);
  Walk walk(txn, table, options.index);
  const std::string lower = walk.codec().bound(options.lower != nullptr ? options.lower : "");
  const std::string upper = walk.codec().bound(options.upper != nullptr ? options.upper : "");
  OutputFile file(options.file);
  std::string text = options.array ? "[\n" : "";
  const auto write = [&] {
    file.write(text.data(), text.size());
    meter->bytes += text.size();
    text.clear();
  };
  const uint64_t limit = options.limit != 0 ? options.limit : UINT64_MAX;
  for (bool more = walk.first(lower); more && meter->records < limit; more = walk.next()) {
    if (options.upper != nullptr && walk.key() >= upper) break;
    if (options.array && meter->records != 0) text += ",\n";
    write_json(table.schema(), bytes_of(walk.record()), text);
    if (!options.array) text.push_back('\n');
    meter->records++;
    if (text.size() >= BLOCK) write();
    meter.tick();
  }
  if (options.array) text += meter->records != 0 ? "\n]\n" : "]\n";
  write();
  file.commit();
  meter.finish();
}

void look_up(MDB_env *env, const std::string &name, const char *index, const char *key_text, flatdb_bytes *json) {
  Transaction txn(env, MDB_RDONLY);
  const OpenTable table(txn, name);
  Walk walk(txn, table, index);
  const std::string key = walk.codec().parse(key_text);
  std::string text;
  if (!key.empty() && key.size() <= static_cast<size_t>(mdb_env_get_maxkeysize(env)))
    for (bool more = walk.first(key); more && walk.key() == key; more = walk.next()) {
      if (!text.empty()) text.push_back('\n');
      write_json(table.schema(), bytes_of(walk.record()), text);
    }
  if (text.empty())
    fail(MDB_NOTFOUND, "there is no record of the key " + std::string(key_text) + " in " +
                           (index != nullptr ? index_database(name, index) : name));
  *json = copy_out(text.data(), text.size());
}

}  // namespace
}  // namespace flatdb

using namespace flatdb;

int flatdb_export(MDB_env *env, const flatdb_export_options *options, flatdb_counts *counts, flatdb_error *error) {
  return guarded(error, [&] {
    if (env == nullptr || options == nullptr || options->table == nullptr || options->file == nullptr)
      fail(FLATDB_BAD_ARGUMENT, "flatdb_export needs an environment, a table and a file");
    export_table(env, *options, counts);
  });
}

int flatdb_lookup(MDB_env *env, const char *table, const char *index, const char *key, flatdb_bytes *json,
                  flatdb_error *error) {
  return guarded(error, [&] {
    if (env == nullptr || table == nullptr || key == nullptr || json == nullptr)
      fail(FLATDB_BAD_ARGUMENT, "flatdb_lookup needs an environment, a table, a key, and a place for the record");
    *json = {};
    look_up(env, table, index, key, json);
  });
}
