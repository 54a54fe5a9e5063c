/* Records from JSON: FlatBuffers' own parser, with what it must not be left alone with. */
#include "json.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "flatbuffers/idl.h"

namespace flatdb {
namespace {

/* A default as the parser keeps it, as text; written so that it is the same number when it is read. */
std::string constant_of(const Field &field) {
  if (!is_real(field.type.base)) return std::to_string(field.default_integer);
  double value = field.default_real;
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value < 0 ? "-inf" : "inf";
  char text[40];
  std::snprintf(text, sizeof text, "%.17g", value);
  return text;
}

}  // namespace

struct JsonReader::Parser : flatbuffers::Parser {
  using flatbuffers::Parser::Parser;
};

JsonReader::JsonReader(const flatdb_schema &schema, bool skip_unknown) {
  flatbuffers::IDLOptions options;
  options.strict_json = true;
  options.skip_unexpected_fields_in_json = skip_unknown;
  parser_ = std::make_unique<Parser>(options);
  try {
    if (!parser_->Deserialize(reinterpret_cast<const uint8_t *>(schema.binary.data()), schema.binary.size())) {
      fail(FLATDB_BAD_SCHEMA, "FlatBuffers' parser does not accept the schema");
    }
  } catch (const Unexpected &unexpected) {
    fail(FLATDB_BAD_SCHEMA, std::string("FlatBuffers' parser does not accept the schema (") + unexpected.what() + ")");
  }
  for (const Object &object : schema.model.objects) {
    flatbuffers::StructDef *definition = parser_->structs_.Lookup(object.name);
    for (const Field &field : object.fields) {
      if (is_scalar(field.type.base)) definition->fields.Lookup(field.name)->value.constant = constant_of(field);
    }
  }
}

JsonReader::~JsonReader() = default;

Bytes JsonReader::read(const char *text, size_t size) {
  if (std::memchr(text, 0, size)) fail(FLATDB_BAD_JSON, "the text has a NUL in it");
  try {
    if (!parser_->ParseJson(text)) fail(FLATDB_BAD_JSON, parser_->error_);
  } catch (const Unexpected &unexpected) {
    fail(FLATDB_BAD_JSON, std::string("FlatBuffers' parser cannot read the text (") + unexpected.what() + ")");
  }
  return {parser_->builder_.GetBufferPointer(), parser_->builder_.GetSize()};
}

}  // namespace flatdb
