/* Expressions, such as "country,id:uuid": which fields of a record a key is made of, resolved by the schema, and the
 * key of a record. */
#ifndef FLATDB_EXPRESSION_H
#define FLATDB_EXPRESSION_H

#include "schema.h"

#include <string>
#include <string_view>
#include <vector>

#include "keys.h"
#include "record.h"

namespace flatdb {

class Expression {
 public:
  /* From its text. FLATDB_BAD_ARGUMENT names what the schema lacks, or what cannot be part of a key. */
  Expression(const flatdb_schema &schema, std::string_view text);
  /* From the catalog: a codec of as many parts as there are fields. */
  Expression(const flatdb_schema &schema, const KeyCodec &codec, const std::vector<std::string> &fields);

  const KeyCodec &codec() const { return codec_; }
  const std::vector<std::string> &fields() const { return fields_; }

  /* Append a record's key; false, and nothing appended, where the record lacks a field. Every access is checked, so
   * that the record may be anybody's. A value that the codec cannot hold is FLATDB_BAD_KEY. */
  bool append_key(Bytes record, std::string &key) const;

 private:
  using Path = std::vector<const Field *>;

  void add(const flatdb_schema &schema, const std::string &field, std::string_view codec);
  bool append_part(Bytes record, size_t part, std::string &key) const;

  KeyCodec codec_;
  std::vector<std::string> fields_;
  std::vector<Path> paths_;
};

/* As text, each field with its codec: "country:string,id:uuid". Also of what is not resolved. */
std::string expression_text(const KeyCodec &codec, const std::vector<std::string> &fields);

}  // namespace flatdb

#endif
