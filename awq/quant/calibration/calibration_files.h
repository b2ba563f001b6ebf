// CalibrationFiles: which files --calib stands for.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace awq {

// A file; "-", standard input; a folder: its files, those of folders below it too, sorted by path,
// without hidden ones and those that describe a data set (README.md, dataset_info.json, …). What is
// neither, but looks like a data set of the hub, "org/name", is looked for in its caches (folders
// that hold datasets--org--name). Nothing is ever downloaded. Throws kNotFound, which says where it
// looked and how to supply one.
std::vector<std::filesystem::path> FindCalibrationFiles(
    const std::string& source, const std::vector<std::filesystem::path>& hub_caches);

}  // namespace awq
