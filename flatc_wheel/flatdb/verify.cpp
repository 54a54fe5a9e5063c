/* Whether a record is what its schema says, in one pass over all that its root reaches. The rules are those of
 * FlatBuffers' own verifier, with these differences: members of a union are found by their value and not by their
 * place, nothing is read before it is known to be inside, and the record may be at any address. */
#include "record.h"

namespace flatdb {

void bad_record(const char *what) { fail(FLATDB_BAD_RECORD, std::string("the record is damaged: ") + what); }

namespace {

constexpr unsigned DEEPEST = 64; /* tables in tables */
/* Parts that are looked at, beyond one for each byte: a small record can name the same table over and over, and what is
 * in that table too. */
constexpr uint64_t MOST_REPEATED = 1000000;

class Verifier {
 public:
  explicit Verifier(Bytes record) : record_(record) {}

  void table(uint32_t position, const Object &object, unsigned depth) {
    if (!depth) bad_record("tables in tables deeper than 64");
    count();
    aligned(position, 4);
    Table table = table_at(record_, position);
    aligned(table.vtable, 2);
    for (const Field &field : object.fields) {
      const Type &type = field.type;
      uint32_t at = table.field(field.offset, inline_size(type));
      if (!at) {
        if (field.required) missing(object, field);
        if (type.base == reflection::Union && member_stored(table, object, field)) missing(object, field);
        continue;
      }
      aligned(at, inline_align(type));
      if (is_scalar(type.base) || (type.base == reflection::Obj && type.object->is_struct)) continue;
      uint32_t target = follow(record_, at);
      switch (type.base) {
        case reflection::String: string(target); break;
        case reflection::Obj: this->table(target, *type.object, depth - 1); break;
        case reflection::Union: member(target, *type.enumeration, member_stored(table, object, field), depth); break;
        default: vector(table, object, field, target, depth); break;
      }
    }
  }

 private:
  static void missing(const Object &object, const Field &field) {
    fail(FLATDB_BAD_RECORD, "the record lacks " + field.name + ", which a " + object.name + " must have");
  }

  void count() {
    if (++parts_ > record_.size + MOST_REPEATED) bad_record("it names the same parts over and over");
  }

  void aligned(uint32_t position, uint32_t to) {
    if (position % to) bad_record("something is not aligned");
  }

  void string(uint32_t position) {
    count();
    aligned(position, 4);
    string_at(record_, position);
  }

  /* A union's type, 0 where there is none. */
  uint8_t member_stored(const Table &table, const Object &object, const Field &field) {
    uint32_t at = table.field(object.fields[field.id - 1u].offset, 1);
    return at ? record_.data[at] : 0;
  }

  void member(uint32_t target, const Enum &enumeration, uint8_t value, unsigned depth) {
    if (!value) return; /* unset: nobody looks at it */
    const EnumValue *member = enumeration.find(value);
    if (!member) bad_record("a union is of a type that the schema does not know");
    if (member->type.base == reflection::String) {
      string(target);
    } else if (member->type.object->is_struct) {
      aligned(target, member->type.object->align);
      if (uint64_t(target) + member->type.object->size > record_.size) bad_record("a struct is outside the record");
    } else {
      table(target, *member->type.object, depth - 1);
    }
  }

  void vector(const Table &table, const Object &object, const Field &field, uint32_t target, unsigned depth) {
    const Type type = field.type.of_element();
    aligned(target, 4);
    Vector vector = vector_at(record_, target, inline_size(type));
    if (vector.count) aligned(vector.begin, inline_align(type));
    if (is_scalar(type.base) || (type.base == reflection::Obj && type.object->is_struct)) return;
    Vector members{0, 0};
    if (type.base == reflection::Union) {
      uint32_t at = table.field(object.fields[field.id - 1u].offset, 4);
      if (at) members = vector_at(record_, follow(record_, at), 1);
      if (members.count != vector.count) bad_record("a vector of unions and that of their types differ in length");
    }
    for (uint32_t i = 0; i < vector.count; ++i) {
      uint32_t at = vector.begin + 4 * i;
      if (type.base == reflection::Union) {
        uint8_t value = record_.data[members.begin + i];
        if (value) member(follow(record_, at), *type.enumeration, value, depth);
      } else if (type.base == reflection::String) {
        string(follow(record_, at));
      } else {
        this->table(follow(record_, at), *type.object, depth - 1);
      }
    }
  }

  Bytes record_;
  uint64_t parts_ = 0;
};

}  // namespace

void verify(const flatdb_schema &schema, Bytes record) {
  root_of(record);
  Verifier(record).table(follow(record, 0), *schema.root, DEEPEST);
}

}  // namespace flatdb

int flatdb_verify(const flatdb_schema *schema, const void *data, size_t size, flatdb_error *error) {
  return flatdb::guarded(error, [&] {
    if (!schema || (!data && size)) flatdb::fail(FLATDB_BAD_ARGUMENT, "flatdb_verify needs a schema and a record");
    flatdb::verify(*schema, {static_cast<const uint8_t *>(data), size});
  });
}

int flatdb_verify_many(const flatdb_schema *schema, const MDB_val *records, size_t *count, flatdb_error *error) {
  return flatdb::guarded(error, [&] {
    if (!schema || !count || (!records && *count)) {
      flatdb::fail(FLATDB_BAD_ARGUMENT, "flatdb_verify_many needs a schema, records and their count");
    }
    const size_t all = *count;
    for (*count = 0; *count < all; ++*count) {
      const MDB_val &record = records[*count];
      flatdb::verify(*schema, {static_cast<const uint8_t *>(record.mv_data), record.mv_size});
    }
  });
}
