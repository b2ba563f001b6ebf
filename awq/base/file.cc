#include "awq/base/file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "awq/base/error.h"

namespace awq {
namespace fs = std::filesystem;
namespace {

[[noreturn]] void FailIo(const fs::path& file, std::string_view what) {
  const int error = errno;
  const ErrorCode code = error == ENOENT ? ErrorCode::kNotFound : ErrorCode::kIo;
  Fail(code, file.string(), ": ", what, ": ", std::strerror(error));
}

}  // namespace

void SyncFolder(const fs::path& folder) {
  const int fd = ::open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return;  // some file systems refuse; the rename itself is still atomic
  ::fsync(fd);
  ::close(fd);
}

std::string ReadFile(const fs::path& file, size_t spare) {
  const int fd = ::open(file.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) FailIo(file, "cannot open");
  std::string out;
  struct stat status {};
  const bool sized = ::fstat(fd, &status) == 0 && S_ISREG(status.st_mode);
  out.reserve((sized ? static_cast<size_t>(status.st_size) : 0) + spare);
  char chunk[1 << 16];
  while (true) {
    const ssize_t n = ::read(fd, chunk, sizeof chunk);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) {
      ::close(fd);
      FailIo(file, "cannot read");
    }
    if (n == 0) break;
    out.append(chunk, static_cast<size_t>(n));
  }
  ::close(fd);
  return out;
}

FileWriter::FileWriter(fs::path file) : file_(std::move(file)) {
  descriptor_ = ::open(file_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (descriptor_ < 0) FailIo(file_, "cannot create");
}

FileWriter::FileWriter(fs::path file, int64_t keep) : file_(std::move(file)), bytes_(keep) {
  descriptor_ = ::open(file_.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
  if (descriptor_ < 0) FailIo(file_, "cannot open");
  const off_t size = ::lseek(descriptor_, 0, SEEK_END);
  AWQ_CHECK(size >= keep, kCorrupt, file_.string(), ": expected at least ", keep, " bytes, found ",
            size);
  if (::ftruncate(descriptor_, keep) != 0) FailIo(file_, "cannot truncate");
  if (::lseek(descriptor_, keep, SEEK_SET) != keep) FailIo(file_, "cannot seek");
}

FileWriter::~FileWriter() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

void FileWriter::Write(const void* data, size_t bytes) {
  const char* at = static_cast<const char*>(data);
  while (bytes > 0) {
    const ssize_t n = ::write(descriptor_, at, std::min(bytes, size_t{1} << 30));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) FailIo(file_, "cannot write");
    at += n;
    bytes -= static_cast<size_t>(n);
    bytes_ += n;
  }
}

void FileWriter::WriteAt(int64_t offset, std::string_view text) {
  while (!text.empty()) {
    const ssize_t n = ::pwrite(descriptor_, text.data(), text.size(), offset);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) FailIo(file_, "cannot write");
    text.remove_prefix(static_cast<size_t>(n));
    offset += n;
  }
}

void FileWriter::Sync() {
  if (::fsync(descriptor_) != 0) FailIo(file_, "cannot flush");
}

void FileWriter::Close() {
  Sync();
  const int fd = std::exchange(descriptor_, -1);
  if (::close(fd) != 0) FailIo(file_, "cannot close");
}

ScratchFile::ScratchFile(fs::path file) : file_(std::move(file)) {
  descriptor_ = ::open(file_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (descriptor_ < 0) FailIo(file_, "cannot create");
}

ScratchFile::~ScratchFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

void ScratchFile::Write(int64_t offset, const void* data, int64_t bytes) {
  const char* at = static_cast<const char*>(data);
  while (bytes > 0) {
    const auto piece = static_cast<size_t>(std::min(bytes, int64_t{1} << 30));
    const ssize_t n = ::pwrite(descriptor_, at, piece, offset);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) FailIo(file_, "cannot write");
    at += n;
    offset += n;
    bytes -= n;
  }
}

void ScratchFile::Read(int64_t offset, void* data, int64_t bytes) const {
  char* at = static_cast<char*>(data);
  while (bytes > 0) {
    const auto piece = static_cast<size_t>(std::min(bytes, int64_t{1} << 30));
    const ssize_t n = ::pread(descriptor_, at, piece, offset);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) FailIo(file_, "cannot read");
    AWQ_CHECK(n > 0, kCorrupt, file_.string(), ": expected at least ", offset + bytes,
              " bytes, found ", offset);
    at += n;
    offset += n;
    bytes -= n;
  }
}

void ScratchFile::Sync() {
  if (::fsync(descriptor_) != 0) FailIo(file_, "cannot flush");
}

void WriteFileAtomically(const fs::path& file, std::string_view text) {
  fs::path temporary = file;
  temporary += Cat(".tmp-", ::getpid());
  try {
    FileWriter out(temporary);
    out.Write(text);
    out.Close();
  } catch (const Error&) {
    ::unlink(temporary.c_str());
    throw;
  }
  if (::rename(temporary.c_str(), file.c_str()) != 0) {
    const int error = errno;
    ::unlink(temporary.c_str());
    errno = error;
    FailIo(file, "cannot rename into place");
  }
  SyncFolder(file.parent_path());
}

OutputFolder::OutputFolder(fs::path target) : target_(std::move(target)) {
  if (target_.filename().empty()) target_ = target_.parent_path();  // "out/" means "out"
  std::error_code ignored;
  if (fs::exists(fs::symlink_status(target_, ignored))) {
    AWQ_CHECK(fs::is_directory(target_, ignored) && fs::is_empty(target_, ignored),
              kInvalidArgument, target_.string(),
              ": output exists and is not an empty folder; remove it or choose another name");
  }
  temporary_ = target_;
  temporary_ += Cat(".partial-", ::getpid());
  fs::remove_all(temporary_, ignored);
  std::error_code made;
  fs::create_directories(temporary_, made);
  AWQ_CHECK(!made, kIo, temporary_.string(), ": cannot create folder: ", made.message());
}

OutputFolder::~OutputFolder() {
  std::error_code ignored;
  if (!committed_) fs::remove_all(temporary_, ignored);
}

void OutputFolder::Commit() {
  SyncFolder(temporary_);
  // rename() replaces an empty folder and nothing else, so a target that filled meanwhile is safe.
  if (::rename(temporary_.c_str(), target_.c_str()) != 0)
    FailIo(target_, "cannot rename into place");
  committed_ = true;
  SyncFolder(target_.parent_path());
}

std::shared_ptr<const MappedFile> MappedFile::Open(const fs::path& file) {
  const int fd = ::open(file.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) FailIo(file, "cannot open");
  struct stat info {};
  if (::fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) {
    ::close(fd);
    Fail(ErrorCode::kIo, file.string(), ": not a regular file");
  }
  const auto size = static_cast<size_t>(info.st_size);
  void* data = nullptr;
  if (size > 0) {
    data = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (data == MAP_FAILED) {
      const int error = errno;
      ::close(fd);
      errno = error;
      FailIo(file, "cannot map");
    }
  }
  ::close(fd);
  return std::shared_ptr<const MappedFile>(
      new MappedFile(file, static_cast<const std::byte*>(data), size));
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) ::munmap(const_cast<std::byte*>(data_), size_);
}

void MappedFile::Release(const void* begin, size_t bytes) const {
  const auto page = static_cast<uintptr_t>(::sysconf(_SC_PAGESIZE));
  // Whole pages alone: the others hold something else, too.
  const uintptr_t before = (page - reinterpret_cast<uintptr_t>(begin) % page) % page;
  if (bytes < before + page) return;
  auto* first = static_cast<char*>(const_cast<void*>(begin)) + before;
  ::madvise(first, (bytes - before) / page * page, MADV_DONTNEED);
}

}  // namespace awq
