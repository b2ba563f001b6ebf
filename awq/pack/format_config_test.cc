// quantization_config of every format: what is written, what is read, what is refused, what is
// skipped.
#include <gtest/gtest.h>

#include "awq/base/testing.h"
#include "awq/pack/format.h"

namespace awq {
namespace {

const PackFormat& Awq() { return PackFormatByName("awq_gemm"); }
const PackFormat& Ct() { return PackFormatByName("compressed-tensors"); }
Json Parse(const std::string& text) { return Json::Parse(text, "config.json"); }
Json Parse(const char* text) { return Parse(std::string(text)); }
Json Parse(const RawJson& json) { return Parse(json.dump()); }

// A compressed-tensors block with members of its only group's weights, of the group, or of the
// whole replaced.
Json CtConfig(const RawJson& weights, const RawJson& group = {}, const RawJson& whole = {}) {
  RawJson config = Ct().Config({4, 128, false}, {"lm_head"});
  RawJson& only = config["config_groups"]["group_0"];
  for (const auto& [key, value] : weights.items()) only["weights"][key] = value;
  for (const auto& [key, value] : group.items()) only[key] = value;
  for (const auto& [key, value] : whole.items()) config[key] = value;
  return Parse(config);
}

TEST(AwqConfig, IsWhatAutoAwqWrites) {
  EXPECT_EQ(Awq().Config({4, 128, false}, {}).dump(),
            R"({"bits":4,"group_size":128,"modules_to_not_convert":null,"quant_method":"awq",)"
            R"("version":"gemm","zero_point":true})");
  EXPECT_EQ(
      Awq().Config({4, 64, true}, {"lm_head", "model.layers.0.mlp.gate"}).dump(),
      R"({"bits":4,"group_size":64,"modules_to_not_convert":["lm_head",)"
      R"("model.layers.0.mlp.gate"],"quant_method":"awq","version":"gemm","zero_point":true})");
}

TEST(CtConfig, IsWhatLlmCompressorWrites) {
  const auto expected = RawJson::parse(R"({
    "config_groups": {"group_0": {"input_activations": null, "output_activations": null,
      "targets": ["Linear"],
      "weights": {"actorder": null, "block_structure": null, "dynamic": false, "group_size": 128,
        "num_bits": 4, "observer": "minmax", "observer_kwargs": {}, "strategy": "group",
        "symmetric": false, "type": "int"}}},
    "format": "pack-quantized", "global_compression_ratio": null, "ignore": ["lm_head"],
    "kv_cache_scheme": null, "quant_method": "compressed-tensors",
    "quantization_status": "compressed", "version": "0.13.0"})");
  EXPECT_EQ(Ct().Config({4, 128, false}, {"lm_head"}), expected);
  const RawJson channel = Ct().Config({8, -1, true}, {});
  const RawJson& weights = channel["config_groups"]["group_0"]["weights"];
  EXPECT_TRUE(weights["group_size"].is_null());
  EXPECT_EQ(weights["strategy"], "channel");
  EXPECT_EQ(weights["num_bits"], 8);
  EXPECT_EQ(weights["symmetric"], true);
  EXPECT_EQ(channel["ignore"], RawJson::array());
}

TEST(Config, ReadsBackWhatItWrites) {
  for (const auto& format : PackFormats()) {
    for (const int64_t group : {32, 64, 128}) {
      const Json config = Parse(format->Config({4, group, false}, {"lm_head"}));
      EXPECT_EQ(&PackFormatFor(config), format.get());
      EXPECT_EQ(format->Scheme(config), (QuantScheme{4, group, false}));
      EXPECT_TRUE(format->Skips(config, "lm_head"));
      EXPECT_FALSE(format->Skips(config, "model.layers.0.mlp.gate_proj"));
    }
  }
  for (const int bits : {4, 8}) {
    for (const bool symmetric : {false, true}) {
      const QuantScheme scheme = {bits, -1, symmetric};
      EXPECT_EQ(Ct().Scheme(Parse(Ct().Config(scheme, {}))), scheme);
    }
  }
}

TEST(AwqConfig, ReadsBothSpellings) {
  const QuantScheme expected = {4, 64, false};
  for (
      const char* text :
      {R"({"quant_method": "awq", "bits": 4, "group_size": 64, "zero_point": true, "version": "gemm"})",
       R"({"quant_method": "awq", "w_bit": 4, "q_group_size": 64, "zero_point": true})",
       R"({"w_bit": 4, "q_group_size": 64, "zero_point": true, "version": "GEMM"})",
       R"({"bits": 4, "group_size": 64, "zero_point": true})",
       R"({"quant_method": "awq", "bits": 4, "group_size": 64, "zero_point": true,
            "version": "Gemm", "modules_to_not_convert": null, "do_fuse": false})"}) {
    const Json config = Parse(text);
    EXPECT_EQ(&PackFormatFor(config), &Awq()) << text;
    EXPECT_EQ(Awq().Scheme(config), expected) << text;
  }
}

TEST(AwqConfig, OtherVersionsAreRefusedByName) {
  for (const char* version : {"gemv", "GEMV_FAST", "marlin", "exllama"}) {
    const Json config = Parse(
        RawJson{{"quant_method", "awq"}, {"bits", 4}, {"group_size", 128}, {"version", version}});
    ExpectError(ErrorCode::kUnsupported,
                {"supported: gemm", version[0] == 'G' ? "gemv_fast" : version},
                [&] { (void)PackFormatFor(config).Scheme(config); });
  }
  const auto refuses = [](const RawJson& change, std::string_view part) {
    RawJson config = Awq().Config({4, 128, false}, {});
    config.update(change);
    ExpectError(ErrorCode::kUnsupported, {part}, [&] { (void)Awq().Scheme(Parse(config)); });
  };
  refuses({{"bits", 8}}, "8 bits");
  refuses({{"group_size", -1}}, "group_size -1");
}

TEST(Config, OtherMethodsAreRefusedWithWhatIsSupported) {
  for (const char* text :
       {R"({"quant_method": "gptq", "bits": 4, "group_size": 128, "desc_act": false})",
        R"({"bits": 4, "group_size": 128, "desc_act": false, "zero_point": true})",
        R"({"quant_method": "bitsandbytes", "load_in_4bit": true})", R"({})", R"([])"}) {
    ExpectError(ErrorCode::kUnsupported, {"awq_gemm, compressed-tensors"},
                [&] { (void)PackFormatFor(Parse(text)); });
  }
  ExpectError(ErrorCode::kInvalidArgument, {"awq_gemm, compressed-tensors"},
              [] { (void)PackFormatByName("gguf"); });
}

// A bare component skips that component and nothing that merely begins like it.
TEST(AwqConfig, SkipsWholeComponents) {
  const auto skips = [](const char* entry, const char* linear) {
    return Awq().Skips(Parse(Awq().Config({4, 128, false}, {entry})), linear);
  };
  EXPECT_TRUE(skips("gate", "model.layers.3.mlp.gate"));
  EXPECT_FALSE(skips("gate", "model.layers.3.mlp.gate_proj"));
  EXPECT_TRUE(skips("mlp.gate.", "model.layers.3.mlp.gate"));
  EXPECT_FALSE(skips("mlp.gate.", "model.layers.3.mlp.gate_up"));
  EXPECT_TRUE(skips("visual", "visual.blocks.0.attn.qkv"));
  EXPECT_FALSE(skips("visual", "audiovisual.blocks.0"));
  EXPECT_TRUE(skips("model.layers.1", "model.layers.1.mlp.up_proj"));
  EXPECT_FALSE(skips("model.layers.1", "model.layers.10.mlp.up_proj"));
  EXPECT_TRUE(skips("self_attn", "model.layers.0.self_attn.q_proj"));
  EXPECT_TRUE(skips("q_proj", "q_proj.x.q_proj"));
  EXPECT_TRUE(skips("proj", "up_proj.proj"));
  EXPECT_FALSE(skips("", "model.layers.0.mlp.up_proj"));
  EXPECT_FALSE(skips(".", "model.layers.0.mlp.up_proj"));
}

TEST(AwqConfig, TheHeadIsSkippedUnlessItSaysOtherwise) {
  RawJson config = Awq().Config({4, 128, false}, {});
  EXPECT_TRUE(Awq().Skips(Parse(config), "lm_head"));
  EXPECT_FALSE(Awq().Skips(Parse(config), "model.layers.0.mlp.up_proj"));
  config["lm_head"] = true;
  EXPECT_FALSE(Awq().Skips(Parse(config), "lm_head"));
  config["modules_to_not_convert"] = "lm_head";
  ExpectError(ErrorCode::kCorrupt, {"modules_to_not_convert"},
              [&] { (void)Awq().Skips(Parse(config), "lm_head"); });
}

TEST(CtConfig, ReadsOldAndNewSpellings) {
  EXPECT_EQ(Ct().Scheme(CtConfig({{"strategy", nullptr}, {"group_size", 64}})),
            (QuantScheme{4, 64, false}));
  EXPECT_EQ(Ct().Scheme(CtConfig({{"strategy", nullptr}, {"group_size", -1}})),
            (QuantScheme{4, -1, false}));
  EXPECT_EQ(Ct().Scheme(CtConfig({{"strategy", "channel"}, {"group_size", nullptr}})),
            (QuantScheme{4, -1, false}));
  for (const RawJson& order : {RawJson("static"), RawJson("weight"), RawJson(false)}) {
    (void)Ct().Scheme(CtConfig({{"actorder", order}}));
  }
  // What release 0.13 adds.
  (void)Ct().Scheme(
      CtConfig({{"scale_dtype", nullptr}, {"zp_dtype", "torch.int8"}}, {{"format", nullptr}},
               {{"sparsity_config", RawJson::object()}, {"transform_config", RawJson::object()}}));
  // The group's own format wins over the file's.
  EXPECT_EQ(
      Ct().Scheme(CtConfig({}, {{"format", "pack-quantized"}}, {{"format", "mixed-precision"}})),
      (QuantScheme{4, 128, false}));
}

TEST(CtConfig, RefusesWhatWouldChangeTheNumbers) {
  const auto refuses = [](const Json& config, std::string_view part) {
    ExpectError(ErrorCode::kUnsupported, {part},
                [&] { (void)PackFormatFor(config).Scheme(config); });
  };
  refuses(CtConfig({{"num_bits", 3}}), "3-bit");
  refuses(CtConfig({{"type", "float"}}), "float");
  refuses(CtConfig({{"strategy", "block"}}), "block");
  refuses(CtConfig({{"actorder", "group"}}), "group");
  refuses(CtConfig({{"actorder", true}}), "true");
  refuses(CtConfig({}, {{"input_activations", {{"num_bits", 8}}}}), "input_activations");
  refuses(CtConfig({}, {}, {{"format", "int-quantized"}}), "int-quantized");
  refuses(CtConfig({}, {{"format", "float-quantized"}}), "float-quantized");
  refuses(CtConfig({}, {}, {{"transform_config", {{"config_groups", {{"u", 1}}}}}}),
          "transform_config");
  refuses(CtConfig({}, {}, {{"sparsity_config", {{"format", "sparse-24-bitmask"}}}}),
          "sparse-24-bitmask");
}

TEST(CtConfig, GroupsOfSeveralSchemes) {
  const QuantScheme four{4, 128, false};
  const QuantScheme eight{8, 128, false};
  const Json mixed = Parse(
      Ct().MixedConfig({{four, {"Linear"}}, {eight, {"l.0.a", "l.1.b"}}}, {"lm_head", "l.1.a"}));
  EXPECT_EQ(Ct().Scheme(mixed), four);
  EXPECT_EQ(Ct().SchemeOf(mixed, "l.0.b"), four);
  EXPECT_EQ(Ct().SchemeOf(mixed, "l.0.a"), eight);  // a name goes before a class
  EXPECT_TRUE(Ct().Skips(mixed, "l.1.a"));
  EXPECT_FALSE(Ct().Skips(mixed, "l.1.b"));
  const Json named = Parse(Ct().MixedConfig({{four, {"l.0.a"}}, {eight, {"re:.*b$"}}}, {}));
  EXPECT_EQ(Ct().SchemeOf(named, "l.5.b"), eight);
  EXPECT_TRUE(Ct().Skips(named, "l.1.a"));
  ExpectError(ErrorCode::kCorrupt, {"l.1.a"}, [&] { (void)Ct().SchemeOf(named, "l.1.a"); });
  ExpectError(ErrorCode::kUnsupported, {"one scheme"}, [&] {
    (void)Awq().MixedConfig({{four, {"a"}}, {{4, 64, false}, {"b"}}}, {});
  });
  RawJson bad = Ct().MixedConfig({{four, {"a"}}, {eight, {"b"}}}, {});
  bad["config_groups"]["group_1"]["weights"]["num_bits"] = 5;
  ExpectError(ErrorCode::kUnsupported, {"5-bit"}, [&] { (void)Ct().Scheme(Parse(bad)); });
}

TEST(CtConfig, BadValuesAreCorrupt) {
  const auto corrupt = [](const Json& config, std::string_view part) {
    ExpectError(ErrorCode::kCorrupt, {part}, [&] { (void)Ct().Scheme(config); });
  };
  corrupt(CtConfig({{"group_size", 0}}), "group_size 0");
  corrupt(CtConfig({{"num_bits", "4"}}), "num_bits");
  corrupt(CtConfig({}, {}, {{"config_groups", RawJson::object()}}), "config_groups");
  corrupt(CtConfig({}, {}, {{"config_groups", {1}}}), "config_groups");
}

TEST(CtConfig, TargetsAndIgnoreSelectLikeTheLibrary) {
  const auto skips = [](const std::vector<std::string>& targets,
                        const std::vector<std::string>& ignore, const char* linear) {
    return Ct().Skips(CtConfig({}, {{"targets", targets}}, {{"ignore", ignore}}), linear);
  };
  const char* const gate = "model.layers.3.mlp.gate";
  const char* const gate_proj = "model.layers.3.mlp.gate_proj";
  EXPECT_FALSE(skips({"Linear"}, {}, gate));
  EXPECT_TRUE(skips({"Linear"}, {"re:.*mlp.gate$"}, gate));
  EXPECT_FALSE(skips({"Linear"}, {"re:.*mlp.gate$"}, gate_proj));
  EXPECT_TRUE(skips({"Linear"}, {gate_proj}, gate_proj));
  EXPECT_FALSE(skips({"Linear"}, {"gate_proj"}, gate_proj));    // exact paths, no substrings
  EXPECT_FALSE(skips({"Linear"}, {"re:mlp.gate$"}, gate));      // from the start of the path
  EXPECT_TRUE(skips({"Linear"}, {"re:model.layers.3"}, gate));  // but not to its end
  EXPECT_TRUE(skips({"Linear"}, {"re:(?!.*gate_proj).*"}, gate));
  EXPECT_FALSE(skips({"Linear"}, {"re:(?!.*gate_proj).*"}, gate_proj));
  EXPECT_TRUE(skips({"Linear"}, {"re:.*(?<=mlp\\.)gate$"}, gate));
  EXPECT_FALSE(skips({"re:.*(gate|up|down)_proj$"}, {}, gate_proj));
  EXPECT_TRUE(skips({"re:.*(gate|up|down)_proj$"}, {}, "model.layers.3.self_attn.q_proj"));
  EXPECT_TRUE(skips({"Embedding"}, {}, gate));
}

TEST(CtConfig, HostilePatternsAreRefused) {
  const std::string path(100, 'a');
  for (const std::string& pattern : {std::string("re:("), "re:" + std::string(100000, '('),
                                     std::string("re:(a+)+(a+)+(a+)+[bc]")}) {
    ExpectError(ErrorCode::kCorrupt, {"config.json: ignore: bad pattern"}, [&] {
      (void)Ct().Skips(CtConfig({}, {}, {{"ignore", {pattern}}}), path);
    });
  }
}

}  // namespace
}  // namespace awq
