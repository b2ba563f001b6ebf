#include "awq/checkpoint/checkpoint.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "awq/base/error.h"
#include "awq/checkpoint/shard_index.h"

namespace awq {
namespace fs = std::filesystem;
namespace {

constexpr std::string_view kFp8Cure =
    ": FP8 checkpoints are not supported; use the BF16 or F16 release of this model, or convert it";

// "org/name", as models are called on the hub.
bool LooksLikeHubName(const fs::path& folder) {
  const std::string text = folder.string();
  const auto slash = text.find('/');
  return slash != text.npos && slash > 0 && slash + 1 < text.size() &&
         text.find('/', slash + 1) == text.npos && text[0] != '.' && text[0] != '~';
}

void CheckFolder(const fs::path& folder) {
  std::error_code ignored;
  if (fs::is_directory(folder, ignored)) return;
  AWQ_CHECK(!fs::exists(folder, ignored), kInvalidArgument, folder.string(),
            ": expected the folder of a model (with config.json and *.safetensors), found a file");
  AWQ_CHECK(!LooksLikeHubName(folder), kNotFound, folder.string(),
            ": no such folder; if this is the name of a model on Hugging Face, fetch it first: ",
            "huggingface-cli download ", folder.string(), " --local-dir DIR, and pass DIR");
  Fail(ErrorCode::kNotFound, folder.string(), ": no such folder");
}

std::vector<fs::path> FilesEndingIn(const fs::path& folder,
                                    std::initializer_list<std::string_view> endings) {
  std::vector<fs::path> out;
  for (const auto& entry : fs::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    const auto ends = [&](std::string_view ending) { return name.ends_with(ending); };
    if (std::any_of(endings.begin(), endings.end(), ends)) out.push_back(entry.path());
  }
  std::sort(out.begin(), out.end());
  return out;
}

// The only safetensors file, whatever its name. Throws kNotFound or kUnsupported with what to do.
fs::path OnlyFile(const fs::path& folder) {
  const auto found = FilesEndingIn(folder, {".safetensors"});
  if (found.size() == 1) return found.front();
  AWQ_CHECK(found.empty(), kNotFound, folder.string(), ": ", found.size(), " safetensors files (",
            found.front().filename().string(), ", …), but neither ", kSingleFileName, " nor ",
            kShardIndexName, "; fetch the index too");
  const auto pickles = FilesEndingIn(folder, {".bin", ".pt", ".pth"});
  AWQ_CHECK(
      pickles.empty(), kUnsupported, folder.string(), ": weights in ",
      pickles.front().filename().string(), " (PyTorch pickle) are not supported; convert ",
      "them to safetensors, e.g. with Transformers: AutoModelForCausalLM.from_pretrained(DIR,",
      " torch_dtype=\"auto\").save_pretrained(OUT)");
  const auto gguf = FilesEndingIn(folder, {".gguf"});
  AWQ_CHECK(gguf.empty(), kUnsupported, folder.string(),
            ": GGUF weights are not supported; use the model's safetensors release");
  Fail(ErrorCode::kNotFound, folder.string(), ": no *.safetensors file");
}

std::optional<DType> FloatTypeFromConfig(const Json& config) {
  for (const char* key : {"torch_dtype", "dtype"}) {
    std::string name = config.String(key, "");
    if (name.starts_with("torch.")) name = name.substr(6);
    if (name == "bfloat16") return DType::kBF16;
    if (name == "float16" || name == "half") return DType::kF16;
    if (name == "float32" || name == "float") return DType::kF32;
  }
  return std::nullopt;
}

}  // namespace

std::shared_ptr<const Checkpoint> Checkpoint::Open(const fs::path& folder) {
  CheckFolder(folder);
  const std::shared_ptr<Checkpoint> out(new Checkpoint(folder, Json::Load(folder / "config.json")));
  out->ReadQuantization();
  out->OpenFiles();
  out->RefuseFp8();
  out->model_type_ = out->FindModelType();
  return out;
}

void Checkpoint::ReadQuantization() {
  quantization_ = config_.Find("quantization_config");
  // AutoAWQ's first releases kept it in a file of its own.
  for (const char* legacy : {"quant_config.json", "quantize_config.json"}) {
    if (!quantization_ && fs::exists(folder_ / legacy))
      quantization_ = Json::Load(folder_ / legacy);
  }
  if (!quantization_) return;
  const std::string method = quantization_->String("quant_method", "");
  AWQ_CHECK(method.find("fp8") == method.npos, kUnsupported, quantization_->Where(),
            ": quant_method \"", method, "\"", kFp8Cure);
  format_ = &PackFormatFor(*quantization_);
  scheme_ = format_->Scheme(*quantization_);
}

void Checkpoint::OpenFiles() {
  const fs::path single = folder_ / kSingleFileName;
  if (!fs::exists(single) && fs::exists(folder_ / kShardIndexName)) return OpenSharded();
  files_.push_back(SafetensorsFile::Open(fs::exists(single) ? single : OnlyFile(folder_)));
  names_ = files_.front()->Names();
  std::sort(names_.begin(), names_.end());
  for (const std::string& name : names_) file_of_.emplace_hint(file_of_.end(), name, 0);
}

void Checkpoint::OpenSharded() {
  const fs::path index = folder_ / kShardIndexName;
  std::map<std::string, size_t> opened;
  for (const auto& [name, shard] : ReadShardIndex(index)) {
    auto it = opened.find(shard);
    if (it == opened.end()) {
      AWQ_CHECK(fs::exists(folder_ / shard), kNotFound, index.string(), ": names ", shard, " (for ",
                name, "), which is missing; fetch it");
      files_.push_back(SafetensorsFile::Open(folder_ / shard));
      it = opened.emplace(shard, files_.size() - 1).first;
    }
    AWQ_CHECK(files_[it->second]->Has(name), kCorrupt, index.string(), ": says that ", shard,
              " holds ", name, ", which it does not");
    names_.push_back(name);  // sorted, since the map is
    file_of_.emplace_hint(file_of_.end(), name, it->second);
  }
}

void Checkpoint::RefuseFp8() const {
  for (const auto& [name, file] : file_of_) {
    AWQ_CHECK(!files_[file]->TypeName(name).starts_with("F8_"), kUnsupported,
              files_[file]->path().string(), ": ", name, kFp8Cure);
  }
}

DType Checkpoint::FindModelType() const {
  if (const auto type = FloatTypeFromConfig(config_)) return *type;
  if (const auto text = config_.Find("text_config")) {
    if (const auto type = FloatTypeFromConfig(*text)) return *type;
  }
  // Scales are F16 whatever the model is, so that norms and embeddings have to tell.
  for (const auto& [name, file] : file_of_) {
    const auto type = DTypeFromName(files_[file]->TypeName(name));
    if (!name.ends_with(".weight") || !type) continue;
    if (*type == DType::kF32 || *type == DType::kF16 || *type == DType::kBF16) return *type;
  }
  return DType::kF32;
}

bool Checkpoint::IsQuantized(const std::string& linear) const {
  if (format_ == nullptr || file_of_.contains(linear + ".weight")) return false;
  return !format_->Skips(*quantization_, linear);
}

Tensor Checkpoint::Find(const std::string& name) const {
  const auto it = file_of_.find(name);
  return it == file_of_.end() ? Tensor() : files_[it->second]->Get(name);
}

Tensor Checkpoint::Get(const std::string& name) const {
  const auto it = file_of_.find(name);
  AWQ_CHECK(it != file_of_.end(), kNotFound, folder_.string(), ": no tensor ", name);
  return files_[it->second]->Get(name);
}

void Checkpoint::Release(const std::string& name) const {
  const auto it = file_of_.find(name);
  if (it != file_of_.end()) files_[it->second]->Release(name);
}

fs::path Checkpoint::FileOf(const std::string& name) const {
  const auto it = file_of_.find(name);
  AWQ_CHECK(it != file_of_.end(), kNotFound, folder_.string(), ": no tensor ", name);
  return files_[it->second]->path();
}

}  // namespace awq
