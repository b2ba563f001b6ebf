#include "awq/quant/kept_rows.h"

#include <cstring>

namespace awq {

KeptRows::~KeptRows() {
  file_.reset();
  std::error_code ignored;
  std::filesystem::remove(path_, ignored);
}

void KeptRows::Keep(const TensorView& full, const TensorView& quantized) {
  const int64_t bytes = 2 * full.NumBytes();
  full_ = full_ || bytes_ + bytes > limit_;
  if (full_) return;
  Piece piece;
  if (bytes_ + bytes <= memory_) {
    for (const int stream : {0, 1}) {
      const TensorView& from = stream == 0 ? full : quantized;
      piece.memory[stream] = backend_.Alloc(DType::kF32, from.shape);
      backend_.Copy(piece.memory[stream].view(), from);
    }
  } else {
    if (!file_) file_.emplace(path_);
    piece.offset = file_bytes_;
    file_->Write(file_bytes_, full.data, full.NumBytes());
    file_->Write(file_bytes_ + full.NumBytes(), quantized.data, quantized.NumBytes());
    file_bytes_ += bytes;
  }
  bytes_ += bytes;
  pieces_.push_back(std::move(piece));
}

void KeptRows::Read(size_t piece, int stream, const TensorView& rows) const {
  const Piece& from = pieces_[piece];
  if (!from.memory[stream].empty()) {
    backend_.Copy(rows, from.memory[stream].view());
  } else {
    file_->Read(from.offset + stream * rows.NumBytes(), rows.data, rows.NumBytes());
  }
}

void KeptRows::Clear() {
  pieces_.clear();
  bytes_ = 0;
  file_bytes_ = 0;
  full_ = false;
}

}  // namespace awq
