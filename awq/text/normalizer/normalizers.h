// The normalizers there are, by the names that tokenizer.json gives them.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "awq/text/normalizer.h"
#include "awq/text/regex.h"

namespace awq {

enum class NormalForm { kNfc, kNfd, kNfkc, kNfkd };  // Unicode Standard Annex 15

struct BertNormalizerOptions {
  bool clean_text = true;            // drops control characters, makes all white space ' '
  bool handle_chinese_chars = true;  // puts spaces around ideographs
  bool strip_accents = true;         // decomposes, drops nonspacing marks
  bool lowercase = true;
};

// SentencePiece's own normalization (NormalizerSpec).
struct SentencePieceRules {
  std::string charsmap;                   // may be empty
  std::vector<std::string> user_defined;  // symbols that stay as they are
  bool add_dummy_prefix = true;
  bool dummy_prefix_at_start_only = false;  // or after every added token
  bool remove_extra_whitespaces = true;
  bool escape_whitespaces = true;  // U+2581 for spaces
  bool whitespace_as_suffix = false;
};

std::unique_ptr<const Normalizer> MakeUnicodeForm(NormalForm form);
std::unique_ptr<const Normalizer> MakeReplace(Regex pattern, std::string content);
// The same for a literal text, without a regex.
std::unique_ptr<const Normalizer> MakeReplaceText(std::string literal, std::string content);
std::unique_ptr<const Normalizer> MakePrepend(std::string content);  // not to an empty text
std::unique_ptr<const Normalizer> MakeStrip(bool left, bool right);
std::unique_ptr<const Normalizer> MakeStripAccents();
std::unique_ptr<const Normalizer> MakeLowercase();
std::unique_ptr<const Normalizer> MakeNmt();
std::unique_ptr<const Normalizer> MakeBert(const BertNormalizerOptions& options);
// The byte alphabet of GPT-2 instead of bytes.
std::unique_ptr<const Normalizer> MakeByteLevelNormalizer();
// SentencePiece's compiled replacement rules, applied as Hugging Face does. Throws kCorrupt.
std::unique_ptr<const Normalizer> MakePrecompiled(const std::string& charsmap);
std::unique_ptr<const Normalizer> MakeSentencePiece(SentencePieceRules rules);  // throws kCorrupt

}  // namespace awq
