// KeptRows: what a site of the quantized model reads, kept until its linear is done so that it need
// not be computed again, or what experts give until it is summed: in memory as far as that may go,
// then in a file.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <vector>

#include "awq/base/file.h"
#include "awq/ops/backend.h"

namespace awq {

// As much as is kept of what o and down read or experts give.
inline constexpr int64_t kKeptBytes = int64_t{2} << 30;

class KeptRows {
 public:
  // At most `limit` bytes in all. `memory` of them stay in memory; what is there does not depend
  // on it.
  KeptRows(Backend& backend, int64_t limit, int64_t memory, std::filesystem::path file)
      : backend_(backend), limit_(limit), memory_(memory), path_(std::move(file)) {}
  ~KeptRows();

  // The next piece, F32 [rows, K], dense; ignored from the first that has no room.
  void Keep(const TensorView& rows);
  // The same, limit or not.
  void Hold(const TensorView& rows);
  int64_t limit() const { return limit_; }
  // How many of the first pieces were kept.
  size_t pieces() const { return pieces_.size(); }
  void Read(size_t piece, const TensorView& rows) const;
  void Clear();

 private:
  struct Piece {
    Tensor memory;       // or
    int64_t offset = 0;  // in the file
  };
  Backend& backend_;
  int64_t limit_;
  int64_t memory_;
  std::filesystem::path path_;
  std::optional<ScratchFile> file_;
  std::vector<Piece> pieces_;
  int64_t bytes_ = 0;
  int64_t file_bytes_ = 0;
  bool full_ = false;
};

}  // namespace awq
