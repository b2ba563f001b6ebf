#include <optional>

#include "awq/text/pretokenizer/pretokenizers.h"
#include "awq/text/unicode.h"
#include "awq/text/utf8.h"

namespace awq {
namespace {

// Cuts where the script changes. Spaces and characters without a script go with what is before
// them; before the first with one, Hugging Face drops them.
class UnicodeScripts : public PreTokenizer {
 public:
  void Split(const Piece& piece, const PieceSink& out) const override {
    std::optional<int> last;
    size_t begin = piece.text.size();
    for (size_t at = 0; at < piece.text.size();) {
      const Utf8Char c = DecodeUtf8(piece.text.substr(at));
      const std::optional<int> script = ScriptOf(c.code);
      if (script) {
        if (script != last) {
          if (last) out(piece.Part(begin, at));
          begin = at;
        }
        last = script;
      }
      at += c.length;
    }
    if (last) out(piece.Part(begin, piece.text.size()));
  }
};

}  // namespace

std::unique_ptr<const PreTokenizer> MakeUnicodeScripts() {
  return std::make_unique<UnicodeScripts>();
}

}  // namespace awq
