/// A .safetensors file taken apart, for tests that change something in it and put it together again.
#pragma once

#include <lockstep/train/safetensors.hpp>

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace lockstep::test {

struct StoredArray {
    DataType type = DataType::float32;
    std::vector<Index> shape;
    std::vector<double> values;          // of floating-point types
    std::vector<std::int64_t> integers;  // of others
};

struct StoredArrays {
    std::map<std::string, StoredArray> arrays;
    std::map<std::string, std::string> metadata;

    static StoredArrays read(const std::filesystem::path& path) {
        const SafetensorsFile file = SafetensorsFile::read(path);
        StoredArrays all;
        all.metadata = file.metadata();
        for (const std::string& name : file.names()) {
            const TensorEntry& entry = file.at(name);
            StoredArray& array = all.arrays[name];
            array.type = entry.type;
            array.shape = entry.shape;
            const std::size_t count = entry.bytes.size() / size_of(entry.type);
            if (entry.type == DataType::int64) {
                array.integers.resize(count);
                file.copy_to(name, entry.shape, std::span(array.integers));
            } else {
                array.values.resize(count);
                file.copy_to(name, entry.shape, std::span(array.values));
            }
        }
        return all;
    }

    void write(const std::filesystem::path& path) const {
        SafetensorsWriter writer;
        for (const auto& [name, array] : arrays) {
            if (array.type == DataType::int64)
                writer.add(name, array.shape, std::span(array.integers));
            else if (array.type == DataType::float64)
                writer.add(name, array.shape, std::span(array.values));
            else
                writer.add(name, array.shape, std::vector<float>(array.values.begin(), array.values.end()));
        }
        for (const auto& [key, value] : metadata) writer.set_metadata(key, value);
        writer.write(path);
    }

    /// The same arrays under names that begin with `prefix`.
    StoredArrays with_prefix(const std::string& prefix) const {
        StoredArrays renamed;
        for (const auto& [name, array] : arrays) renamed.arrays[prefix + name] = array;
        return renamed;
    }
};

}  // namespace lockstep::test
