/* Check: every record by the schema, its key by its fields, and every index by the records, both ways. And an index
 * made anew from the records. */
#include "table.h"

#include <vector>

#include "index_entries.h"
#include "meter.h"

namespace flatdb {
namespace {

class Check {
 public:
  Check(MDB_env *env, const std::string &table, flatdb_progress *progress, flatdb_problem *problem, void *context,
        flatdb_counts *counts)
      : txn_(env, MDB_RDONLY),
        table_(txn_, table),
        meter_(counts, progress, context),
        problem_(problem),
        context_(context),
        max_key_size_(static_cast<size_t>(mdb_env_get_maxkeysize(env))),
        expected_(table_.indexes().size()),
        good_(table_.indexes().size()) {}

  void run();

 private:
  void check_record(std::string_view key, std::string_view record);
  void check_key(std::string_view key, Bytes record);
  void check_entry(size_t index, std::string_view key, Bytes record);
  void check_index(const OpenIndex &index);
  void tell(std::string_view key, const std::string &text);

  std::string text(std::string_view key) const { return table_.entry().key.text(key); }

  Transaction txn_;
  OpenTable table_;
  Meter meter_;
  flatdb_problem *problem_;
  void *context_;
  size_t max_key_size_;
  std::vector<uint64_t> expected_, good_;  // entries of each index: that the records make, and that are there
  std::string made_;                       // a key, whose memory is used again
};

void Check::run() {
  Cursor cursor(txn_, table_.records());
  MDB_val key, record;
  for (bool more = cursor.move(key, record, MDB_FIRST); more; more = cursor.move(key, record, MDB_NEXT)) {
    meter_->records++;
    meter_->bytes += key.mv_size + record.mv_size;
    check_record(view(key), view(record));
    meter_.tick();
  }
  for (size_t i = 0; i < table_.indexes().size(); i++) {
    const OpenIndex &index = table_.indexes()[i];
    // Where every entry that should be there is, and there are no more of them, there is none that should not be.
    if (!index.key || good_[i] != expected_[i] || statistics(txn_, index.dbi).ms_entries != expected_[i])
      check_index(index);
  }
  meter_.finish();
}

void Check::tell(std::string_view key, const std::string &what) {
  meter_->bad++;
  if (problem_ != nullptr && problem_(context_, text(key).c_str(), what.c_str()) != 0)
    fail(FLATDB_STOPPED, "stopped by the caller");
}

void Check::check_record(std::string_view key, std::string_view record) {
  try {
    verify(table_.schema(), bytes_of(record));
  } catch (const Failure &failure) {
    if (failure.code() != FLATDB_BAD_RECORD) throw;
    return tell(key, failure.text());  // and nothing is to be learned from its fields
  }
  check_key(key, bytes_of(record));
  for (size_t i = 0; i < table_.indexes().size(); i++)
    if (table_.indexes()[i].key) check_entry(i, key, bytes_of(record));
}

void Check::check_key(std::string_view key, Bytes record) {
  std::vector<KeyValue> values;
  if (!table_.entry().key.decode(key, values))
    return tell(key, "the key is not of the codec " + table_.entry().key.name());
  if (!table_.key()) return;
  made_.clear();
  try {
    if (!table_.key()->append_key(record, made_)) return tell(key, "the record lacks a field that its key is made of");
  } catch (const Failure &failure) {
    if (failure.code() != FLATDB_BAD_KEY) throw;
    return tell(key, "no key can be made of the record: " + failure.text());
  }
  if (made_ != key) tell(key, "the key that the record's fields make is another: " + text(made_));
}

void Check::check_entry(size_t i, std::string_view key, Bytes record) {
  const OpenIndex &index = table_.indexes()[i];
  made_.clear();
  try {
    if (!append_index_key(index, record, max_key_size_, made_)) return;
  } catch (const Failure &failure) {
    if (failure.code() != FLATDB_BAD_KEY) throw;
    return tell(key, "no key of the index " + index.entry.name + " can be made of the record: " + failure.text());
  }
  expected_[i]++;
  bool there;
  if (index.entry.unique) {
    std::string_view found_key;
    there = get(txn_, index.dbi, made_, &found_key) && found_key == key;
  } else {
    Cursor cursor(txn_, index.dbi);
    MDB_val name = value_of(made_), value = value_of(key);
    there = key.size() <= max_key_size_ && cursor.move(name, value, MDB_GET_BOTH);
  }
  if (there) {
    good_[i]++;
  } else {
    tell(key, "the index " + index.entry.name + " lacks its entry " + index.entry.key.text(made_));
  }
}

/* Every entry of an index: whether its record is there, and makes this entry. */
void Check::check_index(const OpenIndex &index) {
  Cursor cursor(txn_, index.dbi);
  MDB_val key, record_key;
  for (bool more = cursor.move(key, record_key, MDB_FIRST); more; more = cursor.move(key, record_key, MDB_NEXT)) {
    meter_.tick();
    const std::string entry = "the index " + index.entry.name + " has the entry " + index.entry.key.text(view(key));
    std::string_view record;
    if (!get(txn_, table_.records(), view(record_key), &record)) {
      tell(view(record_key), entry + " of this record, which is not there");
      continue;
    }
    if (!index.key) continue;
    made_.clear();
    try {
      verify(table_.schema(), bytes_of(record));
      if (append_index_key(index, bytes_of(record), max_key_size_, made_) && made_ == view(key)) continue;
    } catch (const Failure &failure) {
      // That was told when the record itself was looked at.
      if (failure.code() == FLATDB_BAD_RECORD || failure.code() == FLATDB_BAD_KEY) continue;
      throw;
    }
    tell(view(record_key), entry + " of this record, whose fields make " +
                               (made_.empty() ? "none" : index.entry.key.text(made_)));
  }
}

// --- an index anew ---------------------------------------------------------------------------------------------------

constexpr size_t MOST_BYTES = size_t{64} << 20;  // of keys that are sorted at a time

/* Keys of an index and of records, as many as are put at once. */
class Gathered {
 public:
  std::string &bytes() { return bytes_; }

  void add(size_t index_key, size_t record_key) { places_.push_back({index_key, record_key, bytes_.size()}); }

  void put(MDB_txn *txn, const OpenTable &table, const OpenIndex &index) {
    const std::string_view bytes = bytes_;
    std::vector<IndexPair> pairs;
    pairs.reserve(places_.size());
    for (const Place &place : places_)
      pairs.push_back({bytes.substr(place.index_key, place.record_key - place.index_key),
                       bytes.substr(place.record_key, place.end - place.record_key)});
    put_entries(txn, table, index, pairs);
    bytes_.clear();
    places_.clear();
  }

 private:
  struct Place {
    size_t index_key, record_key, end;
  };

  std::string bytes_;
  std::vector<Place> places_;
};

void make_anew(MDB_txn *txn, const OpenTable &table, const OpenIndex &index, size_t max_key_size, Meter &meter) {
  if (!index.key)
    fail(FLATDB_BAD_TABLE, "the index " + index_database(table.entry().name, index.entry.name) +
                               " is made by Python's " + index.entry.function +
                               ": make it anew by lmdb_bindings.tables");
  check_lmdb(mdb_drop(txn, index.dbi, 0), "empty the index");
  Gathered gathered;
  Cursor cursor(txn, table.records());
  MDB_val key, record;
  for (bool more = cursor.move(key, record, MDB_FIRST); more; more = cursor.move(key, record, MDB_NEXT)) {
    table.check_record(view(key), view(record));
    std::string &bytes = gathered.bytes();
    const size_t begin = bytes.size();
    if (append_index_key(index, bytes_of(view(record)), max_key_size, bytes)) {
      const size_t middle = bytes.size();
      bytes += view(key);
      gathered.add(begin, middle);
    }
    meter->records++;
    meter->bytes += record.mv_size;
    meter.tick();
    if (bytes.size() >= MOST_BYTES) gathered.put(txn, table, index);
  }
  gathered.put(txn, table, index);
}

void reindex(MDB_env *env, const std::string &name, const char *index, Meter &meter) {
  const auto max_key_size = static_cast<size_t>(mdb_env_get_maxkeysize(env));
  write(env, [&](MDB_txn *txn) {
    meter->records = meter->bytes = 0;  // the map was full: from the beginning
    const OpenTable table(txn, name);
    if (index != nullptr) return make_anew(txn, table, table.index(index), max_key_size, meter);
    for (const OpenIndex &each : table.indexes()) make_anew(txn, table, each, max_key_size, meter);
  });
  meter.finish();
}

}  // namespace
}  // namespace flatdb

using namespace flatdb;

int flatdb_check(MDB_env *env, const char *table, flatdb_progress *progress, flatdb_problem *problem, void *context,
                 flatdb_counts *counts, flatdb_error *error) {
  return guarded(error, [&] {
    if (env == nullptr || table == nullptr) fail(FLATDB_BAD_ARGUMENT, "flatdb_check needs an environment and a table");
    Check(env, table, progress, problem, context, counts).run();
  });
}

int flatdb_reindex(MDB_env *env, const char *table, const char *index, flatdb_progress *progress, void *context,
                   flatdb_counts *counts, flatdb_error *error) {
  return guarded(error, [&] {
    if (env == nullptr || table == nullptr)
      fail(FLATDB_BAD_ARGUMENT, "flatdb_reindex needs an environment and a table");
    Meter meter(counts, progress, context);
    reindex(env, table, index, meter);
  });
}
