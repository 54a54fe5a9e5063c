/* Whether bytes are UTF-8: FlatBuffers says that strings are, and does not look. */
#ifndef FLATDB_UTF8_H
#define FLATDB_UTF8_H

#include <cstdint>
#include <cstring>
#include <string_view>

namespace flatdb {

/* As the Unicode standard's table of well-formed byte sequences: nothing overlong, no surrogates, nothing past
 * U+10FFFF. */
inline bool is_utf8(std::string_view text) {
  const auto *at = reinterpret_cast<const uint8_t *>(text.data());
  const uint8_t *end = at + text.size();
  while (at != end) {
    if (end - at >= 8) {
      uint64_t eight;
      std::memcpy(&eight, at, 8);
      if (!(eight & 0x8080808080808080u)) {
        at += 8;
        continue;
      }
    }
    uint8_t first = *at++;
    if (first < 0x80) continue;
    unsigned more = first >= 0xF0 ? 3 : first >= 0xE0 ? 2 : 1;
    if (first < 0xC2 || first > 0xF4 || size_t(end - at) < more) return false;
    uint8_t lowest = first == 0xE0 ? 0xA0 : first == 0xF0 ? 0x90 : 0x80;
    uint8_t highest = first == 0xED ? 0x9F : first == 0xF4 ? 0x8F : 0xBF;
    if (*at < lowest || *at > highest) return false;
    for (++at; --more; ++at) {
      if ((*at & 0xC0) != 0x80) return false;
    }
  }
  return true;
}

}  // namespace flatdb

#endif
