// The decoders there are, by the names that tokenizer.json gives them.
#pragma once

#include <memory>
#include <string>

#include "awq/text/decoder.h"
#include "awq/text/regex.h"

namespace awq {

// The byte alphabet back to bytes; invalid UTF-8 becomes U+FFFD per maximal subpart. One token.
std::unique_ptr<const Decoder> MakeByteLevelDecoder();
// Runs of "<0xE4>" tokens to the text they spell, or one U+FFFD each when it is no UTF-8.
std::unique_ptr<const Decoder> MakeByteFallback();
std::unique_ptr<const Decoder> MakeFuse();  // all tokens become one
// The replacement to spaces; none at the beginning when `strip_first`.
std::unique_ptr<const Decoder> MakeMetaspaceDecoder(char32_t replacement, bool strip_first);
std::unique_ptr<const Decoder> MakeReplaceDecoder(Regex pattern, std::string content);
std::unique_ptr<const Decoder> MakeReplaceTextDecoder(std::string literal, std::string content);
// Removes up to `start` and `stop` of a character from the ends of every token.
std::unique_ptr<const Decoder> MakeStripDecoder(char32_t content, size_t start, size_t stop);
// Removes a mark from the beginning of the first token or, when `every`, of each token until one
// has left something.
std::unique_ptr<const Decoder> MakeLeadingMarkDecoder(std::string mark, bool every);
std::unique_ptr<const Decoder> MakeWordPieceDecoder(std::string prefix, bool cleanup);
// The suffix to a space, but not in the last token.
std::unique_ptr<const Decoder> MakeBpeDecoder(std::string suffix);
// Connectionist temporal classification: repeated tokens once, no padding.
std::unique_ptr<const Decoder> MakeCtcDecoder(std::string pad, std::string delimiter, bool cleanup);
// What stands for a decoder where there is none: a space between tokens.
std::unique_ptr<const Decoder> MakeJoinWithSpaces();

}  // namespace awq
