// The limit of an import: parse each line by the schema with FlatBuffers' own parser, and put it. Nothing else: no
// table, no index, no check of keys, and nothing that an interruption would leave behind for the next run.
//
//     parse_and_put DATABASE NDJSON SCHEMA

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <string>

#include "flatbuffers/idl.h"
#include "lmdb.h"

static const size_t BATCH = 100000, MAP_SIZE = size_t(1) << 31;

static void check(int rc, const char *what) {
  if (rc == 0) return;
  std::fprintf(stderr, "%s: %s\n", what, mdb_strerror(rc));
  std::exit(1);
}

static unsigned digit(char c) { return c <= '9' ? c - '0' : (c | 32) - 'a' + 10; }

// The key is the record's first field, which the required string `id` is: a UUID's 32 digits and 4 hyphens.
static void uuid_of(const flatbuffers::Table *order, unsigned char *key) {
  const char *text = order->GetPointer<const flatbuffers::String *>(4)->c_str();
  for (int i = 0; i < 16; i++) {
    if (*text == '-') text++;
    key[i] = static_cast<unsigned char>(digit(text[0]) << 4 | digit(text[1]));
    text += 2;
  }
}

int main(int, char **argv) {
  std::ifstream schema_file(argv[3]);
  const std::string schema((std::istreambuf_iterator<char>(schema_file)), std::istreambuf_iterator<char>());
  flatbuffers::Parser parser;
  if (!parser.Parse(schema.c_str())) {
    std::fprintf(stderr, "%s\n", parser.error_.c_str());
    return 1;
  }
  MDB_env *env;
  MDB_txn *txn = nullptr;
  MDB_dbi dbi;
  check(mdb_env_create(&env), "create");
  check(mdb_env_set_mapsize(env, MAP_SIZE), "map size");
  check(mdb_env_set_maxdbs(env, 4), "databases");
  check(mdb_env_open(env, argv[1], MDB_NOSYNC, 0644), argv[1]);
  std::ifstream lines(argv[2]);
  std::string line;
  size_t count = 0;
  const auto start = std::chrono::steady_clock::now();
  while (std::getline(lines, line)) {
    if (txn == nullptr) {
      check(mdb_txn_begin(env, nullptr, 0, &txn), "begin");
      check(mdb_dbi_open(txn, "orders", MDB_CREATE, &dbi), "database");
    }
    if (!parser.ParseJson(line.c_str())) {
      std::fprintf(stderr, "%s\n", parser.error_.c_str());
      return 1;
    }
    unsigned char id[16];
    uuid_of(flatbuffers::GetRoot<flatbuffers::Table>(parser.builder_.GetBufferPointer()), id);
    MDB_val key = { sizeof id, id };
    MDB_val value = { parser.builder_.GetSize(), parser.builder_.GetBufferPointer() };
    check(mdb_put(txn, dbi, &key, &value, 0), "put");
    if (++count % BATCH == 0) {
      check(mdb_txn_commit(txn), "commit");
      txn = nullptr;
    }
  }
  if (txn != nullptr) check(mdb_txn_commit(txn), "commit");
  const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
  mdb_env_close(env);
  std::printf("%.12f\n", taken.count() / static_cast<double>(count));
}
