// Test helper: runs the pipeline on a small checkpoint.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "awq/backend/make_backend.h"
#include "awq/base/file.h"
#include "awq/quant/pipeline.h"

namespace awq::testing {

struct TinyQuantization {
  std::string method;
  std::string_view format = "awq_gemm";
  GridRule rule;
  std::vector<TokenBlock> blocks;
  std::function<void(const LinearOutcome&)> linear_done = [](const LinearOutcome&) {};
};

// Quantizes the checkpoint in `from` into `to`, which it empties before, and opens it.
inline std::shared_ptr<const Checkpoint> QuantizeTiny(const std::filesystem::path& from,
                                                      const std::filesystem::path& to,
                                                      const TinyQuantization& how) {
  const auto checkpoint = Checkpoint::Open(from);
  const WeightSource source(checkpoint, ReadModel(checkpoint->config()));
  const auto backend = MakeBackend("cpu", 2);
  ThreadPool pool(2);
  const PackFormat& codec = PackFormatByName(how.format);
  MethodOptions options;
  options.rule = how.rule;
  options.rule.scale_type = codec.ScaleType(checkpoint->model_type());
  std::filesystem::remove_all(to);
  std::filesystem::create_directories(to);
  ShardWriter writer(to, int64_t{1} << 30, {});
  RunPipeline({source, *backend, pool, *MakeQuantMethod(how.method), codec, options, how.blocks,
               writer, to, nullptr, kKeptBytes, 0, [](int64_t) {}, how.linear_done, [] {}});
  writer.Finish();
  RawJson config = checkpoint->config().raw();
  config["quantization_config"] = codec.Config(options.rule.scheme, SkippedModules(source));
  FileWriter out(to / "config.json");
  out.Write(config.dump());
  out.Close();
  return Checkpoint::Open(to);
}

}  // namespace awq::testing
