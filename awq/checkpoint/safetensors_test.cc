#include "awq/checkpoint/safetensors.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>

#include "awq/base/testing.h"

namespace awq {
namespace {
namespace fs = std::filesystem;

// A folder for one test, removed with it.
class SafetensorsTest : public testing::Test {
 protected:
  SafetensorsTest() {
    folder_ = fs::path(testing::TempDir()) /
              Cat("safetensors-", ::getpid(), "-",
                  testing::UnitTest::GetInstance()->current_test_info()->name());
    fs::create_directories(folder_);
  }
  ~SafetensorsTest() override { fs::remove_all(folder_); }

  fs::path Write(const std::string& bytes) {
    fs::path file = folder_ / "x.safetensors";
    WriteFileAtomically(file, bytes);
    return file;
  }
  std::shared_ptr<const SafetensorsFile> OpenBytes(const std::string& bytes) {
    return SafetensorsFile::Open(Write(bytes));
  }
  // Header text and data, without padding.
  static std::string File(const std::string& header, const std::string& data) {
    const uint64_t length = header.size();
    std::string out(8, '\0');
    std::memcpy(out.data(), &length, 8);
    return out + header + data;
  }
  void ExpectCorrupt(const std::string& bytes, std::initializer_list<std::string_view> parts) {
    ExpectError(ErrorCode::kCorrupt, parts, [&] { (void)OpenBytes(bytes); });
    ExpectError(ErrorCode::kCorrupt, {"x.safetensors"}, [&] { (void)OpenBytes(bytes); });
  }
  void ExpectBadHeader(const std::string& header, std::initializer_list<std::string_view> parts,
                       size_t data_bytes = 4) {
    ExpectCorrupt(File(header, std::string(data_bytes, 'x')), parts);
  }

  fs::path folder_;
};

std::string Entry(const std::string& name, const std::string& type, const std::string& shape,
                  const std::string& offsets) {
  return Cat("\"", name, "\":{\"dtype\":\"", type, "\",\"shape\":", shape,
             ",\"data_offsets\":", offsets, "}");
}

TEST_F(SafetensorsTest, ReadsTheReferenceWritersBytes) {
  const std::string header =
      R"({"__metadata__":{"format":"pt"},"a":{"dtype":"F16","shape":[2],"data_offsets":[0,4]}}   )";
  ASSERT_EQ(header.size(), 88u);
  const std::string bytes = File(header, std::string("\x00\x3c\x00\xc0", 4));
  ASSERT_EQ(bytes.size(), 100u);
  const auto file = OpenBytes(bytes);
  EXPECT_EQ(file->Names(), std::vector<std::string>{"a"});
  EXPECT_EQ(file->Metadata(), (std::map<std::string, std::string>{{"format", "pt"}}));
  const Tensor a = file->Get("a");
  EXPECT_EQ(a.dtype(), DType::kF16);
  EXPECT_EQ(a.shape(), Shape{2});
  EXPECT_EQ(LoadFloat(a.view(), 0), 1.f);
  EXPECT_EQ(LoadFloat(a.view(), 1), -2.f);
  EXPECT_EQ(file->TypeName("a"), "F16");
}

TEST_F(SafetensorsTest, ReadsAnEmptyFile) {
  const auto file = OpenBytes(File("{}      ", ""));
  EXPECT_TRUE(file->Names().empty());
  EXPECT_TRUE(file->Metadata().empty());
}

TEST_F(SafetensorsTest, TensorsOutliveTheFileObject) {
  auto file = OpenBytes(File("{" + Entry("a", "U8", "[3]", "[0,3]") + "}", "xyz"));
  const Tensor a = file->Get("a");
  file.reset();
  EXPECT_EQ(std::string(a.As<const char>(), 3), "xyz");
}

TEST_F(SafetensorsTest, ScalarsEmptyTensorsAndOrder) {
  const auto file = OpenBytes(File("{" + Entry("z", "U8", "[1,1,1,2]", "[0,2]") + "," +
                                       Entry("e", "F64", "[3,0]", "[2,2]") + "," +
                                       Entry("s", "U8", "[]", "[2,3]") + "}",
                                   "xyz"));
  EXPECT_EQ(file->Names(), (std::vector<std::string>{"z", "e", "s"}));
  EXPECT_EQ(file->Get("s").shape().rank(), 0);
  EXPECT_EQ(*file->Get("s").As<char>(), 'z');
  EXPECT_EQ(file->Get("z").shape(), (Shape{1, 1, 1, 2}));
  const Tensor e = file->Get("e");
  EXPECT_FALSE(e.empty());  // it exists, and has no elements
  EXPECT_EQ(e.view().NumElements(), 0);
}

TEST_F(SafetensorsTest, MisalignedTensorsAreCopied) {
  // The data area begins at an odd offset, whatever this header's length is.
  std::string header = "{" + Entry("f", "F32", "[2]", "[0,8]") + "}";
  if (header.size() % 2 == 0) header += ' ';
  const float values[2] = {1.5f, -3.f};
  const auto file = OpenBytes(File(header, std::string(reinterpret_cast<const char*>(values), 8)));
  const Tensor f = file->Get("f");
  EXPECT_EQ(reinterpret_cast<uintptr_t>(f.view().data) % 4, 0u);
  EXPECT_EQ(f.As<float>()[0], 1.5f);
  EXPECT_EQ(f.As<float>()[1], -3.f);
}

TEST_F(SafetensorsTest, UnknownTypesAndHighRanksAreRefusedWhenFetched) {
  const auto file = OpenBytes(File("{" + Entry("f4", "F4", "[2,3]", "[0,3]") + "," +
                                       Entry("u4", "U4", "[2]", "[3,4]") + "," +
                                       Entry("five", "U8", "[1,1,2,1,1]", "[4,6]") + "," +
                                       Entry("ok", "I8", "[1]", "[6,7]") + "}",
                                   "abcdefg"));
  EXPECT_EQ(*file->Get("ok").As<char>(), 'g');
  EXPECT_EQ(file->TypeName("f4"), "F4");
  ExpectError(ErrorCode::kUnsupported, {"f4", "F4", "BF16"}, [&] { (void)file->Get("f4"); });
  ExpectError(ErrorCode::kUnsupported, {"u4", "U4"}, [&] { (void)file->Get("u4"); });
  ExpectError(ErrorCode::kUnsupported, {"five", "rank 5"}, [&] { (void)file->Get("five"); });
  ExpectError(ErrorCode::kNotFound, {"x.safetensors", "absent"},
              [&] { (void)file->Get("absent"); });
}

TEST_F(SafetensorsTest, NamesAreUnescaped) {
  const auto file =
      OpenBytes(File(R"({"a\"\u00e9\/b":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})", "x"));
  EXPECT_TRUE(file->Has("a\"\u00e9/b"));
}

TEST_F(SafetensorsTest, MissingFile) {
  ExpectError(ErrorCode::kNotFound, {"absent.safetensors"},
              [&] { (void)SafetensorsFile::Open(folder_ / "absent.safetensors"); });
}

TEST_F(SafetensorsTest, BadContainers) {
  ExpectCorrupt("", {"at least 8 bytes"});
  ExpectCorrupt("1234567", {"at least 8 bytes", "found 7"});
  ExpectCorrupt(std::string(8, '\xff'), {"100000000 are allowed"});
  ExpectCorrupt(std::string("\x10\0\0\0\0\0\0\0{}", 10), {"header of 16 bytes in a file of 10"});
  ExpectCorrupt("version https://git-lfs.github.com/spec/v1\noid sha256:0\n", {"git lfs pull"});
  ExpectCorrupt(File("", ""), {"begin with {"});
  ExpectCorrupt(File(" {}", ""), {"begin with {"});
  ExpectCorrupt(File("[]", ""), {"begin with {"});
  ExpectCorrupt(File("{} ", "x"), {"expected 11 bytes", "found 12"});
}

TEST_F(SafetensorsTest, EveryTruncationIsRefused) {
  const std::string bytes =
      File("{" + Entry("a", "U8", "[2]", "[0,2]") + "," + Entry("b", "F32", "[1]", "[2,6]") + "}",
           "abcdef");
  (void)OpenBytes(bytes);
  for (size_t size = 0; size < bytes.size(); ++size) {
    ExpectError(ErrorCode::kCorrupt, {"x.safetensors"},
                [&] { (void)OpenBytes(bytes.substr(0, size)); });
  }
}

TEST_F(SafetensorsTest, BadJson) {
  for (const char* header : {"{", "{\"a\"}", "{\"a\":1", "{\"a\":1}}", "{\"\xff\":1}", "{'a':1}",
                             "{\"a\":{\"dtype\":NaN}}", "{\"a\":1,}"}) {
    ExpectBadHeader(header, {});
  }
  ExpectBadHeader("{\"a\":" + std::string(100000, '[') + std::string(100000, ']') + "}", {});
}

TEST_F(SafetensorsTest, BadEntries) {
  ExpectBadHeader("{\"a\":[]}", {"a: expected an object"});
  ExpectBadHeader(R"({"a":{"dtype":"F32","shape":[1]}})", {"a: ", "data_offsets"});
  ExpectBadHeader(R"({"a":{"dtype":"F32","dtype":"F32","shape":[1],"data_offsets":[0,4]}})",
                  {"a: ", "once each"});
  ExpectBadHeader(R"({"a":{"dtype":4,"shape":[1],"data_offsets":[0,4]}})", {"dtype"});
  ExpectBadHeader(R"({"a":{"dtype":"F32","shape":1,"data_offsets":[0,4]}})", {"shape"});
  ExpectBadHeader(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":{}}})", {"data_offsets"});
  for (const char* shape : {"[-1]", "[1.0]", "[\"1\"]", "[9223372036854775808]", "[null]"}) {
    ExpectBadHeader("{" + Entry("a", "F32", shape, "[0,4]") + "}", {"a: ", "2^63 - 1"});
  }
  for (const char* offsets : {"[]", "[0]", "[0,4,4]"}) {
    ExpectBadHeader("{" + Entry("a", "F32", "[1]", offsets) + "}", {"expected two"});
  }
  ExpectBadHeader("{" + Entry("a", "F32", "[1]", "[4,0]") + "}", {"run backwards"});
  ExpectBadHeader("{" + Entry("a", "F32", "[2]", "[0,8]") + "}", {"truncated"});
  ExpectBadHeader("{" + Entry("a", "F32", "[1]", "[0,18446744073709551615]") + "}", {"2^63 - 1"});
}

TEST_F(SafetensorsTest, ShapesThatDisagreeWithTheBytes) {
  ExpectBadHeader("{" + Entry("a", "F32", "[2]", "[0,4]") + "}", {"2 elements of 4 bytes"});
  ExpectBadHeader("{" + Entry("a", "F16", "[]", "[0,4]") + "}", {"1 elements of 2 bytes"});
  const std::string huge = "[4294967296,4294967296]";
  ExpectBadHeader("{" + Entry("a", "F32", huge, "[0,4]") + "}", {"2^63 elements"});
  ExpectBadHeader("{" + Entry("a", "F32", "[0,4294967296,4294967296]", "[0,0]") + "}",
                  {"2^63 elements"});
  ExpectBadHeader("{" + Entry("a", "F32", "[4611686018427387904]", "[0,4]") + "}", {"a: expected"});
  ExpectBadHeader("{" + Entry("a", "F4", huge, "[0,4]") + "}", {"2^63 elements"});
}

TEST_F(SafetensorsTest, OverlapsGapsTailsAndDuplicates) {
  const auto two = [](const char* a, const char* b, const char* first = "a") {
    return "{" + Entry(first, "U8", "[2]", a) + "," + Entry("b", "U8", "[2]", b) + "}";
  };
  (void)OpenBytes(File(two("[2,4]", "[0,2]"), "wxyz"));
  ExpectBadHeader(two("[0,2]", "[1,3]"), {"b: ", "overlaps"});
  ExpectBadHeader(two("[0,2]", "[0,2]"), {"b: ", "overlaps"});
  ExpectBadHeader(two("[0,2]", "[2,4]"), {"expected 1", "found"}, 5);
  ExpectBadHeader(two("[1,3]", "[3,5]"), {"a: ", "gap"}, 5);
  ExpectBadHeader(two("[0,2]", "[3,5]"), {"b: ", "gap"}, 5);
  ExpectBadHeader(two("[0,2]", "[2,4]", "b"), {"b: appears twice"});
  ExpectBadHeader(two("[0,2]", "[2,4]", "\\u0062"), {"b: appears twice"});
}

TEST_F(SafetensorsTest, BadMetadata) {
  ExpectBadHeader(R"({"__metadata__":[]})", {"__metadata__: expected an object"}, 0);
  ExpectBadHeader(R"({"__metadata__":{"a":1}})", {"__metadata__: a: expected a string"}, 0);
  ExpectBadHeader(R"({"__metadata__":{"a":"1","a":"2"}})", {"a appears twice"}, 0);
  ExpectBadHeader(R"({"__metadata__":{},"__metadata__":{}})", {"__metadata__ appears twice"}, 0);
}

TEST_F(SafetensorsTest, HeadersOfManyTensors) {
  constexpr int kCount = 20000;
  std::string header = "{";
  for (int i = 0; i < kCount; ++i) {
    header += (i ? "," : "") +
              Entry(Cat("model.layers.", i, ".weight"), "U8", "[1]", Cat("[", i, ",", i + 1, "]"));
  }
  std::string data(kCount, 'x');
  data[12345] = 'y';
  const auto file = OpenBytes(File(header + "}", data));
  EXPECT_EQ(file->Names().size(), size_t{kCount});
  EXPECT_EQ(*file->Get("model.layers.12345.weight").As<char>(), 'y');
}

}  // namespace
}  // namespace awq
