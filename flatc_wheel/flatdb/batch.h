/* Records of a file, many at a time, with their keys and those of their indexes: what one transaction stores. */
#ifndef FLATDB_BATCH_H
#define FLATDB_BATCH_H

#include "table.h"

#include <atomic>
#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include "files.h"
#include "json.h"
#include "json_stream.h"

namespace flatdb {

/* A part of a batch's bytes. */
struct Part {
  size_t at = 0, size = 0;
};

struct BatchRecord {
  Part key, value;  // the key is empty where records are numbered
  uint64_t line = 0, offset = 0;
};

/* What was left out: where, and why. */
struct BatchProblem {
  uint64_t offset;
  std::string place, text;
};

struct Batch {
  std::string bytes;
  std::vector<BatchRecord> records;
  std::vector<Part> entries;  // the indexes' keys: one for each index of each record, empty where there is none
  std::vector<BatchProblem> problems;
  JsonPosition end;
  bool last = false;

  std::string_view view(const Part &part) const { return std::string_view(bytes).substr(part.at, part.size); }
  void clear();
  /* Add the records and the problems of another, which follow these in the file. */
  void append(Batch &&other);
};

/* What keys and indexes are made of while records are read: the databases may not be there yet. */
struct KeyPlan {
  std::optional<Expression> key;  // none: numbers
  std::vector<OpenIndex> indexes;
  size_t max_key_size = 0;
};

/* Finds where values end in one thread, and parses them in as many as there are processors. */
class BatchReader {
 public:
  struct Limits {
    size_t records = 100000;
    size_t bytes = size_t{32} << 20;  // of JSON, whatever the number, so that memory does not grow with the records
  };

  /* `stop` ends the waiting for input that does not come. */
  BatchReader(InputFile &file, const JsonPosition &from, const flatdb_schema &schema, const KeyPlan &plan,
              bool skip_unknown, bool skip_bad, Limits limits, const std::atomic<bool> &stop);

  /* The next records; `spare` is a batch whose memory may be used. */
  Batch next(Batch spare);

 private:
  /* A value as it stands in the file, with a NUL behind it. */
  struct Text {
    Part part;
    uint64_t line, offset;
  };

  void collect(Batch &batch);
  void parse(Batch &batch);
  Batch parse_share(JsonReader &reader, size_t first, size_t last, Batch batch) const;
  void add(Batch &batch, JsonReader &reader, const Text &text) const;

  const KeyPlan &plan_;
  const bool skip_bad_;
  const Limits limits_;
  const std::string name_;
  JsonStream stream_;
  std::string bytes_;
  std::vector<Text> texts_;  // in bytes_
  std::deque<JsonReader> readers_;
};

}  // namespace flatdb

#endif
