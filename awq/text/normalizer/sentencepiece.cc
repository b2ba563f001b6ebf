#include "awq/text/byte_trie.h"
#include "awq/text/charsmap.h"
#include "awq/text/normalizer/normalizers.h"
#include "awq/text/utf8.h"

namespace awq {
namespace {

constexpr std::string_view kMetaspace = "\xe2\x96\x81";

class SentencePiece : public Normalizer {
 public:
  explicit SentencePiece(SentencePieceRules rules) : rules_(std::move(rules)) {
    if (!rules_.charsmap.empty()) map_.emplace(rules_.charsmap);
    std::vector<std::pair<std::string_view, int32_t>> keys;
    for (const std::string& symbol : rules_.user_defined) keys.emplace_back(symbol, 0);
    user_defined_ = ByteTrie(std::move(keys));
    space_ = rules_.escape_whitespaces ? kMetaspace : " ";
  }

  void Apply(NormalText& text) const override {
    std::string_view in = text.text;
    std::string out;
    out.reserve(in.size() + in.size() / 4);
    const bool trim = rules_.remove_extra_whitespaces;
    while (trim && !in.empty()) {
      const Charsmap::Match m = Prefix(in);
      if (m.replacement != " ") break;
      in.remove_prefix(m.length);
    }
    const bool dummy = rules_.add_dummy_prefix && !in.empty() &&
                       (!rules_.dummy_prefix_at_start_only || text.head > 0);
    if (dummy && !rules_.whitespace_as_suffix) out += space_;
    bool after_space = trim;
    while (!in.empty()) {
      Charsmap::Match m = Prefix(in);
      while (after_space && m.replacement.starts_with(' ')) m.replacement.remove_prefix(1);
      for (char c : m.replacement) {
        if (c == ' ') {
          out += space_;
        } else {
          out += c;
        }
      }
      if (!m.replacement.empty()) after_space = trim && m.replacement.ends_with(' ');
      text.CheckLength(out.size());
      in.remove_prefix(m.length);
    }
    while (trim && std::string_view(out).ends_with(space_)) out.resize(out.size() - space_.size());
    if (dummy && rules_.whitespace_as_suffix) out += space_;
    text.text = std::move(out);
    text.head = std::min<size_t>(text.head, text.text.empty() ? 0 : 1);
  }

 private:
  // What the text begins with and what stands for it: a symbol of the user's, the longest rule,
  // or one character.
  Charsmap::Match Prefix(std::string_view text) const {
    size_t symbol = 0;
    int32_t node = ByteTrie::kRoot;
    for (size_t i = 0; i < text.size();) {
      node = user_defined_.Child(node, text[i++]);
      if (node == ByteTrie::kNone) break;
      if (user_defined_.Value(node) >= 0) symbol = i;
    }
    if (symbol > 0) return {symbol, text.substr(0, symbol)};
    if (map_) {
      if (const auto match = map_->Longest(text)) return *match;
    }
    const size_t length = DecodeUtf8(text).length;
    return {length, text.substr(0, length)};
  }

  SentencePieceRules rules_;
  std::optional<Charsmap> map_;
  ByteTrie user_defined_;
  std::string_view space_;
};

}  // namespace

std::unique_ptr<const Normalizer> MakeSentencePiece(SentencePieceRules rules) {
  return std::make_unique<SentencePiece>(std::move(rules));
}

}  // namespace awq
