// Checkpoint: a Hugging Face folder: config.json, one or more mapped safetensors files, and the
// quantization it declares.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "awq/base/json.h"
#include "awq/base/tensor.h"
#include "awq/checkpoint/safetensors.h"
#include "awq/pack/format.h"

namespace awq {

// Immutable after opening.
class Checkpoint : public TensorLookup {
 public:
  // Throws kNotFound (folder, config.json, weights; `.bin` weights or a hub name get a message that
  // says what to do), kCorrupt (index naming a missing shard or tensor), kUnsupported (FP8 and
  // other types).
  static std::shared_ptr<const Checkpoint> Open(const std::filesystem::path& folder);

  const std::filesystem::path& folder() const { return folder_; }
  const Json& config() const { return config_; }
  // Null for a 16- or 32-bit checkpoint.
  const PackFormat* format() const { return format_; }
  // Meaningful when format() is set; the first of several.
  const QuantScheme& scheme() const { return scheme_; }
  // Of a module that IsQuantized.
  QuantScheme SchemeOf(const std::string& linear) const {
    return format_->SchemeOf(*quantization_, linear);
  }
  // Whether that module is stored quantized: the tensors decide before quantization_config does,
  // since writers leave modules in 16 bits that they do not list.
  bool IsQuantized(const std::string& linear) const;

  Tensor Find(const std::string& name) const override;
  // Throws kNotFound naming the tensor and the folder.
  Tensor Get(const std::string& name) const;
  // The tensor's pages will not be needed again soon; views of it stay valid.
  void Release(const std::string& name) const;
  // All tensor names, sorted.
  const std::vector<std::string>& Names() const { return names_; }
  // The file that holds a tensor.
  std::filesystem::path FileOf(const std::string& name) const;
  const std::vector<std::shared_ptr<const SafetensorsFile>>& files() const { return files_; }
  // config.json's torch_dtype / dtype; F32 when absent and the weights are F32, else the weights'
  // type.
  DType model_type() const { return model_type_; }

 private:
  explicit Checkpoint(std::filesystem::path folder, Json config)
      : folder_(std::move(folder)), config_(std::move(config)) {}
  std::filesystem::path folder_;
  Json config_;
  void OpenFiles();
  void OpenSharded();
  void ReadQuantization();
  void RefuseFp8() const;
  DType FindModelType() const;

  std::optional<Json> quantization_;
  const PackFormat* format_ = nullptr;
  QuantScheme scheme_;
  std::vector<std::shared_ptr<const SafetensorsFile>> files_;
  std::map<std::string, size_t> file_of_;
  std::vector<std::string> names_;
  DType model_type_ = DType::kF32;
};

}  // namespace awq
