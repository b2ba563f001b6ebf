// awq_tokenize: tokenizers for comparison with others; used by tools/, not installed.
//   awq_tokenize FOLDER FILE [REPEATS]   the ids of a file, one a line; seconds and bytes on stderr
//   awq_tokenize --serve FOLDER…         answers requests on stdin until it ends
// A request: u32 tokenizer, u8 operation, u32 size, bytes. An answer: u8 error, u32 size, bytes
// (a text, i32 ids, or the message of an error). Operations: e encode, p encode without special
// tokens; d decode i32 ids, k the same without special tokens; s, t the same id by id.
#include <malloc.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <string_view>

#include "awq/base/clock.h"
#include "awq/base/error.h"
#include "awq/base/file.h"
#include "awq/text/pipe.h"
#include "awq/text/tokenizer.h"
#include "awq/text/utf8.h"

namespace {

using awq::Clock;
using awq::SecondsSince;

std::string Stream(const awq::Tokenizer& tokenizer, const std::vector<awq::TokenId>& ids,
                   bool skip) {
  const auto stream = tokenizer.StartDecoding(skip);
  std::string out;
  for (awq::TokenId id : ids) {
    const std::string part = stream->Push(id);
    AWQ_CHECK(awq::IsValidUtf8(part), kInternal, "a part that is no UTF-8");
    out += part;
  }
  return out + stream->Finish();
}

std::string Answer(const awq::Tokenizer& tokenizer, char operation, const std::string& data) {
  if (operation == 'e' || operation == 'p') {
    const auto ids = tokenizer.Encode(data, operation == 'e');
    return {reinterpret_cast<const char*>(ids.data()), ids.size() * sizeof(awq::TokenId)};
  }
  std::vector<awq::TokenId> ids(data.size() / sizeof(awq::TokenId));
  std::memcpy(ids.data(), data.data(), ids.size() * sizeof(awq::TokenId));
  const bool skip = operation == 'k' || operation == 't';
  if (operation == 'd' || operation == 'k') return tokenizer.Decode(ids, skip);
  return Stream(tokenizer, ids, skip);
}

int Serve(int count, char** folders) {
  std::vector<std::unique_ptr<const awq::Tokenizer>> tokenizers;
  for (int i = 0; i < count; ++i) tokenizers.push_back(awq::Tokenizer::Load(folders[i]));
  uint32_t index = 0;
  uint32_t size = 0;
  char operation = 0;
  while (awq::ReadPart(&index, sizeof index) && awq::ReadPart(&operation, 1) &&
         awq::ReadPart(&size, sizeof size)) {
    std::string data(size, '\0');
    if (!awq::ReadPart(data.data(), size)) return 1;
    std::string answer;
    char error = 0;
    try {
      answer = Answer(*tokenizers.at(index), operation, data);
    } catch (const std::exception& e) {
      error = 1;
      answer = e.what();
    }
    awq::WriteAnswer(error, answer);
  }
  return 0;
}

// A number of /proc/self/status in bytes.
double StatusBytes(std::string_view name) {
  const std::string status = awq::ReadFile("/proc/self/status");
  const size_t at = status.find(name);
  return at == std::string::npos ? 0 : 1024 * std::atof(status.c_str() + at + name.size() + 1);
}

int EncodeFile(const char* folder, const char* file, int repeats) {
  const double before = StatusBytes("VmRSS");
  const std::clock_t clock = std::clock();
  const auto start = Clock::now();
  const auto tokenizer = awq::Tokenizer::Load(folder);
  const double load = SecondsSince(start);
  const double cpu = static_cast<double>(std::clock() - clock) / CLOCKS_PER_SEC;
  const double peak = StatusBytes("VmHWM") - before;
  malloc_trim(0);
  const double resident = StatusBytes("VmRSS") - before;
  const std::string text = awq::ReadFile(file);
  std::vector<awq::TokenId> ids;
  double best = 1e30;
  for (int i = 0; i < repeats; ++i) {
    const auto begin = Clock::now();
    ids = tokenizer->Encode(text, false);
    best = std::min(best, SecondsSince(begin));
  }
  for (awq::TokenId id : ids) std::printf("%d\n", id);
  const bool round_trip = tokenizer->Decode(ids, false) == text;
  std::fprintf(
      stderr,
      "{\"load\": %.6f, \"load_cpu\": %.6f, \"peak\": %.0f, \"resident\": %.0f, \"encode\": %.6f, "
      "\"round_trip\": %s}\n",
      load, cpu, peak, resident, best, round_trip ? "true" : "false");
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    if (argc > 2 && std::string_view(argv[1]) == "--serve") return Serve(argc - 2, argv + 2);
    if (argc > 2) return EncodeFile(argv[1], argv[2], argc > 3 ? std::atoi(argv[3]) : 1);
  } catch (const awq::Error& e) {
    std::fprintf(stderr, "awq_tokenize: %s\n", e.what());
    return 1;
  }
  std::fputs("usage: awq_tokenize FOLDER FILE [REPEATS] | --serve FOLDER…\n", stderr);
  return 2;
}
