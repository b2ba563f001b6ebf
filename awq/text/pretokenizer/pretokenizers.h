// The pre-tokenizers there are, by the names that tokenizer.json gives them.
#pragma once

#include <cstddef>
#include <memory>
#include <string>

#include "awq/text/pretokenizer.h"
#include "awq/text/regex.h"

namespace awq {

// What happens to the matches of a splitting pattern; names and rules of Hugging Face tokenizers.
enum class SplitBehavior { kRemoved, kIsolated, kMergedWithPrevious, kMergedWithNext, kContiguous };
// Where Metaspace puts its replacement in front of a piece that does not begin with it.
enum class PrependScheme { kFirst, kNever, kAlways };

std::unique_ptr<const PreTokenizer> MakeSplit(Regex pattern, SplitBehavior behavior, bool invert);
// Adds a space in front of a piece that does not begin with one, cuts as GPT-2 does, and writes
// bytes in the byte alphabet.
std::unique_ptr<const PreTokenizer> MakeByteLevel(bool add_prefix_space, bool use_regex);
std::unique_ptr<const PreTokenizer> MakeMetaspace(char32_t replacement, PrependScheme scheme,
                                                  bool split);
std::unique_ptr<const PreTokenizer> MakeWhitespace();       // words, and runs of other characters
std::unique_ptr<const PreTokenizer> MakeWhitespaceSplit();  // at white space alone
std::unique_ptr<const PreTokenizer> MakeDigits(bool individual);
std::unique_ptr<const PreTokenizer> MakePunctuation(SplitBehavior behavior);
std::unique_ptr<const PreTokenizer> MakeBertPreTokenizer();
std::unique_ptr<const PreTokenizer> MakeCharDelimiterSplit(char32_t delimiter);
std::unique_ptr<const PreTokenizer> MakeUnicodeScripts();
std::unique_ptr<const PreTokenizer> MakeFixedLength(size_t characters);

}  // namespace awq
