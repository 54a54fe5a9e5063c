/* Records read in place: every access is checked against the record's end, and nothing is assumed of its alignment, of
 * the machine's byte order, or of whether it was verified. */
#ifndef FLATDB_RECORD_H
#define FLATDB_RECORD_H

#include "failure.h"

#include <cstdint>
#include <cstring>
#include <type_traits>

#include "schema.h"

namespace flatdb {

struct Bytes {
  const uint8_t *data;
  size_t size;
};

/* A scalar at any address, little-endian as all of FlatBuffers. */
template <typename T>
T load(const uint8_t *from) {
  static_assert(std::is_arithmetic<T>::value, "scalars only");
  T value;
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
  uint8_t turned[sizeof(T)];
  for (size_t i = 0; i < sizeof(T); ++i) turned[i] = from[sizeof(T) - 1 - i];
  std::memcpy(&value, turned, sizeof(T));
#else
  std::memcpy(&value, from, sizeof(T));
#endif
  return value;
}

[[noreturn]] void bad_record(const char *what);

/* Positions are bytes from the record's beginning. The largest record is one that its 32-bit offsets can span. */
struct Table {
  Bytes record;
  uint32_t position;
  uint32_t vtable;
  uint16_t vtable_size;
  uint16_t size;

  /* Where a field is, or 0 where it is not stored; `width` bytes of it are there. */
  uint32_t field(uint16_t offset, uint32_t width) const {
    if (offset + 2u > vtable_size) return 0;
    uint16_t inside = load<uint16_t>(record.data + vtable + offset);
    if (!inside) return 0;
    if (inside < 4 || inside + uint64_t(width) > size) bad_record("a field is outside its table");
    return position + inside;
  }
};

/* `count` elements of `width` bytes from `begin`. */
struct Vector {
  uint32_t begin;
  uint32_t count;
};

/* Follow the offset at a position, which is known to be inside. */
inline uint32_t follow(Bytes record, uint32_t at) {
  uint64_t target = uint64_t(at) + load<uint32_t>(record.data + at);
  if (target == at || target + 4 > record.size) bad_record("an offset points outside the record");
  return uint32_t(target);
}

inline Table table_at(Bytes record, uint32_t position) {
  if (uint64_t(position) + 4 > record.size) bad_record("a table is outside the record");
  int64_t vtable = int64_t(position) - load<int32_t>(record.data + position);
  if (vtable < 0 || vtable + 4 > int64_t(record.size)) bad_record("a vtable is outside the record");
  uint16_t vtable_size = load<uint16_t>(record.data + vtable);
  uint16_t size = load<uint16_t>(record.data + vtable + 2);
  if (vtable_size < 4 || vtable_size % 2 || vtable + vtable_size > int64_t(record.size)) {
    bad_record("a vtable has a wrong size");
  }
  if (size < 4 || uint64_t(position) + size > record.size) bad_record("a table has a wrong size");
  return {record, position, uint32_t(vtable), vtable_size, size};
}

inline Table root_of(Bytes record) {
  if (record.size < 8 || record.size > 0x7FFFFFFF) bad_record("it is too small, or too large");
  return table_at(record, follow(record, 0));
}

inline Vector vector_at(Bytes record, uint32_t position, uint32_t width) {
  uint32_t count = load<uint32_t>(record.data + position);
  if (position + 4 + uint64_t(count) * width > record.size) bad_record("a vector is longer than the record");
  return {position + 4, count};
}

/* The text of a string, which a NUL must follow. */
inline std::string_view string_at(Bytes record, uint32_t position) {
  Vector bytes = vector_at(record, position, 1);
  if (uint64_t(bytes.begin) + bytes.count >= record.size || record.data[bytes.begin + bytes.count]) {
    bad_record("a string does not end with NUL");
  }
  return {reinterpret_cast<const char *>(record.data + bytes.begin), bytes.count};
}

/* Every offset stays inside the record and is aligned, every part is what the schema says: else FLATDB_BAD_RECORD. */
void verify(const flatdb_schema &schema, Bytes record);

}  // namespace flatdb

#endif
