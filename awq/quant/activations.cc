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
  for (const TokenBlock& block : blocks) num_tokens_ += static_cast<int64_t>(block.size());
}

void ActivationStore::Read(const Piece& piece, const TensorView& rows) const {
  files_[current_].Read(piece.first_row * hidden_ * 4, rows.data, piece.rows() * hidden_ * 4);
}

void ActivationStore::ReadRows(std::span<const int32_t> numbers, const TensorView& rows) const {
  for (size_t i = 0; i < numbers.size(); ++i) {
    const int64_t bytes = hidden_ * 4;
    files_[current_].Read(numbers[i] * bytes, rows.As<char>() + static_cast<int64_t>(i) * bytes,
                          bytes);
  }
}

void ActivationStore::ReadNext(const Piece& piece, const TensorView& rows) const {
  files_[writing_].Read(piece.first_row * hidden_ * 4, rows.data, piece.rows() * hidden_ * 4);
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
