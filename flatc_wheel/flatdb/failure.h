/* How this library fails: inside by one exception, at the C interface by a code and a text. Also FlatBuffers' assertions
 * become this exception: they guard what its parser believes of its input, and input is what strangers wrote. Include it
 * before any header of FlatBuffers. */
#ifndef FLATDB_FAILURE_H
#define FLATDB_FAILURE_H

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <exception>
#include <new>
#include <string>
#include <utility>

#include "flatdb.h"

namespace flatdb {

class Failure : public std::exception {
 public:
  Failure(int code, std::string text) : code_(code), text_(std::move(text)) {}
  int code() const { return code_; }
  const std::string &text() const { return text_; }
  const char *what() const noexcept override { return text_.c_str(); }

 private:
  int code_;
  std::string text_;
};

[[noreturn]] inline void fail(int code, std::string text) { throw Failure(code, std::move(text)); }

/* Put code and text into the caller's error, cut between two characters where it is too long. */
inline int report(flatdb_error *error, int code, const char *text) noexcept {
  if (error) {
    error->code = code;
    size_t size = std::strlen(text);
    if (size >= sizeof error->text) {
      size = sizeof error->text - 1;
      while (size && (text[size] & 0xC0) == 0x80) --size;
    }
    std::memcpy(error->text, text, size);
    error->text[size] = 0;
  }
  return code;
}

/* Run the body of a function of the C interface: 0, or the code of what it threw. Nothing goes further up. */
template <typename Body>
int guarded(flatdb_error *error, Body body) noexcept {
  try {
    body();
    return 0;
  } catch (const Failure &failure) {
    return report(error, failure.code(), failure.what());
  } catch (const std::bad_alloc &) {
    return report(error, ENOMEM, "there is not enough memory for this");
  } catch (const std::exception &exception) {  // of the standard library, such as std::length_error
    return report(error, EINVAL, exception.what());
  }
}

/* An assertion of FlatBuffers that does not hold; who calls FlatBuffers says of what. */
class Unexpected : public std::exception {
 public:
  explicit Unexpected(const char *condition) : condition_(condition) {}
  const char *what() const noexcept override { return condition_; }

 private:
  const char *condition_;
};

/* While another exception is on its way, FlatBuffers' own state is of no more interest; and its CheckedError asserts in
 * the destructor, from which nothing may be thrown then. */
inline void unexpected(const char *condition) {
  if (std::uncaught_exceptions() == 0) throw Unexpected(condition);
}

}  // namespace flatdb

#define FLATBUFFERS_ASSERT(condition) ((condition) ? (void)0 : flatdb::unexpected(#condition))
#define FLATBUFFERS_ASSERT_INCLUDE <cassert> /* for the static_assert of some C libraries */

#endif
