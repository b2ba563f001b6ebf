#include "awq/text/pipeline.h"

#include <bit>

#include "awq/text/hash.h"
#include "awq/text/utf8.h"

namespace awq {

// The ids of one text. Remembers what it has encoded: words repeat, and encoding them again is
// the main cost.
class Pipeline::Words {
 public:
  Words(const Model& model, std::vector<TokenId>& out) : model_(model), out_(out) {}

  void Encode(std::string_view piece) {
    constexpr size_t kLongest = 64;
    if (piece.size() > kLongest) {
      model_.Encode(piece, out_);
      return;
    }
    if (2 * entries_.size() >= slots_.size()) Grow();
    const uint64_t hash = HashBytes(piece);
    size_t i = hash & (slots_.size() - 1);
    for (; slots_[i].entry >= 0; i = (i + 1) & (slots_.size() - 1)) {
      if (slots_[i].hash != static_cast<uint32_t>(hash)) continue;
      const Entry& e = entries_[static_cast<size_t>(slots_[i].entry)];
      if (std::string_view(text_).substr(e.text, e.text_size) != piece) continue;
      out_.insert(out_.end(), ids_.begin() + static_cast<int64_t>(e.ids),
                  ids_.begin() + static_cast<int64_t>(e.ids + e.ids_size));
      return;
    }
    const size_t begin = out_.size();
    model_.Encode(piece, out_);
    slots_[i] = {static_cast<uint32_t>(hash), static_cast<int32_t>(entries_.size())};
    entries_.push_back({text_.size(), ids_.size(), static_cast<uint32_t>(piece.size()),
                        static_cast<uint32_t>(out_.size() - begin)});
    text_ += piece;
    ids_.insert(ids_.end(), out_.begin() + static_cast<int64_t>(begin), out_.end());
  }
  void Append(TokenId id) { out_.push_back(id); }

 private:
  struct Entry {
    size_t text, ids;
    uint32_t text_size, ids_size;
  };
  struct Slot {
    uint32_t hash = 0;
    int32_t entry = -1;
  };

  void Grow() {
    constexpr size_t kMostEntries = size_t{1} << 18;
    if (entries_.size() >= kMostEntries) {  // a text of ever new words: begin again
      entries_.clear();
      text_.clear();
      ids_.clear();
    }
    std::vector<Slot> old(std::max<size_t>(256, 4 * entries_.size()));
    old.swap(slots_);
    if (entries_.empty()) return;
    for (const Slot& slot : old) {
      if (slot.entry < 0) continue;
      size_t i = slot.hash & (slots_.size() - 1);
      while (slots_[i].entry >= 0) i = (i + 1) & (slots_.size() - 1);
      slots_[i] = slot;
    }
  }

  const Model& model_;
  std::vector<TokenId>& out_;
  std::vector<Slot> slots_;  // open addressing, a power of two, at most half full
  std::vector<Entry> entries_;
  std::string text_;
  std::vector<TokenId> ids_;
};

class Pipeline::Stream : public TokenStream {
 public:
  Stream(const Pipeline& tokenizer, bool skip_special)
      : tokenizer_(tokenizer), skip_special_(skip_special), decoding_(tokenizer.parts_.decoders) {}

  std::string Push(TokenId id) override {
    if (!tokenizer_.Has(id) || (skip_special_ && tokenizer_.IsSpecial(id))) return {};
    decoding_.Push(tokenizer_.Spelling(id));
    return decoding_.Take();
  }
  std::string Finish() override {
    decoding_.Finish();
    return decoding_.Take();
  }

 private:
  const Pipeline& tokenizer_;
  bool skip_special_;
  Decoding decoding_;
};

Pipeline::Pipeline(PipelineParts parts)
    : parts_(std::move(parts)),
      added_(parts_.added, parts_.model->vocabulary(), parts_.normalizers) {}

void Pipeline::EncodeNormalized(std::string_view text, size_t head, Words& words) const {
  std::vector<TextPart> parts;
  added_.SplitNormalized(text, parts);
  for (const TextPart& part : parts) {
    if (part.id >= 0) {
      words.Append(part.id);
      continue;
    }
    const auto begin = static_cast<size_t>(part.text.data() - text.data());
    PreTokenize(parts_.pre_tokenizers, awq::Piece{text, head}.Part(begin, begin + part.text.size()),
                [&](const awq::Piece& piece) {
                  parts_.model->Cut(piece.text, [&](std::string_view word) { words.Encode(word); });
                });
  }
}

std::vector<TokenId> Pipeline::Encode(std::string_view text, bool special) const {
  std::string valid;
  if (!IsValidUtf8(text)) {
    valid = ReplaceInvalidUtf8(text);
    text = valid;
  }
  std::vector<TokenId> out;
  Words words(*parts_.model, out);
  std::vector<TextPart> parts;
  added_.SplitRaw(text, parts);
  for (const TextPart& part : parts) {
    if (part.id >= 0) {
      words.Append(part.id);
      continue;
    }
    const size_t head = part.text.data() == text.data() ? DecodeUtf8(part.text).length : 0;
    if (parts_.normalizers.empty()) {
      EncodeNormalized(part.text, head, words);
    } else {
      const NormalText normal = Normalize(parts_.normalizers, part.text, head);
      EncodeNormalized(normal.text, normal.head, words);
    }
  }
  return parts_.post_processor.Apply(std::move(out), special);
}

std::unique_ptr<TokenStream> Pipeline::StartDecoding(bool skip_special) const {
  return std::make_unique<Stream>(*this, skip_special);
}

int64_t Pipeline::VocabSize() const {
  return std::max(parts_.model->vocabulary().end(), added_.end());
}

bool Pipeline::Has(TokenId id) const {
  return added_.Find(id) != nullptr || parts_.model->vocabulary().Has(id);
}

std::string_view Pipeline::Spelling(TokenId id) const {
  const AddedToken* added = added_.Find(id);
  return added ? std::string_view(added->content) : parts_.model->vocabulary().Piece(id);
}

std::optional<TokenId> Pipeline::Find(std::string_view piece) const {
  TokenId id = added_.Find(piece);
  if (id < 0) id = parts_.model->vocabulary().Find(piece);
  if (id < 0) return std::nullopt;
  return id;
}

bool Pipeline::IsSpecial(TokenId id) const { return added_.IsSpecial(Spelling(id)); }

}  // namespace awq
