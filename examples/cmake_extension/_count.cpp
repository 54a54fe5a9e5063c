#include <nanobind/nanobind.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>

#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>

#include "lmdb.h"

namespace nb = nanobind;

template <auto close> struct Closer {
    template <typename T> void operator()(T *thing) const { close(thing); }
};
using Env = std::unique_ptr<MDB_env, Closer<mdb_env_close>>;
using Txn = std::unique_ptr<MDB_txn, Closer<mdb_txn_abort>>;
using Cursor = std::unique_ptr<MDB_cursor, Closer<mdb_cursor_close>>;

static void check(int rc, const std::string &what)
{
    if (rc != MDB_SUCCESS)
        throw std::runtime_error(what + ": " + mdb_strerror(rc));
}

static std::pair<size_t, size_t> count(const std::string &path, const std::string &database)
{
    MDB_env *env;
    MDB_txn *txn;
    MDB_cursor *cursor;
    MDB_dbi dbi;
    MDB_val key, value;
    size_t records = 0, bytes = 0;
    int rc;

    check(mdb_env_create(&env), path);
    Env env_closer(env);
    check(mdb_env_set_maxdbs(env, 1), path);
    check(mdb_env_open(env, path.c_str(), MDB_RDONLY, 0644), path);
    check(mdb_txn_begin(env, nullptr, MDB_RDONLY, &txn), path);
    Txn txn_closer(txn);
    check(mdb_dbi_open(txn, database.c_str(), 0, &dbi), path);
    check(mdb_cursor_open(txn, dbi, &cursor), path);
    Cursor cursor_closer(cursor);
    while ((rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) == MDB_SUCCESS) {
        records++;
        bytes += key.mv_size + value.mv_size;
    }
    if (rc != MDB_NOTFOUND)
        check(rc, path);
    return {records, bytes};
}

NB_MODULE(_count, module)
{
    module.def("count", &count, nb::arg("path"), nb::arg("database"), nb::call_guard<nb::gil_scoped_release>(),
               "The number of records of a named database, and the bytes of their keys and values.");
    module.def("version_address", [] { return reinterpret_cast<std::uintptr_t>(&mdb_version); },
               "The address of mdb_version in this process: equal for all who share one liblmdb.");
}
