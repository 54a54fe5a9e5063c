/* Environments, transactions and cursors of LMDB: ended where their scope ends, failures as exceptions that say what
 * was attempted, and a map that grows when it is full. */
#ifndef FLATDB_ENVIRONMENT_H
#define FLATDB_ENVIRONMENT_H

#include "failure.h"

#include <string>
#include <string_view>

namespace flatdb {

[[noreturn]] void fail_by_lmdb(int code, const std::string &attempt);

inline void check_lmdb(int code, const char *attempt) {
  if (code != 0) fail_by_lmdb(code, attempt);
}

/* For a call that may find nothing: whether it found something. */
inline bool found(int code, const char *attempt) {
  if (code == MDB_NOTFOUND) return false;
  check_lmdb(code, attempt);
  return true;
}

inline std::string_view view(const MDB_val &value) { return {static_cast<const char *>(value.mv_data), value.mv_size}; }
/* LMDB reads keys and values that it is given, and writes to none. */
inline MDB_val value_of(std::string_view bytes) { return {bytes.size(), const_cast<char *>(bytes.data())}; }

/* It aborts where it was not committed. */
class Transaction {
 public:
  Transaction(MDB_env *env, unsigned flags);
  ~Transaction() { abort(); }
  Transaction(const Transaction &) = delete;
  Transaction &operator=(const Transaction &) = delete;

  operator MDB_txn *() const { return txn_; }
  void commit();
  void abort();

 private:
  MDB_txn *txn_ = nullptr;
};

class Cursor {
 public:
  Cursor(MDB_txn *txn, MDB_dbi dbi);
  ~Cursor() { mdb_cursor_close(cursor_); }
  Cursor(const Cursor &) = delete;
  Cursor &operator=(const Cursor &) = delete;

  operator MDB_cursor *() const { return cursor_; }
  /* Move; false where there is nothing. For the operations that look for a key, `key` is in and out. */
  bool move(MDB_val &key, MDB_val &value, MDB_cursor_op op);

 private:
  MDB_cursor *cursor_ = nullptr;
};

/* The value of a key; false where there is none. */
bool get(MDB_txn *txn, MDB_dbi dbi, std::string_view key, std::string_view *value);

/* A named database; false where there is none and `flags` do not say MDB_CREATE. */
bool open_database(MDB_txn *txn, const std::string &name, unsigned flags, MDB_dbi *dbi);

MDB_stat statistics(MDB_txn *txn, MDB_dbi dbi);

/* Double the size of the map. There must be no transaction. */
void grow(MDB_env *env);

/* Run `work(txn)` in a write transaction and commit it; where the map is full, once more in a larger one. */
template <typename Work>
void write(MDB_env *env, Work work) {
  for (;;) {
    try {
      Transaction txn(env, 0);
      work(static_cast<MDB_txn *>(txn));
      txn.commit();
      return;
    } catch (const Failure &failure) {
      if (failure.code() != MDB_MAP_FULL) throw;
    }
    grow(env);
  }
}

}  // namespace flatdb

#endif
