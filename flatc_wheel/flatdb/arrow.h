/* Apache Arrow's C data interface: its two structs, declared from its specification, and what the arrays here are made
 * of. https://arrow.apache.org/docs/format/CDataInterface.html */
#ifndef FLATDB_ARROW_H
#define FLATDB_ARROW_H

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <string>
#include <utility>
#include <vector>

extern "C" {

struct ArrowSchema {
  const char *format;
  const char *name;
  const char *metadata;
  int64_t flags;
  int64_t n_children;
  struct ArrowSchema **children;
  struct ArrowSchema *dictionary;
  void (*release)(struct ArrowSchema *);
  void *private_data;
};

struct ArrowArray {
  int64_t length;
  int64_t null_count;
  int64_t offset;
  int64_t n_buffers;
  int64_t n_children;
  const void **buffers;
  struct ArrowArray **children;
  struct ArrowArray *dictionary;
  void (*release)(struct ArrowArray *);
  void *private_data;
};

}  // extern "C"

namespace flatdb {

constexpr int64_t ARROW_NULLABLE = 2; /* ARROW_FLAG_NULLABLE */

/* Bytes that grow, and that an array takes over. */
class Buffer {
 public:
  Buffer() = default;
  Buffer(Buffer &&other) noexcept { *this = std::move(other); }
  Buffer &operator=(Buffer &&other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    std::swap(room_, other.room_);
    return *this;
  }
  ~Buffer() { std::free(data_); }

  size_t size() const { return size_; }
  uint8_t *data() { return data_; }
  void clear() { size_ = 0; }

  /* `more` bytes at the end, whose content the caller writes. */
  uint8_t *extend(size_t more) {
    if (more > room_ - size_) grow(more);
    uint8_t *at = data_ + size_;
    size_ += more;
    return at;
  }

  template <typename T>
  void add(T value) {
    std::memcpy(extend(sizeof value), &value, sizeof value);
  }

  void add(const void *from, size_t size) {
    if (size) std::memcpy(extend(size), from, size);
  }

  /* Room for `size` bytes in all; also makes data() something where there is nothing. */
  void reserve(size_t size) {
    if (size > room_ || !data_) resize(size < 64 ? 64 : size);
  }

 private:
  void grow(size_t more) {
    if (more > SIZE_MAX / 4 - size_) throw std::bad_alloc();
    size_t room = room_ + room_ / 2;
    resize(room < size_ + more ? size_ + more + 64 : room);
  }

  void resize(size_t room) {
    void *data = std::realloc(data_, room);
    if (!data) throw std::bad_alloc();
    data_ = static_cast<uint8_t *>(data);
    room_ = room;
  }

  uint8_t *data_ = nullptr;
  size_t size_ = 0;
  size_t room_ = 0;
};

/* Bits, the lowest of a byte first. */
class Bits {
 public:
  void add(bool bit) {
    if (length_ % 8 == 0) bytes_.add(uint8_t(0));
    bytes_.data()[length_ / 8] |= uint8_t(bit << (length_ % 8));
    ++length_;
  }
  void reserve(size_t bits) { bytes_.reserve(bits / 8 + 1); }
  void clear() {
    bytes_.clear();
    length_ = 0;
  }
  int64_t length() const { return length_; }
  Buffer take() {
    bytes_.reserve(1);
    length_ = 0;
    return std::move(bytes_);
  }

 private:
  Buffer bytes_;
  int64_t length_ = 0;
};

/* Which elements are there. It costs nothing as long as all are. */
class Validity {
 public:
  void add_valid() {
    if (nulls_) bits_.add(true);
    ++length_;
  }
  void add_valid(int64_t count) {
    if (!nulls_)
      length_ += count;
    else
      for (int64_t i = 0; i < count; ++i) add_valid();
  }
  void add_null() {
    if (!nulls_) {
      for (int64_t i = 0; i < length_; ++i) bits_.add(true);
    }
    bits_.add(false);
    ++nulls_;
    ++length_;
  }
  void clear() {
    bits_.clear();
    length_ = nulls_ = 0;
  }
  int64_t length() const { return length_; }
  int64_t nulls() const { return nulls_; }
  Buffer take() {
    Buffer taken = nulls_ ? bits_.take() : Buffer();
    clear();
    return taken;
  }

 private:
  Bits bits_;
  int64_t length_ = 0;
  int64_t nulls_ = 0;
};

/* What an ArrowSchema, or an ArrowArray, owns; its release gives it back, and with it the children that nobody took. */
template <typename Arrow>
struct Owned {
  explicit Owned(size_t count) : children(count), pointers(count) {
    for (size_t i = 0; i < count; ++i) {
      children[i] = Arrow();
      pointers[i] = &children[i];
    }
  }
  ~Owned() {
    for (Arrow &child : children) {
      if (child.release) child.release(&child);
    }
  }
  static void release(Arrow *arrow) {
    std::unique_ptr<Owned> owned(static_cast<Owned *>(arrow->private_data));
    arrow->release = nullptr;
  }

  std::vector<Arrow> children;
  std::vector<Arrow *> pointers;
  std::string format, name;    /* of a schema */
  std::vector<Buffer> buffers; /* of an array */
  std::vector<const void *> starts;
};

inline void give_schema(std::unique_ptr<Owned<ArrowSchema>> owned, bool nullable, ArrowSchema *schema) {
  *schema = ArrowSchema();
  schema->format = owned->format.c_str();
  schema->name = owned->name.c_str();
  schema->flags = nullable ? ARROW_NULLABLE : 0;
  schema->n_children = int64_t(owned->children.size());
  schema->children = owned->pointers.data();
  schema->private_data = owned.release();
  schema->release = Owned<ArrowSchema>::release;
}

/* A first buffer without bytes says that no element is null. */
inline void give_array(std::unique_ptr<Owned<ArrowArray>> owned, int64_t length, int64_t nulls, ArrowArray *array) {
  for (Buffer &buffer : owned->buffers) owned->starts.push_back(buffer.data());
  *array = ArrowArray();
  array->length = length;
  array->null_count = nulls;
  array->n_buffers = int64_t(owned->buffers.size());
  array->buffers = owned->starts.data();
  array->n_children = int64_t(owned->children.size());
  array->children = owned->pointers.data();
  array->private_data = owned.release();
  array->release = Owned<ArrowArray>::release;
}

}  // namespace flatdb

#endif
