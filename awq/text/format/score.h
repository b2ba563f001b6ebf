// Scores of Unigram models as Hugging Face reads them.
#pragma once

#include <string_view>

namespace awq {

// A JSON number as the parser of Hugging Face's tokenizers has it: its digits as an integer,
// rounded to f64, divided by a power of ten, rounded again. That may be one unit beside the nearest
// f64, and decides between ways to cut a word whose sums are otherwise equal.
double ScoreOf(std::string_view number);

}  // namespace awq
