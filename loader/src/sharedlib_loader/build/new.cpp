// C++'s memory, by malloc. zig's runtime has these functions as weak symbols that macOS' linker exports from a library, and
// what is weak in one library takes the place of the same in all others of the process. What is compiled here is hidden.

#include <cstdlib>
#include <new>

void *operator new(std::size_t size) {
    if (void *memory = std::malloc(size ? size : 1)) return memory;
    throw std::bad_alloc();
}

void *operator new(std::size_t size, std::align_val_t alignment) {
    void *memory = nullptr;
    const auto least = static_cast<std::size_t>(alignment);
    if (posix_memalign(&memory, least < sizeof(void *) ? sizeof(void *) : least, size ? size : 1) == 0) return memory;
    throw std::bad_alloc();
}

void *operator new[](std::size_t size) { return operator new(size); }
void *operator new[](std::size_t size, std::align_val_t alignment) { return operator new(size, alignment); }

void operator delete(void *memory) noexcept { std::free(memory); }
void operator delete(void *memory, std::size_t) noexcept { std::free(memory); }
void operator delete(void *memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete(void *memory, std::size_t, std::align_val_t) noexcept { std::free(memory); }
void operator delete[](void *memory) noexcept { std::free(memory); }
void operator delete[](void *memory, std::size_t) noexcept { std::free(memory); }
void operator delete[](void *memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete[](void *memory, std::size_t, std::align_val_t) noexcept { std::free(memory); }

void *operator new(std::size_t size, const std::nothrow_t &) noexcept { return std::malloc(size ? size : 1); }
void *operator new[](std::size_t size, const std::nothrow_t &) noexcept { return std::malloc(size ? size : 1); }
void operator delete(void *memory, const std::nothrow_t &) noexcept { std::free(memory); }
void operator delete[](void *memory, const std::nothrow_t &) noexcept { std::free(memory); }
