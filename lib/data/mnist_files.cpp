#include "mnist_files.hpp"

#include <lockstep/base/error.hpp>

#include <algorithm>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "data_file.hpp"

namespace lockstep {
namespace {

namespace fs = std::filesystem;

/// The sub-folders that torchvision's data sets of this format make.
constexpr const char* sub_folders[] = {"raw", "MNIST/raw", "FashionMNIST/raw", "KMNIST/raw", "EMNIST/raw"};

/// Files of one set in one folder; their names are prefix + part + "-images-idx3-ubyte" and so on.
struct Set {
    fs::path folder;
    std::string prefix;  ///< "", or "emnist-letters-"
    std::string test;    ///< "t10k", or EMNIST's "test"

    std::string text() const { return (folder / (prefix + "train-*")).string(); }
};

/// Both spellings of a file: archives on the way have been known to turn the dash into a dot.
std::vector<std::string> names(const std::string& set_and_part, const std::string& kind,
                               const std::string& type) {
    return {set_and_part + "-" + kind + "-" + type, set_and_part + "-" + kind + "." + type};
}

std::vector<std::string> image_names(const std::string& set_and_part) {
    return names(set_and_part, "images", "idx3-ubyte");
}
std::vector<std::string> label_names(const std::string& set_and_part) {
    return names(set_and_part, "labels", "idx1-ubyte");
}

/// EMNIST's sets in a folder, by the prefix of their names.
std::vector<Set> emnist_sets(const fs::path& folder) {
    std::vector<std::string> prefixes;
    std::error_code ignored;  // a folder that cannot be listed has no sets
    for (const fs::directory_entry& file : fs::directory_iterator(folder, ignored)) {
        const std::string name = file.path().filename().string();
        const std::size_t end = name.find("-train-images");
        if (!name.starts_with("emnist-") || end == std::string::npos) continue;
        const std::string prefix = name.substr(0, end + 1);
        if (has_data_file(folder, image_names(prefix + "train"))) prefixes.push_back(prefix);
    }
    std::ranges::sort(prefixes);  // folders are listed in any order
    prefixes.erase(std::unique(prefixes.begin(), prefixes.end()), prefixes.end());
    std::vector<Set> sets;
    sets.reserve(prefixes.size());
    for (const std::string& prefix : prefixes) sets.push_back({folder, prefix, "test"});
    return sets;
}

std::vector<Set> sets_in(const fs::path& folder) {
    if (has_data_file(folder, image_names("train"))) return {{folder, "", "t10k"}};
    return emnist_sets(folder);
}

/// The only one; throws if there are several. std::vector of one or none.
std::vector<Set> at_most_one(std::vector<Set> sets, const fs::path& directory) {
    if (sets.size() <= 1) return sets;
    std::string list;
    for (const Set& set : sets) list += (list.empty() ? "" : ", ") + set.text();
    throw FileError(directory.string() + ": there are several data sets: " + list +
                    "; give a folder with one of them alone, or links to its four files");
}

MnistFiles files_of(const Set& set) {
    const auto images = [&](const std::string& part) {
        return find_data_file({set.folder}, image_names(set.prefix + part));
    };
    const auto labels = [&](const std::string& part) {
        return find_data_file({set.folder}, label_names(set.prefix + part));
    };
    return {images("train"), labels("train"), images(set.test), labels(set.test)};
}

}  // namespace

MnistFiles find_mnist_files(const std::filesystem::path& directory) {
    std::vector<Set> sets = at_most_one(sets_in(directory), directory);
    if (!sets.empty()) return files_of(sets.front());

    std::vector<fs::path> places = {directory};
    for (const char* const below : sub_folders) {
        places.push_back(directory / below);
        for (Set& set : sets_in(places.back())) sets.push_back(std::move(set));
    }
    sets = at_most_one(std::move(sets), directory);
    if (!sets.empty()) return files_of(sets.front());

    std::vector<std::string> tried = image_names("train");
    for (std::string& name : image_names("emnist-*-train")) tried.push_back(std::move(name));
    return {find_data_file(places, tried), {}, {}, {}};  // throws: nothing has been found
}

}  // namespace lockstep
