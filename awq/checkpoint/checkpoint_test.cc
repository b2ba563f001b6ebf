#include "awq/checkpoint/checkpoint.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include "awq/base/file.h"
#include "awq/base/testing.h"
#include "awq/checkpoint/companions.h"
#include "awq/checkpoint/shard_writer.h"

namespace awq {
namespace {
namespace fs = std::filesystem;

class CheckpointTest : public testing::Test {
 protected:
  CheckpointTest() {
    folder_ = fs::path(testing::TempDir()) /
              Cat("checkpoint-", ::getpid(), "-",
                  testing::UnitTest::GetInstance()->current_test_info()->name());
    fs::create_directories(folder_);
  }
  ~CheckpointTest() override { fs::remove_all(folder_); }

  void Write(const std::string& name, const std::string& text) {
    WriteFileAtomically(folder_ / name, text);
  }
  void WriteConfig(const RawJson& config) { Write("config.json", config.dump()); }
  // One safetensors file with those tensors, two elements each.
  void WriteTensors(const std::map<std::string, DType>& tensors,
                    const std::string& name = "model.safetensors") {
    const fs::path side = folder_ / "side";
    fs::create_directories(side);
    ShardWriter writer(side, 1 << 20, {});
    for (const auto& [tensor, type] : tensors) writer.Write(tensor, MakeTensor(type, {2}).view());
    writer.Finish();
    fs::rename(side / "model.safetensors", folder_ / name);
    fs::remove_all(side);
  }
  void ExpectRefused(ErrorCode code, std::initializer_list<std::string_view> parts) {
    ExpectError(code, parts, [&] { (void)Checkpoint::Open(folder_); });
  }

  fs::path folder_;
};

TEST_F(CheckpointTest, OpensTheDemoModel) {
  const auto checkpoint = Checkpoint::Open(fs::path(AWQ_SOURCE_DIR) / "models" / "demo");
  EXPECT_EQ(checkpoint->config().String("model_type"), "llama");
  EXPECT_EQ(checkpoint->model_type(), DType::kBF16);
  EXPECT_EQ(checkpoint->format(), nullptr);
  EXPECT_FALSE(checkpoint->IsQuantized("model.layers.0.mlp.up_proj"));
  EXPECT_EQ(checkpoint->Get("model.embed_tokens.weight").shape(), (Shape{16384, 384}));
  EXPECT_TRUE(checkpoint->Find("lm_head.weight").empty());
  EXPECT_TRUE(std::is_sorted(checkpoint->Names().begin(), checkpoint->Names().end()));
  ExpectError(ErrorCode::kNotFound, {"demo", "no.such.tensor"},
              [&] { (void)checkpoint->Get("no.such.tensor"); });
}

TEST_F(CheckpointTest, MissingFolders) {
  ExpectError(ErrorCode::kNotFound, {"Qwen/Qwen3-8B", "huggingface-cli download", "--local-dir"},
              [] { (void)Checkpoint::Open("Qwen/Qwen3-8B"); });
  ExpectError(ErrorCode::kNotFound, {"no/such/folder: no such folder"},
              [] { (void)Checkpoint::Open("no/such/folder"); });
  Write("model.safetensors", "x");
  ExpectError(ErrorCode::kInvalidArgument, {"model.safetensors", "folder"},
              [&] { (void)Checkpoint::Open(folder_ / "model.safetensors"); });
  ExpectRefused(ErrorCode::kNotFound, {"config.json"});
}

TEST_F(CheckpointTest, MissingWeights) {
  WriteConfig({{"model_type", "llama"}});
  ExpectRefused(ErrorCode::kNotFound, {"no *.safetensors"});
  Write("model.gguf", "");
  ExpectRefused(ErrorCode::kUnsupported, {"GGUF"});
  Write("pytorch_model.bin", "");
  ExpectRefused(ErrorCode::kUnsupported, {"pytorch_model.bin", "convert", "save_pretrained"});
  WriteTensors({{"a", DType::kF16}}, "one.safetensors");
  EXPECT_EQ(Checkpoint::Open(folder_)->Names(), std::vector<std::string>{"a"});  // any single file
  WriteTensors({{"b", DType::kF16}}, "two.safetensors");
  ExpectRefused(ErrorCode::kNotFound, {"2 safetensors files", "index.json"});
}

TEST_F(CheckpointTest, BadConfigs) {
  WriteTensors({{"a", DType::kF16}});
  Write("config.json", "{");
  ExpectRefused(ErrorCode::kCorrupt, {"config.json", "line 1"});
  WriteConfig({{"quantization_config", {{"quant_method", "gptq"}, {"bits", 4}}}});
  ExpectRefused(ErrorCode::kUnsupported, {"config.json: quantization_config", "gptq", "awq_gemm"});
}

TEST_F(CheckpointTest, ShardsThatDisagreeWithTheIndex) {
  WriteConfig({});
  const auto index = [&](const RawJson& weight_map) {
    Write("model.safetensors.index.json", RawJson{{"weight_map", weight_map}}.dump());
  };
  WriteTensors({{"a", DType::kF16}, {"b", DType::kF32}}, "s1.safetensors");
  WriteTensors({{"c", DType::kI32}, {"unlisted", DType::kI32}}, "s2.safetensors");
  index({{"c", "s2.safetensors"}, {"a", "s1.safetensors"}, {"b", "s1.safetensors"}});
  const auto checkpoint = Checkpoint::Open(folder_);
  EXPECT_EQ(checkpoint->Names(), (std::vector<std::string>{"a", "b", "c"}));
  EXPECT_EQ(checkpoint->FileOf("c").filename(), "s2.safetensors");
  EXPECT_EQ(checkpoint->Get("c").dtype(), DType::kI32);
  EXPECT_EQ(checkpoint->files().size(), 2u);
  index({{"a", "s1.safetensors"}, {"x", "s3.safetensors"}});
  ExpectRefused(ErrorCode::kNotFound, {"index.json", "s3.safetensors", "(for x)"});
  index({{"a", "s1.safetensors"}, {"c", "s1.safetensors"}});
  ExpectRefused(ErrorCode::kCorrupt, {"index.json", "s1.safetensors", "holds c"});
  for (const char* outside : {"../s1.safetensors", "/etc/passwd", "..", ""}) {
    index({{"a", outside}});
    ExpectRefused(ErrorCode::kCorrupt, {"weight_map: a", "beside the index"});
  }
  index({{"a", 1}});
  ExpectRefused(ErrorCode::kCorrupt, {"weight_map: a", "file name"});
  Write("model.safetensors.index.json",
        R"({"weight_map":{"a":"s1.safetensors","a":"s1.safetensors"}})");
  ExpectRefused(ErrorCode::kCorrupt, {"a appears twice"});
  for (const char* text : {"{}", "[]", "{", "", R"({"weight_map": []})"}) {
    Write("model.safetensors.index.json", text);
    ExpectRefused(ErrorCode::kCorrupt, {"model.safetensors.index.json"});
  }
}

TEST_F(CheckpointTest, CompanionsAreCopiedNamedTemplatesToo) {
  fs::create_directories(folder_ / "additional_chat_templates");
  for (const char* name : {"tokenizer.json", "model.bin", "additional_chat_templates/rag.jinja",
                           "additional_chat_templates/notes.txt"}) {
    Write(name, name);
  }
  const fs::path to = folder_ / "to";
  fs::create_directories(to);
  CopyCompanions(folder_, to);
  EXPECT_EQ(ReadFile(to / "tokenizer.json"), "tokenizer.json");
  EXPECT_EQ(ReadFile(to / "additional_chat_templates" / "rag.jinja"),
            "additional_chat_templates/rag.jinja");
  EXPECT_FALSE(fs::exists(to / "model.bin"));
  EXPECT_FALSE(fs::exists(to / "additional_chat_templates" / "notes.txt"));
}

TEST_F(CheckpointTest, Fp8IsRefusedWithTheCure) {
  WriteTensors({{"a.weight", DType::kF8E4M3}, {"b.weight", DType::kBF16}});
  WriteConfig({{"torch_dtype", "bfloat16"}});
  ExpectRefused(ErrorCode::kUnsupported, {"a.weight", "FP8", "BF16"});
  for (const char* method : {"fp8", "fbgemm_fp8"}) {
    WriteConfig({{"quantization_config", {{"quant_method", method}}}});
    ExpectRefused(ErrorCode::kUnsupported, {method, "BF16"});
  }
}

TEST_F(CheckpointTest, ModelTypeComesFromConfigElseFromTheWeights) {
  WriteTensors({{"a.scales", DType::kF16}, {"b.weight", DType::kBF16}, {"c", DType::kI64}});
  const auto type_with = [&](const RawJson& config) {
    WriteConfig(config);
    return Checkpoint::Open(folder_)->model_type();
  };
  EXPECT_EQ(type_with({{"torch_dtype", "float16"}}), DType::kF16);
  EXPECT_EQ(type_with({{"dtype", "torch.float32"}}), DType::kF32);
  EXPECT_EQ(type_with({{"text_config", {{"dtype", "float16"}}}}), DType::kF16);
  EXPECT_EQ(type_with({{"torch_dtype", "auto"}}), DType::kBF16);
  EXPECT_EQ(type_with({}), DType::kBF16);
  WriteTensors({{"c", DType::kI64}});
  EXPECT_EQ(type_with({}), DType::kF32);
}

TEST_F(CheckpointTest, QuantizationFromConfigOrLegacyFile) {
  WriteTensors({{"l.qweight", DType::kI32}});
  const PackFormat& awq = PackFormatByName("awq_gemm");
  WriteConfig({{"quantization_config", awq.Config({4, 64, false}, {})}});
  auto checkpoint = Checkpoint::Open(folder_);
  EXPECT_EQ(checkpoint->format(), &awq);
  EXPECT_EQ(checkpoint->scheme(), (QuantScheme{4, 64, false}));
  // config.json wins over what AutoAWQ's first releases wrote.
  Write("quant_config.json", R"({"zero_point":true,"q_group_size":32,"w_bit":4,"version":"GEMM"})");
  EXPECT_EQ(Checkpoint::Open(folder_)->scheme().group, 64);
  WriteConfig({{"model_type", "llama"}});
  checkpoint = Checkpoint::Open(folder_);
  EXPECT_EQ(checkpoint->format(), &awq);
  EXPECT_EQ(checkpoint->scheme(), (QuantScheme{4, 32, false}));
  Write("quant_config.json", R"({"zero_point":true,"q_group_size":32,"w_bit":4,"version":"GEMV"})");
  ExpectRefused(ErrorCode::kUnsupported, {"quant_config.json", "gemv"});
}

TEST_F(CheckpointTest, TensorsDecideWhatIsQuantized) {
  WriteTensors({{"m.gate_proj.weight", DType::kBF16},
                {"m.up_proj.qweight", DType::kI32},
                {"m.skipped.weight", DType::kBF16}});
  WriteConfig({{"quantization_config",
                PackFormatByName("awq_gemm").Config({4, 128, false}, {"gate", "skipped"})}});
  const auto checkpoint = Checkpoint::Open(folder_);
  EXPECT_TRUE(checkpoint->IsQuantized("m.up_proj"));
  EXPECT_FALSE(checkpoint->IsQuantized("m.gate_proj"));  // skipped by a reader of substrings
  EXPECT_FALSE(checkpoint->IsQuantized("m.skipped"));
  EXPECT_FALSE(checkpoint->IsQuantized("lm_head"));
}

}  // namespace
}  // namespace awq
