// Resources: what the process and its disk have.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

namespace awq {

// Memory that the process holds now, in bytes, without what the system caches of files; 0 if
// unknown.
int64_t ProcessBytes();

// Bytes that may be written where `target`, which need not exist, will be.
int64_t FreeDisk(const std::filesystem::path& target);
// Of the regular files below `folder`; 0 without one. Holes do not count.
int64_t BytesIn(const std::filesystem::path& folder);

// "812 MB".
std::string Megabytes(int64_t bytes);

// Bytes a second that SHA-256 takes.
double MeasureHashing();

}  // namespace awq
