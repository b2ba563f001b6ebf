// Metadata: values of a safetensors header that are known only when the file is complete.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace awq {

// A value to write first: room for FillMetadata.
std::string ReservedMetadata(size_t bytes);

// Puts `value` into the room of `key`, in place, and syncs the file; may be repeated. `value`:
// printable ASCII without quotes and backslashes. Throws kInternal where it does not fit, kCorrupt
// for a file without the key, kIo.
void FillMetadata(const std::filesystem::path& file, std::string_view key, std::string_view value);

}  // namespace awq
