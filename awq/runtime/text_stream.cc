#include "awq/runtime/text_stream.h"

#include <algorithm>
#include <utility>

#include "awq/base/error.h"

namespace awq {
namespace {

// The longest end of `text` that begins `stop`, in bytes.
size_t Overlap(std::string_view text, std::string_view stop) {
  for (size_t n = std::min(text.size(), stop.size() - 1); n > 0; --n) {
    if (text.ends_with(stop.substr(0, n))) return n;
  }
  return 0;
}

}  // namespace

TextStream::TextStream(const Tokenizer& tokenizer, std::vector<std::string> stop)
    : decoder_(tokenizer.StartDecoding(true)), stop_(std::move(stop)) {
  for (const std::string& s : stop_) {
    AWQ_CHECK(!s.empty(), kInvalidArgument, "stop: expected texts, found an empty one");
  }
}

std::string TextStream::Push(TokenId id) {
  if (stopped_) return "";
  pending_ += decoder_->Push(id);
  return Settle();
}

std::string TextStream::Finish() {
  if (stopped_) return "";
  pending_ += decoder_->Finish();
  const std::string settled = Settle();  // the last characters may complete a stop string
  return stopped_ ? settled : settled + std::exchange(pending_, "");
}

std::string TextStream::Settle() {
  size_t first = std::string::npos;
  size_t held = 0;
  for (const std::string& stop : stop_) {
    first = std::min(first, pending_.find(stop));
    held = std::max(held, Overlap(pending_, stop));
  }
  stopped_ = first != std::string::npos;
  const size_t settled = stopped_ ? first : pending_.size() - held;
  std::string out = pending_.substr(0, settled);
  pending_.erase(0, settled);
  return out;
}

}  // namespace awq
