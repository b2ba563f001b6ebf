#include "awq/text/pretokenizer/pretokenizers.h"
#include "awq/text/utf8.h"

namespace awq {
namespace {

class Metaspace : public PreTokenizer {
 public:
  Metaspace(char32_t replacement, PrependScheme scheme, bool split)
      : scheme_(scheme), split_(split) {
    AppendUtf8(replacement, mark_);
  }

  void Split(const Piece& piece, const PieceSink& out) const override {
    std::string text;
    text.reserve(piece.text.size() + piece.text.size() / 2 + mark_.size());
    const bool begins = piece.text.starts_with(' ') || piece.text.starts_with(mark_);
    size_t head = 0;
    if (!begins && (scheme_ == PrependScheme::kAlways ||
                    (scheme_ == PrependScheme::kFirst && piece.head > 0))) {
      text += mark_;
    }
    for (size_t i = 0; i < piece.text.size(); ++i) {
      if (piece.text[i] == ' ') {
        text += mark_;
      } else {
        text += piece.text[i];
      }
      if (i < piece.head) head = text.size();
    }
    const Piece whole{text, head};
    if (!split_) {
      out(whole);
      return;
    }
    for (size_t begin = 0; begin < text.size();) {
      const size_t next = std::min(text.find(mark_, begin + 1), text.size());
      out(whole.Part(begin, next));
      begin = next;
    }
  }

 private:
  std::string mark_;
  PrependScheme scheme_;
  bool split_;
};

}  // namespace

std::unique_ptr<const PreTokenizer> MakeMetaspace(char32_t replacement, PrependScheme scheme,
                                                  bool split) {
  return std::make_unique<Metaspace>(replacement, scheme, split);
}

}  // namespace awq
