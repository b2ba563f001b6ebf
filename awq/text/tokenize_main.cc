// awq_tokenize FOLDER FILE [REPEATS]: the ids of a whole file, one a line, and the time it took on
// stderr. For comparison with Hugging Face tokenizers by tools/check_tokenizer.py; not installed.
#include <chrono>
#include <cstdio>
#include <cstdlib>

#include "awq/base/file.h"
#include "awq/text/tokenizer.h"

int main(int argc, char** argv) {
  using Clock = std::chrono::steady_clock;
  if (argc < 3) {
    std::fputs("usage: awq_tokenize FOLDER FILE [REPEATS]\n", stderr);
    return 2;
  }
  const auto seconds = [](Clock::time_point from) {
    return std::chrono::duration<double>(Clock::now() - from).count();
  };
  const auto start = Clock::now();
  const auto tokenizer = awq::Tokenizer::Load(argv[1]);
  const double load = seconds(start);
  const std::string text = awq::ReadFile(argv[2]);
  std::vector<awq::TokenId> ids;
  double best = 1e30;
  for (int i = argc > 3 ? std::atoi(argv[3]) : 1; i > 0; --i) {
    const auto begin = Clock::now();
    ids = tokenizer->Encode(text, false);
    best = std::min(best, seconds(begin));
  }
  for (awq::TokenId id : ids) std::printf("%d\n", id);
  const bool round_trip = tokenizer->Decode(ids, false) == text;
  std::fprintf(stderr, "{\"load\": %.6f, \"encode\": %.6f, \"round_trip\": %s}\n", load, best,
               round_trip ? "true" : "false");
  return 0;
}
