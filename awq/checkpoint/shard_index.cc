#include "awq/checkpoint/shard_index.h"

#include <simdjson.h>

#include <nlohmann/json.hpp>

#include "awq/base/error.h"
#include "awq/base/file.h"

namespace awq {

// simdjson, because large mixtures of experts list a hundred thousand tensors.
std::map<std::string, std::string> ReadShardIndex(const std::filesystem::path& file) {
  const std::string text = ReadFile(file);
  simdjson::dom::parser parser;
  simdjson::dom::element root;
  const auto error = parser.parse(text).get(root);
  AWQ_CHECK(!error, kCorrupt, file.string(), ": bad JSON: ", simdjson::error_message(error));
  simdjson::dom::object weight_map;
  AWQ_CHECK(!root["weight_map"].get(weight_map), kCorrupt, file.string(),
            ": weight_map: expected an object");
  std::map<std::string, std::string> out;
  for (const auto field : weight_map) {
    std::string_view shard;
    AWQ_CHECK(!field.value.get(shard), kCorrupt, file.string(), ": weight_map: ", field.key,
              ": expected a file name");
    const bool plain = !shard.empty() && shard != ".." && shard.find('/') == shard.npos;
    AWQ_CHECK(plain, kCorrupt, file.string(), ": weight_map: ", field.key,
              ": expected a file beside the index, found \"", shard, "\"");
    const bool added = out.emplace(field.key, shard).second;
    AWQ_CHECK(added, kCorrupt, file.string(), ": weight_map: ", field.key, " appears twice");
  }
  return out;
}

void WriteShardIndex(const std::filesystem::path& file, int64_t total_bytes,
                     const std::map<std::string, std::string>& shard_of) {
  nlohmann::json index;
  index["metadata"]["total_size"] = total_bytes;
  index["weight_map"] = shard_of;
  WriteFileAtomically(file, index.dump(2) + "\n");
}

}  // namespace awq
