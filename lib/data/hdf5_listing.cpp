#include "hdf5_library.hpp"

#include <algorithm>
#include <utility>

namespace lockstep {
namespace {

constexpr std::size_t most_named = 20;
constexpr int deepest = 8;  // links may go round in circles

struct Listing {
    std::string text;
    std::size_t count = 0;
};

void add_dataset(hid_t dataset, const std::string& path, Listing& listing) {
    ++listing.count;
    if (listing.count > most_named) return;
    const Hdf5Handle space(H5Dget_space(dataset), H5Sclose);
    const Hdf5Handle type(H5Dget_type(dataset), H5Tclose);
    const std::string extents = extents_to_string(hdf5_extents(space.get()));
    listing.text += (listing.text.empty() ? "" : ", ") + path + " (" +
                    (extents.empty() ? "a single value" : extents) + " of " + hdf5_type_name(type.get()) +
                    ")";
}

/// H5Ovisit would do, but has another signature in each version of HDF5. Asked for names in alphabetical order, HDF5
/// 1.10 crashes on a group whose index is damaged; so they come as they are stored.
std::vector<std::string> names_in(hid_t group) {
    std::vector<std::string> names;
    H5G_info_t info{};
    if (H5Gget_info(group, &info) < 0) return names;
    for (hsize_t i = 0; i < info.nlinks; ++i) {
        const auto read = [&](char* text, std::size_t size) {
            return H5Lget_name_by_idx(group, ".", H5_INDEX_NAME, H5_ITER_NATIVE, i, text, size, H5P_DEFAULT);
        };
        const ssize_t length = read(nullptr, 0);
        if (length <= 0) break;
        std::string name(static_cast<std::size_t>(length), '\0');
        read(name.data(), name.size() + 1);
        names.push_back(std::move(name));
    }
    std::ranges::sort(names);
    return names;
}

void add_group(hid_t group, const std::string& path, int depth, Listing& listing) {
    if (depth > deepest) return;
    for (const std::string& name : names_in(group)) {
        if (listing.count > most_named) return;
        const Hdf5Handle object(H5Oopen(group, name.c_str(), H5P_DEFAULT), H5Oclose);
        if (!object) continue;  // a link to nowhere
        const std::string below = path + "/" + name;
        const H5I_type_t kind = H5Iget_type(object.get());
        if (kind == H5I_DATASET) add_dataset(object.get(), below, listing);
        if (kind == H5I_GROUP) add_group(object.get(), below, depth + 1, listing);
    }
}

}  // namespace

std::string list_hdf5_datasets(hid_t file) {
    Listing listing;
    const Hdf5Handle root(H5Gopen2(file, "/", H5P_DEFAULT), H5Gclose);
    if (root) add_group(root.get(), "", 0, listing);
    if (listing.count == 0) return "it holds no data set";
    return "it holds " + listing.text + (listing.count > most_named ? " and more" : "");
}

}  // namespace lockstep
