// ActivationStore: the residual stream of all calibration blocks between two layers.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "awq/base/tensor.h"

namespace awq {

using TokenBlock = std::vector<int32_t>;

// F32, in memory: 4 · D bytes a token.
class ActivationStore {
 public:
  ActivationStore(std::span<const TokenBlock> blocks, int64_t hidden);

  // The blocks grouped into pieces of at most `tokens` tokens (one block at least).
  struct Piece {
    int64_t first_block, end_block;
    int64_t first_row, end_row;
  };
  std::vector<Piece> Pieces(int64_t tokens) const;
  std::span<const TokenBlock> Blocks(const Piece& piece) const;
  // [rows, D], shared with the store.
  TensorView Rows(const Piece& piece) const;

  int64_t num_tokens() const { return rows_.shape()[0]; }

 private:
  std::span<const TokenBlock> blocks_;
  std::vector<int64_t> first_row_;
  Tensor rows_;
};

}  // namespace awq
