// BlockPieces: blocks of tokens grouped into what is computed at a time.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace awq {

using TokenBlock = std::vector<int32_t>;
// Of all blocks together.
int64_t NumTokens(std::span<const TokenBlock> blocks);

struct BlockPiece {
  int64_t first_block, end_block;
  int64_t first_row, end_row;  // tokens
  int64_t rows() const { return end_row - first_row; }
};

// Pieces of at most `tokens` tokens, one block at least.
std::vector<BlockPiece> CutPieces(std::span<const TokenBlock> blocks, int64_t tokens);

inline std::span<const TokenBlock> BlocksOf(std::span<const TokenBlock> blocks,
                                            const BlockPiece& piece) {
  return blocks.subspan(static_cast<size_t>(piece.first_block),
                        static_cast<size_t>(piece.end_block - piece.first_block));
}

}  // namespace awq
