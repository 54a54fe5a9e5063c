/* Records of a file, many at a time, with their keys and those of their indexes: what one transaction stores. */
#ifndef FLATDB_BATCH_H
#define FLATDB_BATCH_H

#include "table.h"

#include <atomic>
#include <cstdint>
#include <string>
#include <utility>
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

struct Batch {
  std::string bytes;
  std::vector<BatchRecord> records;
  std::vector<Part> entries;  // the indexes' keys: one for each index of each record, empty where there is none
  std::vector<std::pair<std::string, std::string>> problems;  // what was left out: where, and why
  JsonPosition end;
  bool last = false;

  std::string_view view(const Part &part) const { return std::string_view(bytes).substr(part.at, part.size); }
  void clear();
};

/* What keys and indexes are made of while records are read: the databases may not be there yet. */
struct KeyPlan {
  std::optional<Expression> key;  // none: numbers
  std::vector<OpenIndex> indexes;
  size_t max_key_size = 0;
};

class BatchReader {
 public:
  struct Limits {
    size_t records = 100000;
    size_t bytes = size_t{64} << 20;  // whatever the number, so that memory does not grow with the records
  };

  /* `stop` ends the waiting for input that does not come. */
  BatchReader(InputFile &file, const JsonPosition &from, const flatdb_schema &schema, const KeyPlan &plan,
              bool skip_unknown, bool skip_bad, Limits limits, const std::atomic<bool> &stop);

  /* The next records; `spare` is a batch whose memory may be used. */
  Batch next(Batch spare);

 private:
  void add(Batch &batch, const JsonValue &value);

  const KeyPlan &plan_;
  const bool skip_bad_;
  const Limits limits_;
  const std::string name_;
  JsonStream stream_;
  JsonReader reader_;
};

}  // namespace flatdb

#endif
