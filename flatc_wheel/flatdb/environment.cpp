#include "environment.h"

#include <cstdint>
#include <memory>

namespace flatdb {
namespace {

constexpr MDB_dbi MOST_DATABASES = 4096;            // named databases that may be used: tables, indexes, the catalog
constexpr size_t FIRST_MAP_SIZE = size_t{1} << 30;  // bytes: 1 GiB

// What LMDB's own text leaves open: what to do.
struct Cure {
  int code;
  const char *text;
};

constexpr Cure CURES[] = {
    {MDB_VERSION_MISMATCH, "the file is of the other LMDB engine: use the libflatdb of that"},
    {MDB_INVALID, "the file is no LMDB database, or one of the other engine"},
    {MDB_MAP_FULL, "the map cannot grow: the system gives no more addresses"},
    {MDB_DBS_FULL, "the environment has more tables and indexes than can be open at once"},
    {MDB_READERS_FULL, "too many readers: see mdb_stat -r, and end those that are left over"},
    {MDB_INCOMPATIBLE, "a database of this name has other flags: it is none of this table's"},
    {MDB_CORRUPTED, "the file is damaged: restore it, or copy what can be read by mdb_dump"},
    {MDB_PAGE_NOTFOUND, "the file is damaged: restore it, or copy what can be read by mdb_dump"},
    {EACCES, "the environment was opened for reading, or the file system refuses to write"},
    {ENOSPC, "the file system is full"},
};

}  // namespace

void fail_by_lmdb(int code, const std::string &attempt) {
  std::string text = "cannot " + attempt + ": " + mdb_strerror(code);
  for (const Cure &cure : CURES)
    if (cure.code == code) text += std::string(" (") + cure.text + ")";
  fail(code, text);
}

Transaction::Transaction(MDB_env *env, unsigned flags) {
  int code = mdb_txn_begin(env, nullptr, flags, &txn_);
  if (code == MDB_MAP_RESIZED) {  // another process has grown the map
    check_lmdb(mdb_env_set_mapsize(env, 0), "take over the size of the map");
    code = mdb_txn_begin(env, nullptr, flags, &txn_);
  }
  if (code != 0) txn_ = nullptr;
  check_lmdb(code, "begin a transaction");
}

void Transaction::commit() {
  MDB_txn *txn = txn_;
  txn_ = nullptr;  // it is freed, whatever comes out
  check_lmdb(mdb_txn_commit(txn), "commit a transaction");
}

void Transaction::abort() {
  if (txn_ != nullptr) mdb_txn_abort(txn_);
  txn_ = nullptr;
}

Cursor::Cursor(MDB_txn *txn, MDB_dbi dbi) { check_lmdb(mdb_cursor_open(txn, dbi, &cursor_), "open a cursor"); }

bool Cursor::move(MDB_val &key, MDB_val &value, MDB_cursor_op op) {
  return found(mdb_cursor_get(cursor_, &key, &value, op), "read the database");
}

bool get(MDB_txn *txn, MDB_dbi dbi, std::string_view key, std::string_view *value) {
  if (key.empty() || key.size() > static_cast<size_t>(mdb_env_get_maxkeysize(mdb_txn_env(txn)))) return false;
  MDB_val name = value_of(key), data;
  if (!found(mdb_get(txn, dbi, &name, &data), "read the database")) return false;
  *value = view(data);
  return true;
}

bool open_database(MDB_txn *txn, const std::string &name, unsigned flags, MDB_dbi *dbi) {
  const int code = mdb_dbi_open(txn, name.c_str(), flags, dbi);
  if (code == MDB_NOTFOUND && (flags & MDB_CREATE) == 0) return false;
  if (code != 0) fail_by_lmdb(code, "open the named database " + name);
  return true;
}

MDB_stat statistics(MDB_txn *txn, MDB_dbi dbi) {
  MDB_stat stat;
  check_lmdb(mdb_stat(txn, dbi, &stat), "count records");
  return stat;
}

void grow(MDB_env *env) {
  MDB_envinfo info;
  check_lmdb(mdb_env_info(env, &info), "ask for the size of the map");
  if (info.me_mapsize > SIZE_MAX / 2) fail_by_lmdb(MDB_MAP_FULL, "double the map");
  check_lmdb(mdb_env_set_mapsize(env, 2 * info.me_mapsize), "double the map");
}

}  // namespace flatdb

using namespace flatdb;

int flatdb_open(const char *path, unsigned int flags, size_t map_size, MDB_env **env, flatdb_error *error) {
  return guarded(error, [&] {
    if (path == nullptr || env == nullptr)
      fail(FLATDB_BAD_ARGUMENT, "flatdb_open needs a path, and a place for the environment");
    *env = nullptr;
    MDB_env *made = nullptr;
    check_lmdb(mdb_env_create(&made), "make an environment");
    std::unique_ptr<MDB_env, void (*)(MDB_env *)> guard(made, mdb_env_close);
    check_lmdb(mdb_env_set_maxdbs(made, MOST_DATABASES), "set the number of databases");
    // LMDB takes the file's own size where that is larger.
    if (map_size != 0) check_lmdb(mdb_env_set_mapsize(made, map_size), "set the size of the map");
    // No reader is bound to a thread: a caller may move between threads.
    const int code = mdb_env_open(made, path, flags | MDB_NOTLS, 0644);
    if (code == ENOENT) fail(code, std::string("there is no environment at ") + path);
    if (code != 0) fail_by_lmdb(code, std::string("open the environment ") + path);
    MDB_envinfo info;
    check_lmdb(mdb_env_info(made, &info), "ask for the size of the map");
    if (map_size == 0 && (flags & MDB_RDONLY) == 0 && info.me_mapsize < FIRST_MAP_SIZE && info.me_last_txnid == 0)
      check_lmdb(mdb_env_set_mapsize(made, FIRST_MAP_SIZE), "set the size of the map");
    // Readers that were killed would keep old pages from being used again.
    int dead = 0;
    if ((flags & (MDB_RDONLY | MDB_NOLOCK)) == 0) check_lmdb(mdb_reader_check(made, &dead), "look for dead readers");
    *env = guard.release();
  });
}

void flatdb_close(MDB_env *env) {
  if (env != nullptr) mdb_env_close(env);
}
