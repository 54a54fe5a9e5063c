/* Whether records of an older schema can be read by a newer one: FlatBuffers' rules of evolution, for all that the
 * older root reaches.
 *
 * `flatc --conform` refuses less: it does not see a field that becomes required, a struct that grows, a fixed array of
 * another length, a union's member of another type, a value that is gone, or a root that is another table. Like it,
 * this compares types by name and lets fields and values be renamed. */
#include <cmath>
#include <set>

#include "schema.h"

namespace flatdb {
namespace {

/* A type's name, and what it is made of where the name alone does not say it. */
bool same(const Type &a, const Type &b) {
  return a.base == b.base && a.element == b.element && a.length == b.length && name_of(a) == name_of(b);
}

bool same_default(const Field &a, const Field &b) {
  bool same_real = a.default_real == b.default_real || (std::isnan(a.default_real) && std::isnan(b.default_real));
  return a.optional == b.optional && (is_real(a.type.base) ? same_real : a.default_integer == b.default_integer);
}

std::string default_of(const Field &field) {
  if (field.optional) return "null";
  if (!is_real(field.type.base)) return std::to_string(field.default_integer);
  return std::to_string(field.default_real);
}

class Comparison {
 public:
  explicit Comparison(const Model &newer) : newer_(newer) {}

  /* The root, and all that it reaches. One after the other: a schema may be a long chain. */
  void compare(const Object &root) {
    reach(&root);
    while (!objects_.empty()) {
      const Object *next = objects_.back();
      objects_.pop_back();
      object(*next);
    }
  }

  std::string problems;

 private:
  void reach(const Object *object) {
    if (object && seen_.insert(object->name).second) objects_.push_back(object);
  }

  void object(const Object &older) {
    const Object *newer = newer_.find(older.name);
    if (newer && newer->is_struct != older.is_struct) {
      wrong(older.name + " was a " + kind(older) + " and is a " + kind(*newer));
    } else if (newer && newer->is_struct) {
      structure(*newer, older);
    } else if (newer) {
      table(*newer, older);
    } /* else the fields of this type are another's now, and that was said */
    for (const Field &field : older.fields) {
      reach(field.type.object);
      if (field.type.enumeration && seen_.insert(field.type.enumeration->name).second) {
        enumeration(*field.type.enumeration);
      }
    }
  }

  static std::string kind(const Object &object) { return object.is_struct ? "struct" : "table"; }

  void wrong(const std::string &what) { problems += (problems.empty() ? "" : "\n") + what; }

  void structure(const Object &newer, const Object &older) {
    bool differs = newer.fields.size() != older.fields.size() || newer.size != older.size || newer.align != older.align;
    for (size_t i = 0; !differs && i < older.fields.size(); ++i) {
      differs = newer.fields[i].offset != older.fields[i].offset || !same(newer.fields[i].type, older.fields[i].type);
    }
    if (differs)
      wrong("the struct " + older.name + " has another layout: structs never change; use a new one, in a new field");
  }

  void table(const Object &newer, const Object &older) {
    for (const Field &field : older.fields) {
      const std::string where = older.name + "." + field.name;
      const Field *now = newer.find(field.name);
      if (now && now->id != field.id) {
        wrong(where + " had the id " + std::to_string(field.id) + " and has " + std::to_string(now->id) +
              ": add fields at the end of a table, or give each its id");
      } else if (!now && (field.id >= newer.fields.size() || older.find(newer.fields[field.id].name))) {
        wrong(where + " is gone: leave it in its place and mark it (deprecated)");
      } else {
        this->field(newer.fields[field.id], field, now ? where : where + " (now " + newer.fields[field.id].name + ")");
      }
    }
    for (const Field &field : newer.fields) {
      if (field.id >= older.fields.size() && field.required) {
        wrong(newer.name + "." + field.name + " is new and required, but older records lack it: leave (required) out");
      }
    }
  }

  void field(const Field &newer, const Field &older, const std::string &where) {
    if (!same(newer.type, older.type)) {
      wrong(where + " was of type " + name_of(older.type) + " and is of " + name_of(newer.type) +
            ": mark the old one (deprecated), and add another at the end");
    } else if (is_scalar(older.type.base) && !same_default(newer, older)) {
      wrong(where + " had the default " + default_of(older) + " and has " + default_of(newer) +
            ": older records that leave it to the default would change their value");
    }
    if (newer.required && !older.required) wrong(where + " became required, but older records may lack it");
  }

  void enumeration(const Enum &older) {
    const Enum *newer = newer_.find_enum(older.name);
    if (newer && newer->is_union != older.is_union) {
      wrong(older.name + (older.is_union ? " was a union and is an enum" : " was an enum and is a union"));
    } else if (newer && newer->underlying != older.underlying) {
      wrong("the enum " + older.name + " is stored as another type of integer than it was");
    } else if (newer) {
      for (const EnumValue &value : older.values) this->value(*newer, value, older.name + "." + value.name);
    }
    for (const EnumValue &value : older.values) reach(value.type.object);
  }

  void value(const Enum &newer, const EnumValue &older, const std::string &where) {
    for (const EnumValue &value : newer.values) {
      if (value.name == older.name && value.value != older.value) {
        return wrong(where + " was " + std::to_string(older.value) + " and is " + std::to_string(value.value) +
                     ": add values at the end, or give each its number");
      }
    }
    const EnumValue *now = newer.find(older.value);
    if (!now) {
      wrong(where + " (" + std::to_string(older.value) + ") is gone, but older records may have it");
    } else if (!same(now->type, older.type)) {
      wrong(where + " was of type " + name_of(older.type) + " and is of " + name_of(now->type) +
            ": add members at a union's end");
    }
  }

  const Model &newer_;
  std::set<std::string> seen_;
  std::vector<const Object *> objects_; /* still to be compared */
};

}  // namespace
}  // namespace flatdb

int flatdb_schema_conform(const flatdb_schema *schema, const flatdb_schema *older, flatdb_error *error) {
  return flatdb::guarded(error, [&] {
    if (!schema || !older) flatdb::fail(FLATDB_BAD_ARGUMENT, "flatdb_schema_conform needs two schemas");
    if (schema->root->name != older->root->name) {
      flatdb::fail(FLATDB_NOT_CONFORM, "the root was " + older->root->name + " and is " + schema->root->name +
                                           ": records of another table belong into another table");
    }
    flatdb::Comparison comparison(schema->model);
    comparison.compare(*older->root);
    if (!comparison.problems.empty()) flatdb::fail(FLATDB_NOT_CONFORM, comparison.problems);
  });
}
