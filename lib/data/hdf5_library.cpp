#include "hdf5_library.hpp"

namespace lockstep {
namespace {

std::mutex& library_mutex() {
    static std::mutex mutex;
    return mutex;
}

std::optional<ElementType> integer_of(std::size_t size, bool is_signed) {
    switch (size) {
        case 1:
            return is_signed ? ElementType::i8 : ElementType::u8;
        case 2:
            return is_signed ? ElementType::i16 : ElementType::u16;
        case 4:
            return is_signed ? ElementType::i32 : ElementType::u32;
        case 8:
            return is_signed ? ElementType::i64 : ElementType::u64;
        default:
            return std::nullopt;
    }
}

/// FALSE = 0 and TRUE = 1 in one byte.
bool is_boolean(hid_t type) {
    if (H5Tget_size(type) != 1 || H5Tget_nmembers(type) != 2) return false;
    for (const auto& [name, expected] : {std::pair{"FALSE", 0}, std::pair{"TRUE", 1}}) {
        signed char value = -1;
        if (H5Tenum_valueof(type, name, &value) < 0 || value != expected) return false;
    }
    return true;
}

}  // namespace

Hdf5Call::Hdf5Call() : lock_(library_mutex()) {
    H5Eget_auto2(H5E_DEFAULT, &printer_, &printer_data_);
    H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
}

Hdf5Call::~Hdf5Call() {
    H5Eset_auto2(H5E_DEFAULT, printer_, printer_data_);
}

std::string Hdf5Call::reason() {
    std::string text;
    const auto first = [](unsigned depth, const H5E_error2_t* error, void* found) -> herr_t {
        if (depth == 0 && error->desc != nullptr) *static_cast<std::string*>(found) = error->desc;
        return 0;
    };
    H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, first, &text);  // from the innermost function outwards
    return "HDF5 says: " + (text.empty() ? std::string("nothing") : text);
}

std::optional<ElementType> element_of_hdf5(hid_t type) {
    const std::size_t size = H5Tget_size(type);
    switch (H5Tget_class(type)) {
        case H5T_INTEGER:
            return integer_of(size, H5Tget_sign(type) == H5T_SGN_2);
        case H5T_FLOAT:
            if (size == 4) return ElementType::f32;
            if (size == 8) return ElementType::f64;
            return std::nullopt;
        case H5T_ENUM:
            if (is_boolean(type)) return ElementType::boolean;
            return std::nullopt;
        default:
            return std::nullopt;
    }
}

hid_t native_hdf5_type(ElementType element) {
    switch (element) {
        case ElementType::u8:
            return H5T_NATIVE_UINT8;
        case ElementType::i8:
        case ElementType::boolean:
            return H5T_NATIVE_INT8;
        case ElementType::u16:
            return H5T_NATIVE_UINT16;
        case ElementType::i16:
            return H5T_NATIVE_INT16;
        case ElementType::u32:
            return H5T_NATIVE_UINT32;
        case ElementType::i32:
            return H5T_NATIVE_INT32;
        case ElementType::u64:
            return H5T_NATIVE_UINT64;
        case ElementType::i64:
            return H5T_NATIVE_INT64;
        case ElementType::f32:
            return H5T_NATIVE_FLOAT;
        case ElementType::f64:
            return H5T_NATIVE_DOUBLE;
    }
    return -1;
}

std::string hdf5_type_name(hid_t type) {
    if (const auto element = element_of_hdf5(type)) return std::string(to_string(*element));
    switch (H5Tget_class(type)) {
        case H5T_INTEGER:
            return "integers of " + std::to_string(H5Tget_size(type)) + " bytes";
        case H5T_FLOAT:
            return "float" + std::to_string(8 * H5Tget_size(type));
        case H5T_STRING:
            return "texts";
        case H5T_COMPOUND:
            return "structures of named fields, or complex numbers";
        case H5T_ENUM:
            return "an enumeration";
        case H5T_VLEN:
            return "lists of different lengths";
        case H5T_ARRAY:
            return "arrays as elements";
        default:
            return "what are no numbers";
    }
}

std::vector<Index> hdf5_extents(hid_t space) {
    if (H5Sget_simple_extent_type(space) != H5S_SIMPLE) return {};
    const int dimensions = H5Sget_simple_extent_ndims(space);
    if (dimensions <= 0) return {};
    std::vector<hsize_t> extents(static_cast<std::size_t>(dimensions));
    H5Sget_simple_extent_dims(space, extents.data(), nullptr);
    return {extents.begin(), extents.end()};
}

}  // namespace lockstep
