#include "awq/checkpoint/metadata.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "awq/base/error.h"
#include "awq/base/file.h"

namespace awq {

std::string ReservedMetadata(size_t bytes) { return std::string(bytes, ' '); }

void FillMetadata(const std::filesystem::path& file, std::string_view key, std::string_view value) {
  AWQ_CHECK(std::all_of(value.begin(), value.end(),
                        [](char c) { return c >= ' ' && c <= '~' && c != '"' && c != '\\'; }),
            kInternal, file.string(), ": metadata that would need escapes");
  uint64_t length = 0;
  std::string header;
  {
    const auto mapped = MappedFile::Open(file);
    const auto bytes = mapped->bytes();
    AWQ_CHECK(bytes.size() >= 8, kCorrupt, file.string(), ": too short for safetensors");
    std::memcpy(&length, bytes.data(), 8);
    AWQ_CHECK(length <= bytes.size() - 8, kCorrupt, file.string(), ": header beyond the end");
    header.assign(reinterpret_cast<const char*>(bytes.data()) + 8, length);
  }
  const std::string opening = Cat('"', key, "\":\"");
  const size_t at = header.find(opening);
  AWQ_CHECK(at != header.npos, kCorrupt, file.string(), ": no room for the metadata ", key);
  // The value, its closing quote and the blanks behind it, as they are: filled before, or not.
  const size_t begin = at + opening.size();
  const size_t quote = header.find('"', begin);
  const size_t end = header.find_first_not_of(' ', quote == header.npos ? quote : quote + 1);
  AWQ_CHECK(quote != header.npos && end != header.npos, kCorrupt, file.string(), ": the metadata ",
            key, " has no end");
  AWQ_CHECK(value.size() < end - begin, kInternal, file.string(), ": metadata ", key, " of ",
            value.size(), " bytes, room for ", end - begin - 1);
  std::string filled = Cat(value, '"');
  filled.resize(end - begin, ' ');
  const int fd = ::open(file.c_str(), O_WRONLY | O_CLOEXEC);
  const bool ok = fd >= 0 &&
                  ::pwrite(fd, filled.data(), filled.size(), static_cast<off_t>(8 + begin)) ==
                      static_cast<ssize_t>(filled.size()) &&
                  ::fsync(fd) == 0;
  const int error = errno;
  if (fd >= 0) ::close(fd);
  AWQ_CHECK(ok, kIo, file.string(), ": cannot write: ", std::strerror(error));
}

}  // namespace awq
