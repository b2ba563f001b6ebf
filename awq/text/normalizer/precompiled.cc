#include <utf8proc.h>

#include "awq/text/charsmap.h"
#include "awq/text/normalizer/normalizers.h"
#include "awq/text/utf8.h"

namespace awq {
namespace {

size_t Characters(std::string_view text) {
  size_t n = 0;
  for (char c : text) n += (c & 0xc0) != 0x80;
  return n;
}

// Hugging Face does not look for the longest rule at every position, as SentencePiece does: it
// looks up whole grapheme clusters of less than six bytes, then their characters, and takes the
// shortest rule that one begins with for the whole of it.
class Precompiled : public Normalizer {
 public:
  explicit Precompiled(std::string_view charsmap) : map_(charsmap) {}

  void Apply(NormalText& text) const override {
    constexpr size_t kLongestCluster = 5;
    const std::string_view in = text.text;
    std::string out;
    out.reserve(in.size());
    size_t head = 0;
    for (size_t begin = 0; begin < in.size();) {
      const size_t end = ClusterEnd(in, begin);
      const auto whole = end - begin <= kLongestCluster
                             ? map_.Shortest(in.substr(begin, end - begin))
                             : std::nullopt;
      if (whole) {
        head = Replace(text, begin, end, whole->replacement, head, out);
      } else {
        for (size_t at = begin; at < end;) {
          const size_t next = at + DecodeUtf8(in.substr(at)).length;
          const auto one = map_.Shortest(in.substr(at, next - at));
          head =
              Replace(text, at, next, one ? one->replacement : in.substr(at, next - at), head, out);
          at = next;
        }
      }
      text.CheckLength(out.size());
      begin = end;
    }
    text.text = std::move(out);
    text.head = head;
  }

 private:
  static size_t ClusterEnd(std::string_view text, size_t begin) {
    Utf8Char c = DecodeUtf8(text.substr(begin));
    size_t at = begin + c.length;
    utf8proc_int32_t state = 0;
    while (at < text.size()) {
      const Utf8Char next = DecodeUtf8(text.substr(at));
      if (c.code < 0x80 && next.code < 0x80 && c.code != '\r') break;  // no state begins here
      if (utf8proc_grapheme_break_stateful(static_cast<utf8proc_int32_t>(c.code),
                                           static_cast<utf8proc_int32_t>(next.code), &state)) {
        break;
      }
      c = next;
      at += c.length;
    }
    return at;
  }

  // Appends the replacement; returns the new head: character i of the new stands for character i
  // of the old, and those in excess for the last.
  static size_t Replace(const NormalText& text, size_t begin, size_t end, std::string_view with,
                        size_t head, std::string& out) {
    const size_t at = out.size();
    out += with;
    if (begin >= text.head) return head;
    if (end <= text.head) return out.size();
    size_t keep = Characters(std::string_view(text.text).substr(begin, text.head - begin));
    size_t bytes = 0;
    while (bytes < with.size() && keep > 0) {
      bytes += DecodeUtf8(with.substr(bytes)).length;
      --keep;
    }
    return at + bytes;
  }

  Charsmap map_;
};

}  // namespace

std::unique_ptr<const Normalizer> MakePrecompiled(const std::string& charsmap) {
  return std::make_unique<Precompiled>(charsmap);
}

}  // namespace awq
