/* Schemas from text or binary, and what is asked of them. */
#include "schema.h"

#include <algorithm>
#include <set>

#include "decimal_point.h"
#include "flatbuffers/idl.h"
#include "flatbuffers/util.h"
#include "json.h"

namespace flatdb {
namespace {

/* Whether bytes are a binary schema: their identifier says so. */
bool is_binary(const std::string &data) { return data.size() >= 8 && data.compare(4, 4, "BFBS") == 0; }

/* Binary schemas have no place for defaults beyond what a signed integer holds: FlatBuffers would store another one. */
void refuse_large_defaults(const flatbuffers::Parser &parser) {
  for (const flatbuffers::StructDef *object : parser.structs_.vec) {
    for (const flatbuffers::FieldDef *field : object->fields.vec) {
      uint64_t value = 0;
      if (field->value.type.base_type == flatbuffers::BASE_TYPE_ULONG &&
          flatbuffers::StringToNumber(field->value.constant.c_str(), &value) && value > uint64_t(INT64_MAX)) {
        fail(FLATDB_BAD_SCHEMA, object->name + "." + field->name + " has the default " + field->value.constant +
                                    ", which a binary schema cannot hold: the largest is 9223372036854775807");
      }
    }
  }
}

/* Parse a schema's text, as flatc does, to a binary schema. */
std::string parse_text(const std::string &text, const char *file, const char *const *include) {
  size_t nul = text.find('\0');
  if (nul != std::string::npos) {
    fail(FLATDB_BAD_SCHEMA, std::string(file) + " is neither the text of a schema (.fbs), since it has a NUL at byte " +
                                std::to_string(nul) + ", nor a binary one (.bfbs)");
  }
  flatbuffers::IDLOptions options;
  options.binary_schema_builtins = true;
  options.no_warnings = true;
  /* What only some languages' generated code supports: unions of structs and strings, arrays, optional scalars. */
  options.lang_to_generate = flatbuffers::IDLOptions::kJson;
  std::vector<const char *> folders;
  for (; include && *include; ++include) folders.push_back(*include);
  folders.push_back(nullptr);
  DecimalPoint point;
  try {
    flatbuffers::Parser parser(options);
    if (!parser.Parse(text.c_str(), folders.data(), file)) fail(FLATDB_BAD_SCHEMA, parser.error_);
    refuse_large_defaults(parser);
    parser.Serialize();
    return {reinterpret_cast<const char *>(parser.builder_.GetBufferPointer()), parser.builder_.GetSize()};
  } catch (const Unexpected &unexpected) {
    fail(FLATDB_BAD_SCHEMA,
         std::string(file) + " is no schema that FlatBuffers' parser can read (" + unexpected.what() + ")");
  }
}

/* The names of all tables, for a message. */
std::string tables_of(const Model &model) {
  std::string names;
  for (const Object &object : model.objects) {
    if (!object.is_struct) names += (names.empty() ? "" : ", ") + object.name;
  }
  return names.empty() ? "none" : names;
}

const Object *find_root(const Model &model, const std::string &name, bool asked) {
  if (name.empty()) {
    fail(FLATDB_BAD_SCHEMA,
         "the schema has no root_type: add one to it, or name the table that records are. It has: " + tables_of(model));
  }
  const Object *root = model.find(name);
  if (!root) {
    fail(asked ? FLATDB_BAD_ARGUMENT : FLATDB_BAD_SCHEMA,
         "the schema has no table " + name + " (with its namespace). It has: " + tables_of(model));
  }
  if (root->is_struct) {
    fail(asked ? FLATDB_BAD_ARGUMENT : FLATDB_BAD_SCHEMA,
         name + " is a struct: records are tables, which can grow. The schema has: " + tables_of(model));
  }
  return root;
}

}  // namespace

const Field *Object::find(std::string_view field) const {
  for (const Field &each : fields) {
    if (each.name == field) return &each;
  }
  return nullptr;
}

const EnumValue *Enum::find(int64_t value) const {
  bool is_unsigned = underlying == reflection::ULong;
  auto at = std::lower_bound(values.begin(), values.end(), value, [&](const EnumValue &each, int64_t wanted) {
    return is_unsigned ? uint64_t(each.value) < uint64_t(wanted) : each.value < wanted;
  });
  return at != values.end() && at->value == value ? &*at : nullptr;
}

namespace {
template <typename T>
const T *find_named(const std::vector<T> &all, std::string_view name) {
  auto at = std::lower_bound(all.begin(), all.end(), name,
                             [](const T &each, std::string_view name) { return each.name < name; });
  return at != all.end() && at->name == name ? &*at : nullptr;
}
}  // namespace

const Object *Model::find(std::string_view name) const { return find_named(objects, name); }
const Enum *Model::find_enum(std::string_view name) const { return find_named(enums, name); }

uint32_t size_of(BaseType base) {
  switch (base) {
    case reflection::UType:
    case reflection::Bool:
    case reflection::Byte:
    case reflection::UByte: return 1;
    case reflection::Short:
    case reflection::UShort: return 2;
    case reflection::Long:
    case reflection::ULong:
    case reflection::Double: return 8;
    default: return 4;
  }
}

uint32_t inline_size(const Type &type) {
  if (type.base == reflection::Array) return inline_size(type.of_element()) * type.length;
  if (type.base == reflection::Obj && type.object->is_struct) return type.object->size;
  return size_of(type.base);
}

uint32_t inline_align(const Type &type) {
  if (type.base == reflection::Array) return inline_align(type.of_element());
  if (type.base == reflection::Obj && type.object->is_struct) return type.object->align;
  return size_of(type.base);
}

std::string name_of(const Type &type) {
  static const char *const names[] = {"none",   "utype",  "bool",   "byte",   "ubyte", "short",
                                      "ushort", "int",    "uint",   "long",   "ulong", "float",
                                      "double", "string", "vector", "object", "union", "array"};
  if (type.base == reflection::Vector) return "[" + name_of(type.of_element()) + "]";
  if (type.base == reflection::Array) return "[" + name_of(type.of_element()) + ":" + std::to_string(type.length) + "]";
  if (type.object) return type.object->name;
  if (type.enumeration) return type.enumeration->name;
  return names[type.base];
}

std::vector<const Field *> find_path(const Object &root, std::string_view path) {
  std::vector<const Field *> fields;
  const Object *object = &root;
  for (std::string_view rest = path;;) {
    size_t dot = rest.find('.');
    std::string name(rest.substr(0, dot));
    const Field *field = object->find(name);
    if (!field) {
      std::string names;
      for (const Field &each : object->fields) names += (names.empty() ? "" : ", ") + each.name;
      fail(FLATDB_BAD_ARGUMENT,
           "there is no field '" + name + "' in " + object->name + " ('" + std::string(path) + "'). It has: " + names);
    }
    fields.push_back(field);
    if (dot == std::string_view::npos) return fields;
    if (field->type.base != reflection::Obj) {
      fail(FLATDB_BAD_ARGUMENT, "'" + name + "' of " + object->name + " is of type " + name_of(field->type) +
                                    ", which has no fields ('" + std::string(path) + "')");
    }
    object = field->type.object;
    rest.remove_prefix(dot + 1);
  }
}

}  // namespace flatdb

flatdb_schema::flatdb_schema() = default;
flatdb_schema::~flatdb_schema() = default;

int flatdb_schema_new(const void *data, size_t size, const char *file, const char *const *include, const char *root,
                      flatdb_schema **schema, flatdb_error *error) {
  return flatdb::guarded(error, [&] {
    if (!data || !schema) flatdb::fail(FLATDB_BAD_ARGUMENT, "flatdb_schema_new needs data, and a place for the schema");
    *schema = nullptr;
    std::string binary(static_cast<const char *>(data), size);
    if (!flatdb::is_binary(binary)) binary = flatdb::parse_text(binary, file ? file : "schema.fbs", include);
    auto made = std::make_unique<flatdb_schema>();
    std::string of_schema;
    flatdb::read_binary_schema(binary, made->model, of_schema);
    made->root = flatdb::find_root(made->model, root ? root : of_schema, root != nullptr);
    made->binary = flatdb::write_binary_schema(made->model, *made->root);
    made->reader = std::make_unique<flatdb::JsonReader>(*made);
    *schema = made.release();
  });
}

void flatdb_schema_free(flatdb_schema *schema) { delete schema; }

const void *flatdb_schema_binary(const flatdb_schema *schema, size_t *size) {
  if (size) *size = schema->binary.size();
  return schema->binary.data();
}

const char *flatdb_schema_root(const flatdb_schema *schema) { return schema->root->name.c_str(); }
