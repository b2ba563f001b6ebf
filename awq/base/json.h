// JSON files with errors that name the file and the path of the value: a thin view of
// nlohmann::json.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

namespace awq {

using RawJson = nlohmann::ordered_json;

// A number, or null where JSON has none for it.
RawJson FiniteOrNull(double value);

// A value inside a document. Copyable; keeps the document alive.
// Every getter throws kCorrupt naming file, path, expected and found when the type is wrong.
class Json {
 public:
  // Throws kNotFound or kIo (file), kCorrupt (syntax: file, line and column).
  static Json Load(const std::filesystem::path& file);
  // `origin` stands for the file in messages.
  static Json Parse(std::string_view text, std::string origin);

  // False when the key is absent or null.
  bool Has(std::string_view key) const;
  // The member; throws kCorrupt when absent or when this is no object.
  Json At(std::string_view key) const;
  std::optional<Json> Find(std::string_view key) const;

  int64_t AsInt() const;
  double AsDouble() const;
  bool AsBool() const;
  std::string AsString() const;
  std::vector<Json> AsArray() const;

  int64_t Int(std::string_view key) const { return At(key).AsInt(); }
  double Double(std::string_view key) const { return At(key).AsDouble(); }
  bool Bool(std::string_view key) const { return At(key).AsBool(); }
  std::string String(std::string_view key) const { return At(key).AsString(); }
  // With a fallback for an absent or null key.
  int64_t Int(std::string_view key, int64_t otherwise) const;
  double Double(std::string_view key, double otherwise) const;
  bool Bool(std::string_view key, bool otherwise) const;
  std::string String(std::string_view key, std::string otherwise) const;

  const RawJson& raw() const { return *value_; }
  // "config.json: rope_scaling.factor", for messages of the caller's own.
  std::string Where() const;

 private:
  Json(std::shared_ptr<const RawJson> document, const RawJson* value, std::string origin,
       std::string path);
  [[noreturn]] void Mismatch(std::string_view expected) const;

  std::shared_ptr<const RawJson> document_;
  const RawJson* value_;
  std::string origin_;
  std::string path_;
};

}  // namespace awq
