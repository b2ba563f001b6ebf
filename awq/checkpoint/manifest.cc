#include "awq/checkpoint/manifest.h"

#include <openssl/evp.h>

#include <algorithm>
#include <memory>

#include "awq/base/error.h"
#include "awq/base/file.h"

namespace awq {
namespace fs = std::filesystem;
namespace {

constexpr size_t kPiece = size_t{1} << 24;

bool IsHash(std::string_view text) {
  return text.size() == 64 && text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

// A manifest comes with a checkpoint from anywhere: it must not reach outside its folder.
bool IsPlainName(const std::string& name) {
  return !name.empty() && name != "." && name != ".." && name.find('/') == std::string::npos;
}

class Digest {
 public:
  explicit Digest(std::string what)
      : what_(std::move(what)), context_(EVP_MD_CTX_new(), EVP_MD_CTX_free) {
    Check(context_ != nullptr && EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr) == 1);
  }
  void Add(const void* data, size_t bytes) {
    Check(EVP_DigestUpdate(context_.get(), data, bytes) == 1);
  }
  std::string Hex() {
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned int size = 0;
    Check(EVP_DigestFinal_ex(context_.get(), digest, &size) == 1);
    std::string hex;
    for (unsigned int i = 0; i < size; ++i) {
      hex += "0123456789abcdef"[digest[i] >> 4];
      hex += "0123456789abcdef"[digest[i] & 15];
    }
    return hex;
  }

 private:
  void Check(bool ok) const { AWQ_CHECK(ok, kInternal, what_, ": SHA-256 failed"); }
  std::string what_;
  std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context_;
};

}  // namespace

std::string Sha256(const fs::path& file) {
  const auto mapped = MappedFile::Open(file);
  Digest digest(file.string());
  std::span<const std::byte> rest = mapped->bytes();
  while (!rest.empty()) {
    const auto piece = rest.first(std::min(rest.size(), kPiece));
    digest.Add(piece.data(), piece.size());
    mapped->Release(piece.data(), piece.size());
    rest = rest.subspan(piece.size());
  }
  return digest.Hex();
}

std::string Sha256OfText(std::string_view text) {
  Digest digest("text");
  digest.Add(text.data(), text.size());
  return digest.Hex();
}

void WriteManifest(const fs::path& folder, std::string_view awq_version, const RawJson& options,
                   const RawJson& made_from) {
  std::map<std::string, std::string> files;
  for (const auto& entry : fs::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    if (entry.is_regular_file() && name != kManifestName) files[name] = Sha256(entry.path());
  }
  RawJson json = {{"awq_version", awq_version}, {"options", options}, {"files", files}};
  if (!made_from.is_null()) json["made_from"] = made_from;
  FileWriter out(folder / kManifestName);
  out.Write(json.dump(2) + "\n");
  out.Close();
}

std::optional<Manifest> ReadManifest(const fs::path& folder) {
  if (!fs::exists(folder / kManifestName)) return std::nullopt;
  const Json json = Json::Load(folder / kManifestName);
  const auto made_from = json.Find("made_from");
  Manifest out{json.String("awq_version"), json.At("options").raw(), {}};
  if (made_from) out.made_from = made_from->raw();
  const Json files = json.At("files");
  AWQ_CHECK(files.raw().is_object(), kCorrupt, files.Where(), ": expected an object");
  for (const auto& [name, value] : files.raw().items()) {
    AWQ_CHECK(IsPlainName(name), kCorrupt, files.Where(), ": expected names of files, found \"",
              name, "\"");
    const std::string hash = files.String(name);
    AWQ_CHECK(IsHash(hash), kCorrupt, files.Where(), ".", name,
              ": expected a SHA-256 of 64 hex digits, found \"", hash, "\"");
    out.files[name] = hash;
  }
  return out;
}

std::vector<std::string> CheckManifest(const fs::path& folder, const Manifest& manifest) {
  std::vector<std::string> wrong;
  for (const auto& [name, hash] : manifest.files) {
    if (!fs::exists(folder / name)) {
      wrong.push_back(Cat(name, ": missing, although ", kManifestName, " lists it"));
      continue;
    }
    const std::string found = Sha256(folder / name);
    if (found != hash) {
      wrong.push_back(Cat(name, ": expected SHA-256 ", hash, ", found ", found));
    }
  }
  return wrong;
}

}  // namespace awq
