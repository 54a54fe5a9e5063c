#include "batch.h"

#include <algorithm>
#include <exception>
#include <future>
#include <thread>

#include "index_entries.h"

namespace flatdb {
namespace {

constexpr unsigned MOST_THREADS = 8;   // one thread finds the values, and one stores: more would wait for these
constexpr size_t LEAST_SHARE = 1000;   // values, for which a thread is worth its start

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

void Batch::append(Batch &&other) {
  const size_t shift = bytes.size();
  bytes += other.bytes;
  for (BatchRecord &record : other.records) {
    record.key.at += shift;
    record.value.at += shift;
    records.push_back(record);
  }
  for (Part &entry : other.entries) entries.push_back({entry.at + shift, entry.size});
  std::move(other.problems.begin(), other.problems.end(), std::back_inserter(problems));
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
          file.name(), from) {
  const unsigned threads = std::min(std::max(std::thread::hardware_concurrency(), 1U), MOST_THREADS);
  for (unsigned i = 0; i < threads; i++) readers_.emplace_back(schema, skip_unknown);
}

Batch BatchReader::next(Batch batch) {
  batch.clear();
  std::exception_ptr broken;
  try {
    collect(batch);
  } catch (const Failure &) {
    broken = std::current_exception();  // of two failures, the one that comes first in the file counts
  }
  parse(batch);
  if (broken) std::rethrow_exception(broken);
  std::stable_sort(batch.problems.begin(), batch.problems.end(),
                   [](const BatchProblem &a, const BatchProblem &b) { return a.offset < b.offset; });
  return batch;
}

/* The values of the next records, as they stand in the file. */
void BatchReader::collect(Batch &batch) {
  bytes_.clear();
  texts_.clear();
  while (texts_.size() + batch.problems.size() < limits_.records && bytes_.size() < limits_.bytes) {
    JsonValue value{};
    try {
      if (!stream_.next(value)) {
        batch.last = true;
        break;
      }
    } catch (const Failure &failure) {
      const uint64_t offset = stream_.position().offset;
      if (!skip_bad_ || failure.code() != FLATDB_BAD_JSON || !stream_.skip_line()) throw;
      batch.problems.push_back({offset, name_, failure.text()});
      continue;
    }
    texts_.push_back({{bytes_.size(), value.size}, value.line, value.offset});
    bytes_.append(value.data, value.size + 1);
  }
  batch.end = stream_.position();
}

/* The records of the values, in shares that follow each other. */
void BatchReader::parse(Batch &batch) {
  const size_t shares = std::min(readers_.size(), texts_.size() / LEAST_SHARE + 1);
  const auto bound = [&](size_t share) { return texts_.size() * share / shares; };
  std::vector<std::future<Batch>> others;
  for (size_t i = 1; i < shares; i++)
    others.push_back(std::async(std::launch::async, [this, i, &bound] {
      return parse_share(readers_[i], bound(i), bound(i + 1), {});
    }));
  batch = parse_share(readers_[0], 0, bound(1), std::move(batch));
  for (std::future<Batch> &other : others) batch.append(other.get());
}

/* Adds the records of some values to a batch. */
Batch BatchReader::parse_share(JsonReader &reader, size_t first, size_t last, Batch batch) const {
  for (size_t i = first; i < last; i++) {
    const Text &text = texts_[i];
    const size_t bytes = batch.bytes.size(), entries = batch.entries.size();
    try {
      add(batch, reader, text);
    } catch (const Failure &failure) {
      const std::string place = json_place(name_, text.line, text.offset);
      if (!concerns_one_record(failure)) throw;
      if (!skip_bad_) fail(failure.code(), place + ": " + failure.text());
      batch.bytes.resize(bytes);
      batch.entries.resize(entries);
      batch.problems.push_back({text.offset, place, failure.text()});
    }
  }
  return batch;
}

void BatchReader::add(Batch &batch, JsonReader &reader, const Text &text) const {
  const char *json = bytes_.data() + text.part.at;
  if (json[0] != '{')
    fail(FLATDB_BAD_JSON, "a record is a JSON object, not " + std::string(json, text.part.size).substr(0, 20));
  const Bytes record = reader.read(json, text.part.size);
  BatchRecord made;
  made.line = text.line;
  made.offset = text.offset;
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
