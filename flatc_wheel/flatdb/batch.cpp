#include "batch.h"

#include "index_entries.h"

namespace flatdb {
namespace {

bool concerns_one_record(const Failure &failure) {
  return failure.code() == FLATDB_BAD_JSON || failure.code() == FLATDB_BAD_RECORD || failure.code() == FLATDB_BAD_KEY;
}

Part append(std::string &bytes, Bytes more) {
  const size_t at = bytes.size();
  bytes.append(reinterpret_cast<const char *>(more.data), more.size);
  return {at, more.size};
}

}  // namespace

void Batch::clear() {
  bytes.clear();
  records.clear();
  entries.clear();
  problems.clear();
  last = false;
}

BatchReader::BatchReader(InputFile &file, const JsonPosition &from, const flatdb_schema &schema, const KeyPlan &plan,
                         bool skip_unknown, bool skip_bad, Limits limits, const std::atomic<bool> &stop)
    : plan_(plan), skip_bad_(skip_bad), limits_(limits), name_(file.name()),
      stream_(
          [&file, &stop](char *data, size_t size) {
            while (!file.ready(100))
              if (stop) fail(FLATDB_STOPPED, "stopped by the caller");
            return file.read(data, size);
          },
          file.name(), from),
      reader_(schema, skip_unknown) {}

Batch BatchReader::next(Batch batch) {
  batch.clear();
  while (batch.records.size() + batch.problems.size() < limits_.records && batch.bytes.size() < limits_.bytes) {
    JsonValue value{};
    try {
      if (!stream_.next(value)) {
        batch.last = true;
        break;
      }
    } catch (const Failure &failure) {
      if (!skip_bad_ || failure.code() != FLATDB_BAD_JSON || !stream_.skip_line()) throw;
      batch.problems.emplace_back(name_, failure.text());
      continue;
    }
    const size_t bytes = batch.bytes.size(), entries = batch.entries.size();
    try {
      add(batch, value);
    } catch (const Failure &failure) {
      const std::string place = json_place(name_, value.line, value.offset);
      if (!concerns_one_record(failure)) throw;
      if (!skip_bad_) fail(failure.code(), place + ": " + failure.text());
      batch.bytes.resize(bytes);
      batch.entries.resize(entries);
      batch.problems.emplace_back(place, failure.text());
    }
  }
  batch.end = stream_.position();
  return batch;
}

void BatchReader::add(Batch &batch, const JsonValue &value) {
  if (value.data[0] != '{') fail(FLATDB_BAD_JSON, "a record is a JSON object, not " + std::string(value.data, value.size).substr(0, 20));
  const Bytes record = reader_.read(value.data, value.size);
  BatchRecord made;
  made.line = value.line;
  made.offset = value.offset;
  made.value = append(batch.bytes, record);
  if (plan_.key) {
    made.key.at = batch.bytes.size();
    if (!plan_.key->append_key(record, batch.bytes))
      fail(FLATDB_BAD_KEY, "the record lacks a field that its key is made of: " +
                               expression_text(plan_.key->codec(), plan_.key->fields()));
    made.key.size = batch.bytes.size() - made.key.at;
    check_key_size(made.key.size, plan_.max_key_size, "the key");
  }
  for (const OpenIndex &index : plan_.indexes) {
    Part entry{batch.bytes.size(), 0};
    append_index_key(index, record, plan_.max_key_size, batch.bytes);
    entry.size = batch.bytes.size() - entry.at;
    batch.entries.push_back(entry);
  }
  batch.records.push_back(made);
}

}  // namespace flatdb
