#include "awq/quant/activations.h"

namespace awq {

ActivationStore::ActivationStore(std::span<const TokenBlock> blocks, int64_t hidden)
    : blocks_(blocks) {
  int64_t rows = 0;
  for (const TokenBlock& block : blocks) {
    first_row_.push_back(rows);
    rows += static_cast<int64_t>(block.size());
  }
  first_row_.push_back(rows);
  rows_ = MakeTensor(DType::kF32, {rows, hidden});
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

TensorView ActivationStore::Rows(const Piece& piece) const {
  return rows_.view().Rows(piece.first_row, piece.end_row);
}

}  // namespace awq
