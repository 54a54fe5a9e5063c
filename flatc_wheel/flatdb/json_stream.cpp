#include "json_stream.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "failure.h"

namespace flatdb {
namespace {

constexpr size_t BLOCK = size_t{1} << 20;            // bytes read at a time
constexpr size_t MOST = (size_t{1} << 31) - 1;       // bytes of a value: a FlatBuffer is no longer
constexpr unsigned MOST_DEPTH = 64;                  // of brackets: FLATBUFFERS_MAX_PARSING_DEPTH
constexpr int END = -1;                              // in place of a byte

bool is_blank(int c) { return c == ' ' || c == '\n' || c == '\r' || c == '\t'; }

/* The bytes that end a run of others; NUL among them, since one stands behind the block. */
constexpr std::array<bool, 256> bytes_of(std::string_view bytes) {
  std::array<bool, 256> table{};
  table[0] = true;
  for (char c : bytes) table[static_cast<unsigned char>(c)] = true;
  return table;
}

constexpr auto STRUCTURE = bytes_of("\"{}[]'/"), IN_STRING = bytes_of("\"\\\n");

std::string shown(int c) {
  if (c == END) return "the end of the file";
  if (c > ' ' && c < 127) return std::string("\"") + static_cast<char>(c) + "\"";
  return "the byte " + std::to_string(c);
}

}  // namespace

std::string json_place(const std::string &name, uint64_t line, uint64_t offset) {
  return name + ", line " + std::to_string(line) + " (byte " + std::to_string(offset) + ")";
}

JsonStream::JsonStream(Read read, std::string name, const JsonPosition &from)
    : read_(std::move(read)), name_(std::move(name)), position_(from), buffer_(BLOCK + 1), begun_(from.offset != 0),
      first_(from.offset == 0) {}

void JsonStream::broken(size_t at, const std::string &why) const {
  const char *start = buffer_.data() + begin_;
  const uint64_t line = position_.line + static_cast<uint64_t>(std::count(start, start + at, '\n'));
  flatdb::fail(FLATDB_BAD_JSON, json_place(name_, line, position_.offset + at) + ": " + why);
}

/* Read more behind what there is, which may move to the front; false at the end. */
bool JsonStream::fill() {
  if (ended_) return false;
  if (end_ + 1 == buffer_.size()) {
    if (begin_ != 0) {
      std::memmove(buffer_.data(), buffer_.data() + begin_, end_ - begin_);
      end_ -= begin_;
      begin_ = 0;
    }
    if (end_ >= MOST) broken(0, "this value is longer than 2 GiB, which no FlatBuffer can be");
    if (end_ + BLOCK / 2 > buffer_.size()) buffer_.resize(2 * (buffer_.size() - 1) + 1);
  }
  const size_t got = read_(buffer_.data() + end_, buffer_.size() - 1 - end_);
  end_ += got;
  buffer_[end_] = 0;
  ended_ = got == 0;
  return !ended_;
}

int JsonStream::peek(size_t at) {
  while (begin_ + at >= end_)
    if (!fill()) return END;
  return static_cast<unsigned char>(buffer_[begin_ + at]);
}

void JsonStream::consume(size_t size) {
  const char *start = buffer_.data() + begin_;
  position_.line += static_cast<uint64_t>(std::count(start, start + size, '\n'));
  position_.offset += size;
  begin_ += size;
}

void JsonStream::skip_blanks() {
  while (is_blank(peek())) consume(1);
}

void JsonStream::begin() {
  constexpr char MARK[] = "\xef\xbb\xbf";  // of UTF-8, as some editors write it
  if (peek(0) == 0xff || peek(0) == 0xfe || (peek(0) != END && (peek(0) == 0 || peek(1) == 0)))
    broken(0, "this is no UTF-8, but perhaps UTF-16: convert it, as by iconv -f UTF-16 -t UTF-8");
  if (peek(2) != END && std::memcmp(buffer_.data() + begin_, MARK, 3) == 0) consume(3);
  skip_blanks();
  if (peek() == '[') {
    consume(1);
    position_.array = true;
  }
  begun_ = true;
}

/* Move to where a value begins; false behind the last. */
bool JsonStream::at_value() {
  if (!begun_) begin();
  skip_blanks();
  if (!closed_ && position_.array) {
    if (peek() == END) broken(0, "the file ends before the array does: it is truncated");
    if (peek() == ']') {
      consume(1);
      closed_ = true;
      skip_blanks();
    } else if (!first_) {
      if (peek() != ',') broken(0, "between the values of an array stands a comma, not " + shown(peek()));
      consume(1);
      skip_blanks();
    }
  }
  first_ = false;
  if (closed_ && peek() != END) broken(0, "behind the array is " + shown(peek()) + ": a file has one array, or none");
  return peek() != END || (position_.array && !closed_);
}

bool JsonStream::next(JsonValue &value) {
  if (covered_ >= 0) buffer_[begin_] = static_cast<char>(covered_);
  covered_ = -1;
  if (!at_value()) return false;
  const size_t size = value_end();
  value = {nullptr, size, position_.offset, position_.line};
  consume(size);
  value.data = buffer_.data() + begin_ - size;
  if (begin_ < end_) covered_ = static_cast<unsigned char>(buffer_[begin_]);  // at the end stands a NUL already
  buffer_[begin_] = 0;
  return true;
}

bool JsonStream::skip_line() {
  if (position_.array || closed_) return false;
  for (bool more = peek() != END; more;) {
    const char *start = buffer_.data() + begin_;
    const void *found = std::memchr(start, '\n', end_ - begin_);
    more = found == nullptr;
    consume(more ? end_ - begin_ : static_cast<size_t>(static_cast<const char *>(found) - start) + 1);
    more = more && peek() != END;
  }
  return true;
}

/* The number of bytes of the value that begins here. */
size_t JsonStream::value_end() {
  switch (peek()) {
    case '{':
    case '[': return brackets_end();
    case '"': return string_end(0) + 1;
    default: return word_end();
  }
}

/* Where the quote is that closes the one at `at`. A string has no line end in it (RFC 8259, section 7): without this
 * rule a lost quote would be found at the end of the file. */
size_t JsonStream::string_end(size_t at) {
  const size_t opened = at++;
  for (;; at++) {
    while (!IN_STRING[static_cast<unsigned char>(buffer_[begin_ + at])]) at++;
    if (begin_ + at >= end_) {
      if (peek(at) == END) broken(opened, "the file ends in this string: it is truncated");
      at--;
      continue;
    }
    switch (buffer_[begin_ + at]) {
      case '"': return at;
      case '\n': broken(opened, "this string is not closed on its line");
      case '\\':
        if (peek(at + 1) == END) broken(opened, "the file ends in this string: it is truncated");
        if (peek(at + 1) != '\n') at++;
    }
  }
}

size_t JsonStream::brackets_end() {
  uint64_t objects = 0;  // a bit for each open bracket, the innermost lowest: whether it is "{"
  unsigned depth = 0;
  for (size_t at = 0;; at++) {
    while (!STRUCTURE[static_cast<unsigned char>(buffer_[begin_ + at])]) at++;
    if (begin_ + at >= end_) {
      if (peek(at) == END) broken(0, "the file ends in the value that begins here: it is truncated");
      at--;
      continue;
    }
    const char c = buffer_[begin_ + at];
    if (c == '"') {
      at = string_end(at);
    } else if (c == '{' || c == '[') {
      // In an object a value follows a colon, in an array a bracket or a comma. Anything else: a bracket was lost
      // before.
      size_t before = at;
      while (before != 0 && is_blank(buffer_[begin_ + before - 1])) before--;
      const char sign = before != 0 ? buffer_[begin_ + before - 1] : 0;
      if (depth != 0 && !(objects & 1 ? sign == ':' : sign == '[' || sign == ','))
        broken(at, shown(c) + " cannot be here: the value that begins at line " + std::to_string(position_.line) +
                     " is not closed, or this one is broken");
      if (depth == MOST_DEPTH) broken(at, "values are nested deeper than " + std::to_string(MOST_DEPTH));
      depth++;
      objects = objects << 1 | (c == '{');
    } else if (c == '}' || c == ']') {
      if ((c == '}') != (objects & 1)) broken(at, shown(c) + " does not close what is open here");
      objects >>= 1;
      if (--depth == 0) return at + 1;
    } else if (c == '\'' || c == '/') {
      // FlatBuffers' parser takes both; what they enclose would be read here as if they did not.
      broken(at, c == '/' ? "JSON has no comments" : "the quotes of JSON are double ones");
    }
  }
}

/* A number, a literal, or what is no JSON at all. */
size_t JsonStream::word_end() {
  size_t at = 0;
  for (int c = peek(); c != END && !is_blank(c) && (c > ' ') && std::strchr(",:{}[]\"", c) == nullptr; c = peek(at))
    at++;
  if (at == 0) broken(0, "a value begins with " + shown('{') + ", not with " + shown(peek()));
  return at;
}

}  // namespace flatdb
