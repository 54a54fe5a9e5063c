/* Binary schemas (.bfbs): one of a stranger checked and taken over, and our own written.
 *
 * The rules are those that FlatBuffers' own parser keeps when it reads a schema's text: a binary schema that breaks one
 * was not made by it. They matter, because FlatBuffers relies on them unseen: for an id as an index into memory, say.
 */
#include "schema.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>

#include "flatbuffers/flatbuffers.h"

namespace flatdb {
namespace {

constexpr uint32_t LARGEST_ALIGN = 32;       /* FlatBuffers' own limit */
constexpr uint64_t LARGEST_STRUCT = 1 << 24; /* bytes; a record is 2 GiB at most */
constexpr size_t LARGEST_SCHEMA = 64 << 20;  /* bytes */
constexpr unsigned DEEPEST_STRUCT = 32;      /* structs in structs */
/* Attributes of which the parser looks up other types by name, wrongly within a namespace. What they describe, buffers
 * in vectors of bytes, is left alone here: such a vector is a vector of bytes. */
const char *const NOT_KEPT[] = {"nested_flatbuffer", "flexbuffer"};

[[noreturn]] void bad(const std::string &where, const std::string &what) {
  fail(FLATDB_BAD_SCHEMA, "the binary schema is damaged, or was not made by flatc: " + where + " " + what);
}

bool is_identifier(std::string_view name) {
  if (name.empty() || (name[0] >= '0' && name[0] <= '9')) return false;
  return std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
  });
}

/* Identifiers with dots between them. */
bool is_qualified_name(std::string_view name) {
  for (;;) {
    size_t dot = name.find('.');
    if (!is_identifier(name.substr(0, dot))) return false;
    if (dot == std::string_view::npos) return true;
    name.remove_prefix(dot + 1);
  }
}

bool fits(int64_t value, BaseType base) {
  switch (base) {
    case reflection::Bool: return value == 0 || value == 1;
    case reflection::Byte: return value >= INT8_MIN && value <= INT8_MAX;
    case reflection::UType:
    case reflection::UByte: return value >= 0 && value <= UINT8_MAX;
    case reflection::Short: return value >= INT16_MIN && value <= INT16_MAX;
    case reflection::UShort: return value >= 0 && value <= UINT16_MAX;
    case reflection::Int: return value >= INT32_MIN && value <= INT32_MAX;
    case reflection::UInt: return value >= 0 && value <= int64_t(UINT32_MAX);
    default: return true;
  }
}

/* A type as it is stored: the accessors would make an enum of a number that may be none of it. */
BaseType stored(const reflection::Type &type, flatbuffers::voffset_t field) {
  int8_t number = reinterpret_cast<const flatbuffers::Table &>(type).GetField<int8_t>(field, 0);
  return number < 0 || number > reflection::MaxBaseType ? reflection::MaxBaseType : BaseType(number);
}

BaseType base_of(const reflection::Type &type) { return stored(type, reflection::Type::VT_BASE_TYPE); }
BaseType element_of(const reflection::Type &type) { return stored(type, reflection::Type::VT_ELEMENT); }

/* As text, a power of two up to LARGEST_ALIGN. */
bool is_alignment(const std::string &text) {
  for (uint32_t align = 1; align <= LARGEST_ALIGN; align *= 2) {
    if (text == std::to_string(align)) return true;
  }
  return false;
}

/* Whether integers of this type can be made of strings by this hash: the parser does not ask again. */
bool is_hash(const std::string &name, BaseType base) {
  switch (base) {
    case reflection::Short:
    case reflection::UShort: return name == "fnv1_16" || name == "fnv1a_16";
    case reflection::Int:
    case reflection::UInt: return name == "fnv1_32" || name == "fnv1a_32";
    case reflection::Long:
    case reflection::ULong: return name == "fnv1_64" || name == "fnv1a_64";
    default: return false;
  }
}

class Reader {
 public:
  Reader(const reflection::Schema &schema, Model &model) : schema_(schema), model_(model) {}

  void read() {
    model_.identifier = schema_.file_ident() ? schema_.file_ident()->str() : "";
    if (!model_.identifier.empty() && model_.identifier.size() != 4) bad("its file_identifier", "is not of 4 bytes");
    if (model_.identifier.find('\0') != std::string::npos) bad("its file_identifier", "contains NUL");
    model_.extension = schema_.file_ext() ? schema_.file_ext()->str() : "";
    model_.objects.resize(schema_.objects()->size());
    model_.enums.resize(schema_.enums()->size());
    names(*schema_.objects(), model_.objects);
    names(*schema_.enums(), model_.enums);
    for (const Object &object : model_.objects) {
      if (model_.find_enum(object.name)) bad(object.name, "is there twice");
    }
    for (uint32_t i = 0; i < schema_.objects()->size(); ++i) {
      /* Sizes of structs first: fields of others need them. */
      const reflection::Object &from = *schema_.objects()->Get(i);
      Object &object = model_.objects[i];
      object.is_struct = from.is_struct();
      if (!object.is_struct) continue;
      if (from.bytesize() <= 0 || uint64_t(from.bytesize()) > LARGEST_STRUCT)
        bad(object.name, "has a size out of range");
      if (from.minalign() <= 0 || uint32_t(from.minalign()) > LARGEST_ALIGN ||
          (from.minalign() & (from.minalign() - 1))) {
        bad(object.name, "has an alignment that is none");
      }
      object.size = uint32_t(from.bytesize());
      object.align = uint32_t(from.minalign());
    }
    for (uint32_t i = 0; i < model_.enums.size(); ++i) enumeration(*schema_.enums()->Get(i), model_.enums[i]);
    for (uint32_t i = 0; i < model_.objects.size(); ++i) object(*schema_.objects()->Get(i), model_.objects[i]);
    for (const Object &object : model_.objects) {
      if (object.is_struct) end_of_structs(object, DEEPEST_STRUCT);
    }
  }

 private:
  template <typename From, typename To>
  void names(const flatbuffers::Vector<flatbuffers::Offset<From>> &from, std::vector<To> &to) {
    for (uint32_t i = 0; i < from.size(); ++i) {
      to[i].name = from.Get(i)->name()->str();
      if (!is_qualified_name(to[i].name)) bad("a type", "has a name that is none");
      if (i && !(to[i - 1].name < to[i].name)) bad(to[i].name, "is not in the order of names");
    }
  }

  Attributes attributes(const flatbuffers::Vector<flatbuffers::Offset<reflection::KeyValue>> *from,
                        const std::string &where) {
    Attributes result;
    if (!from) return result;
    std::set<std::string> names;
    for (const reflection::KeyValue *pair : *from) {
      std::string key = pair->key()->str();
      if (!is_identifier(key)) bad(where, "has an attribute whose name is none");
      if (!names.insert(key).second) bad(where, "has an attribute twice");
      if (std::find(std::begin(NOT_KEPT), std::end(NOT_KEPT), key) != std::end(NOT_KEPT)) continue;
      std::string value = pair->value() ? pair->value()->str() : "";
      if (key == "force_align" && !is_alignment(value)) bad(where, "has an attribute force_align that is no alignment");
      result.emplace_back(std::move(key), std::move(value));
    }
    return result;
  }

  static bool has(const Attributes &attributes, const char *name) {
    return std::any_of(attributes.begin(), attributes.end(), [&](const auto &pair) { return pair.first == name; });
  }

  const Object *object_of(const reflection::Type &type, const std::string &where) {
    if (type.index() < 0 || size_t(type.index()) >= model_.objects.size())
      bad(where, "is of a type that does not exist");
    return &model_.objects[size_t(type.index())];
  }

  const Enum *enum_of(const reflection::Type &type, const std::string &where) {
    if (type.index() < 0 || size_t(type.index()) >= model_.enums.size())
      bad(where, "is of an enum that does not exist");
    return &model_.enums[size_t(type.index())];
  }

  /* What an element of a vector, or a field that is neither vector nor array, points to. */
  void target(const reflection::Type &from, BaseType base, Type &type, const std::string &where) {
    if (base == reflection::Obj) {
      type.object = object_of(from, where);
    } else if (base == reflection::Union || base == reflection::UType) {
      type.enumeration = enum_of(from, where);
      if (!type.enumeration->is_union) bad(where, "is of a union that is an enum");
    } else if (is_scalar(base) && from.index() >= 0) {
      type.enumeration = enum_of(from, where);
      if (type.enumeration->is_union || type.enumeration->underlying != base) bad(where, "is not of its enum's type");
    } else if (!is_scalar(base) && base != reflection::String) {
      bad(where, "is of a type that is none, or that flatdb does not support (64-bit vectors)");
    }
  }

  Type type(const reflection::Type &from, const std::string &where) {
    Type type;
    type.base = base_of(from);
    if (type.base == reflection::Vector || type.base == reflection::Array) {
      type.element = element_of(from);
      target(from, type.element, type, where);
      if (type.base == reflection::Array) {
        type.length = from.fixed_length();
        if (!type.length) bad(where, "is an array of no length");
      }
    } else {
      target(from, type.base, type, where);
    }
    return type;
  }

  void enumeration(const reflection::Enum &from, Enum &to) {
    to.is_union = from.is_union();
    to.underlying = base_of(*from.underlying_type());
    to.attributes = attributes(from.attributes(), to.name);
    to.bit_flags = has(to.attributes, "bit_flags");
    if (!is_integer(to.underlying) || to.is_union != (to.underlying == reflection::UType)) {
      bad(to.name, "is of a type that enums and unions do not have here");
    }
    if (!from.values()->size()) bad(to.name, "has no values");
    std::set<std::string> names;
    for (const reflection::EnumVal *value : *from.values()) {
      EnumValue made;
      made.name = value->name()->str();
      made.value = value->value();
      made.attributes = attributes(value->attributes(), to.name);
      std::string where = to.name + "." + made.name;
      if (!is_identifier(made.name)) bad(to.name, "has a value whose name is none");
      if (!names.insert(made.name).second) bad(where, "is there twice");
      if (!fits(made.value, to.underlying)) bad(where, "is out of range");
      if (!to.values.empty() && !less(to.values.back().value, made.value, to.underlying)) {
        bad(where, "is not in the order of values");
      }
      if (to.is_union) member(*value, made, to.values.empty(), where);
      to.values.push_back(std::move(made));
    }
  }

  static bool less(int64_t a, int64_t b, BaseType base) {
    return base == reflection::ULong ? uint64_t(a) < uint64_t(b) : a < b;
  }

  void member(const reflection::EnumVal &from, EnumValue &to, bool first, const std::string &where) {
    BaseType base = from.union_type() ? base_of(*from.union_type()) : reflection::None;
    if (first != (base == reflection::None) || first != (to.value == 0)) {
      bad(where, "is not NONE, which is a union's first member and 0, or is a second one");
    }
    if (first) return;
    if (base != reflection::Obj && base != reflection::String) bad(where, "is neither table, struct nor string");
    to.type.base = base;
    if (base == reflection::Obj) to.type.object = object_of(*from.union_type(), where);
  }

  void object(const reflection::Object &from, Object &to) {
    to.attributes = attributes(from.attributes(), to.name);
    uint32_t count = from.fields()->size();
    if (count > 0x7000) bad(to.name, "has too many fields");
    if (to.is_struct && !count) bad(to.name, "is a struct without fields");
    to.fields.resize(count);
    std::vector<bool> seen(count);
    std::set<std::string> names;
    for (const reflection::Field *field : *from.fields()) {
      std::string where = to.name + "." + field->name()->str();
      if (!is_identifier(field->name()->string_view())) bad(to.name, "has a field whose name is none");
      if (!names.insert(field->name()->str()).second) bad(where, "is there twice");
      if (field->id() >= count || seen[field->id()]) bad(where, "has an id out of range, or that of another field");
      seen[field->id()] = true;
      this->field(*field, to.fields[field->id()], to.is_struct, where);
    }
    if (to.is_struct) {
      layout(to);
    } else {
      unions(to);
    }
    if (std::count_if(to.fields.begin(), to.fields.end(), [](const Field &field) { return field.key; }) > 1) {
      bad(to.name, "has more than one key");
    }
  }

  void field(const reflection::Field &from, Field &to, bool in_struct, const std::string &where) {
    to.name = from.name()->str();
    to.type = type(*from.type(), where);
    to.id = from.id();
    to.offset = from.offset();
    to.default_integer = from.default_integer();
    to.default_real = from.default_real();
    to.deprecated = from.deprecated();
    to.required = from.required();
    to.key = from.key();
    to.optional = from.optional();
    to.attributes = attributes(from.attributes(), where);
    BaseType base = to.type.base;
    if (from.offset64()) bad(where, "uses 64-bit offsets, which flatdb does not support");
    if (!in_struct && to.offset != 4 + 2 * to.id) bad(where, "has an offset that is not that of its id");
    if (!in_struct && base == reflection::Array) bad(where, "is an array, which only structs have");
    if (in_struct &&
        (base == reflection::String || base == reflection::Vector || base == reflection::Union ||
         base == reflection::UType || to.type.element == reflection::String || to.type.element == reflection::Union ||
         to.type.element == reflection::UType || (to.type.object && !to.type.object->is_struct))) {
      bad(where, "is of a type that structs do not have");
    }
    if (to.required && (to.optional || is_scalar(base) || in_struct)) bad(where, "cannot be required");
    if (to.optional && in_struct) bad(where, "cannot be optional");
    if (to.key && !is_scalar(base) && base != reflection::String && base != reflection::Array &&
        !(in_struct || base == reflection::Obj)) {
      bad(where, "cannot be a key");
    }
    for (const auto &attribute : to.attributes) {
      if (attribute.first == "hash" &&
          !is_hash(attribute.second, base == reflection::Vector ? to.type.element : base)) {
        bad(where, "has an attribute hash that is none for its type");
      }
    }
    /* Of ulong there is only the half that the schema's signed integer has room for. */
    bool negative = base == reflection::ULong && to.default_integer < 0;
    if (negative || (is_integer(base) && !fits(to.default_integer, base))) bad(where, "has a default out of range");
    if (base == reflection::Float && std::isfinite(to.default_real) &&
        std::fabs(to.default_real) > double(std::numeric_limits<float>::max())) {
      bad(where, "has a default out of range");
    }
  }

  /* A union's type is stored in the field before it. */
  void unions(const Object &object) {
    for (size_t i = 0; i < object.fields.size(); ++i) {
      const Field &field = object.fields[i];
      bool vector = field.type.base == reflection::Vector;
      BaseType base = vector ? field.type.element : field.type.base;
      if (base == reflection::Union) {
        const Field *before = i ? &object.fields[i - 1] : nullptr;
        if (!before || before->name != field.name + "_type" || before->type.enumeration != field.type.enumeration ||
            before->type.base != (vector ? reflection::Vector : reflection::UType) ||
            (vector && before->type.element != reflection::UType)) {
          bad(object.name + "." + field.name, "is a union whose type is not stored before it");
        }
      } else if (base == reflection::UType) {
        const Field *after = i + 1 < object.fields.size() ? &object.fields[i + 1] : nullptr;
        BaseType follows = !after ? reflection::None : vector ? after->type.element : after->type.base;
        if (follows != reflection::Union) bad(object.name + "." + field.name, "is the type of no union");
      }
    }
  }

  /* FlatBuffers' layout of a struct: each field at the next place that its alignment allows. */
  void layout(const Object &object) {
    uint64_t end = 0;
    uint32_t align = 1;
    for (const Field &field : object.fields) {
      uint32_t of_field = inline_align(field.type);
      uint64_t at = (end + of_field - 1) / of_field * of_field;
      if (field.offset != at) bad(object.name + "." + field.name, "is not where structs have it");
      end = at + uint64_t(inline_size(field.type.base == reflection::Array ? field.type.of_element() : field.type)) *
                     (field.type.base == reflection::Array ? field.type.length : 1);
      align = std::max(align, of_field);
    }
    if (object.align < align || (end + object.align - 1) / object.align * object.align != object.size) {
      bad(object.name, "has a size or an alignment that is not that of its fields");
    }
  }

  void end_of_structs(const Object &object, unsigned depth) {
    if (!depth) bad(object.name, "contains itself, or structs in structs too deep");
    for (const Field &field : object.fields) {
      if (field.type.object) end_of_structs(*field.type.object, depth - 1);
    }
  }

  const reflection::Schema &schema_;
  Model &model_;
};

/* Writes what Reader reads. Names are stored once. */
class Writer {
 public:
  explicit Writer(const Model &model) : model_(model) {}

  std::string write(const Object &root) {
    std::vector<flatbuffers::Offset<reflection::Object>> objects;
    for (const Object &each : model_.objects) objects.push_back(object(each));
    std::vector<flatbuffers::Offset<reflection::Enum>> enums;
    for (const Enum &each : model_.enums) enums.push_back(enumeration(each));
    auto objects_at = builder_.CreateVector(objects);
    auto enums_at = builder_.CreateVector(enums);
    auto identifier = builder_.CreateString(model_.identifier);
    auto extension = builder_.CreateString(model_.extension);
    auto schema = reflection::CreateSchema(builder_, objects_at, enums_at, identifier, extension,
                                           objects[size_t(&root - model_.objects.data())]);
    builder_.Finish(schema, reflection::SchemaIdentifier());
    return {reinterpret_cast<const char *>(builder_.GetBufferPointer()), builder_.GetSize()};
  }

 private:
  using AttributesAt = flatbuffers::Offset<flatbuffers::Vector<flatbuffers::Offset<reflection::KeyValue>>>;

  AttributesAt attributes(const Attributes &from) {
    if (from.empty()) return 0;
    std::vector<flatbuffers::Offset<reflection::KeyValue>> pairs;
    for (const auto &pair : from) {
      auto key = builder_.CreateSharedString(pair.first);
      auto value = builder_.CreateSharedString(pair.second);
      pairs.push_back(reflection::CreateKeyValue(builder_, key, value));
    }
    return builder_.CreateVector(pairs);
  }

  flatbuffers::Offset<reflection::Type> type(const Type &from) {
    int32_t index = from.object        ? int32_t(from.object - model_.objects.data())
                    : from.enumeration ? int32_t(from.enumeration - model_.enums.data())
                                       : -1;
    bool many = from.base == reflection::Vector || from.base == reflection::Array;
    return reflection::CreateType(builder_, from.base, from.element, index, from.length, size_of(from.base),
                                  many ? inline_size(from.of_element()) : 0);
  }

  flatbuffers::Offset<reflection::Object> object(const Object &from) {
    std::vector<const Field *> by_name;
    for (const Field &field : from.fields) by_name.push_back(&field);
    std::sort(by_name.begin(), by_name.end(), [](const Field *a, const Field *b) { return a->name < b->name; });
    std::vector<flatbuffers::Offset<reflection::Field>> fields;
    for (const Field *each : by_name) fields.push_back(field(*each));
    auto name = builder_.CreateSharedString(from.name);
    auto fields_at = builder_.CreateVector(fields);
    auto attributes_at = attributes(from.attributes);
    return reflection::CreateObject(builder_, name, fields_at, from.is_struct, int32_t(from.align), int32_t(from.size),
                                    attributes_at);
  }

  flatbuffers::Offset<reflection::Field> field(const Field &from) {
    auto name = builder_.CreateSharedString(from.name);
    auto type_at = type(from.type);
    auto attributes_at = attributes(from.attributes);
    return reflection::CreateField(builder_, name, type_at, from.id, from.offset, from.default_integer,
                                   from.default_real, from.deprecated, from.required, from.key, attributes_at, 0,
                                   from.optional);
  }

  flatbuffers::Offset<reflection::Enum> enumeration(const Enum &from) {
    std::vector<flatbuffers::Offset<reflection::EnumVal>> values;
    for (const EnumValue &value : from.values) {
      auto name = builder_.CreateSharedString(value.name);
      auto type_at = type(value.type);
      auto attributes_at = attributes(value.attributes);
      values.push_back(reflection::CreateEnumVal(builder_, name, value.value, type_at, 0, attributes_at));
    }
    auto name = builder_.CreateSharedString(from.name);
    auto values_at = builder_.CreateVector(values);
    Type underlying;
    underlying.base = from.underlying;
    underlying.enumeration = &from;
    auto type_at = type(underlying);
    auto attributes_at = attributes(from.attributes);
    return reflection::CreateEnum(builder_, name, values_at, from.is_union, type_at, attributes_at);
  }

  const Model &model_;
  flatbuffers::FlatBufferBuilder builder_;
};

}  // namespace

void read_binary_schema(const std::string &binary, Model &model, std::string &root) {
  if (binary.size() > LARGEST_SCHEMA) fail(FLATDB_BAD_SCHEMA, "the binary schema is larger than 64 MiB");
  flatbuffers::Verifier verifier(reinterpret_cast<const uint8_t *>(binary.data()), binary.size());
  if (!reflection::VerifySchemaBuffer(verifier)) bad("an offset", "is wrong");
  const reflection::Schema &schema = *reflection::GetSchema(binary.data());
  Reader(schema, model).read();
  root = schema.root_table() ? schema.root_table()->name()->str() : "";
}

std::string write_binary_schema(const Model &model, const Object &root) { return Writer(model).write(root); }

}  // namespace flatdb
