/* JSON from records: one line, strict, UTF-8 as it is. As flatc writes it: fields in the order of their ids, and only
 * those that are stored (keys always); names for the values of enums, and those of bit_flags with blanks between them.
 * Numbers are the shortest that read back as the same; what JSON has no number for is "nan", "inf" or "-inf", which the
 * parser takes back. */
#include <charconv>
#include <cmath>

#include "json.h"
#include "utf8.h"

namespace flatdb {
namespace {

/* One string may be named many times by a small record: its text must end somewhere. */
constexpr size_t LARGEST_TEXT = size_t(1) << 30;

class Writer {
 public:
  Writer(Bytes record, std::string &text) : record_(record), text_(text), start_(text.size()) {}

  void table(uint32_t position, const Object &object) {
    if (text_.size() - start_ > LARGEST_TEXT) fail(FLATDB_BAD_RECORD, "the record's text would be larger than 1 GiB");
    Table table = table_at(record_, position);
    char before = '{';
    for (const Field &field : object.fields) {
      const Type &type = field.type;
      uint32_t at = table.field(field.offset, inline_size(type));
      if (at ? type.base == reflection::Union && !member_of(table, object, field)
             : !(field.key && is_scalar(type.base) && !field.deprecated)) {
        continue;
      }
      text_ += before;
      before = ',';
      name(field.name);
      if (!at) {
        is_real(type.base) ? number(field.default_real) : integer(field.default_integer, type);
      } else if (is_scalar(type.base)) {
        scalar(at, type);
      } else if (type.base == reflection::Obj && type.object->is_struct) {
        structure(at, *type.object);
      } else if (type.base == reflection::Vector) {
        vector(table, object, field, follow(record_, at));
      } else if (type.base == reflection::Union) {
        member(follow(record_, at), *type.enumeration, member_of(table, object, field));
      } else if (type.base == reflection::String) {
        string(string_at(record_, follow(record_, at)));
      } else {
        this->table(follow(record_, at), *type.object);
      }
    }
    if (before == '{') text_ += '{';
    text_ += '}';
  }

 private:
  void name(const std::string &name) { /* an identifier: nothing to escape */
    text_ += '"';
    text_ += name;
    text_ += "\":";
  }

  uint8_t member_of(const Table &table, const Object &object, const Field &field) {
    uint32_t at = table.field(object.fields[field.id - 1u].offset, 1);
    return at ? record_.data[at] : 0;
  }

  void member(uint32_t target, const Enum &enumeration, uint8_t value) {
    const EnumValue *member = enumeration.find(value);
    if (!member || !value) {
      fail(FLATDB_BAD_RECORD,
           "a vector of the union " + enumeration.name + " has an element without a type: NONE has no JSON");
    }
    if (member->type.base == reflection::String) {
      string(string_at(record_, target));
    } else if (member->type.object->is_struct) {
      structure(target, *member->type.object);
    } else {
      table(target, *member->type.object);
    }
  }

  void structure(uint32_t at, const Object &object) {
    if (uint64_t(at) + object.size > record_.size) bad_record("a struct is outside the record");
    char before = '{';
    for (const Field &field : object.fields) {
      text_ += before;
      before = ',';
      name(field.name);
      inside(at + field.offset, field.type);
    }
    text_ += '}';
  }

  /* What structs have: scalars, structs, and arrays of them. */
  void inside(uint32_t at, const Type &type) {
    if (type.base == reflection::Obj) {
      structure(at, *type.object);
    } else if (type.base == reflection::Array) {
      const Type element = type.of_element();
      for (uint32_t i = 0; i < type.length; ++i) {
        text_ += i ? ',' : '[';
        inside(at + i * inline_size(element), element);
      }
      text_ += ']';
    } else {
      scalar(at, type);
    }
  }

  void vector(const Table &table, const Object &object, const Field &field, uint32_t target) {
    const Type type = field.type.of_element();
    const uint32_t width = inline_size(type);
    Vector vector = vector_at(record_, target, width);
    Vector members{0, 0};
    if (type.base == reflection::Union) {
      uint32_t at = table.field(object.fields[field.id - 1u].offset, 4);
      if (at) members = vector_at(record_, follow(record_, at), 1);
      if (members.count < vector.count) bad_record("a vector of unions and that of their types differ in length");
    }
    text_ += '[';
    for (uint32_t i = 0; i < vector.count; ++i) {
      uint32_t at = vector.begin + width * i;
      if (i) text_ += ',';
      if (is_scalar(type.base)) {
        scalar(at, type);
      } else if (type.base == reflection::String) {
        string(string_at(record_, follow(record_, at)));
      } else if (type.base == reflection::Union) {
        uint8_t value = record_.data[members.begin + i];
        member(value ? follow(record_, at) : 0, *type.enumeration, value);
      } else if (type.object->is_struct) {
        structure(at, *type.object);
      } else {
        this->table(follow(record_, at), *type.object);
      }
    }
    text_ += ']';
  }

  void scalar(uint32_t position, const Type &type) {
    const uint8_t *at = record_.data + position;
    switch (type.base) {
      case reflection::Byte: return integer(load<int8_t>(at), type);
      case reflection::Short: return integer(load<int16_t>(at), type);
      case reflection::UShort: return integer(load<uint16_t>(at), type);
      case reflection::Int: return integer(load<int32_t>(at), type);
      case reflection::UInt: return integer(load<uint32_t>(at), type);
      case reflection::Long: return integer(load<int64_t>(at), type);
      case reflection::ULong: return integer(int64_t(load<uint64_t>(at)), type);
      case reflection::Float: return number(load<float>(at));
      case reflection::Double: return number(load<double>(at));
      default: return integer(*at, type);
    }
  }

  void integer(int64_t value, const Type &type) {
    if (type.base == reflection::Bool) {
      text_ += value ? "true" : "false";
      return;
    }
    if (type.enumeration && enumerator(value, *type.enumeration)) return;
    char digits[24];
    char *end = type.base == reflection::ULong ? std::to_chars(digits, digits + sizeof digits, uint64_t(value)).ptr
                                               : std::to_chars(digits, digits + sizeof digits, value).ptr;
    text_.append(digits, size_t(end - digits));
  }

  /* A value's name, or those of its bits where they are all named. */
  bool enumerator(int64_t value, const Enum &enumeration) {
    if (const EnumValue *found = enumeration.find(value)) {
      text_ += '"';
      text_ += found->name;
      text_ += '"';
      return true;
    }
    if (!enumeration.bit_flags || !value) return false;
    size_t before = text_.size();
    uint64_t named = 0;
    for (const EnumValue &bit : enumeration.values) {
      if (!(uint64_t(bit.value) & uint64_t(value))) continue;
      text_ += named ? ' ' : '"';
      text_ += bit.name;
      named |= uint64_t(bit.value);
    }
    if (named == uint64_t(value)) {
      text_ += '"';
      return true;
    }
    text_.resize(before);
    return false;
  }

  template <typename T>
  void number(T value) {
    if (!std::isfinite(value)) {
      text_ += std::isnan(value) ? "\"nan\"" : value < 0 ? "\"-inf\"" : "\"inf\"";
      return;
    }
    char digits[40];
    char *end = std::to_chars(digits, digits + sizeof digits, value).ptr;
    size_t size = size_t(end - digits);
    text_.append(digits, size);
    if (std::string_view(digits, size).find_first_of(".e") == std::string_view::npos) text_ += ".0";
  }

  void string(std::string_view string) {
    if (text_.size() - start_ > LARGEST_TEXT) fail(FLATDB_BAD_RECORD, "the record's text would be larger than 1 GiB");
    if (!is_utf8(string)) fail(FLATDB_BAD_RECORD, "a string of the record is not UTF-8, so it has no JSON");
    text_ += '"';
    size_t copied = 0;
    for (size_t i = 0; i < string.size(); ++i) {
      uint8_t c = uint8_t(string[i]);
      if (c >= 0x20 && c != '"' && c != '\\') continue;
      text_.append(string, copied, i - copied);
      copied = i + 1;
      escape(c);
    }
    text_.append(string, copied, string.size() - copied);
    text_ += '"';
  }

  void escape(uint8_t c) {
    static const char from[] = "\"\\\b\f\n\r\t", to[] = "\"\\bfnrt", hex[] = "0123456789abcdef";
    const char *known = c ? std::strchr(from, c) : nullptr;
    text_ += '\\';
    if (known) {
      text_ += to[known - from];
    } else {
      text_ += "u00";
      text_ += hex[c >> 4];
      text_ += hex[c & 15];
    }
  }

  Bytes record_;
  std::string &text_;
  size_t start_;
};

}  // namespace

void write_json(const flatdb_schema &schema, Bytes record, std::string &text) {
  root_of(record);
  Writer(record, text).table(follow(record, 0), *schema.root);
}

}  // namespace flatdb

int flatdb_to_json(const flatdb_schema *schema, const void *data, size_t size, flatdb_bytes *json,
                   flatdb_error *error) {
  return flatdb::guarded(error, [&] {
    if (!schema || (!data && size) || !json) {
      flatdb::fail(FLATDB_BAD_ARGUMENT, "flatdb_to_json needs a schema, a record, and a place for the text");
    }
    flatdb::Bytes record{static_cast<const uint8_t *>(data), size};
    flatdb::verify(*schema, record);
    std::string text;
    flatdb::write_json(*schema, record, text);
    *json = flatdb::copy_out(text.data(), text.size());
  });
}
