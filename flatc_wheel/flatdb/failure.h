/* The C interface's side of things: inside the library failures are one exception, outside a code and a text; and
 * memory that the caller gets is malloc's. */
#ifndef FLATDB_FAILURE_H
#define FLATDB_FAILURE_H

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <new>
#include <string>
#include <utility>

#include "assertion.h"

/* The library is compiled with hidden visibility: what its header declares is all that is seen from outside. */
#pragma GCC visibility push(default)
#include "flatdb.h"
#pragma GCC visibility pop

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

/* A copy for the caller, who gives it back by flatdb_free. */
inline flatdb_bytes copy_out(const void *data, size_t size) {
  void *copy = std::malloc(size ? size : 1);
  if (!copy) throw std::bad_alloc();
  if (size) std::memcpy(copy, data, size);
  return {static_cast<char *>(copy), size};
}

}  // namespace flatdb

#endif
