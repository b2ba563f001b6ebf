// Manifest: known hashes, a round trip, every kind of damage, hostile files.
#include "awq/checkpoint/manifest.h"

#include <gtest/gtest.h>

#include "awq/base/error.h"
#include "awq/base/file.h"

namespace awq {
namespace fs = std::filesystem;
namespace {

class ManifestTest : public ::testing::Test {
 protected:
  ManifestTest() {
    std::string name = (fs::temp_directory_path() / "awq_manifest_XXXXXX").string();
    folder_ = ::mkdtemp(name.data());
  }
  ~ManifestTest() override { fs::remove_all(folder_); }
  void Put(const std::string& name, const std::string& text) {
    FileWriter out(folder_ / name);
    out.Write(text);
    out.Close();
  }
  fs::path folder_;
};

TEST_F(ManifestTest, HashesAreThoseOfFips180) {
  Put("abc", "abc");
  EXPECT_EQ(Sha256(folder_ / "abc"),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  Put("empty", "");
  EXPECT_EQ(Sha256(folder_ / "empty"),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  Put("million", std::string(1000000, 'a'));
  EXPECT_EQ(Sha256(folder_ / "million"),
            "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
  EXPECT_THROW(Sha256(folder_ / "none"), Error);
}

TEST_F(ManifestTest, RoundTripAndDamage) {
  EXPECT_FALSE(ReadManifest(folder_).has_value());
  Put("a.json", "{}");
  Put("b.safetensors", "bytes");
  fs::create_directory(folder_ / "sub");
  WriteManifest(folder_, "1.2.3", {{"method", "awq"}});
  const auto manifest = ReadManifest(folder_);
  ASSERT_TRUE(manifest.has_value());
  EXPECT_EQ(manifest->awq_version, "1.2.3");
  EXPECT_EQ(manifest->options["method"], "awq");
  EXPECT_EQ(manifest->files.size(), 2u);
  EXPECT_TRUE(CheckManifest(folder_, *manifest).empty());

  Put("b.safetensors", "bytez");
  Put("extra", "is no fault");
  auto wrong = CheckManifest(folder_, *manifest);
  ASSERT_EQ(wrong.size(), 1u);
  EXPECT_TRUE(wrong[0].starts_with("b.safetensors: expected SHA-256 ")) << wrong[0];
  fs::remove(folder_ / "a.json");
  wrong = CheckManifest(folder_, *manifest);
  ASSERT_EQ(wrong.size(), 2u);
  EXPECT_TRUE(wrong[0].starts_with("a.json: missing")) << wrong[0];
}

TEST_F(ManifestTest, WhatIsNoManifestIsCorrupt) {
  const std::string hash(64, '0');
  for (const std::string& text :
       {std::string("{"), std::string("[]"), std::string(R"({"awq_version": "1", "options": {}})"),
        R"({"awq_version": "1", "options": {}, "files": ["a"]})" + std::string(),
        R"({"awq_version": "1", "options": {}, "files": {"../a": ")" + hash + R"("}})",
        R"({"awq_version": "1", "options": {}, "files": {"..": ")" + hash + R"("}})",
        R"({"awq_version": "1", "options": {}, "files": {"a": "12"}})" + std::string(),
        R"({"awq_version": "1", "options": {}, "files": {"a": 12}})" + std::string()}) {
    Put("awq_manifest.json", text);
    try {
      ReadManifest(folder_);
      ADD_FAILURE() << text;
    } catch (const Error& e) {
      EXPECT_EQ(e.code(), ErrorCode::kCorrupt) << e.what();
    }
  }
}

}  // namespace
}  // namespace awq
