#include "awq/quant/kept_rows.h"

namespace awq {

KeptRows::~KeptRows() {
  file_.reset();
  std::error_code ignored;
  std::filesystem::remove(path_, ignored);
}

void KeptRows::Keep(const TensorView& rows) {
  full_ = full_ || bytes_ + rows.NumBytes() > limit_;
  if (!full_) Hold(rows);
}

void KeptRows::Hold(const TensorView& rows) {
  const int64_t bytes = rows.NumBytes();
  Piece piece;
  if (bytes_ + bytes <= memory_) {
    piece.memory = backend_.Alloc(DType::kF32, rows.shape);
    backend_.Copy(piece.memory.view(), rows);
  } else {
    if (!file_) file_.emplace(path_);
    piece.offset = file_bytes_;
    file_->Write(file_bytes_, rows.data, bytes);
    file_bytes_ += bytes;
  }
  bytes_ += bytes;
  pieces_.push_back(std::move(piece));
}

void KeptRows::Read(size_t piece, const TensorView& rows) const {
  const Piece& from = pieces_[piece];
  if (!from.memory.empty()) {
    backend_.Copy(rows, from.memory.view());
  } else {
    file_->Read(from.offset, rows.data, rows.NumBytes());
  }
}

void KeptRows::Clear() {
  pieces_.clear();
  bytes_ = 0;
  file_bytes_ = 0;
  full_ = false;
}

}  // namespace awq
