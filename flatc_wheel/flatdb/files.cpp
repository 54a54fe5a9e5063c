#ifndef _FILE_OFFSET_BITS
#define _FILE_OFFSET_BITS 64  // files above 2 GiB on 32-bit systems
#endif

#include "files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/types.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <system_error>

#ifdef _WIN32
#include <io.h>
#include <process.h>
#else
#include <poll.h>
#include <unistd.h>
#endif

#include "failure.h"

namespace flatdb {
namespace {

std::filesystem::path native(const std::string &path) { return std::filesystem::u8path(path); }

constexpr size_t MOST_AT_ONCE = size_t{1} << 30;  // bytes: some systems take no more than an int holds

#ifdef _WIN32
using Status = struct _stat64;

int64_t modified(const Status &status) { return static_cast<int64_t>(status.st_mtime) * 1000000000; }
bool regular(const Status &status) { return (status.st_mode & _S_IFMT) == _S_IFREG; }
int status_of(int file, Status *status) { return _fstat64(file, status); }
int open_to_read(const std::string &path) { return _wopen(native(path).c_str(), _O_RDONLY | _O_BINARY | _O_NOINHERIT); }
int open_to_write(const std::string &path) {
  return _wopen(native(path).c_str(), _O_WRONLY | _O_BINARY | _O_NOINHERIT);
}
int open_to_make(const std::string &path, unsigned) {  // permissions are not of this kind
  return _wopen(native(path).c_str(), _O_WRONLY | _O_BINARY | _O_NOINHERIT | _O_CREAT | _O_EXCL, _S_IREAD | _S_IWRITE);
}
bool seek_file(int file, uint64_t offset) { return _lseeki64(file, static_cast<int64_t>(offset), SEEK_SET) >= 0; }
void as_bytes(int file) { _setmode(file, _O_BINARY); }
bool is_ready(int, int) { return true; }  // there is no such question for every kind of file
int sync_file(int file) { return _commit(file); }
int close_file(int file) { return _close(file); }
long long read_file(int file, char *data, size_t size) { return _read(file, data, static_cast<unsigned>(size)); }
long long write_file(int file, const char *data, size_t size) {
  return _write(file, data, static_cast<unsigned>(size));
}
long process_id() { return _getpid(); }
#else
using Status = struct stat;

int64_t modified(const Status &status) {
#ifdef __APPLE__
  const struct timespec &time = status.st_mtimespec;
#else
  const struct timespec &time = status.st_mtim;
#endif
  return static_cast<int64_t>(time.tv_sec) * 1000000000 + time.tv_nsec;
}
bool regular(const Status &status) { return S_ISREG(status.st_mode); }
int status_of(int file, Status *status) { return fstat(file, status); }
int open_to_read(const std::string &path) { return open(path.c_str(), O_RDONLY | O_CLOEXEC); }
int open_to_write(const std::string &path) { return open(path.c_str(), O_WRONLY | O_CLOEXEC); }
int open_to_make(const std::string &path, unsigned mode) {  // the umask may take more away
  return open(path.c_str(), O_WRONLY | O_CLOEXEC | O_CREAT | O_EXCL, mode);
}
bool seek_file(int file, uint64_t offset) { return lseek(file, static_cast<off_t>(offset), SEEK_SET) >= 0; }
void as_bytes(int) {}
bool is_ready(int file, int milliseconds) {
  struct pollfd question = {file, POLLIN, 0};
  return poll(&question, 1, milliseconds) > 0;
}
int sync_file(int file) { return fsync(file); }
int close_file(int file) { return close(file); }
long long read_file(int file, char *data, size_t size) { return read(file, data, size); }
long long write_file(int file, const char *data, size_t size) { return write(file, data, size); }
long process_id() { return getpid(); }
#endif

constexpr int STANDARD_INPUT = 0, STANDARD_OUTPUT = 1;

[[noreturn]] void fail_by_errno(const std::string &attempt) {
  const int code = errno != 0 ? errno : EIO;
  fail(code, attempt + ": " + std::strerror(code));
}

}  // namespace

InputFile::InputFile(const std::string &path) : name_(path == "-" ? "standard input" : path) {
  if (path == "-") {
    file_ = STANDARD_INPUT;
    as_bytes(file_);
    return;
  }
  std::error_code error;
  absolute_ = std::filesystem::absolute(native(path), error).lexically_normal().u8string();
  if (error) fail(error.value(), "cannot find the absolute path of " + path + ": " + error.message());
  file_ = open_to_read(path);
  if (file_ < 0) fail_by_errno("cannot open " + path);
  Status status;
  if (status_of(file_, &status) != 0) fail_by_errno("cannot look at " + path);
  state_.regular = regular(status);
  state_.size = state_.regular ? static_cast<uint64_t>(status.st_size) : 0;
  state_.mtime = modified(status);
}

InputFile::~InputFile() {
  if (file_ > STANDARD_INPUT) close_file(file_);
}

void InputFile::seek(uint64_t offset) {
  if (!seek_file(file_, offset)) fail_by_errno("cannot move to byte " + std::to_string(offset) + " of " + name_);
}

bool InputFile::ready(int milliseconds) { return state_.regular || is_ready(file_, milliseconds); }

size_t InputFile::read(char *data, size_t size) {
  for (;;) {
    const long long got = read_file(file_, data, std::min(size, MOST_AT_ONCE));
    if (got >= 0) return static_cast<size_t>(got);
    if (errno != EINTR) fail_by_errno("cannot read " + name_);
  }
}

OutputFile::OutputFile(const std::string &path) : path_(path), name_(path == "-" ? "standard output" : path) {
  if (path == "-") {
    file_ = STANDARD_OUTPUT;
    as_bytes(file_);
    return;
  }
  std::error_code error;
  const std::filesystem::file_status there = std::filesystem::status(native(path), error);
  if (std::filesystem::exists(there) && !std::filesystem::is_regular_file(there)) {
    file_ = open_to_write(path);
    if (file_ < 0) fail_by_errno("cannot open " + path);
    return;
  }
  // Through a link the file is replaced that it leads to, and not the link; and what was for some eyes only stays so.
  if (std::filesystem::is_symlink(native(path), error)) {
    const std::filesystem::path target = std::filesystem::canonical(native(path), error);
    if (!error) path_ = target.u8string();
  }
  const unsigned mode = std::filesystem::exists(there) ? static_cast<unsigned>(there.permissions()) & 0666 : 0666;
  const std::string beside = path_ + "." + std::to_string(process_id()) + ".part";
  file_ = open_to_make(beside, mode);
  if (file_ < 0 && errno == EEXIST)
    fail(EEXIST, beside + " is there already: an export that was killed left it; remove it if none is running");
  if (file_ < 0) fail_by_errno("cannot make " + beside);
  temporary_ = beside;
}

OutputFile::~OutputFile() {
  if (file_ > STANDARD_OUTPUT) close_file(file_);
  std::error_code ignored;  // the failure that led here is the one to tell
  if (!temporary_.empty()) std::filesystem::remove(native(temporary_), ignored);
}

void OutputFile::write(const char *data, size_t size) {
  while (size != 0) {
    const long long done = write_file(file_, data, std::min(size, MOST_AT_ONCE));
    if (done < 0 && errno != EINTR) fail_by_errno("cannot write to " + name_);
    if (done < 0) continue;
    data += done;
    size -= static_cast<size_t>(done);
  }
}

void OutputFile::commit() {
  if (file_ == STANDARD_OUTPUT) return;
  if (!temporary_.empty() && sync_file(file_) != 0) fail_by_errno("cannot write to " + name_);
  const int file = file_;
  file_ = -1;
  if (close_file(file) != 0) fail_by_errno("cannot close " + name_);
  if (temporary_.empty()) return;
  std::error_code error;
  std::filesystem::rename(native(temporary_), native(path_), error);
  if (error) fail(error.value(), "cannot put " + temporary_ + " in place of " + path_ + ": " + error.message());
  temporary_.clear();
}

}  // namespace flatdb
