/* Files of an import and an export, and all that differs between systems in them: names in UTF-8, times, standard input
 * and output as bytes, and a file that appears when it is whole. */
#ifndef FLATDB_FILES_H
#define FLATDB_FILES_H

#include <cstdint>
#include <string>

namespace flatdb {

/* What an interrupted import knows its file by. */
struct FileState {
  bool regular = false;  // and not a pipe or a terminal, of which nothing can be read twice
  uint64_t size = 0;     // bytes
  int64_t mtime = 0;     // nanoseconds since 1970
};

class InputFile {
 public:
  /* "-" is standard input. What fails is an errno. */
  explicit InputFile(const std::string &path);
  ~InputFile();
  InputFile(const InputFile &) = delete;
  InputFile &operator=(const InputFile &) = delete;

  const FileState &state() const { return state_; }
  const std::string &name() const { return name_; }      // for messages
  const std::string &absolute() const { return absolute_; }  // empty: standard input
  void seek(uint64_t offset);
  /* Whether there is something to read, or the end, within so many milliseconds. */
  bool ready(int milliseconds);
  /* Some bytes, up to `size`; 0 at the end. */
  size_t read(char *data, size_t size);

 private:
  std::string name_, absolute_;
  int file_ = -1;  // a descriptor
  FileState state_;
};

class OutputFile {
 public:
  /* "-" is standard output. Else the bytes go to a new file beside `path`, which commit() puts in its place, and which
   * is removed without it. A device or a pipe is written to as it is. */
  explicit OutputFile(const std::string &path);
  ~OutputFile();
  OutputFile(const OutputFile &) = delete;
  OutputFile &operator=(const OutputFile &) = delete;

  void write(const char *data, size_t size);
  void commit();

 private:
  std::string path_, name_, temporary_;  // temporary_ is empty where the bytes go where they belong at once
  int file_ = -1;  // a descriptor
};

}  // namespace flatdb

#endif
