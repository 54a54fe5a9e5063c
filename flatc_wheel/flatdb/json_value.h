/* JSON of our own, the entries of the catalog: read strictly into values, and written. Not for records. */
#ifndef FLATDB_JSON_VALUE_H
#define FLATDB_JSON_VALUE_H

#include "failure.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace flatdb {

struct JsonNode {
  enum class Kind { Null, Bool, Integer, String, Array, Object };

  Kind kind = Kind::Null;
  int64_t integer = 0;  // also of Bool: 0 or 1
  std::string string;
  std::vector<JsonNode> items;
  std::vector<std::pair<std::string, JsonNode>> members;  // in their order, each name once
};

/* FLATDB_BAD_JSON where the text is anything but JSON of these kinds; of numbers it knows integers. */
JsonNode read_json_value(std::string_view text);

/* Append a string with its quotes. */
void append_json(std::string &text, std::string_view string);

}  // namespace flatdb

#endif
