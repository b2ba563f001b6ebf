// ByteSource: the bytes of a file or of standard input, decompressed as they are read.
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>

namespace awq {

class ByteSource {
 public:
  virtual ~ByteSource() = default;
  // Fills up to `size` bytes and returns how many; 0: the end. Throws kIo and kCorrupt (damaged
  // compression) naming the file.
  virtual size_t Read(char* to, size_t size) = 0;

  // "-" is standard input. gzip and zstd are recognised by their first bytes, whatever the name.
  // Throws kNotFound, kIo.
  static std::unique_ptr<ByteSource> Open(const std::filesystem::path& file);
};

}  // namespace awq
