/* A stream of JSON apart into its values: one outer array, or values one behind the other (NDJSON, pretty-printed, with
 * nothing between). It reads by blocks and holds one value, so that memory does not grow with the file. It finds where
 * a value ends, and refuses what hides that; whether the value is right JSON, and a record, is the parser's matter. */
#ifndef FLATDB_JSON_STREAM_H
#define FLATDB_JSON_STREAM_H

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace flatdb {

/* Behind a value: where a stream can go on. */
struct JsonPosition {
  uint64_t offset = 0;  // bytes
  uint64_t line = 1;
  bool array = false;   // in an outer array
};

/* One value; a NUL stands behind it, and it lives until the next call. */
struct JsonValue {
  const char *data;
  size_t size;
  uint64_t offset, line;  // of its first byte
};

/* "data.json, line 17 (byte 2345)", for messages. */
std::string json_place(const std::string &name, uint64_t line, uint64_t offset);

class JsonStream {
 public:
  /* Gives some bytes, up to a number of them; 0 at the end. */
  using Read = std::function<size_t(char *data, size_t size)>;

  /* `read` begins at `from`; `name` is for messages. */
  JsonStream(Read read, std::string name, const JsonPosition &from);

  /* The next value; false behind the last. Where no end can be found, FLATDB_BAD_JSON. */
  bool next(JsonValue &value);

  /* Behind the value that next() gave last. */
  const JsonPosition &position() const { return position_; }

  /* After a failure of next(): go on behind the line where the bad value begins. Only values that are not in an array
   * begin a line, so that in an array it is false. */
  bool skip_line();

 private:
  bool fill();
  int peek(size_t at = 0);
  void consume(size_t size);
  void skip_blanks();
  void begin();
  bool at_value();
  size_t value_end();
  size_t string_end(size_t at);
  size_t brackets_end();
  size_t word_end();
  [[noreturn]] void broken(size_t at, const std::string &why) const;

  Read read_;
  std::string name_;
  JsonPosition position_;
  std::vector<char> buffer_;  // the block, or the value where that is longer, and a byte for the NUL
  size_t begin_ = 0, end_ = 0;  // of what is not consumed
  bool ended_ = false;          // `read` has given everything
  bool begun_;                  // the mark of UTF-8 and the array's bracket are consumed
  bool first_;                  // in an array: no comma is due
  bool closed_ = false;         // behind the array
  int covered_ = -1;            // the byte at `begin_` that the NUL behind the last value stands for
};

}  // namespace flatdb

#endif
