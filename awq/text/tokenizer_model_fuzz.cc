// Fuzz target: any bytes are either a SentencePiece model or a tiktoken vocabulary that encodes and
// decodes anything, or an Error.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "awq/base/error.h"
#include "awq/text/format/formats.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view file(reinterpret_cast<const char*>(data), size);
  try {
    awq::TokenizerConfig config;
    config.tokenizer_class = "QWenTokenizer";
    const auto tokenizer = awq::IsTiktoken(file) ? awq::FromTiktoken(file, config, "fuzz")
                                                 : awq::FromSentencePiece(file, config, "fuzz");
    // The file itself is as odd a text as any.
    (void)tokenizer->Decode(tokenizer->Encode(file.substr(0, 4096), true), false);
  } catch (const awq::Error&) {
    // Refused: what most inputs deserve.
  }
  return 0;
}
