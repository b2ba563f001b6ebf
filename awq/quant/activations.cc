#include "awq/quant/activations.h"

namespace awq {

ActivationStore::ActivationStore(std::span<const TokenBlock> blocks, int64_t hidden,
                                 const std::filesystem::path& stem, int current)
    : stem_(stem),
      blocks_(blocks),
      hidden_(hidden),
      files_{ScratchFile(stem.string() + ".0"), ScratchFile(stem.string() + ".1")},
      committed_(current),
      current_(current),
      writing_(1 - current) {
  int64_t rows = 0;
  for (const TokenBlock& block : blocks) {
    first_row_.push_back(rows);
    rows += static_cast<int64_t>(block.size());
  }
  first_row_.push_back(rows);
}

std::vector<ActivationStore::Piece> ActivationStore::Pieces(int64_t tokens) const {
  std::vector<Piece> out;
  const auto count = static_cast<int64_t>(blocks_.size());
  for (int64_t b = 0; b < count;) {
    int64_t end = b + 1;
    const int64_t first_row = first_row_[static_cast<size_t>(b)];
    while (end < count && first_row_[static_cast<size_t>(end + 1)] - first_row <= tokens) ++end;
    out.push_back({b, end, first_row, first_row_[static_cast<size_t>(end)]});
    b = end;
  }
  return out;
}

std::span<const TokenBlock> ActivationStore::Blocks(const Piece& piece) const {
  return blocks_.subspan(static_cast<size_t>(piece.first_block),
                         static_cast<size_t>(piece.end_block - piece.first_block));
}

void ActivationStore::Read(const Piece& piece, const TensorView& rows) const {
  files_[current_].Read(piece.first_row * hidden_ * 4, rows.data, piece.rows() * hidden_ * 4);
}

void ActivationStore::Write(const Piece& piece, const TensorView& rows) {
  if (!settled_ && settle_) settle_();
  settled_ = true;
  files_[writing_].Write(piece.first_row * hidden_ * 4, rows.data, piece.rows() * hidden_ * 4);
}

void ActivationStore::Remove() const {
  std::error_code ignored;
  for (const char* end : {".0", ".1"}) std::filesystem::remove(stem_.string() + end, ignored);
}

int ActivationStore::Commit() {
  committed_ = current_;
  writing_ = 1 - current_;
  settled_ = false;
  return committed_;
}

}  // namespace awq
