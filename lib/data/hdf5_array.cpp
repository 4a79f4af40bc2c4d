// Contiguous data sets are read in place, as .npy files are; all others, chunked and compressed, row by row
// through the library.
#include "hdf5.hpp"

#include "hdf5_library.hpp"
#include "mapped_array.hpp"

#include <algorithm>
#include <limits>
#include <span>
#include <vector>

namespace lockstep {
namespace {

/// Locked against writers, unless the file system has no locks.
Hdf5Handle open_file(const WatchedFile& file) {
    const Hdf5Handle access(H5Pcreate(H5P_FILE_ACCESS), H5Pclose);
    H5Pset_file_locking(access.get(), true, true);
    Hdf5Handle opened(H5Fopen(file.path().c_str(), H5F_ACC_RDONLY, access.get()), H5Fclose);
    if (!opened)
        file.fail("cannot be opened as HDF5; it is damaged, or being written (" + Hdf5Call::reason() + ")");
    return opened;
}

Hdf5Handle open_dataset(const WatchedFile& file, hid_t opened, const std::string& dataset) {
    const auto choose = [&] {
        return list_hdf5_datasets(opened) + "; choose one, as in " + file.path().filename().string() +
               ":/NAME";
    };
    if (dataset.empty()) file.fail("no data set was chosen; " + choose());
    const Hdf5Handle object(H5Oopen(opened, dataset.c_str(), H5P_DEFAULT), H5Oclose);
    if (!object) file.fail("there is no data set " + dataset + "; " + choose());
    if (H5Iget_type(object.get()) != H5I_DATASET) file.fail(dataset + " is no data set; " + choose());
    Hdf5Handle found(H5Dopen2(opened, dataset.c_str(), H5P_DEFAULT), H5Dclose);
    if (!found) file.fail(dataset + " cannot be opened (" + Hdf5Call::reason() + ")");
    return found;
}

ElementType element_of_dataset(const WatchedFile& file, hid_t type, const std::string& dataset) {
    if (const auto element = element_of_hdf5(type)) return *element;
    const std::string hint = H5Tget_class(type) == H5T_FLOAT ? "; convert them with .astype('float32')" : "";
    file.fail(dataset + " holds " + hdf5_type_name(type) +
              ", where integers, float32, float64 or bool were expected" + hint);
}

/// Whether elements of the type lie in the file as they lie in memory, but for their byte order.
bool is_plain(hid_t type, ElementType element) {
    if (size_of(element) == 1) return true;
    if (element == ElementType::f32)
        return H5Tequal(type, H5T_IEEE_F32LE) > 0 || H5Tequal(type, H5T_IEEE_F32BE) > 0;
    if (element == ElementType::f64)
        return H5Tequal(type, H5T_IEEE_F64LE) > 0 || H5Tequal(type, H5T_IEEE_F64BE) > 0;
    const H5T_order_t order = H5Tget_order(type);
    return (order == H5T_ORDER_LE || order == H5T_ORDER_BE) &&
           H5Tget_precision(type) == 8 * static_cast<std::size_t>(size_of(element));
}

/// Where in the file the values lie one after another, if they do.
std::optional<Index> place_of(hid_t dataset, hid_t creation) {
    if (H5Pget_layout(creation) != H5D_CONTIGUOUS || H5Pget_external_count(creation) != 0)
        return std::nullopt;
    const haddr_t place = H5Dget_offset(dataset);  // unknown if no value was ever written
    if (place == HADDR_UNDEF || place > static_cast<haddr_t>(std::numeric_limits<Index>::max()))
        return std::nullopt;
    return static_cast<Index>(place);
}

/// 0 if a factor is below one, and the largest Index if it is beyond that.
Index product_of(Index first, std::span<const Index> factors) {
    Index product = first;
    for (const Index factor : factors) {
        if (factor < 1) return 0;
        if (product > std::numeric_limits<Index>::max() / factor) return std::numeric_limits<Index>::max();
        product *= factor;
    }
    return product;
}

/// Memory is set aside for whole rows and chunks before anything is read: a damaged file must not claim more than it
/// can hold.
void check_can_hold(const WatchedFile& file, const std::string& dataset, const char* what, Index bytes) {
    constexpr Index best_packing = 1032;              // of deflate
    constexpr Index never_written = Index{16} << 20;  // takes no room in the file
    const Index most = product_of(best_packing, std::vector<Index>{static_cast<Index>(file.size())});
    if (bytes <= never_written || bytes <= most) return;
    file.fail(dataset + ": " + what + " of it would take " + std::to_string(bytes) +
              " bytes, which a file of " + std::to_string(file.size()) + " cannot hold; it is damaged");
}

/// Values that lie among what describes them are in memory since the data set was opened, and HDF5 reads there without
/// looking at how many there are.
void check_compact(const WatchedFile& file, const std::string& dataset, hid_t found, hid_t type,
                   std::span<const Index> extents) {
    const auto held = static_cast<Index>(H5Dget_storage_size(found));
    if (product_of(static_cast<Index>(H5Tget_size(type)), extents) <= held) return;
    file.fail(dataset + ": of its values the file holds only " + std::to_string(held) +
              " bytes; it is damaged");
}

std::vector<Index> chunk_extents(hid_t creation, std::size_t dimensions) {
    std::vector<hsize_t> chunk(dimensions);
    H5Pget_chunk(creation, static_cast<int>(chunk.size()), chunk.data());
    return {chunk.begin(), chunk.end()};
}

/// HDF5 takes some 6 KB of memory for each chunk of what it reads, also for those that were never written.
void check_row_chunks(const WatchedFile& file, const std::string& dataset, Index row_chunks) {
    constexpr Index least_bytes = 8;  // of a chunk that was written, for its place
    constexpr Index never_written = 4096;
    if (row_chunks <= std::max(never_written, static_cast<Index>(file.size()) / least_bytes)) return;
    file.fail(dataset + ": a row of it would lie in " + std::to_string(row_chunks) +
              " chunks, which a file of " + std::to_string(file.size()) +
              " bytes cannot hold; it is damaged");
}

/// The data set opened again, with a cache for decompressed chunks. Rows are read in random order, and every row
/// needs its chunk whole: a cache that holds the data set spares decompressing it once a row. So 64 MB if the
/// data set is large, and at least the chunks of one row.
Hdf5Handle with_chunk_cache(Hdf5Handle found, const WatchedFile& file, hid_t opened,
                            const std::string& dataset, const std::vector<Index>& chunk,
                            const std::vector<Index>& extents, Index element_size) {
    constexpr Index most_bytes = Index{64} << 20;
    constexpr Index most_slots = 1'000'003;
    std::vector<Index> chunks;
    for (std::size_t i = 0; i < chunk.size(); ++i) chunks.push_back((extents[i] - 1) / chunk[i] + 1);
    const Index chunk_bytes = product_of(element_size, chunk), all_chunks = product_of(1, chunks);
    const Index row_chunks = product_of(1, std::span(chunks).subspan(1));
    check_row_chunks(file, dataset, row_chunks);
    const Index held = std::max(row_chunks, std::min(all_chunks, most_bytes / chunk_bytes));
    const Index slots = 10 * std::min(most_slots / 10, held) + 1;
    const Hdf5Handle access(H5Pcreate(H5P_DATASET_ACCESS), H5Pclose);
    // 0: the chunk that was not used for longest goes first, whether it was read in full or not.
    H5Pset_chunk_cache(access.get(), static_cast<std::size_t>(slots),
                       static_cast<std::size_t>(product_of(held, std::vector<Index>{chunk_bytes})), 0);
    found.close();  // a data set that is open keeps its cache as it is
    found = {H5Dopen2(opened, dataset.c_str(), access.get()), H5Dclose};
    if (!found) file.fail(dataset + " cannot be opened (" + Hdf5Call::reason() + ")");
    return found;
}

/// Reads each row by a call of the library.
class Hdf5Array final : public Array {
  public:
    /// To be called and given open handles within an Hdf5Call.
    Hdf5Array(std::string name, const std::filesystem::path& path, ElementType element,
              std::vector<Index> extents, Hdf5Handle opened, Hdf5Handle dataset)
        : Array(std::move(name), element, std::move(extents)),
          watched_(path),
          opened_(std::move(opened)),
          dataset_(std::move(dataset)),
          rows_space_(H5Dget_space(dataset_.get()), H5Sclose),
          buffer_(static_cast<std::size_t>(row_size() * size_of(element))),
          to_float_(value_converter<float>(element, false)),
          to_double_(value_converter<double>(element, false)) {
        count_.assign(this->extents().begin(), this->extents().end());
        count_.front() = 1;
        start_.assign(count_.size(), 0);
        row_space_ =
            Hdf5Handle(H5Screate_simple(static_cast<int>(count_.size()), count_.data(), nullptr), H5Sclose);
        // An enumeration is converted to no integer, but to its like in memory.
        const Hdf5Handle type(H5Dget_type(dataset_.get()), H5Tclose);
        memory_type_ = element == ElementType::boolean
                           ? Hdf5Handle(H5Tget_native_type(type.get(), H5T_DIR_DEFAULT), H5Tclose)
                           : Hdf5Handle(H5Tcopy(native_hdf5_type(element)), H5Tclose);
    }
    ~Hdf5Array() override {
        const Hdf5Call call;
        memory_type_.close();
        row_space_.close();
        rows_space_.close();
        dataset_.close();
        opened_.close();
    }

    void read_row(Index row, float* out) const override { read(row, to_float_, out); }
    void read_row(Index row, double* out) const override { read(row, to_double_, out); }
    void verify() const override { watched_.verify(); }

  private:
    template <class T>
    void read(Index row, ConvertValues<T> convert, T* out) const {
        check_row(row);
        const Hdf5Call call;  // also guards start_ and buffer_
        start_.front() = static_cast<hsize_t>(row);
        const bool done = H5Sselect_hyperslab(rows_space_.get(), H5S_SELECT_SET, start_.data(), nullptr,
                                              count_.data(), nullptr) >= 0 &&
                          H5Dread(dataset_.get(), memory_type_.get(), row_space_.get(), rows_space_.get(),
                                  H5P_DEFAULT, buffer_.data()) >= 0;
        watched_.verify();  // what a file that was cut no longer has, HDF5 takes for zeros
        if (!done)
            watched_.fail("row " + std::to_string(row) + " of " + name() +
                          " cannot be read; the file is damaged (" + Hdf5Call::reason() + ")");
        convert(buffer_.data(), nullptr, row_size(), out);
    }

    WatchedFile watched_;
    Hdf5Handle opened_, dataset_, rows_space_, row_space_, memory_type_;
    std::vector<hsize_t> count_;
    mutable std::vector<hsize_t> start_;
    mutable std::vector<std::byte> buffer_;
    ConvertValues<float> to_float_;
    ConvertValues<double> to_double_;
};

}  // namespace

bool has_hdf5() {
    return true;
}

std::unique_ptr<Array> open_hdf5(const std::filesystem::path& path, const std::string& dataset) {
    const WatchedFile file(path);
    const std::string name = path.string() + ":" + dataset;
    const Hdf5Call call;
    Hdf5Handle opened = open_file(file);
    Hdf5Handle found = open_dataset(file, opened.get(), dataset);
    const Hdf5Handle type(H5Dget_type(found.get()), H5Tclose);
    const Hdf5Handle space(H5Dget_space(found.get()), H5Sclose);
    const Hdf5Handle creation(H5Dget_create_plist(found.get()), H5Pclose);
    const ElementType element = element_of_dataset(file, type.get(), dataset);
    const std::vector<Index> extents = hdf5_extents(space.get());

    const std::optional<Index> place = place_of(found.get(), creation.get());
    if (place && is_plain(type.get(), element)) {
        const bool big_endian = H5Tget_order(type.get()) == H5T_ORDER_BE;
        return std::make_unique<MappedArray>(
            name, std::make_unique<MappedFile>(path),
            ArrayLayout{
                .element = element, .extents = extents, .big_endian = big_endian, .data_offset = *place});
    }
    const Index row_bytes = extents.empty() ? 0 : product_of(size_of(element), std::span(extents).subspan(1));
    check_can_hold(file, dataset, "a row", row_bytes);
    const bool has_values = !extents.empty() && std::ranges::min(extents) > 0;
    if (H5Pget_layout(creation.get()) == H5D_COMPACT)
        check_compact(file, dataset, found.get(), type.get(), extents);
    if (H5Pget_layout(creation.get()) == H5D_CHUNKED && has_values) {
        const std::vector<Index> chunk = chunk_extents(creation.get(), extents.size());
        if (std::ranges::min(chunk) < 1) file.fail(dataset + ": a chunk of it is empty; it is damaged");
        check_can_hold(file, dataset, "a chunk", product_of(size_of(element), chunk));
        found =
            with_chunk_cache(std::move(found), file, opened.get(), dataset, chunk, extents, size_of(element));
    }
    return std::make_unique<Hdf5Array>(name, path, element, extents, std::move(opened), std::move(found));
}

}  // namespace lockstep
