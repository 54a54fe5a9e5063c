/* Import: a file's records into a table, each transaction with how far it came. While one batch is stored, the next is
 * parsed. */
#include "batch.h"

#include <algorithm>
#include <chrono>
#include <future>
#include <numeric>

#include "index_entries.h"
#include "meter.h"

namespace flatdb {
namespace {

constexpr char UNIQUE[] = " unique";

/* "name=expression", "name=expression unique". */
IndexEntry parse_index(const flatdb_schema &schema, std::string_view text) {
  const size_t equals = text.find('=');
  if (equals == std::string_view::npos)
    fail(FLATDB_BAD_ARGUMENT, "an index is given as name=expression, not \"" + std::string(text) + "\"");
  IndexEntry index;
  index.name = text.substr(0, equals);
  check_name(index.name, "an index");
  text.remove_prefix(equals + 1);
  const size_t plain = text.size() - std::min(text.size(), sizeof UNIQUE - 1);
  index.unique = text.substr(plain) == UNIQUE;
  const Expression key(schema, index.unique ? text.substr(0, plain) : text);
  index.key = key.codec();
  index.fields = key.fields();
  return index;
}

std::vector<IndexEntry> parse_indexes(const flatdb_schema &schema, const char *const *texts) {
  std::vector<IndexEntry> indexes;
  for (; texts != nullptr && *texts != nullptr; ++texts) indexes.push_back(parse_index(schema, *texts));
  std::sort(indexes.begin(), indexes.end(), [](const auto &a, const auto &b) { return a.name < b.name; });
  for (size_t i = 1; i < indexes.size(); i++)
    if (indexes[i].name == indexes[i - 1].name)
      fail(FLATDB_BAD_ARGUMENT, "the index " + indexes[i].name + " is given twice");
  return indexes;
}

/* What a key is made of, where the caller says it or a new table's schema does. */
void set_key(const flatdb_schema &schema, const char *text, TableEntry &entry) {
  std::string of_schema;
  for (const Field &field : schema.root->fields)
    if (field.key) of_schema = field.name;
  const std::string expression = text != nullptr ? text : of_schema;
  entry.key = KeyCodec({KeyType::UInt64});
  entry.fields.emplace();
  if (expression.empty()) return;
  const Expression key(schema, expression);
  entry.key = key.codec();
  entry.fields = key.fields();
}

std::string key_text(const TableEntry &entry) {
  return entry.fields ? expression_text(entry.key, *entry.fields) : entry.key.name() + ", given apart";
}

std::string indexes_text(const std::vector<IndexEntry> &indexes) {
  std::string text;
  for (const IndexEntry &index : indexes) text += (text.empty() ? "" : "; ") + index_text(index);
  return text.empty() ? "none" : text;
}

class Import {
 public:
  Import(MDB_env *env, const flatdb_import_options &options, flatdb_counts *counts)
      : env_(env), options_(options), file_(options.file), meter_(counts, options.progress, options.context) {}

  void run();

 private:
  struct Tally {
    uint64_t records = 0, replaced = 0, kept = 0;
  };

  void prepare();
  void prepare_new(MDB_txn *txn);
  void prepare_existing(const Catalog &catalog, const TableEntry &there);
  void check_fields(const std::vector<std::string> &fields) const;
  void find_start(const Catalog &catalog);
  bool remembers() const { return file_.state().regular; }

  void store(const Batch &batch);
  OpenTable open(MDB_txn *txn, Catalog &catalog);
  Tally store_records(MDB_txn *txn, const OpenTable &table, const Batch &batch);
  bool meet(MDB_txn *txn, const OpenTable &table, const Batch &batch, size_t record, const IndexPair &old,
            std::vector<bool> &indexed);
  std::vector<std::string_view> keys(MDB_txn *txn, const OpenTable &table, const Batch &batch, std::string &numbers);

  MDB_env *env_;
  const flatdb_import_options &options_;
  InputFile file_;
  Meter meter_;

  SchemaPointer stored_{nullptr, flatdb_schema_free};
  const flatdb_schema *schema_ = nullptr;
  std::string before_;         // the catalog's entry as it is; empty: there is none
  TableEntry entry_;           // as it is to be
  bool new_schema_ = false;    // which the catalog does not have yet
  KeyPlan plan_;
  std::optional<ImportState> state_;  // as the catalog has it
  ImportState done_;
};

void Import::run() {
  prepare();
  BatchReader::Limits limits;
  if (options_.batch != 0) limits.records = static_cast<size_t>(std::min<uint64_t>(options_.batch, UINT32_MAX));
  std::atomic<bool> stop{false};
  BatchReader reader(file_, done_.position, *schema_, plan_, options_.skip_unknown != 0, options_.skip_bad != 0, limits,
                     stop);
  const auto read_ahead = [&reader](Batch spare) {
    return std::async(std::launch::async,
                      [&reader, spare = std::move(spare)]() mutable { return reader.next(std::move(spare)); });
  };
  std::future<Batch> next = read_ahead({});
  struct Stop {  // before the future, which waits for its thread
    std::atomic<bool> &stop;
    ~Stop() { stop = true; }
  } stop_at_end{stop};
  for (Batch batch, spare; !batch.last; std::swap(batch, spare)) {
    while (next.wait_for(std::chrono::milliseconds(50)) != std::future_status::ready) meter_.look();
    spare = next.get();
    if (!spare.last) next = read_ahead(std::move(batch));
    store(spare);
  }
  meter_.finish();
}

void Import::prepare() {
  check_name(options_.table, "a table");
  if (options_.duplicates > FLATDB_KEEP)
    fail(FLATDB_BAD_ARGUMENT, "duplicates is none of FLATDB_REFUSE, FLATDB_REPLACE, FLATDB_KEEP");
  Transaction txn(env_, MDB_RDONLY);
  const Catalog catalog(txn, false);
  if (const std::optional<TableEntry> there = catalog.find(options_.table)) {
    prepare_existing(catalog, *there);
  } else {
    prepare_new(txn);
  }
  if (entry_.numbered()) {
    const std::vector<KeyType> &parts = entry_.key.parts();
    if (parts.size() != 1 || key_form(parts[0]).kind != KeyKind::Unsigned)
      fail(FLATDB_BAD_TABLE, "the records of " + entry_.name + " are numbered, which keys of the codec " +
                                 entry_.key.name() + " cannot be");
  } else {
    plan_.key.emplace(*schema_, entry_.key, *entry_.fields);
  }
  for (const IndexEntry &index : entry_.indexes)
    plan_.indexes.push_back({index, 0, Expression(*schema_, index.key, index.fields)});
  plan_.max_key_size = static_cast<size_t>(mdb_env_get_maxkeysize(env_));
  find_start(catalog);
}

void Import::prepare_new(MDB_txn *txn) {
  if (options_.schema == nullptr)
    fail(FLATDB_BAD_TABLE,
         std::string("there is no table ") + options_.table + " yet: give the schema that its records are of");
  MDB_dbi dbi;
  if (open_database(txn, options_.table, 0, &dbi))
    fail(FLATDB_BAD_TABLE,
         std::string("there is a database ") + options_.table + " that is no table: choose another name");
  schema_ = options_.schema;
  entry_.name = options_.table;
  entry_.root = schema_->root->name;
  entry_.schema = 1;
  entry_.indexes = parse_indexes(*schema_, options_.indexes);
  set_key(*schema_, options_.key, entry_);
  new_schema_ = true;
}

void Import::prepare_existing(const Catalog &catalog, const TableEntry &there) {
  const std::string table = "the table " + there.name;
  stored_ = catalog.schema(there);
  schema_ = stored_.get();
  before_ = write_entry(there);
  entry_ = there;
  for (const IndexEntry &index : there.indexes)
    if (!index.function.empty())
      fail(FLATDB_BAD_TABLE, "the index " + index_database(there.name, index.name) + " is made by Python's " +
                                 index.function + ": write to this table by lmdb_bindings.tables");
  if (!there.fields)
    fail(FLATDB_BAD_TABLE,
         "keys of " + table + " are given apart from the records: write to it by lmdb_bindings.tables");
  if (options_.schema != nullptr && options_.schema->binary != stored_->binary) {
    const std::string root = options_.schema->root->name;
    if (root != there.root)
      fail(FLATDB_NOT_CONFORM, table + " has records of " + there.root + ", and the schema's root is " + root);
    flatdb_error error;
    if (flatdb_schema_conform(options_.schema, stored_.get(), &error) != 0)
      fail(error.code, table + " has a schema of version " + std::to_string(there.schema) +
                           ", which the new one breaks: " + error.text);
    schema_ = options_.schema;
    entry_.schema = there.schema + 1;
    new_schema_ = true;
    check_fields(there.fields.value());
    for (const IndexEntry &index : there.indexes) check_fields(index.fields);
  }
  if (options_.key != nullptr) {
    TableEntry asked;
    set_key(*schema_, options_.key, asked);
    if (asked.key != there.key || asked.fields != there.fields)
      fail(FLATDB_BAD_TABLE, "the key of " + table + " is " + key_text(there) + ", and not " + key_text(asked));
  }
  if (options_.indexes != nullptr) {
    const std::string asked = indexes_text(parse_indexes(*schema_, options_.indexes));
    if (asked != indexes_text(there.indexes))
      fail(FLATDB_BAD_TABLE,
           "the indexes of " + table + " are: " + indexes_text(there.indexes) + "; and not: " + asked);
  }
}

/* Whether the new schema still has the fields of a key: the keys of older records are made of them, and stay. */
void Import::check_fields(const std::vector<std::string> &fields) const {
  for (const std::string &field : fields)
    for (const Field *part : find_path(*schema_->root, field))
      if (part->deprecated)
        fail(FLATDB_NOT_CONFORM, "the new schema has the field " + field + " as deprecated, but the key of the table " +
                                     entry_.name + ", or of an index of it, is made of it");
}

/* Where an interrupted import of this file stopped, or its beginning. */
void Import::find_start(const Catalog &catalog) {
  done_.size = file_.state().size;
  done_.mtime = file_.state().mtime;
  meter_->total = done_.size;
  if (!remembers()) return;
  const size_t key_size = entry_.name.size() + 1 + file_.absolute().size();
  if (key_size > plan_.max_key_size)
    fail(FLATDB_BAD_ARGUMENT, "the path of " + file_.name() + " is too long for the catalog, which has " +
                                  std::to_string(plan_.max_key_size - entry_.name.size() - 1) +
                                  " bytes for it: link the file to a shorter path, or give it as standard input");
  state_ = catalog.import_state(entry_.name, file_.absolute());
  if (!state_ || options_.restart) return;
  if (state_->size != done_.size || state_->mtime != done_.mtime)
    fail(FLATDB_BAD_ARGUMENT,
         file_.name() + " has changed since its import was interrupted, when " + std::to_string(state_->records) +
             " records were stored: import it from its beginning " +
             "(--restart), and say what becomes of those records (--on-duplicate replace or keep)");
  done_ = *state_;
  file_.seek(done_.position.offset);
  meter_->bytes = done_.position.offset;
  meter_->resumed = done_.records;
}

void Import::store(const Batch &batch) {
  Tally tally;
  ImportState after = done_;
  write(env_, [&](MDB_txn *txn) {
    Catalog catalog(txn, true);
    const OpenTable table = open(txn, catalog);
    tally = store_records(txn, table, batch);
    after.position = batch.end;
    after.records = done_.records + tally.records;
    if (!remembers()) return;
    if (batch.last) {
      catalog.remove_import_state(entry_.name, file_.absolute());
    } else {
      catalog.put_import_state(entry_.name, file_.absolute(), after);
    }
  });
  done_ = after;
  if (remembers()) state_ = after;
  before_ = write_entry(entry_);
  new_schema_ = false;
  meter_->records += tally.records;
  meter_->replaced += tally.replaced;
  meter_->kept += tally.kept;
  meter_->bytes = batch.end.offset;
  meter_->bad += batch.problems.size();
  for (const BatchProblem &problem : batch.problems)
    if (options_.problem != nullptr &&
        options_.problem(options_.context, problem.place.c_str(), problem.text.c_str()) != 0)
      fail(FLATDB_STOPPED, "stopped by the caller");
  if (!batch.last) meter_.look();
}

/* The table in a transaction, if nobody else has changed what the records before relied on. */
OpenTable Import::open(MDB_txn *txn, Catalog &catalog) {
  const std::optional<TableEntry> there = catalog.find(entry_.name);
  if ((there ? write_entry(*there) : "") != before_)
    fail(FLATDB_BAD_TABLE,
         "the table " + entry_.name + " was changed by somebody else during the import: start it once more");
  if (remembers()) {
    const std::optional<ImportState> state = catalog.import_state(entry_.name, file_.absolute());
    if (state.has_value() != state_.has_value() || (state && state->position.offset != state_->position.offset))
      fail(FLATDB_BAD_TABLE, "another import of " + file_.name() + " to this table is at work: wait for its end");
  }
  if (new_schema_) catalog.put_schema(entry_, schema_->binary);
  if (write_entry(entry_) != before_) catalog.put(entry_);
  return OpenTable(txn, entry_, *schema_, there ? Missing::Refuse : Missing::MakeAll);
}

/* The records' keys; those of numbered records are made here, behind the last that the table has. */
std::vector<std::string_view> Import::keys(MDB_txn *txn, const OpenTable &table, const Batch &batch,
                                           std::string &numbers) {
  std::vector<std::string_view> keys;
  keys.reserve(batch.records.size());
  if (!entry_.numbered()) {
    for (const BatchRecord &record : batch.records) keys.push_back(batch.view(record.key));
    return keys;
  }
  const KeyType type = entry_.key.parts()[0];
  const size_t size = key_form(type).size;
  uint64_t number = 0;
  Cursor cursor(txn, table.records());
  MDB_val key, value;
  if (cursor.move(key, value, MDB_LAST)) {
    std::vector<KeyValue> values;
    if (!entry_.key.decode(view(key), values))
      fail(FLATDB_BAD_TABLE, "the last key of " + entry_.name + ", " + entry_.key.text(view(key)) + ", is no number");
    number = values[0].integer;
    if (batch.records.size() > UINT64_MAX - number)  // or they would begin at 0 again
      fail(FLATDB_BAD_KEY,
           "there are no numbers left in the table " + entry_.name + " behind " + std::to_string(number));
  }
  for (size_t i = 0; i < batch.records.size(); i++) append_unsigned(numbers, type, ++number);
  for (size_t i = 0; i < batch.records.size(); i++) keys.push_back(std::string_view(numbers).substr(i * size, size));
  return keys;
}

Import::Tally Import::store_records(MDB_txn *txn, const OpenTable &table, const Batch &batch) {
  Tally tally;
  if (batch.records.empty()) return tally;
  std::string numbers;
  const std::vector<std::string_view> keys = this->keys(txn, table, batch, numbers);
  std::vector<uint32_t> order(keys.size());
  std::iota(order.begin(), order.end(), 0U);
  const auto before = [&keys](uint32_t a, uint32_t b) { return keys[a] < keys[b]; };
  if (!std::is_sorted(order.begin(), order.end(), before)) std::stable_sort(order.begin(), order.end(), before);

  Cursor cursor(txn, table.records());
  const bool append = goes_behind(cursor, keys[order[0]]);
  const size_t count = table.indexes().size();
  std::vector<bool> indexed(batch.records.size() * count, false);  // which entries are to be put
  for (size_t i = 0; i < order.size();) {
    // Records of the same key, in the order of the file: the first or the last of them counts.
    size_t end = i + 1;
    while (end < order.size() && keys[order[end]] == keys[order[i]]) end++;
    const size_t same = end - i, record = order[options_.duplicates == FLATDB_REPLACE ? end - 1 : i];
    if (same > 1 && options_.duplicates == FLATDB_REFUSE) {
      const BatchRecord &first = batch.records[order[i]], &second = batch.records[order[i + 1]];
      fail(FLATDB_BAD_KEY, json_place(file_.name(), second.line, second.offset) + ": the key " +
                               entry_.key.text(keys[record]) + " is that of line " + std::to_string(first.line) +
                               " too (--on-duplicate replace or keep takes one of them)");
    }
    i = end;
    for (size_t index = 0; index < count; index++)
      indexed[record * count + index] = batch.entries[record * count + index].size != 0;
    MDB_val key = value_of(keys[record]), value = value_of(batch.view(batch.records[record].value));
    int code = mdb_cursor_put(cursor, &key, &value, append ? MDB_APPEND : MDB_NOOVERWRITE);
    const bool there = code == MDB_KEYEXIST;
    if (there && meet(txn, table, batch, record, {keys[record], view(value)}, indexed)) {
      value = value_of(batch.view(batch.records[record].value));
      code = mdb_put(txn, table.records(), &key, &value, 0);
    } else if (there) {
      code = 0;
    }
    if (code != 0) fail_by_lmdb(code, "store a record");
    const bool keep = options_.duplicates == FLATDB_KEEP;
    tally.records += keep ? 1 - there : same;
    tally.kept += keep ? same - 1 + there : 0;
    tally.replaced += keep ? 0 : same - 1 + there;
    meter_.tick();
  }
  std::vector<IndexPair> pairs;
  for (size_t index = 0; index < count; index++) {
    pairs.clear();
    for (size_t record = 0; record < keys.size(); record++) {
      const size_t at = record * count + index;
      if (indexed[at]) pairs.push_back({batch.view(batch.entries[at]), keys[record]});
    }
    put_entries(txn, table, table.indexes()[index], pairs);
  }
  return tally;
}

/* There is a record of this key (`old`: key and record): whether the new one replaces it. Its entries go then, except
 * those that the new one has too, which are not to be put. */
bool Import::meet(MDB_txn *txn, const OpenTable &table, const Batch &batch, size_t record, const IndexPair &old,
                  std::vector<bool> &indexed) {
  const size_t count = table.indexes().size();
  if (options_.duplicates == FLATDB_REFUSE) {
    const BatchRecord &place = batch.records[record];
    fail(FLATDB_BAD_KEY, json_place(file_.name(), place.line, place.offset) + ": the table " + entry_.name +
                             " has a record of the key " + entry_.key.text(old.key) +
                             " already (--on-duplicate replace or keep takes one of them)");
  }
  if (options_.duplicates == FLATDB_KEEP) {
    for (size_t index = 0; index < count; index++) indexed[record * count + index] = false;
    return false;
  }
  if (count == 0) return true;
  table.check_record(old.key, old.record);
  // All keys before anything is removed: what LMDB has given may move when it writes.
  std::vector<std::string> old_keys(count);
  for (size_t index = 0; index < count; index++)
    append_index_key(table.indexes()[index], bytes_of(old.record), plan_.max_key_size, old_keys[index]);
  for (size_t index = 0; index < count; index++) {
    const size_t at = record * count + index;
    if (old_keys[index] == batch.view(batch.entries[at])) {
      indexed[at] = false;
    } else if (!old_keys[index].empty()) {
      remove_entry(txn, table, table.indexes()[index], {old_keys[index], old.key});
    }
  }
  return true;
}

}  // namespace
}  // namespace flatdb

int flatdb_import(MDB_env *env, const flatdb_import_options *options, flatdb_counts *counts, flatdb_error *error) {
  return flatdb::guarded(error, [&] {
    if (env == nullptr || options == nullptr || options->table == nullptr || options->file == nullptr)
      flatdb::fail(FLATDB_BAD_ARGUMENT, "flatdb_import needs an environment, a table and a file");
    flatdb::Import(env, *options, counts).run();
  });
}
