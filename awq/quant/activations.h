// ActivationStore: the residual stream of all calibration blocks between two layers.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <vector>

#include "awq/base/file.h"
#include "awq/base/tensor.h"
#include "awq/quant/block_pieces.h"

namespace awq {

// F32, in two files of 4 · D bytes a token: one holds the stream where a unit of work begins and is
// left alone until that unit has been committed, the other takes its progress. Memory: none; the
// system caches of the files what it has room for.
class ActivationStore {
 public:
  // Files `stem`.0 and `stem`.1, of which `current` holds the stream; it need not exist yet.
  ActivationStore(std::span<const TokenBlock> blocks, int64_t hidden,
                  const std::filesystem::path& stem, int current = 0);

  using Piece = BlockPiece;
  std::vector<Piece> Pieces(int64_t tokens) const { return CutPieces(blocks_, tokens); }
  std::span<const TokenBlock> Blocks(const Piece& piece) const { return BlocksOf(blocks_, piece); }

  // rows [piece.rows(), D], dense, on the host.
  void Read(const Piece& piece, const TensorView& rows) const;
  // Single rows [rows.size(), D].
  void ReadRows(std::span<const int32_t> numbers, const TensorView& rows) const;
  // The piece's next state, once written.
  void ReadNext(const Piece& piece, const TensorView& rows) const;
  // Called before the file that was current at the last Commit but one is overwritten.
  void BeforeOverwrite(std::function<void()> settle) { settle_ = std::move(settle); }
  // The piece's next state. Reading goes on in the present one until Flip().
  void Write(const Piece& piece, const TensorView& rows);
  // All pieces have been written.
  void Flip() { current_ = writing_; }

  // Makes the stream durable; what follows leaves it alone until the next Commit. Returns the file
  // that holds it, for a store that takes it up again.
  int Commit();
  void Sync() { files_[committed_].Sync(); }
  // Deletes the files; the store is of no use afterwards.
  void Remove() const;

  int64_t num_tokens() const { return num_tokens_; }
  int64_t hidden() const { return hidden_; }

 private:
  std::filesystem::path stem_;
  std::span<const TokenBlock> blocks_;
  int64_t hidden_;
  int64_t num_tokens_ = 0;
  ScratchFile files_[2];
  std::function<void()> settle_;
  bool settled_ = false;  // since the last Commit
  int committed_;         // holds the stream at the last Commit
  int current_;           // is read
  int writing_;           // is written; may be the one that is read, piece by piece
};

}  // namespace awq
