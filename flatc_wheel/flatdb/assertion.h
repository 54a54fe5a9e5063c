/* What becomes of FlatBuffers' assertions: an exception. They guard what its parser believes of its input, and input is
 * what strangers wrote. Include it before any header of FlatBuffers. */
#ifndef FLATDB_ASSERTION_H
#define FLATDB_ASSERTION_H

#include <exception>

namespace flatdb {

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
#define FLATBUFFERS_ASSERT_INCLUDE <cassert> /* instead, for the static_assert of some C libraries */

#endif
