/* Schemas: what records are made of, owned and checked once, so that everything else can rely on it.
 *
 * A schema's text is parsed by FlatBuffers; what it makes of it, or a binary schema of a stranger, is checked by us and
 * becomes the objects below; and from these a binary schema is written anew, which is what is stored with the data and
 * what FlatBuffers' parser is given. So FlatBuffers never reads a binary schema that we have not written, and the same
 * schema has the same bytes wherever it was read. */
#ifndef FLATDB_SCHEMA_H
#define FLATDB_SCHEMA_H

#include "failure.h"

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "flatbuffers/reflection_generated.h"

namespace flatdb {

using reflection::BaseType;

struct Object;
struct Enum;

/* `base` is one of Bool ... Double, UType, String, Vector, Obj, Union, Array. */
struct Type {
  BaseType base = reflection::None;
  BaseType element = reflection::None; /* of Vector and Array */
  const Object *object = nullptr;      /* where base or element is Obj */
  const Enum *enumeration = nullptr;   /* where base or element is an integer that is an enum, UType or Union */
  uint16_t length = 0;                 /* of Array: elements */

  /* The type of a Vector's or Array's elements. */
  Type of_element() const { return {element, reflection::None, object, enumeration, 0}; }
};

using Attributes = std::vector<std::pair<std::string, std::string>>;

struct Field {
  std::string name;
  Type type;
  uint16_t id = 0;     /* its place in the order of declaration */
  uint16_t offset = 0; /* in a table's vtable, or in a struct: bytes */
  int64_t default_integer = 0;
  double default_real = 0;
  bool deprecated = false;
  bool required = false;
  bool key = false;
  bool optional = false; /* a scalar that may be absent, or what is no scalar and not required */
  Attributes attributes;
};

/* A table or a struct. */
struct Object {
  std::string name; /* with its namespace */
  bool is_struct = false;
  uint32_t size = 0;         /* of a struct: bytes */
  uint32_t align = 1;        /* of a struct */
  std::vector<Field> fields; /* by id; of unions the type field comes right before */
  Attributes attributes;

  const Field *find(std::string_view field) const;
};

struct EnumValue {
  std::string name;
  int64_t value = 0; /* of an enum of ulong: its bits */
  Type type;         /* of a union's member: Obj, String, or None */
  Attributes attributes;
};

struct Enum {
  std::string name; /* with its namespace */
  bool is_union = false;
  bool bit_flags = false;
  BaseType underlying = reflection::None;
  std::vector<EnumValue> values; /* ascending */
  Attributes attributes;

  const EnumValue *find(int64_t value) const;
};

/* Objects and enums, in the order of their names. They point to each other: do not copy. */
struct Model {
  std::vector<Object> objects;
  std::vector<Enum> enums;
  std::string identifier; /* four bytes of each record, or empty */
  std::string extension;

  Model() = default;
  Model(const Model &) = delete;
  Model &operator=(const Model &) = delete;

  const Object *find(std::string_view name) const;
  const Enum *find_enum(std::string_view name) const;
};

/* Check a binary schema (FLATDB_BAD_SCHEMA says what is wrong with it); `root` becomes the name of its root, or empty.
 */
void read_binary_schema(const std::string &binary, Model &model, std::string &root);
std::string write_binary_schema(const Model &model, const Object &root);

inline bool is_integer(BaseType base) { return base >= reflection::UType && base <= reflection::ULong; }
inline bool is_real(BaseType base) { return base == reflection::Float || base == reflection::Double; }
inline bool is_scalar(BaseType base) { return base >= reflection::UType && base <= reflection::Double; }

/* Bytes of a scalar; of what is an offset, those of the offset. */
uint32_t size_of(BaseType base);
/* Bytes of an element of a vector, or of a field of a struct. */
uint32_t inline_size(const Type &type);
uint32_t inline_align(const Type &type);
/* As in a schema: "int", "[string]", "unicode_db.Character". */
std::string name_of(const Type &type);

/* The fields that a path such as "position.x" goes through: all but the last are tables or structs. FLATDB_BAD_ARGUMENT
 * names what is missing. */
std::vector<const Field *> find_path(const Object &root, std::string_view path);

class JsonReader;

}  // namespace flatdb

struct flatdb_schema {
  flatdb::Model model;
  const flatdb::Object *root = nullptr;
  std::string binary;

  flatdb_schema();
  ~flatdb_schema();

  /* For flatdb_from_json, which many threads may call. */
  mutable std::mutex mutex;
  std::unique_ptr<flatdb::JsonReader> reader;
};

#endif
