#include "awq/checkpoint/metadata.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "awq/base/error.h"
#include "awq/checkpoint/safetensors.h"
#include "awq/checkpoint/shard_writer.h"

namespace awq {
namespace {

TEST(Metadata, IsFilledInPlace) {
  const auto folder = std::filesystem::path(::testing::TempDir()) / "metadata_test";
  std::filesystem::create_directories(folder);
  Tensor t = MakeTensor(DType::kF32, {2});
  t.As<float>()[0] = 1;
  t.As<float>()[1] = 2;
  ShardWriter writer(folder, 1 << 20, {{"a", "b"}, {"quality", ReservedMetadata(20)}});
  writer.Write("x", t.view());
  writer.Finish();
  const auto file = folder / "model.safetensors";
  const auto size = std::filesystem::file_size(file);
  EXPECT_THROW(FillMetadata(file, "quality", std::string(21, 'x')), Error);
  EXPECT_THROW(FillMetadata(file, "quality", "a\"b"), Error);
  EXPECT_THROW(FillMetadata(file, "a", "xy"), Error);
  EXPECT_THROW(FillMetadata(file, "none", "x"), Error);
  FillMetadata(file, "quality", "an earlier one");
  FillMetadata(file, "quality", "kld=0.01");
  EXPECT_EQ(std::filesystem::file_size(file), size);
  const auto read = SafetensorsFile::Open(file);
  EXPECT_EQ(read->Metadata().at("quality"), "kld=0.01");
  EXPECT_EQ(read->Metadata().at("a"), "b");
  EXPECT_EQ(read->Get("x").As<const float>()[1], 2);
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace awq
