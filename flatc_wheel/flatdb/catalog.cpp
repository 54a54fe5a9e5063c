#include "catalog.h"

#include <algorithm>

#include "expression.h"
#include "json_value.h"

namespace flatdb {
namespace {

constexpr char DATABASE[] = "__tables__";
constexpr int64_t FORMAT = 1;
constexpr const char *VALUES[] = {"flatbuffers", "bytes", "string", "json", "msgpack", "pickle", "numpy", "dataclass"};

/* The members of an object, each taken once by its name; what is left over at the end is not known here. */
class Members {
 public:
  using Kind = JsonNode::Kind;

  Members(const JsonNode &node, std::string what) : what_(std::move(what)) {
    if (node.kind != Kind::Object) wrong("it is no JSON object");
    members_ = node.members;
  }

  std::optional<JsonNode> take(const char *name, Kind kind) {
    for (auto at = members_.begin(); at != members_.end(); ++at) {
      if (at->first != name) continue;
      JsonNode node = std::move(at->second);
      members_.erase(at);
      if (node.kind != kind) wrong(std::string("\"") + name + "\" is of a wrong type");
      return node;
    }
    return std::nullopt;
  }

  JsonNode need(const char *name, Kind kind) {
    std::optional<JsonNode> node = take(name, kind);
    if (!node) wrong(std::string("it has no \"") + name + "\"");
    return *std::move(node);
  }

  uint64_t need_count(const char *name) {
    const int64_t count = need(name, Kind::Integer).integer;
    if (count < 0) wrong(std::string("\"") + name + "\" is negative");
    return static_cast<uint64_t>(count);
  }

  std::optional<std::vector<std::string>> take_strings(const char *name) {
    const std::optional<JsonNode> node = take(name, Kind::Array);
    if (!node) return std::nullopt;
    std::vector<std::string> strings;
    for (const JsonNode &item : node->items) {
      if (item.kind != Kind::String) wrong(std::string("\"") + name + "\" is of a wrong type");
      strings.push_back(item.string);
    }
    return strings;
  }

  KeyCodec need_codec() {
    const std::string name = need("key", Kind::String).string;
    try {
      return KeyCodec(std::string_view(name));
    } catch (const Failure &failure) {
      wrong(failure.text());
    }
  }

  void end() const {
    if (!members_.empty()) wrong("it has \"" + members_.front().first + "\", which this version does not know");
  }

  [[noreturn]] void wrong(const std::string &why) const { fail(FLATDB_BAD_TABLE, what_ + ": " + why); }

 private:
  std::string what_;
  std::vector<std::pair<std::string, JsonNode>> members_;
};

JsonNode parse(std::string_view json, const std::string &what) {
  try {
    return read_json_value(json);
  } catch (const Failure &failure) {
    fail(FLATDB_BAD_TABLE, what + " is no JSON, " + failure.text());
  }
}

std::string strings_json(const std::vector<std::string> &strings) {
  std::string text = "[";
  for (const std::string &string : strings) {
    if (text.size() > 1) text += ", ";
    append_json(text, string);
  }
  return text + "]";
}

std::string schema_key(const TableEntry &entry) {
  std::string key = entry.name;
  key.push_back('\0');
  for (int shift = 24; shift >= 0; shift -= 8) key.push_back(static_cast<char>(entry.schema >> shift));
  return key;
}

std::string import_key(const std::string &table, const std::string &file) { return table + '\x01' + file; }

IndexEntry read_index(const std::string &table, const std::string &name, const JsonNode &node) {
  Members members(node, "the catalog's entry of the index " + index_database(table, name));
  IndexEntry index;
  index.name = name;
  index.key = members.need_codec();
  index.unique = members.need("unique", JsonNode::Kind::Bool).integer != 0;
  const std::optional<std::vector<std::string>> fields = members.take_strings("fields");
  const std::optional<JsonNode> function = members.take("function", JsonNode::Kind::String);
  if (fields.has_value() == function.has_value()) members.wrong("it has one of \"fields\" and \"function\"");
  if (function) index.function = function->string;
  if (fields) index.fields = *fields;
  if (fields && fields->size() != index.key.parts().size()) members.wrong("its key has as many parts as \"fields\"");
  members.end();
  return index;
}

}  // namespace

const IndexEntry *TableEntry::index(std::string_view index_name) const {
  for (const IndexEntry &index : indexes)
    if (index.name == index_name) return &index;
  return nullptr;
}

std::string index_database(const std::string &table, const std::string &index) { return table + ":" + index; }

std::string index_text(const IndexEntry &index) {
  const std::string of = index.function.empty() ? expression_text(index.key, index.fields) : index.function;
  return index.name + (index.unique ? " (unique): " : ": ") + of;
}

void check_name(std::string_view name, const char *what) {
  const bool control = std::any_of(name.begin(), name.end(), [](char c) { return static_cast<unsigned char>(c) < 32; });
  if (name.empty() || control || name.find(':') != std::string_view::npos || name.substr(0, 2) == "__")
    fail(FLATDB_BAD_ARGUMENT,
         "\"" + std::string(name) + "\" cannot name " + what +
             ": names are not empty, without control characters and colons, and do not begin with \"__\"");
}

TableEntry read_entry(const std::string &name, std::string_view json) {
  using Kind = JsonNode::Kind;
  const std::string what = "the catalog's entry of the table " + name;
  Members members(parse(json, what), what);
  const int64_t format = members.need("format", Kind::Integer).integer;
  if (format != FORMAT)
    members.wrong("it is of format " + std::to_string(format) + ", and this version reads format " +
                  std::to_string(FORMAT) + ": use a newer one");
  TableEntry entry;
  entry.name = name;
  entry.key = members.need_codec();
  entry.fields = members.take_strings("fields");
  if (entry.fields && !entry.fields->empty() && entry.fields->size() != entry.key.parts().size())
    members.wrong("its key has as many parts as \"fields\"");
  entry.value = members.need("value", Kind::String).string;
  if (std::find(std::begin(VALUES), std::end(VALUES), entry.value) == std::end(VALUES))
    members.wrong("\"" + entry.value + "\" is no codec of values that this version knows");
  if (entry.value == "flatbuffers") {
    entry.root = members.need("root", Kind::String).string;
    const uint64_t version = members.need_count("schema");
    if (version == 0 || version > UINT32_MAX) members.wrong("\"schema\" is no version, which are counted from 1");
    entry.schema = static_cast<uint32_t>(version);
  }
  if (entry.value == "numpy" || entry.value == "dataclass") entry.type = members.need("type", Kind::String).string;
  for (const auto &[index, node] : members.need("indexes", Kind::Object).members)
    entry.indexes.push_back(read_index(name, index, node));
  members.end();
  std::sort(entry.indexes.begin(), entry.indexes.end(), [](const auto &a, const auto &b) { return a.name < b.name; });
  return entry;
}

std::string write_entry(const TableEntry &entry) {
  std::string text = "{\"format\": " + std::to_string(FORMAT) + ", \"key\": ";
  append_json(text, entry.key.name());
  if (entry.fields) text += ", \"fields\": " + strings_json(*entry.fields);
  text += ", \"value\": ";
  append_json(text, entry.value);
  if (entry.value == "flatbuffers") {
    text += ", \"root\": ";
    append_json(text, entry.root);
    text += ", \"schema\": " + std::to_string(entry.schema);
  }
  if (!entry.type.empty()) {
    text += ", \"type\": ";
    append_json(text, entry.type);
  }
  text += ", \"indexes\": {";
  for (const IndexEntry &index : entry.indexes) {
    if (&index != &entry.indexes.front()) text += ", ";
    append_json(text, index.name);
    text += ": {\"key\": ";
    append_json(text, index.key.name());
    if (index.function.empty()) {
      text += ", \"fields\": " + strings_json(index.fields);
    } else {
      text += ", \"function\": ";
      append_json(text, index.function);
    }
    text += std::string(", \"unique\": ") + (index.unique ? "true" : "false") + "}";
  }
  return text + "}}";
}

Catalog::Catalog(MDB_txn *txn, bool make)
    : txn_(txn), exists_(open_database(txn, DATABASE, make ? MDB_CREATE : 0, &dbi_)) {}

std::vector<std::string> Catalog::tables() const {
  std::vector<std::string> names;
  if (!exists_) return names;
  Cursor cursor(txn_, dbi_);
  MDB_val key, value;
  for (bool more = cursor.move(key, value, MDB_FIRST); more; more = cursor.move(key, value, MDB_NEXT)) {
    // A name has no byte below 32; what is behind one belongs to the table.
    const bool name =
        std::all_of(view(key).begin(), view(key).end(), [](char c) { return static_cast<unsigned char>(c) >= 32; });
    if (name) names.emplace_back(view(key));
  }
  return names;
}

std::optional<TableEntry> Catalog::find(const std::string &name) const {
  std::string_view json;
  if (!exists_ || !get(txn_, dbi_, name, &json)) return std::nullopt;
  return read_entry(name, json);
}

TableEntry Catalog::at(const std::string &name) const {
  if (std::optional<TableEntry> entry = find(name)) return *std::move(entry);
  std::string known;
  for (const std::string &table : tables()) known += (known.empty() ? "" : ", ") + table;
  fail(FLATDB_BAD_TABLE, "there is no table " + name + ": the environment has " + (known.empty() ? "none" : known));
}

void Catalog::put(const std::string &key, std::string_view value) {
  MDB_val name = value_of(key), data = value_of(value);
  const int code = mdb_put(txn_, dbi_, &name, &data, 0);
  if (code != 0) fail_by_lmdb(code, "write to the catalog");
}

void Catalog::put(const TableEntry &entry) { put(entry.name, write_entry(entry)); }

SchemaPointer Catalog::schema(const TableEntry &entry) const {
  const std::string what = "the schema of the table " + entry.name + ", version " + std::to_string(entry.schema);
  std::string_view binary;
  if (entry.value != "flatbuffers")
    fail(FLATDB_BAD_TABLE, "the values of the table " + entry.name + " are of the codec " + entry.value +
                               ", which only Python reads: see lmdb_bindings.tables");
  if (!exists_ || !get(txn_, dbi_, schema_key(entry), &binary))
    fail(FLATDB_BAD_TABLE, what + ", is not in the catalog");
  flatdb_schema *schema = nullptr;
  flatdb_error error;
  if (flatdb_schema_new(binary.data(), binary.size(), entry.name.c_str(), nullptr, entry.root.c_str(), &schema,
                        &error) != 0)
    fail(error.code, what + ": " + error.text);
  return {schema, flatdb_schema_free};
}

void Catalog::put_schema(const TableEntry &entry, std::string_view binary) { put(schema_key(entry), binary); }

std::optional<ImportState> Catalog::import_state(const std::string &table, const std::string &file) const {
  using Kind = JsonNode::Kind;
  std::string_view json;
  if (!exists_ || !get(txn_, dbi_, import_key(table, file), &json)) return std::nullopt;
  const std::string what = "what the catalog has of the import of " + file;
  Members members(parse(json, what), what);
  ImportState state;
  state.position.offset = members.need_count("offset");
  state.position.line = members.need_count("line");
  state.position.array = members.need("array", Kind::Bool).integer != 0;
  state.records = members.need_count("records");
  state.size = members.need_count("size");
  state.mtime = members.need("mtime", Kind::Integer).integer;
  if (state.position.offset > state.size)
    members.wrong("\"offset\" is behind the file's end");  // nothing would be read
  members.end();
  return state;
}

void Catalog::put_import_state(const std::string &table, const std::string &file, const ImportState &state) {
  put(import_key(table, file), "{\"offset\": " + std::to_string(state.position.offset) +
                                   ", \"line\": " + std::to_string(state.position.line) +
                                   ", \"array\": " + (state.position.array ? "true" : "false") +
                                   ", \"records\": " + std::to_string(state.records) +
                                   ", \"size\": " + std::to_string(state.size) +
                                   ", \"mtime\": " + std::to_string(state.mtime) + "}");
}

void Catalog::remove_import_state(const std::string &table, const std::string &file) {
  const std::string key = import_key(table, file);
  MDB_val name = value_of(key);
  found(mdb_del(txn_, dbi_, &name, nullptr), "write to the catalog");
}

}  // namespace flatdb
