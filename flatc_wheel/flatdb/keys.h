/* Keys: their codecs, named as in the catalog ("uint32", "(string, uint32)"), so that the order of bytes is the order
 * of the values. Made from values, from text, and read back. What a key is made of is in expression.h. */
#ifndef FLATDB_KEYS_H
#define FLATDB_KEYS_H

#include "failure.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace flatdb {

enum class KeyType : uint8_t {
  UInt8, UInt16, UInt32, UInt64, Int8, Int16, Int32, Int64, Float32, Float64, Bool, String, Bytes, Uuid, DateTime
};

enum class KeyKind : uint8_t { Unsigned, Signed, Float, Bool, Text, Uuid };

/* What a type is, in a table: its name, its kind, and the bytes it takes (0: as many as there are). */
struct KeyForm {
  const char *name;
  KeyKind kind;
  uint8_t size;
};

const KeyForm &key_form(KeyType type);

/* The type of a name; false where there is none. */
bool find_key_type(std::string_view name, KeyType *type);

/* A name without the blanks around it. */
std::string_view trim(std::string_view text);

/* One part of a key as a value. Which member has it is the kind's matter. */
struct KeyValue {
  uint64_t integer = 0;  // Unsigned, Bool; Signed as two's complement of 64 bits
  double number = 0;     // Float
  std::string bytes;     // Text; the 16 bytes of Uuid
};

/* Encode one part behind what `key` has. A `string` or `bytes` that is not the last part is closed, so that no part
 * runs into the next. A value that the type cannot hold is FLATDB_BAD_KEY. */
void append_unsigned(std::string &key, KeyType type, uint64_t value);
void append_signed(std::string &key, KeyType type, int64_t value);
void append_float(std::string &key, KeyType type, double value);
void append_text(std::string &key, std::string_view value, bool last);
void append_uuid(std::string &key, std::string_view text);

class KeyCodec {
 public:
  KeyCodec() = default;
  explicit KeyCodec(std::vector<KeyType> parts) : parts_(std::move(parts)) {}

  /* From its name; FLATDB_BAD_TABLE where that is none. */
  explicit KeyCodec(std::string_view name);

  const std::vector<KeyType> &parts() const { return parts_; }
  std::string name() const;
  bool operator==(const KeyCodec &other) const { return parts_ == other.parts_; }
  bool operator!=(const KeyCodec &other) const { return parts_ != other.parts_; }

  /* The parts of a key; false where the bytes are not one of this codec. `values` is made as long as the parts. */
  bool decode(std::string_view key, std::vector<KeyValue> &values) const;

  std::string encode(const std::vector<KeyValue> &values) const;

  /* A key as text, and from text: see docs/tables.md. Bytes that are no key are shown as "0x" and digits; text that is
   * none is FLATDB_BAD_KEY. */
  std::string text(std::string_view key) const;
  std::string parse(std::string_view text) const;

  /* What is before all keys that begin with the parts of a text, which may be fewer than the codec has, or none. */
  std::string bound(std::string_view text) const;

 private:
  bool parse_parts(const std::vector<std::string> &texts, std::string &key) const;

  std::vector<KeyType> parts_;
};

}  // namespace flatdb

#endif
