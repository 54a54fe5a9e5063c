/* Records from JSON, and JSON from records. */
#ifndef FLATDB_JSON_H
#define FLATDB_JSON_H

#include "schema.h"

#include "record.h"

namespace flatdb {

/* Makes records of JSON texts, one after the other, for one thread: what it allocates is used again. */
class JsonReader {
 public:
  /* skip_unknown: leave out fields that the schema lacks; else they are an error. */
  explicit JsonReader(const flatdb_schema &schema, bool skip_unknown = false);
  ~JsonReader();

  /* The record of a text, valid until the next call. text[size] must be readable, and 0. */
  Bytes read(const char *text, size_t size);

 private:
  struct Parser;
  const flatdb_schema &schema_;
  const bool sorts_;
  std::unique_ptr<Parser> parser_;
};

/* Append a record, which must have been verified, to a text: one line, without its end. */
void write_json(const flatdb_schema &schema, Bytes record, std::string &text);

}  // namespace flatdb

#endif
