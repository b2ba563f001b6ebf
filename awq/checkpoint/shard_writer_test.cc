#include "awq/checkpoint/shard_writer.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>
#include <random>

#include "awq/base/testing.h"
#include "awq/checkpoint/checkpoint.h"
#include "awq/checkpoint/safetensors.h"

namespace awq {
namespace {
namespace fs = std::filesystem;

class ShardWriterTest : public testing::Test {
 protected:
  ShardWriterTest() {
    folder_ = fs::path(testing::TempDir()) /
              Cat("shards-", ::getpid(), "-",
                  testing::UnitTest::GetInstance()->current_test_info()->name());
    fs::create_directories(folder_);
  }
  ~ShardWriterTest() override { fs::remove_all(folder_); }

  std::vector<std::string> Files() const {
    std::vector<std::string> out;
    for (const auto& e : fs::directory_iterator(folder_)) out.push_back(e.path().filename());
    std::sort(out.begin(), out.end());
    return out;
  }

  fs::path folder_;
};

Tensor Filled(DType type, const Shape& shape, int seed) {
  Tensor out = MakeTensor(type, shape);
  std::mt19937 random(static_cast<uint32_t>(seed));
  auto* bytes = out.As<uint8_t>();
  for (int64_t i = 0; i < out.view().NumBytes(); ++i) bytes[i] = static_cast<uint8_t>(random());
  return out;
}

void ExpectSame(const Tensor& found, const Tensor& expected) {
  ASSERT_EQ(found.dtype(), expected.dtype());
  ASSERT_EQ(found.shape(), expected.shape());
  EXPECT_EQ(std::memcmp(found.view().data, expected.view().data,
                        static_cast<size_t>(expected.view().NumBytes())),
            0);
}

std::string TensorName(int i) { return Cat("t.", i, ".weight"); }

TEST_F(ShardWriterTest, WritesTheReferenceWritersBytes) {
  ShardWriter writer(folder_, 1000, {});
  Tensor a = MakeTensor(DType::kF16, {2});
  StoreFloat(a.view(), 0, 1.f);
  StoreFloat(a.view(), 1, -2.f);
  writer.Write("a", a.view());
  writer.Finish();
  EXPECT_EQ(writer.total_bytes(), 4);
  EXPECT_EQ(Files(), std::vector<std::string>{"model.safetensors"});
  const std::string header =
      R"({"__metadata__":{"format":"pt"},"a":{"dtype":"F16","shape":[2],"data_offsets":[0,4]}}   )";
  EXPECT_EQ(ReadFile(folder_ / "model.safetensors"),
            std::string("\x58\0\0\0\0\0\0\0", 8) + header + std::string("\x00\x3c\x00\xc0", 4));
}

TEST_F(ShardWriterTest, NoTensorsAreAValidFile) {
  ShardWriter writer(folder_, 1000, {{"framework", "awq"}});
  writer.Finish();
  const auto file = SafetensorsFile::Open(folder_ / "model.safetensors");
  EXPECT_TRUE(file->Names().empty());
  EXPECT_EQ(file->Metadata(),
            (std::map<std::string, std::string>{{"format", "pt"}, {"framework", "awq"}}));
}

TEST_F(ShardWriterTest, EveryTypeAndShapeReadsBackAlignedToItsElements) {
  std::map<std::string, Tensor> expected;
  ShardWriter writer(folder_, int64_t{1} << 30, {});
  int i = 0;
  for (const DType type : {DType::kU8, DType::kBF16, DType::kF32, DType::kI64, DType::kBool,
                           DType::kF16, DType::kI32, DType::kF64, DType::kI8, DType::kI16}) {
    for (const Shape& shape : {Shape{}, Shape{3}, Shape{5, 3}, Shape{0, 4}, Shape{1, 2, 1, 4}}) {
      const std::string name = TensorName(i);
      Tensor t = Filled(type, shape, i++);
      writer.Write(name, t.view());
      expected.emplace(name, std::move(t));
    }
  }
  writer.Finish();
  const auto file = SafetensorsFile::Open(folder_ / "model.safetensors");
  EXPECT_EQ(file->Names().size(), expected.size());
  for (const auto& [name, tensor] : expected) {
    SCOPED_TRACE(name);
    ExpectSame(file->Get(name), tensor);
  }
  // Views into one mapping, not copies: the writer aligned every tensor.
  const auto begin = reinterpret_cast<uintptr_t>(file->Get(file->Names().front()).view().data);
  for (const auto& [name, tensor] : expected) {
    const auto at = reinterpret_cast<uintptr_t>(file->Get(name).view().data);
    EXPECT_GE(at, begin) << name;
    EXPECT_LE(at, begin + static_cast<uintptr_t>(writer.total_bytes())) << name;
    const uintptr_t alignment = tensor.view().NumBytes() % 8 == 0 ? 8 : 1;
    EXPECT_EQ(at % alignment, 0u) << name;
  }
}

TEST_F(ShardWriterTest, ShardsAreBoundedAndIndexed) {
  ShardWriter writer(folder_, 1000, {});
  std::map<std::string, Tensor> expected;
  const auto add = [&](int i, int64_t bytes) {
    expected.emplace(TensorName(i), Filled(DType::kU8, {bytes}, i));
    writer.Write(TensorName(i), expected.at(TensorName(i)).view());
  };
  add(0, 600);
  add(1, 400);   // fits exactly
  add(2, 1);     // does not
  add(3, 5000);  // larger than a shard: one of its own
  add(4, 10);
  writer.Finish();
  EXPECT_EQ(writer.total_bytes(), 6011);
  EXPECT_EQ(Files(), (std::vector<std::string>{
                         "model-00001-of-00004.safetensors", "model-00002-of-00004.safetensors",
                         "model-00003-of-00004.safetensors", "model-00004-of-00004.safetensors",
                         "model.safetensors.index.json"}));
  const Json index = Json::Load(folder_ / "model.safetensors.index.json");
  EXPECT_EQ(index.At("metadata").Int("total_size"), 6011);
  EXPECT_EQ(index.At("weight_map").raw().size(), 5u);
  WriteFileAtomically(folder_ / "config.json", "{}");
  const auto checkpoint = Checkpoint::Open(folder_);
  for (const auto& [name, tensor] : expected) ExpectSame(checkpoint->Get(name), tensor);
  for (const auto& [i, shard] : std::map<int, int>{{0, 1}, {1, 1}, {2, 2}, {3, 3}, {4, 4}}) {
    const std::string file = Cat("model-0000", shard, "-of-00004.safetensors");
    EXPECT_EQ(index.At("weight_map").raw()[TensorName(i)], file);
    EXPECT_EQ(checkpoint->FileOf(TensorName(i)).filename(), file);
  }
}

TEST_F(ShardWriterTest, TensorsWrittenTogetherStayTogether) {
  ShardWriter writer(folder_, 100, {});
  for (int linear = 0; linear < 6; ++linear) {
    std::vector<NamedTensor> parts;
    for (int part = 0; part < 3; ++part) {
      parts.push_back({Cat("l", linear, ".p", part), Filled(DType::kU8, {17}, part)});
    }
    writer.Write(parts);
  }
  writer.Finish();
  WriteFileAtomically(folder_ / "config.json", "{}");
  const auto checkpoint = Checkpoint::Open(folder_);
  EXPECT_EQ(checkpoint->files().size(), 6u);  // 51 bytes each, one to a shard of 100
  for (int linear = 0; linear < 6; ++linear) {
    const fs::path file = checkpoint->FileOf(Cat("l", linear, ".p0"));
    for (int part = 1; part < 3; ++part) {
      EXPECT_EQ(checkpoint->FileOf(Cat("l", linear, ".p", part)), file);
    }
  }
}

TEST_F(ShardWriterTest, TheSameCallsGiveTheSameBytes) {
  std::string bytes[2];
  for (std::string& out : bytes) {
    const fs::path folder = folder_ / "again";
    fs::create_directories(folder);
    ShardWriter writer(folder, 300, {{"z", "1"}, {"a", "2"}});
    for (int i = 0; i < 20; ++i) writer.Write(TensorName(i), Filled(DType::kU8, {i * 7}, i).view());
    writer.Finish();
    std::vector<fs::path> files;
    for (const auto& e : fs::directory_iterator(folder)) files.push_back(e.path());
    std::sort(files.begin(), files.end());
    for (const fs::path& file : files) out += file.filename().string() + ReadFile(file);
    fs::remove_all(folder);
  }
  EXPECT_EQ(bytes[0], bytes[1]);
  EXPECT_NE(bytes[0].find("00002-of-"), std::string::npos);
}

TEST_F(ShardWriterTest, HostileNamesAreEscaped) {
  const std::string name = "a\"b\\\n\u00e9";
  ShardWriter writer(folder_, 1000, {{"k\"", "v\n"}});
  writer.Write(name, Filled(DType::kU8, {8}, 1).view());
  writer.Finish();
  const auto file = SafetensorsFile::Open(folder_ / "model.safetensors");
  ExpectSame(file->Get(name), Filled(DType::kU8, {8}, 1));
  EXPECT_EQ(file->Metadata().at("k\""), "v\n");
}

TEST_F(ShardWriterTest, Refusals) {
  ShardWriter writer(folder_, 1000, {});
  const Tensor t = Filled(DType::kU8, {4, 4}, 1);
  writer.Write("t", t.view());
  ExpectError(ErrorCode::kInternal, {"t is written twice"}, [&] { writer.Write("t", t.view()); });
  ExpectError(ErrorCode::kInternal, {"strided"},
              [&] { writer.Write("strided", t.view().Columns(0, 2)); });
  ExpectError(ErrorCode::kInternal, {"u4"},
              [&] { writer.Write("u4", MakeTensor(DType::kU4, {4}).view()); });
  ExpectError(ErrorCode::kInvalidArgument, {"shard size 0"}, [&] { ShardWriter(folder_, 0, {}); });
  ExpectError(ErrorCode::kNotFound, {"absent"}, [&] {
    ShardWriter lost(folder_ / "absent", 1000, {});
    lost.Write("t", t.view());
  });
}

// A writer that was cut off anywhere after a Log() is taken up behind it.
TEST_F(ShardWriterTest, RestoredWritersGiveTheSameBytes) {
  const auto write = [](ShardWriter& writer, int first, int last) {
    for (int i = first; i < last; ++i) {
      writer.Write(TensorName(i), Filled(DType::kU8, {i * 7}, i).view());
    }
  };
  const auto contents = [&](const fs::path& folder) {
    std::map<std::string, std::string> out;
    for (const auto& e : fs::directory_iterator(folder)) {
      out[e.path().filename()] = ReadFile(e.path());
    }
    return out;
  };
  const fs::path whole = folder_ / "whole";
  fs::create_directories(whole);
  ShardWriter straight(whole, 300, {});
  write(straight, 0, 20);
  straight.Finish();

  const fs::path folder = folder_ / "cut";
  fs::create_directories(folder);
  std::vector<RawJson> logs;
  for (const int done : {0, 3, 11, 20}) {
    ShardWriter writer(folder, 300, {});
    writer.Restore(logs);
    write(writer, logs.empty() ? 0 : logs.size() == 1 ? 3 : 11, done);
    writer.Sync();
    if (done > 0) logs.push_back(writer.Log());
    if (done < 20) write(writer, done, 20);  // lost: never logged
  }
  for (const bool again : {false, true}) {
    SCOPED_TRACE(again);
    ShardWriter writer(folder, 300, {});
    writer.Restore(logs);
    writer.Finish();
    EXPECT_EQ(contents(folder), contents(whole));
    EXPECT_EQ(writer.total_bytes(), straight.total_bytes());
  }
}

TEST_F(ShardWriterTest, RestoringMoreThanTheFilesHoldIsRefused) {
  RawJson log;
  {
    ShardWriter writer(folder_, 1000, {});
    writer.Write("t", Filled(DType::kU8, {64}, 1).view());
    log = writer.Log();
  }
  fs::resize_file(folder_ / "shard-1.data", 60);
  ShardWriter writer(folder_, 1000, {});
  writer.Restore({log});
  ExpectError(ErrorCode::kCorrupt, {"shard-1.data", "expected at least 64 bytes, found 60"},
              [&] { writer.Write("u", Filled(DType::kU8, {8}, 1).view()); });
  ExpectError(ErrorCode::kCorrupt, {"shard-1.data", "expected 64 bytes"}, [&] { writer.Finish(); });
}

}  // namespace
}  // namespace awq
