// Whole-file reads, durable writes, and output folders that appear only when complete.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace awq {

// Throws kNotFound or kIo naming the file and the reason. `spare`: bytes of capacity behind the
// text.
std::string ReadFile(const std::filesystem::path& file, size_t spare = 0);

// A file being written; errors (disk full, permissions) throw kIo naming the file.
class FileWriter {
 public:
  explicit FileWriter(std::filesystem::path file);  // creates or truncates
  // Goes on behind the first `keep` bytes of a file that has as many (kCorrupt otherwise; a file
  // that does not exist has none) and drops the rest.
  FileWriter(std::filesystem::path file, int64_t keep);
  ~FileWriter();
  FileWriter(const FileWriter&) = delete;
  FileWriter& operator=(const FileWriter&) = delete;

  void Write(const void* data, size_t bytes);
  void Write(std::string_view text) { Write(text.data(), text.size()); }
  // Overwrites bytes written before, e.g. a header whose content is known last.
  void WriteAt(int64_t offset, std::string_view text);
  int64_t bytes_written() const { return bytes_; }
  // Flushes to the device.
  void Sync();
  // Flushes to the device and closes; without it the file is left as it is.
  void Close();

 private:
  std::filesystem::path file_;
  int descriptor_ = -1;
  int64_t bytes_ = 0;
};

// A file of fixed size that is read and written at random places, without a mapping: what the
// system caches of it is not memory of the process. Errors throw kIo naming the file.
class ScratchFile {
 public:
  explicit ScratchFile(std::filesystem::path file);  // opened as it is, or created empty
  ~ScratchFile();
  ScratchFile(const ScratchFile&) = delete;
  ScratchFile& operator=(const ScratchFile&) = delete;

  void Write(int64_t offset, const void* data, int64_t bytes);
  // kCorrupt when the file ends before.
  void Read(int64_t offset, void* data, int64_t bytes) const;
  void Sync();

 private:
  std::filesystem::path file_;
  int descriptor_ = -1;
};

// Makes renames, creations and removals inside the folder durable, where the file system can.
void SyncFolder(const std::filesystem::path& folder);

// Writes to a temporary name beside it, fsyncs, renames.
void WriteFileAtomically(const std::filesystem::path& file, std::string_view text);

// A folder that comes into being whole: work in path(), then Commit() fsyncs and renames it to the
// target. Without Commit the temporary folder is removed.
class OutputFolder {
 public:
  // Throws kInvalidArgument when the target exists and is not an empty folder, kIo when its parent
  // cannot be written.
  explicit OutputFolder(std::filesystem::path target);
  ~OutputFolder();
  OutputFolder(const OutputFolder&) = delete;
  OutputFolder& operator=(const OutputFolder&) = delete;

  const std::filesystem::path& path() const { return temporary_; }
  const std::filesystem::path& target() const { return target_; }
  void Commit();

 private:
  std::filesystem::path target_;
  std::filesystem::path temporary_;
  bool committed_ = false;
};

// A read-only mapping of a whole file; pages come in when touched.
class MappedFile {
 public:
  // Throws kNotFound or kIo naming the file.
  static std::shared_ptr<const MappedFile> Open(const std::filesystem::path& file);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  std::span<const std::byte> bytes() const { return {data_, size_}; }
  const std::filesystem::path& path() const { return path_; }
  // Tells the kernel that these pages will not be needed again soon.
  void Release(const void* begin, size_t bytes) const;

 private:
  MappedFile(std::filesystem::path path, const std::byte* data, size_t size)
      : path_(std::move(path)), data_(data), size_(size) {}
  std::filesystem::path path_;
  const std::byte* data_;
  size_t size_;
};

}  // namespace awq
