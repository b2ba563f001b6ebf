#include "awq/text/byte_level.h"

#include "awq/text/pretokenizer/pretokenizers.h"

namespace awq {
namespace {

constexpr std::string_view kGpt2Pattern =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

class ByteLevel : public PreTokenizer {
 public:
  ByteLevel(bool add_prefix_space, bool use_regex) : add_prefix_space_(add_prefix_space) {
    if (use_regex) split_ = MakeSplit(Regex(kGpt2Pattern), SplitBehavior::kIsolated, false);
  }

  void Split(const Piece& piece, const PieceSink& out) const override {
    if (!add_prefix_space_ || piece.text.starts_with(' ')) {
      Cut(piece, out);
      return;
    }
    std::string text = " ";
    text += piece.text;
    Cut({text, piece.head + (piece.head > 0)}, out);
  }

 private:
  void Cut(const Piece& piece, const PieceSink& out) const {
    std::string written;
    const auto write = [&](const Piece& part) {
      written.clear();
      AppendPieceOfBytes(part.text, written);
      // Only whether there is a head matters to what may follow.
      out({written, part.head});
    };
    if (split_) {
      split_->Split(piece, write);
    } else {
      write(piece);
    }
  }

  bool add_prefix_space_;
  std::unique_ptr<const PreTokenizer> split_;
};

}  // namespace

std::unique_ptr<const PreTokenizer> MakeByteLevel(bool add_prefix_space, bool use_regex) {
  return std::make_unique<ByteLevel>(add_prefix_space, use_regex);
}

}  // namespace awq
