/// HDF5's C library as the rest of data/ uses it: handles that close, one call at a time, errors as texts.
#pragma once

#include <lockstep/data/array.hpp>

#include <hdf5.h>

#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace lockstep {

/// While it lives no other thread of Lockstep is in HDF5, which is not thread-safe, and HDF5 prints no
/// errors. Every call of HDF5, the closing of handles included, lies within one.
class Hdf5Call {
  public:
    Hdf5Call();
    ~Hdf5Call();
    Hdf5Call(const Hdf5Call&) = delete;
    Hdf5Call& operator=(const Hdf5Call&) = delete;

    /// What the last call that failed says is the cause.
    static std::string reason();

  private:
    std::unique_lock<std::mutex> lock_;
    H5E_auto2_t printer_ = nullptr;
    void* printer_data_ = nullptr;
};

/// Owns an id of HDF5's, valid or not.
class Hdf5Handle {
  public:
    using Close = herr_t (*)(hid_t);

    Hdf5Handle() = default;
    Hdf5Handle(hid_t id, Close closes) : id_(id), close_(closes) {}
    ~Hdf5Handle() { close(); }
    Hdf5Handle(Hdf5Handle&& other) noexcept : id_(std::exchange(other.id_, -1)), close_(other.close_) {}
    Hdf5Handle& operator=(Hdf5Handle&& other) noexcept {
        close();
        id_ = std::exchange(other.id_, -1);
        close_ = other.close_;
        return *this;
    }

    explicit operator bool() const { return id_ >= 0; }
    hid_t get() const { return id_; }
    /// Whether that went well; once only.
    bool close() { return id_ < 0 || close_(std::exchange(id_, -1)) >= 0; }

  private:
    hid_t id_ = -1;
    Close close_ = nullptr;
};

/// The type of elements that a type in a file stands for, if it is one: integers, floats, and bool as h5py
/// stores it, an enumeration of FALSE and TRUE.
std::optional<ElementType> element_of_hdf5(hid_t type);

/// HDF5's type of such elements in memory.
hid_t native_hdf5_type(ElementType element);

/// "float32", or "float16", "texts", "structures of named fields" … for what is no element.
std::string hdf5_type_name(hid_t type);

/// Empty for a single value, or none.
std::vector<Index> hdf5_extents(hid_t space);

/// "/x (8000x12 of float32), /y (8000 of int64)": the data sets of a file.
std::string list_hdf5_datasets(hid_t file);

}  // namespace lockstep
