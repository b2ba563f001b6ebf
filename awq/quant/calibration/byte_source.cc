#include "awq/quant/calibration/byte_source.h"

#include <fcntl.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "awq/base/error.h"

namespace awq {
namespace fs = std::filesystem;
namespace {

constexpr size_t kChunk = size_t{1} << 16;

// The file as it is, with a look at its first bytes.
class RawSource : public ByteSource {
 public:
  explicit RawSource(const fs::path& file) : name_(file == "-" ? "standard input" : file.string()) {
    fd_ = file == "-" ? STDIN_FILENO : ::open(file.c_str(), O_RDONLY | O_CLOEXEC);
    AWQ_CHECK(fd_ >= 0 || errno != ENOENT, kNotFound, name_, ": no such file");
    AWQ_CHECK(fd_ >= 0, kIo, name_, ": cannot open: ", std::strerror(errno));
    head_.resize(4);
    size_t filled = 0;
    while (filled < head_.size()) {
      const size_t n = ReadFile(head_.data() + filled, head_.size() - filled);
      if (n == 0) break;
      filled += n;
    }
    head_.resize(filled);
  }
  ~RawSource() override {
    if (fd_ > STDIN_FILENO) ::close(fd_);
  }
  RawSource(const RawSource&) = delete;
  RawSource& operator=(const RawSource&) = delete;

  const std::string& name() const { return name_; }
  bool StartsWith(std::string_view magic) const { return head_.starts_with(magic); }

  size_t Read(char* to, size_t size) override {
    if (taken_ == head_.size()) return ReadFile(to, size);
    const size_t n = std::min(size, head_.size() - taken_);
    std::memcpy(to, head_.data() + taken_, n);
    taken_ += n;
    return n;
  }

 private:
  size_t ReadFile(char* to, size_t size) const {
    while (true) {
      const ssize_t n = ::read(fd_, to, size);
      if (n >= 0) return static_cast<size_t>(n);
      AWQ_CHECK(errno == EINTR, kIo, name_, ": cannot read: ", std::strerror(errno));
    }
  }

  std::string name_;
  int fd_ = -1;
  std::string head_;
  size_t taken_ = 0;
};

// Several members in a row, as gzip's own tools join them.
class GzipSource : public ByteSource {
 public:
  explicit GzipSource(std::unique_ptr<RawSource> raw) : raw_(std::move(raw)), input_(kChunk) {
    constexpr int kGzipAlone = 16;
    AWQ_CHECK(inflateInit2(&stream_, MAX_WBITS + kGzipAlone) == Z_OK, kInternal, "zlib");
  }
  ~GzipSource() override { inflateEnd(&stream_); }
  GzipSource(const GzipSource&) = delete;
  GzipSource& operator=(const GzipSource&) = delete;

  size_t Read(char* to, size_t size) override {
    stream_.next_out = reinterpret_cast<Bytef*>(to);
    stream_.avail_out = static_cast<uInt>(size);
    while (stream_.avail_out == size) {
      if (stream_.avail_in == 0) {
        stream_.next_in = reinterpret_cast<Bytef*>(input_.data());
        stream_.avail_in = static_cast<uInt>(raw_->Read(input_.data(), input_.size()));
        AWQ_CHECK(stream_.avail_in > 0 || between_, kCorrupt, raw_->name(),
                  ": gzip data ends in the middle");
        if (stream_.avail_in == 0) break;
      }
      if (between_) inflateReset(&stream_);
      const int status = inflate(&stream_, Z_NO_FLUSH);
      AWQ_CHECK(status == Z_OK || status == Z_STREAM_END, kCorrupt, raw_->name(),
                ": damaged gzip data: ", stream_.msg == nullptr ? "?" : stream_.msg);
      between_ = status == Z_STREAM_END;
    }
    return size - stream_.avail_out;
  }

 private:
  std::unique_ptr<RawSource> raw_;
  std::vector<char> input_;
  z_stream stream_{};
  bool between_ = false;  // behind a whole member
};

class ZstdSource : public ByteSource {
 public:
  explicit ZstdSource(std::unique_ptr<RawSource> raw)
      : raw_(std::move(raw)), buffer_(kChunk), context_(ZSTD_createDStream(), ZSTD_freeDStream) {
    AWQ_CHECK(context_ != nullptr, kOutOfMemory, "zstd");
  }

  size_t Read(char* to, size_t size) override {
    ZSTD_outBuffer out{to, size, 0};
    while (out.pos == 0) {
      if (input_.pos == input_.size) {
        input_ = {buffer_.data(), raw_->Read(buffer_.data(), buffer_.size()), 0};
        AWQ_CHECK(input_.size > 0 || between_, kCorrupt, raw_->name(),
                  ": zstd data ends in the middle");
        if (input_.size == 0) break;
      }
      const size_t status = ZSTD_decompressStream(context_.get(), &out, &input_);
      AWQ_CHECK(ZSTD_isError(status) == 0, kCorrupt, raw_->name(),
                ": damaged zstd data: ", ZSTD_getErrorName(status));
      between_ = status == 0;
    }
    return out.pos;
  }

 private:
  std::unique_ptr<RawSource> raw_;
  std::vector<char> buffer_;
  std::unique_ptr<ZSTD_DStream, decltype(&ZSTD_freeDStream)> context_;
  ZSTD_inBuffer input_{nullptr, 0, 0};
  bool between_ = false;  // behind a whole frame
};

}  // namespace

std::unique_ptr<ByteSource> ByteSource::Open(const fs::path& file) {
  auto raw = std::make_unique<RawSource>(file);
  if (raw->StartsWith("\x1f\x8b")) return std::make_unique<GzipSource>(std::move(raw));
  if (raw->StartsWith("\x28\xb5\x2f\xfd")) return std::make_unique<ZstdSource>(std::move(raw));
  return raw;
}

}  // namespace awq
