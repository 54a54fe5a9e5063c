#include "expression.h"

namespace flatdb {
namespace {

/* The codec that a field has of its own; false where it has none. */
bool own_type(const Type &type, KeyType *key) {
  switch (type.base) {
    case reflection::Bool: *key = KeyType::Bool; return true;
    case reflection::UType:
    case reflection::UByte: *key = KeyType::UInt8; return true;
    case reflection::UShort: *key = KeyType::UInt16; return true;
    case reflection::UInt: *key = KeyType::UInt32; return true;
    case reflection::ULong: *key = KeyType::UInt64; return true;
    case reflection::Byte: *key = KeyType::Int8; return true;
    case reflection::Short: *key = KeyType::Int16; return true;
    case reflection::Int: *key = KeyType::Int32; return true;
    case reflection::Long: *key = KeyType::Int64; return true;
    case reflection::Float: *key = KeyType::Float32; return true;
    case reflection::Double: *key = KeyType::Float64; return true;
    case reflection::String: *key = KeyType::String; return true;
    default: return false;
  }
}

bool is_bytes(const Type &type) {
  return (type.base == reflection::Vector || type.base == reflection::Array) && type.element == reflection::UByte;
}

/* Whether values of a field can be keys of a type; of a number it is seen record by record whether it fits. */
bool fits(const Type &type, KeyType key) {
  switch (key_form(key).kind) {
    case KeyKind::Unsigned:
    case KeyKind::Signed: return is_integer(type.base);
    case KeyKind::Bool: return type.base == reflection::Bool;
    case KeyKind::Float: return is_real(type.base);
    case KeyKind::Text: return type.base == reflection::String || (key == KeyType::Bytes && is_bytes(type));
    case KeyKind::Uuid: return type.base == reflection::String || is_bytes(type);
  }
  return false;
}

uint64_t load_integer(BaseType base, const uint8_t *from) {
  switch (base) {
    case reflection::Byte: return static_cast<uint64_t>(int64_t{load<int8_t>(from)});
    case reflection::Short: return static_cast<uint64_t>(int64_t{load<int16_t>(from)});
    case reflection::Int: return static_cast<uint64_t>(int64_t{load<int32_t>(from)});
    case reflection::UShort: return load<uint16_t>(from);
    case reflection::UInt: return load<uint32_t>(from);
    case reflection::Long:
    case reflection::ULong: return load<uint64_t>(from);
    default: return load<uint8_t>(from);
  }
}

/* An integer of a field, signed or not, as a key of any width of either. */
void append_integer(std::string &key, KeyType type, BaseType base, uint64_t bits) {
  const bool negative = base != reflection::ULong && static_cast<int64_t>(bits) < 0;
  const bool large = base == reflection::ULong && bits > static_cast<uint64_t>(INT64_MAX);
  if (key_form(type).kind == KeyKind::Signed) {
    if (large) fail(FLATDB_BAD_KEY, std::to_string(bits) + " is out of the range of " + key_form(type).name);
    append_signed(key, type, static_cast<int64_t>(bits));
  } else {
    if (negative)
      fail(FLATDB_BAD_KEY,
           std::to_string(static_cast<int64_t>(bits)) + " is negative: " + key_form(type).name + " is not");
    append_unsigned(key, type, base == reflection::Bool ? bits != 0 : bits);
  }
}

void append_bytes(std::string &key, KeyType type, std::string_view bytes, bool is_string, bool last) {
  if (type != KeyType::Uuid) return append_text(key, bytes, last);
  if (is_string) return append_uuid(key, bytes);
  if (bytes.size() != 16) fail(FLATDB_BAD_KEY, "a UUID has 16 bytes, not " + std::to_string(bytes.size()));
  key += bytes;
}

}  // namespace

Expression::Expression(const flatdb_schema &schema, std::string_view text) {
  std::vector<KeyType> types;
  for (std::string_view rest = text;;) {
    const size_t comma = rest.find(',');
    const std::string_view part = rest.substr(0, comma);
    const size_t colon = part.find(':');
    add(schema, std::string(trim(part.substr(0, colon))),
        colon == std::string_view::npos ? "" : trim(part.substr(colon + 1)));
    if (comma == std::string_view::npos) return;
    rest.remove_prefix(comma + 1);
  }
}

Expression::Expression(const flatdb_schema &schema, const KeyCodec &codec, const std::vector<std::string> &fields) {
  if (codec.parts().size() != fields.size())
    fail(FLATDB_BAD_TABLE,
         "a key of the codec " + codec.name() + " cannot be made of " + std::to_string(fields.size()) + " fields");
  for (size_t i = 0; i < fields.size(); i++) add(schema, fields[i], key_form(codec.parts()[i]).name);
}

void Expression::add(const flatdb_schema &schema, const std::string &field, std::string_view codec) {
  Path path = find_path(*schema.root, field);
  const Type &type = path.back()->type;
  KeyType key;
  if (codec.empty()) {
    if (!own_type(type, &key))
      fail(FLATDB_BAD_ARGUMENT,
           "the field " + field + " is of type " + name_of(type) + ", of which a key cannot be made" +
               (is_bytes(type) ? ": name a codec, " + field + ":bytes or " + field + ":uuid" : ""));
  } else if (!find_key_type(codec, &key)) {
    fail(FLATDB_BAD_ARGUMENT, "\"" + std::string(codec) + "\" of the field " + field +
                                  " is no codec of keys: see docs/tables.md, Keys");
  } else if (!fits(type, key)) {
    fail(FLATDB_BAD_ARGUMENT, "the field " + field + " is of type " + name_of(type) + ", which the codec " +
                                  std::string(codec) + " does not take");
  }
  std::vector<KeyType> parts = codec_.parts();
  parts.push_back(key);
  codec_ = KeyCodec(std::move(parts));
  fields_.push_back(field);
  paths_.push_back(std::move(path));
}

bool Expression::append_key(Bytes record, std::string &key) const {
  const size_t before = key.size();
  for (size_t part = 0; part < paths_.size(); part++) {
    try {
      if (append_part(record, part, key)) continue;
    } catch (const Failure &failure) {
      key.resize(before);
      if (failure.code() == FLATDB_BAD_KEY) fail(FLATDB_BAD_KEY, fields_[part] + ": " + failure.text());
      throw;
    }
    key.resize(before);
    return false;
  }
  return true;
}

bool Expression::append_part(Bytes record, size_t part, std::string &key) const {
  const bool last = part + 1 == paths_.size();
  const KeyType type = codec_.parts()[part];
  Table table = root_of(record);
  uint32_t structure = 0;  // where the struct is that the path has come into, or 0
  for (const Field *field : paths_[part]) {
    const Type &form = field->type;
    const uint32_t at = structure != 0 ? structure + field->offset : table.field(field->offset, inline_size(form));
    if (at == 0 && (field->optional || !is_scalar(form.base))) return false;
    if (form.base == reflection::Obj) {
      if (form.object->is_struct) {
        structure = at;
      } else {
        table = table_at(record, follow(record, at));
      }
    } else if (is_integer(form.base)) {
      const uint64_t bits =
          at == 0 ? static_cast<uint64_t>(field->default_integer) : load_integer(form.base, record.data + at);
      append_integer(key, type, form.base, bits);
    } else if (is_real(form.base)) {
      append_float(key, type, at == 0                            ? field->default_real
                              : form.base == reflection::Float ? load<float>(record.data + at)
                                                               : load<double>(record.data + at));
    } else if (form.base == reflection::String) {
      append_bytes(key, type, string_at(record, follow(record, at)), true, last);
    } else if (form.base == reflection::Array) {
      append_bytes(key, type, {reinterpret_cast<const char *>(record.data + at), form.length}, false, last);
    } else {
      const Vector vector = vector_at(record, follow(record, at), 1);
      append_bytes(key, type, {reinterpret_cast<const char *>(record.data + vector.begin), vector.count}, false, last);
    }
  }
  return true;
}

std::string expression_text(const KeyCodec &codec, const std::vector<std::string> &fields) {
  std::string text;
  for (size_t i = 0; i < fields.size(); i++)
    text += (i == 0 ? "" : ",") + fields[i] + ":" + (i < codec.parts().size() ? key_form(codec.parts()[i]).name : "");
  return text.empty() ? "none (numbers)" : text;
}

}  // namespace flatdb
