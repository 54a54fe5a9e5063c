#include "json_value.h"

#include <charconv>
#include <cstdio>

namespace flatdb {
namespace {

constexpr unsigned MOST_DEPTH = 16;  // an entry of the catalog has four

class Reader {
 public:
  explicit Reader(std::string_view text) : text_(text) {}

  JsonNode document() {
    JsonNode node = value(0);
    blanks();
    if (at_ != text_.size()) wrong("there is more behind the value");
    return node;
  }

 private:
  using Kind = JsonNode::Kind;

  [[noreturn]] void wrong(const char *why) const {
    fail(FLATDB_BAD_JSON, "at byte " + std::to_string(at_) + ": " + why);
  }

  void blanks() { at_ = std::min(text_.find_first_not_of(" \t\r\n", at_), text_.size()); }

  bool take(char c) {
    blanks();
    if (at_ == text_.size() || text_[at_] != c) return false;
    at_++;
    return true;
  }

  bool take_word(std::string_view word) {
    if (text_.substr(at_, word.size()) != word) return false;
    at_ += word.size();
    return true;
  }

  JsonNode value(unsigned depth) {
    if (depth == MOST_DEPTH) wrong("it is nested too deep");
    JsonNode node;
    if (take('{')) {
      node.kind = Kind::Object;
      if (take('}')) return node;
      do {
        if (!take('"')) wrong("a name is missing");
        std::string name = string();
        for (const auto &[known, unused] : node.members)
          if (known == name) wrong("this name is there twice");
        if (!take(':')) wrong("a colon is missing");
        node.members.emplace_back(std::move(name), value(depth + 1));
      } while (take(','));
      if (!take('}')) wrong("an object is not closed");
    } else if (take('[')) {
      node.kind = Kind::Array;
      if (take(']')) return node;
      do node.items.push_back(value(depth + 1));
      while (take(','));
      if (!take(']')) wrong("an array is not closed");
    } else if (take('"')) {
      node.kind = Kind::String;
      node.string = string();
    } else if (take_word("null")) {
    } else if (take_word("true")) {
      node.kind = Kind::Bool;
      node.integer = 1;
    } else if (take_word("false")) {
      node.kind = Kind::Bool;
    } else {
      node.kind = Kind::Integer;
      const char *end = text_.data() + text_.size();
      const auto done = std::from_chars(text_.data() + at_, end, node.integer);
      if (done.ec != std::errc() ||
          (done.ptr != end && std::string_view(".eE").find(*done.ptr) != std::string_view::npos))
        wrong("a value is missing, or is none that stands here");
      at_ = static_cast<size_t>(done.ptr - text_.data());
    }
    return node;
  }

  unsigned hexadecimal() {
    unsigned code = 0;
    const char *begin = text_.data() + at_;
    if (text_.size() - at_ < 4 || std::from_chars(begin, begin + 4, code, 16).ptr != begin + 4)
      wrong("\\u needs four digits");
    at_ += 4;
    return code;
  }

  void append_utf8(std::string &out, unsigned code) {
    if (code < 0x80) {
      out.push_back(static_cast<char>(code));
      return;
    }
    const unsigned more = code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
    const unsigned heads[] = {0, 0xC0, 0xE0, 0xF0};
    out.push_back(static_cast<char>(heads[more] | code >> (6 * more)));
    for (unsigned i = more; i-- > 0;) out.push_back(static_cast<char>(0x80 | (code >> (6 * i) & 0x3F)));
  }

  /* Behind the opening quote. */
  std::string string() {
    std::string out;
    while (at_ < text_.size()) {
      const char c = text_[at_++];
      if (c == '"') return out;
      if (static_cast<unsigned char>(c) < ' ') wrong("a string has a control character");
      if (c != '\\') {
        out.push_back(c);
        continue;
      }
      const char escape = at_ < text_.size() ? text_[at_++] : '\0';
      static constexpr std::string_view NAMES = "\"\\/bfnrt", VALUES = "\"\\/\b\f\n\r\t";
      if (escape == 'u') {
        unsigned code = hexadecimal();
        if (code >= 0xD800 && code < 0xDC00 && take_word("\\u")) {
          const unsigned low = hexadecimal();
          if (low < 0xDC00 || low > 0xDFFF) wrong("half of a surrogate pair");
          code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
        }
        if (code >= 0xD800 && code < 0xE000) wrong("half of a surrogate pair");
        append_utf8(out, code);
      } else if (const size_t at = NAMES.find(escape); at != std::string_view::npos && escape != '\0') {
        out.push_back(VALUES[at]);
      } else {
        wrong("there is no such escape");
      }
    }
    wrong("a string is not closed");
  }

  std::string_view text_;
  size_t at_ = 0;
};

}  // namespace

JsonNode read_json_value(std::string_view text) { return Reader(text).document(); }

void append_json(std::string &text, std::string_view string) {
  text.push_back('"');
  for (char c : string) {
    if (c == '"' || c == '\\') text.push_back('\\');
    if (static_cast<unsigned char>(c) < ' ') {
      char escape[8];
      std::snprintf(escape, sizeof escape, "\\u%04x", static_cast<unsigned>(c));
      text += escape;
    } else {
      text.push_back(c);
    }
  }
  text.push_back('"');
}

}  // namespace flatdb
