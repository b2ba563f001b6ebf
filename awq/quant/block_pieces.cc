#include "awq/quant/block_pieces.h"

namespace awq {

int64_t NumTokens(std::span<const TokenBlock> blocks) {
  int64_t out = 0;
  for (const TokenBlock& b : blocks) out += static_cast<int64_t>(b.size());
  return out;
}

std::vector<BlockPiece> CutPieces(std::span<const TokenBlock> blocks, int64_t tokens) {
  std::vector<BlockPiece> out;
  int64_t row = 0;
  for (size_t b = 0; b < blocks.size(); ++b) {
    const auto length = static_cast<int64_t>(blocks[b].size());
    const auto at = static_cast<int64_t>(b);
    if (out.empty() || row + length - out.back().first_row > tokens) {
      out.push_back({at, at, row, row});
    }
    row += length;
    out.back().end_block = at + 1;
    out.back().end_row = row;
  }
  return out;
}

}  // namespace awq
