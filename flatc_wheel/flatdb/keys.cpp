#include "keys.h"

#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iterator>

#include "decimal_point.h"

namespace flatdb {
namespace {

// In the order of KeyType.
constexpr KeyForm FORMS[] = {
    {"uint8", KeyKind::Unsigned, 1}, {"uint16", KeyKind::Unsigned, 2}, {"uint32", KeyKind::Unsigned, 4},
    {"uint64", KeyKind::Unsigned, 8}, {"int8", KeyKind::Signed, 1},    {"int16", KeyKind::Signed, 2},
    {"int32", KeyKind::Signed, 4},   {"int64", KeyKind::Signed, 8},    {"float32", KeyKind::Float, 4},
    {"float64", KeyKind::Float, 8},  {"bool", KeyKind::Bool, 1},       {"string", KeyKind::Text, 0},
    {"bytes", KeyKind::Text, 0},     {"uuid", KeyKind::Uuid, 16},      {"datetime", KeyKind::Signed, 8},
};

constexpr double FLOAT_END = 0x1.ffffffp127;  // from here on a double is rounded to no float32, but to infinity
constexpr char ESCAPED_NUL[] = {0, '\xff'};
constexpr char END_OF_PART[] = {0, 0};
constexpr char DIGITS[] = "0123456789abcdef";

void append_big_endian(std::string &key, uint64_t bits, unsigned size) {
  for (unsigned i = size; i-- > 0;) key.push_back(static_cast<char>(bits >> (8 * i)));
}

uint64_t big_endian(std::string_view bytes) {
  uint64_t bits = 0;
  for (unsigned char byte : bytes) bits = bits << 8 | byte;
  return bits;
}

uint64_t sign_bit(unsigned size) { return uint64_t{1} << (8 * size - 1); }

uint64_t all_bits(unsigned size) { return ~uint64_t{0} >> (64 - 8 * size); }

[[noreturn]] void out_of_range(const std::string &value, KeyType type) {
  fail(FLATDB_BAD_KEY, value + " is out of the range of " + key_form(type).name);
}

/* Positive numbers get their sign bit set; of negative ones all bits are inverted: the larger is then the smaller. */
uint64_t ordered(uint64_t bits, unsigned size) {
  return bits & sign_bit(size) ? ~bits & all_bits(size) : bits | sign_bit(size);
}

uint64_t unordered(uint64_t bits, unsigned size) {
  return bits & sign_bit(size) ? bits ^ sign_bit(size) : ~bits & all_bits(size);
}

std::string hexadecimal(std::string_view bytes) {
  std::string text;
  for (unsigned char byte : bytes) {
    text.push_back(DIGITS[byte >> 4]);
    text.push_back(DIGITS[byte & 15]);
  }
  return text;
}

/* The value of a hexadecimal digit, or 16. */
unsigned digit_of(char c) {
  return c >= '0' && c <= '9'   ? c - '0'
         : c >= 'a' && c <= 'f' ? c - 'a' + 10
         : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                : 16;
}

bool from_hexadecimal(std::string_view text, std::string &bytes) {
  if (text.size() % 2 != 0) return false;
  for (size_t i = 0; i < text.size(); i += 2) {
    const unsigned high = digit_of(text[i]), low = digit_of(text[i + 1]);
    if ((high | low) > 15) return false;
    bytes.push_back(static_cast<char>(high << 4 | low));
  }
  return true;
}

/* 8-4-4-4-12 digits, upper or lower case. */
bool parse_uuid(std::string_view text, std::string &bytes) {
  if (text.size() != 36) return false;
  char digits[32];
  size_t count = 0;
  for (size_t i = 0; i < text.size(); i++) {
    const bool dash = i == 8 || i == 13 || i == 18 || i == 23;
    if (dash != (text[i] == '-')) return false;
    if (!dash) digits[count++] = text[i];
  }
  return from_hexadecimal({digits, count}, bytes);
}

std::string uuid_text(std::string_view bytes) {
  std::string text = hexadecimal(bytes);
  for (size_t at : {20, 16, 12, 8}) text.insert(at, 1, '-');
  return text;
}

// --- dates: the proleptic Gregorian calendar, years of four digits as Python has them --------------------------------

constexpr int64_t SECOND = 1000000, DAY = 86400 * SECOND;

/* Days since 1970-01-01. The year is counted from March, so that the leap day is its last. */
int64_t days_of(int64_t year, int64_t month, int64_t day) {
  const int64_t y = month <= 2 ? year - 1 : year, m = month <= 2 ? month + 9 : month - 3;
  const int64_t era = (y >= 0 ? y : y - 399) / 400, of_era = y - era * 400;
  return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + (153 * m + 2) / 5 + day - 1 - 719468;
}

void date_of(int64_t days, int64_t *year, int64_t *month, int64_t *day) {
  const int64_t z = days + 719468, era = (z >= 0 ? z : z - 146096) / 146097, of_era = z - era * 146097;
  const int64_t y = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
  const int64_t of_year = of_era - (365 * y + y / 4 - y / 100), m = (5 * of_year + 2) / 153;
  *day = of_year - (153 * m + 2) / 5 + 1;
  *month = m < 10 ? m + 3 : m - 9;
  *year = y + era * 400 + (*month <= 2);
}

std::string datetime_text(int64_t microseconds) {
  const int64_t days = microseconds / DAY - (microseconds % DAY < 0), of_day = microseconds - days * DAY;
  int64_t year, month, day;
  date_of(days, &year, &month, &day);
  char text[80];
  // A year outside of 1 to 9999 has a sign and six digits or more (ISO 8601, the expanded form).
  int size = std::snprintf(text, sizeof text, year >= 1 && year <= 9999 ? "%04d" : "%+07d", static_cast<int>(year));
  const int seconds = static_cast<int>(of_day / SECOND), rest = static_cast<int>(of_day % SECOND);
  size += std::snprintf(text + size, sizeof text - size, "-%02d-%02dT%02d:%02d:%02d", static_cast<int>(month),
                        static_cast<int>(day), seconds / 3600, seconds / 60 % 60, seconds % 60);
  if (rest != 0) size += std::snprintf(text + size, sizeof text - size, ".%06d", rest);
  return std::string(text, size) + "+00:00";
}

/* Takes fixed numbers of digits off the front of a text. */
struct Scanner {
  std::string_view rest;
  bool good = true;

  int64_t digits(size_t least, size_t most) {
    size_t count = 0;
    int64_t value = 0;
    for (; count < most && count < rest.size() && rest[count] >= '0' && rest[count] <= '9'; count++)
      value = value * 10 + (rest[count] - '0');
    good = good && count >= least;
    rest.remove_prefix(count);
    return value;
  }

  bool take(std::string_view any) {
    if (rest.empty() || any.find(rest[0]) == std::string_view::npos) return false;
    rest.remove_prefix(1);
    return true;
  }

  void expect(char c) { good = take(std::string_view(&c, 1)) && good; }
};

bool parse_datetime(std::string_view text, int64_t *microseconds) {
  Scanner in{text};
  const char sign = !text.empty() && (text[0] == '+' || text[0] == '-') ? text[0] : 0;
  if (sign != 0) in.rest.remove_prefix(1);
  int64_t year = sign != 0 ? in.digits(6, 6) : in.digits(4, 4);
  if (sign == '-') year = -year;
  in.expect('-');
  const int64_t month = in.digits(2, 2);
  in.expect('-');
  const int64_t day = in.digits(2, 2);
  int64_t hour = 0, minute = 0, second = 0, fraction = 0, offset = 0;
  if (in.take("T ")) {
    hour = in.digits(2, 2);
    in.expect(':');
    minute = in.digits(2, 2);
    if (in.take(":")) {
      second = in.digits(2, 2);
      if (in.take(".,")) {
        const size_t before = in.rest.size();
        fraction = in.digits(1, 6);
        for (size_t count = before - in.rest.size(); count < 6; count++) fraction *= 10;
      }
    }
    if (!in.take("Zz") && !in.rest.empty()) {  // without a zone it is UTC
      const bool west = in.take("-");
      if (!west) in.expect('+');
      const int64_t hours = in.digits(2, 2);
      in.take(":");
      const int64_t minutes = in.digits(2, 2);
      if (hours > 23 || minutes > 59) return false;
      offset = (hours * 60 + minutes) * (west ? -60 : 60);
    }
  }
  if (!in.good || !in.rest.empty() || hour > 23 || minute > 59 || second > 59) return false;
  const int64_t days = days_of(year, month, day);
  if (days > INT64_MAX / DAY - 2 || days < INT64_MIN / DAY + 2) return false;  // 64 bits hold no such microsecond
  int64_t y, m, d;
  date_of(days, &y, &m, &d);
  if (y != year || m != month || d != day) return false;  // no such day
  *microseconds = days * DAY + (hour * 3600 + minute * 60 + second - offset) * SECOND + fraction;
  return true;
}

// --- numbers as text -------------------------------------------------------------------------------------------------

/* The shortest text that reads back as the same number, with a point whatever the process's locale has. */
std::string float_text(double value, unsigned size) {
  char text[64];
  std::to_chars_result done = size == 4 ? std::to_chars(text, text + sizeof text, static_cast<float>(value))
                                        : std::to_chars(text, text + sizeof text, value);
  return std::string(text, done.ptr);
}

bool parse_float(std::string_view text, double *value) {
  // strtod() takes blanks, "0x1p3" and "nan" too.
  if (text.empty() || text.find_first_not_of("+-.0123456789eEinfINF") != std::string_view::npos) return false;
  const DecimalPoint point;
  const std::string copy(text);
  char *end = nullptr;
  *value = std::strtod(copy.c_str(), &end);
  return end == copy.c_str() + copy.size() && !std::isnan(*value);
}

template <typename Integer>
bool parse_integer(std::string_view text, Integer *value) {
  const auto done = std::from_chars(text.data(), text.data() + text.size(), *value);
  return done.ec == std::errc() && done.ptr == text.data() + text.size();
}

// --- parts -----------------------------------------------------------------------------------------------------------

void append_value(std::string &key, KeyType type, const KeyValue &value, bool last) {
  switch (key_form(type).kind) {
    case KeyKind::Unsigned:
    case KeyKind::Bool: return append_unsigned(key, type, value.integer);
    case KeyKind::Signed: return append_signed(key, type, static_cast<int64_t>(value.integer));
    case KeyKind::Float: return append_float(key, type, value.number);
    case KeyKind::Text: return append_text(key, value.bytes, last);
    case KeyKind::Uuid: key += value.bytes; return;
  }
}

/* Take a part off the front of `key`; false where there is none. */
bool take_value(std::string_view &key, KeyType type, bool last, KeyValue &value) {
  const KeyForm &form = key_form(type);
  if (form.kind == KeyKind::Text) {
    value.bytes.clear();
    if (last) {
      value.bytes = key;
      key = {};
      return true;
    }
    for (size_t at = 0;;) {
      const size_t nul = key.find('\0', at);
      if (nul == std::string_view::npos || nul + 1 == key.size()) return false;
      value.bytes.append(key, at, nul - at);
      at = nul + 2;
      if (key[nul + 1] == END_OF_PART[1]) {
        key.remove_prefix(at);
        return true;
      }
      if (key[nul + 1] != ESCAPED_NUL[1]) return false;
      value.bytes.push_back('\0');
    }
  }
  if (key.size() < form.size) return false;
  const std::string_view bytes = key.substr(0, form.size);
  key.remove_prefix(form.size);
  if (form.kind == KeyKind::Uuid) {
    value.bytes = bytes;
    return true;
  }
  const uint64_t bits = big_endian(bytes);
  switch (form.kind) {
    case KeyKind::Signed:
      value.integer = bits ^ sign_bit(form.size);
      if (value.integer & sign_bit(form.size)) value.integer |= ~all_bits(form.size);
      return true;
    case KeyKind::Float: {
      const uint64_t plain = unordered(bits, form.size);
      if (form.size == 8) {
        std::memcpy(&value.number, &plain, sizeof value.number);
      } else {
        const uint32_t half = static_cast<uint32_t>(plain);
        float number;
        std::memcpy(&number, &half, sizeof number);
        value.number = number;
      }
      return !std::isnan(value.number) && !(value.number == 0 && std::signbit(value.number));
    }
    case KeyKind::Bool: value.integer = bits; return bits <= 1;
    default: value.integer = bits; return true;
  }
}

std::string value_text(KeyType type, const KeyValue &value) {
  switch (key_form(type).kind) {
    case KeyKind::Unsigned: return std::to_string(value.integer);
    case KeyKind::Signed: {
      const auto integer = static_cast<int64_t>(value.integer);
      return type == KeyType::DateTime ? datetime_text(integer) : std::to_string(integer);
    }
    case KeyKind::Float: return float_text(value.number, key_form(type).size);
    case KeyKind::Bool: return value.integer ? "true" : "false";
    case KeyKind::Text: return type == KeyType::Bytes ? hexadecimal(value.bytes) : value.bytes;
    case KeyKind::Uuid: return uuid_text(value.bytes);
  }
  return {};
}

bool parse_value(KeyType type, const std::string &text, KeyValue &value) {
  switch (key_form(type).kind) {
    case KeyKind::Unsigned: return parse_integer(text, &value.integer);
    case KeyKind::Signed: {
      int64_t integer = 0;
      const bool good = type == KeyType::DateTime ? parse_datetime(text, &integer) : parse_integer(text, &integer);
      value.integer = static_cast<uint64_t>(integer);
      return good;
    }
    case KeyKind::Float: return parse_float(text, &value.number);
    case KeyKind::Bool:
      value.integer = text == "true" || text == "1";
      return value.integer || text == "false" || text == "0";
    case KeyKind::Text:
      if (type == KeyType::Bytes) return from_hexadecimal(text, value.bytes);
      value.bytes = text;
      return true;
    case KeyKind::Uuid: return parse_uuid(text, value.bytes);
  }
  return false;
}

/* Text apart at its commas, where there are several parts; `\,` is a comma of a part, `\\` a backslash. */
std::vector<std::string> split_text(std::string_view text, bool several) {
  std::vector<std::string> parts(1);
  for (size_t i = 0; i < text.size(); i++) {
    if (text[i] == '\\' && i + 1 < text.size() && (text[i + 1] == ',' || text[i + 1] == '\\'))
      parts.back().push_back(text[++i]);
    else if (text[i] == ',' && several)
      parts.emplace_back();
    else
      parts.back().push_back(text[i]);
  }
  return parts;
}

KeyType type_named(std::string_view name, std::string_view codec) {
  KeyType type;
  if (find_key_type(name, &type)) return type;
  std::string known;
  for (const KeyForm &form : FORMS) known += std::string(known.empty() ? "" : ", ") + form.name;
  fail(FLATDB_BAD_TABLE, "\"" + std::string(codec) + "\" is no codec of keys: choose of " + known +
                                      ", or some of them, as in \"(string, uint32)\"");
}

}  // namespace

const KeyForm &key_form(KeyType type) { return FORMS[static_cast<size_t>(type)]; }

bool find_key_type(std::string_view name, KeyType *type) {
  for (size_t i = 0; i < std::size(FORMS); i++) {
    if (name != FORMS[i].name) continue;
    *type = static_cast<KeyType>(i);
    return true;
  }
  return false;
}

std::string_view trim(std::string_view text) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  return text;
}

void append_unsigned(std::string &key, KeyType type, uint64_t value) {
  const KeyForm &form = key_form(type);
  if (value > (form.kind == KeyKind::Bool ? 1 : all_bits(form.size))) out_of_range(std::to_string(value), type);
  append_big_endian(key, value, form.size);
}

void append_signed(std::string &key, KeyType type, int64_t value) {
  const unsigned size = key_form(type).size;
  const auto most = static_cast<int64_t>(all_bits(size) >> 1);
  if (value > most || value < -most - 1) out_of_range(std::to_string(value), type);
  append_big_endian(key, static_cast<uint64_t>(value) ^ sign_bit(size), size);
}

void append_float(std::string &key, KeyType type, double value) {
  if (std::isnan(value)) fail(FLATDB_BAD_KEY, "NaN has no place in an order of keys");
  if (value == 0) value = 0;  // -0.0 is the same key
  const unsigned size = key_form(type).size;
  uint64_t bits = 0;
  if (size == 8) {
    std::memcpy(&bits, &value, sizeof value);
  } else {
    if (std::isfinite(value) && std::fabs(value) >= FLOAT_END) out_of_range(float_text(value, 8), type);
    const float half = static_cast<float>(value) == 0 ? 0.0F : static_cast<float>(value);  // also what underflows
    uint32_t half_bits;
    std::memcpy(&half_bits, &half, sizeof half);
    bits = half_bits;
  }
  append_big_endian(key, ordered(bits, size), size);
}

void append_text(std::string &key, std::string_view value, bool last) {
  if (last) {
    key += value;
    return;
  }
  for (size_t at = 0;;) {
    const size_t nul = value.find('\0', at);
    if (nul == std::string_view::npos) {
      key.append(value, at, value.size() - at);
      break;
    }
    key.append(value, at, nul - at);
    key.append(ESCAPED_NUL, sizeof ESCAPED_NUL);
    at = nul + 1;
  }
  key.append(END_OF_PART, sizeof END_OF_PART);
}

void append_uuid(std::string &key, std::string_view text) {
  if (!parse_uuid(text, key))
    fail(FLATDB_BAD_KEY, "\"" + std::string(text) + "\" is no UUID: it has 8-4-4-4-12 hexadecimal digits");
}

KeyCodec::KeyCodec(std::string_view name) {
  if (name.empty() || name.front() != '(') {
    parts_.push_back(type_named(name, name));
    return;
  }
  if (name.back() != ')') type_named({}, name);
  std::string_view rest = name.substr(1, name.size() - 2);
  for (;;) {
    const size_t comma = rest.find(',');
    parts_.push_back(type_named(trim(rest.substr(0, comma)), name));
    if (comma == std::string_view::npos) break;
    rest.remove_prefix(comma + 1);
  }
  if (parts_.size() == 1) type_named({}, name);
}

std::string KeyCodec::name() const {
  if (parts_.size() == 1) return key_form(parts_[0]).name;
  std::string name;
  for (KeyType type : parts_) name += std::string(name.empty() ? "(" : ", ") + key_form(type).name;
  return name + ")";
}

bool KeyCodec::decode(std::string_view key, std::vector<KeyValue> &values) const {
  values.resize(parts_.size());
  for (size_t i = 0; i < parts_.size(); i++)
    if (!take_value(key, parts_[i], i + 1 == parts_.size(), values[i])) return false;
  return key.empty();
}

std::string KeyCodec::encode(const std::vector<KeyValue> &values) const {
  std::string key;
  for (size_t i = 0; i < parts_.size(); i++) append_value(key, parts_[i], values[i], i + 1 == parts_.size());
  return key;
}

std::string KeyCodec::text(std::string_view key) const {
  std::vector<KeyValue> values;
  if (!decode(key, values)) return "0x" + hexadecimal(key);
  std::string text;
  for (size_t i = 0; i < parts_.size(); i++) {
    if (i != 0) text.push_back(',');
    for (char c : value_text(parts_[i], values[i])) {
      if (c == '\\' || (c == ',' && parts_.size() > 1)) text.push_back('\\');
      text.push_back(c);
    }
  }
  return text;
}

/* As many parts as there are texts. */
bool KeyCodec::parse_parts(const std::vector<std::string> &texts, std::string &key) const {
  if (texts.size() > parts_.size()) return false;
  for (size_t i = 0; i < texts.size(); i++) {
    KeyValue value;
    if (!parse_value(parts_[i], texts[i], value)) return false;
    append_value(key, parts_[i], value, i + 1 == parts_.size());
  }
  return true;
}

std::string KeyCodec::parse(std::string_view text) const {
  const std::vector<std::string> texts = split_text(text, parts_.size() > 1);
  std::string key;
  if (texts.size() == parts_.size() && parse_parts(texts, key)) return key;
  fail(FLATDB_BAD_KEY, "\"" + std::string(text) + "\" is no key of the codec " + name() +
                           (parts_.size() > 1 ? ": it takes its parts separated by commas" : ""));
}

std::string KeyCodec::bound(std::string_view text) const {
  std::string key;
  if (text.empty() || parse_parts(split_text(text, parts_.size() > 1), key)) return key;
  fail(FLATDB_BAD_KEY, "\"" + std::string(text) + "\" is no bound of keys of the codec " + name() +
                           (parts_.size() > 1 ? ": it takes its first parts, separated by commas" : ""));
}

}  // namespace flatdb
