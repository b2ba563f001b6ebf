#include "awq/quant/calibration/calibration.h"

#include <algorithm>
#include <memory>
#include <random>
#include <string_view>

#include "awq/base/error.h"
#include "awq/quant/calibration/calibration_files.h"
#include "awq/quant/calibration/record_reader.h"
#include "awq/quant/calibration/token_blocks.h"
#include "awq/text/chat_template.h"
#include "awq/text/jinja/unicode.h"

extern "C" {
// NOLINTBEGIN(readability-identifier-naming): the names that EmbedFile.cmake gives
extern const unsigned char awq_builtin_calibration[];
extern const size_t awq_builtin_calibration_size;
// NOLINTEND(readability-identifier-naming)
}

namespace awq {
namespace {

constexpr size_t kHeadBytes = size_t{64} << 20;
constexpr int64_t kBytesPerToken = 64;  // far more than tokens take, so that the head suffices

// Fisher–Yates; std::shuffle's order differs between standard libraries.
void Shuffle(std::vector<CalibrationRecord>& records, uint64_t seed) {
  std::mt19937_64 random(seed);
  for (size_t i = records.size(); i > 1; --i) std::swap(records[i - 1], records[random() % i]);
}

class Loader {
 public:
  Loader(const CalibrationOptions& options, const Tokenizer* tokenizer, int64_t vocab)
      : options_(options), tokenizer_(tokenizer), vocab_(vocab) {
    blocks_.samples = options.max_samples;
    blocks_.seq_len = options.max_seq_len;
    if (options.bos && tokenizer != nullptr) blocks_.first = PrefixToken(*tokenizer);
  }

  std::vector<TokenBlock> Load() {
    if (options_.autoawq_rules) return LoadAsAutoAwq();
    std::vector<CalibrationRecord> records = ReadHead();
    if (listed_ > 0) {
      AWQ_CHECK(listed_ == records.size(), kCorrupt, options_.source,
                ": expected texts or lists of token ids, found ", records.size() - listed_,
                " texts among ", listed_, " lists");
      return ListedBlocks(records, blocks_);
    }
    Shuffle(records, options_.seed);
    return JoinedBlocks(records, encode_, blocks_);
  }

  // What a source without usable tokens held.
  std::string Found() const {
    std::string out = Cat(read_, read_ == 1 ? " sample" : " samples");
    if (too_long_ > 0) {
      out += Cat(", ", too_long_, " of them longer than ", options_.max_seq_len,
                 " tokens, which AutoAWQ leaves out");
    }
    return out;
  }

 private:
  std::unique_ptr<RecordReader> OpenBuiltin() const {
    const std::string_view text(reinterpret_cast<const char*>(awq_builtin_calibration),
                                awq_builtin_calibration_size);
    return MakeJsonLinesReader(std::make_unique<TextInput>("builtin", text), "");
  }

  std::unique_ptr<RecordReader> Open(const std::filesystem::path& file) const {
    if (options_.source == "builtin") return OpenBuiltin();
    return MakeRecordReader(std::make_unique<TextInput>(file), file,
                            {options_.column, options_.autoawq_rules});
  }

  std::vector<std::filesystem::path> Files() const {
    if (options_.source == "builtin") return {options_.source};
    return FindCalibrationFiles(options_.source, options_.hub_caches);
  }

  bool Next(RecordReader& reader, CalibrationRecord& record) {
    if (!reader.Next(record)) return false;
    ++read_;
    for (int32_t id : record.tokens) {
      AWQ_CHECK(id < vocab_, kCorrupt, record.where, ": expected a token id in [0, ", vocab_,
                "), found ", id);
    }
    return true;
  }

  std::vector<CalibrationRecord> ReadHead() {
    const auto wanted = static_cast<size_t>(options_.max_samples * options_.max_seq_len);
    const auto files = Files();
    const size_t share = std::max(kHeadBytes, wanted * kBytesPerToken) / files.size();
    std::vector<CalibrationRecord> records;
    for (const auto& file : files) {
      const auto reader = Open(file);
      size_t held = 0;
      CalibrationRecord record;
      // A list of ids makes a block at least.
      while (held < share && listed_ < static_cast<size_t>(options_.max_samples) &&
             Next(*reader, record)) {
        if (record.text.empty() && record.tokens.empty() && record.chat.is_null()) continue;
        held += record.bytes;
        if (!record.tokens.empty()) ++listed_;
        records.push_back(std::move(record));
      }
    }
    return records;
  }

  std::vector<TokenBlock> LoadAsAutoAwq() {
    AutoAwqBlocks blocks(encode_, blocks_);
    bool more = true;
    for (const auto& file : Files()) {
      if (!more) break;
      const auto reader = Open(file);
      CalibrationRecord record;
      while (more && Next(*reader, record)) more = blocks.Add(record);
    }
    too_long_ = blocks.too_long();
    return blocks.Cut();
  }

  std::vector<int32_t> Encode(const CalibrationRecord& record, bool special) {
    AWQ_CHECK(tokenizer_ != nullptr, kNotFound, record.where,
              ": a text needs a tokenizer, and there is none in ", options_.model.string(),
              "; supply one, or lists of token ids");
    if (!record.chat.is_null()) return tokenizer_->Encode(Render(record), false);
    // AutoAWQ strips as Python does.
    return tokenizer_->Encode(special ? jinja::Strip(record.text) : record.text, special);
  }

  std::string Render(const CalibrationRecord& record) {
    if (template_ == nullptr && !options_.model.empty()) {
      template_ = ChatTemplate::Load(options_.model);
    }
    AWQ_CHECK(template_ != nullptr, kInvalidArgument, record.where,
              ": \"messages\" need a chat template, and ", options_.model.string(),
              " has none (chat_template.jinja, or in tokenizer_config.json)");
    RawJson context = record.chat;
    context["add_generation_prompt"] = false;
    try {
      return template_->Render(context);
    } catch (const Error& e) {
      Fail(e.code(), record.where, ": ", e.what());
    }
  }

  const CalibrationOptions& options_;
  const Tokenizer* tokenizer_;
  int64_t vocab_;
  BlockOptions blocks_;
  RecordEncoder encode_ = [this](const CalibrationRecord& r, bool special) {
    return Encode(r, special);
  };
  std::unique_ptr<const ChatTemplate> template_;
  int64_t read_ = 0;
  int64_t too_long_ = 0;
  size_t listed_ = 0;  // records that are lists of token ids
};

}  // namespace

std::vector<TokenBlock> LoadCalibration(const CalibrationOptions& options,
                                        const Tokenizer* tokenizer, int64_t vocab,
                                        const std::function<void(const std::string&)>& warn) {
  AWQ_CHECK(options.max_samples > 0 && options.max_seq_len > 1, kInvalidArgument,
            "calibration needs at least one sample of two tokens, asked for ", options.max_samples,
            " of ", options.max_seq_len);
  Loader loader(options, tokenizer, vocab);
  std::vector<TokenBlock> blocks = loader.Load();
  int64_t tokens = 0;
  for (const TokenBlock& block : blocks) {
    tokens += static_cast<int64_t>(block.size());
    for (int32_t id : block) {
      AWQ_CHECK(id >= 0 && id < vocab, kCorrupt, "the tokenizer: token id ", id,
                " is outside the model's vocabulary of ", vocab);
    }
  }
  AWQ_CHECK(!blocks.empty(), kInvalidArgument, options.source,
            ": holds no usable calibration tokens (", loader.Found(), ")");
  if (tokens < options.max_samples * options.max_seq_len) {
    warn(Cat(options.source, ": ", blocks.size(), " calibration blocks of ", tokens,
             " tokens instead of ", options.max_samples, " of ",
             options.max_samples * options.max_seq_len));
  }
  return blocks;
}

}  // namespace awq
