// Safetensors files, and what a model file says of itself.
#include "scratch.hpp"

#include <lockstep/train/model_file.hpp>
#include <lockstep/train/safetensors.hpp>

#include <vector>

namespace {

template <class Value>
void copy(const lockstep::SafetensorsFile& file, const std::string& name) {
    const lockstep::TensorEntry& entry = file.at(name);
    std::vector<Value> values(entry.bytes.size() / lockstep::size_of(entry.type));
    lockstep::fuzz::may_refuse([&] { file.copy_to(name, entry.shape, std::span(values)); });
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace lockstep::fuzz;
    const auto path = Scratch::folder().file("x.safetensors", {data, size});
    may_refuse([&] {
        const auto file = lockstep::SafetensorsFile::read(path);
        for (const std::string& name : file.names()) {
            copy<float>(file, name);
            copy<double>(file, name);
            copy<std::int64_t>(file, name);
        }
        lockstep::read_signature(file);
    });
    return 0;
}
