#include "hdf5_library.hpp"
#include "written_rows.hpp"

#include <lockstep/base/error.hpp>
#include <lockstep/data/array_writer.hpp>

#include <utility>

namespace lockstep {
namespace {

/// To be called before HDF5 is called again, which forgets its reason.
[[noreturn]] void fail(const std::filesystem::path& path, const std::string& action) {
    throw FileError(action + " " + path.string() + " (" + Hdf5Call::reason() +
                    "); check the disk, its free space and the folder's permissions");
}

}  // namespace

struct Hdf5Writer::File {
    AtomicFile target;
    WrittenRows rows;
    std::vector<hsize_t> extents;
    Index next = 0;
    Hdf5Handle opened, space, dataset;

    File(const std::filesystem::path& path, ElementType element, const std::vector<Index>& size)
        : target(path), rows(path.string(), element, size), extents(size.begin(), size.end()) {}
    ~File() { close(); }

    void create(const std::string& name);
    void append(ElementType element, std::size_t count, const void* values);
    bool close();
};

void Hdf5Writer::File::create(const std::string& name) {
    const Hdf5Call call;
    const Hdf5Handle access(H5Pcreate(H5P_FILE_ACCESS), H5Pclose);
    H5Pset_file_locking(access.get(), false, true);  // AtomicFile holds the lock
    opened = {H5Fcreate(target.partial().c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, access.get()), H5Fclose};
    if (!opened) fail(rows.name, "cannot create");

    const Hdf5Handle link(H5Pcreate(H5P_LINK_CREATE), H5Pclose);
    H5Pset_create_intermediate_group(link.get(), 1);
    const Hdf5Handle creation(H5Pcreate(H5P_DATASET_CREATE), H5Pclose);
    H5Pset_obj_track_times(creation.get(), false);  // the same values are the same bytes
    space = {H5Screate_simple(static_cast<int>(extents.size()), extents.data(), nullptr), H5Sclose};
    dataset = {H5Dcreate2(opened.get(), name.c_str(), native_hdf5_type(rows.element), space.get(), link.get(),
                          creation.get(), H5P_DEFAULT),
               H5Dclose};
    if (!dataset) fail(rows.name, "cannot create the data set '" + name + "' in");
}

void Hdf5Writer::File::append(ElementType element, std::size_t count, const void* values) {
    const Index given = rows.check(next, element, count);
    if (given == 0) return;
    const Hdf5Call call;
    std::vector<hsize_t> start(extents.size(), 0), some = extents;
    start.front() = static_cast<hsize_t>(next);
    some.front() = static_cast<hsize_t>(given);
    const Hdf5Handle memory(H5Screate_simple(static_cast<int>(some.size()), some.data(), nullptr), H5Sclose);
    H5Sselect_hyperslab(space.get(), H5S_SELECT_SET, start.data(), nullptr, some.data(), nullptr);
    if (H5Dwrite(dataset.get(), native_hdf5_type(element), memory.get(), space.get(), H5P_DEFAULT, values) <
        0)
        fail(rows.name, "cannot write");
    next += given;
}

bool Hdf5Writer::File::close() {
    const Hdf5Call call;
    space.close();
    const bool values = dataset.close();
    return opened.close() && values;
}

Hdf5Writer::Hdf5Writer(const std::filesystem::path& target, const std::string& dataset, ElementType element,
                       const std::vector<Index>& extents) {
    check_written_array(target.string(), element, extents);
    file_ = std::make_unique<File>(target, element, extents);
    file_->create(dataset);
}

Hdf5Writer::~Hdf5Writer() = default;

void Hdf5Writer::append(std::span<const float> values) {
    file_->append(element_of<float>, values.size(), values.data());
}

void Hdf5Writer::append(std::span<const double> values) {
    file_->append(element_of<double>, values.size(), values.data());
}

void Hdf5Writer::append(std::span<const std::int64_t> values) {
    file_->append(element_of<std::int64_t>, values.size(), values.data());
}

void Hdf5Writer::commit() {
    const WrittenRows& rows = file_->rows;
    if (file_->next < rows.rows)
        throw UsageError(rows.name + ": " + std::to_string(file_->next) + " of its " +
                         std::to_string(rows.rows) + " rows were written");
    if (!file_->close()) throw FileError("cannot write " + rows.name + "; check the disk and its free space");
    file_->target.commit();
}

}  // namespace lockstep
