/* Records to columns, in one pass: a tree of columns made of the schema, to each of which a record gives an element.
 *
 * Of a record only what is selected is looked at, so nothing is verified before; instead each access is checked where
 * it happens (record.h), and what is wrong ends the batch before anything of it is handed out. */
#include <algorithm>
#include <functional>
#include <map>

#include "arrow.h"
#include "keys.h"
#include "record.h"
#include "utf8.h"

namespace flatdb {
namespace {

constexpr unsigned DEEPEST = 64;                       /* columns in columns */
constexpr unsigned MOST_COLUMNS = 100000;              /* a schema may be a tree that doubles with each level */
constexpr uint64_t LARGEST_RECORD = uint64_t(1) << 30; /* bytes of columns that one record may become: it may name one
                                                          table or string many times over */

/* The columns of one batch in the making: what a record has been turned into. */
struct Spent {
  uint64_t bytes = 0;
  void add(uint64_t more) {
    bytes += more;
    if (bytes > LARGEST_RECORD) bad_record("its columns would be larger than 1 GiB");
  }
};

/* One column, or one level of one. Exactly one element is added by each call of value(), absent() or filler(). */
class Column {
 public:
  Column(std::string name, std::string format, bool nullable)
      : name_(std::move(name)), format_(std::move(format)), nullable_(nullable) {}
  virtual ~Column() = default;

  /* The value at a position: a scalar or struct itself, else what the offset points to. Structs are known to be
   * inside. */
  virtual void value(Bytes record, uint32_t at) = 0;
  /* What is under an element that is null or of another type: null, or anything where nulls are not announced. */
  virtual void filler() = 0;
  /* A field that is not stored. */
  virtual void absent() {
    if (!nullable_) fail(FLATDB_BAD_RECORD, "the record lacks " + name_ + ", which it must have");
    filler();
  }
  /* Elements of a vector, each `width` bytes. */
  virtual void values(Bytes record, Vector vector, uint32_t width, bool by_offset) {
    for (uint32_t i = 0; i < vector.count; ++i) {
      uint32_t at = vector.begin + i * width;
      value(record, by_offset ? follow(record, at) : at);
    }
  }

  virtual void reserve(size_t) {}
  virtual void clear() { validity_.clear(); }

  void schema(ArrowSchema *schema) const {
    auto owned = std::make_unique<Owned<ArrowSchema>>(children().size());
    owned->format = format_;
    owned->name = name_;
    for (size_t i = 0; i < children().size(); ++i) children()[i]->schema(&owned->children[i]);
    give_schema(std::move(owned), nullable_, schema);
  }

  /* The elements, which leave this column empty. */
  void take(ArrowArray *array) {
    auto owned = std::make_unique<Owned<ArrowArray>>(children().size());
    int64_t length = validity_.length(), nulls = validity_.nulls();
    owned->buffers.push_back(validity_.take());
    take_buffers(owned->buffers);
    for (size_t i = 0; i < children().size(); ++i) children()[i]->take(&owned->children[i]);
    give_array(std::move(owned), length, nulls, array);
  }

 protected:
  using Children = std::vector<std::unique_ptr<Column>>;
  virtual const Children &children() const {
    static const Children none;
    return none;
  }
  virtual void take_buffers(std::vector<Buffer> &) {}

  void valid() { validity_.add_valid(); }
  void null() { nullable_ ? validity_.add_null() : validity_.add_valid(); }

  const std::string name_, format_;
  const bool nullable_;
  Validity validity_;
};

template <typename T>
class ScalarColumn : public Column {
 public:
  ScalarColumn(std::string name, std::string format, bool nullable, bool optional, T by_default)
      : Column(std::move(name), std::move(format), nullable), optional_(optional), default_(by_default) {}

  void add(T value) {
    data_.add(value);
    valid();
  }
  void value(Bytes record, uint32_t at) override { add(load<T>(record.data + at)); }
  void filler() override {
    data_.add(T());
    null();
  }
  void absent() override { optional_ ? filler() : add(default_); }
  void values(Bytes record, Vector vector, uint32_t width, bool by_offset) override {
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    (void)width, (void)by_offset;
    data_.add(record.data + vector.begin, size_t(vector.count) * sizeof(T));
    validity_.add_valid(vector.count);
#else
    Column::values(record, vector, width, by_offset);
#endif
  }
  void reserve(size_t count) override { data_.reserve(count * sizeof(T)); }
  void clear() override {
    Column::clear();
    data_.clear();
  }

 protected:
  void take_buffers(std::vector<Buffer> &buffers) override {
    data_.reserve(1);
    buffers.push_back(std::move(data_));
    data_ = Buffer();
  }

 private:
  const bool optional_;
  const T default_;
  Buffer data_;
};

class BoolColumn : public Column {
 public:
  BoolColumn(std::string name, bool nullable, bool optional, bool by_default)
      : Column(std::move(name), "b", nullable), optional_(optional), default_(by_default) {}

  void add(bool value) {
    bits_.add(value);
    valid();
  }
  void value(Bytes record, uint32_t at) override { add(record.data[at] != 0); }
  void filler() override {
    bits_.add(false);
    null();
  }
  void absent() override { optional_ ? filler() : add(default_); }
  void reserve(size_t count) override { bits_.reserve(count); }
  void clear() override {
    Column::clear();
    bits_.clear();
  }

 protected:
  void take_buffers(std::vector<Buffer> &buffers) override { buffers.push_back(bits_.take()); }

 private:
  const bool optional_, default_;
  Bits bits_;
};

/* Where each element of a string or a list ends: n + 1 numbers for n elements, the first of them 0. */
class Ends {
 public:
  void add(int64_t end) {
    if (!ends_.size()) ends_.add(int64_t(0));
    ends_.add(end);
  }
  void reserve(size_t count) { ends_.reserve((count + 1) * sizeof(int64_t)); }
  void clear() { ends_.clear(); }
  Buffer take() {
    if (!ends_.size()) ends_.add(int64_t(0));
    Buffer taken = std::move(ends_);
    ends_ = Buffer();
    return taken;
  }

 private:
  Buffer ends_;
};

/* Strings, and vectors of ubyte. */
class BytesColumn : public Column {
 public:
  BytesColumn(std::string name, bool is_text, bool nullable, Spent &spent)
      : Column(std::move(name), is_text ? "U" : "Z", nullable), is_text_(is_text), spent_(spent) {}

  void add(std::string_view bytes) {
    if (is_text_ && !is_utf8(bytes)) fail(FLATDB_BAD_RECORD, "the string " + name_ + " is not UTF-8");
    spent_.add(bytes.size() + sizeof(int64_t));
    data_.add(bytes.data(), bytes.size());
    ends_.add(int64_t(data_.size()));
    valid();
  }
  void value(Bytes record, uint32_t at) override {
    if (is_text_) return add(string_at(record, at));
    Vector vector = vector_at(record, at, 1);
    add({reinterpret_cast<const char *>(record.data + vector.begin), vector.count});
  }
  void filler() override {
    ends_.add(int64_t(data_.size()));
    null();
  }
  void reserve(size_t count) override { ends_.reserve(count); }
  void clear() override {
    Column::clear();
    data_.clear();
    ends_.clear();
  }

 protected:
  void take_buffers(std::vector<Buffer> &buffers) override {
    buffers.push_back(ends_.take());
    data_.reserve(1);
    buffers.push_back(std::move(data_));
    data_ = Buffer();
  }

 private:
  const bool is_text_;
  Spent &spent_;
  Buffer data_;
  Ends ends_;
};

/* The 16 bytes of a UUID: only keys are such. */
class UuidColumn : public Column {
 public:
  explicit UuidColumn(std::string name) : Column(std::move(name), "w:16", false) {}

  void add(const std::string &bytes) {
    data_.add(bytes.data(), bytes.size());
    valid();
  }
  void value(Bytes, uint32_t) override { bad_record("no field is a UUID"); }
  void filler() override { add(std::string(16, '\0')); }
  void clear() override {
    Column::clear();
    data_.clear();
  }

 protected:
  void take_buffers(std::vector<Buffer> &buffers) override {
    data_.reserve(1);
    buffers.push_back(std::move(data_));
    data_ = Buffer();
  }

 private:
  Buffer data_;
};

/* A column of columns. */
class NestedColumn : public Column {
 public:
  using Column::Column;
  void add(std::unique_ptr<Column> child) { children_.push_back(std::move(child)); }
  void filler() override {
    for (auto &child : children_) child->filler();
    null();
  }
  void clear() override {
    Column::clear();
    for (auto &child : children_) child->clear();
  }

 protected:
  const Children &children() const override { return children_; }
  Children children_;
};

/* A union: a struct with a child for each member, of which one at most is not null. */
class UnionColumn : public NestedColumn {
 public:
  UnionColumn(std::string name, bool nullable, Spent &spent)
      : NestedColumn(std::move(name), "+s", nullable), spent_(spent) {}

  void add_member(uint8_t value, const Type &type, std::unique_ptr<Column> child) {
    size_[value] = type.base == reflection::Obj && type.object->is_struct ? type.object->size : 4;
    place_[value] = children_.size();
    add(std::move(child));
  }

  void value(Bytes, uint32_t) override { bad_record("a union without a type"); }

  void member(Bytes record, uint32_t at, uint8_t value) {
    auto found = place_.find(value);
    if (found == place_.end()) bad_record("a union is of a type that the schema does not know");
    if (uint64_t(at) + size_[value] > record.size) bad_record("a struct is outside the record");
    spent_.add(size_[value] + children_.size());
    for (size_t i = 0; i < children_.size(); ++i)
      i == found->second ? children_[i]->value(record, at) : children_[i]->filler();
    valid();
  }

 private:
  Spent &spent_;
  std::map<uint8_t, size_t> place_;  /* member: its child */
  std::map<uint8_t, uint32_t> size_; /* member: bytes that must be there */
};

class ListColumn : public NestedColumn {
 public:
  ListColumn(std::string name, const Type &element, bool nullable, Spent &spent, std::unique_ptr<Column> child)
      : NestedColumn(std::move(name), "+L", nullable),
        width_(inline_size(element)),
        by_offset_(!is_scalar(element.base) && !(element.base == reflection::Obj && element.object->is_struct)),
        spent_(spent) {
    add(std::move(child));
  }

  void value(Bytes record, uint32_t at) override {
    Vector vector = begin(record, at);
    children_[0]->values(record, vector, width_, by_offset_);
    end(vector);
  }

  /* A vector of unions; that of their types must be as long. */
  void unions(Bytes record, uint32_t at, Vector members) {
    Vector vector = begin(record, at);
    if (members.count != vector.count) bad_record("a vector of unions and that of their types differ in length");
    auto &child = static_cast<UnionColumn &>(*children_[0]);
    for (uint32_t i = 0; i < vector.count; ++i) {
      uint8_t value = record.data[members.begin + i];
      value ? child.member(record, follow(record, vector.begin + 4 * i), value) : child.filler();
    }
    end(vector);
  }

  void filler() override {
    ends_.add(length_);
    null();
  }
  void reserve(size_t count) override { ends_.reserve(count); }
  void clear() override {
    NestedColumn::clear();
    ends_.clear();
    length_ = 0;
  }

 protected:
  void take_buffers(std::vector<Buffer> &buffers) override {
    buffers.push_back(ends_.take());
    length_ = 0;
  }

 private:
  Vector begin(Bytes record, uint32_t at) {
    Vector vector = vector_at(record, at, width_);
    spent_.add(uint64_t(vector.count) * width_ + sizeof(int64_t));
    return vector;
  }
  void end(Vector vector) {
    length_ += vector.count;
    ends_.add(length_);
    valid();
  }

  const uint32_t width_;
  const bool by_offset_;
  Spent &spent_;
  int64_t length_ = 0;
  Ends ends_;
};

class FixedListColumn : public NestedColumn {
 public:
  FixedListColumn(std::string name, const Type &type, bool nullable, std::unique_ptr<Column> child)
      : NestedColumn(std::move(name), "+w:" + std::to_string(type.length), nullable),
        count_(type.length),
        width_(inline_size(type.of_element())) {
    add(std::move(child));
  }

  void value(Bytes record, uint32_t at) override {
    children_[0]->values(record, {at, count_}, width_, false);
    valid();
  }
  void filler() override {
    for (uint32_t i = 0; i < count_; ++i) children_[0]->filler();
    null();
  }

 private:
  const uint32_t count_, width_;
};

/* A field of a table, and its column. */
class Slot {
 public:
  /* `before` is the field of a union's type. */
  Slot(const Field &field, const Field *before, Column &column)
      : column_(&column),
        offset_(field.offset),
        type_offset_(before ? before->offset : uint16_t(0)),
        width_(inline_size(field.type)),
        kind_(before ? (field.type.base == reflection::Union ? UNION : UNIONS)
              : is_scalar(field.type.base) || (field.type.base == reflection::Obj && field.type.object->is_struct)
                  ? INLINE
                  : OFFSET) {}

  void add(const Table &table) {
    uint32_t at = table.field(offset_, width_);
    Bytes record = table.record;
    switch (kind_) {
      case INLINE: return at ? column_->value(record, at) : column_->absent();
      case OFFSET: return at ? column_->value(record, follow(record, at)) : column_->absent();
      case UNION: {
        uint32_t type = table.field(type_offset_, 1);
        uint8_t value = type ? record.data[type] : 0;
        if (value && !at) bad_record("a union has a type and no value");
        return value ? static_cast<UnionColumn *>(column_)->member(record, follow(record, at), value)
                     : column_->absent();
      }
      case UNIONS: {
        uint32_t types = table.field(type_offset_, 4);
        if (!at) return column_->absent();
        Vector members = types ? vector_at(record, follow(record, types), 1) : Vector{0, 0};
        return static_cast<ListColumn *>(column_)->unions(record, follow(record, at), members);
      }
    }
  }

 private:
  enum Kind : uint8_t { INLINE, OFFSET, UNION, UNIONS };
  Column *column_;
  uint16_t offset_, type_offset_;
  uint32_t width_;
  Kind kind_;
};

const Field *type_of_union(const Object &object, const Field &field) {
  bool is_union = field.type.base == reflection::Union || field.type.element == reflection::Union;
  return is_union ? &object.fields[field.id - 1u] : nullptr;
}

class TableColumn : public NestedColumn {
 public:
  TableColumn(std::string name, bool nullable, Spent &spent)
      : NestedColumn(std::move(name), "+s", nullable), spent_(spent) {}

  void add_field(const Object &object, const Field &field, std::unique_ptr<Column> child) {
    slots_.emplace_back(field, type_of_union(object, field), *child);
    add(std::move(child));
  }
  void value(Bytes record, uint32_t at) override {
    Table table = table_at(record, at);
    spent_.add(table.size + 8 * slots_.size());
    for (Slot &slot : slots_) slot.add(table);
    valid();
  }

 private:
  Spent &spent_;
  std::vector<Slot> slots_;
};

class StructColumn : public NestedColumn {
 public:
  StructColumn(std::string name, bool nullable) : NestedColumn(std::move(name), "+s", nullable) {}

  void add_field(const Field &field, std::unique_ptr<Column> child) {
    offsets_.push_back(field.offset);
    add(std::move(child));
  }
  void value(Bytes record, uint32_t at) override {
    for (size_t i = 0; i < children_.size(); ++i) children_[i]->value(record, at + offsets_[i]);
    valid();
  }

 private:
  std::vector<uint32_t> offsets_;
};

/* Makes the columns of a schema's fields. */
class Maker {
 public:
  explicit Maker(Spent &spent) : spent_(spent) {}

  /* `outer`: whether the element that this is part of may be null, which makes this null too. */
  std::unique_ptr<Column> field(const Field &field, const std::string &name, bool outer, bool in_struct) {
    const Type &type = field.type;
    if (is_scalar(type.base)) {
      bool optional = field.optional && !in_struct;
      return scalar(type.base, name, outer || optional, optional, field.default_integer, field.default_real);
    }
    return of_type(type, name, outer || (!field.required && !in_struct));
  }

 private:
  std::unique_ptr<Column> of_type(const Type &type, const std::string &name, bool nullable) {
    Level level(*this, name);
    switch (type.base) {
      case reflection::String: return std::make_unique<BytesColumn>(name, true, nullable, spent_);
      case reflection::Vector:
        if (type.element == reflection::UByte && !type.enumeration) {
          return std::make_unique<BytesColumn>(name, false, nullable, spent_);
        }
        return std::make_unique<ListColumn>(name, type.of_element(), nullable, spent_,
                                            of_type(type.of_element(), "item", type.element == reflection::Union));
      case reflection::Array:
        return std::make_unique<FixedListColumn>(name, type, nullable, of_type(type.of_element(), "item", false));
      case reflection::Union: return of_union(*type.enumeration, name, nullable);
      case reflection::Obj: return of_object(*type.object, name, nullable);
      default: return scalar(type.base, name, nullable, false, 0, 0);
    }
  }

  std::unique_ptr<Column> of_union(const Enum &enumeration, const std::string &name, bool nullable) {
    auto column = std::make_unique<UnionColumn>(name, nullable, spent_);
    for (const EnumValue &member : enumeration.values) {
      if (member.value) column->add_member(uint8_t(member.value), member.type, of_type(member.type, member.name, true));
    }
    return column;
  }

  std::unique_ptr<Column> of_object(const Object &object, const std::string &name, bool nullable) {
    if (std::find(inside_.begin(), inside_.end(), &object) != inside_.end()) {
      fail(FLATDB_BAD_ARGUMENT, "'" + path() + "' cannot be a column: " + object.name +
                                    " contains itself, so it has no end. Select fields that do not");
    }
    inside_.push_back(&object);
    std::unique_ptr<Column> made;
    if (object.is_struct) {
      auto column = std::make_unique<StructColumn>(name, nullable);
      for (const Field &each : object.fields) column->add_field(each, in(each, false, true));
      made = std::move(column);
    } else {
      auto column = std::make_unique<TableColumn>(name, nullable, spent_);
      for (const Field &each : object.fields) {
        if (!each.deprecated) column->add_field(object, each, in(each, false, false));
      }
      made = std::move(column);
    }
    inside_.pop_back();
    return made;
  }

  std::unique_ptr<Column> in(const Field &each, bool outer, bool in_struct) {
    return field(each, each.name, outer, in_struct);
  }

  std::unique_ptr<Column> scalar(BaseType base, const std::string &name, bool nullable, bool optional, int64_t integer,
                                 double real) {
    Level level(*this, name);
    switch (base) {
      case reflection::Bool: return std::make_unique<BoolColumn>(name, nullable, optional, integer != 0);
      case reflection::Byte: return of<int8_t>(name, "c", nullable, optional, integer);
      case reflection::Short: return of<int16_t>(name, "s", nullable, optional, integer);
      case reflection::UShort: return of<uint16_t>(name, "S", nullable, optional, integer);
      case reflection::Int: return of<int32_t>(name, "i", nullable, optional, integer);
      case reflection::UInt: return of<uint32_t>(name, "I", nullable, optional, integer);
      case reflection::Long: return of<int64_t>(name, "l", nullable, optional, integer);
      case reflection::ULong: return of<uint64_t>(name, "L", nullable, optional, integer);
      case reflection::Float: return of<float>(name, "f", nullable, optional, real);
      case reflection::Double: return of<double>(name, "g", nullable, optional, real);
      default: return of<uint8_t>(name, "C", nullable, optional, integer);
    }
  }

  template <typename T, typename From>
  static std::unique_ptr<Column> of(const std::string &name, const char *format, bool nullable, bool optional,
                                    From by_default) {
    return std::make_unique<ScalarColumn<T>>(name, format, nullable, optional, T(by_default));
  }

  /* Counts columns and how deep they are, and knows the way to the present one for a message. */
  struct Level {
    Level(Maker &maker, const std::string &name) : maker_(maker) {
      maker.path_.push_back(name);
      if (maker.path_.size() > DEEPEST) {
        fail(FLATDB_BAD_ARGUMENT, "'" + maker.path() + "' cannot be a column: it is too deep. Select fields of it");
      }
      if (++maker.count_ > MOST_COLUMNS) {
        fail(FLATDB_BAD_ARGUMENT, "these are more than 100,000 columns: select some of the fields");
      }
    }
    ~Level() { maker_.path_.pop_back(); }
    Maker &maker_;
  };

  std::string path() const {
    std::string path;
    for (const std::string &name : path_) path += (path.empty() ? "" : ".") + name;
    return path;
  }

  Spent &spent_;
  unsigned count_ = 0;
  std::vector<std::string> path_;
  std::vector<const Object *> inside_;
};

/* A column of the batch, and the way to its field through tables and structs. */
struct Selected {
  std::vector<const Field *> way;
  std::unique_ptr<Column> column;
  Slot slot; /* in the last table of the way; not used where the last field is in a struct */

  void add(const Table &root) {
    if (way.size() == 1) return slot.add(root);
    Table table = root;
    uint32_t at = 0; /* of a struct, once the way is in one */
    for (size_t i = 0; i + 1 < way.size(); ++i) {
      const Field &field = *way[i];
      if (at) {
        at += field.offset;
        continue;
      }
      uint32_t place = table.field(field.offset, inline_size(field.type));
      if (!place && field.required) fail(FLATDB_BAD_RECORD, "the record lacks " + field.name + ", which it must have");
      if (!place) return column->filler();
      if (field.type.object->is_struct) {
        at = place;
      } else {
        table = table_at(table.record, follow(table.record, place));
      }
    }
    at ? column->value(table.record, at + way.back()->offset) : slot.add(table);
  }
};

/* One part of the keys, and its column. */
struct KeyPart {
  std::unique_ptr<Column> column;
  std::function<void(const KeyValue &)> add;
};

template <typename Made, typename Value>
KeyPart key_part(std::unique_ptr<Made> column, Value value) {
  Made *to = column.get();
  return {std::move(column), [to, value](const KeyValue &part) { to->add(value(part)); }};
}

template <typename T>
KeyPart integer_key(const std::string &name, const char *format) {
  return key_part(std::make_unique<ScalarColumn<T>>(name, format, false, false, T()),
                  [](const KeyValue &part) { return T(part.integer); });
}

template <typename T>
KeyPart real_key(const std::string &name, const char *format) {
  return key_part(std::make_unique<ScalarColumn<T>>(name, format, false, false, T()),
                  [](const KeyValue &part) { return T(part.number); });
}

KeyPart key_part(KeyType type, const std::string &name, Spent &spent) {
  switch (type) {
    case KeyType::UInt8: return integer_key<uint8_t>(name, "C");
    case KeyType::UInt16: return integer_key<uint16_t>(name, "S");
    case KeyType::UInt32: return integer_key<uint32_t>(name, "I");
    case KeyType::UInt64: return integer_key<uint64_t>(name, "L");
    case KeyType::Int8: return integer_key<int8_t>(name, "c");
    case KeyType::Int16: return integer_key<int16_t>(name, "s");
    case KeyType::Int32: return integer_key<int32_t>(name, "i");
    case KeyType::Int64: return integer_key<int64_t>(name, "l");
    case KeyType::DateTime: return integer_key<int64_t>(name, "tsu:UTC");
    case KeyType::Float32: return real_key<float>(name, "f");
    case KeyType::Float64: return real_key<double>(name, "g");
    case KeyType::Bool:
      return key_part(std::make_unique<BoolColumn>(name, false, false, false),
                      [](const KeyValue &part) { return part.integer != 0; });
    case KeyType::Uuid:
      return key_part(std::make_unique<UuidColumn>(name), [](const KeyValue &part) { return part.bytes; });
    case KeyType::String:
    case KeyType::Bytes: break;
  }
  return key_part(std::make_unique<BytesColumn>(name, type == KeyType::String, false, spent),
                  [](const KeyValue &part) { return std::string_view(part.bytes); });
}

}  // namespace
}  // namespace flatdb

struct flatdb_columns {
  flatdb::Spent spent;
  flatdb::KeyCodec codec;
  std::vector<flatdb::KeyPart> parts; /* of the keys; none where they are not asked for */
  std::vector<flatdb::KeyValue> key;
  std::vector<flatdb::Selected> selected;

  /* All of them, in order. */
  std::vector<flatdb::Column *> columns() const {
    std::vector<flatdb::Column *> all;
    for (auto &part : parts) all.push_back(part.column.get());
    for (auto &each : selected) all.push_back(each.column.get());
    return all;
  }

  std::unique_ptr<flatdb::Owned<ArrowSchema>> schema() const {
    const std::vector<flatdb::Column *> all = columns();
    auto owned = std::make_unique<flatdb::Owned<ArrowSchema>>(all.size());
    owned->format = "+s";
    for (size_t i = 0; i < all.size(); ++i) all[i]->schema(&owned->children[i]);
    return owned;
  }

  std::unique_ptr<flatdb::Owned<ArrowArray>> take() {
    const std::vector<flatdb::Column *> all = columns();
    auto owned = std::make_unique<flatdb::Owned<ArrowArray>>(all.size());
    owned->buffers.emplace_back();
    for (size_t i = 0; i < all.size(); ++i) all[i]->take(&owned->children[i]);
    return owned;
  }

  void select_key(const char *name) {
    codec = flatdb::KeyCodec(std::string_view(name));
    for (size_t i = 0; i < codec.parts().size(); ++i) {
      parts.push_back(
          flatdb::key_part(codec.parts()[i], codec.parts().size() == 1 ? "key" : "key." + std::to_string(i), spent));
    }
  }

  void select(const flatdb::Object &root, const std::string &path) {
    std::vector<const flatdb::Field *> way = flatdb::find_path(root, path);
    const flatdb::Object *owner = &root;
    bool outer = false; /* may a table or struct on the way be absent? */
    for (size_t i = 0; i + 1 < way.size(); ++i) {
      outer = outer || (!owner->is_struct && !way[i]->required);
      owner = way[i]->type.object;
    }
    const flatdb::Field &field = *way.back();
    auto column = flatdb::Maker(spent).field(field, path, outer, owner->is_struct);
    flatdb::Slot slot(field, flatdb::type_of_union(*owner, field), *column);
    selected.push_back({std::move(way), std::move(column), slot});
  }

  void add_key(const MDB_val &from) {
    if (!codec.decode({static_cast<const char *>(from.mv_data), from.mv_size}, key)) {
      flatdb::fail(FLATDB_BAD_RECORD, "its key is none of the codec " + codec.name());
    }
    for (size_t i = 0; i < parts.size(); ++i) parts[i].add(key[i]);
  }

  static constexpr size_t AHEAD = 12;  /* records */

  /* `at` is the record that it has come to. */
  void decode(const MDB_val *keys, const MDB_val *values, size_t count, size_t &at) {
    for (flatdb::Column *column : columns()) {
      column->clear();
      column->reserve(count);
    }
    for (at = 0; at < count; ++at) {
      spent.bytes = 0;
      if (!parts.empty()) add_key(keys[at]);
      if (selected.empty()) continue;
      if (at + AHEAD < count) {  /* a record that is not in the processor's cache is on its way when it is due */
        const char *ahead = static_cast<const char *>(values[at + AHEAD].mv_data);
        __builtin_prefetch(ahead);
        __builtin_prefetch(ahead + 64);
        __builtin_prefetch(ahead + 128);
      }
      flatdb::Table root = flatdb::root_of({static_cast<const uint8_t *>(values[at].mv_data), values[at].mv_size});
      for (auto &each : selected) each.add(root);
    }
  }
};

int flatdb_columns_new(const flatdb_schema *schema, const char *const *paths, size_t count, const char *key,
                       flatdb_columns **columns, flatdb_error *error) {
  return flatdb::guarded(error, [&] {
    if (!schema || (!paths && count) || !columns) {
      flatdb::fail(FLATDB_BAD_ARGUMENT, "flatdb_columns_new needs a schema, paths, and a place for the columns");
    }
    *columns = nullptr;
    auto made = std::make_unique<flatdb_columns>();
    if (key) made->select_key(key);
    for (size_t i = 0; i < count; ++i) {
      if (!paths[i]) flatdb::fail(FLATDB_BAD_ARGUMENT, "flatdb_columns_new needs paths, and one is NULL");
      made->select(*schema->root, paths[i]);
    }
    if (!count) {
      for (const flatdb::Field &field : schema->root->fields) {
        if (!field.deprecated) made->select(*schema->root, field.name);
      }
    }
    *columns = made.release();
  });
}

void flatdb_columns_free(flatdb_columns *columns) { delete columns; }

int flatdb_columns_schema(const flatdb_columns *columns, struct ArrowSchema *schema, flatdb_error *error) {
  return flatdb::guarded(error, [&] {
    if (!columns || !schema) flatdb::fail(FLATDB_BAD_ARGUMENT, "flatdb_columns_schema needs columns, and a place");
    flatdb::give_schema(columns->schema(), false, schema);
  });
}

int flatdb_columns_decode(flatdb_columns *columns, const MDB_val *keys, const MDB_val *values, size_t *count,
                          struct ArrowArray *array, flatdb_error *error) {
  return flatdb::guarded(error, [&] {
    if (!columns || !count || (!values && *count) || !array) {
      flatdb::fail(FLATDB_BAD_ARGUMENT, "flatdb_columns_decode needs columns, values, their count, and a place");
    }
    if (!keys && *count && !columns->parts.empty()) {
      flatdb::fail(FLATDB_BAD_ARGUMENT, "flatdb_columns_decode needs keys, since columns of them were asked for");
    }
    size_t at = 0, records = *count;
    try {
      columns->decode(keys, values, records, at);
    } catch (const flatdb::Failure &failure) {
      *count = at;
      flatdb::fail(failure.code(), "record " + std::to_string(at) + " of these: " + failure.text());
    }
    flatdb::give_array(columns->take(), int64_t(records), 0, array);
  });
}
