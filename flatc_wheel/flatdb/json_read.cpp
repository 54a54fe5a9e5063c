/* Records from JSON: FlatBuffers' own parser, with what it must not be left alone with. */
#include "json.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "decimal_point.h"
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

/* Sorts the vectors of tables or structs that have a key, as readers that look a key up in them expect. The parser
 * would do so too, by a recursion as deep as a vector is long where it is sorted already: as it is in each text that
 * came from a record. The record is what the parser just made, verified. */
class Sorter {
 public:
  Sorter(uint8_t *data, size_t size) : data_(data), record_{data, size} {}

  void table(uint32_t position, const Object &object) {
    Table table = table_at(record_, position);
    for (const Field &field : object.fields) {
      const Type &type = field.type;
      uint32_t at = is_scalar(type.base) ? 0 : table.field(field.offset, 4);
      if (!at) continue;
      if (type.base == reflection::Vector) {
        vector(table, object, field, follow(record_, at));
      } else if (type.base == reflection::Union) {
        member(follow(record_, at), *type.enumeration,
               record_.data[table.field(object.fields[field.id - 1u].offset, 1)]);
      } else if (type.base == reflection::Obj && !type.object->is_struct) {
        this->table(follow(record_, at), *type.object);
      }
    }
  }

 private:
  void member(uint32_t target, const Enum &enumeration, uint8_t value) {
    const EnumValue *member = enumeration.find(value);
    if (member && member->type.object && !member->type.object->is_struct) table(target, *member->type.object);
  }

  void vector(const Table &table, const Object &object, const Field &field, uint32_t target) {
    const Type type = field.type.of_element();
    if (is_scalar(type.base) || type.base == reflection::String) return;
    Vector vector = vector_at(record_, target, inline_size(type));
    if (type.base == reflection::Union) {
      uint32_t members = follow(record_, table.field(object.fields[field.id - 1u].offset, 4)) + 4;
      for (uint32_t i = 0; i < vector.count; ++i) {
        member(follow(record_, vector.begin + 4 * i), *type.enumeration, record_.data[members + i]);
      }
      return;
    }
    if (!type.object->is_struct) {
      for (uint32_t i = 0; i < vector.count; ++i) this->table(follow(record_, vector.begin + 4 * i), *type.object);
    }
    for (const Field &key : type.object->fields) {
      if (key.key) sort(vector, *type.object, key);
    }
  }

  void sort(Vector vector, const Object &object, const Field &key) {
    std::vector<uint32_t> elements(vector.count);
    for (uint32_t i = 0; i < vector.count; ++i) {
      elements[i] = object.is_struct ? vector.begin + i * object.size : follow(record_, vector.begin + 4 * i);
    }
    auto before = [&](uint32_t a, uint32_t b) { return less(place(a, object, key), place(b, object, key), key); };
    if (std::is_sorted(elements.begin(), elements.end(), before)) return;
    std::stable_sort(elements.begin(), elements.end(), before);
    if (object.is_struct) {
      std::vector<uint8_t> sorted;
      for (uint32_t at : elements) sorted.insert(sorted.end(), data_ + at, data_ + at + object.size);
      std::copy(sorted.begin(), sorted.end(), data_ + vector.begin);
    } else {
      for (uint32_t i = 0; i < vector.count; ++i) {
        uint32_t at = vector.begin + 4 * i;
        flatbuffers::WriteScalar(data_ + at, elements[i] - at);
      }
    }
  }

  /* Where an element's key is, or 0: it is its default, or an empty string. */
  uint32_t place(uint32_t element, const Object &object, const Field &key) {
    if (object.is_struct) return element + key.offset;
    uint32_t at = table_at(record_, element).field(key.offset, size_of(key.type.base));
    return at && key.type.base == reflection::String ? follow(record_, at) : at;
  }

  bool less(uint32_t a, uint32_t b, const Field &key) {
    switch (key.type.base) {
      case reflection::String:
        return (a ? string_at(record_, a) : std::string_view()) < (b ? string_at(record_, b) : std::string_view());
      case reflection::Byte: return integer<int8_t>(a, key) < integer<int8_t>(b, key);
      case reflection::Short: return integer<int16_t>(a, key) < integer<int16_t>(b, key);
      case reflection::UShort: return integer<uint16_t>(a, key) < integer<uint16_t>(b, key);
      case reflection::Int: return integer<int32_t>(a, key) < integer<int32_t>(b, key);
      case reflection::UInt: return integer<uint32_t>(a, key) < integer<uint32_t>(b, key);
      case reflection::Long: return integer<int64_t>(a, key) < integer<int64_t>(b, key);
      case reflection::ULong: return integer<uint64_t>(a, key) < integer<uint64_t>(b, key);
      case reflection::Float: return before(real<float>(a, key), real<float>(b, key));
      case reflection::Double: return before(real<double>(a, key), real<double>(b, key));
      case reflection::Bool:
      case reflection::UByte: return integer<uint8_t>(a, key) < integer<uint8_t>(b, key);
      default: return false; /* arrays and structs: few languages look them up */
    }
  }

  template <typename T>
  T integer(uint32_t at, const Field &key) {
    return at ? load<T>(record_.data + at) : T(key.default_integer);
  }

  template <typename T>
  T real(uint32_t at, const Field &key) {
    return at ? load<T>(record_.data + at) : T(key.default_real);
  }

  /* An order for NaN too: last. */
  template <typename T>
  static bool before(T a, T b) {
    return std::isnan(a) ? false : std::isnan(b) ? true : a < b;
  }

  uint8_t *data_;
  Bytes record_;
};

bool has_key(const Object &object) {
  return std::any_of(object.fields.begin(), object.fields.end(), [](const Field &field) { return field.key; });
}

/* Whether records may have vectors to be sorted. */
bool sorts(const Model &model) {
  for (const Object &object : model.objects) {
    for (const Field &field : object.fields) {
      if (field.type.base == reflection::Vector && field.type.object && has_key(*field.type.object)) return true;
    }
  }
  return false;
}

}  // namespace

struct JsonReader::Parser : flatbuffers::Parser {
  using flatbuffers::Parser::Parser;
};

JsonReader::JsonReader(const flatdb_schema &schema, bool skip_unknown) : schema_(schema), sorts_(sorts(schema.model)) {
  DecimalPoint point;
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
    definition->has_key = false; /* see Sorter */
    for (const Field &field : object.fields) {
      if (is_scalar(field.type.base)) definition->fields.Lookup(field.name)->value.constant = constant_of(field);
    }
  }
}

JsonReader::~JsonReader() = default;

Bytes JsonReader::read(const char *text, size_t size) {
  if (std::memchr(text, 0, size)) fail(FLATDB_BAD_JSON, "the text has a NUL in it");
  DecimalPoint point;
  bool parsed = false;
  std::string why;
  try {
    parsed = parser_->ParseJson(text);
    if (!parsed) why = parser_->error_;
  } catch (const Unexpected &unexpected) {
    why = std::string("FlatBuffers' parser cannot read the text (") + unexpected.what() + ")";
  }
  if (!parsed) {
    /* A parse that ends early leaves fields behind on the parser's stack, which grows; only this way in clears it. */
    parser_->Parse("");
    fail(FLATDB_BAD_JSON, why);
  }
  uint8_t *data = parser_->builder_.GetBufferPointer();
  Bytes record{data, parser_->builder_.GetSize()};
  try {
    /* Two unions of the same type in one table, both types before both values: the parser takes one for the other. */
    verify(schema_, record);
  } catch (const Failure &failure) {
    fail(FLATDB_BAD_JSON,
         "FlatBuffers' parser makes no valid record of the text; a union's type must come right before its "
         "value (" +
             failure.text() + ")");
  }
  if (sorts_) Sorter(data, record.size).table(follow(record, 0), *schema_.root);
  return record;
}

}  // namespace flatdb

int flatdb_from_json(const flatdb_schema *schema, const char *json, size_t size, flatdb_bytes *record,
                     flatdb_error *error) {
  return flatdb::guarded(error, [&] {
    if (!schema || (!json && size) || !record) {
      flatdb::fail(FLATDB_BAD_ARGUMENT, "flatdb_from_json needs a schema, a text, and a place for the record");
    }
    std::string text(json, size);
    std::lock_guard<std::mutex> lock(schema->mutex);
    flatdb::Bytes made = schema->reader->read(text.c_str(), text.size());
    *record = flatdb::copy_out(made.data, made.size);
  });
}
